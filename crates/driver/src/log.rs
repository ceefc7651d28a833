//! What the targets print: console calls, uncaught exceptions and the browser's own log entries.

use std::fmt;

use serde_json::Value;

use crate::Event;

/// One line some target printed.
#[derive(Clone, Debug)]
pub struct LogEntry {
    /// The kind of target, such as `service_worker` or `background_page`.
    pub target_kind: String,
    /// The target's URL when it printed this.
    pub target_url: String,
    /// `log`, `warning`, `error`, …; `exception` for an uncaught one.
    pub level: String,
    /// The text, console arguments joined by spaces.
    pub text: String,
}

impl fmt::Display for LogEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "[{}] {} {}: {}",
            self.level, self.target_kind, self.target_url, self.text
        )
    }
}

/// The entries as text, one a line.
pub fn format_log(entries: &[LogEntry]) -> String {
    entries.iter().map(|entry| format!("{entry}\n")).collect()
}

/// Level and text of an event that carries something printed; `None` for other events.
pub(crate) fn printed(event: &Event) -> Option<(String, String)> {
    let params = &event.params;
    match event.method.as_str() {
        "Runtime.consoleAPICalled" => {
            let level = params["type"].as_str().unwrap_or("log").to_owned();
            let arguments = params["args"].as_array().map(Vec::as_slice).unwrap_or_default();
            Some((
                level,
                arguments
                    .iter()
                    .map(remote_object_text)
                    .collect::<Vec<_>>()
                    .join(" "),
            ))
        }
        "Runtime.exceptionThrown" => Some(("exception".into(), exception_text(&params["exceptionDetails"]))),
        "Log.entryAdded" => {
            let entry = &params["entry"];
            let level = entry["level"].as_str().unwrap_or("info").to_owned();
            let text = entry["text"].as_str().unwrap_or_default();
            let url = entry["url"].as_str().unwrap_or_default();
            Some((
                level,
                if url.is_empty() {
                    text.to_owned()
                } else {
                    format!("{text} ({url})")
                },
            ))
        }
        _ => None,
    }
}

/// The text of a protocol `ExceptionDetails`: the error's stack if it has one.
pub(crate) fn exception_text(details: &Value) -> String {
    let exception = &details["exception"];
    let thrown = exception["description"]
        .as_str()
        .map(str::to_owned)
        .or_else(|| match &exception["value"] {
            Value::Null => None,
            value => Some(plain(value)),
        });
    let text = details["text"].as_str().unwrap_or("exception");
    thrown.map_or_else(|| text.to_owned(), |thrown| format!("{text} {thrown}"))
}

fn remote_object_text(object: &Value) -> String {
    if let Some(value) = object.get("value") {
        return plain(value);
    }
    let text = object["description"]
        .as_str()
        .or_else(|| object["unserializableValue"].as_str());
    text.or_else(|| object["type"].as_str())
        .unwrap_or_default()
        .to_owned()
}

/// A JSON value as a person would print it: strings without quotes.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn console_arguments_are_joined() {
        let event = Event {
            session: None,
            method: "Runtime.consoleAPICalled".into(),
            params: json!({ "type": "warning", "args": [
                { "type": "string", "value": "got" },
                { "type": "number", "value": 3 },
                { "type": "object", "description": "Uint8Array(2)" },
                { "type": "undefined" },
            ] }),
        };
        assert_eq!(
            printed(&event),
            Some(("warning".into(), "got 3 Uint8Array(2) undefined".into()))
        );
    }

    #[test]
    fn thrown_values_and_errors_are_told() {
        let error = json!({ "text": "Uncaught", "exception": { "description": "Error: no\n    at f" } });
        assert_eq!(exception_text(&error), "Uncaught Error: no\n    at f");
        let string = json!({ "text": "Uncaught (in promise)", "exception": { "value": "no" } });
        assert_eq!(exception_text(&string), "Uncaught (in promise) no");
    }
}
