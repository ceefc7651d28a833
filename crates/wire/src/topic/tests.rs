//! What a client knows after a delta is what the host knows.

use super::*;
use crate::state::VmState;
use crate::vm::Phase;

fn vm(id: &str, state: VmState) -> VmInfo {
    let profile = qemuweb_vm_config::default_profiles().remove(0);
    VmInfo {
        state,
        ..VmInfo::new(id.into(), id.into(), profile.into())
    }
}

fn ids(vms: &[VmInfo]) -> Vec<&str> {
    vms.iter().map(|vm| vm.vm_id.as_str()).collect()
}

#[test]
fn machines_come_change_and_go_in_their_places() {
    let mut vms = Vec::new();
    let changed = |id: &str, state, place| MachinesDelta::Changed {
        vm: Box::new(vm(id, state)),
        place,
    };
    Machines::apply(&mut vms, &changed("a", VmState::Running, 0));
    Machines::apply(&mut vms, &changed("c", VmState::Running, 1));
    Machines::apply(&mut vms, &changed("b", VmState::Running, 1));
    Machines::apply(&mut vms, &changed("z", VmState::Running, usize::MAX));
    Machines::apply(&mut vms, &changed("a", VmState::Paused, 3));
    assert_eq!(ids(&vms), ["a", "b", "c", "z"]);
    assert_eq!(vms[0].state, VmState::Paused);
    let progress = Progress {
        phase: Phase::Load,
        done: 1,
        total: None,
    };
    let vm_id = "b".to_owned();
    Machines::apply(&mut vms, &MachinesDelta::Progress { vm_id, progress });
    assert_eq!(vms[1].progress, Some(progress));
    let vm_id = "a".to_owned();
    Machines::apply(&mut vms, &MachinesDelta::Removed { vm_id });
    assert_eq!(ids(&vms), ["b", "c", "z"]);
}

#[test]
fn what_is_kept_of_a_machine_is_bounded_and_ends_with_its_run() {
    let mut state = MachineState::default();
    for at in 0..MAX_KEPT + 5 {
        let metrics = Metrics {
            at: at as f64,
            ..Metrics::default()
        };
        Machine::apply(&mut state, &MachineDelta::Measured { metrics });
    }
    assert_eq!((state.metrics.len(), state.metrics[0].at), (MAX_KEPT, 5.0));
    Machine::apply(&mut state, &MachineDelta::Started);
    assert_eq!(state, MachineState::default());
}
