//! What can be done with one virtual machine, as a menu.

use super::actions::Possible;
use super::state::Machines;
use crate::cx::{Connection, Direction, Tab};
use crate::kit::menu::Item;

/// The lines of a VM's context menu.
pub fn items(machines: Machines, vm_id: &str) -> Vec<Item> {
    let Some(vm) = machines.vm(vm_id) else {
        return Vec::new();
    };
    let connection = machines.cx.connection;
    let is_connected = connection.with_untracked(|connection| *connection == Connection::Connected);
    let possible = if is_connected {
        Possible::of(Some(&vm.state))
    } else {
        Possible::default()
    };
    let item = |test_id: &'static str, text: &str, can: bool, act: fn(Machines, &str)| {
        let vm_id = vm.vm_id.clone();
        Item::new(test_id, text, move || act(machines, &vm_id)).only_if(can)
    };
    let rename = |machines: Machines, vm_id: &str| {
        machines.cx.nav.tab.set(Tab::Settings);
        machines.cx.nav.show(vm_id);
    };
    let [send, fetch] = file_items(machines, vm_id);
    let is_favourite = vm.favourite;
    let id = vm.vm_id.clone();
    vec![
        item("vm-start", "Start", possible.start, Machines::start),
        item("vm-pause", "Pause", possible.pause, Machines::pause),
        item("vm-resume", "Resume", possible.resume, Machines::resume),
        item("vm-stop", "Shut down", possible.stop, Machines::stop),
        item(
            "vm-force-stop",
            "Force stop…",
            possible.force_stop,
            Machines::ask_force_stop,
        ),
        item("vm-reset", "Reset…", possible.reset, Machines::ask_reset),
        Item::line(),
        send,
        fetch,
        Item::line(),
        item("vm-clone", "Clone", possible.clone, Machines::clone_vm),
        Item::check("vm-favourite", "Favourite", is_favourite, move || {
            machines.toggle_favourite(&id);
        })
        .only_if(is_connected),
        item("vm-settings", "Rename and settings", true, rename),
        Item::line(),
        item("vm-remove", "Remove", possible.remove, Machines::remove),
    ]
}

/// The lines for files to and from a VM's guest.
pub fn file_items(machines: Machines, vm_id: &str) -> [Item; 2] {
    let reason = machines.why_no_files(vm_id);
    let item = |test_id, text, direction| {
        let (asked, of) = (machines.cx.nav.transfer, vm_id.to_owned());
        Item::new(test_id, text, move || asked.set(Some((of.clone(), direction)))).unless(reason)
    };
    [
        item("vm-send-files", "Send files…", Direction::Send),
        item("vm-fetch-file", "Fetch a file…", Direction::Fetch),
    ]
}
