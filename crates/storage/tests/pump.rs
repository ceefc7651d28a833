//! A disk's channel, in a real browser, with QEMU's end in the test: run by `cargo xtask test` in headless Chromium.

#![cfg(target_arch = "wasm32")]
#![allow(clippy::unwrap_used, missing_docs)]

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use gloo_timers::future::TimeoutFuture;
use js_sys::{Reflect, WebAssembly};
use qemuweb_shm::SharedMemory;
use qemuweb_shm::block::{Area, COMPLETION_SIZE, Completion, Op, Request};
use qemuweb_shm::directory::{self, Channel, Directory, Kind, Owner};
use qemuweb_shm::ring::{self, Ring};
use qemuweb_shm::web::JsSharedMemory;
use qemuweb_storage::cow::CowBlockDevice;
use qemuweb_storage::device::{BlockDevice, BlockError};
use qemuweb_storage::overlay::Limits;
use qemuweb_storage::web::{Database, EventLoop, IndexedDbOverlay, Pump, PumpError};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::spawn_local;
use wasm_bindgen_test::{wasm_bindgen_test, wasm_bindgen_test_configure};

wasm_bindgen_test_configure!(run_in_browser);

const DIRECTORY: u32 = 64;
const WAKE: u32 = DIRECTORY + 8;
const CHANNEL: u32 = DIRECTORY + 64;
const OPENED: u32 = CHANNEL + 68;
const COMPLETIONS: u32 = 16 << 10;
const REQUESTS: u32 = 64 << 10;
const DATA: u32 = 256 << 10;

/// A QEMU that has opened a disk.
fn qemu() -> (JsSharedMemory, Channel) {
    let descriptor = js_sys::Object::new();
    for (name, value) in [
        ("initial", 16.into()),
        ("maximum", 16.into()),
        ("shared", JsValue::TRUE),
    ] {
        Reflect::set(&descriptor, &name.into(), &value).unwrap();
    }
    let memory = WebAssembly::Memory::new(&descriptor).unwrap();
    let memory = JsSharedMemory::new(memory.buffer().unchecked_ref());
    for (address, word) in [
        (DIRECTORY, directory::MAGIC),
        (DIRECTORY + 4, directory::VERSION),
        (DIRECTORY + 12, 1),
        (CHANNEL + 56, 2),
        (CHANNEL + 60, 1),
        (CHANNEL + 64, 2),
        (OPENED, 1),
        (CHANNEL + 72, 2),
        (CHANNEL + 76, COMPLETIONS),
        (CHANNEL + 80, REQUESTS),
        (COMPLETIONS, ring::MAGIC),
        (COMPLETIONS + 4, 8 << 10),
        (REQUESTS, ring::MAGIC),
        (REQUESTS + 4, 64 << 10),
    ] {
        memory.store(address, word);
    }
    memory.write(CHANNEL, b"disk0\0");
    let channel = Directory::open(&memory, DIRECTORY)
        .unwrap()
        .channel(&memory, 0)
        .unwrap();
    assert_eq!((channel.kind, channel.owner), (Kind::Block, Owner::Storage));
    (memory, channel)
}

/// What became of the pump, and the errors that it told of.
#[derive(Clone, Default)]
struct Told {
    end: Rc<RefCell<Option<Result<(), PumpError>>>>,
    errors: Rc<RefCell<Vec<BlockError>>>,
}

fn serve(memory: &JsSharedMemory, channel: Channel, device: Rc<dyn BlockDevice>) -> Told {
    let told = Told::default();
    let (tells, memory) = (told.clone(), memory.clone());
    spawn_local(async move {
        let errors = Rc::clone(&tells.errors);
        let end = Pump::serve(memory, &channel, WAKE, device, move |error| {
            errors.borrow_mut().push(error.clone())
        })
        .await;
        *tells.end.borrow_mut() = Some(end);
    });
    told
}

fn request(tag: u32, op: Op, offset: u64, length: u32, address: u32) -> Request {
    let areas = if length > 0 {
        vec![Area { address, length }]
    } else {
        Vec::new()
    };
    Request {
        tag,
        op,
        fua: false,
        unmap: false,
        offset,
        length: u64::from(length),
        areas,
    }
}

async fn disk(database: &Database, vm: &str) -> CowBlockDevice<IndexedDbOverlay> {
    let store = IndexedDbOverlay::open(database, vm, "disk0").await.unwrap();
    CowBlockDevice::open(None, store, 1 << 20, Limits::default(), Rc::new(EventLoop))
        .await
        .unwrap()
}

#[wasm_bindgen_test]
async fn requests_in_flight_are_carried_out_and_last() {
    let database = Database::open().await.unwrap();
    let (memory, channel) = qemu();
    let device: Rc<dyn BlockDevice> = Rc::new(disk(&database, "pumped").await);
    let told = serve(&memory, channel, Rc::clone(&device));
    let mut sends = Ring::open(&memory, REQUESTS).unwrap().producer(&memory);
    let mut takes = Ring::open(&memory, COMPLETIONS).unwrap().consumer(&memory);
    let mut completed = Vec::new();
    let mut send = |requests: &[Request]| {
        for request in requests {
            let entry = request.encode();
            assert_eq!(sends.write(&memory, &entry).unwrap(), entry.len());
        }
        memory.notify(REQUESTS + 64);
    };
    let wakes = memory.load(WAKE);
    memory.write(DATA, &[7; 65_536]);
    let writes: Vec<Request> = (0..16)
        .map(|tag| request(tag, Op::Write, u64::from(tag) * 4096, 4096, DATA + tag * 4096))
        .collect();
    send(&writes);
    while completed.len() < 16 {
        TimeoutFuture::new(1).await;
        for bytes in takes.read(&memory, 4096).unwrap().chunks(COMPLETION_SIZE) {
            completed.push(Completion::decode(bytes.try_into().unwrap()));
        }
    }
    completed.sort_by_key(|completion| completion.tag);
    assert!(
        completed
            .iter()
            .zip(0..)
            .all(|(completion, tag)| *completion == Completion { tag, status: 0 })
    );
    assert!(memory.load(WAKE) > wakes);
    // A flush, a read beyond the disk, and one of what was written.
    send(&[
        request(1, Op::Flush, 0, 0, 0),
        request(2, Op::Read, 1 << 20, 512, DATA),
        request(3, Op::Read, 61_440, 8192, 600 << 10),
    ]);
    completed.clear();
    while completed.len() < 3 {
        TimeoutFuture::new(1).await;
        for bytes in takes.read(&memory, 4096).unwrap().chunks(COMPLETION_SIZE) {
            completed.push(Completion::decode(bytes.try_into().unwrap()));
        }
    }
    completed.sort_by_key(|completion| completion.tag);
    assert_eq!(
        completed
            .iter()
            .map(|completion| completion.status)
            .collect::<Vec<_>>(),
        [0, -22, 0]
    );
    let mut read = [1; 8192];
    memory.read(600 << 10, &mut read);
    assert!(read[..4096] == [7; 4096] && read[4096..] == [0; 4096]);
    assert!(matches!(
        told.errors.borrow()[..],
        [BlockError::OutOfRange { .. }]
    ));
    // QEMU lets go of the disk.
    memory.bump(OPENED);
    TimeoutFuture::new(20).await;
    assert!(matches!(*told.end.borrow(), Some(Ok(()))));
    drop(device);
    let again = disk(&database, "pumped").await;
    let mut bytes = [0; 512];
    again.read(512, &mut bytes).await.unwrap();
    assert_eq!(bytes, [7; 512]);
    again.close().await.unwrap();
    database.remove_vm("pumped").await.unwrap();
}

#[wasm_bindgen_test]
async fn who_does_not_keep_to_the_protocol_is_served_no_longer() {
    let database = Database::open().await.unwrap();
    let device: Rc<dyn BlockDevice> = Rc::new(disk(&database, "hostile").await);
    for (what, break_it) in [
        (
            "expected an operation",
            Box::new(|memory: &JsSharedMemory| {
                let mut sends = Ring::open(memory, REQUESTS).unwrap().producer(memory);
                let mut entry = request(1, Op::Flush, 0, 0, 0).encode();
                entry[8] = 99;
                sends.write(memory, &entry).unwrap();
            }) as Box<dyn Fn(&JsSharedMemory)>,
        ),
        (
            "do not lie in the memory",
            Box::new(|memory| {
                let mut sends = Ring::open(memory, REQUESTS).unwrap().producer(memory);
                sends
                    .write(memory, &request(1, Op::Read, 0, 512, u32::MAX - 511).encode())
                    .unwrap();
            }),
        ),
        ("claims", Box::new(|memory| memory.store(REQUESTS + 64, 1 << 20))),
    ] {
        let (memory, channel) = qemu();
        let told = serve(&memory, channel, Rc::clone(&device));
        TimeoutFuture::new(5).await;
        break_it(&memory);
        memory.notify(REQUESTS + 64);
        TimeoutFuture::new(20).await;
        let end = told.end.borrow_mut().take();
        let error = end.unwrap().unwrap_err().to_string();
        assert!(error.contains(what), "{error}");
    }
    device.close().await.unwrap();
    database.remove_vm("hostile").await.unwrap();
}

#[wasm_bindgen_test]
async fn a_guest_that_asks_without_end_leaves_the_event_loop_to_others() {
    let database = Database::open().await.unwrap();
    let device: Rc<dyn BlockDevice> = Rc::new(disk(&database, "greedy").await);
    let (memory, channel) = qemu();
    let told = serve(&memory, channel, Rc::clone(&device));
    let (goes_on, asked) = (Rc::new(Cell::new(true)), Rc::new(Cell::new(0_u32)));
    let (asks, counts, qemu) = (Rc::clone(&goes_on), Rc::clone(&asked), memory.clone());
    spawn_local(async move {
        let mut sends = Ring::open(&qemu, REQUESTS).unwrap().producer(&qemu);
        let mut takes = Ring::open(&qemu, COMPLETIONS).unwrap().consumer(&qemu);
        let mut free: Vec<u32> = (0..100).collect();
        while asks.get() {
            for bytes in takes.read(&qemu, 8192).unwrap().chunks(COMPLETION_SIZE) {
                free.push(Completion::decode(bytes.try_into().unwrap()).tag);
            }
            while let Some(tag) = free.pop() {
                sends
                    .write(&qemu, &request(tag, Op::Read, 0, 4096, DATA).encode())
                    .unwrap();
                counts.set(counts.get() + 1);
            }
            qemu.notify(REQUESTS + 64);
            TimeoutFuture::new(0).await;
        }
    });
    let mut turns = 0;
    let clock = || js_sys::Date::now();
    let start = clock();
    while clock() - start < 300.0 {
        TimeoutFuture::new(0).await;
        turns += 1;
    }
    goes_on.set(false);
    assert!(
        turns > 10 && asked.get() > 1000,
        "{turns} turns, {} requests",
        asked.get()
    );
    memory.bump(OPENED);
    TimeoutFuture::new(50).await;
    assert!(matches!(*told.end.borrow(), Some(Ok(()))));
    device.close().await.unwrap();
    database.remove_vm("greedy").await.unwrap();
}
