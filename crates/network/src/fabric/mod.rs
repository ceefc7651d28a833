//! All virtual networks: switches, the cables of VMs to them, and the router between.
//!
//! A [`Fabric`] is driven like the rest of the house: what happens is told by calls that carry the time, what is to be done is
//! taken by [`Fabric::next`], and [`Fabric::poll`] has to be called when [`Fabric::poll_at`] says. It has no clock and no
//! chance of its own: the same calls with the same seed give the same effects.

mod error;
mod guard;
mod ports;
mod state;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use smoltcp::time::{Duration, Instant};

use crate::config::{NetworkConfig, NetworkId, RouterConfig, overlap};
use crate::dns::{ResolveId, Resolved};
use crate::frame::Frame;
use crate::gateway::{FromOutside, OutsideId, ToOutside};
use crate::log::{Event, LogEntry};
use crate::offload;
use crate::router::{Out, Router};
use crate::switch::{Leaving, PortConfig, PortId, Switch, SwitchLimits};
pub use error::FabricError;
use ports::Port;
pub use ports::{Attachment, Way};
pub use state::{FlowInfo, NetworkState, RouterInterface, VirtualInterface, VirtualNetwork, VirtualRouter};

/// Most networks, and most ports of VMs.
const MAX_NETWORKS: usize = 256;
const MAX_PORTS: usize = 1024;
/// The router's port in every switch.
const ROUTER: PortId = PortId(0);

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Give a frame to a VM.
    Frame {
        /// Its port.
        port: PortId,
        /// The frame.
        frame: Frame,
    },
    /// Tell a VM that its cable was plugged in or pulled.
    Link {
        /// Its port.
        port: PortId,
        /// Whether it is plugged in.
        up: bool,
    },
    /// A frame passed a port that is tapped.
    Captured {
        /// The port.
        port: PortId,
        /// In which direction.
        way: Way,
        /// When.
        at: Instant,
        /// The frame.
        frame: Frame,
    },
    /// Do something outside.
    Outside(ToOutside),
    /// Ask the upstream name server; its answer is [`Fabric::resolved`].
    Resolve {
        /// Names the query.
        id: ResolveId,
        /// Whose it is.
        network: NetworkId,
        /// The message (RFC 1035).
        query: Vec<u8>,
    },
}

struct Network {
    config: NetworkConfig,
    switch: Switch,
}

/// All virtual networks. See the module's documentation.
pub struct Fabric {
    now: Instant,
    seed: u64,
    networks: BTreeMap<NetworkId, Network>,
    ports: BTreeMap<PortId, Port>,
    tapped: BTreeSet<PortId>,
    router: Router,
    /// When a frame comes out of a cable, or earlier.
    links_due: Option<Instant>,
    next_port: u32,
    out: VecDeque<Effect>,
    /// Room for what leaves a switch.
    leaving: Vec<Leaving>,
}

impl Fabric {
    /// A fabric without networks. All chance in it comes from the seed.
    pub fn new(seed: u64) -> Self {
        Self {
            now: Instant::ZERO,
            seed,
            networks: BTreeMap::new(),
            ports: BTreeMap::new(),
            tapped: BTreeSet::new(),
            router: Router::new(seed),
            links_due: None,
            next_port: ROUTER.0,
            out: VecDeque::new(),
            leaving: Vec::new(),
        }
    }

    /// The next of what is to be done, in order.
    #[expect(clippy::should_implement_trait, reason = "it does not end for good")]
    pub fn next(&mut self) -> Option<Effect> {
        self.out.pop_front()
    }

    /// A clock that goes back would undo what has happened.
    fn advance(&mut self, now: Instant) -> Instant {
        self.now = self.now.max(now);
        self.now
    }

    /// Adds a network, or changes the one of this name. VMs stay attached.
    pub fn set_network(&mut self, now: Instant, config: NetworkConfig) -> Result<(), FabricError> {
        let now = self.advance(now);
        config.check()?;
        if config.kind.has_router() {
            let mut others = self.networks.values().map(|network| &network.config);
            let other = others.find(|other| {
                other.id != config.id && other.kind.has_router() && overlap(other.cidr, config.cidr)
            });
            if let Some(other) = other {
                return Err(FabricError::Overlap {
                    network: config.id,
                    cidr: config.cidr.to_string(),
                    other: other.id.clone(),
                    other_cidr: other.cidr.to_string(),
                });
            }
        }
        if !self.networks.contains_key(&config.id) && self.networks.len() >= MAX_NETWORKS {
            return Err(FabricError::TooMany {
                what: "networks",
                most: MAX_NETWORKS,
            });
        }
        let id = config.id.clone();
        let network = self.networks.entry(id.clone()).or_insert_with(|| Network {
            config: config.clone(),
            switch: Switch::new(SwitchLimits::default()),
        });
        network.config = config.clone();
        if config.kind.has_router() {
            self.router.set_network(now, config);
            network.switch.set_port(ROUTER, PortConfig::default());
            if let Some(interface) = self.router.interface(&id) {
                network.switch.pin(interface.mac, ROUTER);
            }
            self.name_hosts(&id);
        } else {
            network.switch.remove_port(ROUTER);
            self.router.remove_network(now, &id);
        }
        self.settle(now);
        Ok(())
    }

    /// Takes a network away. Cables of VMs in it are pulled.
    pub fn remove_network(&mut self, now: Instant, id: &NetworkId) -> Result<(), FabricError> {
        let now = self.advance(now);
        if self.networks.remove(id).is_none() {
            return Err(FabricError::NoNetwork { network: id.clone() });
        }
        self.router.remove_network(now, id);
        for (port, state) in &mut self.ports {
            if state.network.as_ref() == Some(id) {
                state.network = None;
                let effect = Effect::Link {
                    port: *port,
                    up: false,
                };
                self.out.extend(state.is_up().then_some(effect));
            }
        }
        self.settle(now);
        Ok(())
    }

    /// Changes routes, address translation and the firewall.
    pub fn set_router(&mut self, now: Instant, config: RouterConfig) -> Result<(), FabricError> {
        let now = self.advance(now);
        config.check()?;
        self.router.configure(now, config);
        self.settle(now);
        Ok(())
    }

    /// Takes a frame from a VM.
    pub fn receive(&mut self, now: Instant, port: PortId, frame: Frame) {
        let now = self.advance(now);
        if self.links_due.is_some_and(|at| at <= now) {
            self.poll(now);
        }
        let Some(state) = self.ports.get_mut(&port) else {
            return;
        };
        if self.tapped.contains(&port) {
            let (way, frame) = (Way::FromVm, frame.clone());
            self.out.push_back(Effect::Captured {
                port,
                way,
                at: now,
                frame,
            });
        }
        let passed = state.from_vm.send(now, frame);
        self.links_due = earliest(self.links_due, state.from_vm.poll_at());
        if let Some(frame) = passed {
            self.enter(now, port, frame);
        }
    }

    /// Does what time has brought.
    pub fn poll(&mut self, now: Instant) {
        let now = self.advance(now);
        // In the order of time, so that being called late changes nothing but that.
        while let Some((at, port, way)) = self.next_due().filter(|(at, ..)| *at <= now) {
            self.poll_router(at);
            let Some(state) = self.ports.get_mut(&port) else {
                break;
            };
            let link = state.link(way);
            match (link.receive(at), way) {
                (Some(frame), Way::FromVm) => self.enter(at, port, frame),
                (Some(frame), Way::ToVm) => self.arrive(at, port, frame),
                (None, _) => break,
            }
        }
        self.links_due = self.next_due().map(|(at, ..)| at);
        self.poll_router(now);
    }

    fn poll_router(&mut self, now: Instant) {
        if self.router.poll_at().is_some_and(|at| at <= now) {
            self.router.poll(now);
            self.settle(now);
        }
    }

    /// The next frame that comes out of a cable.
    fn next_due(&self) -> Option<(Instant, PortId, Way)> {
        let due = self.ports.iter().flat_map(|(id, port)| {
            let of = |way, at: Option<Instant>| at.map(|at| (at, *id, way));
            let (from, to) = (port.from_vm.poll_at(), port.to_vm.poll_at());
            of(Way::FromVm, from).into_iter().chain(of(Way::ToVm, to))
        });
        due.min_by_key(|(at, ..)| *at)
    }

    /// When [`Self::poll`] is to be called at the latest.
    pub fn poll_at(&self) -> Option<Instant> {
        let links = self.next_due().map(|(at, ..)| at);
        // What the router could not do by now is not tried again at once.
        let router = self
            .router
            .poll_at()
            .map(|at| at.max(self.now + Duration::from_micros(1)));
        links.into_iter().chain(router).min()
    }

    /// A frame reaches the switch.
    fn enter(&mut self, now: Instant, port: PortId, frame: Frame) {
        let Some(state) = self.ports.get(&port) else {
            return;
        };
        let Some(id) = state.network.clone() else { return };
        if state.is_guarded && self.is_pretence(now, port, &frame) {
            return;
        }
        let mut leaving = std::mem::take(&mut self.leaving);
        if let Some(network) = self.networks.get_mut(&id) {
            network.switch.receive(now, port, frame, &mut leaving);
        }
        self.leave(now, &id, &mut leaving);
        self.leaving = leaving;
        self.settle(now);
    }

    /// Frames leave a switch.
    fn leave(&mut self, now: Instant, id: &NetworkId, leaving: &mut Vec<Leaving>) {
        for (port, frame) in leaving.drain(..) {
            if port == ROUTER {
                self.router.receive(now, id, &frame);
            } else if let Some(state) = self.ports.get_mut(&port) {
                let passed = state.to_vm.send(now, frame);
                self.links_due = earliest(self.links_due, state.to_vm.poll_at());
                if let Some(frame) = passed {
                    self.arrive(now, port, frame);
                }
            }
        }
    }

    /// A frame reaches a VM.
    fn arrive(&mut self, now: Instant, port: PortId, frame: Frame) {
        let Some(state) = self.ports.get(&port) else {
            return;
        };
        let frames = if state.takes_offloads {
            vec![frame]
        } else {
            offload::resolve(&frame)
        };
        for frame in frames {
            if self.tapped.contains(&port) {
                let (way, frame) = (Way::ToVm, frame.clone());
                self.out.push_back(Effect::Captured {
                    port,
                    way,
                    at: now,
                    frame,
                });
            }
            self.out.push_back(Effect::Frame { port, frame });
        }
    }

    /// Does what the router wants.
    fn settle(&mut self, now: Instant) {
        while let Some(wanted) = self.router.next() {
            match wanted {
                Out::Outside(told) => self.out.push_back(Effect::Outside(told)),
                Out::Resolve(id, network, query) => {
                    self.out.push_back(Effect::Resolve { id, network, query })
                }
                Out::Frame(id, frame) => {
                    let mut leaving = Vec::new();
                    if let Some(network) = self.networks.get_mut(&id) {
                        network.switch.receive(now, ROUTER, frame, &mut leaving);
                    }
                    self.leave(now, &id, &mut leaving);
                }
            }
        }
    }

    /// Whether a frame pretends what it may not, which is logged.
    fn is_pretence(&mut self, now: Instant, port: PortId, frame: &Frame) -> bool {
        let Some((id, mac)) = self
            .ports
            .get(&port)
            .and_then(|port| Some((port.network.clone()?, port.mac)))
        else {
            return false;
        };
        let Some(config) = self.networks.get(&id).map(|network| &network.config) else {
            return false;
        };
        let router = &self.router;
        let guarded = guard::Guarded {
            mac,
            has_dhcp: config.dhcp.is_some(),
            has_ipv6: config.ipv6 && config.kind.has_router(),
            is_anothers: &|address| router.is_anothers(now, &id, address, mac),
        };
        let Some(pretended) = guard::pretence(frame, &guarded) else {
            return false;
        };
        if let Some(port) = self.ports.get_mut(&port) {
            port.pretended += 1;
        }
        self.router.log.add(now, &id, Event::Spoofed { mac, pretended });
        true
    }

    /// Takes what has happened outside.
    pub fn outside(&mut self, now: Instant, said: FromOutside) {
        let now = self.advance(now);
        self.router.outside(now, said);
        self.settle(now);
    }

    /// Takes what the upstream name server says.
    pub fn resolved(&mut self, now: Instant, id: ResolveId, said: Resolved) {
        let now = self.advance(now);
        self.router.resolved(now, id, said);
        self.settle(now);
    }

    /// Connects to a TCP port of a host in a network. What becomes of it comes as [`ToOutside::Opened`] or
    /// [`ToOutside::Close`]; `window` bytes are taken before [`FromOutside::Consumed`] allows more.
    pub fn dial(
        &mut self,
        now: Instant,
        network: &NetworkId,
        address: std::net::Ipv4Addr,
        port: u16,
        window: u32,
    ) -> Result<OutsideId, FabricError> {
        let now = self.advance(now);
        let id = self.router.dial(now, network, address, port, window);
        self.settle(now);
        id.ok_or_else(|| FabricError::NoWay {
            network: network.clone(),
            address,
            port,
        })
    }

    /// What was logged after the entry of this number, the oldest first.
    pub fn log(&self, after: u64) -> impl Iterator<Item = &LogEntry> {
        self.router.log.after(after)
    }

    /// How many entries there ever were, those among them that were left out because there were too many.
    pub fn logged(&self) -> u64 {
        self.router.log.numbered()
    }
}

fn earliest(a: Option<Instant>, b: Option<Instant>) -> Option<Instant> {
    a.into_iter().chain(b).min()
}
