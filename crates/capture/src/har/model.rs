//! HAR's objects as we write them: every field that HAR 1.2 asks for, whole numbers without a fraction.

use std::borrow::Cow;

use serde::{Deserialize, Serialize, Serializer};

use crate::doubt::Doubt;
use crate::exchange::{Cut, Header};

/// A number. Readers with types take `200.0` for no whole number, so there is no fraction where there need be none.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Number(pub(super) f64);

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        /// Up to here each whole number is a float.
        const EXACT: f64 = 9_007_199_254_740_992.0;
        if self.0.fract() == 0.0 && self.0.abs() <= EXACT {
            serializer.serialize_i64(self.0 as i64)
        } else {
            serializer.serialize_f64(self.0)
        }
    }
}

/// An entry.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Entry<'a> {
    pub(super) started_date_time: String,
    pub(super) time: Number,
    pub(super) request: Request<'a>,
    pub(super) response: Response<'a>,
    /// Of which nothing is known.
    pub(super) cache: Cache,
    pub(super) timings: Timings,
    #[serde(rename = "serverIPAddress", skip_serializing_if = "Option::is_none")]
    pub(super) server_ip: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) connection: Option<&'a str>,
    /// The same, as Chromium names what is no port.
    #[serde(rename = "_connectionId", skip_serializing_if = "Option::is_none")]
    pub(super) connection_id: Option<&'a str>,
    #[serde(rename = "_resourceType", skip_serializing_if = "Option::is_none")]
    pub(super) resource_type: Option<&'a str>,
    #[serde(rename = "_priority", skip_serializing_if = "Option::is_none")]
    pub(super) priority: Option<&'a str>,
    #[serde(rename = "_initiator", skip_serializing_if = "Option::is_none")]
    pub(super) initiator: Option<Initiator<'a>>,
    #[serde(rename = "_webSocketMessages", skip_serializing_if = "Vec::is_empty")]
    pub(super) messages: Vec<Message<'a>>,
    #[serde(rename = "_qemuweb")]
    pub(super) extra: Extra,
}

#[derive(Serialize)]
pub(super) struct Cache {}

/// What QemuWeb adds to an entry: what HAR has no field for.
#[derive(Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Extra {
    #[serde(default)]
    pub(super) redacted: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) cut: Vec<Cut>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) doubts: Vec<Doubt>,
    /// The size of a request's body that was cut.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) request_body_size: Option<u64>,
    /// Whether the request's body is in base64, which HAR cannot tell.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) request_body_base64: bool,
    /// Sizes of WebSocket messages that were cut, by their index.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) message_sizes: Vec<(usize, u64)>,
    /// Timings that HAR asks for and nobody knows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) unknown_timings: Vec<Cow<'static, str>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Request<'a> {
    pub(super) method: &'a str,
    pub(super) url: &'a str,
    pub(super) http_version: &'a str,
    pub(super) cookies: Vec<Cookie>,
    pub(super) headers: &'a [Header],
    pub(super) query_string: Vec<Header>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) post_data: Option<PostData<'a>>,
    pub(super) headers_size: i64,
    pub(super) body_size: i64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Cookie {
    pub(super) name: String,
    pub(super) value: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) path: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) domain: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) expires: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) http_only: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) secure: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) same_site: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PostData<'a> {
    pub(super) mime_type: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) text: Option<Cow<'a, str>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Response<'a> {
    pub(super) status: u16,
    pub(super) status_text: &'a str,
    pub(super) http_version: &'a str,
    pub(super) cookies: Vec<Cookie>,
    pub(super) headers: &'a [Header],
    pub(super) content: Content<'a>,
    #[serde(rename = "redirectURL")]
    pub(super) redirect_url: &'a str,
    pub(super) headers_size: i64,
    pub(super) body_size: i64,
    #[serde(rename = "_transferSize", skip_serializing_if = "Option::is_none")]
    pub(super) transfer_size: Option<u64>,
    #[serde(rename = "_error", skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<&'a str>,
}

#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Content<'a> {
    pub(super) size: i64,
    pub(super) mime_type: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) text: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) encoding: Option<&'static str>,
}

/// HAR's timings: the first four are -1 where they do not apply, the last three must not be negative.
#[derive(Serialize)]
pub(super) struct Timings {
    pub(super) blocked: Number,
    pub(super) dns: Number,
    pub(super) connect: Number,
    pub(super) ssl: Number,
    pub(super) send: Number,
    pub(super) wait: Number,
    pub(super) receive: Number,
}

#[derive(Serialize)]
pub(super) struct Initiator<'a> {
    #[serde(rename = "type")]
    pub(super) kind: &'a str,
}

/// As Chromium writes it.
#[derive(Serialize)]
pub(super) struct Message<'a> {
    #[serde(rename = "type")]
    pub(super) direction: &'static str,
    /// In seconds since the epoch.
    pub(super) time: Number,
    pub(super) opcode: u8,
    pub(super) data: Cow<'a, str>,
}
