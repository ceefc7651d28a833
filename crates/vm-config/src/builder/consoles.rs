//! The lines between a machine and its host, each a ring in shared memory: the console, the monitor, the guest
//! agent's port, and two for captures of the page's traffic.

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
/// The channel of captures as JSON lines, and of what the guest says about them.
pub const CAPTURE_CHANNEL: &str = "capture0";
/// The name of the virtio-serial port of [`CAPTURE_CHANNEL`].
pub const CAPTURE_PORT_NAME: &str = "org.qemuweb.capture.0";
/// The channel of captures as packets, in pcapng.
pub const PACKET_CHANNEL: &str = "capture1";
/// The name of the virtio-serial port of [`PACKET_CHANNEL`].
pub const PACKET_PORT_NAME: &str = "org.qemuweb.capture.1";

impl Builder<'_> {
    pub(super) fn consoles(&mut self) {
        // stdio, ttyS0 and pty all mean this one: see `SerialMode`.
        self.ring(SERIAL_CHANNEL, false);
        self.option("-serial", format!("chardev:{SERIAL_CHANNEL}"));

        self.ring(QMP_CHANNEL, false);
        self.option("-mon", format!("chardev={QMP_CHANNEL},mode=control"));

        self.virtio_device("serial", ",id=vserial0");
        self.port(AGENT_CHANNEL, AGENT_PORT_NAME, false);
        // A program begins with whole lines and packets, not amid what the one before it left.
        self.port(CAPTURE_CHANNEL, CAPTURE_PORT_NAME, true);
        self.port(PACKET_CHANNEL, PACKET_PORT_NAME, true);
    }

    /// A virtio-serial port. Its device has its channel's name, under which QEMU tells when the guest opens it.
    fn port(&mut self, channel: &str, name: &str, discard: bool) {
        self.ring(channel, discard);
        let port = Props::of("virtserialport")
            .with("bus", "vserial0.0")
            .with("chardev", channel)
            .with("id", channel)
            .with("name", name);
        self.option("-device", port.finish());
    }

    /// A ring; with `discard`, what waits in it is dropped when a program in the guest opens its port.
    fn ring(&mut self, channel: &str, discard: bool) {
        let mut ring = Props::of("ring").with("id", channel);
        if discard {
            ring = ring.with("discard", "on");
        }
        self.option("-chardev", ring.finish());
    }
}
