//! A session with one target: evaluate in it, hear from it, give it files, take its picture.

use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};

use crate::log::exception_text;
use crate::{Connection, DEFAULT_TIMEOUT, Event, Target, poll};

/// A session with one target. Clones speak to the same target.
#[derive(Clone)]
pub struct Session {
    connection: Connection,
    target: Target,
}

/// Calls of one function that was added to a target by [`Session::add_binding`].
pub struct BindingCall {
    events: Receiver<Event>,
}

impl Session {
    pub(crate) fn new(connection: Connection, target: Target) -> Self {
        Session { connection, target }
    }

    /// The target as it was when this session was made.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Sends a protocol command to the target and waits for its result.
    pub fn call(&self, method: &str, params: Value) -> Result<Value> {
        self.call_within(method, params, DEFAULT_TIMEOUT)
    }

    /// [`Session::call`] with a time limit of its own.
    pub fn call_within(&self, method: &str, params: Value, timeout: Duration) -> Result<Value> {
        self.connection
            .call(Some(&self.target.session), method, params, timeout)
            .with_context(|| format!("in {} {}", self.target.kind, self.target.url))
    }

    /// The value of a JavaScript expression; a promise is awaited, what is thrown becomes the error.
    pub fn evaluate(&self, expression: &str) -> Result<Value> {
        self.evaluate_within(expression, DEFAULT_TIMEOUT)
    }

    /// [`Session::evaluate`] with a time limit of its own.
    pub fn evaluate_within(&self, expression: &str, timeout: Duration) -> Result<Value> {
        let params = json!({
            "expression": expression, "awaitPromise": true, "returnByValue": true, "userGesture": true,
        });
        let result = self
            .call_within("Runtime.evaluate", params, timeout)
            .with_context(|| format!("evaluating `{}`", shortened(expression)))?;
        thrown_to_error(&result, expression)?;
        Ok(result["result"].get("value").cloned().unwrap_or(Value::Null))
    }

    /// Evaluates until the value is truthy, and returns it. `what` names it in the error.
    pub fn wait_for(&self, what: &str, expression: &str, timeout: Duration) -> Result<Value> {
        poll(what, timeout, || {
            let value = self.evaluate_within(expression, timeout)?;
            let truthy = match &value {
                Value::Null => false,
                Value::Bool(value) => *value,
                Value::Number(number) => number.as_f64() != Some(0.0),
                Value::String(text) => !text.is_empty(),
                Value::Array(_) | Value::Object(_) => true,
            };
            Ok(truthy.then_some(value))
        })
    }

    /// Adds a function `name(text)` to the target's global scope and returns its calls from now on.
    pub fn add_binding(&self, name: &str) -> Result<BindingCall> {
        let (session, wanted) = (self.target.session.clone(), name.to_owned());
        let events = self.connection.subscribe(move |event| {
            event.method == "Runtime.bindingCalled"
                && event.session.as_deref() == Some(session.as_str())
                && event.params["name"] == wanted.as_str()
        });
        self.call("Runtime.addBinding", json!({ "name": name }))?;
        Ok(BindingCall { events })
    }

    /// Chooses `files` in the `<input type=file>` that `expression` evaluates to.
    pub fn set_files(&self, expression: &str, files: &[&Path]) -> Result<()> {
        let result = self.call("Runtime.evaluate", json!({ "expression": expression }))?;
        thrown_to_error(&result, expression)?;
        let object = result["result"]["objectId"]
            .as_str()
            .ok_or_else(|| anyhow!("`{}` is no element to give files to", shortened(expression)))?;
        let paths = files
            .iter()
            .map(|file| {
                let path = file
                    .canonicalize()
                    .with_context(|| format!("cannot open {}", file.display()))?;
                path.into_os_string()
                    .into_string()
                    .map_err(|path| anyhow!("{path:?} is no UTF-8 path"))
            })
            .collect::<Result<Vec<_>>>()?;
        self.call(
            "DOM.setFileInputFiles",
            json!({ "files": paths, "objectId": object }),
        )?;
        Ok(())
    }

    /// A PNG of what the target shows now. Only for top-level targets: of a DevTools panel, ask the front end.
    pub fn screenshot(&self) -> Result<Vec<u8>> {
        let result = self.call("Page.captureScreenshot", json!({ "format": "png" }))?;
        let data = result["data"]
            .as_str()
            .context("Page.captureScreenshot gave no data")?;
        BASE64
            .decode(data)
            .context("Page.captureScreenshot gave no base64")
    }

    /// Pretends that the person prefers `scheme` (`light` or `dark`).
    pub fn emulate_color_scheme(&self, scheme: &str) -> Result<()> {
        let features = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.call("Emulation.setEmulatedMedia", features).map(drop)
    }

    /// Gives the page a viewport of `width` × `height` CSS pixels.
    pub fn set_viewport(&self, width: u32, height: u32) -> Result<()> {
        let metrics = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.call("Emulation.setDeviceMetricsOverride", metrics).map(drop)
    }
}

impl BindingCall {
    /// The argument of the next call; `None` when none came within `timeout`, an error when the browser went away.
    pub fn next_within(&self, timeout: Duration) -> Result<Option<String>> {
        match self.events.recv_timeout(timeout) {
            Ok(event) => Ok(Some(
                event.params["payload"].as_str().unwrap_or_default().to_owned(),
            )),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => bail!("the browser went away"),
        }
    }
}

fn thrown_to_error(result: &Value, expression: &str) -> Result<()> {
    match result.get("exceptionDetails") {
        Some(details) => bail!("{} (in `{}`)", exception_text(details), shortened(expression)),
        None => Ok(()),
    }
}

/// An expression for an error message: its first line, not too much of it.
fn shortened(expression: &str) -> String {
    let line = expression.trim().lines().next().unwrap_or_default();
    match line.char_indices().nth(100) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}
