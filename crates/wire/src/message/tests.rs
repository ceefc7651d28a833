//! Every message survives the trip through JSON, and hostile JSON is refused without a panic, with the call's id where it has one.

use proptest::prelude::*;
use serde::de::DeserializeOwned;

use super::*;
use crate::call::{ProfileRef, StartVm, StopVm};

fn round_trip<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(value: &T) {
    let json = serde_json::to_string(value).unwrap();
    assert_eq!(&serde_json::from_str::<T>(&json).unwrap(), value, "{json}");
}

#[test]
fn messages_keep_their_content() {
    let start = StartVm {
        vm_id: "a".into(),
        name: None,
        profile: ProfileRef::Inline(Box::new(qemuweb_vm_config::default_profiles().remove(0))),
        inputs: Box::default(),
        overrides: Some(Box::default()),
    };
    for message in [
        ClientMessage::Call {
            id: 1,
            call: start.into(),
        },
        ClientMessage::Cancel { id: 1 },
        ClientMessage::Subscribe {
            id: 2,
            topic: Topic::Machine { vm_id: "a".into() },
        },
        ClientMessage::Unsubscribe { id: 2 },
        ClientMessage::Open {
            id: 3,
            stream: StreamKind::Console { vm_id: "a".into() },
        },
    ] {
        round_trip(&message);
    }
    for message in [
        HostMessage::Reply {
            id: 1,
            failure: Some(Failure::new("no").with_next_step("Wait.")),
            value: Value::Null,
        },
        HostMessage::Progress {
            id: 1,
            done: u64::MAX,
            total: None,
        },
        HostMessage::Update {
            id: 2,
            revision: 7,
            update: Update::Snapshot(serde_json::json!([1])),
        },
        HostMessage::Update {
            id: 2,
            revision: 8,
            update: Update::Delta(Value::Null),
        },
        HostMessage::Error {
            failure: Failure::new("no"),
        },
    ] {
        round_trip(&message);
    }
}

#[test]
fn a_call_reads_as_it_is_documented() {
    let json = r#"{"type":"call","id":7,"method":"stopVm","params":{"vmId":"a","force":true}}"#;
    let call = StopVm {
        vm_id: "a".into(),
        force: true,
    };
    assert_eq!(
        ClientMessage::parse(VERSION, json),
        Ok(ClientMessage::Call {
            id: 7,
            call: call.into()
        })
    );
}

#[test]
fn what_is_no_message_is_refused_with_the_id_of_its_call() {
    for (json, call) in [
        (
            r#"{"type":"call","id":7,"method":"flyToTheMoon","params":{}}"#,
            Some(7),
        ),
        (
            r#"{"type":"call","id":7,"method":"stopVm","params":{"vmId":3}}"#,
            Some(7),
        ),
        (r#"{"type":"call","id":7}"#, Some(7)),
        (r#"{"id":7}"#, Some(7)),
        (r#"{"type":"call","id":-7,"method":"hello","params":{}}"#, None),
        (
            r#"{"type":"call","id":4294967296,"method":"hello","params":{}}"#,
            None,
        ),
        (r#"{"type":"subscribe","id":7,"topic":{"type":"weather"}}"#, None),
        ("[]", None),
        ("{", None),
    ] {
        let malformed = ClientMessage::parse(VERSION, json).unwrap_err();
        assert_eq!(malformed.call, call, "{json}");
    }
    let json = r#"{"type":"call","id":7,"method":"hello","params":{}}"#;
    let malformed = ClientMessage::parse(VERSION + 1, json).unwrap_err();
    assert_eq!(malformed.call, Some(7));
    assert_eq!(
        malformed.failure.message,
        format!("expected protocol version {VERSION}, found {}", VERSION + 1)
    );
}

proptest! {
    #[test]
    fn never_panics(text in "\\PC{0,200}") {
        let _ = ClientMessage::parse(VERSION, &text);
    }

    #[test]
    fn never_panics_on_json(
        kind in "call|cancel|subscribe|unsubscribe|open|x",
        id in any::<i64>(),
        method in "stopVm|startVm|hello|x",
        params in r#"(null|\{\}|\[\]|\{"vmId":("a"|1)(,"force":(true|0))?\})"#,
    ) {
        let json = format!(r#"{{"type":"{kind}","id":{id},"method":"{method}","params":{params}}}"#);
        if let Err(malformed) = ClientMessage::parse(VERSION, &json)
            && let Some(call) = malformed.call
        {
            prop_assert_eq!(i64::from(call), id);
        }
    }
}
