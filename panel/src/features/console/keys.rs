//! Where a key goes that is pressed while the console has the focus. Pure.
//!
//! Until the keyboard is captured, what DevTools and the browser use stays theirs, and all else goes to the
//! guest. While it is captured all goes to the guest but the chord that releases it.

/// A key with its modifiers, as in a `keydown` event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "as in a keyboard event")]
pub struct Key<'a> {
    /// `KeyboardEvent.key`.
    pub key: &'a str,
    /// `KeyboardEvent.code`.
    pub code: &'a str,
    /// Whether Ctrl is held.
    pub ctrl: bool,
    /// Whether Shift is held.
    pub shift: bool,
    /// Whether Alt is held.
    pub alt: bool,
    /// Whether the Command or Windows key is held.
    pub meta: bool,
}

/// Where a key goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// To the guest.
    Guest,
    /// To the guest, and nobody else may act on it.
    Captured,
    /// To the browser, DevTools and the rest of the panel.
    Browser,
    /// To the browser, whose default action for it pastes into the console.
    Paste,
    /// Copies the selection.
    Copy,
    /// Opens the console's search.
    Search,
    /// Captures or releases the keyboard.
    ToggleCapture,
}

/// The chord that captures and releases the keyboard, as people read it.
pub const CAPTURE_CHORD: &str = "Ctrl+Alt+G";

/// Keys that DevTools takes together with Ctrl, and which it keeps until the keyboard is captured.
const DEVTOOLS: [&str; 8] = [
    "KeyO",
    "KeyP",
    "KeyR",
    "BracketLeft",
    "BracketRight",
    "Slash",
    "Backquote",
    "Comma",
];

/// Decides about one key.
pub fn route(key: Key<'_>, captured: bool) -> Route {
    if key.ctrl && key.alt && key.code == "KeyG" {
        return Route::ToggleCapture;
    }
    if captured {
        return Route::Captured;
    }
    // Command on a Mac is never the guest's.
    if key.meta {
        return if key.code == "KeyF" {
            Route::Search
        } else {
            Route::Browser
        };
    }
    if key.ctrl && !key.alt {
        return match (key.code, key.shift) {
            ("KeyC" | "Insert", true) => Route::Copy,
            ("KeyV", true) => Route::Paste,
            ("KeyF", _) => Route::Search,
            (_, true) => Route::Browser,
            (code, false) if DEVTOOLS.contains(&code) => Route::Browser,
            _ => Route::Guest,
        };
    }
    let function_key = key.key.len() > 1 && key.key.starts_with('F') && key.key[1..].parse::<u8>().is_ok();
    if function_key && !key.alt {
        Route::Browser
    } else {
        Route::Guest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ctrl(code: &'static str) -> Key<'static> {
        Key {
            key: "x",
            code,
            ctrl: true,
            ..Key::default()
        }
    }

    #[test]
    fn what_shells_need_goes_to_the_guest() {
        for code in [
            "KeyA", "KeyC", "KeyD", "KeyE", "KeyK", "KeyL", "KeyU", "KeyV", "KeyW", "KeyZ",
        ] {
            assert_eq!(route(ctrl(code), false), Route::Guest, "{code}");
        }
        for key in ["a", "F", "Tab", "Enter", "Escape", "ArrowUp"] {
            assert_eq!(
                route(
                    Key {
                        key,
                        ..Key::default()
                    },
                    false
                ),
                Route::Guest,
                "{key}"
            );
        }
    }

    #[test]
    fn devtools_keeps_its_shortcuts_until_the_keyboard_is_captured() {
        let chords = [
            ctrl("KeyP"),
            ctrl("KeyR"),
            ctrl("BracketLeft"),
            Key {
                shift: true,
                ..ctrl("KeyI")
            },
            Key {
                key: "F12",
                code: "F12",
                ..Key::default()
            },
            Key {
                key: "r",
                code: "KeyR",
                meta: true,
                ..Key::default()
            },
        ];
        for chord in chords {
            assert_eq!(route(chord, false), Route::Browser, "{chord:?}");
            assert_eq!(route(chord, true), Route::Captured, "{chord:?}");
        }
    }

    #[test]
    fn the_chord_captures_and_releases() {
        let chord = Key {
            alt: true,
            ..ctrl("KeyG")
        };
        assert_eq!(route(chord, false), Route::ToggleCapture);
        assert_eq!(route(chord, true), Route::ToggleCapture);
    }

    #[test]
    fn copy_paste_and_search() {
        assert_eq!(
            route(
                Key {
                    shift: true,
                    ..ctrl("KeyC")
                },
                false
            ),
            Route::Copy
        );
        assert_eq!(
            route(
                Key {
                    shift: true,
                    ..ctrl("KeyV")
                },
                false
            ),
            Route::Paste
        );
        assert_eq!(route(ctrl("KeyF"), false), Route::Search);
        assert_eq!(route(ctrl("KeyF"), true), Route::Captured);
    }
}
