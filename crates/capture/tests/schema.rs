//! Lines are as `schema/capture-v1.schema.json` says.
#![allow(clippy::unwrap_used)]

use qemuweb_capture::{Body, Doubt, Exchange, Limits, har, jsonl};

fn validator() -> jsonschema::Validator {
    let schema = include_str!("../schema/capture-v1.schema.json");
    jsonschema::validator_for(&serde_json::from_str(schema).unwrap()).unwrap()
}

#[track_caller]
fn check(validator: &jsonschema::Validator, line: &[u8]) {
    let value = serde_json::from_slice(line).unwrap();
    let errors: Vec<String> = validator
        .iter_errors(&value)
        .map(|error| error.to_string())
        .collect();
    assert!(errors.is_empty(), "{value}: {errors:?}");
}

#[test]
fn lines_follow_the_schema() {
    let validator = validator();
    let mut line = Vec::new();
    jsonl::write_gap(&mut line, 7).unwrap();
    check(&validator, &line);

    let text = include_str!("site.har");
    let archive = har::read_archive(text.as_bytes(), &Limits::default()).unwrap();
    assert!(archive.skipped.is_empty(), "{:?}", archive.skipped);
    let mut exchanges = archive.exchanges;
    let mut binary = Exchange::default();
    binary.request.body = Some(Body::new("", [0xff]));
    binary.response.body = Some(Body::unknown("", 3));
    binary.doubts = Doubt::ALL.to_vec();
    exchanges.push(binary);
    for exchange in &exchanges {
        line.clear();
        jsonl::write_exchange(&mut line, "c1", exchange).unwrap();
        check(&validator, &line);
    }
}

#[test]
fn the_schema_refuses_what_is_no_line() {
    let validator = validator();
    for line in [
        r#"{"v":2,"type":"gap","dropped":1}"#,
        r#"{"v":1,"type":"exchange"}"#,
        r#"[]"#,
    ] {
        assert!(
            !validator.is_valid(&serde_json::from_str(line).unwrap()),
            "{line}"
        );
    }
}
