//! The Workers of a VM, as the host holds them.

use std::cell::RefCell;
use std::marker::PhantomData;
use std::rc::Rc;

use gloo_timers::future::TimeoutFuture;
use js_sys::Array;
use qemuweb_machine::storage::{StorageCommand, StorageEvent};
use qemuweb_machine::worker::{VmWorkerCommand, VmWorkerEvent};
use qemuweb_wire::Failure;
use qemuweb_wire::message::Packet;
use qemuweb_wire::web::{failure_from_exception, packet_from_js, packet_to_js};
use serde::Serialize;
use serde::de::DeserializeOwned;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::spawn_local;
use web_sys::{ErrorEvent, MessageEvent, WorkerOptions, WorkerType};

/// How long the Workers that are QEMU's threads have to end before the VM's own is terminated, in milliseconds. Chromium
/// ends code that goes on after 2 s by force (`kForcibleTerminationDelay` in Blink's `worker_thread.cc`).
const THREADS_END_MS: u32 = 4000;

/// What comes from a Worker: an event with its attachments, or why the Worker cannot be trusted any more.
pub(super) type FromWorker<E> = Result<(E, Vec<JsValue>), Failure>;

/// What a Worker is for.
pub(super) trait Role: 'static {
    /// What it is told.
    type Command: Serialize;
    /// What it tells.
    type Event: DeserializeOwned + 'static;
    /// Its script in the package.
    const SCRIPT: &'static str;
    /// What it is called, in failures.
    const NAME: &'static str;
    /// Whether the event says that its code runs and takes commands.
    fn is_ready(event: &Self::Event) -> bool;
}

/// It has QEMU in it, once it was told to boot.
pub(super) enum RunsQemu {}

impl Role for RunsQemu {
    type Command = VmWorkerCommand;
    type Event = VmWorkerEvent;
    const SCRIPT: &'static str = "vm-worker.js";
    const NAME: &'static str = "QEMU";

    fn is_ready(event: &VmWorkerEvent) -> bool {
        *event == VmWorkerEvent::Ready
    }
}

/// It serves a VM's disks.
pub(super) enum ServesDisks {}

impl Role for ServesDisks {
    type Command = StorageCommand;
    type Event = StorageEvent;
    const SCRIPT: &'static str = "storage-worker.js";
    const NAME: &'static str = "the VM's storage";

    fn is_ready(event: &StorageEvent) -> bool {
        *event == StorageEvent::Ready
    }
}

/// A running Worker. Dropping it terminates it.
pub(super) struct Worker<R: Role> {
    line: Rc<Line<R>>,
    _on_message: Closure<dyn FnMut(MessageEvent)>,
    _on_error: Closure<dyn FnMut(ErrorEvent)>,
    _on_message_error: Closure<dyn FnMut(MessageEvent)>,
}

/// Who hears what comes from a Worker.
type Listener<R> = Rc<dyn Fn(FromWorker<<R as Role>::Event>)>;

/// The connection with a Worker.
struct Line<R: Role> {
    worker: web_sys::Worker,
    /// Messages for a Worker that takes none yet; `None` once it does.
    waiting: RefCell<Option<Vec<Array>>>,
    listener: RefCell<Listener<R>>,
    role: PhantomData<R>,
}

impl<R: Role> Worker<R> {
    /// Starts a Worker, to which nobody listens yet.
    ///
    /// # Errors
    /// A [`Failure`] when the browser starts none.
    pub(super) fn spawn() -> Result<Self, Failure> {
        let options = WorkerOptions::new();
        options.set_type(WorkerType::Module);
        let worker = web_sys::Worker::new_with_options(R::SCRIPT, &options)
            .map_err(|exception| failure_from_exception("could not start a Worker for the VM", &exception))?;
        let line = Rc::new(Line {
            worker,
            waiting: RefCell::new(Some(Vec::new())),
            listener: RefCell::new(Rc::new(|_| ())),
            role: PhantomData::<R>,
        });
        let on_message = Closure::new({
            let line = Rc::clone(&line);
            move |event: MessageEvent| line.receive(&event.data())
        });
        let on_error = Closure::new({
            let line = Rc::clone(&line);
            move |event: ErrorEvent| {
                // A script that fails to load gives an event without a message.
                let message = js_sys::Reflect::get(&event, &"message".into())
                    .ok()
                    .and_then(|message| message.as_string())
                    .unwrap_or_else(|| "its code could not be loaded".to_owned());
                let failure = Failure::new(format!("{} crashed: {message}", R::NAME));
                line.tell(Err(failure.with_next_step("Start the VM again.")));
            }
        });
        line.worker
            .set_onmessage(Some(on_message.as_ref().unchecked_ref()));
        line.worker.set_onerror(Some(on_error.as_ref().unchecked_ref()));
        let on_message_error = Closure::new({
            let line = Rc::clone(&line);
            move |_: MessageEvent| {
                let failure = Failure::new(format!("a message of {} could not be read", R::NAME));
                line.tell(Err(failure.with_next_step("Start the VM again.")));
            }
        });
        line.worker
            .set_onmessageerror(Some(on_message_error.as_ref().unchecked_ref()));
        Ok(Self {
            line,
            _on_message: on_message,
            _on_error: on_error,
            _on_message_error: on_message_error,
        })
    }

    /// Has `listener` told of what comes from the Worker from now on, instead of whoever was before.
    pub(super) fn listen(&self, listener: impl Fn(FromWorker<R::Event>) + 'static) {
        *self.line.listener.borrow_mut() = Rc::new(listener);
    }

    /// Whether it has said that it takes commands.
    pub(super) fn is_ready(&self) -> bool {
        self.line.waiting.borrow().is_none()
    }

    /// Posts a command, as soon as the Worker takes commands.
    pub(super) fn post(&self, command: &R::Command, attachments: Vec<JsValue>) {
        let Ok(packet) = Packet::new(command, attachments) else {
            return;
        };
        let message = packet_to_js(&packet);
        match &mut *self.line.waiting.borrow_mut() {
            Some(waiting) => waiting.push(message),
            None => self.line.post(&message),
        }
    }
}

impl<R: Role> Drop for Worker<R> {
    fn drop(&mut self) {
        let worker = &self.line.worker;
        worker.set_onmessage(None);
        worker.set_onerror(None);
        worker.set_onmessageerror(None);
        worker.terminate();
    }
}

/// The Worker that a VM's QEMU runs in. Dropping it ends both: QEMU's threads first, and the Worker some seconds later.
///
/// Chromium leaks a Worker with its memory when it is told to terminate it in the moment in which a Worker below it
/// ends (seen in version 156; <https://crbug.com/409059706> tells of such a race).
pub(super) struct VmWorker(Rc<Worker<RunsQemu>>);

impl VmWorker {
    /// As [`Worker::spawn`].
    ///
    /// # Errors
    /// As there.
    pub(super) fn spawn() -> Result<Self, Failure> {
        Worker::spawn().map(|worker| Self(Rc::new(worker)))
    }
}

impl std::ops::Deref for VmWorker {
    type Target = Worker<RunsQemu>;

    fn deref(&self) -> &Worker<RunsQemu> {
        &self.0
    }
}

impl Drop for VmWorker {
    fn drop(&mut self) {
        let worker = Rc::clone(&self.0);
        worker.post(&VmWorkerCommand::End, Vec::new());
        worker.line.worker.set_onerror(None);
        worker.line.worker.set_onmessageerror(None);
        // One that takes commands tells what is to outlast it; another one has nothing, and must not be told to boot now.
        if !worker.is_ready() {
            worker.line.worker.set_onmessage(None);
        }
        spawn_local(async move {
            TimeoutFuture::new(THREADS_END_MS).await;
            drop(worker);
        });
    }
}

impl<R: Role> Line<R> {
    fn receive(&self, data: &JsValue) {
        let event = parse::<R::Event>(data);
        if event.as_ref().is_ok_and(|(event, _)| R::is_ready(event)) {
            for message in self.waiting.take().into_iter().flatten() {
                self.post(&message);
            }
        }
        self.tell(event);
    }

    fn tell(&self, event: FromWorker<R::Event>) {
        // The listener may put another one in its place.
        let listener = Rc::clone(&self.listener.borrow());
        listener(event);
    }

    fn post(&self, message: &Array) {
        if let Err(exception) = self.worker.post_message(message) {
            web_sys::console::error_2(&"QemuWeb: could not reach a VM's Worker".into(), &exception);
        }
    }
}

fn parse<E: DeserializeOwned>(data: &JsValue) -> FromWorker<E> {
    let packet =
        packet_from_js(data).ok_or_else(|| Failure::new("expected a message from the VM's Worker"))?;
    let event = serde_json::from_str(&packet.json).map_err(|error| Failure::from_error(&error))?;
    Ok((event, packet.attachments))
}
