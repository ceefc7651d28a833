//! How a terminal looks, how it is drawn, and which keys it takes.

use std::cell::Cell;

use js_sys::Object;
use sycamore::web::document;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{HtmlCanvasElement, KeyboardEvent, WebGl2RenderingContext};

use super::SCROLLBACK;
use crate::features::console::keys::{Key, Route, route};
use crate::features::console::state::Consoles;
use crate::features::console::xterm::Terminal;
use crate::kit::browser::{color, copy, object, token};

/// Whether WebGL is drawn by a GPU: without one, plain elements cost the processor less.
pub(super) fn has_gpu() -> bool {
    /// Of `WEBGL_debug_renderer_info`.
    const UNMASKED_RENDERER: u32 = 0x9246;
    let probe = || {
        let canvas: HtmlCanvasElement = document().create_element("canvas").ok()?.unchecked_into();
        let context: WebGl2RenderingContext = canvas.get_context("webgl2").ok()??.unchecked_into();
        context.get_extension("WEBGL_debug_renderer_info").ok()??;
        let renderer = context.get_parameter(UNMASKED_RENDERER).ok()?.as_string()?;
        Some(
            !["SwiftShader", "llvmpipe", "softpipe"]
                .iter()
                .any(|software| renderer.contains(software)),
        )
    };
    thread_local! {
        static FOUND: Cell<Option<bool>> = const { Cell::new(None) };
    }
    let found = FOUND.get().unwrap_or_else(|| probe().unwrap_or(false));
    FOUND.set(Some(found));
    found
}

/// Decides about a key that is pressed in the terminal. `true` leaves it to xterm.js.
pub(super) fn takes_key(event: &KeyboardEvent, terminal: &Terminal, consoles: Consoles) -> bool {
    let (name, code) = (event.key(), event.code());
    let key = Key {
        key: &name,
        code: &code,
        ctrl: event.ctrl_key(),
        shift: event.shift_key(),
        alt: event.alt_key(),
        meta: event.meta_key(),
    };
    let is_press = event.type_() == "keydown";
    match route(key, consoles.captured.get_untracked()) {
        Route::Guest => true,
        Route::Captured => {
            event.stop_propagation();
            // A key that types a character does so by its default action.
            if is_press && (key.ctrl || key.alt || key.meta || name.chars().count() > 1) {
                event.prevent_default();
            }
            true
        }
        Route::Browser => false,
        // The browser pastes into xterm's text area, if nobody takes the key before.
        Route::Paste => {
            event.stop_propagation();
            false
        }
        Route::Copy => {
            consume(event);
            let selected = terminal.selection();
            if is_press && !selected.is_empty() {
                copy(selected);
            }
            false
        }
        Route::Search => {
            consume(event);
            if is_press {
                consoles.searching.set(true);
            }
            false
        }
        Route::ToggleCapture => {
            consume(event);
            if is_press {
                consoles.captured.set(!consoles.captured.get_untracked());
            }
            false
        }
    }
}

fn consume(event: &KeyboardEvent) {
    event.prevent_default();
    event.stop_propagation();
}

pub(super) fn options() -> Object {
    object([
        ("allowProposedApi", true.into()),
        ("fontFamily", token("--font-mono").into()),
        ("fontSize", 12.into()),
        ("scrollback", SCROLLBACK.into()),
        ("theme", theme()),
        ("overviewRuler", object([("width", 10.into())]).into()),
        // xterm.js 6 compares the default colour with itself where it is inverted, and makes both grey: the theme's colours have
        // contrast enough of their own.
        ("minimumContrastRatio", 1.into()),
    ])
}

/// The terminal's colours, by xterm's names and by the page's tokens.
const THEME: [(&str, &str); 22] = [
    ("background", "--console-background"),
    ("foreground", "--console-text"),
    ("cursor", "--console-cursor"),
    ("cursorAccent", "--console-background"),
    ("selectionBackground", "--console-selection"),
    ("overviewRulerBorder", "--console-background"),
    ("black", "--ansi-black"),
    ("red", "--ansi-red"),
    ("green", "--ansi-green"),
    ("yellow", "--ansi-yellow"),
    ("blue", "--ansi-blue"),
    ("magenta", "--ansi-magenta"),
    ("cyan", "--ansi-cyan"),
    ("white", "--ansi-white"),
    ("brightBlack", "--ansi-bright-black"),
    ("brightRed", "--ansi-bright-red"),
    ("brightGreen", "--ansi-bright-green"),
    ("brightYellow", "--ansi-bright-yellow"),
    ("brightBlue", "--ansi-bright-blue"),
    ("brightMagenta", "--ansi-bright-magenta"),
    ("brightCyan", "--ansi-bright-cyan"),
    ("brightWhite", "--ansi-bright-white"),
];

pub(super) fn theme() -> JsValue {
    object(THEME.map(|(name, style)| (name, color(style).into()))).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The two colours of a token: for the light theme and for the dark one.
    fn colors(name: &str) -> [[f64; 3]; 2] {
        let css = include_str!("../../../../../extension/css/tokens.css");
        let start = format!("{name}: light-dark(");
        let rest = css
            .split(&start)
            .nth(1)
            .unwrap_or_else(|| panic!("expected {name}"));
        let both = rest.split(')').next().unwrap();
        let color = |text: &str| {
            let hex = text.trim().trim_start_matches('#');
            [0, 2, 4].map(|at| f64::from(u8::from_str_radix(&hex[at..at + 2], 16).unwrap()) / 255.0)
        };
        let (light, dark) = both.split_once(',').unwrap();
        [color(light), color(dark)]
    }

    /// WCAG's contrast of two colours.
    fn contrast(a: [f64; 3], b: [f64; 3]) -> f64 {
        let luminance = |color: [f64; 3]| {
            let linear = color.map(|part| {
                if part <= 0.04045 {
                    part / 12.92
                } else {
                    ((part + 0.055) / 1.055).powf(2.4)
                }
            });
            0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
        };
        let (a, b) = (luminance(a) + 0.05, luminance(b) + 0.05);
        a.max(b) / a.min(b)
    }

    #[test]
    fn text_of_each_colour_can_be_read_in_both_themes() {
        let background = colors("--console-background");
        let is_text = |name: &str| name.contains("--ansi-") || name == "--console-text";
        for (_, name) in THEME.into_iter().filter(|(_, name)| is_text(name)) {
            for (color, background) in colors(name).into_iter().zip(background) {
                let found = contrast(color, background);
                assert!(found >= 4.5, "{name}: {found:.2}");
            }
        }
    }
}
