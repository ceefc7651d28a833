//! What a server's reply to a range request means. Every header is what a stranger wrote.

use std::fmt;

/// A server's reply, as far as it matters here. Header values are as they came, `None` where there was none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    /// The status, after redirects.
    pub status: u16,
    /// `Content-Range`.
    pub content_range: Option<String>,
    /// `Content-Length`: all bytes of the image, where a server ignores ranges.
    pub content_length: Option<String>,
    /// `Content-Encoding`.
    pub content_encoding: Option<String>,
    /// `Content-Type`.
    pub content_type: Option<String>,
    /// `ETag`.
    pub etag: Option<String>,
    /// `Last-Modified`.
    pub last_modified: Option<String>,
    /// `Retry-After`.
    pub retry_after: Option<String>,
    /// The body, if the status is 206.
    pub body: Vec<u8>,
}

/// Why an image on the web cannot be used as a disk.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RemoteError {
    /// The server sends whole files only.
    #[error("expected a part of the image (206), found the whole of it (200){}: this server does no ranges", told(*.size))]
    NoRanges {
        /// The image's size in bytes, if the server told it.
        size: Option<u64>,
    },
    /// The server packs what it sends, so that ranges are of packed bytes.
    #[error("expected the image's own bytes, found them packed by the server ({encoding})")]
    Packed {
        /// The content encoding.
        encoding: String,
    },
    /// The server refuses.
    #[error("expected a part of the image (206), found status {status}")]
    Refused {
        /// The status.
        status: u16,
    },
    /// The server answered for other bytes than those that were asked for.
    #[error("expected the bytes {expected}, found {found}")]
    WrongRange {
        /// What was asked for.
        expected: String,
        /// What the server says that it sends.
        found: String,
    },
    /// The server does not tell how large the image is.
    #[error("expected the image's size, found {0:?}: the server does not tell it")]
    NoSize(String),
    /// There is nothing in the image.
    #[error("the image is empty")]
    Empty,
    /// The server could not be reached, or was too busy.
    #[error("no answer in {tries} tries: {reason}")]
    Unreachable {
        /// How often it was tried.
        tries: usize,
        /// Why the last try failed.
        reason: String,
    },
}

fn told(size: Option<u64>) -> String {
    size.map_or(String::new(), |size| format!(" with {size} bytes"))
}

impl RemoteError {
    /// What a person can do about it.
    pub(crate) fn next_step(&self) -> &'static str {
        match self {
            Self::NoRanges { .. } | Self::Packed { .. } | Self::NoSize(_) | Self::WrongRange { .. } => {
                "Download the image whole and store it in QemuWeb, or use another server."
            }
            Self::Refused { .. } | Self::Empty => {
                "Open the address in a tab to see whether the image is there and whether one has to sign in."
            }
            Self::Unreachable { .. } => "Check the network and the address, and go on.",
        }
    }

    /// Whether downloading the image whole would help.
    pub fn whole_would_do(&self) -> bool {
        matches!(
            self,
            Self::NoRanges { .. } | Self::Packed { .. } | Self::NoSize(_) | Self::WrongRange { .. }
        )
    }
}

/// What an image is known by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pin {
    pub(super) size: u64,
    etag: Option<String>,
    last_modified: Option<String>,
}

impl fmt::Display for Pin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} bytes", self.size)?;
        match (&self.etag, &self.last_modified) {
            (Some(etag), _) => write!(formatter, " with ETag {etag}"),
            (None, Some(time)) => write!(formatter, " of {time}"),
            (None, None) => Ok(()),
        }
    }
}

impl Pin {
    /// Whether both can be of the same image. A server of several leaves out what it does not know, so only what both have
    /// is compared; times are of the second, so that an ETag goes before them.
    fn agrees(&self, other: &Self) -> bool {
        let validators = match (&self.etag, &other.etag) {
            (Some(one), Some(other)) => one == other,
            _ => match (&self.last_modified, &other.last_modified) {
                (Some(one), Some(other)) => one == other,
                _ => true,
            },
        };
        self.size == other.size && validators
    }
}

/// What to make of a reply.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Judged {
    /// It has bytes, one at least, from where was asked for.
    Bytes { pin: Pin, bytes: Vec<u8> },
    /// It may get better: ask again, after so many milliseconds if the server says so.
    Again { reason: String, after: Option<u32> },
    /// It will not get better.
    Useless(RemoteError),
    /// It is of another image.
    Changed { expected: String, found: String },
}

/// What the reply to a request for the bytes from `start` to before `end` means.
pub(super) fn judge(reply: Reply, pin: Option<&Pin>, start: u64, end: u64) -> Judged {
    let range = reply.content_range.as_deref().unwrap_or_default();
    match reply.status {
        206 => part(reply, pin, start, end),
        200 => {
            let size = reply.content_length.as_deref().and_then(digits);
            let identity = Pin {
                // Of a packed body, the length is another one.
                size: size
                    .filter(|_| reply.content_encoding.is_none())
                    .or(pin.map(|pin| pin.size))
                    .unwrap_or(0),
                etag: reply.etag,
                last_modified: reply.last_modified,
            };
            match pin {
                Some(pin) if !pin.agrees(&identity) => changed(pin, &identity),
                _ => Judged::Useless(RemoteError::NoRanges { size }),
            }
        }
        416 => match (pin, range.strip_prefix("bytes */").and_then(digits)) {
            (None, Some(0)) => Judged::Useless(RemoteError::Empty),
            (Some(pin), Some(size)) if size != pin.size => Judged::Changed {
                expected: pin.to_string(),
                found: format!("{size} bytes"),
            },
            _ => Judged::Useless(RemoteError::WrongRange {
                expected: format!("{start} to {}", end - 1),
                found: format!("none (416, {range:?})"),
            }),
        },
        408 | 425 | 429 | 500 | 502 | 503 | 504 => Judged::Again {
            reason: format!("status {}", reply.status),
            after: reply
                .retry_after
                .as_deref()
                .and_then(digits)
                .map(|seconds| u32::try_from(seconds.saturating_mul(1000)).unwrap_or(u32::MAX)),
        },
        status => Judged::Useless(RemoteError::Refused { status }),
    }
}

fn part(reply: Reply, pin: Option<&Pin>, start: u64, end: u64) -> Judged {
    let encoding = reply.content_encoding.as_deref().unwrap_or("identity").trim();
    if !encoding.is_empty() && !encoding.eq_ignore_ascii_case("identity") {
        return Judged::Useless(RemoteError::Packed {
            encoding: encoding.into(),
        });
    }
    let range = reply.content_range.unwrap_or_default();
    let wrong = |found: String| {
        Judged::Useless(RemoteError::WrongRange {
            expected: format!("{start} to {}", end - 1),
            found,
        })
    };
    let Some((first, last, size)) = content_range(&range) else {
        let kind = reply.content_type.unwrap_or_default();
        return wrong(format!("Content-Range {range:?} with type {kind:?}"));
    };
    let Some(size) = size.or(pin.map(|pin| pin.size)) else {
        return Judged::Useless(RemoteError::NoSize(range));
    };
    let found = Pin {
        size,
        etag: reply.etag,
        last_modified: reply.last_modified,
    };
    // Whether it is the image at all goes before what it sends of it.
    if let Some(pin) = pin.filter(|pin| !pin.agrees(&found)) {
        return changed(pin, &found);
    }
    if first != start || last >= end || last >= size {
        return wrong(format!("Content-Range {range:?}"));
    }
    let (told, got) = (last - first + 1, reply.body.len() as u64);
    if got > told {
        return wrong(format!("{told} bytes announced, and more sent"));
    }
    if got == 0 {
        return Judged::Again {
            reason: "the connection ended before the first byte".into(),
            after: None,
        };
    }
    Judged::Bytes {
        pin: found,
        bytes: reply.body,
    }
}

fn changed(pin: &Pin, found: &Pin) -> Judged {
    Judged::Changed {
        expected: pin.to_string(),
        found: found.to_string(),
    }
}

/// `bytes 0-99/1234`: the first byte, the last, and how many there are, unless that is `*`.
fn content_range(value: &str) -> Option<(u64, u64, Option<u64>)> {
    let (unit, rest) = value.trim().split_once([' ', '\t'])?;
    let (range, size) = rest.trim().split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let (first, last) = (digits(first.trim())?, digits(last.trim())?);
    let size = match size.trim() {
        "*" => None,
        size => Some(digits(size)?),
    };
    (unit.eq_ignore_ascii_case("bytes") && first <= last && last < u64::MAX).then_some((first, last, size))
}

/// A number of digits only, as HTTP has them.
fn digits(text: &str) -> Option<u64> {
    let sound = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    sound.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn some(text: &str) -> Option<String> {
        Some(text.into())
    }

    /// A good reply to a request for 100 to 199 of 1000.
    fn good() -> Reply {
        Reply {
            status: 206,
            content_range: some("bytes 100-199/1000"),
            etag: some("\"a\""),
            last_modified: some("Mon, 30 Nov 2026 10:00:00 GMT"),
            body: vec![1; 100],
            ..Reply::default()
        }
    }

    fn pin() -> Pin {
        Pin {
            size: 1000,
            etag: some("\"a\""),
            last_modified: some("Mon, 30 Nov 2026 10:00:00 GMT"),
        }
    }

    fn name(judged: &Judged) -> &'static str {
        match judged {
            Judged::Bytes { .. } => "bytes",
            Judged::Again { .. } => "again",
            Judged::Changed { .. } => "changed",
            Judged::Useless(RemoteError::NoRanges { .. }) => "no ranges",
            Judged::Useless(RemoteError::Packed { .. }) => "packed",
            Judged::Useless(RemoteError::Refused { .. }) => "refused",
            Judged::Useless(RemoteError::WrongRange { .. }) => "wrong range",
            Judged::Useless(RemoteError::NoSize(_)) => "no size",
            Judged::Useless(RemoteError::Empty) => "empty",
            Judged::Useless(RemoteError::Unreachable { .. }) => "unreachable",
        }
    }

    #[test]
    fn replies_are_judged() {
        type Change = fn(&mut Reply);
        let table: &[(&str, &str, Change)] = &[
            ("as asked", "bytes", |_| ()),
            ("fewer than asked", "bytes", |r| {
                r.content_range = some("bytes 100-149/1000");
                r.body.truncate(50);
            }),
            ("cut off", "bytes", |r| r.body.truncate(7)),
            ("cut off at once", "again", |r| r.body.clear()),
            ("odd case and blanks", "bytes", |r| {
                r.content_range = some(" Bytes  100 - 199 / 1000 ")
            }),
            ("size untold", "bytes", |r| {
                r.content_range = some("bytes 100-199/*")
            }),
            ("identity", "bytes", |r| r.content_encoding = some("Identity")),
            ("a validator less", "bytes", |r| r.etag = None),
            ("no validators", "bytes", |r| {
                (r.etag, r.last_modified) = (None, None)
            }),
            ("time differs, ETag does not", "bytes", |r| {
                r.last_modified = some("now")
            }),
            ("other ETag", "changed", |r| r.etag = some("\"b\"")),
            ("weak for strong", "changed", |r| r.etag = some("W/\"a\"")),
            ("other time, no ETag", "changed", |r| {
                (r.etag, r.last_modified) = (None, some("Mon, 30 Nov 2026 10:00:01 GMT"));
            }),
            ("other size", "changed", |r| {
                r.content_range = some("bytes 100-199/1001")
            }),
            ("shorter than the range", "changed", |r| {
                r.content_range = some("bytes 100-199/150")
            }),
            ("gzip", "packed", |r| r.content_encoding = some("gzip")),
            ("two codings", "packed", |r| {
                r.content_encoding = some("identity, br")
            }),
            ("from elsewhere", "wrong range", |r| {
                r.content_range = some("bytes 0-99/1000")
            }),
            ("more than asked", "wrong range", |r| {
                r.content_range = some("bytes 100-200/1000")
            }),
            ("more than announced", "wrong range", |r| r.body.push(1)),
            ("no range", "wrong range", |r| r.content_range = None),
            ("other unit", "wrong range", |r| {
                r.content_range = some("pages 100-199/1000")
            }),
            ("backwards", "wrong range", |r| {
                r.content_range = some("bytes 199-100/1000")
            }),
            ("signed", "wrong range", |r| {
                r.content_range = some("bytes +100-199/1000")
            }),
            ("beyond 64 bits", "wrong range", |r| {
                r.content_range = some("bytes 100-18446744073709551616/1000");
            }),
            ("several parts", "wrong range", |r| {
                (r.content_range, r.content_type) = (None, some("multipart/byteranges; boundary=x"));
            }),
            ("whole", "no ranges", |r| {
                (r.status, r.content_length) = (200, some("1000"))
            }),
            ("whole, size untold", "no ranges", |r| r.status = 200),
            ("whole, packed", "no ranges", |r| {
                (r.status, r.content_length, r.content_encoding) = (200, some("10"), some("gzip"));
            }),
            ("whole, another one", "changed", |r| {
                (r.status, r.etag) = (200, some("\"b\""))
            }),
            ("whole, longer", "changed", |r| {
                (r.status, r.content_length) = (200, some("1001"))
            }),
            ("shrunk", "changed", |r| {
                (r.status, r.content_range) = (416, some("bytes */50"))
            }),
            ("refused range", "wrong range", |r| {
                (r.status, r.content_range) = (416, None)
            }),
            ("busy", "again", |r| r.status = 503),
            ("too many", "again", |r| r.status = 429),
            ("gone", "refused", |r| r.status = 410),
            ("not allowed", "refused", |r| r.status = 401),
            ("an answer to If-Range", "refused", |r| r.status = 304),
            ("no status", "refused", |r| r.status = 0),
        ];
        for (what, expected, change) in table {
            let mut reply = good();
            change(&mut reply);
            let judged = judge(reply, Some(&pin()), 100, 200);
            assert_eq!(name(&judged), *expected, "{what}: {judged:?}");
        }
    }

    #[test]
    fn an_image_is_pinned_by_its_first_reply() {
        let Judged::Bytes { pin: found, .. } = judge(good(), None, 100, 200) else {
            panic!("no bytes");
        };
        assert_eq!(found, pin());
        let unsized_reply = Reply {
            content_range: some("bytes 100-199/*"),
            ..good()
        };
        assert_eq!(name(&judge(unsized_reply, None, 100, 200)), "no size");
        let empty = Reply {
            status: 416,
            content_range: some("bytes */0"),
            ..Reply::default()
        };
        assert_eq!(name(&judge(empty, None, 0, 200)), "empty");
    }

    #[test]
    fn a_server_says_when_to_come_again() {
        for (value, after) in [
            ("3", Some(3000)),
            ("99999999999", Some(u32::MAX)),
            ("Mon, 30 Nov 2026 10:00:00 GMT", None),
            ("-1", None),
        ] {
            let reply = Reply {
                status: 503,
                retry_after: some(value),
                ..Reply::default()
            };
            let Judged::Again { after: found, .. } = judge(reply, None, 0, 1) else {
                panic!("not again");
            };
            assert_eq!(found, after, "{value}");
        }
    }

    proptest! {
        #[test]
        fn no_reply_makes_it_panic_or_gives_more_than_was_asked_for(
            status in prop_oneof![Just(206_u16), Just(200), Just(416), any::<u16>()],
            range in prop_oneof![".*", "bytes [0-9]{0,21}-[0-9]{0,21}/[0-9*]{0,21}", "bytes 5-[0-9]/1[0-9]"],
            length in ".*",
            body in proptest::collection::vec(any::<u8>(), 0..20),
            pinned: bool,
        ) {
            let reply = Reply {
                status, content_range: Some(range), content_length: Some(length), body, ..Reply::default()
            };
            let pin = pin();
            if let Judged::Bytes { pin, bytes } = judge(reply, pinned.then_some(&pin), 5, 12) {
                prop_assert!((1..=7).contains(&bytes.len()) && 5 + bytes.len() as u64 <= pin.size);
            }
        }
    }
}
