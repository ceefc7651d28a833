//! What a guest has to know of each request that `browse.js` makes.

use anyhow::{Context, Result, ensure};
use qemuweb_e2e::{HINTED, Site};
use serde_json::{Value, json};

use super::seen::{Seen, bytes, doubts};

/// Responses whose bytes are known.
const WHOLE: [&str; 23] = [
    "stream",
    "plain",
    "csv",
    "markdown",
    "css",
    "yaml",
    "vtt",
    "json",
    "script",
    "untyped",
    "old-plain",
    "short-plain",
    "latin-1",
    "utf-8",
    "utf-8-mark",
    "binary",
    "empty",
    "gzip",
    "br",
    "range",
    "stream?events",
    "sw/worker.js",
    "sw/page",
];

/// Responses that came as text of which the bytes are not known, and the text.
const RECODED: [(&str, &str); 3] = [
    ("utf-8-broken", "a\u{fffd}b"),
    ("utf-16", "Zoë says “hi”, 東京 🦀\n"),
    ("shift-jis", "東京"),
];

/// Requests whose bodies are known, by the query of `/kind/sent`.
const SENT: [&str; 6] = ["form", "text", "ascii", "latin", "utf", "bytes"];

/// Requests whose bodies may have been other bytes.
const GUESSED: [&str; 3] = ["multipart", "blob", "gzip"];

pub(crate) fn check(seen: &Seen, site: &Site) -> Result<()> {
    for (what, check) in [
        ("responses", responses as fn(&Seen, &Site) -> Result<()>),
        ("requests", requests),
        ("bodies that there are not", without_body),
        ("what fails", failures),
        ("other origins", other_origins),
        ("WebSockets", sockets),
        ("a service worker", service_worker),
        ("all", all),
    ] {
        check(seen, site).context(what)?;
    }
    Ok(())
}

fn told(site: &Site, path: &str) -> Result<qemuweb_e2e::Told> {
    site.told(path)
        .with_context(|| format!("the site was not asked for {path}"))
}

/// Demands that an exchange ended well and has these bytes for certain.
fn is_whole(exchange: &Value, sent: &[u8]) -> Result<()> {
    let response = &exchange["response"];
    let found = bytes(&response["body"])?;
    ensure!(
        found.as_deref() == Some(sent)
            && response["body"]["size"] == sent.len()
            && response.get("error").is_none(),
        "expected {sent:?}, found {response}"
    );
    has_doubts(exchange, &[])
}

fn has_doubts(exchange: &Value, expected: &[&str]) -> Result<()> {
    let found = doubts(exchange);
    ensure!(
        found == expected,
        "expected doubts {expected:?}, found {found:?} about {exchange}"
    );
    Ok(())
}

fn responses(seen: &Seen, site: &Site) -> Result<()> {
    for name in WHOLE {
        let path = format!("/kind/{name}");
        is_whole(seen.one("GET", &path)?, &told(site, &path)?.sent).context(name)?;
    }
    for (name, text) in RECODED {
        let exchange = seen.one("GET", &format!("/kind/{name}"))?;
        ensure!(exchange["response"]["body"]["text"] == text, "{exchange}");
        has_doubts(exchange, &["responseBodyRecoded"])?;
    }
    is_whole(seen.one("GET", "/hints")?, HINTED)?;
    // A stream that the page closed has the events that the page heard.
    let stream = seen.one("GET", "/kind/endless-stream")?;
    let text = stream["response"]["body"]["text"].as_str().unwrap_or_default();
    ensure!(
        text.starts_with("event: said\ndata: Zoë\ndata: 東京\n\n"),
        "{stream}"
    );
    has_doubts(stream, &["responseBodyRecoded", "responseBodyUnknown"])?;
    let large = seen.one("GET", "/kind/large")?;
    let size = told(site, "/kind/large")?.sent.len();
    let body = json!({"mimeType": "application/octet-stream", "size": size});
    ensure!(large["response"]["body"] == body, "{large}");
    has_doubts(large, &["responseBodyTooLarge"])
}

fn requests(seen: &Seen, site: &Site) -> Result<()> {
    for (names, doubts) in [(&SENT[..], &[][..]), (&GUESSED, &["requestBody"])] {
        for name in names {
            let path = format!("/kind/sent?{name}");
            let exchange = seen.one("POST", &path)?;
            has_doubts(exchange, doubts)?;
            let found = bytes(&exchange["request"]["body"])?;
            let got = told(site, &path)?.got;
            let is_right = found.as_ref() == Some(&got);
            ensure!(
                is_right == doubts.is_empty(),
                "{name}: the server got {got:?}, the guest has {found:?}"
            );
        }
    }
    let none = seen.one("POST", "/kind/sent?none")?;
    ensure!(none["request"].get("body").is_none(), "{none}");
    has_doubts(none, &[])?;
    let streamed = seen.one("POST", "/kind/sent?streamed")?;
    ensure!(
        told(site, "/kind/sent?streamed")?.got == b"streamed",
        "no streamed upload was made"
    );
    ensure!(bytes(&streamed["request"]["body"])?.is_none(), "{streamed}");
    has_doubts(streamed, &["requestBodyUnknown"])
}

fn without_body(seen: &Seen, _: &Site) -> Result<()> {
    for (method, end, status) in [("HEAD", "/kind/plain?head", 200), ("GET", "/kind/none", 204)] {
        let exchange = seen.one(method, end)?;
        let response = &exchange["response"];
        let is_right =
            response["status"] == status && response.get("body").is_none() && response.get("error").is_none();
        ensure!(is_right, "{exchange}");
        has_doubts(exchange, &[])?;
    }
    // A redirect of which the length tells that it is empty.
    let moved = seen.one("GET", "/moved")?;
    ensure!(
        moved["response"]["status"] == 302 && moved["response"]["body"]["size"] == 0,
        "{moved}"
    );
    has_doubts(moved, &[])?;
    let file = seen.one("GET", "/kind/file")?;
    ensure!(
        file["response"].get("error").is_none(),
        "a download has failed: {file}"
    );
    has_doubts(file, &["responseBodyUnknown"])
}

fn failures(seen: &Seen, _: &Site) -> Result<()> {
    let endless = seen.one("GET", "/kind/endless")?;
    ensure!(
        endless["response"]["error"] == "net::ERR_ABORTED" && endless["response"]["status"] == 200,
        "{endless}"
    );
    has_doubts(endless, &["responseBodyUnknown"])?;
    let refused = seen
        .iter()
        .find(|exchange| exchange["response"]["error"] == "net::ERR_CONNECTION_REFUSED")
        .context("no connection was refused")?;
    ensure!(refused["response"]["status"] == 0, "{refused}");
    has_doubts(refused, &[])
}

fn other_origins(seen: &Seen, site: &Site) -> Result<()> {
    let allowed = seen.one("PUT", "/kind/allowed")?;
    is_whole(allowed, &told(site, "/kind/allowed")?.sent)?;
    ensure!(
        bytes(&allowed["request"]["body"])?.as_deref() == Some(b"put"),
        "{allowed}"
    );
    for end in ["/kind/allowed", "/kind/refused?asked"] {
        let preflight = seen.one("OPTIONS", end)?;
        ensure!(
            preflight["response"]["status"] == 200 && preflight["response"].get("error").is_none(),
            "{preflight}"
        );
        // The browser does not look at its body.
        has_doubts(preflight, &["responseBodyUnknown"])?;
    }
    for (end, status, doubts) in [
        ("/kind/refused", 200, &["responseBodyUnknown"][..]),
        ("/kind/refused?asked", 0, &[]),
    ] {
        let refused = seen.one("GET", end)?;
        let response = &refused["response"];
        ensure!(
            response["status"] == status && response["error"] == "net::ERR_FAILED",
            "{refused}"
        );
        has_doubts(refused, doubts)?;
    }
    Ok(())
}

fn sockets(seen: &Seen, _: &Site) -> Result<()> {
    let sockets = seen.all("GET", "/socket");
    ensure!(sockets.len() == 3, "there are {} WebSockets", sockets.len());
    let open = sockets[0];
    let messages = open["messages"].as_array().context("no messages")?;
    let (text, binary) = ("Zoë 東京".as_bytes().to_vec(), vec![1, 233, 255]);
    for (message, (direction, opcode, expected)) in messages.iter().zip([
        ("send", 1, &text),
        ("receive", 1, &text),
        ("send", 2, &binary),
        ("receive", 2, &binary),
    ]) {
        let found = bytes(&message["body"])?;
        let is_right = message["direction"] == direction && message["opcode"] == opcode;
        ensure!(is_right && found.as_ref() == Some(expected), "{message}");
    }
    ensure!(messages.len() == 4 && open["response"]["status"] == 101, "{open}");
    has_doubts(open, &[])?;
    for (failed, reason, doubts) in [
        (sockets[1], "403", &[][..]),
        (sockets[2], "net::ERR_CONNECTION_REFUSED", &["start"]),
    ] {
        let error = failed["response"]["error"].as_str().unwrap_or_default();
        ensure!(
            error.contains(reason) && failed["response"]["status"] == 0,
            "{failed}"
        );
        ensure!(failed.get("messages").is_none(), "{failed}");
        has_doubts(failed, doubts)?;
    }
    Ok(())
}

fn service_worker(seen: &Seen, site: &Site) -> Result<()> {
    is_whole(seen.one("GET", "/kind/sw/own")?, b"made by the worker")?;
    // The page's request, and the worker's own.
    let (of_page, of_worker): (Vec<_>, Vec<_>) = seen
        .all("GET", "/kind/sw/through")
        .into_iter()
        .partition(|exchange| doubts(exchange).is_empty());
    ensure!(
        of_page.len() == 1 && of_worker.len() == 1,
        "{of_page:?} {of_worker:?}"
    );
    is_whole(of_page[0], &told(site, "/kind/sw/through")?.sent)?;
    has_doubts(of_worker[0], &["responseBodyUnknown"])?;
    ensure!(of_worker[0]["response"]["body"]["size"] == 32, "{}", of_worker[0]);
    Ok(())
}

/// What holds for each of them.
fn all(seen: &Seen, site: &Site) -> Result<()> {
    let dates: Vec<&str> = seen
        .iter()
        .filter_map(|exchange| exchange["startedDateTime"].as_str())
        .collect();
    ensure!(dates.iter().all(|date| date.starts_with("20")), "{dates:?}");
    let port = site
        .url()
        .trim_end_matches('/')
        .rsplit(':')
        .next()
        .unwrap_or_default()
        .to_owned();
    for exchange in seen.iter() {
        ensure!(
            exchange["connection"] != port.as_str(),
            "the connection is the port: {exchange}"
        );
        ensure!(exchange["request"]["method"] != "", "{exchange}");
        let kind = &exchange["response"]["body"]["mimeType"];
        ensure!(kind != "x-unknown", "{exchange}");
        let has_headers = exchange["request"]["headers"]
            .as_array()
            .is_some_and(|headers| headers.len() > 1);
        let is_marked = exchange["doubts"]
            .as_array()
            .is_some_and(|doubts| doubts.contains(&json!("headerOrder")));
        ensure!(is_marked || !has_headers, "{exchange}");
    }
    Ok(())
}
