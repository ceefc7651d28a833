//! Bindings for the module that Emscripten makes of QEMU.
//!
//! Reference: <https://emscripten.org/docs/api_reference/module.html> and `Filesystem-API.html` beside it.

use js_sys::{Array, Object, Uint8Array};
use wasm_bindgen::prelude::*;

#[wasm_bindgen]
extern "C" {
    /// An instance of QEMU, before or while it runs.
    pub(super) type QemuModule;

    /// QEMU's file system.
    #[wasm_bindgen(method, getter, js_name = FS)]
    pub(super) fn fs(this: &QemuModule) -> Fs;

    /// Runs `main` on a thread of its own and returns at once.
    #[wasm_bindgen(method, catch, js_name = callMain)]
    pub(super) fn call_main(this: &QemuModule, args: &Array) -> Result<JsValue, JsValue>;

    /// Address of the channel directory; a number, or a BigInt where pointers have 64 bits.
    #[wasm_bindgen(method, catch, js_name = _qemuweb_directory)]
    pub(super) fn directory(this: &QemuModule) -> Result<JsValue, JsValue>;

    /// QEMU's threads.
    #[wasm_bindgen(method, getter, js_name = PThread)]
    pub(super) fn threads(this: &QemuModule) -> PThread;

    /// Emscripten's book of threads, each of which is a Worker.
    pub(super) type PThread;

    /// Terminates every thread's Worker, and those that wait for a thread.
    #[wasm_bindgen(method, catch, js_name = terminateAllThreads)]
    pub(super) fn terminate_all(this: &PThread) -> Result<(), JsValue>;

    /// What is known of a file.
    pub(super) type Stat;

    /// Its size in bytes.
    #[wasm_bindgen(method, getter)]
    pub(super) fn size(this: &Stat) -> f64;

    /// Emscripten's file system.
    pub(super) type Fs;

    /// Makes a folder and those above it.
    #[wasm_bindgen(method, catch, js_name = mkdirTree)]
    pub(super) fn mkdir_tree(this: &Fs, path: &str) -> Result<(), JsValue>;

    /// Writes a file in memory; with `{canOwn: true}` the array becomes the file.
    #[wasm_bindgen(method, catch, js_name = writeFile)]
    pub(super) fn write_file(
        this: &Fs,
        path: &str,
        data: &Uint8Array,
        options: &Object,
    ) -> Result<(), JsValue>;

    /// The bytes of a file.
    #[wasm_bindgen(method, catch, js_name = readFile)]
    pub(super) fn read_file(this: &Fs, path: &str) -> Result<Uint8Array, JsValue>;

    /// What is known of a file.
    #[wasm_bindgen(method, catch)]
    pub(super) fn stat(this: &Fs, path: &str) -> Result<Stat, JsValue>;
}
