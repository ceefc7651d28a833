//! One TCP connection of a guest's that ends here: smoltcp on our side, a stream on the other.

use std::collections::VecDeque;
use std::net::Ipv4Addr;

use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{Checksum, ChecksumCapabilities, Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::socket::tcp::{Socket, SocketBuffer, State};
use smoltcp::time::{Duration, Instant};
use smoltcp::wire::{HardwareAddress, IpAddress, IpListenEndpoint};

/// Most bytes in one piece to the outside.
const PIECE: usize = 64 << 10;
/// A guest that answers nothing for so long is gone.
const TIMEOUT: Duration = Duration::from_secs(120);
/// How often a silent guest is asked whether it is there.
const KEEP_ALIVE: Duration = Duration::from_secs(60);
/// How long a guest may take to accept a connection of ours.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);

/// Packets to and from smoltcp.
#[derive(Default)]
pub(super) struct Wire {
    received: Option<Vec<u8>>,
    sent: VecDeque<Vec<u8>>,
}

pub(super) struct Received(Vec<u8>);

impl RxToken for Received {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, take: F) -> R {
        take(&self.0)
    }
}

pub(super) struct Sent<'a>(&'a mut VecDeque<Vec<u8>>);

impl TxToken for Sent<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, fill: F) -> R {
        let mut packet = vec![0; len];
        let result = fill(&mut packet);
        self.0.push_back(packet);
        result
    }
}

impl Device for Wire {
    type RxToken<'a> = Received;
    type TxToken<'a> = Sent<'a>;

    fn receive(&mut self, _: Instant) -> Option<(Received, Sent<'_>)> {
        let packet = self.received.take()?;
        Some((Received(packet), Sent(&mut self.sent)))
    }

    fn transmit(&mut self, _: Instant) -> Option<Sent<'_>> {
        Some(Sent(&mut self.sent))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ip;
        capabilities.max_transmission_unit = 1500;
        // The router has checked what comes in, and large segments have no sum yet.
        let mut checksums = ChecksumCapabilities::default();
        checksums.ipv4 = Checksum::Tx;
        checksums.tcp = Checksum::Tx;
        capabilities.checksum = checksums;
        capabilities
    }
}

/// The stack that all connections share. Each has a socket set of its own, so that a packet meets the one that it is for.
pub(super) struct Stack {
    interface: Interface,
    wire: Wire,
}

impl Stack {
    pub(super) fn new(seed: u64) -> Self {
        let mut wire = Wire::default();
        let mut config = Config::new(HardwareAddress::Ip);
        config.random_seed = seed;
        let mut interface = Interface::new(config, &mut wire, Instant::ZERO);
        // Connections to whatever address end here.
        interface.set_any_ip(true);
        Self { interface, wire }
    }

    /// The packets that smoltcp has sent.
    pub(super) fn take_sent(&mut self) -> VecDeque<Vec<u8>> {
        std::mem::take(&mut self.wire.sent)
    }
}

/// Sizes of a connection's buffers, in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Buffers {
    /// From the guest.
    pub(super) receive: usize,
    /// To the guest.
    pub(super) send: usize,
}

/// What has happened on a connection.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Happened {
    /// A connection of ours was accepted; so many bytes have room on the way to the guest.
    Connected(usize),
    /// The guest has sent this.
    Data(Vec<u8>),
    /// The guest has sent its last byte.
    Finished,
    /// So many bytes have room on the way to the guest that had none before.
    Room(usize),
    /// Both sides have closed, and nothing is left to be done.
    Over,
    /// The guest has reset it, refused it, or does not answer.
    Reset,
}

/// A connection.
pub(super) struct Connection {
    sockets: SocketSet<'static>,
    handle: SocketHandle,
    /// Bytes that the outside takes.
    credit: usize,
    /// Bytes that the outside may send: as many have room.
    granted: usize,
    /// Room that the outside does not know of yet.
    spare: usize,
    was_connected: bool,
    finish_is_told: bool,
    /// When something is to be done.
    pub(super) at: Option<Instant>,
}

impl Connection {
    /// A socket in a set of its own.
    fn socket_set(buffers: Buffers) -> (SocketSet<'static>, SocketHandle) {
        let buffer = |size| SocketBuffer::new(vec![0; size]);
        let mut socket = Socket::new(buffer(buffers.receive), buffer(buffers.send));
        socket.set_nagle_enabled(false);
        socket.set_keep_alive(Some(KEEP_ALIVE));
        socket.set_timeout(Some(TIMEOUT));
        let mut sockets = SocketSet::new(Vec::new());
        let handle = sockets.add(socket);
        (sockets, handle)
    }

    /// Accepts a connection whose first segment is `syn`, sent to this address and port.
    pub(super) fn accept(
        stack: &mut Stack,
        now: Instant,
        buffers: Buffers,
        to: (Ipv4Addr, u16),
        syn: Vec<u8>,
        credit: usize,
    ) -> Option<Self> {
        let (mut sockets, handle) = Self::socket_set(buffers);
        let endpoint = IpListenEndpoint {
            addr: Some(IpAddress::Ipv4(to.0)),
            port: to.1,
        };
        sockets.get_mut::<Socket<'_>>(handle).listen(endpoint).ok()?;
        let mut connection = Self {
            sockets,
            handle,
            credit,
            granted: buffers.send,
            spare: 0,
            was_connected: true,
            finish_is_told: false,
            at: None,
        };
        connection.receive(stack, now, syn);
        Some(connection)
    }

    /// Connects to a guest's port from this address and port.
    pub(super) fn connect(
        stack: &mut Stack,
        now: Instant,
        buffers: Buffers,
        from: (Ipv4Addr, u16),
        to: (Ipv4Addr, u16),
        credit: usize,
    ) -> Option<Self> {
        let (mut sockets, handle) = Self::socket_set(buffers);
        let socket = sockets.get_mut::<Socket<'_>>(handle);
        socket.set_timeout(Some(CONNECT_TIMEOUT));
        let to = (IpAddress::Ipv4(to.0), to.1);
        let from = (IpAddress::Ipv4(from.0), from.1);
        socket.connect(stack.interface.context(), to, from).ok()?;
        let mut connection = Self {
            sockets,
            handle,
            credit,
            granted: buffers.send,
            spare: 0,
            was_connected: false,
            finish_is_told: false,
            at: None,
        };
        connection.poll(stack, now);
        Some(connection)
    }

    /// Takes a packet of the guest's.
    pub(super) fn receive(&mut self, stack: &mut Stack, now: Instant, packet: Vec<u8>) {
        stack.wire.received = Some(packet);
        self.poll(stack, now);
    }

    /// Lets smoltcp do what it has to.
    pub(super) fn poll(&mut self, stack: &mut Stack, now: Instant) {
        stack.interface.poll(now, &mut stack.wire, &mut self.sockets);
        self.at = stack.interface.poll_at(now, &self.sockets);
    }

    fn socket(&mut self) -> &mut Socket<'static> {
        self.sockets.get_mut(self.handle)
    }

    /// Takes bytes from the outside. `false` if it had no right to send as many.
    pub(super) fn send(&mut self, bytes: &[u8]) -> bool {
        if bytes.len() > self.granted {
            return false;
        }
        self.granted -= bytes.len();
        // What was granted has room, unless the connection is over.
        self.socket()
            .send_slice(bytes)
            .is_ok_and(|sent| sent == bytes.len())
            || !self.socket().may_send()
    }

    /// The outside has sent its last byte.
    pub(super) fn finish(&mut self) {
        self.socket().close();
    }

    /// The outside has given up.
    pub(super) fn abort(&mut self) {
        self.socket().abort();
    }

    /// The outside takes so many bytes more.
    pub(super) fn grant(&mut self, bytes: usize) {
        self.credit = self.credit.saturating_add(bytes);
    }

    /// What has happened since it was last asked, in order.
    pub(super) fn happened(&mut self) -> Vec<Happened> {
        let mut happened = Vec::new();
        let (capacity, queued) = (self.socket().send_capacity(), self.socket().send_queue());
        if !self.was_connected && self.socket().may_send() {
            self.was_connected = true;
            self.socket().set_timeout(Some(TIMEOUT));
            happened.push(Happened::Connected(capacity));
        }
        while self.credit > 0 && self.socket().can_recv() {
            let most = self.credit.min(PIECE);
            let taken = self.socket().recv(|bytes| {
                let len = bytes.len().min(most);
                (len, bytes[..len].to_vec())
            });
            let Ok(bytes) = taken else { break };
            if bytes.is_empty() {
                break;
            }
            self.credit -= bytes.len();
            happened.push(Happened::Data(bytes));
        }
        let state = self.socket().state();
        let has_finished = matches!(
            state,
            State::CloseWait | State::LastAck | State::Closing | State::TimeWait
        );
        if has_finished && !self.socket().can_recv() && !self.finish_is_told {
            self.finish_is_told = true;
            happened.push(Happened::Finished);
        }
        self.spare = capacity.saturating_sub(queued + self.granted);
        if self.spare >= capacity / 4 && self.socket().may_send() {
            self.granted += self.spare;
            happened.push(Happened::Room(std::mem::take(&mut self.spare)));
        }
        match state {
            State::TimeWait => happened.push(Happened::Over),
            State::Closed if self.finish_is_told => happened.push(Happened::Over),
            State::Closed => happened.push(Happened::Reset),
            _ => {}
        }
        happened
    }
}
