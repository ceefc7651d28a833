//! The Workers of VMs that run, with their channels, and those that wait for a VM.
//!
//! The browser shares the machine code of QEMU among all Workers with the same program. So a spare also keeps what was
//! compiled and optimized for a VM, when that has ended, for the next one.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use js_sys::{Date, SharedArrayBuffer, Uint8Array};
use qemuweb_machine::Input;
use qemuweb_machine::io::{Attached, FromWorker, Outcome, RunId, TaskId};
use qemuweb_machine::storage::{DiskJob, StorageCommand, StorageEvent};
use qemuweb_machine::worker::{BootOrder, VmWorkerCommand, VmWorkerEvent};
use qemuweb_shm::budget::Budget;
use qemuweb_shm::web::JsSharedMemory;
use qemuweb_vm_config::Arch;
use qemuweb_wire::Failure;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::spawn_local;

use super::channels::Channels;
use super::driver::Driver;
use super::store;
use super::worker::{FromWorker as Heard, ServesDisks, VmWorker, Worker};

/// Messages that a VM's Worker may send at once, and a second from then on. One that sends more is ended: each costs a turn of the
/// event loop, which other VMs wait for.
const MESSAGES_AT_ONCE: f64 = 5000.0;
const MESSAGES_A_SECOND: f64 = 1000.0;

/// All Workers.
#[derive(Default)]
pub(super) struct Workers {
    running: RefCell<HashMap<RunId, Running>>,
    /// Those that wait for a VM, at most one for each architecture.
    spares: RefCell<Vec<(Arch, VmWorker)>>,
    /// One that waits for a VM with disks.
    storage_spare: RefCell<Option<Worker<ServesDisks>>>,
    /// Those of runs that have ended, which keep what was written.
    closing: RefCell<HashMap<RunId, Worker<ServesDisks>>>,
    /// Those that do something with disks that nobody uses.
    jobs: RefCell<HashMap<TaskId, Worker<ServesDisks>>>,
}

struct Running {
    /// Has QEMU in it, and ends it when it goes.
    _worker: VmWorker,
    channels: Option<Rc<Channels>>,
    /// Serves its disks, if it has any.
    storage: Option<Worker<ServesDisks>>,
}

impl Workers {
    /// Has a spare, or a new Worker, boot.
    pub(super) fn start(&self, run: RunId, order: BootOrder<JsValue>, driver: &Rc<Driver>) {
        let worker = match self.take(order.boot.arch) {
            Ok(worker) => worker,
            Err(failure) => return driver.happen(Input::Worker(run, FromWorker::Failed(failure))),
        };
        let weak = Rc::downgrade(driver);
        let budget = Cell::new(Budget::new(MESSAGES_AT_ONCE, MESSAGES_A_SECOND, Date::now()));
        worker.listen(move |event| {
            let Some(driver) = weak.upgrade() else { return };
            let mut left = budget.get();
            let spent = left.spend(1.0, Date::now());
            budget.set(left);
            let event = match spent {
                Ok(()) => event,
                Err(exceeded) => Err(Failure {
                    causes: vec![exceeded.to_string()],
                    ..Failure::new("the VM's Worker sends messages without end")
                }),
            };
            driver.workers.hear(run, event, &driver);
        });
        let attachments: Vec<JsValue> = order.attachments.into_iter().map(to_js).collect();
        let storage = if order.disks.is_empty() {
            None
        } else {
            let spare = self.storage_spare.take();
            match spare.map_or_else(Worker::spawn, Ok) {
                Ok(storage) => Some(storage),
                Err(failure) => return driver.happen(Input::Worker(run, FromWorker::Failed(failure))),
            }
        };
        if let Some(storage) = &storage {
            let weak = Rc::downgrade(driver);
            storage.listen(move |event| {
                if let Some(driver) = weak.upgrade() {
                    driver.workers.hear_storage(run, event, &driver);
                }
            });
            let open = StorageCommand::Open {
                vm_id: order.vm_id,
                arch: order.boot.arch,
                disks: order.disks,
            };
            storage.post(&open, attachments.clone());
        }
        worker.post(&VmWorkerCommand::Boot(order.boot), attachments);
        let is_ready = worker.is_ready();
        let running = Running {
            _worker: worker,
            channels: None,
            storage,
        };
        self.running.borrow_mut().insert(run, running);
        if is_ready {
            driver.happen(Input::Worker(run, FromWorker::Ready));
        }
    }

    /// A Worker for a VM of `arch`. Without a spare for it, the others were wrong guesses, and go.
    fn take(&self, arch: Arch) -> Result<VmWorker, Failure> {
        let mut spares = self.spares.borrow_mut();
        match spares.iter().position(|(of, _)| *of == arch) {
            Some(index) => Ok(spares.swap_remove(index).1),
            None => {
                spares.clear();
                VmWorker::spawn()
            }
        }
    }

    fn hear(&self, run: RunId, event: Result<(VmWorkerEvent, Vec<JsValue>), Failure>, driver: &Rc<Driver>) {
        let said = match event {
            Ok((VmWorkerEvent::Loaded { directory }, attachments)) => {
                self.ask_storage(run, &StorageCommand::Serve { directory }, attachments.clone());
                match open_channels(&attachments, directory, run, driver) {
                    Ok(channels) => return self.loaded(run, channels, driver),
                    Err(failure) => FromWorker::Failed(failure),
                }
            }
            Ok((VmWorkerEvent::Ready, _)) => FromWorker::Ready,
            Ok((VmWorkerEvent::Progress { progress }, _)) => FromWorker::Progress(progress),
            Ok((VmWorkerEvent::Output { line }, _)) => FromWorker::Output(line),
            Ok((VmWorkerEvent::UefiVariables { file }, attachments)) => {
                let bytes = attachments.first();
                FromWorker::Variables(bytes.and_then(|bytes| store::variables(file, bytes)))
            }
            Ok((VmWorkerEvent::Exited { code }, _)) => FromWorker::Exited(code),
            Ok((VmWorkerEvent::Failed { failure }, _)) | Err(failure) => FromWorker::Failed(failure),
        };
        driver.happen(Input::Worker(run, said));
    }

    fn loaded(&self, run: RunId, channels: Rc<Channels>, driver: &Rc<Driver>) {
        if let Some(running) = self.running.borrow_mut().get_mut(&run) {
            running.channels = Some(Rc::clone(&channels));
        }
        driver.happen(Input::Worker(run, FromWorker::Loaded));
        channels.watch();
    }

    fn hear_storage(&self, run: RunId, event: Heard<StorageEvent>, driver: &Rc<Driver>) {
        let is_dead = event.is_err();
        let said = match event {
            Ok((event, _)) => event,
            Err(failure) => StorageEvent::Failed { failure },
        };
        let is_last = is_dead || matches!(said, StorageEvent::Closed { .. });
        driver.happen(Input::Storage(run, said));
        if is_dead {
            // Its run has ended with it, and it will not say that the disks are free: its locks went with it.
            driver.happen(Input::Storage(run, StorageEvent::Closed { failure: None }));
        }
        if is_last {
            // Not amid what its listener does.
            let driver = Rc::clone(driver);
            spawn_local(async move { driver.workers.end_storage(run) });
        }
    }

    /// Ends a run's Workers: QEMU's threads first, and its storage Worker when it has kept all.
    pub(super) fn end(&self, run: RunId) {
        let running = self.running.borrow_mut().remove(&run);
        let Some(running) = running else { return };
        if let Some(storage) = running.storage {
            storage.post(&StorageCommand::End, Vec::new());
            self.closing.borrow_mut().insert(run, storage);
        }
    }

    /// Ends a storage Worker at once.
    pub(super) fn end_storage(&self, run: RunId) {
        let storage = self.closing.borrow_mut().remove(&run);
        drop(storage);
    }

    /// Has a Worker do something with disks that nobody uses.
    pub(super) fn do_with_disks(
        &self,
        task: TaskId,
        job: DiskJob,
        attachments: Vec<Attached<JsValue>>,
        driver: &Rc<Driver>,
    ) {
        let worker = match Worker::<ServesDisks>::spawn() {
            Ok(worker) => worker,
            Err(failure) => {
                return driver.happen(Input::Done(task, Outcome::DidWithDisks(Err(failure))));
            }
        };
        let weak = Rc::downgrade(driver);
        worker.listen(move |event| {
            let Some(driver) = weak.upgrade() else { return };
            let done = match event {
                Ok((StorageEvent::Did { disks }, attachments)) => Ok((disks, attachments.into_iter().next())),
                Ok((StorageEvent::Failed { failure }, _)) | Err(failure) => Err(failure),
                Ok((StorageEvent::Progress { done, total }, _)) => {
                    return driver.happen(Input::Progressed { task, done, total });
                }
                Ok(_) => return,
            };
            // Not amid what its listener does.
            let ends = Rc::clone(&driver);
            spawn_local(async move { drop(ends.workers.jobs.borrow_mut().remove(&task)) });
            driver.happen(Input::Done(task, Outcome::DidWithDisks(done)));
        });
        worker.post(
            &StorageCommand::Do(job),
            attachments.into_iter().map(to_js).collect(),
        );
        self.jobs.borrow_mut().insert(task, worker);
    }

    /// Ends what is done with disks.
    pub(super) fn cancel(&self, task: TaskId) {
        let worker = self.jobs.borrow_mut().remove(&task);
        drop(worker);
    }

    /// Tells a run's storage Worker something, if it has one.
    pub(super) fn ask_storage(&self, run: RunId, command: &StorageCommand, attachments: Vec<JsValue>) {
        if let Some(storage) = self
            .running
            .borrow()
            .get(&run)
            .and_then(|running| running.storage.as_ref())
        {
            storage.post(command, attachments);
        }
    }

    /// Puts bytes into a channel's ring.
    pub(super) fn write(&self, run: RunId, channel: &str, bytes: &[u8]) {
        let running = self.running.borrow();
        let channels = running.get(&run).and_then(|running| running.channels.clone());
        drop(running);
        if let Some(channels) = channels {
            channels.write(channel, bytes);
        }
    }

    /// Prepares for a VM of `arch` with these files of the package's guests.
    pub(super) fn prepare(&self, arch: Arch, guest_files: Vec<String>, driver: &Rc<Driver>) {
        if self.storage_spare.borrow().is_none() {
            // As below: a start tells what is wrong.
            self.storage_spare.replace(Worker::spawn().ok());
        }
        let prepare = VmWorkerCommand::Prepare { arch, guest_files };
        let mut spares = self.spares.borrow_mut();
        if let Some((_, worker)) = spares.iter().find(|(of, _)| *of == arch) {
            // It fetches what it does not have.
            return worker.post(&prepare, Vec::new());
        }
        // A start without a spare tells what is wrong.
        let Ok(worker) = VmWorker::spawn() else { return };
        let weak = Rc::downgrade(driver);
        worker.listen(move |event| {
            if event.is_err()
                && let Some(driver) = weak.upgrade()
            {
                driver.workers.drop_spares();
            }
        });
        worker.post(&prepare, Vec::new());
        spares.push((arch, worker));
    }

    pub(super) fn drop_spares(&self) {
        self.spares.borrow_mut().clear();
        drop(self.storage_spare.take());
    }
}

/// An attachment as a Worker gets it.
fn to_js(attached: Attached<JsValue>) -> JsValue {
    match attached {
        Attached::Bytes(bytes) => Uint8Array::from(&*bytes).into(),
        Attached::File(file) | Attached::Handle(file) | Attached::Other(file) => file,
    }
}

fn open_channels(
    attachments: &[JsValue],
    directory: u32,
    run: RunId,
    driver: &Rc<Driver>,
) -> Result<Rc<Channels>, Failure> {
    let buffer = attachments
        .first()
        .and_then(|memory| memory.dyn_ref::<SharedArrayBuffer>());
    let buffer = buffer.ok_or_else(|| Failure::new("expected QEMU's memory with its Loaded message"))?;
    Channels::open(JsSharedMemory::new(buffer), directory, run, driver)
}
