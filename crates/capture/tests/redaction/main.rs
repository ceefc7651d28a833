//! Redaction by kind: names of secrets in every carrier with values of every sort, and harmless ones beside them. The
//! names and texts stand in tables of their own.
#![allow(clippy::unwrap_used)]

mod carriers;
mod outputs;
mod texts;

use std::fmt::Write as _;

use carriers::{Scope, VALUES, carriers, exchange_with};
use outputs::{leaks, outputs};
use qemuweb_capture::{Body, Exchange, Header, PLACEHOLDER, Redactor};

const SECRET_NAMES: &str = include_str!("secret-names.txt");
const HARMLESS_NAMES: &str = include_str!("harmless-names.txt");
const HARMLESS_TEXTS: &str = include_str!("harmless-texts.txt");

/// The lines of a table with the section that each stands in.
fn table(text: &'static str) -> Vec<(&'static str, &'static str)> {
    let mut section = "";
    let mut rows = Vec::new();
    for line in text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
    {
        match line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            Some(name) if !line.contains([',', ':', '"']) => section = name,
            _ => rows.push((section, line)),
        }
    }
    rows
}

fn check(failures: &[String], count: usize, least: usize) {
    let mut shown = String::new();
    for failure in failures.iter().take(60) {
        let _ = writeln!(shown, "{failure}");
    }
    assert!(failures.is_empty(), "{} of {count}:\n{shown}", failures.len());
    assert!(count >= least, "only {count} combinations");
}

#[test]
fn no_secret_leaks() {
    let names = table(SECRET_NAMES);
    let carriers = carriers();
    let mut count = 0;
    let mut failures = Vec::new();
    for (row, (section, name)) in names.iter().enumerate() {
        let is_everywhere = *section == "anywhere";
        for (column, carrier) in carriers.iter().enumerate() {
            if !is_everywhere && carrier.scope == Scope::Data {
                continue;
            }
            // Every name in every carrier, every value of every name somewhere, and all of one for all.
            let all = row % 101 == 0;
            for (index, value) in VALUES.iter().enumerate() {
                if !(all || index == (row + column) % VALUES.len()) || !carrier.takes(name, value) {
                    continue;
                }
                count += 1;
                let mut exchange = exchange_with(carrier, name, value);
                let before = outputs(&exchange);
                let deep = (row + column) % 4 == 0;
                assert!(
                    !leaks(&before[..1], value, false).is_empty(),
                    "{} {name} {}",
                    carrier.label,
                    value.label
                );
                Redactor::default().redact(&mut exchange);
                let after = outputs(&exchange);
                if let Some(leak) = leaks(&after, value, deep).first() {
                    failures.push(format!("{} {name} {}: {leak}", carrier.label, value.label));
                }
            }
        }
    }
    check(&failures, count, 2000);
    println!("{count} combinations");
}

#[test]
fn what_is_harmless_stays() {
    let mut count = 0;
    let mut failures = Vec::new();
    let mut stays = |exchange: Exchange, what: &str| {
        count += 1;
        let mut after = exchange.clone();
        Redactor::default().redact(&mut after);
        after.redacted = false;
        if after != exchange {
            failures.push(format!(
                "{what}\n    became {}",
                outputs(&after)[0].1.replace('\n', " ")
            ));
        }
    };
    for (section, text) in table(HARMLESS_TEXTS) {
        let mut exchange = Exchange::default();
        match section {
            "url" => exchange.request.url = text.to_owned(),
            header if header.starts_with("header ") => exchange.response.headers.push(Header {
                name: header["header ".len()..].to_owned(),
                value: text.to_owned(),
            }),
            mime_type => exchange.response.body = Some(Body::new(mime_type, text)),
        }
        stays(exchange, text);
    }
    for (_, line) in table(HARMLESS_NAMES) {
        let (name, value) = line.split_once('\t').expect("a name and a value");
        let json = serde_json::json!({ name: value }).to_string();
        let bodies = [
            ("application/json", json.clone()),
            (
                "application/json",
                serde_json::json!({ "body": json }).to_string(),
            ),
            (
                "application/x-www-form-urlencoded",
                format!("a=1&{name}={}", value.replace(' ', "+")),
            ),
            (
                "text/html",
                format!("<meta name=\"{name}\" content='{value}'><i data-{name}=\"{value}\"></i>"),
            ),
            ("text/html", format!("<input value='{value}' name={name}>")),
            ("text/xml", format!("<{name}>{value}</{name}>")),
            (
                "text/javascript",
                format!(
                    "var {}='{value}',b={{{name}:'{value}'}};",
                    name.replace(['-', '.'], "_")
                ),
            ),
            ("text/yaml", format!("{name}: {value}\n")),
            ("text/yaml", format!("- name: {name}\n  value: {value}\n")),
            ("text/csv", format!("a,{name}\n1,\"{value}\"\n")),
            (
                "text/html",
                format!("<tr><td>{name}</td><td>{value}</td></tr><dl><dt>{name}:</dt><dd>{value}</dd></dl>"),
            ),
            (
                "text/html",
                format!("<tr><th>{name}</th><th>a</th></tr><tr><td>{value}</td><td>1</td></tr>"),
            ),
            (
                "text/plain",
                format!("let {}: string = '{value}'", name.replace('-', "_")),
            ),
            ("text/plain", format!("it has {name}: {value}\n")),
        ];
        for (mime_type, body) in bodies {
            let mut exchange = Exchange::default();
            exchange.response.body = Some(Body::new(mime_type, body.clone()));
            stays(exchange, &body);
        }
        let mut exchange = Exchange::default();
        exchange.request.url = format!(
            "https://example.org/a?b=1&{name}={}",
            value.replace([' ', '#', '?', '&'], "+")
        );
        stays(exchange.clone(), &exchange.request.url);
    }
    check(&failures, count, 500);
    println!("{count} harmless texts");
}

#[test]
fn what_was_redacted_stays_so() {
    for (_, name) in table(SECRET_NAMES).into_iter().step_by(5) {
        for carrier in carriers() {
            let value = &VALUES[0];
            let mut once = exchange_with(&carrier, name, value);
            Redactor::default().redact(&mut once);
            let mut twice = once.clone();
            Redactor::default().redact(&mut twice);
            assert_eq!(twice, once, "{} {name}", carrier.label);
        }
    }
}

#[test]
fn hostile_bodies_take_linear_time() {
    let pieces = [
        "\"",
        "<input ",
        "name=\"",
        "\\",
        "{\"token\":",
        "\"name\":\"token\",",
        "<password>",
        "token=",
        "%22",
        "&quot;",
        "[",
        "eyJ",
        "://a@",
        "name=\"token\" ",
        "{\"name\":\"token\",\"value\":[",
        "password: ",
        "token",
        "\\\"token\\\":\\\"",
        "bearer ",
        "-----BEGIN ",
        "--x\r\n",
        "data-token=\"",
        "<token ",
        "passwordpassword",
        "\\u0041",
        "token\n",
        "<a:token>",
        "<td>token</td>",
        "<td>token</td><td>",
        "<th>token</th>",
        "<tr><th>token</th><th>x</th></tr>",
        "<dt>token</dt><dd>x",
        "<b>password:</b>",
        "token,",
        "a,token\n",
        "a,token\nb,\"",
        "a,token\n\n",
        "|token|",
        "- name: token\n",
        "name: token\n  value: |\n   ",
        "value: x\n",
        "curl -u ",
        "curl \\\n",
        "\"curl\",",
        "data:,%20",
        "data:text/html,%3C",
        "data:text/html;base64,",
        "token || ",
        "token: a",
        "token string ",
        "${token:-",
        "a password: b ",
        "&lt;a name=&quot;token&quot; ",
    ];
    let seconds = |size: usize, piece: &str, mime_type: &str| {
        let mut exchange = Exchange::default();
        exchange.response.body = Some(Body::new(mime_type, piece.repeat(size / piece.len())));
        let start = std::time::Instant::now();
        Redactor::default().redact(&mut exchange);
        start.elapsed().as_secs_f64()
    };
    for piece in pieces {
        for mime_type in [
            "",
            "text/html",
            "multipart/form-data; boundary=x",
            "application/x-www-form-urlencoded",
        ] {
            let small = seconds(5_000, piece, mime_type).max(0.005);
            // What else the machine does is no time of ours.
            let large = (0..5)
                .map(|_| seconds(40_000, piece, mime_type))
                .find(|large| *large < small * 40.0)
                .unwrap_or(f64::INFINITY);
            assert!(
                large < small * 40.0,
                "{piece:?} {mime_type}: {small} s, eight times as much more than 40 times that"
            );
        }
    }
}

#[test]
fn only_what_looks_like_a_secret_is_learned() {
    let mut redactor = Redactor::default();
    let mut exchange = Exchange::default();
    exchange.response.headers = [
        "last_page=/checkout",
        "lang=en-US",
        "a=https://",
        "theme=dark-mode",
        "b=className=",
        "c=function(e",
        "d=undefined",
        "tz=Europe/Zurich",
        "seen=2026-01-31",
        "n=1234567890",
    ]
    .map(|cookie| Header {
        name: "Set-Cookie".to_owned(),
        value: cookie.to_owned(),
    })
    .into();
    redactor.redact(&mut exchange);
    assert_eq!(redactor.learned(), 0);
    let text = "https://example.org/checkout en-US dark-mode className= function(e undefined Europe/Zurich 2026-01-31";
    let mut page = Exchange::default();
    page.response.body = Some(Body::new("text/html", text));
    redactor.redact(&mut page);
    assert_eq!(page.response.body.unwrap().text(), Some(text));
}

#[test]
fn a_password_survives_many_cookies_and_new_names() {
    let mut redactor = Redactor::default();
    let mut login = Exchange::default();
    login.request.body = Some(Body::new(
        "application/x-www-form-urlencoded",
        "password=hunter2-hunter2",
    ));
    redactor.redact(&mut login);
    for number in 0..1200 {
        let mut exchange = Exchange::default();
        exchange.request.headers.push(Header {
            name: "Cookie".to_owned(),
            value: format!("id=a{number}b{number}c{number}d{number}"),
        });
        redactor.redact(&mut exchange);
    }
    assert!(redactor.set_names(["employee"]) && !redactor.set_names(["Employee"]));
    assert!(redactor.learned() < 2000);
    let mut echo = Exchange::default();
    echo.request.url = "https://example.org/hunter2-hunter2/?employee=me".to_owned();
    redactor.redact(&mut echo);
    assert_eq!(
        echo.request.url,
        format!("https://example.org/{PLACEHOLDER}/?employee={PLACEHOLDER}")
    );
}

#[test]
fn a_page_cannot_hide_behind_a_value() {
    let mut redactor = Redactor::default();
    let mut trick = Exchange::default();
    trick.request.body = Some(Body::new(
        "application/json",
        r#"{"password":"Attack at dawn 1"}"#,
    ));
    redactor.redact(&mut trick);
    let mut page = Exchange::default();
    page.response.body = Some(Body::new("text/html", "Attack at dawn 1; ".repeat(1000)));
    redactor.redact(&mut page);
    let left = page
        .response
        .body
        .unwrap()
        .text()
        .unwrap()
        .matches("Attack")
        .count();
    assert!(left >= 500, "{left}");
}
