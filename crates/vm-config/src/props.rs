//! QEMU's `key=value,key=value` syntax, written and read.

use serde_json::Value;

/// A property list under construction. Commas in values are doubled, as QEMU's syntax asks.
pub(crate) struct Props(String);

impl Props {
    /// A list whose first word is a bare name, such as a device's.
    pub(crate) fn of(name: &str) -> Self {
        Self(escape(name))
    }

    /// Adds `key=value`.
    pub(crate) fn with(mut self, key: &str, value: &str) -> Self {
        self.0.push(',');
        self.0.push_str(key);
        self.0.push('=');
        self.0.push_str(&escape(value));
        self
    }

    /// Adds `key=on` if `on`.
    pub(crate) fn flag(self, key: &str, on: bool) -> Self {
        if on { self.with(key, "on") } else { self }
    }

    /// The finished argument.
    pub(crate) fn finish(self) -> String {
        self.0
    }
}

fn escape(value: &str) -> String {
    value.replace(',', ",,")
}

/// Reads a property list, in QEMU's own syntax or, if it begins with a brace, in JSON, into keys and values
/// in order. The key of a bare word is empty; nested JSON keys are joined with dots.
pub(crate) fn parse(text: &str) -> Vec<(String, String)> {
    if text.trim_start().starts_with('{')
        && let Ok(value) = serde_json::from_str::<Value>(text)
    {
        let mut props = Vec::new();
        flatten("", &value, &mut props);
        return props;
    }
    split_at_commas(text)
        .into_iter()
        .map(|part| match part.split_once('=') {
            Some((key, value)) => (key.to_owned(), value.to_owned()),
            None => (String::new(), part),
        })
        .collect()
}

/// Splits at single commas; a doubled comma stands for one comma.
fn split_at_commas(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if c == ',' && chars.next_if_eq(&',').is_none() {
            parts.push(String::new());
        } else if let Some(part) = parts.last_mut() {
            part.push(c);
        }
    }
    parts
}

/// Collects the leaves of a JSON value. `serde_json` has bounded its depth.
fn flatten(path: &str, value: &Value, props: &mut Vec<(String, String)>) {
    let join = |key: &str| {
        if path.is_empty() {
            key.to_owned()
        } else {
            format!("{path}.{key}")
        }
    };
    match value {
        Value::Object(map) => map
            .iter()
            .for_each(|(key, value)| flatten(&join(key), value, props)),
        Value::Array(items) => {
            items
                .iter()
                .enumerate()
                .for_each(|(i, value)| flatten(&join(&i.to_string()), value, props));
        }
        Value::String(text) => props.push((path.to_owned(), text.clone())),
        other => props.push((path.to_owned(), other.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(props: &[(&str, &str)]) -> Vec<(String, String)> {
        props
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn what_is_written_is_read_back() {
        let text = Props::of("virtio-9p")
            .with("tag", "a,b")
            .flag("ro", true)
            .flag("rw", false)
            .finish();
        assert_eq!(text, "virtio-9p,tag=a,,b,ro=on");
        assert_eq!(
            parse(&text),
            pairs(&[("", "virtio-9p"), ("tag", "a,b"), ("ro", "on")])
        );
    }

    #[test]
    fn reads_json() {
        let text = r#"{"driver": "qcow2", "file": {"driver": "nbd", "port": 1}, "list": ["x"]}"#;
        let expected = pairs(&[
            ("driver", "qcow2"),
            ("file.driver", "nbd"),
            ("file.port", "1"),
            ("list.0", "x"),
        ]);
        assert_eq!(parse(text), expected);
    }

    #[test]
    fn broken_json_is_read_as_words() {
        assert_eq!(parse("{\"a\""), pairs(&[("", "{\"a\"")]));
    }
}
