//! What the builder promises: its errors one by one, disks, and what holds for every input, however hostile.

mod disks;
mod properties;

use super::build_qemu_args;
use crate::error::ConfigError;
use crate::inputs::{Attachment, InputSource, VmInputs};
use crate::profiles::{default_profiles, infrastructure_profiles};
use crate::types::{NetMode, VmOverrides, VmProfile};

fn profile(id: &str) -> VmProfile {
    crate::profiles::find_profile(id).expect("a profile of ours")
}

#[test]
fn profiles_have_the_seeds_json_names() {
    for profile in default_profiles().into_iter().chain(infrastructure_profiles()) {
        let json = serde_json::to_value(&profile).expect("serializable");
        for name in ["memoryMiB", "supportsGraphics", "defaultArgs", "requiresKernel"] {
            assert!(json.get(name).is_some(), "{name}");
        }
        assert!(json["devices"].get("diskInterface").is_some());
        assert_eq!(
            serde_json::from_value::<VmProfile>(json).expect("readable"),
            profile
        );
    }
}

#[test]
fn every_profile_is_without_errors_or_says_what_it_needs() {
    for profile in default_profiles().into_iter().chain(infrastructure_profiles()) {
        let result = build_qemu_args(&profile, &VmInputs::default(), None);
        let needs_disk = profile.id.starts_with("debian-");
        if profile.default_inputs.kernel.is_some() && !needs_disk {
            assert_eq!(result.errors, [], "{}", profile.id);
        } else {
            let help = profile.kernel_help_text.expect("says what it needs");
            assert_eq!(
                result.errors,
                [ConfigError::NothingToBoot {
                    profile: profile.id,
                    help
                }]
            );
        }
    }
}

#[test]
fn refuses_sources_that_cannot_be() {
    let sources = [
        (InputSource::builtin("../secret"), "inputs.kernel.builtin.path"),
        (InputSource::builtin(""), "inputs.kernel.builtin.path"),
        (
            InputSource::builtin("/x86_64/vmlinux.gz"),
            "inputs.kernel.builtin.path",
        ),
        (
            InputSource::builtin("x86_64/%2e%2e/x"),
            "inputs.kernel.builtin.path",
        ),
        (InputSource::Url("file:///etc/passwd".into()), "inputs.kernel.url"),
        (
            InputSource::Url("javascript:alert(1)".into()),
            "inputs.kernel.url",
        ),
        (InputSource::Url("https://".into()), "inputs.kernel.url"),
        (
            InputSource::Attachment(Attachment {
                index: 0,
                name: "vmlinuz".into(),
                size: 0,
            }),
            "inputs.kernel.attachment.size",
        ),
    ];
    for (source, field) in sources {
        let inputs = VmInputs {
            kernel: Some(source),
            ..VmInputs::default()
        };
        let result = build_qemu_args(&profile("minimal-x86_64"), &inputs, None);
        assert_eq!(
            result.errors.iter().map(ConfigError::field).collect::<Vec<_>>(),
            [field]
        );
    }
}

#[test]
fn refuses_machines_that_cannot_be() {
    let cases = [
        ("", "machine"),
        (",accel=kvm", "machine"),
        ("q35,accel=kvm", "machine"),
        ("q35 -daemonize", "machine"),
        ("virt", "machine"),
    ];
    for (machine, field) in cases {
        let profile = VmProfile {
            machine: machine.into(),
            ..profile("minimal-x86_64")
        };
        let result = build_qemu_args(&profile, &VmInputs::default(), None);
        assert_eq!(
            result.errors.iter().map(ConfigError::field).collect::<Vec<_>>(),
            [field],
            "{machine}"
        );
    }
}

#[test]
fn the_heap_is_bounded_with_numbers() {
    let profile = profile("minimal-x86_64");
    let memory = |memory_mib| VmOverrides {
        memory_mib: Some(memory_mib),
        ..VmOverrides::default()
    };
    let errors = |mib| build_qemu_args(&profile, &VmInputs::default(), Some(&memory(mib))).errors;
    let largest = crate::limits::largest_guest_mib();
    assert_eq!(errors(largest), []);
    let [
        error @ ConfigError::HeapTooSmall {
            required_mib: 4096, ..
        },
    ] = &errors(largest + 1)[..]
    else {
        panic!("expected one error about the heap");
    };
    assert!(error.to_string().contains("at most 3455 MiB"), "{error}");
    assert!(!errors(u32::MAX).is_empty());

    let capped = VmProfile {
        max_memory_mib: Some(256),
        ..profile.clone()
    };
    let result = build_qemu_args(&capped, &VmInputs::default(), Some(&memory(257)));
    assert_eq!(
        result.errors.iter().map(ConfigError::field).collect::<Vec<_>>(),
        ["overrides.memoryMiB"]
    );
}

#[test]
fn extra_arguments_are_split_as_a_shell_would_and_judged() {
    let extra = |line: &str| VmOverrides {
        extra_args: Some(line.into()),
        ..VmOverrides::default()
    };
    let build = |line: &str| {
        build_qemu_args(
            &profile("minimal-x86_64"),
            &VmInputs::default(),
            Some(&extra(line)),
        )
    };

    let result = build(r#"-name 'a b' -fw_cfg name=opt/x,string="c  d""#);
    assert_eq!(result.errors, []);
    assert!(
        result
            .args
            .ends_with(&["-name", "a b", "-fw_cfg", "name=opt/x,string=c  d"].map(String::from))
    );

    assert_eq!(build("-name 'a").errors, [ConfigError::UnbalancedQuotes]);
    let [ConfigError::Refused { argument, .. }] = &build("-name x -netdev tap,id=n").errors[..] else {
        panic!("expected one refusal");
    };
    assert_eq!(argument, "\"-netdev tap,id=n\"");
}

#[test]
fn a_profile_cannot_ask_for_more_than_a_person() {
    let profile = VmProfile {
        default_args: vec!["-enable-kvm".into()],
        ..profile("minimal-x86_64")
    };
    let result = build_qemu_args(&profile, &VmInputs::default(), None);
    assert_eq!(
        result.errors.iter().map(ConfigError::field).collect::<Vec<_>>(),
        ["defaultArgs"]
    );
}

#[test]
fn a_nul_is_an_error() {
    let inputs = VmInputs {
        kernel_cmdline: Some("console=ttyS0 \0".into()),
        ..VmInputs::default()
    };
    let result = build_qemu_args(&profile("minimal-x86_64"), &inputs, None);
    assert_eq!(result.errors.len(), 1);
}

#[test]
fn errors_and_warnings_are_sentences_in_json() {
    let profile = VmProfile {
        devices: crate::types::VmDeviceConfig {
            net: NetMode::User,
            ..profile("minimal-x86_64").devices
        },
        smp: 0,
        ..profile("minimal-x86_64")
    };
    let json =
        serde_json::to_value(build_qemu_args(&profile, &VmInputs::default(), None)).expect("serializable");
    assert_eq!(json["errors"][0], "smp: expected 1 to 8 processors, found 0");
    assert!(
        json["warnings"][0]
            .as_str()
            .is_some_and(|text| text.starts_with("net: "))
    );
    assert_eq!(json["filesToMount"][0]["path"], "/vm/kernel");
}
