//! One exchange as text that does it again: a `curl` command for a POSIX shell, `fetch` for JavaScript.

use serde_json::json;

use crate::body::Body;
use crate::exchange::{Exchange, Header};
use crate::jsonl::is_control;

/// Headers that curl and browsers make themselves.
const OWN: [&str; 6] = [
    "accept-encoding",
    "connection",
    "content-length",
    "host",
    "keep-alive",
    "transfer-encoding",
];

/// A `curl` command in one line. Every text stands in quotes, so that the shell takes none as its own; bytes that a
/// terminal might obey are written as escapes in a `printf` that curl reads.
///
/// # Examples
///
/// ```
/// use qemuweb_capture::{Exchange, curl_command};
///
/// let mut exchange = Exchange::default();
/// exchange.request.method = "GET".to_owned();
/// exchange.request.url = "https://example.org/it's".to_owned();
/// assert_eq!(curl_command(&exchange), r"curl 'https://example.org/it'\''s'");
/// ```
pub fn curl_command(exchange: &Exchange) -> String {
    let request = &exchange.request;
    let body = request
        .body
        .as_ref()
        .map(Body::bytes)
        .filter(|body| !body.is_empty());
    let mut words = vec!["curl".to_owned()];
    // `[]{}` in a URL are not patterns here.
    if request.url.contains(['[', ']', '{', '}']) {
        words.push("--globoff".to_owned());
    }
    words.push(quote(&without_controls(&request.url)));
    let usual = if body.is_some() { "POST" } else { "GET" };
    let method = without_controls(&request.method);
    if method == "HEAD" {
        words.push("--head".to_owned());
    } else if !method.is_empty() && method != usual {
        words.extend(["--request".to_owned(), quote(&method)]);
    }
    for header in sent_headers(&request.headers) {
        // A header without a value is sent when a semicolon ends it.
        let value = without_controls(&header.value);
        let header = match value.as_str() {
            "" => format!("{};", without_controls(&header.name)),
            _ => format!("{}: {value}", without_controls(&header.name)),
        };
        words.extend(["--header".to_owned(), quote(&header)]);
    }
    let has_encoding = |header: &Header| header.name.eq_ignore_ascii_case("accept-encoding");
    if request.headers.iter().any(has_encoding) {
        words.push("--compressed".to_owned());
    }
    let Some(body) = body else {
        return words.join(" ");
    };
    match std::str::from_utf8(body) {
        Ok(text) if !text.contains(is_control) && !text.starts_with('@') => {
            words.extend(["--data-raw".to_owned(), quote(text)]);
            words.join(" ")
        }
        _ => {
            words.extend(["--data-binary".to_owned(), "@-".to_owned()]);
            format!("printf '{}' | {}", printf(body), words.join(" "))
        }
    }
}

/// A call of `fetch` in one line.
pub fn fetch_call(exchange: &Exchange) -> String {
    let request = &exchange.request;
    let headers: Vec<[&str; 2]> = sent_headers(&request.headers)
        .map(|header| [header.name.as_str(), header.value.as_str()])
        .collect();
    let mut options = json!({ "method": request.method, "headers": headers });
    let body = request.body.as_ref().filter(|body| !body.bytes().is_empty());
    let mut bytes = String::new();
    match body.map(|body| (body.text(), body)) {
        Some((Some(text), _)) => options["body"] = text.into(),
        Some((None, body)) => bytes = format!(", body: new Uint8Array({:?})", body.bytes()),
        None => {}
    }
    let options = options.to_string();
    let options = options.trim_end_matches('}');
    let text = format!("fetch({}, {options}{bytes}}})", json!(request.url));
    let escape = |c: char| match c {
        c if is_control(c) => format!("\\u{:04x}", u32::from(c)),
        c => c.to_string(),
    };
    text.chars().map(escape).collect()
}

fn sent_headers(headers: &[Header]) -> impl Iterator<Item = &Header> {
    headers.iter().filter(|header| {
        let name = header.name.to_ascii_lowercase();
        !name.is_empty() && !name.starts_with(':') && !OWN.contains(&name.as_str())
    })
}

/// In single quotes, in which a POSIX shell takes everything as it is.
fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

fn without_controls(text: &str) -> String {
    text.chars().filter(|c| !is_control(*c)).collect()
}

/// For `printf`'s format: what is not plain as octal escapes.
fn printf(bytes: &[u8]) -> String {
    let escape = |byte: &u8| match byte {
        // A dash in front would be an option.
        b'-' | b'\'' | b'\\' | b'%' => format!("\\{byte:03o}"),
        b' '..=b'~' => char::from(*byte).to_string(),
        _ => format!("\\{byte:03o}"),
    };
    bytes.iter().map(escape).collect()
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use proptest::prelude::*;

    use super::*;
    use crate::arbitrary;

    /// What a shell makes of a command, with curl replaced by something that shows its arguments and input.
    fn shell(command: &str) -> (Vec<String>, Vec<u8>) {
        let script = format!(
            "curl() {{ printf '<%s>\\0' \"$@\"; printf '\\0'; case $* in *@-*) cat ;; esac; }}\n{command}"
        );
        let output = Command::new("sh").args(["-c", &script]).output().unwrap();
        assert!(
            output.status.success() && output.stderr.is_empty(),
            "{command:?}: {output:?}"
        );
        let end = output.stdout.windows(2).position(|pair| pair == [0, 0]).unwrap();
        let arguments = output.stdout[..end].split(|byte| *byte == 0);
        let arguments = arguments.map(|bytes| {
            let text = std::str::from_utf8(bytes).unwrap();
            text.strip_prefix('<')
                .and_then(|text| text.strip_suffix('>'))
                .unwrap()
                .to_owned()
        });
        (arguments.collect(), output.stdout[end + 2..].to_vec())
    }

    #[test]
    fn a_request_is_made_again() {
        let mut exchange = Exchange::default();
        exchange.request.method = "PUT".to_owned();
        exchange.request.url = "https://example.org/$(reboot)`x`?a[]=1".to_owned();
        exchange.request.headers = vec![
            Header {
                name: ":authority".to_owned(),
                value: "example.org".to_owned(),
            },
            Header {
                name: "X-Empty".to_owned(),
                value: String::new(),
            },
        ];
        exchange.request.body = Some(Body::new("", b"%d\\'\x00\xff\n".to_vec()));
        let (arguments, input) = shell(&curl_command(&exchange));
        assert_eq!(
            arguments,
            [
                "--globoff",
                "https://example.org/$(reboot)`x`?a[]=1",
                "--request",
                "PUT",
                "--header",
                "X-Empty;",
                "--data-binary",
                "@-"
            ]
        );
        assert_eq!(input, b"%d\\'\x00\xff\n");
        assert_eq!(
            fetch_call(&exchange),
            "fetch(\"https://example.org/$(reboot)`x`?a[]=1\", {\"headers\":[[\"X-Empty\",\"\"]],\"method\":\"PUT\", \
             body: new Uint8Array([37, 100, 92, 39, 0, 255, 10])})"
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn no_text_leaves_its_quotes(exchange in arbitrary::exchange()) {
            let command = curl_command(&exchange);
            prop_assert!(!command.contains(is_control));
            let (arguments, input) = shell(&command);
            prop_assert!(arguments.contains(&without_controls(&exchange.request.url)));
            let body = exchange.request.body.as_ref().map(Body::bytes).unwrap_or_default();
            if arguments.last().is_some_and(|last| last == "@-") {
                prop_assert_eq!(input, body);
            } else if !body.is_empty() {
                prop_assert_eq!(arguments.last().unwrap().as_bytes(), body);
            }
        }

        #[test]
        fn no_control_is_in_javascript(exchange in arbitrary::exchange()) {
            prop_assert!(!fetch_call(&exchange).contains(is_control));
        }
    }
}
