//! What a guest's agent says to the host, and what a host says to the agent.
#![no_main]

use libfuzzer_sys::fuzz_target;
use qemuweb_agent::{Command, GuestMessage, Hello, HostMessage, Operation, Session, frame};

fuzz_target!(|data: &[u8]| {
    let mut session = Session::new();
    let mut hello = Vec::new();
    GuestMessage::Hello(Hello {
        oldest: 1,
        newest: 1,
        instance: 1,
        name: String::new(),
    })
    .write_frame(&mut hello);
    session.receive(&hello);
    session
        .start(Operation::Run(Command::shell("yes")))
        .expect("an agent is there");
    session
        .start(Operation::Get {
            path: "file".to_owned(),
        })
        .expect("an agent is there");
    session.outgoing(1 << 16);
    // As it is, and as the messages of frames, cut at 0xff.
    session.receive(data);
    for message in data.split(|byte| *byte == 0xff) {
        let _ = HostMessage::read(message);
        if message.len() <= frame::MAX_MESSAGE {
            let mut framed = Vec::new();
            frame::write(message, &mut framed);
            session.receive(&framed);
        }
        session.outgoing(1 << 16);
    }
});
