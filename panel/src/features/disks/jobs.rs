//! Exports and imports of disks: how far they are, and what became of them. They outlive the view that began them.

use std::rc::Rc;

use qemuweb_wire::client::Canceller;
use qemuweb_wire::failure::Failure;
use qemuweb_wire::vm::VmId;
use sycamore::prelude::*;

use super::state::Disks;
use crate::kit::browser::now;
use crate::kit::buttons::{dismiss, text_button};
use crate::kit::failure_view::failure_view;
use crate::kit::reactive::{Dynamic, memo};
use crate::kit::text;

/// How an export or import is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Under way.
    Moving,
    /// Done, and how.
    Done(String),
    /// It failed.
    Failed(Failure),
}

/// An export or import.
#[derive(Clone)]
pub(super) struct Job {
    pub(super) id: u32,
    pub(super) vm_id: VmId,
    pub(super) disk_id: String,
    /// What it does: `Exporting home`.
    pub(super) title: String,
    pub(super) done: u64,
    pub(super) total: Option<u64>,
    /// When it began, and when it was last told how far it is, in milliseconds since the epoch.
    pub(super) began: f64,
    pub(super) told: f64,
    pub(super) stage: Stage,
    pub(super) cancel: Option<Canceller>,
    pub(super) is_cancelled: bool,
}

impl Job {
    pub(super) fn is_under_way(&self) -> bool {
        self.stage == Stage::Moving
    }
}

impl Disks {
    /// What goes on with a disk, or has gone on last. Tracked.
    pub(super) fn job_of(self, vm_id: &str, disk_id: &str) -> Option<Rc<Job>> {
        self.jobs.with(|jobs| {
            let mut jobs = jobs.iter();
            jobs.find(|job| job.vm_id == vm_id && job.disk_id == disk_id)
                .cloned()
        })
    }

    /// Begins an export or import, and gives its number.
    pub(super) fn begin(self, vm_id: &str, disk_id: &str, title: String) -> u32 {
        let mut jobs = self.jobs.get_clone_untracked();
        let id = jobs.iter().map(|job| job.id).max().unwrap_or(0) + 1;
        jobs.retain(|job| job.vm_id != vm_id || job.disk_id != disk_id);
        let began = now();
        jobs.push(Rc::new(Job {
            id,
            vm_id: vm_id.to_owned(),
            disk_id: disk_id.to_owned(),
            title,
            done: 0,
            total: None,
            began,
            told: began,
            stage: Stage::Moving,
            cancel: None,
            is_cancelled: false,
        }));
        self.jobs.set(jobs);
        id
    }

    pub(super) fn change_job(self, id: u32, change: impl FnOnce(&mut Job)) {
        self.jobs.update(|jobs| {
            if let Some(job) = jobs.iter_mut().find(|job| job.id == id) {
                change(Rc::make_mut(job));
            }
        });
    }

    pub(super) fn progressed(self, id: u32, done: u64, total: Option<u64>) {
        self.change_job(id, |job| {
            (job.done, job.total, job.told) = (done, total.or(job.total), now());
        });
    }

    /// Notes what became of an export or import.
    pub(super) fn ended(self, id: u32, result: Result<String, Failure>) {
        let of_it = |jobs: &Vec<Rc<Job>>| jobs.iter().find(|job| job.id == id).cloned();
        let Some(job) = self.jobs.with_untracked(of_it) else {
            return;
        };
        match result {
            Err(_) if job.is_cancelled => {
                self.forget(id);
                self.said.set(format!("{}: cancelled.", job.title));
            }
            result => self.change_job(id, |job| {
                job.stage = match result {
                    Ok(text) => Stage::Done(text),
                    Err(failure) => Stage::Failed(failure),
                };
            }),
        }
        self.refresh();
    }

    fn forget(self, id: u32) {
        self.jobs.update(|jobs| jobs.retain(|job| job.id != id));
    }

    fn cancel(self, id: u32) {
        let mut cancel = None;
        self.change_job(id, |job| {
            job.is_cancelled = true;
            cancel.clone_from(&job.cancel);
        });
        if let Some(cancel) = cancel {
            cancel.cancel();
        }
    }
}

/// What goes on with a disk, or has gone on last.
pub(super) fn job_view(disks: Disks, vm_id: String, disk_id: String) -> View {
    let job = move || disks.job_of(&vm_id, &disk_id);
    let shown = memo({
        let job = job.clone();
        move || job().map(|job| (job.id, job.title.clone(), job.stage.clone()))
    });
    let amounts = memo(move || job().map(|job| (job.done, job.total, job.told - job.began)));
    view! {
        (Dynamic { of: move || match shown.get_clone() {
            None => View::new(),
            Some((id, title, Stage::Moving)) => moving(disks, id, &title, amounts),
            Some((id, _, Stage::Done(text))) => {
                let close = dismiss("Dismiss", move |_| disks.forget(id));
                view! { div(class="disk-job", role="status", data-testid="disk-done") { span(class="disk-job-text") { (text) } (close) } }
            }
            Some((id, _, Stage::Failed(failure))) => {
                failure_view(failure, text_button("dismiss", "Dismiss", move |_| disks.forget(id)))
            }
        } })
    }
}

type Amounts = Option<(u64, Option<u64>, f64)>;

fn moving(disks: Disks, id: u32, title: &str, amounts: ReadSignal<Amounts>) -> View {
    let text = move || {
        let (done, total, elapsed) = amounts.get().unwrap_or_default();
        text::transfer(done, total, elapsed)
    };
    let bar_name = title.to_owned();
    let bar = move || {
        let (done, total) = amounts.get().map_or((0, None), |(done, total, _)| (done, total));
        total.map_or(View::new(), |total| {
            let (done, total, name) = (done.to_string(), total.max(1).to_string(), bar_name.clone());
            view! { progress(class="progress-bar", value=done, max=total, aria-label=name) }
        })
    };
    let title = title.to_owned();
    view! {
        div(class="disk-job", data-testid="disk-job") {
            span(class="disk-job-text") {
                span(role="status") { (title) } " "
                span(class="disk-job-amount") { (text()) }
            }
            (text_button("disk-cancel", "Cancel", move |_| disks.cancel(id)))
            (Dynamic { of: bar })
        }
    }
}
