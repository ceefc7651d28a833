//! The Workers of VMs that run, with their channels, and those that wait for a VM.
//!
//! The browser shares the machine code of QEMU among all Workers with the same program. So a spare also keeps what was
//! compiled and optimized for a VM, when that has ended, for the next one.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use js_sys::{SharedArrayBuffer, Uint8Array};
use qemuweb_machine::Input;
use qemuweb_machine::io::{Attached, FromWorker, RunId};
use qemuweb_machine::worker::{BootOrder, VmWorkerCommand, VmWorkerEvent};
use qemuweb_runtime::web::JsSharedMemory;
use qemuweb_vm_config::Arch;
use qemuweb_wire::Failure;
use wasm_bindgen::{JsCast, JsValue};

use super::channel::Link;
use super::driver::Driver;
use super::store;
use super::worker::VmWorker;

/// All Workers.
#[derive(Default)]
pub(super) struct Workers {
    running: RefCell<HashMap<RunId, Running>>,
    /// Those that wait for a VM, at most one for each architecture.
    spares: RefCell<Vec<(Arch, VmWorker)>>,
}

struct Running {
    /// Has QEMU in it, and ends it when it goes.
    _worker: VmWorker,
    link: Option<Link>,
}

impl Workers {
    /// Has a spare, or a new Worker, boot.
    pub(super) fn start(&self, run: RunId, order: BootOrder<JsValue>, driver: &Rc<Driver>) {
        let worker = match self.take(order.boot.arch) {
            Ok(worker) => worker,
            Err(failure) => return driver.happen(Input::Worker(run, FromWorker::Failed(failure))),
        };
        let weak = Rc::downgrade(driver);
        worker.listen(move |event| {
            if let Some(driver) = weak.upgrade() {
                driver.workers.hear(run, event, &driver);
            }
        });
        let attachments = order.attachments.into_iter().map(|attached| match attached {
            Attached::Bytes(bytes) => Uint8Array::from(&*bytes).into(),
            Attached::File(file) | Attached::Handle(file) | Attached::Other(file) => file,
        });
        worker.post(&VmWorkerCommand::Boot(order.boot), attachments.collect());
        let is_ready = worker.is_ready();
        let running = Running {
            _worker: worker,
            link: None,
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
                match open_link(&attachments, directory) {
                    Ok(link) => return self.loaded(run, link, driver),
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

    fn loaded(&self, run: RunId, link: Link, driver: &Rc<Driver>) {
        if let Some(running) = self.running.borrow_mut().get_mut(&run) {
            running.link = Some(link.clone());
        }
        driver.happen(Input::Worker(run, FromWorker::Loaded));
        link.watch(run, Rc::downgrade(driver));
    }

    /// Ends a Worker: QEMU's threads first.
    pub(super) fn end(&self, run: RunId) {
        let running = self.running.borrow_mut().remove(&run);
        if let Some(link) = running.and_then(|running| running.link) {
            link.end();
        }
    }

    /// Puts bytes into a channel's ring.
    pub(super) fn write(&self, run: RunId, channel: &str, bytes: &[u8], driver: &Rc<Driver>) {
        let running = self.running.borrow();
        let link = running.get(&run).and_then(|running| running.link.clone());
        drop(running);
        if let Some(link) = link {
            link.write(run, channel, bytes, driver);
        }
    }

    /// Prepares for a VM of `arch` with these files of the package's guests.
    pub(super) fn prepare(&self, arch: Arch, guest_files: Vec<String>, driver: &Rc<Driver>) {
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
    }
}

fn open_link(attachments: &[JsValue], directory: u32) -> Result<Link, Failure> {
    let buffer = attachments
        .first()
        .and_then(|memory| memory.dyn_ref::<SharedArrayBuffer>());
    let buffer = buffer.ok_or_else(|| Failure::new("expected QEMU's memory with its Loaded message"))?;
    Link::open(JsSharedMemory::new(buffer), directory)
}
