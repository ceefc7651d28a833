//! Requests and responses as HTTP/1.1 text.
//!
//! Bodies stand there decoded and as far as they are kept, so headers that tell of encodings are left out and
//! `Content-Length` is what follows. No header can smuggle in another line: see [`clean`].

use crate::body::Body;
use crate::exchange::{Exchange, Header, header};
use crate::url::Url;

/// Headers that do not hold for the text that is written.
const LEFT_OUT: [&str; 7] = [
    "content-encoding",
    "content-length",
    "keep-alive",
    "proxy-connection",
    "sec-websocket-extensions",
    "transfer-encoding",
    "http2-settings",
];

/// The request.
pub(super) fn request(exchange: &Exchange, url: &Url<'_>) -> Vec<u8> {
    let request = &exchange.request;
    let mut text = String::new();
    text += &token(&request.method, "GET");
    text.push(' ');
    text += &target(url);
    text += " HTTP/1.1\r\n";
    if header(&request.headers, "host").is_none() {
        line(&mut text, "Host", &url.host_and_port());
    }
    headers(&mut text, &request.headers, is_upgrade(exchange));
    let body = request.body.as_ref().map(Body::bytes).unwrap_or_default();
    if !body.is_empty() {
        line(&mut text, "Content-Length", &body.len().to_string());
    }
    finish(text, body)
}

/// The response.
pub(super) fn response(exchange: &Exchange) -> Vec<u8> {
    let response = &exchange.response;
    let mut text = format!("HTTP/1.1 {:03} ", response.status.clamp(100, 999));
    text += &clean(&response.status_text);
    text += "\r\n";
    headers(&mut text, &response.headers, is_upgrade(exchange));
    let body = response_body(exchange);
    if let Some(body) = body {
        line(&mut text, "Content-Length", &body.len().to_string());
    }
    finish(text, body.unwrap_or_default())
}

/// The response's body as far as it is kept; nothing where a response must not have one.
pub(super) fn response_body(exchange: &Exchange) -> Option<&[u8]> {
    let response = &exchange.response;
    let has_none = exchange.request.method.eq_ignore_ascii_case("HEAD")
        || response.status < 200
        || [204, 304].contains(&response.status);
    (!has_none).then(|| response.body.as_ref().map(Body::bytes).unwrap_or_default())
}

/// Whether the connection became a WebSocket.
pub(super) fn is_upgrade(exchange: &Exchange) -> bool {
    exchange.response.status == 101
}

fn finish(mut text: String, body: &[u8]) -> Vec<u8> {
    text += "\r\n";
    let mut bytes = text.into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

fn headers(text: &mut String, headers: &[Header], upgrade: bool) {
    for (name, value) in sent(headers, upgrade) {
        line(text, &name, &value);
    }
}

/// Names and values of the headers that hold for what is written.
pub(super) fn sent(headers: &[Header], upgrade: bool) -> impl Iterator<Item = (String, String)> {
    let holds = move |header: &&Header| {
        let name = header.name.to_ascii_lowercase();
        // Pseudo headers of HTTP/2 start with a colon.
        let is_about_connection = ["connection", "upgrade"].contains(&name.as_str()) && !upgrade;
        !LEFT_OUT.contains(&name.as_str()) && !name.starts_with(':') && !is_about_connection
    };
    // Several cookies come as several lines in one value.
    let lines = |header: &'_ Header| {
        let name = token(&header.name, "X-Unnamed");
        let values: Vec<String> = header.value.split('\n').map(clean).collect();
        values.into_iter().map(move |value| (name.clone(), value))
    };
    headers.iter().filter(holds).flat_map(lines)
}

fn line(text: &mut String, name: &str, value: &str) {
    text.push_str(name);
    text.push_str(": ");
    text.push_str(&clean(value));
    text.push_str("\r\n");
}

/// The path and query of a request line.
pub(super) fn target(url: &Url<'_>) -> String {
    let path = if url.path.starts_with('/') { url.path } else { "/" };
    let query = url.query.map(|query| format!("?{query}")).unwrap_or_default();
    let encode = |c: char| match c {
        c if c.is_ascii_graphic() => c.to_string(),
        c => {
            let mut bytes = [0; 4];
            let bytes = c.encode_utf8(&mut bytes).bytes();
            bytes.map(|byte| format!("%{byte:02X}")).collect()
        }
    };
    format!("{path}{query}").chars().map(encode).collect()
}

/// A method or header name without what must not stand in one.
pub(super) fn token(text: &str, empty: &str) -> String {
    let is_token = |c: &char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(*c);
    let token: String = text.chars().filter(is_token).collect();
    if token.is_empty() { empty.to_owned() } else { token }
}

/// A value without line ends and other controls.
pub(super) fn clean(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}
