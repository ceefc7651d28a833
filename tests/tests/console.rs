//! The console: how wide characters are, the terminal's size, and pastes of any length.

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use qemuweb_driver::DEFAULT_TIMEOUT;
use qemuweb_e2e::{Desk, Panel, Report, Scenario};
use serde_json::json;
use sha2::{Digest, Sha256};

/// A desk with a running guest.
struct Room {
    desk: Desk,
    vm: String,
}

impl Room {
    fn open() -> Result<Self> {
        let mut desk = Desk::open()?;
        let panel = desk.open_panel()?;
        let vm = panel.launch("minimal-x86_64")?;
        panel.wait_prompt(&vm)?;
        Ok(Room { desk, vm })
    }

    fn panel(&self) -> Result<(&Panel, &str)> {
        Ok((self.desk.panel()?, &self.vm))
    }
}

impl Report for Room {
    fn report(&self, directory: &std::path::Path) -> Result<()> {
        self.desk.report(directory)
    }
}

/// A shell function that says in which column the cursor stands behind `$1`, a format of printf's.
const COLUMN: &str = r#"column(){ old=$(stty -g); stty raw -echo min 0 time 20; printf "\r$1\033[6n"; p=$(dd bs=16 count=1 2>/dev/null); stty "$old"; p=${p##*;}; printf "\r\033[K"; echo "$((${p%R}-1))"; }"#;

/// Texts, and the columns that they take by the guest's `wcwidth`, added up.
const WIDTHS: [(&str, u32); 14] = [
    ("ab", 2),
    ("漢字", 4),
    ("ｱ", 1),
    ("각", 2),
    ("\u{1112}\u{1161}\u{11ab}", 2),
    ("😀", 2),
    // Of 2020, 2021 and 2024.
    ("🥲", 2),
    ("🫠", 2),
    ("🫩", 2),
    ("e\u{301}", 1),
    // Joined or not, `wcwidth` is asked for one character at a time.
    ("👨\u{200d}👩\u{200d}👧", 6),
    ("🇩🇪", 2),
    ("❤\u{fe0f}", 1),
    ("\u{995}\u{9be}", 2),
];

/// Lines that a terminal takes whole, with characters of one to four bytes, about `size` bytes long.
fn text(size: usize) -> String {
    let mut text = String::new();
    let mut number = 0_u32;
    while text.len() < size {
        number += 1;
        // From empty lines to ones that nearly fill the line discipline's 4,096 bytes.
        let words = number.wrapping_mul(37) % 240;
        for word in 0..words {
            // Cannot fail for a String.
            let _ = write!(text, "{number:x}.{word:x} é漢😀 ");
        }
        text.push('\n');
    }
    text
}

fn sha256(text: &str) -> String {
    let mut hash = String::new();
    for byte in Sha256::digest(text.as_bytes()) {
        // Cannot fail for a String.
        let _ = write!(hash, "{byte:02x}");
    }
    hash
}

/// Pastes into the console, as the browser does.
fn paste(panel: &Panel, text: &str) -> Result<()> {
    let paste = format!(
        "(area => {{
            const data = new DataTransfer();
            data.setData('text/plain', {});
            area.focus();
            area.dispatchEvent(new ClipboardEvent('paste', {{clipboardData: data, bubbles: true, cancelable: true}}));
        }})(document.querySelector('[data-testid=console] .xterm-helper-textarea'))",
        json!(text)
    );
    panel.session().evaluate(&paste).map(drop)
}

/// Pastes into `cat` and compares what arrives.
fn paste_into_cat(room: &Room, text: &str, bracketed: bool, timeout: Duration) -> Result<()> {
    let (panel, vm) = room.panel()?;
    let (mode, sent) = if bracketed {
        ("h", format!("\x1b[200~{text}\x1b[201~\n"))
    } else {
        ("l", text.to_owned())
    };
    let expected = sha256(&sent);
    // Unlike that of any other paste.
    let tag = &expected[..8];
    panel.type_keys(&format!(
        "printf '\\033[?2004{mode}'; stty -echo; echo rea''dy-{tag}; cat > /tmp/pasted; stty echo; \
         wc -c < /tmp/pasted; sha256sum /tmp/pasted; rm /tmp/pasted; printf '\\033[?2004l'; echo do''ne-{tag}\n"
    ))?;
    panel.wait_console(vm, "cat", DEFAULT_TIMEOUT, |text| {
        text.trim_end().ends_with(&format!("\nready-{tag}")).then_some(())
    })?;
    let start = std::time::Instant::now();
    paste(panel, text)?;
    if bracketed {
        panel.type_keys("\n")?;
    }
    // The end of the file.
    panel
        .session()
        .evaluate(&format!("window.qemuweb.sendSerialIn({}, '\\x04')", json!(vm)))?;
    let shown = panel.wait_console(vm, "the end of cat", timeout, |text| {
        let end = text.find(&format!("\ndone-{tag}\n"))?;
        Some(text[..end].to_owned())
    })?;
    println!("{} bytes in {} ms", sent.len(), start.elapsed().as_millis());
    ensure!(
        shown.contains(&expected) && shown.contains(&format!("\n{}\n", sent.len())),
        "expected {} bytes with hash {expected}, found\n{}",
        sent.len(),
        shown.lines().rev().take(3).collect::<Vec<_>>().join("\n")
    );
    Ok(())
}

fn main() {
    let trials = Scenario::new("console", Room::open)
        .step("characters are as wide as the guest counts them", |room| {
            let (panel, vm) = room.panel()?;
            panel.expect(vm, COLUMN, "")?;
            for (text, columns) in WIDTHS {
                let bytes = text
                    .bytes()
                    .fold(String::new(), |all, byte| all + &format!("\\x{byte:02x}"));
                panel
                    .expect(vm, &format!("column '{bytes}'"), &columns.to_string())
                    .with_context(|| format!("of {text}"))?;
            }
            Ok(())
        })
        .step("a guest without our agent is told the terminal's size", |room| {
            let (panel, vm) = room.panel()?;
            let size = panel.run(vm, "stty size")?.text;
            panel.expect(vm, "stty rows 7 cols 60; stty size", "7 60")?;
            panel.click("send-size")?;
            let command = size.trim().split_once(' ').context("stty says no size")?;
            let typed = format!("stty rows {} cols {}", command.0, command.1);
            panel.wait_console(vm, "the command", DEFAULT_TIMEOUT, |text| {
                text.contains(&typed).then_some(())
            })?;
            panel.expect(vm, "stty size", size.trim())
        })
        .step("64 kB that are pasted arrive whole", |room| {
            paste_into_cat(room, &text(64 << 10), false, Duration::from_secs(120))
        })
        .step("in brackets, too", |room| {
            paste_into_cat(room, &text(64 << 10), true, Duration::from_secs(120))
        })
        .step("so does a megabyte", |room| {
            paste_into_cat(room, &text(1 << 20), false, Duration::from_secs(480))
        })
        .step(
            "a paste into a guest that does not read is refused in words",
            |room| {
                let (panel, vm) = room.panel()?;
                panel.type_keys("stty -echo; sleep 20; stty echo\n")?;
                std::thread::sleep(Duration::from_secs(1));
                paste(panel, &text(5 << 20))?;
                panel.wait_error("does not take its input", DEFAULT_TIMEOUT)?;
                panel.click_selector(".notices [aria-label=Dismiss]")?;
                panel.wait_prompt(vm)?;
                panel.expect(vm, "echo still here", "still here")
            },
        )
        .trials();
    qemuweb_e2e::run(trials)
}
