//! The browser's side, in a real browser: run by `cargo xtask test` in headless Chromium.

#![cfg(target_arch = "wasm32")]
#![allow(clippy::unwrap_used)]

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use gloo_timers::future::TimeoutFuture;
use js_sys::{Reflect, WebAssembly};
use qemuweb_shm::SharedMemory;
use qemuweb_shm::directory::{self, Owner};
use qemuweb_shm::ring::{self, Ring};
use qemuweb_shm::web::{JsSharedMemory, Link, Outlet};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_test::{wasm_bindgen_test, wasm_bindgen_test_configure};

wasm_bindgen_test_configure!(run_in_browser);

const DIRECTORY: u32 = 64;
const CHANNEL: u32 = DIRECTORY + 64;
const TO_GUEST: u32 = 16 << 10;
const FROM_GUEST: u32 = 32 << 10;
/// Bytes that each ring holds.
const CAPACITY: u32 = 64;

/// Shared memory of one page of 64 KiB, with one channel in it. The test page is not cross-origin isolated and has no
/// `SharedArrayBuffer` constructor, but a shared `WebAssembly.Memory` has such a buffer.
fn memory() -> JsSharedMemory {
    let descriptor = js_sys::Object::new();
    for (name, value) in [
        ("initial", 1.into()),
        ("maximum", 1.into()),
        ("shared", JsValue::TRUE),
    ] {
        Reflect::set(&descriptor, &name.into(), &value).unwrap();
    }
    let memory = WebAssembly::Memory::new(&descriptor).unwrap();
    let memory = JsSharedMemory::new(memory.buffer().unchecked_ref());
    for (address, word) in [
        (DIRECTORY, directory::MAGIC),
        (DIRECTORY + 4, directory::VERSION),
        (CHANNEL + 56, 1),
        (CHANNEL + 60, 1),
        (CHANNEL + 64, 1),
        (CHANNEL + 72, 2),
        (CHANNEL + 76, TO_GUEST),
        (CHANNEL + 80, FROM_GUEST),
        (TO_GUEST, ring::MAGIC),
        (TO_GUEST + 4, CAPACITY),
        (FROM_GUEST, ring::MAGIC),
        (FROM_GUEST + 4, CAPACITY),
    ] {
        memory.store(address, word);
    }
    memory.write(CHANNEL, b"serial0\0");
    memory
}

fn link(memory: &JsSharedMemory) -> Link {
    Link::open(memory.clone(), DIRECTORY).unwrap()
}

/// What happened to a link's first channel.
#[derive(Clone, Default)]
struct Told {
    bytes: Rc<RefCell<Vec<u8>>>,
    failure: Rc<RefCell<Option<String>>>,
}

/// Receives from the first channel.
fn receive(link: &Link) -> Told {
    let told = Told::default();
    let (hears, fails, failed) = (told.clone(), told.clone(), told.clone());
    let receiver = link.clone();
    link.watch(
        Owner::Host,
        move |channel| {
            let channel = channel.unwrap();
            let (hears, fails) = (hears.clone(), fails.clone());
            receiver.receive(
                &channel,
                channel.rings[1],
                move |bytes| hears.bytes.borrow_mut().extend(bytes),
                move |error| *fails.failure.borrow_mut() = Some(error.to_string()),
            );
        },
        move |error| *failed.failure.borrow_mut() = Some(error.to_string()),
    );
    told
}

fn announce(memory: &JsSharedMemory) {
    memory.bump(DIRECTORY + 12);
}

#[wasm_bindgen_test]
async fn a_channel_that_comes_later_is_received_from() {
    let memory = memory();
    let link = link(&memory);
    let told = receive(&link);
    TimeoutFuture::new(10).await;
    announce(&memory);
    let mut qemu = Ring::open(&memory, FROM_GUEST).unwrap().producer(&memory);
    for piece in [&b"hello "[..], b"world"] {
        TimeoutFuture::new(20).await;
        assert_eq!(qemu.write(&memory, piece).unwrap(), piece.len());
        memory.notify(FROM_GUEST + 64);
    }
    TimeoutFuture::new(50).await;
    assert_eq!(*told.bytes.borrow(), b"hello world");
    // Somebody told QEMU that there is room.
    assert!(memory.load(DIRECTORY + 8) >= 2);
    link.end();
}

#[wasm_bindgen_test]
async fn what_qemu_takes_and_drops_is_told() {
    let memory = memory();
    let link = link(&memory);
    announce(&memory);
    let levels: Rc<RefCell<Vec<(u32, u64)>>> = Rc::default();
    let outlet: Rc<RefCell<Option<Outlet>>> = Rc::default();
    let (hears, keeps, makes) = (Rc::clone(&levels), Rc::clone(&outlet), link.clone());
    link.watch(
        Owner::Host,
        move |channel| {
            let (channel, hears) = (channel.unwrap(), Rc::clone(&hears));
            let made = makes.outlet(
                &channel,
                channel.rings[0],
                move |level| hears.borrow_mut().push((level.used, level.dropped)),
                |error| panic!("{error}"),
            );
            *keeps.borrow_mut() = Some(made);
        },
        |error| panic!("{error}"),
    );
    TimeoutFuture::new(10).await;
    let outlet = outlet.borrow().clone().unwrap();
    assert_eq!(outlet.write(&[7; 100]).unwrap(), CAPACITY as usize);
    let mut qemu = Ring::open(&memory, TO_GUEST).unwrap().consumer(&memory);
    for most in [10, 20, 100] {
        qemu.read(&memory, most).unwrap();
        memory.notify(TO_GUEST + 128);
        TimeoutFuture::new(30).await;
    }
    assert_eq!(*levels.borrow(), [(54, 0), (34, 0), (0, 0)]);
    assert_eq!(outlet.write(&[7; 8]).unwrap(), 8);
    // Another program has the port: QEMU counts what it drops, then takes it out.
    memory.store(TO_GUEST + 132, 8);
    qemu.read(&memory, 8).unwrap();
    memory.notify(TO_GUEST + 128);
    TimeoutFuture::new(30).await;
    assert_eq!(levels.borrow().last(), Some(&(0, 8)));
    link.end();
}

#[wasm_bindgen_test]
async fn a_broken_ring_is_told_and_ends_its_pump() {
    let memory = memory();
    announce(&memory);
    let told = receive(&link(&memory));
    TimeoutFuture::new(10).await;
    memory.store(FROM_GUEST + 64, CAPACITY + 1);
    memory.notify(FROM_GUEST + 64);
    TimeoutFuture::new(20).await;
    assert_eq!(
        told.failure.borrow().as_deref(),
        Some("QEMU's channel serial0 is broken")
    );
}

#[wasm_bindgen_test]
async fn every_wait_ends_with_its_link_though_the_memory_is_corrupt() {
    let memory = memory();
    announce(&memory);
    let link = link(&memory);
    let told = receive(&link);
    TimeoutFuture::new(10).await;
    // The tasks share what they tell: two at least wait.
    assert!(Rc::strong_count(&told.bytes) > 1);
    for address in (0..(64 << 10)).step_by(4) {
        memory.store(address, 0xffff_ffff);
    }
    // But for what the receiver looks at, so that it ends because of the link.
    memory.store(FROM_GUEST + 64, 0);
    link.end();
    TimeoutFuture::new(50).await;
    assert_eq!(Rc::strong_count(&told.bytes), 1);
}

#[wasm_bindgen_test]
async fn a_qemu_that_wakes_without_end_leaves_the_event_loop_to_others() {
    let memory = memory();
    announce(&memory);
    let link = link(&memory);
    let told = receive(&link);
    let (turns, wakes) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(true)));
    let (counts, goes_on, waker) = (Rc::clone(&turns), Rc::clone(&wakes), memory.clone());
    wasm_bindgen_futures::spawn_local(async move {
        while goes_on.get() {
            waker.notify(FROM_GUEST + 64);
            waker.notify(DIRECTORY + 12);
            counts.set(counts.get() + 1);
            TimeoutFuture::new(0).await;
        }
    });
    TimeoutFuture::new(200).await;
    wakes.set(false);
    // Others had their turns: ten in 200 ms at least, on whatever machine.
    assert!(turns.get() > 10, "{}", turns.get());
    assert!(told.failure.borrow().is_none());
    link.end();
}

#[wasm_bindgen_test]
async fn openings_are_told_though_they_come_in_pairs() {
    let memory = memory();
    announce(&memory);
    let link = link(&memory);
    let heard: Rc<RefCell<Vec<u32>>> = Rc::default();
    let (hears, watcher) = (Rc::clone(&heard), link.clone());
    link.watch(
        Owner::Host,
        move |channel| {
            let hears = Rc::clone(&hears);
            watcher.watch_opened(
                &channel.unwrap(),
                move |opened| hears.borrow_mut().push(opened),
                |error| panic!("{error}"),
            );
        },
        |error| panic!("{error}"),
    );
    TimeoutFuture::new(20).await;
    memory.bump(CHANNEL + 68);
    TimeoutFuture::new(20).await;
    // Closed and opened again before anybody looked.
    memory.bump(CHANNEL + 68);
    memory.bump(CHANNEL + 68);
    TimeoutFuture::new(20).await;
    assert_eq!(*heard.borrow(), [0, 1, 3]);
    link.end();
}

#[wasm_bindgen_test]
async fn memory_outside_the_buffer_is_zero_and_takes_nothing() {
    let memory = memory();
    memory.store(1 << 20, 7);
    memory.write(65_530, &[1; 100]);
    let mut bytes = [9; 4];
    memory.read(u32::MAX - 3, &mut bytes);
    assert_eq!((memory.load(1 << 20), memory.load(65_532), bytes), (0, 0, [9; 4]));
}

#[wasm_bindgen_test]
async fn a_wait_ends_when_the_word_is_changed_and_notified() {
    let memory = memory();
    // Different already: returns at once.
    assert!(!memory.changed(60_000, 1).await.unwrap());
    let other = memory.clone();
    wasm_bindgen_futures::spawn_local(async move { other.bump(60_000) });
    assert!(memory.changed(60_000, 0).await.unwrap());
    assert_eq!(memory.load(60_000), 1);
}
