//! Just enough of URLs to show, filter and redact any text that stands where a URL should.

/// The parts of a text that is taken for a URL, each as it stands there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Url<'a> {
    /// `https`, without the colon; empty when the text is relative.
    pub(crate) scheme: &'a str,
    /// Whether `//` follows.
    pub(crate) has_authority: bool,
    /// What stands before the `@`.
    pub(crate) user_info: Option<&'a str>,
    /// Host name or address, in brackets if it is an IPv6 one.
    pub(crate) host: &'a str,
    /// The port's digits, without the colon.
    pub(crate) port: Option<&'a str>,
    /// From the `/` on; all the rest in URLs without an authority.
    pub(crate) path: &'a str,
    /// Without the `?`.
    pub(crate) query: Option<&'a str>,
    /// Without the `#`.
    pub(crate) fragment: Option<&'a str>,
}

impl<'a> Url<'a> {
    /// Splits any text. Joined again, the parts are the text: see the tests.
    pub(crate) fn split(text: &'a str) -> Self {
        let (text, fragment) = split_off(text, '#');
        let (text, query) = split_off(text, '?');
        let is_scheme = |scheme: &str| {
            scheme.starts_with(|c: char| c.is_ascii_alphabetic())
                && scheme
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
        };
        let (scheme, rest) = text
            .split_once(':')
            .filter(|(scheme, _)| is_scheme(scheme))
            .unwrap_or(("", text));
        let Some(rest) = rest.strip_prefix("//") else {
            return Self {
                scheme,
                path: rest,
                query,
                fragment,
                ..Self::default()
            };
        };
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (user_info, host_and_port) = match authority.rsplit_once('@') {
            Some((user_info, rest)) => (Some(user_info), rest),
            None => (None, authority),
        };
        let (host, port) = host_and_port
            .rsplit_once(':')
            .filter(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()))
            .map_or((host_and_port, None), |(host, port)| (host, Some(port)));
        Self {
            scheme,
            has_authority: true,
            user_info,
            host,
            port,
            path,
            query,
            fragment,
        }
    }

    /// Host and port as they stand in a `Host` header.
    pub(crate) fn host_and_port(&self) -> String {
        match self.port {
            Some(port) => format!("{}:{port}", self.host),
            None => self.host.to_owned(),
        }
    }

    /// Whether the scheme is one over TLS.
    pub(crate) fn is_tls(&self) -> bool {
        ["https", "wss"]
            .iter()
            .any(|scheme| self.scheme.eq_ignore_ascii_case(scheme))
    }

    /// The port, or the scheme's own.
    pub(crate) fn port_number(&self) -> u16 {
        let given = self.port.and_then(|port| port.parse().ok());
        given.unwrap_or(if self.is_tls() { 443 } else { 80 })
    }
}

fn split_off(text: &str, at: char) -> (&str, Option<&str>) {
    text.split_once(at)
        .map_or((text, None), |(before, after)| (before, Some(after)))
}

/// Undoes percent encoding and the `+` of forms; what is no UTF-8 afterwards is shown as U+FFFD.
pub(crate) fn decode(text: &str) -> String {
    String::from_utf8(decode_bytes(text.as_bytes(), b' '))
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

/// Undoes percent encoding alone; a `+` stands for `plus`.
pub(crate) fn decode_bytes(bytes: &[u8], plus: u8) -> Vec<u8> {
    let digit = |at: usize| char::from(*bytes.get(at)?).to_digit(16);
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut index = 0;
    while let Some(&byte) = bytes.get(index) {
        let digits = match byte {
            b'%' => digit(index + 1).zip(digit(index + 2)),
            _ => None,
        };
        index += if digits.is_some() { 3 } else { 1 };
        decoded.push(match digits {
            Some((high, low)) => (high * 16 + low) as u8,
            None if byte == b'+' => plus,
            None => byte,
        });
    }
    decoded
}

/// Percent-encodes a text as forms do, but for what stands for a blank.
pub(crate) fn encode(text: &str, blank: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'*' | b'-' | b'.' | b'_' => {
                encoded.push(char::from(byte))
            }
            b' ' => encoded += blank,
            _ => encoded += &format!("%{byte:02X}"),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn join(url: &Url<'_>) -> String {
        let mut text = String::new();
        if !url.scheme.is_empty() {
            text += url.scheme;
            text.push(':');
        }
        if url.has_authority {
            text += "//";
        }
        if let Some(user_info) = url.user_info {
            text += user_info;
            text.push('@');
        }
        text += &url.host_and_port();
        text += url.path;
        for (mark, part) in [('?', url.query), ('#', url.fragment)] {
            if let Some(part) = part {
                text.push(mark);
                text += part;
            }
        }
        text
    }

    #[test]
    fn parts_are_found() {
        let url = Url::split("https://me:secret@[::1]:8443/a/b?c=d#e");
        assert_eq!(
            (url.scheme, url.user_info, url.host, url.port_number()),
            ("https", Some("me:secret"), "[::1]", 8443)
        );
        assert_eq!(
            (url.path, url.query, url.fragment),
            ("/a/b", Some("c=d"), Some("e"))
        );
        assert_eq!(Url::split("http://example.org").port_number(), 80);
        assert_eq!(Url::split("/relative?x").query, Some("x"));
        assert_eq!(Url::split("data:text/plain,a").path, "text/plain,a");
        assert_eq!(decode("a+b%20c%zz%c3%a4%ff"), "a b c%zzä\u{fffd}");
    }

    proptest! {
        #[test]
        fn nothing_is_lost(text in "([a-z]{1,4}:)?(//)?([a-z:%]{0,4}@)?.{0,20}[?#/:@]{0,3}.{0,9}") {
            prop_assert_eq!(join(&Url::split(&text)), text);
        }

        #[test]
        fn any_text_can_be_decoded(text in ".{0,30}%?.?") {
            decode(&text);
        }
    }
}
