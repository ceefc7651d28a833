//! Names that tell of secrets.

use std::collections::BTreeSet;

/// Parts that make any name one of a secret.
const PARTS: [&str; 19] = [
    "token",
    "secret",
    "passw",
    "passphrase",
    "apikey",
    "accesskey",
    "privatekey",
    "authkey",
    "credential",
    "signature",
    "jwt",
    "sessionid",
    "sessid",
    "sessionkey",
    "csrf",
    "xsrf",
    "authorization",
    "assertion",
    "bearer",
];

/// Names that are secret as a whole.
const WHOLE: [&str; 13] = [
    "auth",
    "cookie",
    "setcookie",
    "pwd",
    "pass",
    "sid",
    "session",
    "code",
    "sig",
    "pin",
    "otp",
    "samlresponse",
    "xauth",
];

/// Whether a header, parameter or key of this name holds a secret, by what is common.
///
/// # Examples
///
/// ```
/// use qemuweb_capture::is_secret_name;
///
/// assert!(is_secret_name("X-Amz-Security-Token"));
/// assert!(is_secret_name("client_secret"));
/// assert!(!is_secret_name("Content-Type"));
/// ```
pub fn is_secret_name(name: &str) -> bool {
    Names::default().is_secret(name)
}

/// The common names and those that the user added.
#[derive(Clone, Debug, Default)]
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

    pub(super) fn is_secret(&self, name: &str) -> bool {
        let name = plain(name);
        self.added.contains(&name)
            || WHOLE.contains(&name.as_str())
            || PARTS.iter().any(|part| name.contains(part))
    }
}

/// A name without percent encoding, case and punctuation: `X-API_Key` and `xApiKey` are one.
fn plain(name: &str) -> String {
    crate::url::decode(name)
        .chars()
        .filter(|c| c.is_alphanumeric())
        .flat_map(char::to_lowercase)
        .collect()
}
