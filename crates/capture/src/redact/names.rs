//! Names that tell of secrets, judged by their words: the last one says what a thing is, those before it of which kind.
//!
//! `access_token` is a token and secret, `token_type` a type and not, `max_tokens` a count, `primary_key` no secret key.

use std::collections::BTreeSet;

use super::vocabulary::{
    ACCESS, FUSED, HOLDERS, LIKELY_KEYS, OTHER_SIGNATURES, OTHER_TOKENS, PASSWORDS, PLURAL, SECRET,
    SECRET_CODES, SECRET_KEYS, SECRET_NUMBERS, SESSIONS, SWITCH, TRANSPARENT,
};
use super::words::Words;

/// What a name tells about its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Verdict {
    /// Nothing.
    Harmless,
    /// It is secret if it looks like one: `key`.
    Look,
    /// `code`: of an authorization in parameters, mostly of an error elsewhere.
    Code,
    /// It is secret as a parameter, and elsewhere unless it reads like a word: `session`, `signature`, `ticket`.
    Likely,
    /// It is secret unless it is a number: `tokens`, `pass`.
    Texts,
    /// It is secret: `password`.
    Secret,
    /// The person said that it is.
    Added,
}

/// Whether a header, parameter or key of this name holds a secret, by what is common. Names such as `key`, `code` and
/// `session`, which often hold none, count as well: a [`super::Redactor`] looks at their values.
///
/// # Examples
///
/// ```
/// use qemuweb_capture::is_secret_name;
///
/// assert!(is_secret_name("X-Amz-Security-Token"));
/// assert!(is_secret_name("client_secret"));
/// assert!(!is_secret_name("Content-Type"));
/// assert!(!is_secret_name("max_tokens"));
/// ```
pub fn is_secret_name(name: &str) -> bool {
    Names::default().judge(name.as_bytes()) != Verdict::Harmless
}

/// The common names and those that the user added.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Names {
    added: BTreeSet<String>,
}

impl Names {
    pub(super) fn with<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let added = names.into_iter().map(plain).filter(|name| !name.is_empty());
        Self {
            added: added.collect(),
        }
    }

    /// Those that the user added, in lower case without punctuation.
    pub(super) fn added(&self) -> impl Iterator<Item = &str> {
        self.added.iter().map(String::as_str)
    }

    /// What a name tells.
    pub(super) fn judge(&self, name: &[u8]) -> Verdict {
        if !self.added.is_empty() && self.is_added(name) {
            return Verdict::Added;
        }
        let words = Words::of(name);
        let mut head = words.len();
        while head > 0 {
            head -= 1;
            let word = words.get(head);
            if head > 0 && is_one(TRANSPARENT, word) && !is_connection_string(&words, head) {
                continue;
            }
            // The id of a session or a key.
            if word == b"id"
                && head > 0
                && is_one(
                    &["key", "secret", "sess", "session", "token"],
                    words.get(head - 1),
                )
            {
                match words.get(head - 1) {
                    before if before.starts_with(b"sess") => return Verdict::Secret,
                    // One of a list, or half of what is secret.
                    b"token" | b"secret" => return Verdict::Likely,
                    _ => continue,
                }
            }
            return judge(&words, head, word);
        }
        Verdict::Harmless
    }

    /// Whether a name is one of a password, which may be a word.
    pub(super) fn is_password(&self, name: &[u8]) -> bool {
        let words = Words::of(name);
        let is_one_of = |word: &[u8]| is_one(PASSWORDS, word) || word.ends_with(b"password");
        self.judge(name) == Verdict::Added || words.before(words.len()).any(is_one_of)
    }

    fn is_added(&self, name: &[u8]) -> bool {
        let name = &name[name.len().saturating_sub(1024)..];
        self.added.contains(&plain(&String::from_utf8_lossy(name)))
    }
}

fn is_connection_string(words: &Words, head: usize) -> bool {
    words.get(head - 1) == b"connection" && words.get(head).starts_with(b"str")
}

/// Judges by the word that counts, at `head`, and those before it.
fn judge(words: &Words, head: usize, word: &[u8]) -> Verdict {
    let any = |list: &[&str]| words.before(head).any(|word| is_one(list, word));
    let none_or = |list: &[&str]| head == 0 || any(list);
    let when = |holds: bool, verdict| if holds { verdict } else { Verdict::Harmless };
    // Also after the `data` of an attribute, but not after the `X` of a header.
    if words.get(0) != b"x" && words.before(head).take(2).any(|word| is_one(SWITCH, word)) {
        return Verdict::Harmless;
    }
    match word {
        // `page_access_token` and `next-auth.csrf-token` give access.
        b"token"
            if words
                .before(head)
                .next_back()
                .is_some_and(|kind| is_one(ACCESS, kind)) =>
        {
            Verdict::Secret
        }
        b"token" | b"tokens" if any(OTHER_TOKENS) => Verdict::Harmless,
        b"password" if any(&["change", "reset", "set", "update"]) => Verdict::Likely,
        word if is_one(SECRET, word) => Verdict::Secret,
        word if is_one(PLURAL, word) => Verdict::Texts,
        b"key" if head == 0 => Verdict::Look,
        b"key" if any(SECRET_KEYS) => Verdict::Secret,
        b"key" if any(&["backup", "feed", "insert", "query", "rss", "sentry", "user"]) => Verdict::Look,
        b"key" => when(any(LIKELY_KEYS), Verdict::Likely),
        b"keys" => when(any(&["access", "api", "private", "secret"]), Verdict::Texts),
        b"code" if head == 0 => Verdict::Code,
        b"code" => when(any(SECRET_CODES), Verdict::Secret),
        b"codes" => when(any(&["backup", "recovery"]), Verdict::Texts),
        b"pin" => when(none_or(HOLDERS), Verdict::Secret),
        // By itself it may count what passed.
        b"pass" if head == 0 => Verdict::Texts,
        b"pass" => when(any(HOLDERS), Verdict::Secret),
        b"phrase" => when(
            any(&["mnemonic", "pass", "recovery", "secret", "seed"]),
            Verdict::Secret,
        ),
        b"session" | b"sess" | b"sid" | b"ticket" if none_or(SESSIONS) => Verdict::Likely,
        b"session" | b"sess" | b"sid" | b"sign" => Verdict::Look,
        b"answer" => when(any(&["secret", "security"]), Verdict::Secret),
        b"nonce" => when(any(&["ajax", "csrf", "wp"]), Verdict::Secret),
        b"signature" | b"sig" => when(!any(OTHER_SIGNATURES), Verdict::Likely),
        b"auth" | b"xauth" | b"mfa" | b"tfa" => Verdict::Likely,
        b"number" | b"num" | b"no" => when(any(SECRET_NUMBERS), Verdict::Secret),
        b"passe" => when(any(&["mot"]), Verdict::Secret),
        b"cardnumber" | b"ccnum" | b"ccnumber" | b"connectionstring" | b"samlart" | b"samlresponse" => {
            Verdict::Secret
        }
        b"card" => when(any(&["credit", "debit"]), Verdict::Secret),
        b"response" => when(
            any(&["captcha", "hcaptcha", "recaptcha", "saml", "turnstile"]),
            Verdict::Secret,
        ),
        // The words of `SAMLart`, by its capitals.
        b"lart" => when(any(&["sam"]), Verdict::Secret),
        b"art" | b"request" | b"samlrequest" => {
            when(any(&["saml"]) || word.starts_with(b"saml"), Verdict::Secret)
        }
        b"string" | b"str" => when(head > 0, Verdict::Secret),
        b"hint" => when(any(&["token"]), Verdict::Secret),
        _ => fused(word),
    }
}

/// Judges a word that may be several written together.
fn fused(word: &[u8]) -> Verdict {
    let rest = |end: &str| word.strip_suffix(end.as_bytes());
    if let Some(front) = FUSED.iter().find_map(|end| rest(end)) {
        let counts = is_one(OTHER_TOKENS, front) || is_one(SWITCH, front);
        return if counts {
            Verdict::Harmless
        } else {
            Verdict::Secret
        };
    }
    let within = |front: Option<&[u8]>, list: &[&str], verdict| {
        front.filter(|front| is_one(list, front)).map(|_| verdict)
    };
    let starts = ["password", "passwd", "passwort"].iter();
    let starts = starts.filter_map(|start| word.strip_prefix(start.as_bytes()));
    // `ASPSESSIONIDQQBCDA` has a random end.
    if starts.into_iter().any(|end| is_one(TRANSPARENT, end)) || word.starts_with(b"aspsessionid") {
        return Verdict::Secret;
    }
    within(
        rest("tokens"),
        &["access", "api", "auth", "refresh"],
        Verdict::Texts,
    )
    .or_else(|| within(rest("key"), SECRET_KEYS, Verdict::Secret))
    .or_else(|| within(rest("key"), LIKELY_KEYS, Verdict::Likely))
    .or_else(|| within(rest("code"), SECRET_CODES, Verdict::Secret))
    .or_else(|| within(rest("pass"), HOLDERS, Verdict::Secret))
    .or_else(|| within(rest("pin"), &["card", "user"], Verdict::Secret))
    .or_else(|| within(rest("session"), SESSIONS, Verdict::Likely))
    .unwrap_or(Verdict::Harmless)
}

fn is_one(list: &[&str], word: &[u8]) -> bool {
    list.iter().any(|one| one.as_bytes() == word)
}

/// A name without percent encoding, case and punctuation.
pub(super) fn plain(name: &str) -> String {
    crate::url::decode(name)
        .chars()
        .filter(|c| c.is_alphanumeric())
        .flat_map(char::to_lowercase)
        .collect()
}
