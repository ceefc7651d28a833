//! The exchanges that a guest has, read from its console.

use std::io::Read as _;

use anyhow::{Context, Result, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use flate2::read::GzDecoder;
use serde_json::Value;

/// Exchanges as the lines of `capture-v1.schema.json` tell them.
pub(crate) struct Seen(Vec<Value>);

impl Seen {
    /// From lines that were packed by gzip and base64.
    pub(crate) fn unpack(packed: &str) -> Result<Self> {
        let packed: String = packed.split_whitespace().collect();
        let packed = BASE64.decode(packed).context("the console shows no base64")?;
        let mut lines = String::new();
        GzDecoder::new(packed.as_slice()).read_to_string(&mut lines)?;
        let lines = lines.lines().map(serde_json::from_str);
        Ok(Self(
            lines.collect::<Result<_, _>>().context("a line is no JSON")?,
        ))
    }

    /// The exchanges of this method whose URL ends so.
    pub(crate) fn all(&self, method: &str, end: &str) -> Vec<&Value> {
        let is_meant = |exchange: &&Value| {
            let request = &exchange["request"];
            request["method"] == method && request["url"].as_str().is_some_and(|url| url.ends_with(end))
        };
        self.0.iter().filter(is_meant).collect()
    }

    /// The only one.
    pub(crate) fn one(&self, method: &str, end: &str) -> Result<&Value> {
        match self.all(method, end).as_slice() {
            [exchange] => Ok(exchange),
            found => bail!("expected one {method} {end}, found {}", found.len()),
        }
    }

    /// All of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Value> {
        self.0.iter()
    }
}

/// A body's bytes; nothing if there is none, or only its size is known.
pub(crate) fn bytes(body: &Value) -> Result<Option<Vec<u8>>> {
    ensure!(body["cut"] != true, "a body is cut");
    Ok(match (&body["text"], &body["base64"]) {
        (Value::String(text), _) => Some(text.clone().into_bytes()),
        (_, Value::String(base64)) => Some(BASE64.decode(base64)?),
        _ => None,
    })
}

/// What is not certain, but for the order of headers, which never is.
pub(crate) fn doubts(exchange: &Value) -> Vec<&str> {
    let list = exchange["doubts"].as_array().into_iter().flatten();
    list.filter_map(Value::as_str)
        .filter(|doubt| *doubt != "headerOrder")
        .collect()
}
