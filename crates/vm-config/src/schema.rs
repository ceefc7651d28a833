//! Checking JSON against a JSON Schema, with the path of every fault.
//!
//! Just the keywords that our own schemas use. A full validator would add megabytes of WebAssembly, and `serde` alone
//! stops at the first fault.

use serde_json::Value;

use crate::error::ConfigError;

/// All faults of `value`, which stands at `path` of its document. `root` is the schema that references lead into.
pub(crate) fn faults(root: &Value, schema: &Value, value: &Value, path: &str) -> Vec<ConfigError> {
    let mut faults = Vec::new();
    Checker { root }.check(schema, value, path, &mut faults);
    faults
}

struct Checker<'a> {
    root: &'a Value,
}

impl Checker<'_> {
    fn check(&self, schema: &Value, value: &Value, path: &str, faults: &mut Vec<ConfigError>) {
        if let Some(target) = schema["$ref"].as_str().and_then(|link| link.strip_prefix('#')) {
            if let Some(target) = self.root.pointer(target) {
                self.check(target, value, path, faults);
            }
            return;
        }
        if let Some(expected) = wrong_type(&schema["type"], value) {
            return faults.push(invalid(path, expected, value));
        }
        if schema.get("const").is_some_and(|constant| constant != value) {
            return faults.push(invalid(path, schema["const"].to_string(), value));
        }
        if let Some(allowed) = schema["enum"]
            .as_array()
            .filter(|allowed| !allowed.contains(value))
        {
            return faults.push(invalid(path, one_of(allowed.iter()), value));
        }
        self.check_number(schema, value, path, faults);
        self.check_object(schema, value, path, faults);
        if let (Some(items), Some(values)) = (schema.get("items"), value.as_array()) {
            for (index, value) in values.iter().enumerate() {
                self.check(items, value, &format!("{path}[{index}]"), faults);
            }
        }
        for keyword in ["oneOf", "anyOf"] {
            if let Some(branches) = schema[keyword].as_array() {
                self.check_branches(branches, value, path, faults);
            }
        }
    }

    fn check_number(&self, schema: &Value, value: &Value, path: &str, faults: &mut Vec<ConfigError>) {
        let Some(number) = value.as_f64() else { return };
        let (least, most) = (schema["minimum"].as_f64(), schema["maximum"].as_f64());
        if least.is_some_and(|least| number < least) || most.is_some_and(|most| number > most) {
            let expected = match (least, most) {
                (Some(least), Some(most)) => format!("a number from {least} to {most}"),
                (Some(least), None) => format!("a number of at least {least}"),
                (None, most) => format!("a number of at most {}", most.unwrap_or(f64::MAX)),
            };
            faults.push(invalid(path, expected, value));
        }
    }

    fn check_object(&self, schema: &Value, value: &Value, path: &str, faults: &mut Vec<ConfigError>) {
        let Some(fields) = value.as_object() else { return };
        for name in schema["required"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
        {
            if !fields.contains_key(name) {
                faults.push(ConfigError::Missing {
                    field: join(path, name),
                });
            }
        }
        for (name, value) in fields {
            match schema["properties"].get(name) {
                Some(schema) => self.check(schema, value, &join(path, name), faults),
                None if schema["additionalProperties"] == false => faults.push(ConfigError::Unknown {
                    field: join(path, &name.chars().take(60).collect::<String>()),
                }),
                None => {}
            }
        }
    }

    /// One of the branches has to fit. The faults of the one that was meant are told: the one with this tag, or of
    /// this type.
    fn check_branches(&self, branches: &[Value], value: &Value, path: &str, faults: &mut Vec<ConfigError>) {
        let found: Vec<Vec<ConfigError>> = branches
            .iter()
            .map(|branch| {
                let mut faults = Vec::new();
                self.check(branch, value, path, &mut faults);
                faults
            })
            .collect();
        if found.iter().any(Vec::is_empty) {
            return;
        }
        let constants: Vec<&Value> = branches.iter().filter_map(|branch| branch.get("const")).collect();
        if constants.len() == branches.len() {
            return faults.push(invalid(path, one_of(constants.into_iter()), value));
        }
        let tags: Vec<&Value> = branches
            .iter()
            .filter_map(|branch| branch["required"].get(0))
            .collect();
        let meant = branches.iter().position(|branch| {
            let tag = branch["required"].get(0).and_then(Value::as_str);
            tag.map_or(!accepts_only_null(branch), |tag| value.get(tag).is_some())
        });
        match meant.and_then(|meant| found.into_iter().nth(meant)) {
            Some(found) => faults.extend(found),
            None => faults.push(invalid(
                path,
                format!("a field {}", one_of(tags.into_iter())),
                value,
            )),
        }
    }
}

fn accepts_only_null(schema: &Value) -> bool {
    schema["type"] == "null"
}

/// What was expected, if the value is of none of the types.
fn wrong_type(types: &Value, value: &Value) -> Option<String> {
    let types: Vec<&str> = match types {
        Value::String(one) => vec![one],
        Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
        _ => return None,
    };
    let fits = |kind: &&str| match *kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "null" => value.is_null(),
        _ => false,
    };
    if types.iter().any(fits) {
        return None;
    }
    let words: Vec<&str> = types
        .into_iter()
        .map(|kind| match kind {
            "object" => "an object",
            "array" => "a list",
            "string" => "text",
            "boolean" => "true or false",
            "integer" => "a whole number",
            other => other,
        })
        .collect();
    Some(words.join(" or "))
}

fn one_of<'a>(values: impl Iterator<Item = &'a Value>) -> String {
    let values: Vec<String> = values.map(ToString::to_string).collect();
    format!("one of {}", values.join(", "))
}

fn invalid(path: &str, expected: String, found: &Value) -> ConfigError {
    let text = match found {
        Value::Object(_) => "an object".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        Value::String(text) => return ConfigError::invalid(path, expected, text),
        plain => plain.to_string(),
    };
    ConfigError::Invalid {
        field: path.to_owned(),
        expected,
        found: text,
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}
