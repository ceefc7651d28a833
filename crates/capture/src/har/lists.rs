//! What HAR tells twice: the query and `queryString`, cookies and their headers, a form's body and its `params`.
//! What stands only in the lists comes to where it was sent.

use std::borrow::Cow;
use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::body::Body;
use crate::exchange::{Header, header};
use crate::multipart::{self, Part};
use crate::url::encode;
use crate::{time, url};

/// Longer URLs are not completed: they are cut anyway.
const LONG: usize = 1 << 17;

/// A cookie of HAR.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Cookie {
    pub(super) name: String,
    pub(super) value: String,
    pub(super) path: Option<String>,
    pub(super) domain: Option<String>,
    /// In milliseconds since the epoch.
    pub(super) expires: Option<f64>,
    pub(super) http_only: bool,
    pub(super) secure: bool,
    pub(super) same_site: Option<String>,
}

/// A field of a form.
pub(super) struct Param<'a> {
    pub(super) name: String,
    pub(super) value: Option<Cow<'a, str>>,
    pub(super) file_name: Option<String>,
    pub(super) content_type: Option<String>,
}

/// The query of a URL as a list.
pub(super) fn query(url: &str) -> Vec<Header> {
    let pair = |pair: &str| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        Header {
            name: url::decode(name),
            value: url::decode(value),
        }
    };
    url::Url::split(url)
        .query
        .into_iter()
        .flat_map(|query| query.split('&'))
        .filter(|pair| !pair.is_empty())
        .map(pair)
        .collect()
}

/// Adds to a URL's query what stands only in the list. Says whether there was something.
pub(super) fn complete_query(url: &mut String, list: &[Header]) -> bool {
    if list.is_empty() {
        return false;
    }
    if url.len() > LONG {
        return false;
    }
    let known: HashSet<String> = query(url).into_iter().map(|pair| pair.name).collect();
    let decoded = url::decode(url);
    if decoded.contains('\u{fffd}') {
        // Not in UTF-8: nobody can tell how the list was decoded.
        return false;
    }
    let is_known = |pair: &&Header| {
        pair.name.is_empty()
            || known.contains(&pair.name)
            || known.contains(&url::decode(&pair.name))
            || decoded.contains(&format!("{}={}", pair.name, pair.value))
            || url.contains(&format!("{}={}", pair.name, pair.value))
    };
    let missing: Vec<String> = list
        .iter()
        .filter(|pair| !is_known(pair))
        .map(|pair| match pair.value.as_str() {
            "" => encode(&pair.name, "%20"),
            value => format!("{}={}", encode(&pair.name, "%20"), encode(value, "%20")),
        })
        .collect();
    if missing.is_empty() {
        return false;
    }
    let end = url.find('#').unwrap_or(url.len());
    let joint = match url[..end].split_once('?') {
        None => "?",
        Some((_, query)) if query.is_empty() || query.ends_with('&') => "",
        Some(_) => "&",
    };
    url.insert_str(end, &format!("{joint}{}", missing.join("&")));
    true
}

/// The cookies of requests' headers.
pub(super) fn cookies(headers: &[Header]) -> Vec<Cookie> {
    let of = |text: &str| {
        let (name, value) = text.split_once('=').unwrap_or((text, ""));
        Cookie {
            name: name.trim().to_owned(),
            value: value.trim().to_owned(),
            ..Cookie::default()
        }
    };
    named(headers, "cookie")
        .flat_map(|header| header.value.split(';'))
        .map(of)
        .filter(|cookie| !cookie.name.is_empty())
        .collect()
}

/// Adds to the header what stands only in the list. Says whether there was something.
pub(super) fn complete_cookies(headers: &mut Vec<Header>, list: &[Cookie]) -> bool {
    let known: HashSet<String> = cookies(headers).into_iter().map(|cookie| cookie.name).collect();
    let missing: Vec<String> = list
        .iter()
        .filter(|cookie| !cookie.name.is_empty() && !known.contains(&cookie.name))
        .map(|cookie| format!("{}={}", cookie.name, cookie.value))
        .collect();
    if missing.is_empty() {
        return false;
    }
    let missing = missing.join("; ");
    match headers
        .iter_mut()
        .find(|header| header.name.eq_ignore_ascii_case("cookie"))
    {
        Some(header) if header.value.trim().is_empty() => header.value = missing,
        Some(header) => header.value += &format!("; {missing}"),
        None => headers.push(Header {
            name: "Cookie".to_owned(),
            value: missing,
        }),
    }
    true
}

/// The cookies of responses' headers.
pub(super) fn set_cookies(headers: &[Header]) -> Vec<Cookie> {
    named(headers, "set-cookie")
        .flat_map(|header| header.value.split('\n'))
        .filter_map(set_cookie)
        .collect()
}

fn set_cookie(text: &str) -> Option<Cookie> {
    let mut parts = text.split(';').map(|part| {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        (name.trim(), value.trim())
    });
    let (name, value) = parts.next().filter(|(name, _)| !name.is_empty())?;
    let mut cookie = Cookie {
        name: name.to_owned(),
        value: value.to_owned(),
        ..Cookie::default()
    };
    for (name, value) in parts {
        match name.to_ascii_lowercase().as_str() {
            "path" => cookie.path = Some(value.to_owned()),
            "domain" => cookie.domain = Some(value.to_owned()),
            "expires" => cookie.expires = time::parse_http(value),
            "httponly" => cookie.http_only = true,
            "secure" => cookie.secure = true,
            "samesite" => cookie.same_site = Some(value.to_owned()),
            _ => {}
        }
    }
    Some(cookie)
}

/// Adds headers for cookies that stand only in the list. Says whether there were some.
pub(super) fn complete_set_cookies(headers: &mut Vec<Header>, list: &[Cookie]) -> bool {
    let known: HashSet<String> = set_cookies(headers)
        .into_iter()
        .map(|cookie| cookie.name)
        .collect();
    let missing: Vec<Header> = list
        .iter()
        .filter(|cookie| !cookie.name.is_empty() && !known.contains(&cookie.name))
        .map(|cookie| Header {
            name: "Set-Cookie".to_owned(),
            value: set_cookie_text(cookie),
        })
        .collect();
    let some = !missing.is_empty();
    headers.extend(missing);
    some
}

fn set_cookie_text(cookie: &Cookie) -> String {
    let mut text = format!("{}={}", cookie.name, cookie.value);
    for (name, value) in [
        ("Path", &cookie.path),
        ("Domain", &cookie.domain),
        ("Expires", &cookie.expires.and_then(time::format_http)),
        ("SameSite", &cookie.same_site),
    ] {
        if let Some(value) = value.as_ref().filter(|value| !value.is_empty()) {
            text += &format!("; {name}={value}");
        }
    }
    for (name, on) in [("HttpOnly", cookie.http_only), ("Secure", cookie.secure)] {
        if on {
            text += &format!("; {name}");
        }
    }
    text
}

fn named<'a>(headers: &'a [Header], name: &'a str) -> impl Iterator<Item = &'a Header> {
    headers
        .iter()
        .filter(move |header| header.name.eq_ignore_ascii_case(name))
}

/// Whether a media type says nothing.
pub(super) fn is_unknown(mime_type: &str) -> bool {
    ["", "x-unknown", "application/x-unknown"].contains(&mime_type)
}

/// The media type that holds for a body: the one that is told, or the header's where that says more.
pub(super) fn mime_type(told: String, headers: &[Header]) -> String {
    let unknown = is_unknown(&told);
    let lacks_boundary = told.eq_ignore_ascii_case("multipart/form-data");
    match header(headers, "content-type") {
        Some(sent) if unknown && !sent.is_empty() => sent.to_owned(),
        Some(sent) if lacks_boundary && multipart::boundary(sent).is_some() => sent.to_owned(),
        _ if unknown => String::new(),
        _ => told,
    }
}

/// The body of a form of which only the fields are told, and `size`, the length of the body if that is known.
pub(super) fn form(mut mime_type: String, params: &[Param<'_>], size: u64, limit: usize) -> Body {
    let has_file = params.iter().any(|param| param.file_name.is_some());
    let essence = mime_type
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    if essence == "multipart/form-data" || essence.is_empty() && has_file {
        let boundary = match multipart::boundary(&mime_type) {
            Some(boundary) => boundary.to_owned(),
            None => {
                let boundary = new_boundary(params);
                mime_type = format!("multipart/form-data; boundary={boundary}");
                boundary
            }
        };
        let parts: Vec<Part<'_>> = params.iter().map(part).collect();
        let mut body = Body::new(mime_type, multipart::write(&parts, &boundary));
        if params
            .iter()
            .any(|param| param.file_name.is_some() && param.value.is_none())
        {
            // What the files hold is not told.
            body.size = size.max(body.size + 1);
        }
        body.limit(limit);
        return body;
    }
    if essence.is_empty() {
        mime_type = "application/x-www-form-urlencoded".to_owned();
    }
    Body::from_text(mime_type, &urlencoded(params, size), limit)
}

/// Fields as `name=value&…`. Recorders tell them decoded or as they were sent; the size, where it is told, shows which.
fn urlencoded(params: &[Param<'_>], size: u64) -> String {
    let join = |encode: fn(&str) -> String, bare: bool| {
        let pair = |param: &Param<'_>| match param.value.as_deref().unwrap_or_default() {
            "" if bare => encode(&param.name),
            value => format!("{}={}", encode(&param.name), encode(value)),
        };
        params.iter().map(pair).collect::<Vec<_>>().join("&")
    };
    let encoded: fn(&str) -> String = |text| encode(text, "+");
    // What was decoded would split the form, or could not have been sent.
    let may_be_sent = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'&');
    // A body that is no form at all is told as one name.
    let is_one_name = matches!(params, [only] if only.value.as_deref().unwrap_or_default().is_empty());
    let is_as_sent = is_one_name
        || params.iter().all(|param| {
            may_be_sent(&param.name)
                && !param.name.contains('=')
                && may_be_sent(param.value.as_deref().unwrap_or_default())
        });
    [
        (encoded, false),
        (encoded, true),
        (str::to_owned, false),
        (str::to_owned, true),
    ]
    .into_iter()
    .take(if is_as_sent { 4 } else { 2 })
    .map(|(encode, bare)| join(encode, bare))
    .find(|text| text.len() as u64 == size)
    .unwrap_or_else(|| join(encoded, false))
}

fn part<'a>(param: &'a Param<'_>) -> Part<'a> {
    Part {
        name: param.name.clone(),
        file_name: param.file_name.clone(),
        content_type: param.content_type.clone(),
        content: param.value.as_deref().unwrap_or_default().as_bytes(),
    }
}

/// A boundary that stands in no value: it is made of all of them.
fn new_boundary(params: &[Param<'_>]) -> String {
    let mut hasher = DefaultHasher::new();
    for param in params {
        (&param.name, &param.value, &param.file_name).hash(&mut hasher);
    }
    format!("----QemuWebFormBoundary{:016x}", hasher.finish())
}
