//! What is written is read, and anything else refused.

use proptest::prelude::*;

use super::*;
use crate::operation::{Command, Program, Report};

fn text() -> impl Strategy<Value = String> {
    "[^\0]{0,12}"
}

fn size() -> impl Strategy<Value = Size> {
    (1..=u16::MAX, 1..=u16::MAX).prop_map(|(rows, columns)| Size { rows, columns })
}

fn command() -> impl Strategy<Value = Command> {
    let program = prop_oneof![
        prop::collection::vec(text(), 1..4).prop_map(Program::Arguments),
        text().prop_map(Program::Shell)
    ];
    let environment = prop::collection::vec(("[^\0=]{1,5}", text()), 0..3);
    (
        program,
        prop::option::of(text()),
        environment,
        prop::option::of(size()),
        any::<u64>(),
    )
        .prop_map(
            |(program, directory, environment, terminal, time_limit_ms)| Command {
                program,
                directory,
                environment,
                terminal,
                time_limit_ms,
            },
        )
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        command().prop_map(Operation::Run),
        (text(), any::<u32>(), any::<u64>()).prop_map(|(path, mode, size)| Operation::Put {
            path,
            mode,
            size
        }),
        text().prop_map(|path| Operation::Get { path }),
        any::<i64>().prop_map(|unix_micros| Operation::SetClock { unix_micros }),
        Just(Operation::Report),
    ]
}

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        any::<u8>().prop_map(|status| Outcome::Exited { status }),
        any::<u8>().prop_map(|signal| Outcome::Signalled { signal }),
        Just(Outcome::TimedOut),
        Just(Outcome::Cancelled),
        Just(Outcome::Stored),
        any::<u64>().prop_map(|size| Outcome::Sent { size }),
        Just(Outcome::ClockSet),
        (any::<[u64; 4]>(), any::<[u32; 5]>(), any::<i64>()).prop_map(|(sizes, small, unix_micros)| {
            Outcome::Reported(Report {
                memory_total: sizes[0],
                memory_available: sizes[1],
                swap_total: sizes[2],
                swap_free: sizes[3],
                load_hundredths: [small[0], small[1], small[2]],
                uptime_ms: sizes[0],
                processors: small[3],
                tasks: small[4],
                unix_micros,
            })
        }),
        (any::<i32>(), text()).prop_map(|(errno, message)| Outcome::Failed { errno, message }),
    ]
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..40)
}

fn to_host() -> impl Strategy<Value = Stream> {
    prop_oneof![Just(Stream::Output), Just(Stream::Error)]
}

fn host_message() -> impl Strategy<Value = HostMessage> {
    let channel = 1..=u32::MAX;
    prop_oneof![
        (any::<u16>(), any::<u64>()).prop_map(|(version, instance)| HostMessage::Hello { version, instance }),
        Just(HostMessage::Wake),
        (any::<u32>(), size()).prop_map(|(channel, size)| HostMessage::Resize { channel, size }),
        (channel.clone(), operation())
            .prop_map(|(channel, operation)| HostMessage::Open { channel, operation }),
        (channel.clone(), bytes()).prop_map(|(channel, bytes)| HostMessage::Data { channel, bytes }),
        channel.clone().prop_map(|channel| HostMessage::End { channel }),
        (channel.clone(), to_host(), any::<u32>()).prop_map(|(channel, stream, bytes)| {
            HostMessage::Credit {
                channel,
                stream,
                bytes,
            }
        }),
        channel.prop_map(|channel| HostMessage::Cancel { channel }),
    ]
}

fn guest_message() -> impl Strategy<Value = GuestMessage> {
    let channel = 1..=u32::MAX;
    let started = prop_oneof![
        any::<u32>().prop_map(|pid| Started::Command { pid }),
        Just(Started::Put),
        (any::<u64>(), 0..0o10000_u32).prop_map(|(size, mode)| Started::Get { size, mode }),
    ];
    prop_oneof![
        (any::<u16>(), any::<u16>(), any::<u64>(), text()).prop_map(|(oldest, newest, instance, name)| {
            GuestMessage::Hello(Hello {
                oldest,
                newest,
                instance,
                name,
            })
        }),
        (channel.clone(), started).prop_map(|(channel, started)| GuestMessage::Started { channel, started }),
        (channel.clone(), to_host(), bytes()).prop_map(|(channel, stream, bytes)| GuestMessage::Data {
            channel,
            stream,
            bytes
        }),
        (channel.clone(), any::<u32>()).prop_map(|(channel, bytes)| GuestMessage::Credit { channel, bytes }),
        (channel, outcome()).prop_map(|(channel, outcome)| GuestMessage::Done { channel, outcome }),
    ]
}

proptest! {
    #[test]
    fn what_the_host_writes_is_read(message in host_message()) {
        prop_assert_eq!(HostMessage::read(&message.to_bytes()), Ok(message));
    }

    #[test]
    fn what_the_guest_writes_is_read(message in guest_message()) {
        prop_assert_eq!(GuestMessage::read(&message.to_bytes()), Ok(message));
    }

    #[test]
    fn what_is_cut_off_is_refused(message in host_message(), at: prop::sample::Index) {
        let whole = message.to_bytes();
        let cut = &whole[..at.index(whole.len())];
        // Data may be shorter; everything else has its length.
        let is_data = matches!(message, HostMessage::Data { .. });
        prop_assert!(is_data || HostMessage::read(cut).is_err());
    }

    #[test]
    fn anything_is_read_or_refused(kind in 0..12_u8, mut message in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = (HostMessage::read(&message), GuestMessage::read(&message));
        message.insert(0, kind);
        let _ = (HostMessage::read(&message), GuestMessage::read(&message));
    }
}
