//! The QEMU Machine Protocol, client side: bytes in, messages out, commands as lines.
//!
//! QMP is one JSON object a line in each direction (QEMU's `docs/interop/qmp-spec.rst`). The server greets,
//! the client sends `qmp_capabilities`, and from then on commands are answered by id and events arrive at
//! any time.

use serde_json::{Value, json};

/// Longest line that is accepted from QEMU, in bytes.
pub(crate) const MAX_LINE: usize = 1 << 20;

/// A message from QEMU.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum QmpMessage {
    /// The server's first message, with QEMU's version as it names it (`10.2.2`).
    Greeting {
        /// QEMU's version.
        version: String,
    },
    /// A command succeeded.
    Return {
        /// The id that the command carried.
        id: u64,
        /// Its result.
        value: Value,
    },
    /// A command failed.
    Error {
        /// The id that the command carried, if it got so far.
        id: Option<u64>,
        /// QEMU's error class, such as `GenericError`.
        class: String,
        /// QEMU's explanation.
        desc: String,
    },
    /// Something happened in the machine.
    Event {
        /// The event's name, such as `SHUTDOWN`.
        name: String,
        /// What belongs to it.
        data: Value,
    },
}

/// Bytes on the QMP channel that are no QMP.
#[derive(Debug, thiserror::Error)]
pub(crate) enum QmpError {
    /// A line is no JSON.
    #[error("expected a line of JSON from QMP")]
    Json(#[from] serde_json::Error),
    /// JSON of none of the known shapes.
    #[error("expected a QMP greeting, return, error or event, found {0}")]
    Unknown(String),
    /// A line does not end.
    #[error("a line from QMP is longer than {MAX_LINE} bytes")]
    TooLong,
}

/// Collects bytes from the channel into messages, and numbers commands.
#[derive(Debug, Default)]
pub(crate) struct QmpCodec {
    buffer: Vec<u8>,
    last_id: u64,
}

impl QmpCodec {
    /// The line, newline included, for `execute` with `arguments`, and the id that its answer will carry.
    pub(crate) fn command(&mut self, execute: &str, arguments: Option<Value>) -> (u64, Vec<u8>) {
        self.last_id += 1;
        let mut command = json!({ "execute": execute, "id": self.last_id });
        if let Some(arguments) = arguments {
            command["arguments"] = arguments;
        }
        let mut line = command.to_string().into_bytes();
        line.push(b'\n');
        (self.last_id, line)
    }

    /// Takes bytes as they arrive and returns each message that is complete, or why a line is none.
    pub(crate) fn receive(&mut self, bytes: &[u8]) -> Vec<Result<QmpMessage, QmpError>> {
        let mut messages = Vec::new();
        for &byte in bytes {
            if byte != b'\n' {
                if self.buffer.len() < MAX_LINE {
                    self.buffer.push(byte);
                } else if self.buffer.len() == MAX_LINE {
                    self.buffer.push(byte);
                    messages.push(Err(QmpError::TooLong));
                }
                continue;
            }
            let line = std::mem::take(&mut self.buffer);
            if line.len() <= MAX_LINE && !line.trim_ascii().is_empty() {
                messages.push(parse(&line));
            }
        }
        messages
    }
}

fn parse(line: &[u8]) -> Result<QmpMessage, QmpError> {
    let message: Value = serde_json::from_slice(line)?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    if let Some(qemu) = message.pointer("/QMP/version/qemu") {
        let part = |name| qemu.get(name).and_then(Value::as_u64).unwrap_or_default();
        let version = format!("{}.{}.{}", part("major"), part("minor"), part("micro"));
        return Ok(QmpMessage::Greeting { version });
    }
    let id = message.get("id").and_then(Value::as_u64);
    if let (Some(value), Some(id)) = (message.get("return"), id) {
        return Ok(QmpMessage::Return {
            id,
            value: value.clone(),
        });
    }
    if let Some(error) = message.get("error") {
        return Ok(QmpMessage::Error {
            id,
            class: text(&error["class"]),
            desc: text(&error["desc"]),
        });
    }
    if let Some(name) = message.get("event").and_then(Value::as_str) {
        let data = message.get("data").cloned().unwrap_or_default();
        return Ok(QmpMessage::Event {
            name: name.to_owned(),
            data,
        });
    }
    Err(QmpError::Unknown(message.to_string().chars().take(200).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_a_session_in_pieces() {
        let session = concat!(
            r#"{"QMP": {"version": {"qemu": {"micro": 2, "minor": 2, "major": 10}, "package": ""}, "capabilities": ["oob"]}}"#,
            "\r\n",
            r#"{"return": {}, "id": 1}"#,
            "\r\n",
            r#"{"error": {"class": "CommandNotFound", "desc": "no such"}, "id": 2}"#,
            "\r\n",
            r#"{"timestamp": {"seconds": 1, "microseconds": 2}, "event": "SHUTDOWN", "data": {"guest": true}}"#,
            "\r\n",
        );
        let mut codec = QmpCodec::default();
        let messages: Vec<_> = session
            .as_bytes()
            .chunks(7)
            .flat_map(|piece| codec.receive(piece))
            .map(Result::unwrap)
            .collect();
        assert_eq!(
            messages,
            [
                QmpMessage::Greeting {
                    version: "10.2.2".into()
                },
                QmpMessage::Return {
                    id: 1,
                    value: json!({})
                },
                QmpMessage::Error {
                    id: Some(2),
                    class: "CommandNotFound".into(),
                    desc: "no such".into()
                },
                QmpMessage::Event {
                    name: "SHUTDOWN".into(),
                    data: json!({ "guest": true })
                },
            ]
        );
    }

    #[test]
    fn commands_are_lines_with_ids() {
        let mut codec = QmpCodec::default();
        let (id, line) = codec.command("qmp_capabilities", None);
        assert_eq!((id, line.last()), (1, Some(&b'\n')));
        let (id, line) = codec.command("stop", Some(json!({ "a": "b\n" })));
        assert_eq!(id, 2);
        assert_eq!(line.iter().filter(|&&byte| byte == b'\n').count(), 1);
    }

    #[test]
    fn an_endless_line_is_reported_once_and_dropped() {
        let mut codec = QmpCodec::default();
        let errors = codec.receive(&vec![b'x'; MAX_LINE + 100]);
        assert!(matches!(errors.as_slice(), [Err(QmpError::TooLong)]));
        let messages = codec.receive(b"x\n{\"return\": {}, \"id\": 7}\n");
        assert!(matches!(
            messages.as_slice(),
            [Ok(QmpMessage::Return { id: 7, .. })]
        ));
    }

    proptest! {
        #[test]
        fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            QmpCodec::default().receive(&bytes);
        }

        #[test]
        fn never_panics_on_json(text in r#"\{"(QMP|return|error|event|id)": ?(\{\}|"x"|1|null|\[\])\}"#) {
            QmpCodec::default().receive(format!("{text}\n").as_bytes());
        }
    }
}
