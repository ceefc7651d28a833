//! Exchanges as text for a terminal, which obeys what it is shown: controls become dots.

use std::io::{self, Write};

use qemuweb_capture::jsonl::is_control;
use qemuweb_capture::{Body, Exchange, Header, Timings};

/// Longest URL in a row, in characters.
const MAX_URL: usize = 200;

/// Longest file name that is made of a URL.
const MAX_NAME: usize = 80;

/// A text in one line.
pub(super) fn clean(text: &str) -> String {
    text.chars()
        .map(|c| if is_control(c) { '·' } else { c })
        .collect()
}

/// A text with its lines and tabs.
fn clean_text(text: &str) -> String {
    let plain = |c| c == '\t' || c == '\n' || !is_control(c);
    text.replace("\r\n", "\n")
        .chars()
        .map(|c| if plain(c) { c } else { '·' })
        .collect()
}

/// How an exchange is listed, without its number: method, status, size, time, kind, URL.
pub(super) fn row(exchange: &Exchange) -> String {
    let response = &exchange.response;
    let status = match (response.status, &response.error) {
        (0, _) | (_, Some(_)) => "---".to_owned(),
        (status, None) => status.to_string(),
    };
    let url = &exchange.request.url;
    let shown: String = url.chars().take(MAX_URL).collect();
    let more = if shown.len() < url.len() { "..." } else { "" };
    clean(&format!(
        "{:<7} {status} {:>7} {:>6.0} ms {:<10} {shown}{more}",
        exchange.request.method,
        size(response.body.as_ref()),
        exchange.time.floor(),
        exchange.resource_type.as_deref().unwrap_or("-"),
    ))
}

/// A body's size in three places or so.
fn size(body: Option<&Body>) -> String {
    let tenths = |size: u64, unit: u64| (size / (unit / 10)) as f64 / 10.0;
    match body.map(|body| body.size) {
        None => "-".to_owned(),
        Some(size @ ..1_000) => size.to_string(),
        Some(size @ ..1_000_000) => format!("{}k", tenths(size, 1_000)),
        Some(size) => format!("{}M", tenths(size, 1_000_000)),
    }
}

/// All of an exchange.
pub(super) fn show(exchange: &Exchange, out: &mut impl Write) -> io::Result<()> {
    let (request, response) = (&exchange.request, &exchange.response);
    writeln!(out, "{} {}", clean(&request.method), clean(&request.url))?;
    headers(&request.headers, out)?;
    body(request.body.as_ref(), out)?;
    writeln!(
        out,
        "\n{} {} {} {}",
        response.status,
        clean(&response.status_text),
        clean(&response.http_version),
        clean(response.error.as_deref().unwrap_or("")),
    )?;
    headers(&response.headers, out)?;
    body(response.body.as_ref(), out)?;
    for message in &exchange.messages {
        let arrow = match message.direction {
            qemuweb_capture::Direction::Send => '>',
            qemuweb_capture::Direction::Receive => '<',
        };
        match message.body.text() {
            Some(text) => writeln!(out, "{arrow} {}", clean(text))?,
            None => writeln!(out, "{arrow} ({} bytes)", message.body.size)?,
        }
    }
    writeln!(
        out,
        "\nstarted {}, took {:.0} ms: {}",
        exchange.started_text(),
        exchange.time.floor(),
        timings(&exchange.timings)
    )?;
    let are = if exchange.redacted { "are" } else { "are not" };
    writeln!(out, "secrets {are} redacted")?;
    for cut in &exchange.cut {
        writeln!(out, "cut: {cut}")?;
    }
    for doubt in &exchange.doubts {
        writeln!(out, "not certain: {doubt}")?;
    }
    Ok(())
}

fn headers(headers: &[Header], out: &mut impl Write) -> io::Result<()> {
    for header in headers {
        writeln!(out, "  {}: {}", clean(&header.name), clean(&header.value))?;
    }
    Ok(())
}

fn body(body: Option<&Body>, out: &mut impl Write) -> io::Result<()> {
    let Some(body) = body else { return Ok(()) };
    writeln!(out)?;
    match (body.text(), &body.data) {
        (Some(text), _) => writeln!(out, "{}", clean_text(text))?,
        (None, Some(_)) => writeln!(out, "  ({} bytes of {})", body.size, clean(&body.mime_type))?,
        (None, None) => writeln!(out, "  (not captured: {} bytes)", body.size)?,
    }
    if body.is_cut() {
        writeln!(out, "  (cut: {} bytes in all)", body.size)?;
    }
    Ok(())
}

/// A body where somebody looks at it.
pub(super) fn body_on_terminal(body: Option<&Body>, out: &mut impl Write) -> io::Result<()> {
    match body.and_then(|body| body.text()) {
        Some(text) => writeln!(out, "{}", clean_text(text)),
        None => writeln!(
            out,
            "({} bytes of {}; not shown on a terminal)",
            body.map_or(0, |body| body.size),
            clean(body.map_or("nothing", |body| &body.mime_type))
        ),
    }
}

fn timings(timings: &Timings) -> String {
    let parts = [
        ("blocked", timings.blocked),
        ("dns", timings.dns),
        ("connect", timings.connect),
        ("ssl", timings.ssl),
        ("send", timings.send),
        ("wait", timings.wait),
        ("receive", timings.receive),
    ];
    let told = parts
        .iter()
        .filter_map(|(name, time)| Some(format!("{name} {}", (*time)?)));
    told.collect::<Vec<_>>().join(", ")
}

/// A file's name after the last part of a URL's path.
pub(super) fn file_name(url: &str) -> String {
    let path = url.split('?').next().unwrap_or(url);
    let name = path.rsplit('/').next().unwrap_or(path);
    let safe = |c: char| {
        if c.is_ascii_alphanumeric() || "._-".contains(c) {
            c
        } else {
            '_'
        }
    };
    let name: String = name.chars().take(MAX_NAME).map(safe).collect();
    name.trim_start_matches('.').to_owned()
}
