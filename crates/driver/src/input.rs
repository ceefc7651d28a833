//! Keys and mouse, as the browser's input events.

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::Session;

/// Bits of the protocol's `modifiers`.
mod modifier {
    pub(super) const ALT: u8 = 1;
    pub(super) const CONTROL: u8 = 2;
    pub(super) const META: u8 = 4;
    pub(super) const SHIFT: u8 = 8;
}

impl Session {
    /// Types `text` into whatever has the focus, key by key.
    pub fn type_text(&self, text: &str) -> Result<()> {
        for character in text.chars() {
            match character {
                '\n' | '\r' => self.press("Enter")?,
                '\t' => self.press("Tab")?,
                _ => {
                    let key = character.to_string();
                    self.key_event("keyDown", &key, key_code(&key), 0, Some(&key))?;
                    self.key_event("keyUp", &key, key_code(&key), 0, None)?;
                }
            }
        }
        Ok(())
    }

    /// Presses and releases a key by its `KeyboardEvent.key` name, with modifiers before it: `Enter`, `Control+Shift+c`.
    pub fn press(&self, chord: &str) -> Result<()> {
        let mut modifiers = 0;
        let mut key = chord;
        while let Some((name, rest)) = key.split_once('+').filter(|(_, rest)| !rest.is_empty()) {
            modifiers |= match name {
                "Alt" => modifier::ALT,
                "Control" => modifier::CONTROL,
                "Meta" => modifier::META,
                "Shift" => modifier::SHIFT,
                _ => bail!("`{name}` in `{chord}` is no modifier: use Alt, Control, Meta or Shift"),
            };
            key = rest;
        }
        let text = match key {
            "Enter" => Some("\r"),
            _ if key.chars().count() == 1 && modifiers & !modifier::SHIFT == 0 => Some(key),
            _ => None,
        };
        self.key_event("keyDown", key, key_code(key), modifiers, text)?;
        self.key_event("keyUp", key, key_code(key), modifiers, None)
    }

    /// Clicks the middle of the one element that matches a CSS selector, after it was scrolled into view.
    pub fn click(&self, selector: &str) -> Result<()> {
        let quoted = Value::from(selector);
        let rect = self.evaluate(&format!(
            "(async () => {{
                const found = document.querySelectorAll({quoted});
                if (found.length !== 1) throw new Error(`${{found.length}} elements match ` + {quoted});
                found[0].scrollIntoView({{ block: 'center', behavior: 'instant' }});
                // The browser routes a click to a frame by what that frame has last drawn.
                for (let i = 0; i < 2; i++) {{
                    await new Promise((drawn, failed) => {{
                        requestAnimationFrame(drawn);
                        setTimeout(() => failed(new Error('the page draws nothing: is its tab in the background?')), 5000);
                    }});
                }}
                const rect = found[0].getBoundingClientRect();
                return [rect.x + rect.width / 2, rect.y + rect.height / 2];
            }})()"
        ))?;
        let (x, y) = rect[0]
            .as_f64()
            .zip(rect[1].as_f64())
            .context("an element without a place")?;
        for kind in ["mousePressed", "mouseReleased"] {
            let params = json!({ "type": kind, "x": x, "y": y, "button": "left", "clickCount": 1 });
            self.call("Input.dispatchMouseEvent", params)?;
        }
        Ok(())
    }

    fn key_event(&self, kind: &str, key: &str, code: u32, modifiers: u8, text: Option<&str>) -> Result<()> {
        let mut params = json!({
            "type": kind, "key": key, "windowsVirtualKeyCode": code, "modifiers": modifiers,
        });
        if let Some(text) = text {
            params["text"] = text.into();
        }
        self.call("Input.dispatchKeyEvent", params).map(drop)
    }
}

/// The Windows virtual key code (`KeyboardEvent.keyCode`) of a key; 0 for one that has none of its own.
fn key_code(key: &str) -> u32 {
    match key {
        "Backspace" => 8,
        "Tab" => 9,
        "Enter" => 13,
        "Escape" => 27,
        "PageUp" => 33,
        "PageDown" => 34,
        "End" => 35,
        "Home" => 36,
        "ArrowLeft" => 37,
        "ArrowUp" => 38,
        "ArrowRight" => 39,
        "ArrowDown" => 40,
        "Delete" => 46,
        _ => match key.chars().next() {
            Some(letter) if key.len() == 1 && (letter.is_ascii_alphanumeric() || letter == ' ') => {
                letter.to_ascii_uppercase().into()
            }
            _ => 0,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::key_code;

    #[test]
    fn key_codes() {
        assert_eq!(key_code("a"), 65);
        assert_eq!(key_code("A"), 65);
        assert_eq!(key_code("7"), 55);
        assert_eq!(key_code("Enter"), 13);
        assert_eq!(key_code("é"), 0);
        assert_eq!(key_code("."), 0);
    }
}
