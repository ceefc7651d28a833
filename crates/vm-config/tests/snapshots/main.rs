//! Snapshots of the arguments: of every profile as it comes, and with each kind of input.
//!
//! `UPDATE_EXPECT=1 cargo test -p qemuweb-vm-config --test snapshots` writes them anew.

mod inputs;
mod profiles;

use std::fmt::Write as _;

use expect_test::Expect;
use qemuweb_vm_config::{VmInputs, VmOverrides, build_qemu_args, find_profile};

/// Shows a result with an option and its value on one line.
fn show(profile: &str, inputs: &VmInputs, overrides: &VmOverrides) -> String {
    let profile = find_profile(profile).expect("a profile of ours");
    let result = build_qemu_args(&profile, inputs, Some(overrides));
    let mut text = String::new();
    for arg in &result.args {
        let separator = if arg.starts_with('-') { "\n" } else { " " };
        let shown = if arg.is_empty() { "''" } else { arg };
        write!(text, "{separator}{shown}").expect("a string");
    }
    for file in &result.files_to_mount {
        write!(
            text,
            "\nmount {}{}",
            file.path,
            if file.readonly { "" } else { " (writable)" }
        )
        .expect("a string");
    }
    for disk in &result.disks {
        let (channel, name) = (&disk.channel, disk.source.file_name());
        write!(text, "\nserve {channel} {name} ({:?})", disk.keep).expect("a string");
    }
    for warning in &result.warnings {
        write!(text, "\nwarning: {warning}").expect("a string");
    }
    for error in &result.errors {
        write!(text, "\nerror: {error}").expect("a string");
    }
    text.trim_start().to_owned() + "\n"
}

fn check(profile: &str, inputs: &VmInputs, overrides: &VmOverrides, expected: &Expect) {
    expected.assert_eq(&show(profile, inputs, overrides));
}
