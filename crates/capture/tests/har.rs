//! Archives in the shapes of browsers and other recorders, in files of our own making, and what typed readers make of
//! those that we write.
#![allow(clippy::unwrap_used)]

use std::fmt::Write as _;

use qemuweb_capture::{Body, Direction, Exchange, Limits, har};
use serde::Deserialize;

const FILES: [(&str, &[u8]); 11] = [
    ("charles", include_bytes!("har/charles.har")),
    ("chromium", include_bytes!("har/chromium.har")),
    ("fiddler", include_bytes!("har/fiddler.har")),
    ("firefox", include_bytes!("har/firefox.har")),
    ("har2locust", include_bytes!("har/har2locust.har")),
    ("httptoolkit", include_bytes!("har/httptoolkit.har")),
    ("insomnia", include_bytes!("har/insomnia.har")),
    ("mitmproxy", include_bytes!("har/mitmproxy.har")),
    ("playwright", include_bytes!("har/playwright.har")),
    ("proxyman", include_bytes!("har/proxyman.har")),
    ("safari", include_bytes!("har/safari.har")),
];

fn read(file: &[u8]) -> har::Archive {
    har::read_archive(file, &Limits::default()).unwrap()
}

fn written(exchanges: &[Exchange]) -> Vec<u8> {
    let mut file = Vec::new();
    har::write_archive(&mut file, exchanges).unwrap();
    file
}

/// A body in short.
fn body(body: Option<&Body>) -> String {
    match body {
        None => "-".to_owned(),
        Some(body) if body.data.is_none() => format!("{} not known, {} bytes", body.mime_type, body.size),
        Some(body) => match body.text() {
            Some(text) => format!("{} {text:?}", body.mime_type),
            None => format!("{} {:?}", body.mime_type, body.bytes()),
        },
    }
}

/// What an archive says, in lines.
fn show(file: &[u8]) -> String {
    let archive = read(file);
    let mut text = String::new();
    for exchange in &archive.exchanges {
        let (request, response) = (&exchange.request, &exchange.response);
        writeln!(
            text,
            "{} {} {}",
            request.method, request.url, request.http_version
        )
        .unwrap();
        for header in &request.headers {
            writeln!(text, "  {}: {}", header.name, header.value).unwrap();
        }
        writeln!(text, "  {}", body(request.body.as_ref())).unwrap();
        let error = response.error.as_deref().unwrap_or("-");
        writeln!(
            text,
            "{} {} error: {error}",
            response.status, response.status_text
        )
        .unwrap();
        for header in &response.headers {
            writeln!(text, "  {}: {:?}", header.name, header.value).unwrap();
        }
        writeln!(text, "  {}", body(response.body.as_ref())).unwrap();
        let start = exchange.started - 1_772_355_600_000.0;
        let address = exchange
            .server_ip
            .map_or("-".to_owned(), |address| address.to_string());
        let connection = exchange.connection.as_deref().unwrap_or("-");
        let initiator = exchange.initiator.as_deref().unwrap_or("-");
        writeln!(
            text,
            "at {start} ms for {}, {address} on {connection}, by {initiator}",
            exchange.time
        )
        .unwrap();
        for message in &exchange.messages {
            let arrow = match message.direction {
                Direction::Send => "->",
                Direction::Receive => "<-",
            };
            let time = message.time - exchange.started;
            writeln!(
                text,
                "  {arrow} {time} {} {}",
                message.opcode,
                body(Some(&message.body))
            )
            .unwrap();
        }
    }
    text += &archive.to_string();
    // As files in a repository are: no blanks at the end of a line, and each line ended.
    text.lines()
        .map(|line| line.trim_end().to_owned() + "\n")
        .collect()
}

macro_rules! shows {
    ($($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                let name = stringify!($name);
                let (_, file) = FILES.iter().find(|(file, _)| *file == name).unwrap();
                expect_test::expect_file![concat!("har/", stringify!($name), ".txt")].assert_eq(&show(file));
            }
        )*
    };
}

shows!(charles chromium fiddler firefox har2locust httptoolkit insomnia mitmproxy playwright proxyman safari);

#[test]
fn nothing_is_lost_when_it_is_written_again() {
    for (name, file) in FILES {
        let first = read(file).exchanges;
        let file = written(&first);
        let again = read(&file);
        assert_eq!(again.exchanges, first, "{name}");
        assert_eq!(again.to_string(), "", "{name}");
        assert_eq!(written(&again.exchanges), file, "{name}");
    }
}

/// HAR 1.2 as readers in languages with types have it: all that is required, whole numbers where there can be no others.
mod strict {
    use super::*;

    #[derive(Deserialize)]
    pub(super) struct File {
        pub(super) log: Log,
    }
    #[derive(Deserialize)]
    pub(super) struct Log {
        pub(super) version: String,
        pub(super) creator: Creator,
        pub(super) pages: Vec<String>,
        pub(super) entries: Vec<Entry>,
    }
    #[derive(Deserialize)]
    pub(super) struct Creator {
        pub(super) name: String,
        pub(super) version: String,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    pub(super) struct Entry {
        pub(super) started_date_time: String,
        pub(super) time: serde_json::Number,
        pub(super) request: Request,
        pub(super) response: Response,
        pub(super) cache: serde_json::Map<String, serde_json::Value>,
        pub(super) timings: Timings,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    pub(super) struct Request {
        pub(super) method: String,
        pub(super) url: String,
        pub(super) http_version: String,
        pub(super) cookies: Vec<Cookie>,
        pub(super) headers: Vec<Pair>,
        pub(super) query_string: Vec<Pair>,
        pub(super) post_data: Option<PostData>,
        pub(super) headers_size: i64,
        pub(super) body_size: i64,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    pub(super) struct PostData {
        pub(super) mime_type: String,
        pub(super) text: Option<String>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    pub(super) struct Response {
        pub(super) status: i64,
        pub(super) status_text: String,
        pub(super) http_version: String,
        pub(super) cookies: Vec<Cookie>,
        pub(super) headers: Vec<Pair>,
        pub(super) content: Content,
        #[serde(rename = "redirectURL")]
        pub(super) redirect_url: String,
        pub(super) headers_size: i64,
        pub(super) body_size: i64,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    pub(super) struct Content {
        pub(super) size: i64,
        pub(super) mime_type: String,
    }
    #[derive(Deserialize)]
    pub(super) struct Pair {
        pub(super) name: String,
        pub(super) value: String,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    pub(super) struct Cookie {
        pub(super) name: String,
        pub(super) value: String,
        pub(super) expires: Option<String>,
        pub(super) http_only: Option<bool>,
    }
    #[derive(Deserialize)]
    pub(super) struct Timings {
        pub(super) blocked: f64,
        pub(super) dns: f64,
        pub(super) connect: f64,
        pub(super) ssl: f64,
        pub(super) send: f64,
        pub(super) wait: f64,
        pub(super) receive: f64,
    }
}

#[test]
fn typed_readers_take_what_is_written() {
    let mut all: Vec<Exchange> = FILES.iter().flat_map(|(_, file)| read(file).exchanges).collect();
    all.extend(read(include_bytes!("site.har")).exchanges);
    let file = written(&all);
    let text = std::str::from_utf8(&file).unwrap();
    let log = serde_json::from_str::<strict::File>(text).unwrap().log;
    assert_eq!(
        (log.version.as_str(), log.creator.name.as_str()),
        ("1.2", "QemuWeb")
    );
    assert!(!log.creator.version.is_empty() && log.pages.is_empty());
    assert_eq!(log.entries.len(), all.len());
    for (entry, exchange) in log.entries.iter().zip(&all) {
        let (request, response) = (&entry.request, &entry.response);
        assert!(entry.started_date_time.ends_with('Z') && entry.cache.is_empty());
        assert!(entry.time.as_f64().unwrap() >= 0.0 && !entry.time.to_string().ends_with(".0"));
        assert_eq!(
            (&request.method, &request.url),
            (&exchange.request.method, &exchange.request.url)
        );
        assert_eq!(request.http_version, exchange.request.http_version);
        assert_eq!(
            (request.headers_size, response.headers_size, response.body_size),
            (-1, -1, -1)
        );
        let sent = exchange.request.body.as_ref();
        assert_eq!(request.body_size, sent.map_or(0, |body| body.size as i64));
        assert_eq!(
            request.post_data.as_ref().map(|data| &data.mime_type),
            sent.map(|body| &body.mime_type)
        );
        assert!(
            request
                .post_data
                .as_ref()
                .is_none_or(|data| data.text.is_some() == sent.unwrap().data.is_some())
        );
        assert_eq!(response.status, i64::from(exchange.response.status));
        assert_eq!(
            (&response.status_text, &response.http_version),
            (&exchange.response.status_text, &exchange.response.http_version)
        );
        let content = exchange.response.body.as_ref();
        assert_eq!(response.content.size, content.map_or(0, |body| body.size as i64));
        assert_eq!(
            response.content.mime_type,
            content.map_or("", |body| body.mime_type.as_str())
        );
        let location = exchange
            .response
            .headers
            .iter()
            .find(|header| header.name.eq_ignore_ascii_case("location"));
        assert_eq!(
            response.redirect_url,
            location.map_or("", |header| header.value.as_str())
        );
        let pairs = |list: &[strict::Pair]| -> Vec<(String, String)> {
            list.iter()
                .map(|pair| (pair.name.clone(), pair.value.clone()))
                .collect()
        };
        let headers = |list: &[qemuweb_capture::Header]| -> Vec<(String, String)> {
            list.iter()
                .map(|header| (header.name.clone(), header.value.clone()))
                .collect()
        };
        assert_eq!(pairs(&request.headers), headers(&exchange.request.headers));
        assert_eq!(pairs(&response.headers), headers(&exchange.response.headers));
        assert_eq!(request.query_string.is_empty(), !request.url.contains('?'));
        let timings = &entry.timings;
        assert!(
            [timings.blocked, timings.dns, timings.connect, timings.ssl]
                .iter()
                .all(|part| *part >= -1.0)
        );
        assert!(
            [timings.send, timings.wait, timings.receive]
                .iter()
                .all(|part| *part >= 0.0)
        );
    }
    let login = &log.entries[2];
    assert_eq!(login.request.url, "https://shop.test/api/login?next=%2Fcart");
    assert_eq!(login.request.query_string[0].value, "/cart");
    assert_eq!(login.request.cookies[0].value, "42");
    let cookies: Vec<_> = login
        .response
        .cookies
        .iter()
        .map(|cookie| {
            (
                cookie.name.as_str(),
                cookie.value.as_str(),
                cookie.http_only,
                &cookie.expires,
            )
        })
        .collect();
    assert_eq!(
        cookies,
        [("sid", "43", Some(true), &None), ("theme", "dark", None, &None)]
    );
    // Not one whole number has a fraction.
    let fraction = text.match_indices(".0").find(|(at, _)| {
        let (before, after) = (text.as_bytes()[at - 1], text.as_bytes()[at + 2]);
        before.is_ascii_digit() && b",}]".contains(&after)
    });
    assert_eq!(fraction, None);
}

#[test]
fn the_crate_har_takes_what_is_written() {
    let mut all: Vec<Exchange> = FILES.iter().flat_map(|(_, file)| read(file).exchanges).collect();
    all.extend(read(include_bytes!("site.har")).exchanges);
    let found = ::har::from_slice(&written(&all)).unwrap();
    let ::har::Spec::V1_2(log) = found.log else {
        panic!("expected version 1.2");
    };
    assert_eq!(log.entries.len(), all.len());
    for (entry, exchange) in log.entries.iter().zip(&all) {
        assert_eq!(entry.request.url, exchange.request.url);
        assert_eq!(entry.response.status, i64::from(exchange.response.status));
    }
}
