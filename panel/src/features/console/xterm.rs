//! Bindings for the parts of xterm.js that the console uses.
//!
//! `panel.js` imports the modules that are vendored into the package and puts their classes into the global
//! object `xterm`; the popup, which needs none of them, does not.

use js_sys::{Function, Object, Uint8Array};
use wasm_bindgen::prelude::*;
use web_sys::{HtmlElement, KeyboardEvent};

use super::widths::GuestWidths;

#[wasm_bindgen]
extern "C" {
    /// What ends a subscription.
    pub type Disposable;

    /// A terminal.
    #[derive(Clone)]
    #[wasm_bindgen(js_namespace = xterm)]
    pub type Terminal;
    #[wasm_bindgen(constructor, js_namespace = xterm)]
    pub fn new(options: &Object) -> Terminal;
    #[wasm_bindgen(method)]
    pub fn open(this: &Terminal, parent: &HtmlElement);
    #[wasm_bindgen(method)]
    pub fn dispose(this: &Terminal);
    #[wasm_bindgen(method)]
    pub fn focus(this: &Terminal);
    #[wasm_bindgen(method, catch, js_name = write)]
    pub fn write_then(this: &Terminal, data: &Uint8Array, done: &Function) -> Result<(), JsValue>;
    #[wasm_bindgen(method, js_name = write)]
    pub fn write_text(this: &Terminal, text: &str);
    #[wasm_bindgen(method, js_name = loadAddon, catch)]
    pub fn load_addon(this: &Terminal, addon: &JsValue) -> Result<(), JsValue>;
    #[wasm_bindgen(method, js_name = attachCustomKeyEventHandler)]
    pub fn attach_custom_key_event_handler(
        this: &Terminal,
        handler: &Closure<dyn FnMut(KeyboardEvent) -> bool>,
    );
    #[wasm_bindgen(method, js_name = onData)]
    pub fn on_data(this: &Terminal, handler: &Closure<dyn FnMut(String)>) -> Disposable;
    #[wasm_bindgen(method, js_name = onBinary)]
    pub fn on_binary(this: &Terminal, handler: &Closure<dyn FnMut(String)>) -> Disposable;
    #[wasm_bindgen(method, js_name = onResize)]
    pub fn on_resize(this: &Terminal, handler: &Closure<dyn FnMut(Size)>) -> Disposable;
    #[wasm_bindgen(method, js_name = getSelection)]
    pub fn selection(this: &Terminal) -> String;
    #[wasm_bindgen(method, js_name = clearSelection)]
    pub fn clear_selection(this: &Terminal);
    #[wasm_bindgen(method, getter)]
    pub fn options(this: &Terminal) -> Object;
    #[wasm_bindgen(method, getter)]
    pub fn unicode(this: &Terminal) -> Unicode;
    #[wasm_bindgen(method, getter)]
    pub fn rows(this: &Terminal) -> u16;
    #[wasm_bindgen(method, getter)]
    pub fn cols(this: &Terminal) -> u16;
    #[wasm_bindgen(method, getter)]
    pub fn buffer(this: &Terminal) -> Buffers;

    /// How wide a terminal's characters are.
    pub type Unicode;
    #[wasm_bindgen(method)]
    pub fn register(this: &Unicode, provider: &JsValue);
    #[wasm_bindgen(method, setter, js_name = activeVersion)]
    pub fn set_active_version(this: &Unicode, version: &str);

    /// A terminal's size, in cells.
    pub type Size;
    #[wasm_bindgen(method, getter)]
    pub fn rows(this: &Size) -> u16;
    #[wasm_bindgen(method, getter)]
    pub fn cols(this: &Size) -> u16;

    /// A terminal's normal and alternate buffer.
    pub type Buffers;
    #[wasm_bindgen(method, getter)]
    pub fn normal(this: &Buffers) -> Buffer;

    /// Lines of text with their scrollback.
    pub type Buffer;
    #[wasm_bindgen(method, getter)]
    pub fn length(this: &Buffer) -> u32;
    #[wasm_bindgen(method, js_name = getLine)]
    pub fn line(this: &Buffer, index: u32) -> Option<BufferLine>;

    /// A line.
    pub type BufferLine;
    #[wasm_bindgen(method, getter, js_name = isWrapped)]
    pub fn is_wrapped(this: &BufferLine) -> bool;
    #[wasm_bindgen(method, js_name = translateToString)]
    pub fn text(this: &BufferLine, trim_right: bool) -> String;

    /// The add-on that fits a terminal into its parent.
    #[wasm_bindgen(js_namespace = xterm)]
    pub type FitAddon;
    #[wasm_bindgen(constructor, js_namespace = xterm)]
    pub fn new() -> FitAddon;
    #[wasm_bindgen(method)]
    pub fn fit(this: &FitAddon);

    /// The add-on that searches.
    #[wasm_bindgen(js_namespace = xterm)]
    pub type SearchAddon;
    #[wasm_bindgen(constructor, js_namespace = xterm)]
    pub fn new() -> SearchAddon;
    #[wasm_bindgen(method, js_name = findNext)]
    pub fn find_next(this: &SearchAddon, term: &str, options: &Object) -> bool;
    #[wasm_bindgen(method, js_name = findPrevious)]
    pub fn find_previous(this: &SearchAddon, term: &str, options: &Object) -> bool;
    #[wasm_bindgen(method, js_name = clearDecorations)]
    pub fn clear_decorations(this: &SearchAddon);
    #[wasm_bindgen(method, js_name = onDidChangeResults)]
    pub fn on_did_change_results(this: &SearchAddon, handler: &Closure<dyn FnMut(Results)>) -> Disposable;

    /// What a search found.
    pub type Results;
    #[wasm_bindgen(method, getter, js_name = resultIndex)]
    pub fn index(this: &Results) -> i32;
    #[wasm_bindgen(method, getter, js_name = resultCount)]
    pub fn count(this: &Results) -> u32;

    /// The add-on that draws with WebGL.
    #[derive(Clone)]
    #[wasm_bindgen(js_namespace = xterm)]
    pub type WebglAddon;
    #[wasm_bindgen(constructor, js_namespace = xterm, catch)]
    pub fn new() -> Result<WebglAddon, JsValue>;
    #[wasm_bindgen(method)]
    pub fn dispose(this: &WebglAddon);
    #[wasm_bindgen(method, js_name = onContextLoss)]
    pub fn on_context_loss(this: &WebglAddon, handler: &Function) -> Disposable;
}

impl Terminal {
    /// Has characters take as many columns as in a guest.
    pub fn use_guest_widths(&self) {
        let widths = GuestWidths::default();
        let version = widths.version();
        let unicode = self.unicode();
        unicode.register(&widths.into());
        unicode.set_active_version(&version);
    }

    /// All text of the normal buffer, scrollback included. Lines that the terminal wrapped are whole again;
    /// empty lines at the end are left out.
    pub fn all_text(&self) -> String {
        let buffer = self.buffer().normal();
        let mut text = String::new();
        for index in 0..buffer.length() {
            let Some(line) = buffer.line(index) else { break };
            if index > 0 && !line.is_wrapped() {
                text.push('\n');
            }
            // A line that goes on keeps its blanks.
            let goes_on = buffer.line(index + 1).is_some_and(|next| next.is_wrapped());
            text.push_str(&line.text(!goes_on));
        }
        text.truncate(text.trim_end().len());
        text
    }
}
