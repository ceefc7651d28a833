//! WebSocket messages as frames of RFC 6455, uncompressed.

use crate::exchange::{Direction, Message};

/// A frame with the whole message. A client's frames have to be masked: the mask is all zeros.
pub(super) fn frame(message: &Message) -> Vec<u8> {
    const FINAL: u8 = 0x80;
    const MASKED: u8 = 0x80;
    let payload = message.body.bytes();
    // Messages that were cut are shown as far as they are kept; control frames hold at most 125 bytes.
    let opcode = message.opcode & 0x0f;
    let payload = if opcode >= 8 {
        &payload[..payload.len().min(125)]
    } else {
        payload
    };
    let mask = match message.direction {
        Direction::Send => MASKED,
        Direction::Receive => 0,
    };
    let mut frame = vec![FINAL | opcode];
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(length @ 0..=125), _) => frame.push(mask | length),
        (_, Ok(length)) => {
            frame.push(mask | 126);
            frame.extend(length.to_be_bytes());
        }
        _ => {
            frame.push(mask | 127);
            frame.extend((payload.len() as u64).to_be_bytes());
        }
    }
    if message.direction == Direction::Send {
        frame.extend([0; 4]);
    }
    frame.extend_from_slice(payload);
    frame
}
