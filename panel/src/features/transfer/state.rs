//! The transfers of a page: what waits, what goes, what became of it, and what a person can do about each.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use qemuweb_wire::failure::Failure;
use qemuweb_wire::vm::VmId;
use sycamore::prelude::*;
use web_sys::File;

use super::job::{Job, OnTaken};
use super::names::{FilePath, Folder, safe_name, shell_path};
use crate::cx::{Cx, Direction};
use crate::features::machines::state::Machines;
use crate::kit::browser::now;
use crate::kit::files::Chosen;

/// Most transfers that are listed, those that are over included.
const MAX_LISTED: usize = 100;

/// What a person is asked about a transfer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// There is a file of its name: what to do? With a name that is free, if one was found.
    Taken(Option<String>),
    /// Where to save it? The browser wants a click before it asks.
    Place,
}

/// Where a transfer is.
#[derive(Clone, Debug, PartialEq)]
pub enum Stage {
    /// Others go first.
    Waiting,
    /// The guest, or the person, is asked where it goes and what is there.
    Looking,
    /// A person is asked, by a button beside it.
    Asks(Question),
    /// Bytes move.
    Moving,
    /// It has arrived.
    Done {
        /// Where.
        text: String,
        /// What can be typed in the guest next.
        command: Option<String>,
    },
    /// It could not be done.
    Failed(Failure),
    /// The person did not want it any more.
    Cancelled,
}

impl Stage {
    /// Whether nothing more happens by itself.
    pub fn is_over(&self) -> bool {
        matches!(self, Self::Done { .. } | Self::Failed(_) | Self::Cancelled)
    }

    /// Whether it keeps others of its VM from starting.
    fn is_busy(&self) -> bool {
        matches!(self, Self::Looking | Self::Moving)
    }

    /// Its name in the document.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Looking => "looking",
            Self::Asks(_) => "asks",
            Self::Moving => "moving",
            Self::Done { .. } => "done",
            Self::Failed(_) => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// A file on its way.
#[derive(Clone, Debug, PartialEq)]
pub struct Transfer {
    /// Names it in this page.
    pub id: u32,
    /// The VM.
    pub vm_id: VmId,
    /// Which way.
    pub direction: Direction,
    /// Its name.
    pub name: String,
    /// Its path in the guest, as the agent takes it.
    pub path: String,
    /// Where it goes to or comes from, as people write it.
    pub place: String,
    /// Bytes that have arrived.
    pub done: u64,
    /// Bytes in all, where that is known.
    pub total: Option<u64>,
    /// When bytes began to move, in milliseconds since the epoch.
    pub began: f64,
    /// Where it is.
    pub stage: Stage,
}

/// The transfers that can start: of each VM the first one that waits, if none of it is under way.
fn startable(list: &[Rc<Transfer>]) -> Vec<u32> {
    let mut taken: Vec<&VmId> = list
        .iter()
        .filter(|it| it.stage.is_busy())
        .map(|it| &it.vm_id)
        .collect();
    let mut found = Vec::new();
    for transfer in list.iter().filter(|it| it.stage == Stage::Waiting) {
        if !taken.contains(&&transfer.vm_id) {
            taken.push(&transfer.vm_id);
            found.push(transfer.id);
        }
    }
    found
}

/// All transfers. Copies are the same.
#[derive(Clone, Copy)]
pub struct Transfers {
    /// What every feature gets.
    pub cx: Cx,
    /// The VMs.
    pub machines: Machines,
    /// All of them, in the order in which they were wanted.
    pub list: Signal<Vec<Rc<Transfer>>>,
    /// What screen readers say next.
    pub said: Signal<String>,
    jobs: ReadSignal<Rc<RefCell<BTreeMap<u32, Job>>>>,
    last_id: Signal<u32>,
}

impl Transfers {
    /// None. Call it in the root scope.
    pub fn new(machines: Machines) -> Self {
        Self {
            cx: machines.cx,
            machines,
            list: create_signal(Vec::new()),
            said: create_signal(String::new()),
            jobs: *create_signal(Rc::default()),
            last_id: create_signal(0),
        }
    }

    /// Those of the page that a component is in.
    pub fn here() -> Self {
        use_context()
    }

    /// Sends files into a folder of a VM's guest.
    pub fn send(self, vm_id: &str, files: Vec<File>, folder: &Folder) {
        if !self.make_room(files.len()) {
            return;
        }
        for file in files {
            let chosen = Chosen::file(file.clone());
            let name = safe_name(&chosen.name);
            let transfer = Transfer {
                path: folder.path(&name),
                place: folder.shown(),
                total: Some(chosen.size),
                ..self.new_transfer(vm_id, Direction::Send, name)
            };
            self.add(transfer, Job::sending(file, folder.clone()));
        }
        self.start_next();
    }

    /// Fetches a file from a VM's guest.
    pub fn fetch(self, vm_id: &str, file: &FilePath) {
        if !self.make_room(1) {
            return;
        }
        let transfer = Transfer {
            path: file.path().to_owned(),
            place: file.shown(),
            ..self.new_transfer(vm_id, Direction::Fetch, file.name())
        };
        self.add(transfer, Job::default());
        self.start_next();
    }

    fn new_transfer(self, vm_id: &str, direction: Direction, name: String) -> Transfer {
        let id = self.last_id.get_untracked() + 1;
        self.last_id.set(id);
        Transfer {
            id,
            vm_id: vm_id.to_owned(),
            direction,
            name,
            path: String::new(),
            place: String::new(),
            done: 0,
            total: None,
            began: 0.0,
            stage: Stage::Waiting,
        }
    }

    fn add(self, transfer: Transfer, job: Job) {
        self.jobs().borrow_mut().insert(transfer.id, job);
        self.list.update(|list| list.push(Rc::new(transfer)));
    }

    /// Whether so many more can be listed, when those that have arrived give way.
    fn make_room(self, more: usize) -> bool {
        if self.list.with_untracked(Vec::len) + more > MAX_LISTED {
            self.clear();
        }
        let listed = self.list.with_untracked(Vec::len);
        let fits = listed + more <= MAX_LISTED;
        if !fits {
            let failure = Failure::new(format!(
                "expected at most {MAX_LISTED} files on their way, found {}",
                listed + more
            ));
            let next_step = "Send the others later, or all in one archive, such as a .tar file.";
            self.cx.notices.report(failure.with_next_step(next_step));
        }
        fits
    }

    /// A transfer as it is now, without tracking.
    pub(super) fn get(self, id: u32) -> Option<Rc<Transfer>> {
        self.list
            .with_untracked(|list| list.iter().find(|it| it.id == id).cloned())
    }

    pub(super) fn change(self, id: u32, change: impl FnOnce(&mut Transfer)) {
        self.list.update(|list| {
            if let Some(transfer) = list.iter_mut().find(|it| it.id == id) {
                change(Rc::make_mut(transfer));
            }
        });
    }

    fn jobs(self) -> Rc<RefCell<BTreeMap<u32, Job>>> {
        self.jobs.get_clone_untracked()
    }

    /// What moves a transfer, if it is still there. `work` may touch no signal.
    pub(super) fn job<T>(self, id: u32, work: impl FnOnce(&mut Job) -> T) -> Option<T> {
        self.jobs().borrow_mut().get_mut(&id).map(work)
    }

    /// Starts what can start.
    pub(super) fn start_next(self) {
        for id in self.list.with_untracked(|list| startable(list)) {
            // One that fails at once has the next one started.
            let Some(transfer) = self.get(id).filter(|it| it.stage == Stage::Waiting) else {
                continue;
            };
            self.change(id, |transfer| {
                transfer.stage = Stage::Looking;
                transfer.done = 0;
            });
            match transfer.direction {
                Direction::Send => self.look(id),
                Direction::Fetch => self.open_file(id),
            }
        }
    }

    /// Notes that bytes begin to move, and says so.
    pub(super) fn begins(self, id: u32) {
        self.change(id, |transfer| {
            transfer.stage = Stage::Moving;
            transfer.began = now();
        });
        if let Some(transfer) = self.get(id) {
            let doing = match transfer.direction {
                Direction::Send => "Sending",
                Direction::Fetch => "Fetching",
            };
            self.said.set(format!("{doing} {}.", transfer.name));
        }
    }

    /// Asks a person; others go on meanwhile.
    pub(super) fn ask(self, id: u32, question: Question) {
        if let Some(transfer) = self.get(id) {
            self.said.set(match question {
                Question::Taken(_) => {
                    format!(
                        "There is a file {} in the guest. Choose what to do.",
                        transfer.name
                    )
                }
                Question::Place => format!("Choose where to save {}.", transfer.name),
            });
        }
        self.change(id, |transfer| transfer.stage = Stage::Asks(question));
        self.start_next();
    }

    /// A file has arrived.
    pub(super) fn arrived(self, id: u32, text: String) {
        let Some(transfer) = self.get(id) else { return };
        self.said.set(format!("{}: {text}", transfer.name));
        let command =
            (transfer.direction == Direction::Send).then(|| format!("ls -l {}", shell_path(&transfer.path)));
        self.change(id, |transfer| {
            transfer.done = transfer.total.unwrap_or(transfer.done)
        });
        self.end(id, Stage::Done { text, command });
        // Nothing is done again.
        self.jobs().borrow_mut().remove(&id);
    }

    /// A transfer cannot be done. Screen readers hear the failure itself.
    pub(super) fn fail(self, id: u32, failure: Failure) {
        self.end(id, Stage::Failed(failure));
    }

    fn end(self, id: u32, stage: Stage) {
        self.job(id, Job::stop);
        self.change(id, |transfer| transfer.stage = stage);
        self.start_next();
    }

    /// Does one that failed or was cancelled once more.
    pub fn again(self, id: u32) {
        self.change(id, |transfer| transfer.stage = Stage::Waiting);
        self.start_next();
    }

    /// Goes on with one whose name is taken.
    pub fn resolve(self, id: u32, on_taken: OnTaken) {
        self.job(id, |job| job.on_taken = on_taken);
        self.again(id);
    }

    /// Cancels one, or takes one that is over from the list.
    pub fn dismiss(self, id: u32) {
        let Some(transfer) = self.get(id) else { return };
        if transfer.stage.is_over() {
            self.jobs().borrow_mut().remove(&id);
            self.list.update(|list| list.retain(|it| it.id != id));
        } else {
            self.said.set(format!("{} was cancelled.", transfer.name));
            self.end(id, Stage::Cancelled);
        }
    }

    /// Takes those from the list that have arrived or were cancelled.
    pub fn clear(self) {
        let is_cleared = |it: &Rc<Transfer>| matches!(it.stage, Stage::Done { .. } | Stage::Cancelled);
        self.forget(is_cleared);
    }

    /// Gives up those of a VM that is no more.
    pub fn removed(self, vm_id: &str) {
        self.forget(|it| it.vm_id == vm_id);
    }

    fn forget(self, is_forgotten: impl Fn(&Rc<Transfer>) -> bool) {
        let jobs = self.jobs();
        for transfer in self
            .list
            .get_clone_untracked()
            .iter()
            .filter(|it| is_forgotten(it))
        {
            if let Some(mut job) = jobs.borrow_mut().remove(&transfer.id) {
                job.stop();
            }
        }
        self.list.update(|list| list.retain(|it| !is_forgotten(it)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_root(test: impl FnOnce(Transfers)) {
        let root = create_root(|| test(Transfers::new(Machines::new(Cx::new(0.0)))));
        root.dispose();
    }

    fn add(transfers: Transfers, vm_id: &str, stage: Stage) -> u32 {
        let transfer = transfers.new_transfer(vm_id, Direction::Fetch, "x".to_owned());
        let id = transfer.id;
        transfers.add(Transfer { stage, ..transfer }, Job::default());
        id
    }

    #[test]
    fn one_of_each_vm_goes_at_a_time() {
        in_root(|transfers| {
            let first = add(transfers, "a", Stage::Waiting);
            add(transfers, "a", Stage::Waiting);
            let other = add(transfers, "b", Stage::Waiting);
            let startable = || transfers.list.with(|list| super::startable(list));
            assert_eq!(startable(), [first, other]);
            transfers.change(first, |it| it.stage = Stage::Moving);
            assert_eq!(startable(), [other]);
            // Who is asked keeps nobody waiting.
            transfers.change(first, |it| it.stage = Stage::Asks(Question::Place));
            assert_eq!(startable(), [first + 1, other]);
        });
    }

    #[test]
    fn without_a_host_the_failure_says_so_and_the_next_one_has_its_turn() {
        in_root(|transfers| {
            for _ in 0..3 {
                transfers.fetch("a", &FilePath::parse("~/x").unwrap());
            }
            transfers.list.with(|list| {
                assert_eq!(list.len(), 3);
                for transfer in list {
                    assert!(
                        matches!(&transfer.stage, Stage::Failed(failure) if failure.message.contains("host"))
                    );
                }
            });
        });
    }

    #[test]
    fn what_has_arrived_makes_room_and_what_failed_is_kept() {
        in_root(|transfers| {
            let failed = add(transfers, "a", Stage::Failed(Failure::new("no room")));
            for _ in 1..MAX_LISTED {
                add(transfers, "a", Stage::Cancelled);
            }
            assert!(transfers.make_room(1));
            let ids = transfers
                .list
                .with(|list| list.iter().map(|it| it.id).collect::<Vec<_>>());
            assert_eq!(ids, [failed]);
            assert!(!transfers.make_room(MAX_LISTED));
            assert_eq!(transfers.cx.notices.len(), 1);
        });
    }

    #[test]
    fn a_cross_cancels_first_and_takes_away_then() {
        in_root(|transfers| {
            let id = add(transfers, "a", Stage::Moving);
            transfers.dismiss(id);
            assert_eq!(transfers.get(id).unwrap().stage, Stage::Cancelled);
            transfers.dismiss(id);
            assert_eq!(transfers.get(id), None);
            assert!(transfers.jobs().borrow().is_empty());
        });
    }

    #[test]
    fn those_of_a_vm_go_with_it() {
        in_root(|transfers| {
            add(transfers, "a", Stage::Moving);
            let other = add(transfers, "b", Stage::Waiting);
            transfers.removed("a");
            transfers.dismiss(other);
            let ids = transfers
                .list
                .with(|list| list.iter().map(|it| it.id).collect::<Vec<_>>());
            assert_eq!(ids, [other]);
        });
    }
}
