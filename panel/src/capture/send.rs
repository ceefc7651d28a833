//! The way of exchanges into VMs: a bounded queue per VM, one message under way at a time.
//!
//! The host takes a batch and answers; until then what comes waits here. Neither page nor panel ever waits for a guest.

use std::cell::RefCell;
use std::collections::BTreeMap;

use qemuweb_capture::{Exchange, Next, Queue, Reader, jsonl};
use qemuweb_runtime::protocol::{Command, VmId};
use wasm_bindgen::JsValue;
use wasm_bindgen_futures::spawn_local;

use crate::workbench::Workbench;

/// Most bytes that wait in the panel for one VM.
const MAX_BYTES: usize = 32 << 20;
/// Most exchanges that wait in the panel for one VM.
const MAX_LINES: usize = 50_000;
/// About as many bytes go in one message.
const BATCH: usize = 1 << 20;

struct Pipe {
    queue: Queue,
    reader: Reader,
    busy: bool,
}

thread_local! {
    static PIPES: RefCell<BTreeMap<VmId, Pipe>> = const { RefCell::new(BTreeMap::new()) };
}

/// Sends an exchange of a capture to a VM.
pub fn send(workbench: Workbench, vm_id: &str, capture: &str, exchange: &Exchange) {
    let mut line = Vec::new();
    // Memory takes all.
    if jsonl::write_exchange(&mut line, capture, exchange).is_err() {
        return;
    }
    let idle = PIPES.with_borrow_mut(|pipes| {
        let pipe = pipes.entry(vm_id.to_owned()).or_insert_with(|| Pipe {
            queue: Queue::new(MAX_BYTES, MAX_LINES),
            reader: Reader::default(),
            busy: false,
        });
        pipe.queue.push(line);
        !std::mem::replace(&mut pipe.busy, true)
    });
    if idle {
        let vm_id = vm_id.to_owned();
        spawn_local(async move { pump(workbench, vm_id).await });
    }
}

/// Sends what waits, batch by batch.
async fn pump(workbench: Workbench, vm_id: VmId) {
    loop {
        let batch = PIPES.with_borrow_mut(|pipes| pipes.get_mut(&vm_id).and_then(next_batch));
        let Some(batch) = batch else { return };
        let bytes: JsValue = js_sys::Uint8Array::from(batch.as_slice()).into();
        let command = Command::PushCapture { vm_id: vm_id.clone() };
        if let Err(failure) = workbench.request(command, vec![bytes]).await {
            PIPES.with_borrow_mut(|pipes| pipes.remove(&vm_id));
            workbench.run(|| {
                // A VM that is gone gets nothing more.
                workbench.capture.targets.update(|targets| targets.remove(&vm_id));
                workbench.store.report(failure);
            });
            return;
        }
    }
}

fn next_batch(pipe: &mut Pipe) -> Option<Vec<u8>> {
    let mut batch = Vec::new();
    while batch.len() < BATCH {
        match pipe.queue.next(&mut pipe.reader) {
            Some(Next::Line(line)) => batch.extend_from_slice(&line),
            // Memory takes all.
            Some(Next::Gap(dropped)) => drop(jsonl::write_gap(&mut batch, dropped)),
            None => break,
        }
    }
    pipe.busy = !batch.is_empty();
    pipe.busy.then_some(batch)
}
