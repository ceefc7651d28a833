//! The protocol as documents, made from the types: a change of the one is seen as a change of the other.
//! `UPDATE_EXPECT=1 cargo test -p qemuweb-wire --test documents` writes them anew.
#![cfg(not(target_arch = "wasm32"))]
#![allow(clippy::unwrap_used)]

use std::fmt::Write;

use expect_test::expect_file;
use qemuweb_wire::agent::{AgentFromClient, AgentFromHost};
use qemuweb_wire::call::{Call, Defined};
use qemuweb_wire::message::{ClientMessage, HostMessage, VERSION};
use qemuweb_wire::stored::StoredInfo;
use qemuweb_wire::stream::{ConsoleFromClient, ConsoleFromHost, StreamMessage};
use qemuweb_wire::topic::{HostDelta, HostState, LibraryState, MachineDelta, MachineState, MachinesDelta};
use qemuweb_wire::vm::VmInfo;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

fn add<T: JsonSchema>(generator: &mut SchemaGenerator, properties: &mut Map<String, Value>, name: &str) {
    properties.insert(name.to_owned(), generator.subschema_for::<T>().to_value());
}

fn schema() -> Value {
    let mut generator = SchemaGenerator::default();
    let mut properties = Map::new();
    let (g, p) = (&mut generator, &mut properties);
    add::<ClientMessage>(g, p, "clientMessage");
    add::<HostMessage>(g, p, "hostMessage");
    add::<StreamMessage>(g, p, "streamMessage");
    add::<Defined>(g, p, "reply of defineVm");
    add::<StoredInfo>(g, p, "reply of storeFile");
    add::<HostState>(g, p, "state of host");
    add::<HostDelta>(g, p, "delta of host");
    add::<Vec<VmInfo>>(g, p, "state of machines");
    add::<MachinesDelta>(g, p, "delta of machines");
    add::<LibraryState>(g, p, "state and delta of library");
    add::<MachineState>(g, p, "state of machine");
    add::<MachineDelta>(g, p, "delta of machine");
    add::<ConsoleFromClient>(g, p, "client's note on console");
    add::<ConsoleFromHost>(g, p, "host's note on console");
    add::<AgentFromClient>(g, p, "client's note to an agent");
    add::<AgentFromHost>(g, p, "host's note of an agent");
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": format!("QemuWeb's protocol, version {VERSION}"),
        "type": "object",
        "properties": properties,
        "$defs": generator.definitions(),
    })
}

#[test]
fn the_schema_is_that_of_the_types() {
    let text = serde_json::to_string_pretty(&schema()).unwrap() + "\n";
    expect_file!["../schema/protocol-v3.schema.json"].assert_eq(&text);
}

/// Documentation in one paragraph, without the links of rustdoc.
fn paragraph(doc: &str) -> String {
    let text: Vec<&str> = doc
        .lines()
        .map(str::trim)
        .take_while(|line| !line.is_empty())
        .collect();
    text.join(" ").replace("[`", "`").replace("`]", "`")
}

fn page(schema: &Value) -> String {
    let mut page = format!(
        "# The protocol, version {VERSION}\n\n\
         Made from the types by `crates/wire/tests/documents.rs`; [the schema](schema/protocol-v{VERSION}.schema.json) has every \
         field.\n\n\
         A packet is the array `[version, json, ...attachments]` on a MessagePort. The JSON is a client's or a host's message; \
         what it cannot carry (bytes, Blobs, handles, ports) it refers to by index.\n"
    );
    let mut section = |title: &str, definition: &str, tag: &str| {
        writeln!(page, "\n## {title}\n\n| {tag} | |\n|---|---|").unwrap();
        for variant in schema["$defs"][definition]["oneOf"].as_array().unwrap() {
            let name = variant["properties"][tag]["const"].as_str().unwrap();
            let doc = paragraph(variant["description"].as_str().unwrap_or_default());
            writeln!(page, "| `{name}` | {doc} |").unwrap();
        }
    };
    section("What a client sends", "ClientMessage", "type");
    section("What the host sends", "HostMessage", "type");
    section("Topics", "Topic", "type");
    section("Streams", "StreamKind", "type");
    section("On a stream's port", "StreamMessage", "type");
    page += "\n## Calls\n\n| method | reply | |\n|---|---|---|\n";
    for method in Call::METHODS {
        writeln!(
            page,
            "| `{}` | `{}` | {} |",
            method.name,
            method.reply,
            paragraph(method.doc)
        )
        .unwrap();
    }
    page
}

#[test]
fn the_page_is_that_of_the_types() {
    expect_file!["../PROTOCOL.md"].assert_eq(&page(&schema()));
}

#[test]
fn every_method_is_named_once_and_known_by_its_name() {
    let names: std::collections::BTreeSet<_> = Call::METHODS.iter().map(|method| method.name).collect();
    assert_eq!(names.len(), Call::METHODS.len());
    for method in Call::METHODS {
        let call = json!({"method": method.name, "params": 0});
        let error = serde_json::from_value::<Call>(call).unwrap_err().to_string();
        assert!(!error.contains("unknown variant"), "{}: {error}", method.name);
    }
}
