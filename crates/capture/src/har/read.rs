//! From an entry to an exchange.

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};

use super::archive::{HarError, kind_of};
use super::failure::{ERRORS, Failed};
use super::fields::{Lenient, fields, present};
use super::lists::{self, Cookie, Param};
use super::model::Extra;
use super::remarks::{Fate, Remarks};
use super::text;
use crate::body::Body;
use crate::exchange::{Cut, Exchange, Header, Request, Response, Timings};
use crate::limits::Limits;
use crate::url::Url;

/// Reads one entry within limits. Where it does not tell when it started, that is when the one `before` it did.
pub(super) fn read_entry_with(
    json: &str,
    limits: &Limits,
    remarks: &mut Remarks,
    before: Option<f64>,
) -> Result<Exchange, HarError> {
    let repaired;
    let mut reader = Reader {
        lenient: Lenient { remarks },
        limits,
        extra: None,
    };
    let mut exchange = match fields(json, ENTRY) {
        Ok(fields) => reader.exchange(json, fields, before)?,
        Err(_) if !json.starts_with('{') => return Err(HarError::NoRequest { found: kind_of(json) }),
        Err(error) => {
            repaired = text::repair(json);
            let fields = fields(&repaired, ENTRY).map_err(|_| error)?;
            reader.lenient.remarks.note(Fate::Mended, "JSON that is none");
            reader.exchange(&repaired, fields, before)?
        }
    };
    limits.apply(&mut exchange);
    Ok(exchange)
}

/// The fields of an entry.
const ENTRY: [&str; 18] = [
    "startedDateTime",
    "time",
    "request",
    "response",
    "timings",
    "serverIPAddress",
    "connection",
    "_connectionId",
    "_resourceType",
    "_priority",
    "_initiator",
    "_webSocketMessages",
    "_qemuweb",
    "_wasAborted",
    ERRORS[0],
    ERRORS[1],
    ERRORS[2],
    ERRORS[3],
];

/// Reads the parts of one entry.
pub(super) struct Reader<'r> {
    pub(super) lenient: Lenient<'r>,
    pub(super) limits: &'r Limits,
    /// What we added, in a file of ours.
    pub(super) extra: Option<Extra>,
}

impl Reader<'_> {
    fn exchange(
        &mut self,
        json: &str,
        fields: [Option<&str>; ENTRY.len()],
        before: Option<f64>,
    ) -> Result<Exchange, HarError> {
        let [
            started,
            time,
            request,
            response,
            timings,
            address,
            connection,
            connection_id,
            resource_type,
            priority,
            initiator,
            messages,
            extra,
            aborted,
            errors @ ..,
        ] = fields;
        self.extra = present(extra).map(|extra| {
            serde_json::from_str(extra).unwrap_or_else(|_| {
                self.lenient.remarks.note(Fate::LeftAside, "what QemuWeb adds");
                Extra::default()
            })
        });
        let Some(request) = present(request) else {
            return Err(HarError::NoRequest { found: kind_of(json) });
        };
        let mut exchange = Exchange {
            request: self.request(request),
            ..Exchange::default()
        };
        if exchange.request.url.is_empty() && exchange.request.method.is_empty() && self.extra.is_none() {
            return Err(HarError::NoRequest { found: kind_of(json) });
        }
        let lenient = &mut self.lenient;
        if present(started).is_none() {
            lenient.remarks.note(Fate::Missing, "the start time");
        }
        exchange.started = lenient
            .date(started, "the start time")
            .or(before)
            .unwrap_or_default();
        exchange.time = lenient.duration(time, "the duration").unwrap_or_default();
        exchange.server_ip = self.address(address);
        let lenient = &mut self.lenient;
        // Browsers write the server's port to `connection`, and Chromium beside it what HAR means by one.
        exchange.connection = match present(connection_id) {
            None => some(lenient.text(connection, "the connection"))
                .filter(|connection| !is_port(connection, &exchange.request.url)),
            id => some(lenient.text(id, "the connection")),
        };
        exchange.resource_type = some(lenient.text(resource_type, "the resource type"));
        exchange.priority = some(lenient.text(priority, "the priority"));
        exchange.initiator = self.initiator(initiator);
        exchange.timings = self.timings(timings);
        let failed = self.response(response, &mut exchange);
        self.failure(failed, errors, aborted, &mut exchange);
        self.messages(messages, &mut exchange);
        let extra = self.extra.take().unwrap_or_default();
        exchange.redacted = extra.redacted;
        extra.cut.into_iter().for_each(|cut| exchange.note_cut(cut));
        extra
            .doubts
            .into_iter()
            .for_each(|doubt| exchange.note_doubt(doubt));
        if exchange.messages.iter().any(|message| message.body.is_cut()) {
            exchange.note_cut(Cut::Messages);
        }
        Ok(exchange)
    }

    fn request(&mut self, json: &str) -> Request {
        const NAMES: [&str; 8] = [
            "method",
            "url",
            "httpVersion",
            "headers",
            "queryString",
            "cookies",
            "postData",
            "bodySize",
        ];
        let lenient = &mut self.lenient;
        let [method, url, version, headers, query, cookies, data, size] =
            lenient.object(Some(json), NAMES, "the request");
        for (field, what) in [(method, "the method"), (url, "the URL")] {
            if present(field).is_none() {
                lenient.remarks.note(Fate::Missing, what);
            }
        }
        let mut request = Request {
            method: owned(lenient.text(method, "the method")),
            url: owned(lenient.text(url, "the URL")),
            http_version: owned(lenient.text(version, "the protocol's version")),
            headers: self.headers(headers, "the value of a header", "the headers"),
            body: None,
        };
        let query = self.headers(query, "a value of the query", "the query's list");
        if lists::complete_query(&mut request.url, &query) {
            self.lenient
                .remarks
                .note(Fate::Mended, "a query that stands only in its list");
        }
        let cookies = self.cookies(cookies);
        if lists::complete_cookies(&mut request.headers, &cookies) {
            self.lenient
                .remarks
                .note(Fate::Mended, "cookies that stand only in their list");
        }
        let size = self
            .lenient
            .size(size, "the size of the request's body")
            .unwrap_or_default();
        request.body = self.request_body(data, size, &request.headers);
        request
    }

    fn request_body(&mut self, json: Option<&str>, size: u64, headers: &[Header]) -> Option<Body> {
        let json = present(json)?;
        let what = "the request's body";
        let lenient = &mut self.lenient;
        let (told, text, params) = if json.starts_with('{') {
            let [mime_type, text, params] = lenient.object(Some(json), ["mimeType", "text", "params"], what);
            let told = owned(lenient.text(mime_type, "the type of the request's body"));
            (told, lenient.text_or_json(text, what), params)
        } else {
            if json.starts_with('"') {
                lenient.remarks.note(Fate::Mended, what);
            }
            (String::new(), lenient.text_or_json(Some(json), what), None)
        };
        let mime_type = lists::mime_type(told, headers);
        let params = match &text {
            Some(text) if !text.is_empty() => Vec::new(),
            _ => self.params(params),
        };
        let extra = self.extra.as_ref();
        let is_base64 = extra.is_some_and(|extra| extra.request_body_base64);
        let told_size = extra
            .and_then(|extra| extra.request_body_size)
            .unwrap_or_default();
        let limit = self.limits.body;
        let mut body = match text {
            _ if !params.is_empty() => lists::form(mime_type, &params, size, limit),
            Some(text) if is_base64 => Body::from_base64(mime_type.clone(), &text, limit)
                .unwrap_or_else(|_| Body::from_text(mime_type, &text, limit)),
            // A body that is said to have bytes, but is not told.
            Some(text) if text.is_empty() && size > 0 && extra.is_none() => Body::unknown(mime_type, size),
            Some(text) => Body::from_text(mime_type, &text, limit),
            None if extra.is_none() => Body::unknown(mime_type, size),
            None => Body::unknown(mime_type, 0),
        };
        body.size = body.size.max(told_size);
        Some(body)
    }

    /// A form's fields.
    fn params<'a>(&mut self, json: Option<&'a str>) -> Vec<Param<'a>> {
        let mut params = Vec::new();
        self.lenient
            .items(json, "the form's fields", |lenient, key, item| {
                let mut param = Param {
                    name: String::new(),
                    value: None,
                    file_name: None,
                    content_type: None,
                };
                if let Some(key) = key {
                    param.name = key.into_owned();
                    param.value = lenient.text(Some(item), "a form's field");
                } else {
                    let names = ["name", "value", "fileName", "contentType"];
                    let [name, value, file_name, content_type] =
                        lenient.object(Some(item), names, "a form's field");
                    param.name = owned(lenient.text(name, "a form's field"));
                    param.value = lenient.text(value, "a form's field");
                    param.file_name = some(lenient.text(file_name, "the name of a form's file"));
                    param.content_type = some(lenient.text(content_type, "the type of a form's file"));
                }
                params.push(param);
            });
        params
    }

    /// Names with values, from a list or an object. One whose value is no text goes alone.
    fn headers(&mut self, json: Option<&str>, one: &'static str, all: &'static str) -> Vec<Header> {
        let mut headers = Vec::new();
        let most = self.limits.headers;
        self.lenient.items(json, all, |lenient, key, item| {
            // One more than is kept, so that it is known that there were more.
            if headers.len() > most {
                return;
            }
            let (name, value) = match key {
                Some(key) => (Some(key), Some(item)),
                None => {
                    let [name, value] = lenient.object(Some(item), ["name", "value"], one);
                    (lenient.text(name, "the name of a header"), value)
                }
            };
            let Some(name) = name else { return };
            let value = match value {
                None => Some(Cow::Borrowed("")),
                Some("null") => {
                    lenient.remarks.note(Fate::LeftAside, one);
                    None
                }
                value => lenient.text(value, one),
            };
            headers.extend(value.map(|value| Header {
                name: name.into_owned(),
                value: value.into_owned(),
            }));
        });
        headers
    }

    fn cookies(&mut self, json: Option<&str>) -> Vec<Cookie> {
        let mut cookies = Vec::new();
        let most = self.limits.headers;
        self.lenient
            .items(json, "the list of cookies", |lenient, key, item| {
                if cookies.len() >= most {
                    return;
                }
                let what = "a cookie";
                if let Some(key) = key {
                    cookies.push(Cookie {
                        name: key.into_owned(),
                        value: owned(lenient.text(Some(item), what)),
                        ..Cookie::default()
                    });
                    return;
                }
                let names = [
                    "name", "value", "path", "domain", "expires", "httpOnly", "secure", "sameSite",
                ];
                let [name, value, path, domain, expires, http_only, secure, same_site] =
                    lenient.object(Some(item), names, what);
                let is_true = |json: Option<&str>| json.is_some_and(|json| json.trim_matches('"') == "true");
                cookies.push(Cookie {
                    name: owned(lenient.text(name, what)),
                    value: owned(lenient.text(value, what)),
                    path: some(lenient.text(path, what)),
                    domain: some(lenient.text(domain, what)),
                    // Written as "" or -1 where there is none.
                    expires: present(expires)
                        .filter(|expires| *expires != "\"\"")
                        .and_then(|expires| lenient.date(Some(expires), "the end of a cookie"))
                        .filter(|expires| *expires > 0.0),
                    http_only: is_true(http_only),
                    secure: is_true(secure),
                    same_site: some(lenient.text(same_site, what)),
                });
            });
        cookies
    }

    /// The response, without its failure: gives what tells of that.
    fn response<'a>(&mut self, json: Option<&'a str>, exchange: &mut Exchange) -> Failed<'a> {
        const NAMES: [&str; 12] = [
            "status",
            "statusText",
            "httpVersion",
            "headers",
            "cookies",
            "content",
            "_transferSize",
            "_charlesStatus",
            ERRORS[0],
            ERRORS[1],
            ERRORS[2],
            ERRORS[3],
        ];
        if present(json).is_none() {
            self.lenient.remarks.note(Fate::Missing, "the response");
        }
        let lenient = &mut self.lenient;
        let [
            status,
            status_text,
            version,
            headers,
            cookies,
            content,
            transfer_size,
            charles,
            errors @ ..,
        ] = lenient.object(json, NAMES, "the response");
        // What is negative stands for "none", as in Playwright's files.
        let status = lenient.number(status, "the status").unwrap_or_default().max(0.0);
        if status > f64::from(u16::MAX) {
            lenient.remarks.note(Fate::LeftAside, "the status");
        }
        exchange.response = Response {
            status: if status > f64::from(u16::MAX) {
                0
            } else {
                status as u16
            },
            status_text: owned(lenient.text(status_text, "the status text")),
            http_version: owned(lenient.text(version, "the protocol's version")),
            headers: self.headers(headers, "the value of a header", "the headers"),
            body: None,
            transfer_size: self.lenient.size(transfer_size, "the transferred size"),
            error: None,
        };
        let cookies = self.cookies(cookies);
        if lists::complete_set_cookies(&mut exchange.response.headers, &cookies) {
            self.lenient
                .remarks
                .note(Fate::Mended, "cookies that stand only in their list");
        }
        exchange.response.body = self.response_body(content, &exchange.response.headers);
        Failed { errors, charles }
    }

    fn response_body(&mut self, json: Option<&str>, headers: &[Header]) -> Option<Body> {
        let json = present(json)?;
        let what = "the response's body";
        let limit = self.limits.body;
        let lenient = &mut self.lenient;
        if json.starts_with('"') {
            let text = lenient.text(Some(json), what)?;
            lenient.remarks.note(Fate::Mended, what);
            let mime_type = lists::mime_type(String::new(), headers);
            return (!text.is_empty()).then(|| Body::from_text(mime_type, &text, limit));
        }
        let names = ["size", "mimeType", "text", "encoding"];
        let [size, mime_type, text, encoding] = lenient.object(Some(json), names, what);
        let size = lenient
            .size(size, "the size of the response's body")
            .unwrap_or_default();
        let told = owned(lenient.text(mime_type, "the type of the response's body"));
        let encoding = owned(lenient.text(encoding, "the encoding of the response's body"));
        let text = lenient.text_or_json(text, what);
        let is_cut = self
            .extra
            .as_ref()
            .is_some_and(|extra| extra.cut.contains(&Cut::ResponseBody));
        if text.is_none() && size == 0 && lists::is_unknown(&told) {
            return None;
        }
        let mime_type = lists::mime_type(told, headers);
        let mut body = match text {
            Some(text) if encoding.eq_ignore_ascii_case("base64") => {
                Body::from_base64(mime_type.clone(), &text, limit).unwrap_or_else(|_| {
                    self.lenient
                        .remarks
                        .note(Fate::LeftAside, "a body that is said to be base64 and is not");
                    Body::unknown(mime_type, size)
                })
            }
            // Chromium gives this for bodies that it does not have.
            Some(text) if text.is_empty() && size > 0 && !is_cut => Body::unknown(mime_type, size),
            Some(text) => Body::from_text(mime_type, &text, limit),
            None => Body::unknown(mime_type, size),
        };
        // Only our own files mean by a larger size that the body was cut; others count it before a change of charset.
        if is_cut {
            body.size = body.size.max(size);
        }
        Some(body)
    }

    fn timings(&mut self, json: Option<&str>) -> Timings {
        let names = ["blocked", "dns", "connect", "ssl", "send", "wait", "receive"];
        let lenient = &mut self.lenient;
        let values = lenient.object(json, names, "the timings");
        let extra = self.extra.as_ref();
        let mut values = names.iter().zip(values).map(|(name, value)| {
            let is_unknown =
                extra.is_some_and(|extra| extra.unknown_timings.iter().any(|unknown| unknown == name));
            lenient.duration(value.filter(|_| !is_unknown), "a timing")
        });
        let mut next = || values.next().flatten();
        Timings {
            blocked: next(),
            dns: next(),
            connect: next(),
            ssl: next(),
            send: next(),
            wait: next(),
            receive: next(),
        }
    }

    fn initiator(&mut self, json: Option<&str>) -> Option<String> {
        let json = present(json)?;
        let what = "the initiator";
        let lenient = &mut self.lenient;
        if !json.starts_with('{') {
            return some(lenient.text(Some(json), what));
        }
        let [kind, url, line, stack] =
            lenient.object(Some(json), ["type", "url", "lineNumber", "stack"], what);
        let kind = owned(lenient.text(kind, what));
        let (mut url, mut line) = (present(url), line);
        if url.is_none() {
            let [frames] = lenient.object(stack, ["callFrames"], what);
            let mut top = None;
            lenient.items(frames, what, |_, _, frame| top = top.or(Some(frame)));
            [url, line] = lenient.object(top, ["url", "lineNumber"], what);
        }
        let line = lenient.size(line, what).map(|line| format!(":{line}"));
        let url = owned(lenient.text(url, what));
        some(Some(Cow::Owned(
            format!("{kind} {url}{}", line.unwrap_or_default())
                .trim()
                .to_owned(),
        )))
    }

    /// An address, also with a port, in brackets, with a zone or behind a name.
    fn address(&mut self, json: Option<&str>) -> Option<IpAddr> {
        let what = "the server's address";
        let text = self.lenient.text(json, what)?;
        let first = text.split([',', ' ']).next().unwrap_or_default();
        let address = first.rsplit('/').next().unwrap_or_default();
        if address.is_empty() {
            return None;
        }
        // The zone tells of one machine's own interface.
        let zone = address
            .split_once('%')
            .map_or("", |(_, zone)| zone.split(']').next().unwrap_or_default());
        let plain = address.replacen(&format!("%{zone}"), "", 1);
        let found = plain
            .parse()
            .or_else(|_| plain.trim_start_matches('[').trim_end_matches(']').parse())
            .or_else(|_| plain.parse().map(|address: SocketAddr| address.ip()))
            .ok();
        if found.is_none() {
            self.lenient.remarks.note(Fate::LeftAside, what);
        }
        found
    }
}

/// Whether a connection is named by nothing but the port that it goes to, as those of the same server all are.
fn is_port(connection: &str, url: &str) -> bool {
    let url = Url::split(url);
    url.has_authority && connection.parse() == Ok(url.port_number())
}

pub(super) fn owned(text: Option<Cow<'_, str>>) -> String {
    text.map(Cow::into_owned).unwrap_or_default()
}

/// A text that says something.
pub(super) fn some(text: Option<Cow<'_, str>>) -> Option<String> {
    text.map(Cow::into_owned).filter(|text| !text.is_empty())
}
