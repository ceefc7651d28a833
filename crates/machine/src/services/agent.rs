//! The guest's agent: a virtio-serial port on which built-in guests listen. It is told the size of the terminal.

use qemuweb_vm_config::AGENT_CHANNEL;

use super::{Cx, Service};

/// A VM's agent.
pub(super) struct Agent;

impl Agent {
    fn tell_size<A>(cx: &mut Cx<'_, A>) {
        if let Some((rows, cols)) = cx.machine.terminal {
            // One that does not read yet is told again when it opens its port.
            let line = format!("resize {rows} {cols}\n").into_bytes();
            let waits = cx
                .machine
                .outbox(AGENT_CHANNEL)
                .is_some_and(|outbox| outbox.queued() > 0);
            if !waits {
                cx.machine.send(AGENT_CHANNEL, line);
            }
        }
    }
}

impl<A> Service<A> for Agent {
    fn channels(&self) -> &'static [&'static str] {
        &[AGENT_CHANNEL]
    }

    fn channel_opened(&mut self, _channel: &str, cx: &mut Cx<'_, A>) {
        Self::tell_size(cx);
    }

    /// An agent that has just come does not know the size, and another one may have gone with a reset.
    fn port_changed(&mut self, _channel: &str, open: bool, cx: &mut Cx<'_, A>) {
        if open {
            Self::tell_size(cx);
        }
    }

    fn terminal_changed(&mut self, cx: &mut Cx<'_, A>) {
        Self::tell_size(cx);
    }
}
