//! What can happen in a random life, and how likely it is.

use crate::world::qemu::CHANNELS;
use proptest::prelude::*;

pub(crate) const PROFILES: [&str; 3] = [
    "minimal-x86_64",
    "linux-aarch64-virt-nographic",
    "no-such-profile",
];
pub(crate) const VMS: [&str; 3] = ["a", "b", "c"];
pub(crate) const EVENTS: [&str; 11] = [
    "STOP",
    "RESUME",
    "SUSPEND",
    "WAKEUP",
    "RESET",
    "SHUTDOWN",
    "GUEST_PANICKED",
    "BLOCK_IO_ERROR",
    "WATCHDOG",
    "POWERDOWN",
    "NONSENSE",
];

/// Something that can happen. Numbers choose among what there is.
#[derive(Clone, Debug)]
pub(crate) enum Deed {
    Join(u32),
    Leave(u32),
    Call {
        client: u32,
        vm: usize,
        call: u8,
        more: u8,
    },
    Malformed {
        client: u32,
        text: String,
    },
    Cancel {
        client: u32,
        back: u32,
    },
    Subscribe {
        client: u32,
        topic: u8,
    },
    OpenConsole {
        client: u32,
        vm: usize,
    },
    OnStream {
        stream: usize,
        what: u8,
        count: u64,
    },
    Event {
        vm: usize,
        event: usize,
        more: u8,
    },
    Nonsense {
        vm: usize,
        channel: usize,
        bytes: Vec<u8>,
    },
    Print {
        vm: usize,
        count: usize,
    },
    Guest {
        vm: usize,
        channel: usize,
        what: u8,
    },
    Worker {
        vm: usize,
        what: u8,
    },
    Storage {
        vm: usize,
        what: u8,
    },
    /// What belongs to a run that is over, or never was.
    Late {
        run: u64,
        what: u8,
    },
    /// A task is done: the one of this place, well or not; or one that is done already.
    Task {
        place: usize,
        well: bool,
    },
    Repeat {
        task: u64,
        what: u8,
    },
    Pass(u32),
    Settle,
}

pub(crate) fn deed() -> impl Strategy<Value = Deed> {
    let vm = 0..VMS.len();
    prop_oneof![
        2 => (0..4_u32).prop_map(Deed::Join),
        1 => (0..4_u32).prop_map(Deed::Leave),
        12 => (0..4_u32, vm.clone(), 0..31_u8, any::<u8>()).prop_map(|(client, vm, call, more)| Deed::Call { client, vm, call, more }),
        1 => (0..4_u32, malformed()).prop_map(|(client, text)| Deed::Malformed { client, text }),
        1 => (0..4_u32, 0..5_u32).prop_map(|(client, back)| Deed::Cancel { client, back }),
        2 => (0..4_u32, 0..7_u8).prop_map(|(client, topic)| Deed::Subscribe { client, topic }),
        2 => (0..4_u32, vm.clone()).prop_map(|(client, vm)| Deed::OpenConsole { client, vm }),
        3 => (0..4_usize, 0..7_u8, 0..200_000_u64).prop_map(|(stream, what, count)| Deed::OnStream { stream, what, count }),
        4 => (vm.clone(), 0..EVENTS.len(), any::<u8>()).prop_map(|(vm, event, more)| Deed::Event { vm, event, more }),
        1 => (vm.clone(), 0..CHANNELS.len(), prop::collection::vec(any::<u8>(), 0..60))
            .prop_map(|(vm, channel, bytes)| Deed::Nonsense { vm, channel, bytes }),
        2 => (vm.clone(), 0..300_000_usize).prop_map(|(vm, count)| Deed::Print { vm, count }),
        3 => (vm.clone(), 0..CHANNELS.len(), 0..6_u8).prop_map(|(vm, channel, what)| Deed::Guest { vm, channel, what }),
        2 => (vm.clone(), 0..6_u8).prop_map(|(vm, what)| Deed::Worker { vm, what }),
        2 => (vm.clone(), 0..5_u8).prop_map(|(vm, what)| Deed::Storage { vm, what }),
        2 => (0..2_000_000_u64, 0..9_u8).prop_map(|(run, what)| Deed::Late { run, what }),
        4 => (0..5_usize, any::<bool>()).prop_map(|(place, well)| Deed::Task { place, well }),
        1 => (0..60_u64, 0..5_u8).prop_map(|(task, what)| Deed::Repeat { task, what }),
        2 => (0..40_000_u32).prop_map(Deed::Pass),
        3 => Just(Deed::Settle),
    ]
}

fn malformed() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(r#"{"type":"call","id":1000000,"method":"noSuch","params":{}}"#.to_owned()),
        Just(r#"{"type":"call","id":1000000,"method":"stopVm","params":{"vmId":5}}"#.to_owned()),
        Just(r#"{"type":"call","id":1000000}"#.to_owned()),
        Just(r#"{"type":"open","id":1000000,"stream":{"type":"frames"}}"#.to_owned()),
        Just(r#"{"type":"subscribe","id":1,"topic":{"type":"capture","capture":"x"}}"#.to_owned()),
        ".{0,40}",
    ]
}

/// An upper bound of the deeds that a malformed text asks an answer for.
pub(crate) fn asks(text: &str) -> bool {
    text.contains(r#""id":1000000"#) && !text.contains("open")
}
