//! What the gateway wants of the router, and what the outside and the upstream say.

use std::net::Ipv4Addr;

use smoltcp::time::Instant;
use smoltcp::wire::IpProtocol;

use super::icmp::{self, Reason};
use super::{Out, Router};
use crate::config::NetworkId;
use crate::dns::{ResolveId, Resolved};
use crate::gateway::{FromOutside, OutsideId, Refusal, ToRouter};
use crate::packet::Packet;

impl Router {
    /// Takes what has happened outside.
    pub(crate) fn outside(&mut self, now: Instant, said: FromOutside) {
        self.gateway.outside(now, said);
        self.settle_gateway(now);
    }

    /// Takes what the upstream name server says.
    pub(crate) fn resolved(&mut self, now: Instant, id: ResolveId, said: Resolved) {
        if let Some(finished) = self.upstream.answered(id, said, &mut self.names) {
            self.answer_dns(now, finished);
            self.settle_gateway(now);
        }
    }

    /// Connects to a TCP port of a host in a network, from our address there. `None` if there is no such host's network, or no
    /// room.
    pub(crate) fn dial(
        &mut self,
        now: Instant,
        network: &NetworkId,
        address: Ipv4Addr,
        port: u16,
        window: u32,
    ) -> Option<OutsideId> {
        let interface = self.interfaces.get(network)?;
        let (own, cidr) = (interface.address(), interface.network.cidr);
        if port == 0 || address == own || !cidr.contains_addr(&address) {
            return None;
        }
        let id = self
            .gateway
            .dial(now, network.clone(), own, (address, port), window);
        self.settle_gateway(now);
        id
    }

    /// Does what the gateway wants.
    pub(super) fn settle_gateway(&mut self, now: Instant) {
        while let Some(wanted) = self.gateway.next() {
            match wanted {
                ToRouter::Outside(told) => {
                    if let Some(told) = self.take_stream(now, told) {
                        self.out.push_back(Out::Outside(told));
                    }
                }
                ToRouter::Send(packet) => {
                    let _ = self.output(now, packet);
                }
                ToRouter::Refuse(packet, why) => self.refuse_outward(now, &packet, why),
            }
        }
    }

    fn refuse_outward(&mut self, now: Instant, packet: &Packet, why: Refusal) {
        let ident = self.next_ident();
        let reason = match why {
            Refusal::Refused if packet.protocol() == IpProtocol::Tcp => {
                if let Some(reset) = icmp::reset(packet, ident) {
                    let _ = self.output(now, reset);
                }
                return;
            }
            Refusal::Refused => Reason::PortUnreachable,
            Refusal::Unreachable => Reason::HostUnreachable,
            Refusal::Prohibited => Reason::Prohibited,
        };
        let source = packet.source();
        let mut interfaces = self.interfaces.values();
        let interface = interfaces.find(|interface| interface.network.cidr.contains_addr(&source));
        let own = interface.map(super::Interface::address);
        if let Some(error) = own.and_then(|own| icmp::error(own, packet, reason, ident)) {
            let _ = self.output(now, error);
        }
    }
}
