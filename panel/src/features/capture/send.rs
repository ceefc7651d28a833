//! The way of exchanges into VMs: a bounded queue per VM, one message under way at a time.
//!
//! The host takes a batch, and answers when it has room for another; until then what comes waits here. Neither page nor
//! panel ever waits for a guest: when too much waits, the oldest exchanges go, counted. Exchanges are not copied for it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use gloo_timers::future::TimeoutFuture;
use qemuweb_capture::{Exchange, Next, Queue, Reader, jsonl};
use qemuweb_wire::call::PushCapture;
use qemuweb_wire::vm::VmId;
use wasm_bindgen::JsValue;
use wasm_bindgen_futures::spawn_local;

use super::state::Capture;

/// Most bytes of memory of what waits in the panel for one VM: as much as a capture has at first.
const MAX_BYTES: usize = 200_000_000;
/// Most exchanges that wait in the panel for one VM: as many as a capture has.
const MAX_LINES: usize = 50_000;
/// About as many bytes go in one message.
const BATCH: usize = 1 << 20;
/// How often at most it is shown how much waits, in milliseconds.
const SHOW_MS: u32 = 200;

/// An exchange and the capture that it is of.
type Item = (Rc<str>, Rc<Exchange>);

struct Pipe {
    queue: Queue<Item>,
    reader: Reader,
    busy: bool,
}

/// What is in the panel on its way to one VM.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Exchanges that wait.
    pub waiting: u64,
    /// Exchanges that had to give way to newer ones.
    pub dropped: u64,
}

thread_local! {
    static PIPES: RefCell<BTreeMap<VmId, Pipe>> = const { RefCell::new(BTreeMap::new()) };
    /// Whether it is going to be shown how much waits.
    static SHOWING: RefCell<bool> = const { RefCell::new(false) };
}

/// Sends exchanges of a capture to a VM.
pub fn send(capture: Capture, vm_id: &str, id: &str, exchanges: &[Rc<Exchange>]) {
    let id: Rc<str> = id.into();
    let idle = PIPES.with_borrow_mut(|pipes| {
        let pipe = pipes.entry(vm_id.to_owned()).or_insert_with(|| Pipe {
            queue: Queue::new(MAX_BYTES, MAX_LINES),
            reader: Reader::default(),
            busy: false,
        });
        for exchange in exchanges {
            let item = (Rc::clone(&id), Rc::clone(exchange));
            pipe.queue.push(item, exchange.footprint());
        }
        !std::mem::replace(&mut pipe.busy, true)
    });
    if idle {
        let vm_id = vm_id.to_owned();
        spawn_local(async move { pump(capture, vm_id).await });
    }
    show_soon(capture);
}

/// Drops what waits for a VM that is no more.
pub fn forget(capture: Capture, vm_id: &str) {
    if PIPES.with_borrow_mut(|pipes| pipes.remove(vm_id)).is_some() {
        show_soon(capture);
    }
}

/// Sends what waits, batch by batch.
async fn pump(capture: Capture, vm_id: VmId) {
    loop {
        let batch = PIPES.with_borrow_mut(|pipes| pipes.get_mut(&vm_id).and_then(next_batch));
        let Some(batch) = batch else { return };
        let bytes: JsValue = js_sys::Uint8Array::from(batch.as_slice()).into();
        drop(batch);
        let call = PushCapture { vm_id: vm_id.clone() };
        let answer = capture.cx.call_with(call, vec![bytes]).await;
        show_soon(capture);
        if let Err(failure) = answer {
            PIPES.with_borrow_mut(|pipes| pipes.remove(&vm_id));
            capture.cx.run(|| {
                // A VM that is gone gets nothing more.
                capture.targets.update(|targets| targets.remove(&vm_id));
                capture.cx.notices.report(failure);
            });
            return;
        }
    }
}

fn next_batch(pipe: &mut Pipe) -> Option<Vec<u8>> {
    let mut batch = Vec::new();
    while batch.len() < BATCH {
        // Memory takes all.
        let _ = match pipe.queue.next(&mut pipe.reader) {
            Some(Next::Line((id, exchange))) => jsonl::write_exchange(&mut batch, &id, &exchange),
            Some(Next::Gap(dropped)) => jsonl::write_gap(&mut batch, dropped),
            None => break,
        };
    }
    pipe.queue.forget_before(&pipe.reader);
    pipe.busy = !batch.is_empty();
    pipe.busy.then_some(batch)
}

/// Many changes are shown once.
fn show_soon(capture: Capture) {
    if SHOWING.replace(true) {
        return;
    }
    spawn_local(async move {
        TimeoutFuture::new(SHOW_MS).await;
        SHOWING.replace(false);
        let held = PIPES.with_borrow(|pipes| {
            let held = |pipe: &Pipe| Held {
                waiting: pipe.queue.waiting(&pipe.reader),
                dropped: pipe.queue.dropped(&pipe.reader),
            };
            pipes
                .iter()
                .map(|(vm_id, pipe)| (vm_id.clone(), held(pipe)))
                .collect()
        });
        capture.cx.run(|| capture.held.set(held));
    });
}
