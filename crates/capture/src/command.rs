//! One exchange as text that does it again: a `curl` command for a POSIX shell, `fetch` for JavaScript.

use serde_json::json;

use crate::body::Body;
use crate::exchange::{Exchange, Header, header};
use crate::jsonl::is_control;
use crate::multipart;

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
/// Forms with files become `--form` with curl's own boundary. A file whose content is not known is read from a file of
/// its name in the current directory.
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
    let method = without_controls(&request.method);
    // With `--request HEAD` curl would wait for a body; with `--head` it sends none.
    let is_head = method.eq_ignore_ascii_case("HEAD");
    let body = request
        .body
        .as_ref()
        .filter(|body| !is_head && !body.bytes().is_empty());
    let mut words = vec!["curl".to_owned()];
    // `[]{}` in a URL are not patterns here.
    if request.url.contains(['[', ']', '{', '}']) {
        words.push("--globoff".to_owned());
    }
    let url = without_controls(&request.url);
    if url.is_empty() || url.starts_with('-') {
        words.push("--url".to_owned());
    }
    words.push(quote(&url));
    let usual = if body.is_some() { "POST" } else { "GET" };
    if is_head {
        words.push("--head".to_owned());
    } else if !method.is_empty() && method != usual {
        words.extend(["--request".to_owned(), quote(&method)]);
    }
    let data = body.map(|body| form(body, &request.headers).unwrap_or_else(|| data(body)));
    let is_form = data.as_ref().is_some_and(|data| data.is_form);
    let is_type = |header: &&Header| header.name.eq_ignore_ascii_case("content-type");
    for header in sent_headers(&request.headers).filter(|header| !(is_form && is_type(header))) {
        // A header without a value is sent when a semicolon ends it.
        let header = match without_controls(&header.value).as_str() {
            "" => format!("{};", header.name),
            value => format!("{}: {value}", header.name),
        };
        words.extend(["--header".to_owned(), quote(&header)]);
    }
    if let Some(body) = body.filter(|_| !is_form && !request.headers.iter().any(|header| is_type(&header))) {
        // Otherwise curl says that it is a form.
        match without_controls(&body.mime_type).as_str() {
            FORM => {}
            "" => words.extend(["--header".to_owned(), quote("Content-Type:")]),
            told => words.extend(["--header".to_owned(), quote(&format!("Content-Type: {told}"))]),
        }
    }
    let has_encoding = |header: &Header| header.name.eq_ignore_ascii_case("accept-encoding");
    if request.headers.iter().any(has_encoding) {
        words.push("--compressed".to_owned());
    }
    let Some(data) = data else {
        return words.join(" ");
    };
    words.extend(data.words);
    match data.input {
        Some(input) => format!("printf '{}' | {}", printf(input), words.join(" ")),
        None => words.join(" "),
    }
}

/// What curl takes for forms unless it is told otherwise.
const FORM: &str = "application/x-www-form-urlencoded";

/// How curl gets a body.
struct Data<'a> {
    words: Vec<String>,
    /// What comes through a pipe.
    input: Option<&'a [u8]>,
    is_form: bool,
}

/// A body as it is.
fn data(body: &Body) -> Data<'_> {
    let bytes = body.bytes();
    let plain = plain(bytes).filter(|text| !text.starts_with('@'));
    Data {
        words: match plain {
            Some(text) => vec!["--data-raw".to_owned(), quote(text)],
            None => vec!["--data-binary".to_owned(), "@-".to_owned()],
        },
        input: plain.is_none().then_some(bytes),
        is_form: false,
    }
}

/// A form with files as its fields; nothing for what is none, or what `--form` cannot say.
fn form<'a>(body: &'a Body, headers: &[Header]) -> Option<Data<'a>> {
    let sent = || multipart::boundary(header(headers, "content-type")?);
    let boundary = multipart::boundary(&body.mime_type).or_else(sent)?;
    let mut data = Data {
        words: Vec::new(),
        input: None,
        is_form: true,
    };
    for part in multipart::parse(body.bytes(), boundary)? {
        let name = without_controls(&part.name);
        if name != part.name || name.is_empty() || name.contains('=') {
            return None;
        }
        let source = match &part.file_name {
            None => format!("\"{}\"", escape(plain(part.content)?)),
            Some(file_name) if part.content.is_empty() && body.is_cut() => {
                // Never from elsewhere: the name may be a page's choice.
                let base = file_name
                    .rsplit(['/', '\\'])
                    .next()
                    .filter(|base| !base.is_empty() && *base != "-");
                format!("@\"{}\"", escape(plain(base?.as_bytes())?))
            }
            // Standard input is there once.
            Some(_) if data.input.is_some() => return None,
            Some(_) => {
                data.input = Some(part.content);
                "@-".to_owned()
            }
        };
        let mut field = format!("{name}={source}");
        if let Some(file_name) = &part.file_name {
            field += &format!(";filename=\"{}\"", escape(plain(file_name.as_bytes())?));
        }
        match &part.content_type {
            Some(content_type) if is_plain_type(content_type) => field += &format!(";type={content_type}"),
            Some(_) => return None,
            None => {}
        }
        match (&part.file_name, &part.content_type) {
            // Here nothing in a value means anything.
            (None, None) => {
                let text = plain(part.content)?;
                data.words
                    .extend(["--form-string".to_owned(), quote(&format!("{name}={text}"))]);
            }
            _ => data.words.extend(["--form".to_owned(), quote(&field)]),
        }
    }
    Some(data).filter(|data| !data.words.is_empty())
}

/// For what stands in quotes in an argument of `--form`.
fn escape(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}

/// Whether curl takes a media type as it stands.
fn is_plain_type(text: &str) -> bool {
    let mut parts = text.splitn(2, '/');
    let is_name =
        |part: Option<&str>| part.is_some_and(|part| part.starts_with(|c: char| c.is_ascii_alphanumeric()));
    is_name(parts.next())
        && is_name(parts.next())
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "/+.-;= ".contains(c))
}

/// Bytes as text that needs no escapes.
fn plain(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes)
        .ok()
        .filter(|text| !text.contains(is_control))
}

/// A call of `fetch` in one line. Where `fetch` can send no body, a comment says that there was one.
pub fn fetch_call(exchange: &Exchange) -> String {
    let request = &exchange.request;
    let headers: Vec<[String; 2]> = sent_headers(&request.headers)
        .map(|header| [header.name.clone(), byte_string(&header.value)])
        .collect();
    let mut options = json!({ "headers": headers });
    if !request.method.is_empty() {
        options["method"] = request.method.as_str().into();
    }
    let is_without = ["GET", "HEAD", ""]
        .iter()
        .any(|method| request.method.eq_ignore_ascii_case(method));
    let body = request.body.as_ref().filter(|body| !body.bytes().is_empty());
    let mut bytes = String::new();
    let mut comment = "";
    match body.map(|body| (body.text(), body)) {
        Some(_) if is_without => {
            comment = " /* the request had a body, which fetch does not send with this method */"
        }
        Some((Some(text), _)) => options["body"] = text.into(),
        Some((None, body)) => bytes = format!(", body: new Uint8Array({:?})", body.bytes()),
        None => {}
    }
    let options = options.to_string();
    let options = options.trim_end_matches('}');
    let text = format!("fetch({}, {options}{bytes}}}){comment}", json!(request.url));
    let escape = |c: char| match c {
        c if is_control(c) => format!("\\u{:04x}", u32::from(c)),
        c => c.to_string(),
    };
    text.chars().map(escape).collect()
}

/// A header's value as `fetch` takes it, without controls: a character for each byte that is sent.
fn byte_string(text: &str) -> String {
    let text = without_controls(text);
    if text.is_ascii() {
        text
    } else {
        text.bytes().map(char::from).collect()
    }
}

/// The headers to send again. What is no name for HTTP would be refused, or taken for the name of a file.
fn sent_headers(headers: &[Header]) -> impl Iterator<Item = &Header> {
    headers.iter().filter(|header| {
        let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
        let name = header.name.to_ascii_lowercase();
        !name.is_empty() && name.chars().all(is_token) && !OWN.contains(&name.as_str())
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
                "--header",
                "Content-Type:",
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

    #[test]
    fn fetch_is_called_as_it_can_be() {
        let mut exchange = Exchange::default();
        exchange.request.method = "GET".to_owned();
        exchange.request.url = "https://example.org/".to_owned();
        exchange.request.headers = [
            ("X", "a\r\nb\0"),
            ("Y", "ä€"),
            ("Z z", "1"),
            ("@/etc/passwd", "1"),
        ]
        .map(|(name, value)| Header {
            name: name.to_owned(),
            value: value.to_owned(),
        })
        .to_vec();
        exchange.request.body = Some(Body::new("", "{}"));
        assert_eq!(
            fetch_call(&exchange),
            "fetch(\"https://example.org/\", {\"headers\":[[\"X\",\"ab\"],[\"Y\",\"Ã¤â\\u0082¬\"]],\"method\":\"GET\"}) \
             /* the request had a body, which fetch does not send with this method */"
        );
        exchange.request.method.clear();
        exchange.request.headers.clear();
        exchange.request.body = None;
        assert_eq!(
            fetch_call(&exchange),
            "fetch(\"https://example.org/\", {\"headers\":[]})"
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
