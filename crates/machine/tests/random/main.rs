//! Whatever clients, guests and the browser do: each call has one answer, nothing crosses a run, nothing is kept for a client that
//! is gone, and a VM's memory is bounded. The world checks that after each step.
#![allow(clippy::unwrap_used, reason = "a panic here is a failed test with a place")]

mod acts;
mod deed;
#[path = "../world/mod.rs"]
mod world;

use proptest::prelude::*;
use qemuweb_wire::VmState;
use qemuweb_wire::call::*;
use serde_json::json;
use world::World;

use deed::{PROFILES, VMS, deed};

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, max_shrink_iters: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens(deeds in prop::collection::vec(deed(), 1..120)) {
        let mut world = World::new();
        world.prompt = false;
        world.join_slot(0);
        for deed in deeds {
            world.do_deed(deed);
        }
        // In the end every machine is ended, and then all that was asked is answered.
        world.prompt = true;
        world.settle();
        let last = world.join_slot(0);
        for vm in VMS {
            let force = StopVm { vm_id: vm.to_owned(), force: true };
            if world.active_state(vm) {
                world.ask(last, force).unwrap();
            }
        }
        world.pass(100_000.0);
        for vm in VMS {
            // Captures that no guest reads keep their senders waiting until the VM is gone.
            if world.vm(vm).is_some() && !world.active_state(vm) {
                world.ask(last, RemoveVm { vm_id: vm.to_owned() }).unwrap();
            }
        }
        world.settle();
        prop_assert!(world.workers.is_empty());
        world.check_answers();
        for stream in world.streams.values() {
            prop_assert!(stream.closed);
        }
        world.leave(last);
        for client in world.present.clone() {
            world.leave(client);
        }
        world.pass(100_000.0);
        prop_assert!(world.closed, "a host that nobody needs goes on");
    }
}

impl World {
    fn active_state(&mut self, vm: &str) -> bool {
        self.vm(vm).is_some_and(|info| info.state.is_active())
    }
}

/// The life as it has to be, told by what QEMU and people do.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Model {
    halted: bool,
    asked: bool,
}

proptest! {
    #[test]
    fn a_life_is_that_of_its_model(steps in prop::collection::vec(0..6_u8, 0..40)) {
        let mut world = World::new();
        let client = world.join(1);
        let vm_id = || "a".to_owned();
        let start = StartVm {
            vm_id: vm_id(),
            name: None,
            profile: ProfileRef::Id(PROFILES[0].to_owned()),
            inputs: Box::default(),
            overrides: None,
        };
        world.ask(client, start).unwrap();
        world.qemu("a").1.heeds = false;
        let mut model = Model { halted: false, asked: false };
        for step in steps {
            match step {
                0 => {
                    let paused = world.ask(client, PauseVm { vm_id: vm_id() });
                    prop_assert_eq!(paused.is_ok(), !model.halted);
                    model.halted = true;
                }
                1 => {
                    let resumed = world.ask(client, ResumeVm { vm_id: vm_id() });
                    prop_assert_eq!(resumed.is_ok(), model.halted);
                    model.halted = false;
                }
                2 => {
                    world.ask(client, StopVm { vm_id: vm_id(), force: false }).unwrap();
                    model = Model { halted: false, asked: true };
                }
                3 => {
                    world.ask(client, ResetVm { vm_id: vm_id() }).unwrap();
                    model.asked = false;
                }
                4 => {
                    world.qemu("a").1.status = "paused";
                    world.event("a", "STOP", json!({}));
                    model.halted = true;
                }
                _ => {
                    world.qemu("a").1.status = "running";
                    world.event("a", "RESUME", json!({}));
                    model.halted = false;
                }
            }
            let expected = match model {
                Model { halted: true, .. } => VmState::Paused,
                Model { asked: true, .. } => VmState::Stopping,
                _ => VmState::Running,
            };
            let vm = world.vm("a").unwrap();
            prop_assert_eq!(vm.state, expected);
            prop_assert_eq!(vm.shutdown_asked_at.is_some(), model.asked);
        }
    }
}
