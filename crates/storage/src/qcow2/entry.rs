//! What an entry of an L2 table says.

use super::header::Header;
use super::{COMPRESSED, OFFSET, Qcow2Error, ZERO};

/// Subclusters of a cluster.
const SUBCLUSTERS: u64 = 32;

/// Where a part of a disk is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// In the image's file, from this offset on.
    Host(u64),
    /// Nowhere: it is zero.
    Zero,
    /// In what the image lies over.
    Beneath,
    /// In a cluster whose compressed bytes are no more than these, from this offset on.
    Compressed { at: u64, length: u64 },
}

/// An entry of an L2 table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    /// Where it is in the file, for errors.
    pub(super) at: u64,
    pub(super) cluster: u64,
    /// A bit for each subcluster that is in the file, and above them one for each that is zero. Nothing without subclusters.
    pub(super) subclusters: u64,
}

impl Entry {
    /// Where the part is that begins `within` bytes into the cluster, and how many bytes are there in a row.
    pub(super) fn locate(&self, header: &Header, within: u64) -> Result<(Place, u64), Qcow2Error> {
        let rest = header.cluster() - within;
        if self.cluster & COMPRESSED != 0 {
            return Ok((self.compressed(header), rest));
        }
        let host = self.cluster & OFFSET;
        if !host.is_multiple_of(header.cluster()) {
            return Err(self.wrong("a cluster that begins at a multiple of its size", host));
        }
        if header.extended_l2 {
            return self.subcluster(header, host, within);
        }
        let zero = self.cluster & ZERO != 0;
        if zero && header.version == 2 {
            return Err(self.wrong("no cluster of zeroes in version 2", self.cluster));
        }
        let place = match host {
            _ if zero => Place::Zero,
            0 => Place::Beneath,
            host => Place::Host(host + within),
        };
        Ok((place, rest))
    }

    fn compressed(&self, header: &Header) -> Place {
        let bits = 62 - (header.cluster_bits - 8);
        let at = self.cluster & ((1 << bits) - 1);
        let sectors = ((self.cluster & (COMPRESSED - 1)) >> bits) + 1;
        Place::Compressed {
            at,
            length: sectors * 512 - at % 512,
        }
    }

    fn subcluster(&self, header: &Header, host: u64, within: u64) -> Result<(Place, u64), Qcow2Error> {
        let size = header.cluster() / SUBCLUSTERS;
        let (there, zero) = (self.subclusters as u32, (self.subclusters >> 32) as u32);
        if there & zero != 0 || (host == 0 && there != 0) {
            return Err(self.wrong("subclusters that are there or zero", self.subclusters));
        }
        let first = within / size;
        let kind = |number: u64| (there >> number & 1, zero >> number & 1);
        let end = (first..SUBCLUSTERS).find(|&number| kind(number) != kind(first));
        let place = match kind(first) {
            (1, _) => Place::Host(host + within),
            (_, 1) => Place::Zero,
            _ => Place::Beneath,
        };
        Ok((place, end.unwrap_or(SUBCLUSTERS) * size - within))
    }

    fn wrong(&self, expected: &str, found: u64) -> Qcow2Error {
        Qcow2Error::malformed(self.at, expected, format!("{found:#x}"))
    }
}
