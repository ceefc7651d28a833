//! What arrives when our `curl` commands are run: real curl in a POSIX shell, against a server that keeps the bytes.
#![allow(clippy::unwrap_used)]

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::Command;
use std::thread;
use std::time::Duration;

use qemuweb_capture::{Body, Exchange, Header, Limits, curl_command, har};

/// A request as a server got it.
struct Arrived {
    /// Method and target.
    line: String,
    head: String,
    body: Vec<u8>,
}

impl Arrived {
    fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(':'));
        let mut found = lines.filter(|(other, _)| other.eq_ignore_ascii_case(name));
        found.next().map(|(_, value)| value.trim())
    }
}

/// Runs the command for an exchange whose URL is `http://SERVER` with `target` behind it.
fn run(mut exchange: Exchange, target: &str) -> (String, Arrived) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    exchange.request.url = format!("http://{}{target}", listener.local_addr().unwrap());
    let server = thread::spawn(move || {
        let (mut connection, _) = listener.accept().unwrap();
        connection
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        let mut bytes = Vec::new();
        let mut chunk = [0; 4096];
        let (head, length) = loop {
            let count = connection.read(&mut chunk).unwrap();
            assert!(
                count > 0,
                "the request ended early: {:?}",
                String::from_utf8_lossy(&bytes)
            );
            bytes.extend(&chunk[..count]);
            let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
                continue;
            };
            let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
            let length = head.lines().filter_map(|line| line.split_once(": "));
            let length = length
                .into_iter()
                .find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
            let length = length.map_or(0, |(_, length)| length.parse::<usize>().unwrap());
            if bytes.len() >= end + 4 + length {
                break (head, length);
            }
        };
        connection
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            .unwrap();
        let line = head
            .lines()
            .next()
            .unwrap()
            .trim_end_matches(" HTTP/1.1")
            .to_owned();
        let body = bytes.split_off(head.len() + 4);
        assert_eq!(body.len(), length);
        Arrived { line, head, body }
    });
    let command = curl_command(&exchange);
    let directory = std::env::temp_dir();
    let output = Command::new("sh")
        .args(["-c", &command])
        // Nobody's .curlrc, and no proxy.
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("HOME", "/nonexistent")
        .current_dir(directory)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{command}: {}; curl is in Debian's package of that name",
        String::from_utf8_lossy(&output.stderr)
    );
    (command, server.join().unwrap())
}

fn exchange(method: &str, headers: &[(&str, &str)], body: Option<(&str, &[u8])>) -> Exchange {
    let mut exchange = Exchange::default();
    exchange.request.method = method.to_owned();
    exchange.request.headers = headers
        .iter()
        .map(|(name, value)| Header {
            name: (*name).to_owned(),
            value: (*value).to_owned(),
        })
        .collect();
    exchange.request.body = body.map(|(mime_type, bytes)| Body::new(mime_type, bytes));
    exchange
}

#[test]
fn requests_arrive_byte_for_byte() {
    let all: Vec<u8> = (0..=255).collect();
    let json = br#"{"a": "it's $HOME `x`"}"#;
    let form: &[u8] = b"a=b%26c&d=";
    /// Method, type and body, headers, the type that arrives.
    type Row<'a> = (
        &'a str,
        Option<(&'a str, &'a [u8])>,
        &'a [(&'a str, &'a str)],
        Option<&'a str>,
    );
    let table: &[Row<'_>] = &[
        ("GET", None, &[("Accept", "*/*")], None),
        ("HEAD", None, &[], None),
        ("head", Some(("text/plain", b"never sent")), &[], None),
        (
            "GET",
            Some(("application/json", json)),
            &[],
            Some("application/json"),
        ),
        (
            "POST",
            Some(("text/plain", json)),
            &[("content-type", "application/json")],
            Some("application/json"),
        ),
        ("POST", Some(("", b"@/etc/hostname")), &[], None),
        (
            "PUT",
            Some(("application/octet-stream", &all)),
            &[],
            Some("application/octet-stream"),
        ),
        (
            "POST",
            Some(("application/x-www-form-urlencoded", form)),
            &[],
            Some("application/x-www-form-urlencoded"),
        ),
        ("PATCH", Some(("", b"-n %s \\ \x1b[2J")), &[], None),
        (
            "DELETE",
            None,
            &[
                ("X-Empty", ""),
                ("X-Control", "a\x1b\x07b"),
                ("@/etc/hostname", "x"),
                ("X-Quote", "it's"),
            ],
            None,
        ),
    ];
    for (method, body, headers, content_type) in table {
        for target in ["/a?b[]={c}", "/-o/x'y"] {
            let (command, arrived) = run(exchange(method, headers, *body), target);
            assert_eq!(
                arrived.line,
                format!("{} {target}", method.to_ascii_uppercase()),
                "{command}"
            );
            let is_head = method.eq_ignore_ascii_case("HEAD");
            let expected = body.filter(|_| !is_head).map_or(&[][..], |(_, bytes)| bytes);
            assert_eq!(arrived.body, expected, "{command}");
            assert_eq!(arrived.header("content-type"), *content_type, "{command}");
            assert_eq!(
                command.split(' ').any(|word| word == "--head"),
                is_head,
                "{command}"
            );
            assert!(!command.contains("--request 'HEAD'"), "{command}");
            for (name, value) in headers.iter().filter(|(name, _)| !name.starts_with('@')) {
                let value = value.replace(['\x1b', '\x07'], "");
                assert_eq!(arrived.header(name), Some(value.as_str()), "{command}");
            }
        }
    }
}

/// The body of a form with another boundary, as curl makes one up.
fn with_boundary(arrived: &Arrived, boundary: &str) -> String {
    let content_type = arrived.header("content-type").unwrap();
    let theirs = content_type
        .strip_prefix("multipart/form-data; boundary=")
        .unwrap();
    String::from_utf8(arrived.body.clone())
        .unwrap()
        .replace(theirs, boundary)
}

#[test]
fn forms_arrive_with_their_fields_and_files() {
    let part = |disposition: &str, content: &str| {
        format!("--XX\r\nContent-Disposition: form-data; {disposition}\r\n\r\n{content}\r\n")
    };
    let file = |disposition: &str, kind: &str, content: &str| {
        format!(
            "--XX\r\nContent-Disposition: form-data; {disposition}\r\nContent-Type: {kind}\r\n\r\n{content}\r\n"
        )
    };
    let plain = part("name=\"a;b\"", "@x;type=y\"'\\");
    let one = file(
        "name=\"f\"; filename=\"a;b%22, c.txt\"",
        "text/plain; charset=utf-8",
        "line\r\n\u{1b}end",
    );
    let json = file("name=\"meta\"", "application/json", r#"{"a": "b\\;"}"#);
    let none = file("name=\"g\"; filename=\"\"", "application/octet-stream", "");
    for (parts, is_form) in [
        (vec![&plain], true),
        (vec![&plain, &one, &json], true),
        (vec![&none, &plain], true),
        // Only one file can come through the pipe.
        (vec![&one, &none], false),
        (vec![&one, &one], false),
        (vec![&file("name=\"f\"; filename=\"a\"", "weird", "x")], false),
        (vec![&part("name=\"a=b\"", "1")], false),
        (vec![&part("name=\"a\"", "two\r\nlines")], false),
    ] {
        let body = parts.iter().map(|part| part.as_str()).collect::<String>() + "--XX--\r\n";
        let mime_type = "multipart/form-data; boundary=XX";
        let headers = [("Content-Type", mime_type)];
        let (command, arrived) = run(
            exchange("POST", &headers, Some((mime_type, body.as_bytes()))),
            "/",
        );
        assert_eq!(command.contains("--form"), is_form, "{command}");
        assert_eq!(with_boundary(&arrived, "XX"), body, "{command}");
    }
}

#[test]
fn a_form_of_an_archive_becomes_fields_and_files() {
    let read = |params: &str| {
        let entry = format!(
            r#"{{"request": {{"method": "POST", "url": "http://x.test/", "headers": [], "postData": {{
                "mimeType": "multipart/form-data; boundary=XX", "params": [{params}]}}}}}}"#
        );
        har::read_entry(&entry, &Limits::default()).unwrap()
    };
    let known = r#"{"name": "p", "value": "hunter2"},
        {"name": "f", "fileName": "a.txt", "contentType": "text/plain", "value": "content"}"#;
    let (command, arrived) = run(read(known), "/");
    assert!(
        command.starts_with("printf 'content' | curl ")
            && command
                .ends_with(r#" --form-string 'p=hunter2' --form 'f=@-;filename="a.txt";type=text/plain'"#),
        "{command}"
    );
    assert_eq!(
        with_boundary(&arrived, "XX"),
        "--XX\r\nContent-Disposition: form-data; name=\"p\"\r\n\r\nhunter2\r\n--XX\r\nContent-Disposition: form-data; \
         name=\"f\"; filename=\"a.txt\"\r\nContent-Type: text/plain\r\n\r\ncontent\r\n--XX--\r\n"
    );
    // Without the file's content it is read from where the person is, whatever path the page gave.
    let unknown = r#"{"name": "f", "fileName": "../../etc/a;b\".txt", "contentType": "image/png"}"#;
    let command = curl_command(&read(unknown));
    assert_eq!(
        command,
        r#"curl 'http://x.test/' --form 'f=@"a;b\".txt";filename="../../etc/a;b\".txt";type=image/png'"#
    );
}
