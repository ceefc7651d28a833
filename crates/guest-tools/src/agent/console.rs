//! The size of the kernel's consoles that are lines: what runs there gets `SIGWINCH`.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::OpenOptionsExt as _;

use qemuweb_agent::Size;
use rustix::fs::OFlags;
use rustix::termios::{Winsize, tcsetwinsize};

pub(super) fn resize(size: Size) {
    let names = fs::read_to_string("/sys/class/tty/console/active").unwrap_or_default();
    for name in names.split_whitespace().filter(|name| !is_screen(name)) {
        // Opened each time: what was open before somebody logged in is hung up.
        let console = OpenOptions::new()
            .read(true)
            .custom_flags((OFlags::NOCTTY | OFlags::NONBLOCK).bits().cast_signed())
            .open(format!("/dev/{name}"));
        if let Ok(console) = console {
            // One that has no size needs none.
            let _ = tcsetwinsize(&console, winsize(size));
        }
    }
}

/// Whether it is a display (`tty0`), and no line (`ttyS0`, `ttyAMA0`, `hvc0`).
fn is_screen(name: &str) -> bool {
    name.strip_prefix("tty")
        .is_some_and(|rest| rest.starts_with(|character: char| character.is_ascii_digit()))
}

pub(super) fn winsize(size: Size) -> Winsize {
    Winsize {
        ws_row: size.rows,
        ws_col: size.columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    }
}
