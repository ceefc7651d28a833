//! A query's header and question, read without a library: `simple-dns` refuses a whole message whose type it does not know,
//! and takes memory for as many records as the header claims.

/// Bytes of a message's header.
pub(super) const HEADER: usize = 12;

/// Numbers of types (RFC 1035, 3596).
pub(super) mod kind {
    pub(in super::super) const A: u16 = 1;
    pub(in super::super) const PTR: u16 = 12;
    pub(in super::super) const AAAA: u16 = 28;
    pub(in super::super) const ANY: u16 = 255;
}

/// Answers' codes (RFC 1035, 4.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Code {
    Ok = 0,
    FormatError = 1,
    ServerFailure = 2,
    NoSuchName = 3,
    NotImplemented = 4,
    Refused = 5,
}

/// A query, as far as it could be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Query {
    pub(super) id: u16,
    /// The second word of its header.
    pub(super) flags: u16,
    pub(super) question: Option<Question>,
    /// Most bytes of an answer over UDP, if it says so (EDNS).
    pub(super) edns: Option<u16>,
}

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Question {
    /// The name in small letters, its parts joined by dots, without one at the end.
    pub(super) name: String,
    /// The same in the letters in which it was asked.
    pub(super) text: String,
    pub(super) kind: u16,
    pub(super) class: u16,
    /// As it stands in the query: the answer repeats it letter by letter.
    pub(super) raw: Vec<u8>,
}

impl Query {
    /// Reads a query. `None` if it is none, or too short to be answered.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let word = |at: usize| Some(u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]));
        let (id, flags) = (word(0)?, word(2)?);
        let counts = [word(4)?, word(6)?, word(8)?, word(10)?];
        if flags & 0x8000 != 0 {
            return None;
        }
        let question = (counts[0] == 1).then(|| Question::read(bytes)).flatten();
        // Behind the question of a query stands nothing but its EDNS record.
        let edns = question.as_ref().and_then(|question| {
            let record = bytes.get(HEADER + question.raw.len()..)?;
            let is_edns = counts[1..3] == [0, 0] && counts[3] >= 1 && record.get(..3)? == [0, 0, 41];
            is_edns.then(|| Some(u16::from_be_bytes([*record.get(3)?, *record.get(4)?])))?
        });
        Some(Self {
            id,
            flags,
            question,
            edns,
        })
    }

    pub(super) fn opcode(&self) -> u16 {
        self.flags >> 11 & 0xf
    }

    /// An answer without records.
    pub(super) fn empty_answer(&self, code: Code) -> Vec<u8> {
        let flags = 0x8000 | self.flags & 0x7900 | 0x0080 | code as u16;
        let mut bytes = Vec::new();
        let count = u16::from(self.question.is_some());
        for word in [self.id, flags, count, 0, 0, u16::from(self.edns.is_some())] {
            bytes.extend(word.to_be_bytes());
        }
        bytes.extend(self.question.iter().flat_map(|question| &question.raw));
        if self.edns.is_some() {
            // RFC 6891, 6.1.2: an empty record, with what we take.
            bytes.extend([0, 0, 41]);
            bytes.extend(super::OWN_SIZE.to_be_bytes());
            bytes.extend([0; 6]);
        }
        bytes
    }
}

impl Question {
    fn read(bytes: &[u8]) -> Option<Self> {
        let mut text = String::new();
        let mut at = HEADER;
        loop {
            let len = usize::from(*bytes.get(at)?);
            let label = bytes.get(at + 1..at + 1 + len)?;
            at += 1 + len;
            if len == 0 {
                break;
            }
            // A query's name is not compressed.
            if len > 63 || at - HEADER > 254 {
                return None;
            }
            if !text.is_empty() {
                text.push('.');
            }
            text.extend(label.iter().map(|byte| match byte {
                // A dot within a part is no host's; whatever is no plain character is none of ours either.
                b'.' | b'\\' | 0x80.. | 0..=0x20 | 0x7f => '\u{fffd}',
                byte => char::from(*byte),
            }));
        }
        let end = bytes.get(at..at + 4)?;
        Some(Self {
            name: text.to_ascii_lowercase(),
            text,
            kind: u16::from_be_bytes([end[0], end[1]]),
            class: u16::from_be_bytes([end[2], end[3]]),
            raw: bytes[HEADER..at + 4].to_vec(),
        })
    }
}
