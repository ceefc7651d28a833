//! Looking for what the browser offers.

use js_sys::{Object, Reflect, Uint8Array, WebAssembly};
use wasm_bindgen::JsValue;

use crate::capabilities::RuntimeCapabilities;

/// A module with one function that makes a 128-bit vector: `(func (drop (v128.const i64x2 0 0)))`.
const SIMD_MODULE: &[u8] = &[
    0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, 1, 4, 1, 0x60, 0, 0, 3, 2, 1, 0, 10, 23, 1, 21, 0, 0xfd, 0x0c, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x1a, 0x0b,
];

/// WebAssembly pages of 64 KiB in the largest 32-bit memory: 4 GiB.
const MAX_PAGES: u32 = 65_536;

/// What this context offers. Call it in the context that runs VMs.
pub fn detect_capabilities() -> RuntimeCapabilities {
    let global = js_sys::global();
    let has = |object: &JsValue, name: &str| {
        Reflect::get(object, &name.into()).is_ok_and(|value| !value.is_undefined())
    };
    let web_assembly = has(&global, "WebAssembly");
    let shared_array_buffer = has(&global, "SharedArrayBuffer");
    let navigator = Reflect::get(&global, &"navigator".into()).unwrap_or_default();
    let max_pages = if web_assembly && shared_array_buffer {
        largest_memory()
    } else {
        0
    };
    RuntimeCapabilities {
        shared_array_buffer,
        web_assembly,
        wasm_simd: web_assembly && WebAssembly::validate(&Uint8Array::from(SIMD_MODULE)).unwrap_or(false),
        wasm_threads: max_pages > 0,
        big_int: has(&global, "BigInt"),
        indexed_db: has(&global, "indexedDB"),
        file_system_access: has(&global, "showOpenFilePicker"),
        web_gpu: navigator.is_object() && has(&navigator, "gpu"),
        max_memory: u64::from(max_pages) << 16,
    }
}

/// Pages of the largest shared memory that can be reserved now, by halves.
fn largest_memory() -> u32 {
    let mut pages = MAX_PAGES;
    while pages > 1024 && !can_share(pages) {
        pages /= 2;
    }
    if can_share(pages) { pages } else { 0 }
}

fn can_share(pages: u32) -> bool {
    let descriptor = Object::new();
    let set = |name: &str, value: JsValue| Reflect::set(&descriptor, &name.into(), &value).unwrap_or(false);
    // Reserved, not touched: it costs address space only, and is dropped at once.
    set("initial", 1.into())
        && set("maximum", pages.into())
        && set("shared", true.into())
        && WebAssembly::Memory::new(&descriptor).is_ok()
}
