//! Amounts, times and foreign text as people read them. Pure.

/// An amount of bytes in binary units, with at most one decimal: `512 B`, `1.5 KiB`, `23 MiB`.
pub fn bytes(amount: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if amount < 1024 {
        return format!("{amount} B");
    }
    #[expect(clippy::cast_precision_loss, reason = "shown with three digits")]
    let mut value = amount as f64 / 1024.0;
    let mut unit = UNITS[0];
    for larger in &UNITS[1..] {
        if value < 1023.95 {
            break;
        }
        value /= 1024.0;
        unit = larger;
    }
    if value < 9.95 {
        format!("{value:.1} {unit}")
    } else {
        format!("{value:.0} {unit}")
    }
}

/// An amount of memory that is given in MiB.
pub fn mebibytes(mib: u32) -> String {
    bytes(u64::from(mib) << 20)
}

/// A clock that counts up from 0, given in milliseconds: `00:12:41`.
pub fn clock(ms: f64) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "saturates, and is positive"
    )]
    let seconds = (ms.max(0.0) / 1000.0) as u64;
    format!(
        "{:02}:{:02}:{:02}",
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60
    )
}

/// A short span, given in milliseconds: `1.9 s`.
pub fn seconds(ms: f64) -> String {
    format!("{:.1} s", ms.max(0.0) / 1000.0)
}

/// A span in milliseconds, or in seconds from one on: `340 ms`, `1.23 s`.
pub fn milliseconds(time: f64) -> String {
    if time < 1000.0 {
        format!("{time:.0} ms")
    } else {
        format!("{:.2} s", time / 1000.0)
    }
}

/// A page's or a guest's text for the panel: controls are shown as a mark, and what is long is cut.
pub fn printable(text: &str, longest: usize) -> String {
    let mut shown: String = text
        .chars()
        .take(longest)
        .map(|c| {
            if c != '\n' && c != '\t' && qemuweb_capture::jsonl::is_control(c) {
                '\u{fffd}'
            } else {
                c
            }
        })
        .collect();
    if text.chars().nth(longest).is_some() {
        shown.push('…');
    }
    shown
}

/// How far a transfer of `done` bytes is that began `elapsed` milliseconds ago: `4.0 MiB of 12 MiB · 8.0 MiB/s · 1 s left`.
pub fn transfer(done: u64, total: Option<u64>, elapsed: f64) -> String {
    let mut parts = vec![match total {
        Some(total) => format!("{} of {}", bytes(done), bytes(total)),
        None => bytes(done),
    }];
    // Less than half a second tells no rate.
    if elapsed >= 500.0 && done > 0 {
        #[expect(clippy::cast_precision_loss, reason = "shown with three digits")]
        let rate = done as f64 / elapsed * 1000.0;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "saturates, and is positive"
        )]
        parts.push(format!("{}/s", bytes(rate as u64)));
        if let Some(left) = total
            .map(|total| total.saturating_sub(done))
            .filter(|left| *left > 0)
        {
            #[expect(clippy::cast_precision_loss, reason = "shown in seconds")]
            let left = left as f64 / rate;
            parts.push(format!("{left:.0} s left"));
        }
    }
    parts.join(" · ")
}

/// A word as a shell reads it: in quotes unless it is plain.
pub fn shell_word(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_=,./:+%@".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// `1 request`, `2 requests`.
pub fn count(number: usize, one: &str) -> String {
    match number {
        1 => format!("1 {one}"),
        number => format!("{number} {one}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_binary_units() {
        let cases = [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1536, "1.5 KiB"),
            (10 << 10, "10 KiB"),
            (1023 << 10, "1023 KiB"),
            ((1 << 20) - 1, "1.0 MiB"),
            (128 << 20, "128 MiB"),
            (u64::MAX, "16384 PiB"),
        ];
        for (amount, text) in cases {
            assert_eq!(bytes(amount), text);
        }
    }

    #[test]
    fn clocks_count_hours() {
        assert_eq!(clock(0.0), "00:00:00");
        assert_eq!(clock(761_999.0), "00:12:41");
        assert_eq!(clock(360_000_000.0), "100:00:00");
        assert_eq!(clock(-5.0), "00:00:00");
        assert_eq!(clock(f64::NAN), "00:00:00");
    }

    #[test]
    fn a_transfer_tells_rate_and_time_left() {
        let mib = 1 << 20;
        assert_eq!(
            transfer(4 * mib, Some(12 * mib), 2000.0),
            "4.0 MiB of 12 MiB · 2.0 MiB/s · 4 s left"
        );
        assert_eq!(
            transfer(4 * mib, Some(4 * mib), 2000.0),
            "4.0 MiB of 4.0 MiB · 2.0 MiB/s"
        );
        assert_eq!(transfer(0, None, 9000.0), "0 B");
        assert_eq!(transfer(mib, None, 100.0), "1.0 MiB");
    }

    #[test]
    fn words_are_quoted_where_a_shell_would_not_leave_them_whole() {
        for (word, quoted) in [
            ("a-b_c/d.txt", "a-b_c/d.txt"),
            ("", "''"),
            ("a b", "'a b'"),
            ("$(reboot)", "'$(reboot)'"),
            ("it's", r"'it'\''s'"),
            ("~", "'~'"),
        ] {
            assert_eq!(shell_word(word), quoted);
        }
    }

    #[test]
    fn foreign_text_is_made_printable() {
        assert_eq!(printable("a\u{1b}[2J\u{202e}b", 9), "a\u{fffd}[2J\u{fffd}b");
        assert_eq!(printable("abcdef", 3), "abc…");
        assert_eq!(
            (milliseconds(1234.0), milliseconds(12.4)),
            ("1.23 s".into(), "12 ms".into())
        );
        assert_eq!(
            (count(1, "request"), count(0, "request")),
            ("1 request".into(), "0 requests".into())
        );
    }
}
