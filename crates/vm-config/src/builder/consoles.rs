//! The lines between a machine and its host, each a ring in shared memory: the console, the monitor, and the
//! guest agent's port.

use super::Builder;
use crate::props::Props;

/// The channel of the guest's serial console.
pub const SERIAL_CHANNEL: &str = "serial0";
/// The channel of QEMU's monitor (QMP).
pub const QMP_CHANNEL: &str = "qmp0";
/// The channel of the guest agent.
pub const AGENT_CHANNEL: &str = "agent0";
/// The name under which the guest finds its agent's virtio-serial port.
pub const AGENT_PORT_NAME: &str = "org.qemuweb.agent.0";

impl Builder<'_> {
    pub(super) fn consoles(&mut self) {
        // stdio, ttyS0 and pty all mean this one: see `SerialMode`.
        self.ring(SERIAL_CHANNEL);
        self.option("-serial", format!("chardev:{SERIAL_CHANNEL}"));

        self.ring(QMP_CHANNEL);
        self.option("-mon", format!("chardev={QMP_CHANNEL},mode=control"));

        self.virtio_device("serial", ",id=vserial0");
        self.ring(AGENT_CHANNEL);
        let port = Props::of("virtserialport")
            .with("bus", "vserial0.0")
            .with("chardev", AGENT_CHANNEL)
            .with("name", AGENT_PORT_NAME);
        self.option("-device", port.finish());
    }

    fn ring(&mut self, channel: &str) {
        self.option("-chardev", Props::of("ring").with("id", channel).finish());
    }
}
