//! Hosts with a TCP/IP stack of their own (smoltcp) on a fabric, on a virtual clock.
#![allow(dead_code, reason = "each test uses a part of it")]

use std::collections::VecDeque;
use std::net::Ipv4Addr;

use qemuweb_network::config::{NetworkConfig, default_networks};
use qemuweb_network::switch::PortId;
use qemuweb_network::{
    Attachment, Duration, Effect, EthernetAddress, Fabric, Frame, FromOutside, Instant, Ipv4Cidr, ResolveId,
    ToOutside,
};
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::socket::{dhcpv4, dns, icmp, tcp, udp};
use smoltcp::wire::{Icmpv4Packet, Icmpv4Repr, IpAddress, IpCidr, IpEndpoint};

/// A network card.
#[derive(Default)]
pub(crate) struct Card {
    pub(crate) received: VecDeque<Vec<u8>>,
    pub(crate) sent: VecDeque<Vec<u8>>,
    mtu: usize,
}

pub(crate) struct Received(Vec<u8>);

impl RxToken for Received {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, take: F) -> R {
        take(&self.0)
    }
}

pub(crate) struct Sent<'a>(&'a mut VecDeque<Vec<u8>>);

impl TxToken for Sent<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, fill: F) -> R {
        let mut frame = vec![0; len];
        let result = fill(&mut frame);
        self.0.push_back(frame);
        result
    }
}

impl Device for Card {
    type RxToken<'a> = Received;
    type TxToken<'a> = Sent<'a>;

    fn receive(&mut self, _: Instant) -> Option<(Received, Sent<'_>)> {
        let frame = self.received.pop_front()?;
        Some((Received(frame), Sent(&mut self.sent)))
    }

    fn transmit(&mut self, _: Instant) -> Option<Sent<'_>> {
        Some(Sent(&mut self.sent))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = self.mtu + 14;
        capabilities
    }
}

/// A host.
pub(crate) struct Host {
    pub(crate) port: PortId,
    pub(crate) mac: EthernetAddress,
    pub(crate) card: Card,
    pub(crate) interface: Interface,
    pub(crate) sockets: SocketSet<'static>,
    pub(crate) dhcp: Option<SocketHandle>,
    /// What DHCP has said.
    pub(crate) configured: Option<dhcpv4::Config<'static>>,
}

impl Host {
    pub(crate) fn address(&self) -> Ipv4Addr {
        self.interface.ipv4_addr().expect("an address")
    }

    pub(crate) fn set_address(&mut self, cidr: Ipv4Cidr, router: Option<Ipv4Addr>) {
        self.interface.update_ip_addrs(|addresses| {
            addresses.retain(|cidr| matches!(cidr, IpCidr::Ipv6(_)));
            addresses.push(IpCidr::Ipv4(cidr)).unwrap();
        });
        self.interface.routes_mut().remove_default_ipv4_route();
        if let Some(router) = router {
            self.interface
                .routes_mut()
                .add_default_ipv4_route(router)
                .unwrap();
        }
    }

    pub(crate) fn tcp(&mut self) -> SocketHandle {
        let buffer = || tcp::SocketBuffer::new(vec![0; 65_535]);
        self.sockets.add(tcp::Socket::new(buffer(), buffer()))
    }

    pub(crate) fn listen(&mut self, port: u16) -> SocketHandle {
        let handle = self.tcp();
        self.sockets.get_mut::<tcp::Socket>(handle).listen(port).unwrap();
        handle
    }

    pub(crate) fn connect(&mut self, to: (Ipv4Addr, u16), from: u16) -> SocketHandle {
        let handle = self.tcp();
        let socket = self.sockets.get_mut::<tcp::Socket>(handle);
        let to = IpEndpoint::new(IpAddress::Ipv4(to.0), to.1);
        socket.connect(self.interface.context(), to, from).unwrap();
        handle
    }

    pub(crate) fn socket(&mut self, handle: SocketHandle) -> &mut tcp::Socket<'static> {
        self.sockets.get_mut(handle)
    }

    pub(crate) fn udp(&mut self, port: u16) -> SocketHandle {
        let buffer = || udp::PacketBuffer::new(vec![udp::PacketMetadata::EMPTY; 64], vec![0; 65_536]);
        let handle = self.sockets.add(udp::Socket::new(buffer(), buffer()));
        self.sockets.get_mut::<udp::Socket>(handle).bind(port).unwrap();
        handle
    }

    pub(crate) fn send_udp(&mut self, handle: SocketHandle, to: (Ipv4Addr, u16), payload: &[u8]) {
        let to = IpEndpoint::new(IpAddress::Ipv4(to.0), to.1);
        self.sockets
            .get_mut::<udp::Socket>(handle)
            .send_slice(payload, to)
            .unwrap();
    }

    pub(crate) fn receive_udp(&mut self, handle: SocketHandle) -> Option<(Vec<u8>, IpEndpoint)> {
        let socket = self.sockets.get_mut::<udp::Socket>(handle);
        socket
            .recv()
            .ok()
            .map(|(bytes, meta)| (bytes.to_vec(), meta.endpoint))
    }

    /// A socket for echo requests with this identifier.
    pub(crate) fn icmp(&mut self, ident: u16) -> SocketHandle {
        let buffer = || icmp::PacketBuffer::new(vec![icmp::PacketMetadata::EMPTY; 16], vec![0; 32_768]);
        let handle = self.sockets.add(icmp::Socket::new(buffer(), buffer()));
        self.sockets
            .get_mut::<icmp::Socket>(handle)
            .bind(icmp::Endpoint::Ident(ident))
            .unwrap();
        handle
    }

    /// A socket for ICMP errors about datagrams from this port.
    pub(crate) fn udp_errors(&mut self, port: u16) -> SocketHandle {
        let buffer = || icmp::PacketBuffer::new(vec![icmp::PacketMetadata::EMPTY; 16], vec![0; 32_768]);
        let handle = self.sockets.add(icmp::Socket::new(buffer(), buffer()));
        self.sockets
            .get_mut::<icmp::Socket>(handle)
            .bind(icmp::Endpoint::Udp(port.into()))
            .unwrap();
        handle
    }

    pub(crate) fn ping(&mut self, handle: SocketHandle, ident: u16, to: Ipv4Addr, data: &[u8]) {
        let repr = Icmpv4Repr::EchoRequest {
            ident,
            seq_no: 1,
            data,
        };
        let socket = self.sockets.get_mut::<icmp::Socket>(handle);
        let bytes = socket.send(repr.buffer_len(), IpAddress::Ipv4(to)).unwrap();
        repr.emit(&mut Icmpv4Packet::new_unchecked(bytes), &Default::default());
    }

    /// Type, code, sender and data of what came to an ICMP socket.
    pub(crate) fn receive_icmp(&mut self, handle: SocketHandle) -> Option<(u8, u8, Ipv4Addr, Vec<u8>)> {
        let socket = self.sockets.get_mut::<icmp::Socket>(handle);
        let (bytes, from) = socket.recv().ok()?;
        let IpAddress::Ipv4(from) = from else {
            panic!("not IPv4")
        };
        Some((bytes[0], bytes[1], from, bytes[8..].to_vec()))
    }
}

/// A fabric with hosts, and what it has told of the outside.
pub(crate) struct World {
    pub(crate) now: Instant,
    pub(crate) fabric: Fabric,
    pub(crate) hosts: Vec<Host>,
    pub(crate) outside: VecDeque<ToOutside>,
    pub(crate) queries: VecDeque<(ResolveId, Vec<u8>)>,
    pub(crate) captured: usize,
    /// Frames to hosts, to compare runs.
    pub(crate) trace: Vec<(i64, PortId, usize)>,
}

impl World {
    /// The default networks.
    pub(crate) fn new(seed: u64) -> Self {
        Self::with(seed, default_networks())
    }

    pub(crate) fn with(seed: u64, networks: Vec<NetworkConfig>) -> Self {
        let mut fabric = Fabric::new(seed);
        for network in networks {
            fabric.set_network(Instant::ZERO, network).unwrap();
        }
        Self {
            now: Instant::ZERO,
            fabric,
            hosts: Vec::new(),
            outside: VecDeque::new(),
            queries: VecDeque::new(),
            captured: 0,
            trace: Vec::new(),
        }
    }

    /// A host without an address; with DHCP if `dhcp`.
    pub(crate) fn add(&mut self, network: &str, name: &str, dhcp: bool) -> usize {
        self.attach(Attachment::new(name, name, &network.into()), dhcp)
    }

    pub(crate) fn attach(&mut self, attachment: Attachment, dhcp: bool) -> usize {
        let port = self.fabric.attach(self.now, attachment).unwrap();
        let mac = self.fabric.mac(port).unwrap();
        let mut card = Card {
            mtu: 1500,
            ..Card::default()
        };
        let mut config = Config::new(mac.into());
        config.random_seed = u64::from(port.0) + 77;
        config.slaac = true;
        let mut interface = Interface::new(config, &mut card, self.now);
        // Without it, smoltcp panics where it asks for a router.
        let [a, b, c, d, e, f] = mac.0.map(u16::from);
        let (high, low) = ((a ^ 2) << 8 | b, e << 8 | f);
        let link_local = IpAddress::v6(0xfe80, 0, 0, 0, high, c << 8 | 0xff, 0xfe00 | d, low);
        interface.update_ip_addrs(|addresses| addresses.push(IpCidr::new(link_local, 64)).unwrap());
        let mut sockets = SocketSet::new(Vec::new());
        let dhcp = dhcp.then(|| sockets.add(dhcpv4::Socket::new()));
        self.hosts.push(Host {
            port,
            mac,
            card,
            interface,
            sockets,
            dhcp,
            configured: None,
        });
        self.hosts.len() - 1
    }

    /// A host that has its address by DHCP.
    pub(crate) fn leased(&mut self, network: &str, name: &str) -> usize {
        let host = self.add(network, name, true);
        self.run(Duration::from_secs(30), |world| {
            world.hosts[host].configured.is_some()
        });
        assert!(self.hosts[host].configured.is_some(), "{name} has no address");
        host
    }

    /// Lets all happen that happens at this time. Whether something did.
    fn settle(&mut self) -> bool {
        for round in 0..100_000 {
            let mut is_quiet = true;
            for place in 0..self.hosts.len() {
                let host = &mut self.hosts[place];
                host.interface.poll(self.now, &mut host.card, &mut host.sockets);
                take_lease(host);
                let port = host.port;
                while let Some(frame) = self.hosts[place].card.sent.pop_front() {
                    self.fabric.receive(self.now, port, frame.into());
                    is_quiet = false;
                }
            }
            if self.fabric.poll_at().is_some_and(|at| at <= self.now) {
                self.fabric.poll(self.now);
            }
            while let Some(effect) = self.fabric.next() {
                is_quiet = false;
                self.take(effect);
            }
            if is_quiet {
                return round > 0;
            }
        }
        panic!("it never ends");
    }

    fn take(&mut self, effect: Effect) {
        match effect {
            Effect::Frame { port, frame } => {
                self.trace
                    .push((self.now.total_micros(), port, frame.bytes().len()));
                if let Some(host) = self.hosts.iter_mut().find(|host| host.port == port) {
                    host.card.received.push_back(frame.bytes().to_vec());
                }
            }
            Effect::Outside(told) => self.outside.push_back(told),
            Effect::Resolve { id, query, .. } => self.queries.push_back((id, query)),
            Effect::Captured { .. } => self.captured += 1,
            Effect::Link { port, up } => {
                // As a guest does when its cable is plugged in again.
                if let Some(host) = self.hosts.iter_mut().find(|host| host.port == port)
                    && let Some(dhcp) = host.dhcp.filter(|_| up)
                {
                    host.sockets.get_mut::<dhcpv4::Socket>(dhcp).reset();
                }
            }
        }
    }

    /// Lets time pass until this holds, at most so long. Whether it does.
    pub(crate) fn run(&mut self, most: Duration, mut holds: impl FnMut(&mut Self) -> bool) -> bool {
        let end = self.now + most;
        loop {
            self.settle();
            if holds(self) {
                return true;
            }
            if self.settle() {
                continue;
            }
            if self.now >= end {
                return false;
            }
            let hosts = self
                .hosts
                .iter_mut()
                .filter_map(|host| host.interface.poll_at(self.now, &host.sockets));
            let next = hosts.chain(self.fabric.poll_at()).min().unwrap_or(end);
            self.now = next.max(self.now + Duration::from_micros(1)).min(end);
        }
    }

    pub(crate) fn wait(&mut self, time: Duration) {
        self.run(time, |_| false);
    }

    pub(crate) fn tell(&mut self, said: FromOutside) {
        self.fabric.outside(self.now, said);
    }

    /// Sends a raw frame as a host.
    pub(crate) fn inject(&mut self, host: usize, bytes: Vec<u8>) {
        let port = self.hosts[host].port;
        self.fabric.receive(self.now, port, Frame::from(bytes));
    }

    pub(crate) fn resolve(&mut self, host: usize, name: &str) -> Option<Vec<IpAddress>> {
        let servers = self.hosts[host]
            .configured
            .as_ref()
            .map(|config| config.dns_servers.to_vec());
        let servers: Vec<IpAddress> = servers
            .unwrap_or_default()
            .into_iter()
            .map(IpAddress::Ipv4)
            .collect();
        let this = &mut self.hosts[host];
        let handle = this.sockets.add(dns::Socket::new(&servers, vec![]));
        let socket = this.sockets.get_mut::<dns::Socket>(handle);
        let query = socket
            .start_query(this.interface.context(), name, smoltcp::wire::DnsQueryType::A)
            .unwrap();
        let mut result = None;
        self.run(Duration::from_secs(20), |world| {
            let socket = world.hosts[host].sockets.get_mut::<dns::Socket>(handle);
            match socket.get_query_result(query) {
                Err(dns::GetQueryResultError::Pending) => false,
                answer => {
                    result = answer.ok().map(|addresses| addresses.to_vec());
                    true
                }
            }
        });
        self.hosts[host].sockets.remove(handle);
        result
    }
}

/// Takes what DHCP says.
fn take_lease(host: &mut Host) {
    let Some(handle) = host.dhcp else { return };
    let said = host
        .sockets
        .get_mut::<dhcpv4::Socket>(handle)
        .poll()
        .map(|event| match event {
            dhcpv4::Event::Configured(config) => Some(dhcpv4::Config {
                server: config.server,
                address: config.address,
                router: config.router,
                dns_servers: config.dns_servers.clone(),
                packet: None,
            }),
            dhcpv4::Event::Deconfigured => None,
        });
    match said {
        Some(Some(config)) => {
            host.set_address(config.address, config.router);
            host.configured = Some(config);
        }
        Some(None) => {
            host.configured = None;
            host.interface
                .update_ip_addrs(|addresses| addresses.retain(|cidr| matches!(cidr, IpCidr::Ipv6(_))));
            host.interface.routes_mut().remove_default_ipv4_route();
        }
        None => {}
    }
}
