//! Whole texts with what is right of each: `texts.txt`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use qemuweb_capture::{Body, Exchange, PLACEHOLDER, Redactor};

use super::{check, table};

const TEXTS: &str = include_str!("texts.txt");

fn redacted(mime_type: &str, text: &str) -> String {
    let mut exchange = Exchange::default();
    exchange.response.body = Some(Body::new(mime_type, text));
    Redactor::default().redact(&mut exchange);
    exchange.response.body.unwrap().text().unwrap().to_owned()
}

/// A text without its marks, and what is right of it.
fn row(line: &str) -> (String, String) {
    let line = line.replace('⏎', "\r\n").replace('↵', "\n").replace('⇥', "\t");
    let mut right = String::new();
    for (index, piece) in line.split(['⟦', '⟧']).enumerate() {
        right += if index % 2 == 1 { PLACEHOLDER } else { piece };
    }
    (line.replace(['⟦', '⟧'], ""), right)
}

#[test]
fn what_is_marked_is_taken_out_and_nothing_else() {
    let mut failures = Vec::new();
    let rows = table(TEXTS);
    for (section, line) in &rows {
        let (text, right) = row(line);
        let once = redacted(section, &text);
        if once != right {
            failures.push(format!("{section} {text:?}\n   became {once:?}"));
        } else if redacted(section, &once) != once {
            failures.push(format!(
                "{section} {text:?}\n   twice {:?}",
                redacted(section, &once)
            ));
        }
    }
    check(&failures, rows.len(), 150);
    println!("{} texts", rows.len());
}

#[test]
fn what_a_data_url_has_in_it_is_redacted() {
    let page = |secret: &str| format!("<p>Größe</p><input name=\"password\" value=\"{secret}\">");
    let percent = |text: &str| -> String {
        text.bytes()
            .map(|byte| match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'[' | b']' => char::from(byte).to_string(),
                _ => format!("%{byte:02X}"),
            })
            .collect()
    };
    let base64 = |text: &str| STANDARD.encode(text);
    for (head, encode) in [
        ("data:text/html,", &percent as &dyn Fn(&str) -> String),
        ("data:text/html;charset=utf-8,", &percent),
        ("data:text/html;base64,", &base64),
        ("data:text/html;charset=utf-8;base64,", &base64),
        ("data:application/xhtml+xml;base64,", &base64),
    ] {
        let url = |secret: &str| format!("{head}{}", encode(&page(secret)));
        for (mime_type, before, after) in [
            ("text/html", "<iframe src=\"", "\"></iframe>"),
            ("text/html", "<a href='", "'>x</a>"),
            ("application/json", "{\"url\":\"", "\"}"),
            ("text/css", "a{background:url(", ")}"),
            ("text/plain", "see ", " there"),
        ] {
            let text = format!("{before}{}{after}", url("swordfish"));
            assert_eq!(
                redacted(mime_type, &text),
                format!("{before}{}{after}", url(PLACEHOLDER)),
                "{text}"
            );
            let text = format!("{before}{}{after}", url(""));
            assert_eq!(redacted(mime_type, &text), text);
        }
        let redactor = Redactor::default();
        assert_eq!(redactor.redact_url(&url("swordfish")), url(PLACEHOLDER));
        assert_eq!(redactor.redact_url(&url("")), url(""));
    }
    let picture = format!("data:image/png;base64,{}", "iVBORw0KGgoAAAANSUhEUg".repeat(9));
    assert_eq!(Redactor::default().redact_url(&picture), picture);
    // One within one.
    let inner = format!(
        "<iframe src=\"data:text/html;base64,{}\">",
        base64(&page("swordfish"))
    );
    let right = format!(
        "<iframe src=\"data:text/html;base64,{}\">",
        base64(&page(PLACEHOLDER))
    );
    let outer = |inner: &str| format!("data:text/html;base64,{}", base64(inner));
    assert_eq!(Redactor::default().redact_url(&outer(&inner)), outer(&right));
}
