//! The machine's UEFI variables, which outlast it: QEMU writes them at once into a file that it has in memory, and the host is
//! told of what has changed there.

use std::cell::RefCell;
use std::rc::Rc;

use gloo_timers::future::TimeoutFuture;
use js_sys::Uint8Array;
use qemuweb_machine::worker::VmWorkerEvent;
use qemuweb_vm_config::{FileMountInfo, MAX_UEFI_VARIABLES};
use wasm_bindgen::JsValue;
use wasm_bindgen_futures::spawn_local;

use super::emscripten::Fs;
use super::report;

/// How often changes are looked for, in milliseconds: what a browser that ends at once may lose.
const LOOK_MS: u32 = 3000;

/// The UEFI variables of the machine: none before it is loaded, nor in a machine without UEFI.
#[derive(Default)]
pub(super) struct Variables(RefCell<Option<Mounted>>);

struct Mounted {
    fs: Fs,
    path: String,
    /// The package's file that they began as.
    file: String,
    /// The content as the host knows it.
    known: Vec<u8>,
    /// Whether it was said that they are too large.
    is_told: bool,
}

impl Variables {
    /// Looks from now on for changes in that of `files`, which are in place, that has variables.
    pub(super) fn watch(self: &Rc<Self>, fs: Fs, files: &[FileMountInfo]) {
        let found = files
            .iter()
            .find_map(|mounted| Some((mounted.uefi_variables()?, &mounted.path)));
        let Some((file, path)) = found else { return };
        let mut mounted = Mounted {
            fs,
            path: path.clone(),
            file: file.to_owned(),
            known: Vec::new(),
            is_told: false,
        };
        // What is there now came from the host or the package.
        mounted.take_change();
        self.0.replace(Some(mounted));
        let variables = Rc::clone(self);
        // For as long as the Worker lives.
        spawn_local(async move {
            loop {
                TimeoutFuture::new(LOOK_MS).await;
                variables.tell_change();
            }
        });
    }

    /// Tells the host of a change since it was told last.
    pub(super) fn tell_change(&self) {
        self.tell(false);
    }

    /// Tells the host of a change or that there is none, as it waits for the last word.
    pub(super) fn tell_last(&self) {
        self.tell(true);
    }

    fn tell(&self, also_nothing: bool) {
        let mut mounted = self.0.borrow_mut();
        let Some(mounted) = &mut *mounted else { return };
        let change = mounted.take_change();
        if change.is_some() || also_nothing {
            let file = mounted.file.clone();
            let attachments: Vec<JsValue> = change.into_iter().map(JsValue::from).collect();
            report(&VmWorkerEvent::UefiVariables { file }, &attachments);
        }
    }
}

impl Mounted {
    /// The content, if it is another one than before. What a guest has made too large to be kept is left alone, and said
    /// once, as a line of QEMU's output.
    fn take_change(&mut self) -> Option<Uint8Array> {
        let size = self.fs.stat(&self.path).ok()?.size();
        if size > f64::from(MAX_UEFI_VARIABLES) {
            if !self.is_told {
                self.is_told = true;
                let line = format!(
                    "QemuWeb: the guest's UEFI variables are no longer kept: expected at most {MAX_UEFI_VARIABLES} bytes, \
                     found {size}. The last that fitted stay kept; remove some in the guest or in its firmware's menu."
                );
                report(&VmWorkerEvent::Output { line }, &[]);
            }
            return None;
        }
        self.is_told = false;
        let bytes = self.fs.read_file(&self.path).ok()?;
        let content = bytes.to_vec();
        if content == self.known {
            return None;
        }
        self.known = content;
        Some(bytes)
    }
}
