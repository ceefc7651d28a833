//! HAR's objects as they stand in a file, with every field that may be missing or odd made optional.

use std::borrow::Cow;

use serde::de::{DeserializeOwned, Deserializer, IgnoredAny};
use serde::{Deserialize, Serialize};

use crate::doubt::Doubt;
use crate::exchange::{Cut, Header};

/// Takes a value of the right type, and nothing instead of any other.
fn lenient<'de, D: Deserializer<'de>, T: DeserializeOwned + Default>(deserializer: D) -> Result<T, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either<T> {
        Right(T),
        Wrong(IgnoredAny),
    }
    Ok(match Either::deserialize(deserializer)? {
        Either::Right(value) => value,
        Either::Wrong(_) => T::default(),
    })
}

/// An entry.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Entry<'a> {
    #[serde(borrow)]
    pub(super) started_date_time: Cow<'a, str>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) time: f64,
    #[serde(borrow)]
    pub(super) request: Request<'a>,
    #[serde(borrow)]
    pub(super) response: Response<'a>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) cache: Empty,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) timings: Timings,
    #[serde(
        default,
        rename = "serverIPAddress",
        deserialize_with = "lenient",
        skip_serializing_if = "Option::is_none"
    )]
    pub(super) server_ip: Option<String>,
    #[serde(
        default,
        deserialize_with = "lenient",
        skip_serializing_if = "Option::is_none"
    )]
    pub(super) connection: Option<String>,
    #[serde(
        default,
        rename = "_resourceType",
        deserialize_with = "lenient",
        skip_serializing_if = "Option::is_none"
    )]
    pub(super) resource_type: Option<String>,
    #[serde(
        default,
        rename = "_priority",
        deserialize_with = "lenient",
        skip_serializing_if = "Option::is_none"
    )]
    pub(super) priority: Option<String>,
    #[serde(
        default,
        rename = "_initiator",
        deserialize_with = "lenient",
        skip_serializing_if = "Option::is_none"
    )]
    pub(super) initiator: Option<Initiator>,
    #[serde(
        default,
        rename = "_webSocketMessages",
        deserialize_with = "lenient",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub(super) messages: Vec<Message>,
    /// Ours: what HAR has no field for.
    #[serde(
        default,
        rename = "_qemuweb",
        deserialize_with = "lenient",
        skip_serializing_if = "Option::is_none"
    )]
    pub(super) extra: Option<Extra>,
}

/// HAR's `cache` object, of which nothing is kept.
#[derive(Default, Deserialize, Serialize)]
pub(super) struct Empty {}

/// What QemuWeb adds to an entry.
#[derive(Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Extra {
    #[serde(default)]
    pub(super) redacted: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) cut: Vec<Cut>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) doubts: Vec<Doubt>,
    /// Sizes of bodies that were cut: the request's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) request_body_size: Option<u64>,
    /// Whether the request's body is in base64, which HAR cannot tell.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) request_body_base64: bool,
    /// Sizes of WebSocket messages that were cut, by their index.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) message_sizes: Vec<(usize, u64)>,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Request<'a> {
    #[serde(borrow)]
    pub(super) method: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) url: Cow<'a, str>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) http_version: String,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) headers: Vec<Header>,
    #[serde(default, skip_deserializing)]
    pub(super) query_string: Vec<Header>,
    /// Never filled: the headers have them.
    #[serde(default, skip_deserializing)]
    pub(super) cookies: [u8; 0],
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) post_data: Option<PostData<'a>>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) headers_size: i64,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) body_size: i64,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PostData<'a> {
    #[serde(default, deserialize_with = "lenient")]
    pub(super) mime_type: String,
    #[serde(default, borrow, skip_serializing_if = "Option::is_none")]
    pub(super) text: Option<Cow<'a, str>>,
    #[serde(default, deserialize_with = "lenient", skip_serializing_if = "Vec::is_empty")]
    pub(super) params: Vec<Header>,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Response<'a> {
    #[serde(default, deserialize_with = "lenient")]
    pub(super) status: f64,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) status_text: String,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) http_version: String,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) headers: Vec<Header>,
    /// Never filled: the headers have them.
    #[serde(default, skip_deserializing)]
    pub(super) cookies: [u8; 0],
    #[serde(default, borrow)]
    pub(super) content: Option<Content<'a>>,
    #[serde(default, rename = "redirectURL", deserialize_with = "lenient")]
    pub(super) redirect_url: String,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) headers_size: i64,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) body_size: i64,
    #[serde(
        default,
        rename = "_transferSize",
        deserialize_with = "lenient",
        skip_serializing_if = "Option::is_none"
    )]
    pub(super) transfer_size: Option<f64>,
    #[serde(
        default,
        rename = "_error",
        deserialize_with = "lenient",
        skip_serializing_if = "Option::is_none"
    )]
    pub(super) error: Option<String>,
}

#[derive(Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Content<'a> {
    #[serde(default, deserialize_with = "lenient")]
    pub(super) size: f64,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) mime_type: String,
    #[serde(default, borrow, skip_serializing_if = "Option::is_none")]
    pub(super) text: Option<Cow<'a, str>>,
    #[serde(
        default,
        deserialize_with = "lenient",
        skip_serializing_if = "Option::is_none"
    )]
    pub(super) encoding: Option<String>,
}

/// HAR's timings: -1 where one does not apply.
#[derive(Default, Deserialize, Serialize)]
pub(super) struct Timings {
    #[serde(default, deserialize_with = "lenient")]
    pub(super) blocked: Option<f64>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) dns: Option<f64>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) connect: Option<f64>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) ssl: Option<f64>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) send: Option<f64>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) wait: Option<f64>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) receive: Option<f64>,
}

#[derive(Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Initiator {
    #[serde(default, rename = "type", deserialize_with = "lenient")]
    pub(super) kind: String,
    #[serde(
        default,
        deserialize_with = "lenient",
        skip_serializing_if = "Option::is_none"
    )]
    pub(super) url: Option<String>,
    #[serde(
        default,
        deserialize_with = "lenient",
        skip_serializing_if = "Option::is_none"
    )]
    pub(super) line_number: Option<f64>,
    #[serde(default, deserialize_with = "lenient", skip_serializing)]
    pub(super) stack: Option<Stack>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Stack {
    #[serde(default, deserialize_with = "lenient")]
    pub(super) call_frames: Vec<Initiator>,
}

#[derive(Default, Deserialize, Serialize)]
pub(super) struct Message {
    #[serde(default, rename = "type", deserialize_with = "lenient")]
    pub(super) direction: String,
    /// In seconds since the epoch.
    #[serde(default, deserialize_with = "lenient")]
    pub(super) time: f64,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) opcode: f64,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) data: String,
}
