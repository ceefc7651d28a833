//! What a text is searched for, in one pass: parts of names, escapes that may hide a name, prefixes of tokens, commands and
//! `data:` URLs.

use std::sync::{Arc, LazyLock};

use aho_corasick::AhoCorasick;

use super::names::Names;
use super::{command, data_url, tokens};

/// Parts of names. What they stand in is judged by its words.
const NAMES: &[&str] = &[
    "adgangskode",
    "answer",
    "apikey",
    "assertion",
    "auth",
    "bearer",
    "captcha",
    "card",
    "ccnum",
    "code",
    "connection",
    "contrase",
    "cookie",
    "credential",
    "csc",
    "csrf",
    "cvc",
    "cvn",
    "cvv",
    "depasse",
    "dtsg",
    "haslo",
    "hasło",
    "heslo",
    "hint",
    "hmac",
    "hotp",
    "iban",
    "jelszo",
    "jwe",
    "jws",
    "jwt",
    "kennwort",
    "key",
    "losenord",
    "lösenord",
    "mfa",
    "mnemonic",
    "nonce",
    "number",
    "otp",
    "parola",
    "pass",
    "phrase",
    "pin",
    "psw",
    "pwd",
    "salasana",
    "saml",
    "secret",
    "security",
    "senha",
    "sess",
    "sid",
    "sifre",
    "sig",
    "ssn",
    "tfa",
    "ticket",
    "token",
    "turnstile",
    "verifier",
    "wachtwoord",
    "wresult",
    "xsrf",
    "şifre",
    "κωδικός",
    "пароль",
    "パスワード",
    "口令",
    "密码",
    "密碼",
    "暗証番号",
    "비밀번호",
];

/// Escapes of letters, with which a name may be written.
const ESCAPES: &[&str] = &["\\u", "\\x", "%4", "%5", "%6", "%7"];

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trigger {
    /// Part of a name, or an escape within one.
    Name,
    /// The prefix of a token: see [`tokens::Shape`].
    Token(usize),
    /// The name of a command: see [`command::commands`].
    Command(usize),
    /// The start of a `data:` URL.
    DataUrl,
}

/// The search, for the common names and those that were added.
#[derive(Clone, Debug)]
pub(super) struct Triggers {
    search: Arc<AhoCorasick>,
    /// Patterns from here on are prefixes of tokens, then commands, then starts of `data:` URLs.
    tokens: usize,
    commands: usize,
    data_urls: usize,
}

static COMMON: LazyLock<Triggers> = LazyLock::new(|| Triggers::build(Vec::new()));

impl Default for Triggers {
    fn default() -> Self {
        COMMON.clone()
    }
}

impl Triggers {
    pub(super) fn with(names: &Names) -> Self {
        let added: Vec<String> = names.added().flat_map(starts).collect();
        if added.is_empty() {
            Self::default()
        } else {
            Self::build(added)
        }
    }

    fn build(added: Vec<String>) -> Self {
        let common = NAMES.iter().chain(ESCAPES).map(|name| (*name).to_owned());
        let names: Vec<String> = common.chain(added).collect();
        let tokens = names.len();
        let mut patterns = names;
        patterns.extend(tokens::prefixes().map(str::to_owned));
        let commands = patterns.len();
        patterns.extend(command::commands().map(str::to_owned));
        let data_urls = patterns.len();
        patterns.extend(data_url::STARTS.iter().map(|start| (*start).to_owned()));
        let build = |kind| {
            AhoCorasick::builder()
                .ascii_case_insensitive(true)
                // `bearer TOKEN` before `bearer`.
                .match_kind(aho_corasick::MatchKind::LeftmostLongest)
                .kind(kind)
                .build(&patterns)
        };
        // Only the number of patterns may be too large, which the limit on names prevents.
        let search = build(Some(aho_corasick::AhoCorasickKind::DFA))
            .or_else(|_| build(None))
            .unwrap_or_else(|_| unreachable!("some hundreds of short patterns"));
        Self {
            search: Arc::new(search),
            tokens,
            commands,
            data_urls,
        }
    }

    /// All places, in order, with where each starts and ends.
    pub(super) fn find<'a>(&'a self, data: &'a [u8]) -> impl Iterator<Item = (Trigger, usize, usize)> + 'a {
        self.search.find_iter(data).map(|found| {
            let pattern = found.pattern().as_usize();
            let trigger = match pattern {
                _ if pattern < self.tokens => Trigger::Name,
                _ if pattern < self.commands => Trigger::Token(pattern - self.tokens),
                _ if pattern < self.data_urls => Trigger::Command(pattern - self.commands),
                _ => Trigger::DataUrl,
            };
            (trigger, found.start(), found.end())
        })
    }
}

/// How a name that was added may start: its first letters, with or without something between them, in either case.
fn starts(name: &str) -> Vec<String> {
    let letters: Vec<char> = name.chars().take(3).collect();
    let mut starts = vec![String::new()];
    for (index, letter) in letters.iter().enumerate() {
        let mut spellings: Vec<String> = vec![letter.to_string()];
        let upper: String = letter.to_uppercase().collect();
        if !letter.is_ascii() && upper != spellings[0] {
            spellings.push(upper);
        }
        if !letter.is_ascii() {
            let units = letter
                .encode_utf16(&mut [0; 2])
                .iter()
                .map(|unit| format!("\\u{unit:04x}"))
                .collect();
            let bytes = letter
                .to_string()
                .bytes()
                .map(|byte| format!("%{byte:02x}"))
                .collect();
            spellings.extend([units, bytes]);
        }
        let between: &[&str] = if index == 0 {
            &[""]
        } else {
            &["", "-", "_", ".", "[", " "]
        };
        starts = starts
            .iter()
            .flat_map(|start| between.iter().map(move |between| format!("{start}{between}")))
            .flat_map(|start| spellings.iter().map(move |letter| format!("{start}{letter}")))
            .collect();
    }
    starts
}
