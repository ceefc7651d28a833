//! Drives the core: brings it what has happened, and carries out what it says, each kind of effect in one place.

use std::cell::{Cell, RefCell};
use std::collections::{HashSet, VecDeque};
use std::rc::{Rc, Weak};

use gloo_timers::callback::Timeout;
use js_sys::{Object, Reflect};
use qemuweb_chrome::sys::bindings::send_message;
use qemuweb_machine::io::{Begin, Outcome, TaskId, Write};
use qemuweb_machine::{Core, Effect, Input};
use qemuweb_wire::Failure;
use wasm_bindgen::JsValue;
use wasm_bindgen_futures::spawn_local;

use super::clients::Clients;
use super::store::Store;
use super::workers::Workers;
use super::{files, recognize, storing};

/// The longest time that a timer of the browser's takes, in milliseconds.
const LONGEST_TIMEOUT: f64 = 2_147_483_647.0;

/// The core and its ways to the world.
pub(super) struct Driver {
    this: Weak<Driver>,
    core: RefCell<Core<JsValue>>,
    /// What has happened and is not told yet: effects can bring about more.
    inputs: RefCell<VecDeque<Input<JsValue>>>,
    is_driving: Cell<bool>,
    timer: RefCell<Option<Timeout>>,
    cancelled: RefCell<HashSet<TaskId>>,
    pub(super) clients: Clients,
    pub(super) workers: Workers,
    /// The database, if the browser lets us have one.
    store: Option<Rc<Store>>,
    /// Changes of the database that wait for those before them.
    writes: RefCell<VecDeque<(TaskId, Box<Write<JsValue>>)>>,
    is_writing: Cell<bool>,
}

impl Driver {
    /// Drives a core that begins so.
    pub(super) fn new(begin: Begin<JsValue>, store: Option<Store>) -> Rc<Self> {
        let (core, effects) = Core::new(now(), begin);
        let driver = Rc::new_cyclic(|this| Self {
            this: this.clone(),
            core: RefCell::new(core),
            inputs: RefCell::default(),
            is_driving: Cell::new(true),
            timer: RefCell::default(),
            cancelled: RefCell::default(),
            clients: Clients::default(),
            workers: Workers::default(),
            store: store.map(Rc::new),
            writes: RefCell::default(),
            is_writing: Cell::new(false),
        });
        for effect in effects {
            driver.carry_out(effect, &driver);
        }
        driver.is_driving.set(false);
        driver.happen(Input::Tick);
        driver
    }

    /// Tells the core what has happened, and carries out what follows.
    pub(super) fn happen(&self, input: Input<JsValue>) {
        self.inputs.borrow_mut().push_back(input);
        if self.is_driving.replace(true) {
            return;
        }
        let this = self.this.upgrade();
        let next = || self.inputs.borrow_mut().pop_front();
        while let (Some(this), Some(input)) = (&this, next()) {
            let effects = self.core.borrow_mut().step(now(), input);
            for effect in effects {
                self.carry_out(effect, this);
            }
        }
        self.is_driving.set(false);
        self.set_timer();
    }

    fn set_timer(&self) {
        let deadline = self.core.borrow().deadline();
        let timer = deadline.map(|deadline| {
            let this = self.this.clone();
            let after = (deadline - now()).clamp(0.0, LONGEST_TIMEOUT).ceil() as u32;
            Timeout::new(after, move || {
                if let Some(driver) = this.upgrade() {
                    driver.happen(Input::Tick);
                }
            })
        });
        *self.timer.borrow_mut() = timer;
    }

    fn carry_out(&self, effect: Effect<JsValue>, this: &Rc<Self>) {
        match effect {
            Effect::Send {
                client,
                message,
                attachments,
            } => self.clients.send(client, &message, attachments),
            Effect::OpenStream { stream, port, .. } => self.clients.open_stream(stream, port, this),
            Effect::SendOnStream {
                stream,
                message,
                bytes,
            } => self.clients.send_on_stream(stream, &message, bytes),
            Effect::CloseStream(stream) => self.clients.close_stream(stream),
            Effect::StartWorker(run, order) => self.workers.start(run, *order, this),
            Effect::EndWorker(run) => self.workers.end(run),
            Effect::AskStorage(run, command) => self.workers.ask_storage(run, &command, Vec::new()),
            Effect::EndStorage(run) => self.workers.end_storage(run),
            Effect::WriteChannel { run, channel, bytes } => self.workers.write(run, &channel, &bytes),
            Effect::PrepareSpare { arch, guest_files } => self.workers.prepare(arch, guest_files, this),
            Effect::DropSpares => self.workers.drop_spares(),
            Effect::OpenFiles { task, files } => {
                self.later(task, async move { Outcome::Opened(files::open(&files).await) });
            }
            Effect::Recognize(task, recognize) => self.later(task, async move {
                Outcome::Recognized(recognize::recognized(*recognize).await)
            }),
            Effect::HashFile { task, name, content } => {
                let goes_on = {
                    let this = self.this.clone();
                    move |done, total| goes_on(&this, task, done, total)
                };
                self.later(task, async move {
                    Outcome::Hashed(storing::hashed(name, &content, goes_on).await.map(Box::new))
                });
            }
            Effect::CancelTask(task) => {
                self.workers.cancel(task);
                self.cancelled.borrow_mut().insert(task);
            }
            Effect::Write(task, write) => {
                self.writes.borrow_mut().push_back((task, write));
                self.keep_writing();
            }
            Effect::MeasureStorage(task) => {
                self.later(task, async { Outcome::Measured(storing::storage_use().await) });
            }
            Effect::DoWithDisks {
                task,
                job,
                attachments,
            } => self.workers.do_with_disks(task, *job, attachments, this),
            #[expect(clippy::cast_precision_loss, reason = "VMs are few")]
            Effect::Badge(active) => tell_service_worker("running", &(active as f64).into()),
            Effect::Close => tell_service_worker("idle", &JsValue::TRUE),
        }
    }

    /// Brings a task's outcome to the core.
    fn later(&self, task: TaskId, work: impl Future<Output = Outcome<JsValue>> + 'static) {
        let this = self.this.clone();
        spawn_local(async move {
            let outcome = work.await;
            if let Some(driver) = this.upgrade()
                && !driver.cancelled.borrow_mut().remove(&task)
            {
                driver.happen(Input::Done(task, outcome));
            }
        });
    }

    /// Makes the changes of the database, one after the other.
    fn keep_writing(&self) {
        if self.is_writing.replace(true) {
            return;
        }
        let (this, store) = (self.this.clone(), self.store.clone());
        spawn_local(async move {
            while let Some(driver) = this.upgrade() {
                let Some((task, write)) = driver.writes.borrow_mut().pop_front() else {
                    driver.is_writing.set(false);
                    return;
                };
                let written = match &store {
                    Some(store) => store.write(&write).await,
                    None => without_store(&write),
                };
                driver.happen(Input::Done(task, Outcome::Written(written)));
            }
        });
    }
}

/// What becomes of a change where nothing can be kept, as was told when the host began.
fn without_store(write: &Write<JsValue>) -> Result<Option<JsValue>, Failure> {
    match write {
        Write::PutStored(_) => Err(Failure::new("the browser lets QemuWeb keep no files")
            .with_next_step("Choose the file itself for the VM: it is read in place.")),
        _ => Ok(None),
    }
}

/// Tells how far a task is; says whether anybody still wants its outcome.
fn goes_on(driver: &Weak<Driver>, task: TaskId, done: u64, total: u64) -> bool {
    let Some(driver) = driver.upgrade() else {
        return false;
    };
    let total = Some(total);
    driver.happen(Input::Progressed { task, done, total });
    !driver.cancelled.borrow().contains(&task)
}

/// Tells the service worker something. Without one there is no badge to be wrong, and nobody who could end this host.
fn tell_service_worker(what: &str, value: &JsValue) {
    let message = Object::new();
    // A plain object takes any field.
    let _ = Reflect::set(&message, &what.into(), value);
    spawn_local(async move {
        let _ = send_message(&message).await;
    });
}

/// Milliseconds since the epoch.
fn now() -> f64 {
    js_sys::Date::now()
}
