//! The ports that VMs are attached to, each with a cable of two directions.

use serde::{Deserialize, Serialize};
use smoltcp::time::Instant;
use smoltcp::wire::EthernetAddress;

use super::{Effect, Fabric, FabricError, MAX_PORTS};
use crate::config::{NetworkId, is_label};
use crate::link::{Impairments, Link, LinkStats};
use crate::mac::mac_address;
use crate::switch::{Monitor, PortConfig, PortId, VlanMode};

/// A direction on a VM's cable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Way {
    /// From the VM to the switch.
    FromVm,
    /// From the switch to the VM.
    ToVm,
}

/// An interface of a VM's that is attached to a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attachment {
    /// What names the VM; its interfaces' addresses follow from it.
    pub vm_id: String,
    /// Which of the VM's interfaces this is, from 0.
    pub interface: u32,
    /// The VM's name, by which others find it.
    pub name: String,
    /// The network.
    pub network: NetworkId,
    /// The interface's address, if it is not the one that follows from the VM.
    pub mac: Option<EthernetAddress>,
    /// The VLANs that it belongs to.
    pub vlan: VlanMode,
    /// Whether it may have no other address than its own, and pretend to be nobody else. Switches and routers that run in a VM
    /// need a port that is not guarded.
    pub guarded: bool,
    /// Whether the VM takes frames on which something is left to be done.
    pub takes_offloads: bool,
    /// Makes it one that gets copies of others' frames, and no more.
    pub monitor: Option<Monitor>,
}

impl Attachment {
    /// The first interface of a VM in a network, guarded.
    pub fn new(vm_id: &str, name: &str, network: &NetworkId) -> Self {
        Self {
            vm_id: vm_id.to_owned(),
            interface: 0,
            name: name.to_owned(),
            network: network.clone(),
            mac: None,
            vlan: VlanMode::default(),
            guarded: true,
            takes_offloads: false,
            monitor: None,
        }
    }
}

/// A port.
pub(super) struct Port {
    pub(super) vm_id: String,
    pub(super) interface: u32,
    pub(super) name: String,
    /// None, if its network was taken away.
    pub(super) network: Option<NetworkId>,
    pub(super) mac: EthernetAddress,
    pub(super) config: PortConfig,
    pub(super) is_guarded: bool,
    pub(super) takes_offloads: bool,
    pub(super) from_vm: Link,
    pub(super) to_vm: Link,
    /// Frames that pretended to be somebody else's.
    pub(super) pretended: u64,
}

impl Port {
    pub(super) fn link(&mut self, way: Way) -> &mut Link {
        match way {
            Way::FromVm => &mut self.from_vm,
            Way::ToVm => &mut self.to_vm,
        }
    }

    pub(super) fn is_up(&self) -> bool {
        self.from_vm.is_up()
    }
}

impl Fabric {
    /// Attaches an interface of a VM's to a network.
    pub fn attach(&mut self, now: Instant, attachment: Attachment) -> Result<PortId, FabricError> {
        self.advance(now);
        let derived = || mac_address(&attachment.vm_id, attachment.interface);
        let mac = attachment.mac.unwrap_or_else(derived);
        self.check_place(&attachment.network, mac, None)?;
        if self.ports.len() >= MAX_PORTS {
            return Err(FabricError::TooMany {
                what: "ports",
                most: MAX_PORTS,
            });
        }
        self.next_port += 1;
        let id = PortId(self.next_port);
        let config = PortConfig {
            vlan: attachment.vlan,
            source: attachment.guarded.then_some(mac),
            monitor: attachment.monitor,
        };
        let port = Port {
            vm_id: attachment.vm_id,
            interface: attachment.interface,
            name: host_name(&attachment.name),
            network: Some(attachment.network),
            mac,
            config,
            is_guarded: attachment.guarded,
            takes_offloads: attachment.takes_offloads,
            from_vm: Link::new(0),
            to_vm: Link::new(0),
            pretended: 0,
        };
        self.ports.insert(id, port);
        self.plug(id);
        Ok(id)
    }

    /// Takes an interface away.
    pub fn detach(&mut self, now: Instant, id: PortId) -> Result<(), FabricError> {
        self.advance(now);
        self.unplug(id)?;
        self.ports.remove(&id);
        self.tapped.remove(&id);
        Ok(())
    }

    /// Plugs an interface's cable into another network. The VM sees it pulled and plugged in, and asks for an address anew.
    pub fn move_port(&mut self, now: Instant, id: PortId, network: &NetworkId) -> Result<(), FabricError> {
        self.advance(now);
        let port = self.ports.get(&id).ok_or(FabricError::NoPort { port: id })?;
        self.check_place(network, port.mac, Some(id))?;
        self.unplug(id)?;
        if let Some(port) = self.ports.get_mut(&id) {
            port.network = Some(network.clone());
            let is_up = port.is_up();
            let links = [false, true].map(|up| Effect::Link { port: id, up });
            self.out.extend(links.into_iter().filter(|_| is_up));
        }
        self.plug(id);
        Ok(())
    }

    /// Plugs a VM's cable in or pulls it.
    pub fn set_link(&mut self, now: Instant, id: PortId, up: bool) -> Result<(), FabricError> {
        self.advance(now);
        let port = self.ports.get_mut(&id).ok_or(FabricError::NoPort { port: id })?;
        if port.is_up() == up {
            return Ok(());
        }
        port.from_vm.set_up(up);
        port.to_vm.set_up(up);
        if let Some(id_of) = &port.network
            && let Some(network) = self.networks.get_mut(id_of)
            && !up
        {
            network.switch.forget(id);
        }
        if port.network.is_some() {
            self.out.push_back(Effect::Link { port: id, up });
        }
        Ok(())
    }

    /// Changes what is wrong with a VM's cable in one direction.
    pub fn set_impairments(
        &mut self,
        now: Instant,
        id: PortId,
        way: Way,
        impairments: Impairments,
    ) -> Result<(), FabricError> {
        self.advance(now);
        let seed = self.seed ^ u64::from(id.0) << 1 ^ u64::from(way == Way::ToVm);
        let port = self.ports.get_mut(&id).ok_or(FabricError::NoPort { port: id })?;
        port.link(way).set_impairments(impairments, seed)?;
        Ok(())
    }

    /// What is wrong with a VM's cable in one direction.
    pub fn impairments(&self, id: PortId, way: Way) -> Option<&Impairments> {
        self.ports.get(&id).map(|port| match way {
            Way::FromVm => port.from_vm.impairments(),
            Way::ToVm => port.to_vm.impairments(),
        })
    }

    /// What became of the frames on a VM's cable in one direction.
    pub fn link_stats(&self, id: PortId, way: Way) -> Option<LinkStats> {
        self.ports.get(&id).map(|port| match way {
            Way::FromVm => port.from_vm.stats(),
            Way::ToVm => port.to_vm.stats(),
        })
    }

    /// Begins or ends telling of all frames at a port, as [`Effect::Captured`].
    pub fn tap(&mut self, id: PortId, tapped: bool) -> Result<(), FabricError> {
        if !self.ports.contains_key(&id) {
            return Err(FabricError::NoPort { port: id });
        }
        if tapped {
            self.tapped.insert(id);
        } else {
            self.tapped.remove(&id);
        }
        Ok(())
    }

    /// Changes the VLANs of a port.
    pub fn set_vlan(&mut self, now: Instant, id: PortId, vlan: VlanMode) -> Result<(), FabricError> {
        self.advance(now);
        let port = self.ports.get_mut(&id).ok_or(FabricError::NoPort { port: id })?;
        port.config.vlan = vlan;
        self.plug(id);
        Ok(())
    }

    /// The address of an interface.
    pub fn mac(&self, id: PortId) -> Option<EthernetAddress> {
        self.ports.get(&id).map(|port| port.mac)
    }

    fn check_place(
        &self,
        network: &NetworkId,
        mac: EthernetAddress,
        own: Option<PortId>,
    ) -> Result<(), FabricError> {
        if !self.networks.contains_key(network) {
            return Err(FabricError::NoNetwork {
                network: network.clone(),
            });
        }
        if !mac.is_unicast() {
            return Err(FabricError::NoAddress { mac: mac.to_string() });
        }
        let of_router = self
            .router
            .interface(network)
            .is_some_and(|interface| interface.mac == mac);
        let mut others = self.ports.iter().filter(|(id, port)| {
            Some(**id) != own && port.network.as_ref() == Some(network) && port.mac == mac
        });
        let taken = |vm: &str| FabricError::TakenAddress {
            network: network.clone(),
            mac: mac.to_string(),
            vm: vm.to_owned(),
        };
        match others.next() {
            Some((_, other)) => Err(taken(&other.vm_id)),
            None if of_router => Err(taken("router")),
            None => Ok(()),
        }
    }

    /// Makes a port one of its network's switch.
    fn plug(&mut self, id: PortId) {
        let Some(port) = self.ports.get(&id) else { return };
        let Some(network) = &port.network else { return };
        if let Some(network) = self.networks.get_mut(network) {
            network.switch.set_port(id, port.config.clone());
        }
        if port.config.monitor.is_none() {
            self.router.set_host(network, port.mac, &port.name);
        }
    }

    fn unplug(&mut self, id: PortId) -> Result<(), FabricError> {
        let port = self.ports.get(&id).ok_or(FabricError::NoPort { port: id })?;
        if let Some(network) = &port.network {
            self.router.remove_host(network, port.mac);
            if let Some(network) = self.networks.get_mut(network) {
                network.switch.remove_port(id);
            }
        }
        Ok(())
    }

    /// Tells the router of all VMs in a network.
    pub(super) fn name_hosts(&mut self, network: &NetworkId) {
        for port in self.ports.values() {
            if port.network.as_ref() == Some(network) && port.config.monitor.is_none() {
                self.router.set_host(network, port.mac, &port.name);
            }
        }
    }
}

/// A VM's name as one that hosts can have: “My VM” is `my-vm`.
fn host_name(name: &str) -> String {
    let fit = |c: char| {
        if c.is_ascii_alphanumeric() {
            c.to_ascii_lowercase()
        } else {
            '-'
        }
    };
    let text: String = name.chars().take(63).map(fit).collect();
    let label = text.trim_matches('-').to_owned();
    if is_label(&label) { label } else { "vm".to_owned() }
}
