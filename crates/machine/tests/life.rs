//! The life of a machine: what QEMU does and what the person wants.
#![allow(clippy::unwrap_used, reason = "a panic here is a failed test with a place")]

mod world;

use qemuweb_machine::Input;
use qemuweb_machine::io::{Attached, ClientId, FromWorker, RunId};
use qemuweb_machine::storage::StorageEvent;
use qemuweb_vm_config::find_profile;
use qemuweb_wire::call::{
    CloneVm, DefineVm, DiscardDisk, ExportDisk, PauseVm, ProfileRef, RemoveVm, ResetVm, RestartVm, RestoreVm,
    ResumeVm, StartVm, StopVm, VmDisks,
};
use qemuweb_wire::disk::ExportAs;
use qemuweb_wire::state::{Halt, StopReason};
use qemuweb_wire::vm::FileRef;
use qemuweb_wire::{Failure, VmState};
use serde_json::{Value, json};
use world::World;

const PROFILE: &str = "minimal-x86_64";

fn start(world: &mut World, client: ClientId, vm_id: &str) -> Result<Value, Failure> {
    let call = StartVm {
        vm_id: vm_id.to_owned(),
        name: None,
        profile: ProfileRef::Id(PROFILE.to_owned()),
        inputs: Box::default(),
        overrides: None,
    };
    world.ask(client, call)
}

fn running() -> (World, ClientId) {
    let mut world = World::new();
    let client = world.join(1);
    start(&mut world, client, "a").unwrap();
    assert_eq!(world.state("a"), VmState::Running);
    (world, client)
}

fn id() -> String {
    "a".to_owned()
}

fn stop(force: bool) -> StopVm {
    StopVm { vm_id: id(), force }
}

#[test]
fn a_usual_life() {
    let (mut world, client) = running();
    assert_eq!(world.badge, Some(1));
    world.print("a", b"Welcome to QemuWeb\r\n# ");
    let vm = world.vm("a").unwrap();
    assert_eq!((vm.progress, vm.phases.len()), (None, 4));
    world.ask(client, PauseVm { vm_id: id() }).unwrap();
    assert_eq!(world.state("a"), VmState::Paused);
    world.ask(client, ResumeVm { vm_id: id() }).unwrap();
    assert_eq!(world.state("a"), VmState::Running);
    world.ask(client, stop(false)).unwrap();
    let reason = StopReason::Stopped;
    assert_eq!(world.state("a"), VmState::Stopped { reason });
    assert_eq!((world.badge, world.workers.len()), (Some(0), 0));
    world.ask(client, RestartVm { vm_id: id() }).unwrap();
    assert_eq!(world.state("a"), VmState::Running);
    world.ask(client, ResetVm { vm_id: id() }).unwrap();
    world.ask(client, stop(true)).unwrap();
    let reason = StopReason::ForceStopped;
    assert_eq!(world.state("a"), VmState::Stopped { reason });
    world.check_answers();
}

#[test]
fn a_paused_machine_that_is_asked_to_shut_down_shuts_down() {
    let (mut world, client) = running();
    world.ask(client, PauseVm { vm_id: id() }).unwrap();
    world.ask(client, stop(false)).unwrap();
    let reason = StopReason::Stopped;
    assert_eq!(world.state("a"), VmState::Stopped { reason });
}

#[test]
fn a_guest_that_does_not_heed_a_shutdown_is_told_as_such() {
    let (mut world, client) = running();
    world.qemu("a").1.heeds = false;
    let since = world.now;
    world.ask(client, stop(false)).unwrap();
    world.pass(60_000.0);
    let vm = world.vm("a").unwrap();
    assert_eq!((vm.state, vm.shutdown_asked_at), (VmState::Stopping, Some(since)));
    // Asked again, it is since the first time; paused, it is paused, and asked still.
    world.ask(client, stop(false)).unwrap();
    world.ask(client, PauseVm { vm_id: id() }).unwrap();
    let vm = world.vm("a").unwrap();
    assert_eq!((vm.state, vm.shutdown_asked_at), (VmState::Paused, Some(since)));
    world.ask(client, ResumeVm { vm_id: id() }).unwrap();
    assert_eq!(world.state("a"), VmState::Stopping);
    // A guest that restarts instead has forgotten it.
    world.event("a", "RESET", json!({"guest": true, "reason": "guest-reset"}));
    let vm = world.vm("a").unwrap();
    assert_eq!((vm.state, vm.shutdown_asked_at), (VmState::Running, None));
}

#[test]
fn halts_are_told_as_what_they_are() {
    let stopped =
        json!({"device": "disk0", "operation": "write", "action": "stop", "reason": "No space left"});
    for (event, data, status, cause, detail) in [
        (
            "BLOCK_IO_ERROR",
            stopped,
            "io-error",
            Halt::IoError,
            "write of disk0: No space left",
        ),
        (
            "GUEST_PANICKED",
            json!({"action": "pause"}),
            "guest-panicked",
            Halt::GuestPanicked,
            "",
        ),
        (
            "WATCHDOG",
            json!({"action": "pause"}),
            "watchdog",
            Halt::Watchdog,
            "",
        ),
    ] {
        let (mut world, client) = running();
        world.qemu("a").1.status = status;
        world.event("a", event, data);
        world.event("a", "STOP", json!({}));
        let detail = detail.to_owned();
        assert_eq!(world.state("a"), VmState::Halted { cause, detail });
        assert!(world.ask(client, PauseVm { vm_id: id() }).is_err());
        world.ask(client, ResumeVm { vm_id: id() }).unwrap();
        assert_eq!(world.state("a"), VmState::Running);
    }
    for (event, data) in [
        (
            "BLOCK_IO_ERROR",
            json!({"device": "", "qom-path": "/machine/peripheral/d/virtio", "operation": "read", "action": "report"}),
        ),
        ("WATCHDOG", json!({"action": "none"})),
        ("GUEST_PANICKED", json!({"action": "run"})),
        ("POWERDOWN", json!({})),
        ("NO_SUCH_EVENT", json!(5)),
    ] {
        let (mut world, _) = running();
        world.event("a", event, data);
        assert_eq!(world.state("a"), VmState::Running, "{event}");
    }
}

#[test]
fn a_guest_that_sleeps_is_woken() {
    let (mut world, client) = running();
    world.qemu("a").1.status = "suspended";
    world.event("a", "SUSPEND", json!({}));
    let asleep = VmState::Halted {
        cause: Halt::Suspended,
        detail: String::new(),
    };
    assert_eq!(world.state("a"), asleep);
    world.ask(client, ResumeVm { vm_id: id() }).unwrap();
    assert_eq!(world.state("a"), VmState::Running);
    world.qemu("a").1.status = "suspended";
    world.event("a", "SUSPEND", json!({}));
    world.ask(client, stop(false)).unwrap();
    let reason = StopReason::Stopped;
    assert_eq!(world.state("a"), VmState::Stopped { reason });
}

#[test]
fn why_it_ended_is_what_qemu_said() {
    for (reason, asked, expected) in [
        ("guest-shutdown", false, Some(StopReason::GuestShutdown)),
        ("guest-shutdown", true, Some(StopReason::Stopped)),
        ("guest-reset", false, Some(StopReason::GuestReset)),
        ("host-qmp-quit", false, Some(StopReason::ForceStopped)),
        ("guest-panic", false, None),
        ("host-error", true, None),
    ] {
        let (mut world, client) = running();
        if asked {
            world.qemu("a").1.heeds = false;
            world.ask(client, stop(false)).unwrap();
        }
        world.qemu("a").1.shut_down(reason);
        world.settle();
        match (world.state("a"), expected) {
            (VmState::Stopped { reason }, Some(expected)) => assert_eq!(reason, expected),
            (VmState::Crashed { .. }, None) => {}
            (found, _) => panic!("{reason}: {found}"),
        }
    }
    // A status of its own, or an end out of nothing, is a crash.
    for code in [0, 1, -6] {
        let (mut world, _) = running();
        world.worker("a", FromWorker::Output("abort: because".to_owned()));
        world.worker("a", FromWorker::Exited(code));
        let vm = world.vm("a").unwrap();
        assert!(matches!(vm.state, VmState::Crashed { .. }));
        assert_eq!(vm.failure.unwrap().causes, ["abort: because"]);
    }
}

#[test]
fn a_start_that_is_refused_leaves_the_run_alone() {
    let (mut world, client) = running();
    let run = world.vm("a").unwrap().run;
    assert!(
        start(&mut world, client, "a")
            .unwrap_err()
            .message
            .contains("cannot start")
    );
    assert!(world.ask(client, RestartVm { vm_id: id() }).is_err());
    let vm = world.vm("a").unwrap();
    assert_eq!((vm.run, vm.failure, vm.state), (run, None, VmState::Running));
}

#[test]
fn a_worker_that_never_comes_is_given_up() {
    let mut world = World::new();
    let client = world.join(1);
    world.prompt = false;
    let call = world.call(
        client,
        StartVm {
            vm_id: id(),
            name: None,
            profile: ProfileRef::Id(PROFILE.to_owned()),
            inputs: Box::default(),
            overrides: None,
        },
        Vec::new(),
    );
    // Its files are looked into, and the Worker says nothing.
    let (task, outcome) = world
        .tasks
        .iter()
        .position(|(_, outcome)| matches!(outcome, qemuweb_machine::io::Outcome::Recognized(_)))
        .and_then(|place| world.tasks.remove(place))
        .unwrap();
    world.step(qemuweb_machine::Input::Done(task, outcome));
    world.workers.values_mut().for_each(|qemu| qemu.saying.clear());
    world.prompt = true;
    world.settle();
    assert!(world.answer(client, call).unwrap().is_ok());
    world.pass(29_000.0);
    assert_eq!(world.state("a"), VmState::Starting);
    world.pass(2_000.0);
    assert!(matches!(world.state("a"), VmState::Crashed { .. }));
}

#[test]
fn nobody_needs_a_host_without_clients_and_machines() {
    let (mut world, client) = running();
    world.leave(client);
    world.pass(120_000.0);
    assert!(!world.closed, "a machine runs");
    let client = world.join(2);
    world.ask(client, stop(true)).unwrap();
    world.pass(120_000.0);
    assert!(!world.closed, "a client is there");
    world.leave(client);
    world.pass(29_000.0);
    assert!(!world.closed, "somebody may come back");
    world.pass(2_000.0);
    assert!(world.closed);
}

fn define(files: Vec<FileRef>, replaces: Option<u64>, disks: &[(u32, &str)]) -> DefineVm {
    let mut definition: qemuweb_wire::vm::VmDefinition = find_profile(PROFILE).unwrap().into();
    let disk = |(index, name): &(u32, &str)| json!({"attachment": {"index": index, "name": name, "size": 5}, "format": "raw", "isData": true});
    let disks: Vec<_> = disks.iter().map(disk).collect();
    definition.inputs.additional_disks = serde_json::from_value(json!(disks)).unwrap();
    DefineVm {
        vm_id: id(),
        name: "A".to_owned(),
        definition: Box::new(definition),
        files,
        replaces,
    }
}

#[test]
fn two_open_forms_cannot_swap_disks() {
    let mut world = World::new();
    let client = world.join(1);
    let attached = vec![Attached::File(10), Attached::File(11)];
    let both = [(0, "x.img"), (1, "y.img")];
    world
        .ask_with(
            client,
            define(vec![FileRef::Attached(0), FileRef::Attached(1)], None, &both),
            attached,
        )
        .unwrap();
    let first = world.vm("a").unwrap();
    // One form takes the first disk away.
    let kept = vec![FileRef::Kept(first.files[1])];
    world
        .ask(client, define(kept, Some(first.revision), &[(0, "y.img")]))
        .unwrap();
    let second = world.vm("a").unwrap();
    assert_eq!(second.files, [first.files[1]]);
    assert_eq!(
        world.kept_files.len(),
        1,
        "the file that nobody names is still kept"
    );
    // The other one saves what it has seen before.
    let old = vec![FileRef::Kept(first.files[0]), FileRef::Kept(first.files[1])];
    let refused = world
        .ask(client, define(old.clone(), Some(first.revision), &both))
        .unwrap_err();
    assert!(refused.to_string().contains("another panel"), "{refused}");
    assert!(
        world.ask(client, define(Vec::new(), None, &[])).is_err(),
        "it is there already"
    );
    let refused = world
        .ask(client, define(old, Some(second.revision), &both))
        .unwrap_err();
    assert!(refused.to_string().contains("not kept"), "{refused}");
    assert_eq!(world.vm("a").unwrap(), second);
}

#[test]
fn a_start_a_stop_or_a_rename_writes_no_file() {
    let mut world = World::new();
    let client = world.join(1);
    let files = vec![FileRef::Attached(0)];
    world
        .ask_with(
            client,
            define(files, None, &[(0, "x.img")]),
            vec![Attached::File(10)],
        )
        .unwrap();
    assert_eq!(world.writes, ["file", "vm"]);
    world.ask(client, RestartVm { vm_id: id() }).unwrap();
    world.ask(client, stop(true)).unwrap();
    let name = "B".to_owned();
    world
        .ask(
            client,
            qemuweb_wire::call::RenameVm {
                vm_id: id(),
                name: name.clone(),
            },
        )
        .unwrap();
    world
        .ask(
            client,
            CloneVm {
                vm_id: id(),
                new_id: "b".to_owned(),
                name,
            },
        )
        .unwrap();
    assert_eq!(world.writes.iter().filter(|write| **write == "file").count(), 1);
    // The copy has the same file, which lasts as long as one of the two, or a way back.
    world.ask(client, RemoveVm { vm_id: id() }).unwrap();
    world.ask(client, RestoreVm { vm_id: id() }).unwrap();
    world.ask(client, RestartVm { vm_id: id() }).unwrap();
    assert_eq!((world.kept_files.len(), world.state("a")), (1, VmState::Running));
}

#[test]
fn disks_are_one_runs_at_a_time() {
    let (mut world, client) = running();
    let first = RunId(world.vm("a").unwrap().run);
    assert_eq!(world.storage[&first], (id(), false));
    world.prompt = false;
    world.ask(client, stop(true)).unwrap();
    assert_eq!(world.storage[&first], (id(), true));
    // What was written is still being kept: the start waits for that.
    let again = world.call(client, RestartVm { vm_id: id() }, Vec::new());
    world.settle();
    assert_eq!(world.answer(client, again), None);
    assert!(world.workers.is_empty());
    world.close_storage(first, None);
    world.settle();
    assert_eq!(world.answer(client, again), Some(Ok(Value::Null)));
    let second = RunId(world.vm("a").unwrap().run);
    assert_eq!(world.storage.keys().collect::<Vec<_>>(), [&second]);

    // One that never says so is ended, and what it says then is nobody's.
    world.ask(client, stop(true)).unwrap();
    let again = world.call(client, RestartVm { vm_id: id() }, Vec::new());
    world.pass(29_000.0);
    assert_eq!(world.answer(client, again), None);
    world.pass(2_000.0);
    assert_eq!(world.answer(client, again), Some(Ok(Value::Null)));
    assert!(!world.storage.contains_key(&second));
    world.happen(Input::Storage(
        second,
        StorageEvent::Closed {
            failure: Some(Failure::new("late")),
        },
    ));
    assert!(world.vm("a").unwrap().state.is_active());
}

#[test]
fn disks_are_told_exported_and_copied_while_nobody_uses_them() {
    let (mut world, client) = running();
    let disks = world.ask(client, VmDisks { vm_id: id() }).unwrap();
    let disk_id = disks[0]["diskId"].as_str().unwrap().to_owned();
    assert_eq!(disks[0]["channel"], "home");
    let export = || ExportDisk {
        vm_id: id(),
        disk_id: disk_id.clone(),
        format: ExportAs::Overlay,
    };
    let discard = || DiscardDisk {
        vm_id: id(),
        disk_id: disk_id.clone(),
    };
    let copy = || CloneVm {
        vm_id: id(),
        new_id: "b".to_owned(),
        name: "B".to_owned(),
    };
    for refused in [
        world.ask(client, export()).unwrap_err(),
        world.ask(client, discard()).unwrap_err(),
        world.ask(client, copy()).unwrap_err(),
    ] {
        assert!(refused.to_string().contains("hut it down"), "{refused}");
    }
    world.ask(client, stop(true)).unwrap();
    let exported = world.ask(client, export()).unwrap();
    assert_eq!(exported["name"], "Minimal-x86-64-home.qwoverlay");
    world.ask(client, discard()).unwrap();
    let other = ExportDisk {
        disk_id: "home.0".to_owned(),
        ..export()
    };
    assert!(
        world
            .ask(client, other)
            .unwrap_err()
            .message
            .contains("no disk home.0")
    );
    world.ask(client, copy()).unwrap();
    // A copy has disks of other names, and so has a VM that gets the id of one that is gone.
    let of_copy = world
        .ask(
            client,
            VmDisks {
                vm_id: "b".to_owned(),
            },
        )
        .unwrap();
    assert_ne!(of_copy[0]["diskId"], disks[0]["diskId"]);
    world.ask(client, RemoveVm { vm_id: id() }).unwrap();
    start(&mut world, client, "a").unwrap();
    let again = world.ask(client, VmDisks { vm_id: id() }).unwrap();
    assert_ne!(again[0]["diskId"], disks[0]["diskId"]);
}

#[test]
fn storage_that_fails_ends_its_run_and_says_what_was_not_kept() {
    let (mut world, _) = running();
    let run = RunId(world.vm("a").unwrap().run);
    let alarm = StorageEvent::Alarm {
        channel: "home".into(),
        failure: Failure::new("no room"),
    };
    world.happen(Input::Storage(run, alarm));
    assert_eq!(world.vm("a").unwrap().disk_alarm, Some(Failure::new("no room")));
    world.happen(Input::Storage(run, StorageEvent::Used { disks: Vec::new() }));
    assert_eq!(world.vm("a").unwrap().disk_alarm, None);
    world.happen(Input::Storage(
        run,
        StorageEvent::Failed {
            failure: Failure::new("another image"),
        },
    ));
    let vm = world.vm("a").unwrap();
    assert!(!vm.state.is_active());
    assert_eq!(vm.failure, Some(Failure::new("another image")));
}
