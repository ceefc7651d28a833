//! How numbers, texts and lists lie in messages: little-endian, each text and list after its length.

use std::fmt;

/// A message is none: it is cut off, too long, or of another protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// What was expected where something else is.
    pub expected: &'static str,
}

impl fmt::Display for Malformed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "expected {} in a message of the agent's protocol",
            self.expected
        )
    }
}

impl std::error::Error for Malformed {}

pub(crate) fn malformed<T>(expected: &'static str) -> Result<T, Malformed> {
    Err(Malformed { expected })
}

/// Writes a message.
pub(crate) struct Writer(pub(crate) Vec<u8>);

macro_rules! numbers {
    ($($number:ident)*) => {
        impl Writer {
            $(pub(crate) fn $number(&mut self, value: $number) -> &mut Self {
                self.0.extend_from_slice(&value.to_le_bytes());
                self
            })*
        }

        impl Reader<'_> {
            $(pub(crate) fn $number(&mut self) -> Result<$number, Malformed> {
                match self.0.split_first_chunk() {
                    Some((bytes, rest)) => {
                        self.0 = rest;
                        Ok($number::from_le_bytes(*bytes))
                    }
                    None => malformed(concat!("a number (", stringify!($number), ")")),
                }
            })*
        }
    };
}

impl Writer {
    /// The message.
    pub(crate) fn finish(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.0)
    }

    pub(crate) fn text(&mut self, text: &str) -> &mut Self {
        self.u32(text.len() as u32);
        self.0.extend_from_slice(text.as_bytes());
        self
    }

    pub(crate) fn texts<'a>(&mut self, texts: impl ExactSizeIterator<Item = &'a str>) -> &mut Self {
        self.u32(texts.len() as u32);
        for text in texts {
            self.text(text);
        }
        self
    }
}

/// Reads a message.
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

numbers!(u8 u16 u32 u64 i32 i64);

impl<'a> Reader<'a> {
    /// What is left.
    pub(crate) fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }

    /// Text without a NUL, which no path, argument or variable of Unix can have.
    pub(crate) fn text(&mut self) -> Result<String, Malformed> {
        let len = self.u32()? as usize;
        let Some((text, rest)) = self.0.split_at_checked(len) else {
            return malformed("a text of the length that is told");
        };
        self.0 = rest;
        match std::str::from_utf8(text) {
            Ok(text) if !text.contains('\0') => Ok(text.to_owned()),
            _ => malformed("UTF-8 without a NUL"),
        }
    }

    pub(crate) fn texts(&mut self) -> Result<Vec<String>, Malformed> {
        let count = self.u32()? as usize;
        // Each takes 4 bytes at least: no memory is taken for what cannot be there.
        if count > self.0.len() / 4 {
            return malformed("as many texts as are told");
        }
        (0..count).map(|_| self.text()).collect()
    }

    pub(crate) fn end(&self) -> Result<(), Malformed> {
        match self.0 {
            [] => Ok(()),
            _ => malformed("the end"),
        }
    }
}
