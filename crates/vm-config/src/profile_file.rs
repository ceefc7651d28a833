//! Profiles as files: a JSON document with a version, described by `schema/profile-v1.schema.json`.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::ConfigError;
use crate::inputs::InputSource;
use crate::schema;
use crate::types::VmProfile;

/// The JSON Schema of a profile's file.
pub const PROFILE_SCHEMA: &str = include_str!("../schema/profile-v1.schema.json");

/// The longest file that is read, in bytes.
const LONGEST_FILE: usize = 1 << 20;

/// A file with a profile in it.
#[derive(Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ProfileFile {
    /// What kind of file this is.
    format: Format,
    /// Version of the format; a reader refuses those that it does not know.
    #[cfg_attr(any(test, feature = "schema"), schemars(range(min = 1, max = 1)))]
    version: u32,
    /// The profile.
    profile: VmProfile,
}

/// The one kind of file.
#[derive(Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
enum Format {
    /// A profile of a virtual machine.
    #[serde(rename = "qemuweb-profile")]
    Profile,
}

/// The file of a profile, as text to save.
pub fn export_profile(profile: &VmProfile) -> String {
    let file = ProfileFile {
        format: Format::Profile,
        version: 1,
        profile: profile.clone(),
    };
    // Strings, numbers and lists always have a JSON form.
    serde_json::to_string_pretty(&file).unwrap_or_default() + "\n"
}

/// Reads the file of a profile, of whatever origin.
///
/// # Errors
/// All faults, each with the path of its field, such as `profile.devices.net`.
pub fn import_profile(text: &str) -> Result<VmProfile, Vec<ConfigError>> {
    if text.len() > LONGEST_FILE {
        let expected = format!("at most {LONGEST_FILE} bytes");
        let found = text.len() as u64;
        return Err(vec![ConfigError::out_of_range("file", expected, found)]);
    }
    let document: Value = serde_json::from_str(text).map_err(|error| not_json(&error))?;
    let schema: Value = serde_json::from_str(PROFILE_SCHEMA).map_err(|error| not_json(&error))?;
    let faults = schema::faults(&schema, &schema, &document, "");
    if !faults.is_empty() {
        return Err(faults);
    }
    let file: ProfileFile = serde_json::from_value(document).map_err(|error| not_json(&error))?;
    let mut faults = file.profile.validate().err().unwrap_or_default();
    let sources = file.profile.default_inputs.sources();
    for source in sources.filter(|source| matches!(source, InputSource::Attachment(_))) {
        let expected = "an address or a file of the package: a profile's file brings no other along";
        faults.push(ConfigError::invalid(
            "defaultInputs",
            expected,
            source.file_name(),
        ));
    }
    if faults.is_empty() {
        return Ok(file.profile);
    }
    Err(faults.into_iter().map(|fault| fault.within("profile")).collect())
}

fn not_json(error: &serde_json::Error) -> Vec<ConfigError> {
    vec![ConfigError::Invalid {
        field: "file".to_owned(),
        expected: "a profile's JSON".to_owned(),
        found: error.to_string(),
    }]
}

#[cfg(test)]
mod tests {
    use expect_test::expect_file;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::profiles::{default_profiles, find_profile, infrastructure_profiles};

    fn faults(document: &Value) -> Vec<String> {
        let faults = import_profile(&document.to_string()).expect_err("a broken file");
        faults.iter().map(ToString::to_string).collect()
    }

    fn exported() -> Value {
        let profile = find_profile("minimal-x86_64").unwrap();
        serde_json::from_str(&export_profile(&profile)).unwrap()
    }

    /// `UPDATE_EXPECT=1` writes it anew.
    #[test]
    fn the_schema_is_that_of_the_types() {
        let schema = schemars::schema_for!(ProfileFile);
        let text = serde_json::to_string_pretty(&schema).unwrap() + "\n";
        expect_file!["../schema/profile-v1.schema.json"].assert_eq(&text);
    }

    #[test]
    fn what_is_exported_is_imported() {
        for profile in default_profiles().into_iter().chain(infrastructure_profiles()) {
            assert_eq!(import_profile(&export_profile(&profile)), Ok(profile));
        }
    }

    #[test]
    fn every_fault_is_named_by_its_path() {
        let mut broken = exported();
        broken["profile"]["memoryMiB"] = json!("lots");
        broken["profile"]["arch"] = json!("sparc");
        broken["profile"]["devices"]["net"] = json!("bridge");
        broken["profile"]["colour"] = json!("blue");
        broken["profile"].as_object_mut().unwrap().remove("smp");
        broken["profile"]["defaultInputs"]["kernel"] = json!({"path": "/etc/passwd"});
        broken["profile"]["defaultInputs"]["additionalDisks"] =
            json!([{"url": 5}, {"readonly": 1, "url": "https://a/b"}]);
        let mut faults = faults(&broken);
        faults.sort();
        assert_eq!(
            faults,
            [
                "profile.arch: expected one of \"x86_64\", \"aarch64\", found \"sparc\"",
                "profile.colour: unknown field",
                "profile.defaultInputs.additionalDisks[0].url: expected text, found 5",
                "profile.defaultInputs.additionalDisks[1].readonly: expected true or false, found 1",
                "profile.defaultInputs.kernel: expected a field one of \"builtin\", \"attachment\", \"url\", \"urlWithCredentials\", \"stored\", \"blank\", found an object",
                "profile.devices.net: expected one of \"user\", \"none\", found \"bridge\"",
                "profile.memoryMiB: expected a whole number, found \"lots\"",
                "profile.smp: missing field",
            ]
        );
    }

    #[test]
    fn what_has_the_right_shape_is_judged_too() {
        let mut broken = exported();
        broken["profile"]["memoryMiB"] = json!(9000);
        broken["profile"]["defaultArgs"] = json!(["-enable-kvm"]);
        let faults = faults(&broken);
        assert!(
            faults[0].starts_with("profile.memoryMiB: the machine needs a heap"),
            "{faults:?}"
        );
        assert!(
            faults[1].starts_with("profile.defaultArgs: \"-enable-kvm\" is not possible"),
            "{faults:?}"
        );
    }

    #[test]
    fn other_files_and_versions_are_refused() {
        let mut newer = exported();
        newer["version"] = json!(2);
        assert_eq!(
            faults(&newer),
            ["version: expected a number from 1 to 1, found 2"]
        );
        assert_eq!(faults(&json!([])), [": expected an object, found a list"]);
        assert!(import_profile("{").unwrap_err()[0].to_string().contains("EOF"));
    }

    proptest! {
        #[test]
        fn never_panics(text in "\\PC{0,200}", key in "\\PC{0,12}", index in 0..40_usize) {
            prop_assert!(import_profile(&text).is_err());
            let mut document = exported();
            let fields = document["profile"].as_object_mut().unwrap();
            let name = fields.keys().nth(index % fields.len()).cloned().unwrap();
            fields.insert(name, json!({ key: text }));
            prop_assert!(import_profile(&document.to_string()).is_err());
        }
    }
}
