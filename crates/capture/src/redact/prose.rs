//! What carries secrets in what people write: `login: joe password: swordfish`, in the middle of a line or the text of a page.
//!
//! Of a sentence, only one word is taken, and only if it looks like chance or ends what is said: that the password has "at
//! least 8 characters" stays, and so do passwords of several words, which nothing tells from a sentence.

use super::around::is_function_word;
use super::names::Verdict;
use super::syntax::{is_name, position};
use super::text::{Kind, Name, Scan};
use super::value::{Place, is_in, is_random};

/// What a page says about a password beside its label: its state, its type, or what can be done with it.
const REMARKS: &[&str] = &[
    "accepted",
    "active",
    "add",
    "always",
    "any",
    "array",
    "below",
    "blank",
    "bool",
    "boolean",
    "change",
    "changed",
    "char",
    "choose",
    "confirm",
    "confirmed",
    "copied",
    "copy",
    "create",
    "created",
    "date",
    "default",
    "delete",
    "deleted",
    "disabled",
    "edit",
    "empty",
    "enabled",
    "encrypted",
    "enter",
    "expired",
    "expires",
    "failed",
    "forgot",
    "forgotten",
    "generate",
    "good",
    "hashed",
    "hide",
    "incorrect",
    "int",
    "integer",
    "invalid",
    "locked",
    "mandatory",
    "matched",
    "medium",
    "mismatch",
    "missing",
    "never",
    "new",
    "number",
    "object",
    "ok",
    "protected",
    "read-only",
    "regenerate",
    "rejected",
    "remove",
    "removed",
    "reset",
    "reveal",
    "revoke",
    "revoked",
    "save",
    "saved",
    "set",
    "show",
    "shown",
    "str",
    "strong",
    "unchanged",
    "unknown",
    "unset",
    "update",
    "updated",
    "uuid",
    "valid",
    "varchar",
    "verified",
    "view",
    "weak",
    "wrong",
];

/// Whether something is said about a secret, and it is none itself.
pub(super) fn is_remark(value: &[u8]) -> bool {
    is_in(REMARKS, value)
}

/// How far before a name a text is told from a program.
const MAX_BEFORE: usize = 200;
/// Words of programs before a name that they declare.
const DECLARATIONS: &[&str] = &[
    "const",
    "final",
    "let",
    "mut",
    "private",
    "protected",
    "pub",
    "public",
    "readonly",
    "static",
    "val",
    "var",
];
/// Shortest word that is a password.
const MIN_WORD: usize = 4;

impl Scan<'_> {
    /// The word after a label, which starts at `at`.
    pub(super) fn told(&mut self, name: Name, at: usize) -> Option<usize> {
        let data = self.data;
        if is_quantity(data, at) {
            return None;
        }
        let all = position(data, at, |byte| {
            byte.is_ascii_whitespace() || b"<>\"`\\,;|".contains(&byte)
        });
        let word = data[at..all].trim_ascii_end();
        let marks = word
            .iter()
            .rev()
            .take_while(|byte| b".:!?)]}'".contains(byte))
            .count();
        let end = at + word.len() - marks;
        let word = &data[at..end];
        let is_word = word.len() >= MIN_WORD && name.verdict >= Verdict::Secret && self.is_prose(name.start);
        let is_told = is_word
            && !word.iter().any(|byte| b"(){}[]=".contains(byte))
            && (word[0].is_ascii_alphanumeric() || word[0] >= 0x80)
            && self.is_password(name, word, &data[end..all], all);
        (is_told && self.judged(name.verdict, name, at, end, Place::Data))
            .then(|| self.cut_named(name, at, end))
    }

    /// Whether a word that stands before `marks`, which end at `after`, is a password rather than a word of a sentence.
    fn is_password(&self, name: Name, word: &[u8], marks: &[u8], after: usize) -> bool {
        if is_random(word) {
            return true;
        }
        let names = self.lexicon.names;
        let is_password = names.is_password(&self.data[name.start..name.end]);
        let is_letters = word
            .iter()
            .all(|byte| byte.is_ascii_alphabetic() || *byte >= 0x80 || b"-'".contains(byte));
        let next = self.word_after(after);
        if is_letters {
            let is_said = is_function_word(word)
                || is_remark(word)
                || is_identifier(word)
                || names.judge(word) != Verdict::Harmless;
            let ends = match marks.first() {
                Some(b'?' | b':') => false,
                Some(_) => true,
                None => next.is_none_or(|next| {
                    is_in(&["and", "or"], next)
                        || next.ends_with(b":")
                        || memchr::memchr(b'=', next).is_some_and(|at| at > 0)
                }),
            };
            return is_password && !is_said && ends;
        }
        is_password && !is_identifier(word)
    }

    /// The next word on the same line, if there is one before something else.
    fn word_after(&self, at: usize) -> Option<&[u8]> {
        let data = self.data;
        let start = position(data, at, |byte| byte != b' ' && byte != b'\t');
        let end = position(data, start, |byte| {
            byte.is_ascii_whitespace() || b"<>\"`\\,;|".contains(&byte)
        });
        let word = &data[start..end];
        word.first()
            .filter(|first| is_name(**first) && **first != b'-')
            .map(|_| word)
    }

    /// Whether a name stands in a text, not in a program.
    fn is_prose(&self, at: usize) -> bool {
        let data = self.data;
        let floor = at.saturating_sub(MAX_BEFORE);
        let before = data[floor..at].trim_ascii_end();
        let word = before
            .iter()
            .rposition(|byte| !is_name(*byte))
            .map_or(0, |mark| mark + 1);
        if is_in(DECLARATIONS, &before[word..]) {
            return false;
        }
        for index in (floor..at).rev() {
            match (self.kind, data[index]) {
                (Kind::Script, _) | (_, b'{') => return false,
                // A call, or its arguments by name.
                (_, b'(') if index > 0 && is_name(data[index - 1]) => return false,
                (Kind::Markup, b'>') | (Kind::Plain, b'\n') | (Kind::Json, b'"') => return true,
                (Kind::Markup, b'=' | b';' | b'}' | b'"') => return false,
                _ => {}
            }
        }
        self.kind != Kind::Markup || floor == 0
    }
}

/// Whether a word is the name of a type or constant, or of a place: `PCWSTR`, `MAX_LEN`, `core::ffi`, `https://…`.
fn is_identifier(word: &[u8]) -> bool {
    let is_constant = |byte: &u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || *byte == b'_';
    let has_capital = word.iter().any(u8::is_ascii_uppercase);
    (has_capital && word.iter().all(is_constant))
        || ["::", "://"]
            .iter()
            .any(|mark| memchr::memmem::find(word, mark.as_bytes()).is_some())
}

/// Whether a number of things stands at `at`: `8-20 characters`, `4 digits`.
pub(super) fn is_quantity(data: &[u8], at: usize) -> bool {
    let end = position(data, at, |byte| !(byte.is_ascii_digit() || b"-+".contains(&byte)));
    let few = data[at..end]
        .split(|byte| !byte.is_ascii_digit())
        .all(|number| number.len() <= 2);
    let unit = data.get(end + 1).is_some_and(u8::is_ascii_alphabetic);
    data[at..end].first().is_some_and(u8::is_ascii_digit) && few && data[end..].starts_with(b" ") && unit
}
