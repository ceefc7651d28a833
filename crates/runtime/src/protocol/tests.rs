//! Every message survives the trip through JSON, and hostile JSON is refused without a panic.

use std::collections::BTreeMap;

use super::*;
use crate::state::StopReason;
use proptest::prelude::*;
use qemuweb_vm_config::{DiskFormat, FileKind, StoredFile};

fn round_trip<T: Serialize + for<'a> Deserialize<'a> + PartialEq + std::fmt::Debug>(value: &T) {
    let json = serde_json::to_string(value).unwrap();
    assert_eq!(&serde_json::from_str::<T>(&json).unwrap(), value, "{json}");
}

fn info(state: VmState) -> VmInfo {
    VmInfo {
        state,
        started_at: 1.5,
        phases: BTreeMap::from([(Phase::Fetch, 12.0), (Phase::Kernel, 900.25)]),
        progress: Some(Progress {
            phase: Phase::Load,
            done: 1,
            total: Some(2),
        }),
        warnings: vec!["writes last until the VM stops".into()],
        args: vec!["-m".into(), "128".into()],
        failure: Some(Failure::new("no").with_next_step("try again")),
        favourite: true,
        ..VmInfo::new("vm-1".into(), "dev-box".into(), definition())
    }
}

fn definition() -> VmDefinition {
    qemuweb_vm_config::default_profiles().remove(0).into()
}

fn hash() -> String {
    format!("sha256:{:064x}", 7)
}

fn states() -> [VmState; 6] {
    [
        VmState::Starting,
        VmState::Running,
        VmState::Paused,
        VmState::Stopping,
        VmState::Stopped {
            reason: StopReason::GuestShutdown,
        },
        VmState::Crashed {
            reason: "abort".into(),
        },
    ]
}

#[test]
fn commands() {
    let vm_id = || "vm-1".to_owned();
    let profile = qemuweb_vm_config::default_profiles().remove(0);
    for command in [
        Command::Init,
        Command::StartVm {
            vm_id: vm_id(),
            name: None,
            profile: ProfileRef::Id("minimal-x86_64".into()),
            inputs: Box::default(),
            overrides: None,
        },
        Command::StartVm {
            vm_id: vm_id(),
            name: Some("mine".into()),
            profile: ProfileRef::Inline(Box::new(profile)),
            inputs: Box::default(),
            overrides: Some(Box::default()),
        },
        Command::PrepareVm {
            profile: ProfileRef::Id("minimal-x86_64".into()),
        },
        Command::DefineVm {
            vm_id: vm_id(),
            name: "mine".into(),
            definition: Box::new(definition()),
            files_of: Some("vm-2".into()),
        },
        Command::RenameVm {
            vm_id: vm_id(),
            name: "ours".into(),
        },
        Command::CloneVm {
            vm_id: vm_id(),
            new_id: "vm-2".into(),
            name: "copy".into(),
        },
        Command::SetFavourite {
            vm_id: vm_id(),
            favourite: true,
        },
        Command::RestoreVm { vm_id: vm_id() },
        Command::SendHandles { vm_id: vm_id() },
        Command::SaveProfile {
            profile: Box::new(definition().profile),
        },
        Command::RemoveProfile {
            profile_id: "mine".into(),
        },
        Command::StoreFile {
            name: "disk.img".into(),
        },
        Command::RemoveStored { hash: hash() },
        Command::RestoreStored { hash: hash() },
        Command::RunMonitor {
            vm_id: vm_id(),
            command: MonitorCommand::Hmp {
                line: "info block".into(),
            },
        },
        Command::RestartVm { vm_id: vm_id() },
        Command::StopVm {
            vm_id: vm_id(),
            force: true,
        },
        Command::ResetVm { vm_id: vm_id() },
        Command::RemoveVm { vm_id: vm_id() },
        Command::SerialIn { vm_id: vm_id() },
        Command::ResizeConsole {
            vm_id: vm_id(),
            rows: 24,
            cols: 80,
        },
        Command::WatchVm { vm_id: vm_id() },
        Command::UnwatchVm { vm_id: vm_id() },
    ] {
        round_trip(&Request { id: 7, command });
    }
}

#[test]
fn host_messages() {
    round_trip(&HostMessage::Reply {
        id: 3,
        failure: None,
        value: serde_json::json!({"status": "running"}),
    });
    round_trip(&HostMessage::Reply {
        id: 3,
        failure: Some(Failure::new("unknown VM")),
        value: serde_json::Value::Null,
    });
    let vm_id = || "vm-1".to_owned();
    let mut events = vec![
        Event::VmList {
            vms: states().map(info).to_vec(),
        },
        Event::VmStarted { vm_id: vm_id() },
        Event::VmRemoved { vm_id: vm_id() },
        Event::ProfileList {
            profiles: qemuweb_vm_config::default_profiles(),
        },
        Event::StoredFiles {
            files: vec![StoredInfo {
                file: StoredFile {
                    hash: hash(),
                    name: "disk.img".into(),
                    size: 1 << 40,
                },
                what: "a qcow2 disk image".into(),
                kind: FileKind::Disk,
                arch: None,
                format: DiskFormat::Qcow2,
            }],
            storage: Some(StorageUse {
                used: 1,
                quota: 1 << 50,
            }),
        },
        Event::Storing {
            name: "disk.img".into(),
            done: 1,
            total: 2,
        },
        Event::VmHandles { vm_id: vm_id() },
        Event::Monitor {
            vm_id: vm_id(),
            event: MonitorEvent {
                at: 1.5,
                name: "RESET".into(),
                data: serde_json::json!({"guest": true}),
            },
        },
        Event::Metrics {
            vm_id: vm_id(),
            metrics: Metrics {
                cpu: Some(0.5),
                disk_read: 7,
                ..Metrics::default()
            },
        },
        Event::SerialOut {
            vm_id: vm_id(),
            run: 1_790_000_000_000,
            offset: 1 << 40,
        },
        Event::Progress {
            vm_id: vm_id(),
            progress: Progress {
                phase: Phase::Fetch,
                done: 5,
                total: None,
            },
        },
        Event::Log {
            vm_id: None,
            level: LogLevel::Warning,
            message: "slow".into(),
        },
        Event::Error {
            vm_id: Some(vm_id()),
            failure: Failure::new("broken"),
        },
    ];
    events.extend(states().map(|state| Event::VmStopped {
        vm_id: vm_id(),
        state,
    }));
    for event in events {
        round_trip(&HostMessage::Event { event });
    }
}

#[test]
fn only_this_version_is_spoken() {
    assert!(check_version(VERSION).is_ok());
    assert_eq!(
        check_version(1).unwrap_err().to_string(),
        "expected protocol version 2, found 1"
    );
}

#[test]
fn a_minimal_start_is_enough() {
    let json = r#"{"id": 1, "command": {"type": "startVm", "vmId": "a", "profile": "minimal-x86_64"}}"#;
    let request: Request = serde_json::from_str(json).unwrap();
    assert!(matches!(
        request.command,
        Command::StartVm {
            name: None,
            overrides: None,
            ..
        }
    ));
}

#[test]
fn a_view_tells_its_state_beside_its_other_fields() {
    let json = serde_json::to_value(info(VmState::Stopped {
        reason: StopReason::ForceStopped,
    }))
    .unwrap();
    assert_eq!(
        (json["state"].as_str(), json["reason"].as_str()),
        (Some("stopped"), Some("forceStopped"))
    );
    assert_eq!(json["phases"]["kernel"], 900.25);
}

proptest! {
    #[test]
    fn refuses_garbage(text in "\\PC{0,200}") {
        let _ = serde_json::from_str::<Request>(&text);
        let _ = serde_json::from_str::<HostMessage>(&text);
    }
}
