//! What carries secrets in command lines: flags of one letter, whose meaning is the command's: `curl -u user:password`.
//! Long ones, as `--password`, are names like others, whosever they are.

use super::around::parameter_end;
use super::learned::Source;
use super::names::Verdict;
use super::syntax::{Quote, position};
use super::text::{Kind, Name, Scan};
use super::value::{Place, is_field, is_random};

/// What a flag takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Takes {
    /// A user and a password with a mark between them, in the same word or the next.
    Pair(u8),
    /// `name=value` of a cookie.
    Cookie,
    /// A password, in the same word or the next.
    Password,
    /// A password in the same word.
    Attached,
}

/// A command, in the words of its manual page.
struct Command {
    name: &'static str,
    flags: &'static [(&'static str, Takes)],
    /// Letters of flags that take something else, so that what stands after them are no flags.
    others: &'static str,
}

const fn command(
    name: &'static str,
    flags: &'static [(&'static str, Takes)],
    others: &'static str,
) -> Command {
    Command { name, flags, others }
}

const CURL: &[(&str, Takes)] = &[
    ("u", Takes::Pair(b':')),
    ("U", Takes::Pair(b':')),
    ("b", Takes::Cookie),
    ("user", Takes::Pair(b':')),
    ("proxy-user", Takes::Pair(b':')),
];
const MYSQL: &[(&str, Takes)] = &[("p", Takes::Attached)];
const LDAP: &[(&str, Takes)] = &[("w", Takes::Password)];
const MOSQUITTO: &[(&str, Takes)] = &[("P", Takes::Password)];
const LOGIN: &[(&str, Takes)] = &[("p", Takes::Password)];

const COMMANDS: &[Command] = &[
    command("curl", CURL, "ACDEFHKPQTXYcdehmortwxyz"),
    command("docker login", LOGIN, "u"),
    command("podman login", LOGIN, "u"),
    command("ldapadd", LDAP, "DHSXYbfhlops"),
    command("ldapdelete", LDAP, "DHSXYbfhlops"),
    command("ldapmodify", LDAP, "DHSXYbfhlops"),
    command("ldapsearch", LDAP, "DHSXYbfhlops"),
    command("mariadb", MYSQL, "DPSehu"),
    command("mosquitto_pub", MOSQUITTO, "hikmptu"),
    command("mosquitto_sub", MOSQUITTO, "hikptu"),
    command("mysql", MYSQL, "DPSehu"),
    command("mysqladmin", MYSQL, "PShu"),
    command("mysqldump", MYSQL, "PShruw"),
    command("redis-cli", &[("a", Takes::Password)], "hnpsu"),
    command("smbclient", &[("U", Takes::Pair(b'%'))], "DILWcp"),
    command("sshpass", &[("p", Takes::Password)], "Pdef"),
];

/// The names of the commands, in the order of their numbers.
pub(super) fn commands() -> impl Iterator<Item = &'static str> {
    COMMANDS.iter().map(|command| command.name)
}

/// Longest command line, and most words of it, that is looked at.
const MAX_LINE: usize = 8192;
const MAX_WORDS: usize = 256;

/// Elements that colour a command line.
const COLOURS: &[&str] = &["b", "code", "em", "font", "i", "mark", "span", "strong"];

impl Scan<'_> {
    /// `--password value`.
    pub(super) fn flag(&mut self, name: Name, at: usize) -> Option<usize> {
        if at > name.end && Quote::at(self.data, at).is_some() {
            return self.scalar(name, None, at);
        }
        let end = parameter_end(self.data, at, 0);
        let is_value = at > name.end && end > at && self.data.get(at) != Some(&b'-');
        (is_value && self.judged(name.verdict, name, at, end, Place::Script))
            .then(|| self.cut_named(name, at, end))
    }

    /// Takes credentials out of the arguments of a command, whose name stands at `start..end`.
    pub(super) fn command(&mut self, number: usize, start: usize, end: usize) {
        let data = self.data;
        let is_within =
            |at: Option<&u8>| at.is_some_and(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(byte));
        let before = start.checked_sub(1).and_then(|before| data.get(before));
        if start < self.command_end || is_within(before) || is_within(data.get(end)) {
            return;
        }
        let Some(command) = COMMANDS.get(number) else {
            return;
        };
        let mut at = end + if data[end..].starts_with(b".exe") { 4 } else { 0 };
        // In a list, each word is a string.
        let is_list = Quote::at(data, at).is_some_and(|close| {
            let is_path = |byte: &&u8| byte.is_ascii_alphanumeric() || b"/._-".contains(byte);
            let path = data[..start].iter().rev().take(64).take_while(is_path).count();
            let start = start - path;
            Quote::before(data, start, start.saturating_sub(8)).is_some_and(|open| open.closes(close))
        });
        if is_list {
            at += Quote::at(data, at).map_or(0, |quote| quote.width);
        }
        let limit = data.len().min(start + MAX_LINE);
        let mut wanted = None;
        for _ in 0..MAX_WORDS {
            let Some(word) = self.next_argument(at, is_list).filter(|word| word.start < limit) else {
                break;
            };
            at = word.next;
            let text = &data[word.start..word.end];
            if let Some((flag, takes)) = wanted.take() {
                self.credentials(flag, takes, word.start, word.end);
                continue;
            }
            let Some((takes, width)) = command.flag(text) else {
                continue;
            };
            let flag = (word.start, word.start + width);
            match &text[width..] {
                b"" if takes == Takes::Attached => {}
                b"" => wanted = Some((flag, takes)),
                // `-u"me":"secret"`, `--user=…`.
                rest => {
                    let start = word.start + width + usize::from(rest[0] == b'=');
                    let (start, end) = within_quotes(data, start, word.end);
                    self.credentials(flag, takes, start, end);
                }
            }
        }
        self.command_end = at;
    }

    fn credentials(&mut self, flag: (usize, usize), takes: Takes, start: usize, end: usize) {
        let data = self.data;
        let name = Name {
            start: flag.0,
            end: flag.1,
            verdict: Verdict::Secret,
        };
        let value = &data[start..end];
        let mark = match takes {
            Takes::Pair(mark) => memchr::memchr(mark, value),
            Takes::Cookie => memchr::memchr(b'=', value),
            Takes::Password | Takes::Attached => {
                if self.is_given(name, start, end) {
                    self.cut(Source::Credential, start, end);
                }
                return;
            }
        };
        let Some(mark) = mark else {
            return;
        };
        let secret = start + mark + 1;
        if takes == Takes::Cookie {
            if self.is_given(name, secret, end) {
                self.cut(Source::Cookie, secret, end);
            }
        // A key may be the user, without any password.
        } else if self.is_given(name, secret, end) || (secret == end && is_random(&value[..mark])) {
            self.found.add(Source::Credential, &data[secret..end]);
            self.cut(Source::Token, start, end);
        }
    }

    /// Whether a password is given, and no name of one as in manuals.
    fn is_given(&self, name: Name, start: usize, end: usize) -> bool {
        self.judged(name.verdict, name, start, end, Place::Parameter)
            && !is_field(&self.data[start..end], self.lexicon.names)
    }

    /// The next word of a command line from `at` on; `None` where the command ends.
    fn next_argument(&self, mut at: usize, is_list: bool) -> Option<Word> {
        let data = self.data;
        let from = at;
        loop {
            let slash = position(data, at, |byte| byte != b'\\');
            match data.get(at)? {
                b' ' | b'\t' => at += 1,
                b',' if is_list => at += 1,
                b'\n' | b'\r' if is_list => at += 1,
                // A line that goes on in the next, and one in a string of JSON that does.
                b'\\' if matches!(data.get(slash), Some(b'\n' | b'\r')) => {
                    at = position(data, slash, |byte| !b"\r\n".contains(&byte));
                }
                b'\\' if slash - at >= 3 && matches!(data.get(slash), Some(b'n' | b'r')) => at = slash + 1,
                b'\\' if slash - at == 1 && data.get(slash) == Some(&b't') => at = slash + 1,
                b'^' | b'`' if matches!(data.get(at + 1), Some(b'\n' | b'\r')) => {
                    at = position(data, at + 1, |byte| !b"\r\n".contains(&byte));
                }
                b'<' if self.kind == Kind::Markup => at = colour_end(data, at)?,
                _ => break,
            }
        }
        if b"\n\r|;<)]}".contains(&data[at])
            || data[at..].starts_with(b"&&")
            || data[at..].starts_with(b"&amp;&amp;")
        {
            return None;
        }
        match Quote::at(data, at) {
            // The string ends in which the command is.
            Some(_) if at == from && !is_list => return None,
            Some(quote) => {
                let start = at + quote.width;
                let end = quote.end(data, start);
                let next = (end + quote.width).min(data.len());
                let whole = if is_list { next } else { word_end(data, next) };
                return Some(if whole == next {
                    Word { start, end, next }
                } else {
                    Word {
                        start: at,
                        end: whole,
                        next: whole,
                    }
                });
            }
            None => {}
        }
        let end = word_end(data, at);
        (end > at).then_some(Word {
            start: at,
            end,
            next: end,
        })
    }
}

/// A word of a command line, without quotes around it, and where to go on.
struct Word {
    start: usize,
    end: usize,
    next: usize,
}

impl Command {
    /// The flag with credentials that a word has in it, and how many bytes of the word that is.
    fn flag(&self, word: &[u8]) -> Option<(Takes, usize)> {
        let letters = word.strip_prefix(b"-")?;
        let is_flag = |flag: &[u8]| self.flags.iter().find(|(name, _)| name.as_bytes() == flag);
        if let Some(long) = letters.strip_prefix(b"-") {
            let end = memchr::memchr(b'=', long).unwrap_or(long.len());
            let (_, takes) = is_flag(&long[..end]).filter(|_| end > 1)?;
            return Some((*takes, end + 2));
        }
        for (index, letter) in letters.iter().enumerate() {
            if let Some((_, takes)) = is_flag(&letters[index..=index]) {
                return Some((*takes, index + 2));
            }
            if !letter.is_ascii_alphanumeric() || self.others.as_bytes().contains(letter) {
                return None;
            }
        }
        None
    }
}

/// Where a word ends that goes on at `at`: at a blank, a quote that opens nothing, or the end of the command.
fn word_end(data: &[u8], from: usize) -> usize {
    let mut at = from;
    loop {
        at = position(data, at, |byte| {
            byte.is_ascii_whitespace() || b"\"'`<>|;\\,&)]}".contains(&byte)
        });
        let goes_on = |at: usize| {
            data.get(at)
                .is_some_and(|next| !next.is_ascii_whitespace() && !b"\"'`<>,;)]}".contains(next))
        };
        match data.get(at) {
            // `"me":"secret"`.
            Some(b'"' | b'\'') if at > 0 && b":=%".contains(&data[at - 1]) => {
                let Some(quote) = Quote::at(data, at) else {
                    return at;
                };
                at = (quote.end(data, at + quote.width) + quote.width).min(data.len());
            }
            Some(b',' | b')' | b']' | b'}') if goes_on(at + 1) => at += 1,
            // `${PASSWORD}`.
            Some(close @ (b')' | b']' | b'}')) => {
                let open = match close {
                    b')' => b'(',
                    close => close - 2,
                };
                if memchr::memrchr(open, &data[from..at]).is_none() {
                    return at;
                }
                at += 1;
            }
            Some(b'&')
                if !data[at..].starts_with(b"&&")
                    && !data[at..].starts_with(b"&quot;")
                    && goes_on(at + 1) =>
            {
                at += 1
            }
            Some(b'\\')
                if data
                    .get(at + 1)
                    .is_some_and(|next| !b"nrt\"'\\\r\n".contains(next)) =>
            {
                at += 2
            }
            _ => return at.min(data.len()),
        }
    }
}

/// The inside of one string that is the whole of `start..end`, or that itself.
fn within_quotes(data: &[u8], start: usize, end: usize) -> (usize, usize) {
    match Quote::at(data, start) {
        Some(quote) if start + quote.width < end => {
            let close = quote.end(data, start + quote.width);
            if close + quote.width == end {
                (start + quote.width, close)
            } else {
                (start, end)
            }
        }
        _ => (start, end),
    }
}

/// Where a tag ends that colours a command line.
fn colour_end(data: &[u8], at: usize) -> Option<usize> {
    let start = at + 1 + usize::from(data.get(at + 1) == Some(&b'/'));
    let end = position(data, start, |byte| !byte.is_ascii_alphanumeric());
    let name = &data[start..end];
    let is_colour = COLOURS
        .iter()
        .any(|colour| colour.as_bytes().eq_ignore_ascii_case(name));
    let close = position(data, end, |byte| matches!(byte, b'>' | b'<'));
    (is_colour && data.get(close) == Some(&b'>')).then_some(close + 1)
}
