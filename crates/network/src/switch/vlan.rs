//! VLANs: which one a frame belongs to, and how it leaves (IEEE 802.1Q-2022, 6.9 and 8.6).

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::frame::{Frame, HEADER, Header, TAG, VLAN};

/// A VLAN's identifier, 1 to 4094.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u16", into = "u16")]
pub struct VlanId(u16);

impl VlanId {
    /// The VLAN of ports that were not told any.
    pub const DEFAULT: Self = Self(1);

    /// The VLAN of this number, if it is one.
    pub fn new(vid: u16) -> Option<Self> {
        (1..=4094).contains(&vid).then_some(Self(vid))
    }
}

impl TryFrom<u16> for VlanId {
    type Error = String;

    fn try_from(vid: u16) -> Result<Self, String> {
        Self::new(vid).ok_or_else(|| format!("expected a VLAN from 1 to 4094, found {vid}"))
    }
}

impl From<VlanId> for u16 {
    fn from(vlan: VlanId) -> Self {
        vlan.0
    }
}

impl fmt::Display for VlanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The VLANs that a port belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "mode")]
pub enum VlanMode {
    /// A host that knows of no VLANs, in one of them. It neither sends nor gets tags.
    Access {
        /// That one.
        vlan: VlanId,
    },
    /// Another switch or a router: frames have tags.
    Trunk {
        /// The VLAN of frames without a tag; without one they are dropped.
        native: Option<VlanId>,
        /// Those whose frames have tags; all, if none are given.
        allowed: Option<BTreeSet<VlanId>>,
    },
}

impl Default for VlanMode {
    fn default() -> Self {
        Self::Access {
            vlan: VlanId::DEFAULT,
        }
    }
}

impl VlanMode {
    /// The VLAN of a frame that comes in, if that is one of this port's.
    pub(super) fn enter(&self, header: &Header) -> Option<VlanId> {
        // A tag with the identifier 0 tells a priority only.
        let tagged = header.tag.filter(|tag| tag.vid != 0);
        match self {
            Self::Access { vlan } => tagged.is_none().then_some(*vlan),
            Self::Trunk { native, .. } => match tagged {
                None => *native,
                Some(tag) => VlanId::new(tag.vid).filter(|vlan| self.carries(*vlan)),
            },
        }
    }

    /// Whether frames of this VLAN leave by this port.
    pub(super) fn carries(&self, vlan: VlanId) -> bool {
        match self {
            Self::Access { vlan: own } => *own == vlan,
            Self::Trunk { native, allowed } => {
                *native == Some(vlan) || allowed.as_ref().is_none_or(|allowed| allowed.contains(&vlan))
            }
        }
    }

    /// The frame as it leaves by this port, in a VLAN that it carries. `None` if it cannot: without its tag, a frame that has
    /// two would be one of another VLAN.
    pub(super) fn leave(&self, vlan: VlanId, header: &Header, frame: &Frame) -> Option<Frame> {
        let is_tagged = match self {
            Self::Access { .. } => false,
            Self::Trunk { native, .. } => *native != Some(vlan),
        };
        let bytes = frame.bytes();
        if !is_tagged && header.ethertype == VLAN {
            return None;
        }
        let offload = frame.offload();
        match (header.tag, is_tagged) {
            (None, false) => Some(frame.clone()),
            (Some(tag), true) if tag.vid == vlan.0 => Some(frame.clone()),
            (Some(tag), true) => {
                let mut bytes = bytes.to_vec();
                bytes[HEADER..HEADER + 2].copy_from_slice(&(tag.priority | vlan.0).to_be_bytes());
                Some(Frame::with_offload(bytes, offload))
            }
            (None, true) => {
                let mut tagged = Vec::with_capacity(bytes.len() + TAG);
                tagged.extend_from_slice(&bytes[..HEADER - 2]);
                tagged.extend_from_slice(&VLAN.to_be_bytes());
                tagged.extend_from_slice(&vlan.0.to_be_bytes());
                tagged.extend_from_slice(&bytes[HEADER - 2..]);
                Some(Frame::with_offload(tagged, offload.moved(TAG as i16)))
            }
            (Some(_), false) => {
                let mut plain = Vec::with_capacity(bytes.len() - TAG);
                plain.extend_from_slice(&bytes[..HEADER - 2]);
                plain.extend_from_slice(&bytes[HEADER - 2 + TAG..]);
                Some(Frame::with_offload(plain, offload.moved(-(TAG as i16))))
            }
        }
    }
}
