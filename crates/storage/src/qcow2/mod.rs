//! qcow2, QEMU's image format: a reader of all that QEMU's own tools make, and a writer of version 3. Facts: QEMU's
//! `docs/interop/qcow2.rst`, and what `block/qcow2.c` refuses.
//!
//! | what | module |
//! |---|---|
//! | what a header says, and what is refused | [`header`] |
//! | what a table's entry says | `entry` |
//! | an image as a disk | [`reader`] |
//! | an image and those that it lies over | [`chain`] |
//! | a disk as an image | [`writer`], `refcounts` |
//!
//! The reader follows header, L1 and L2 tables, data: never back, so that no image makes it run in circles. Reference counts
//! are for those who write, and are not read. Of every offset it is checked that it lies in the file before anything is read
//! there, and no memory is taken by what the file says but for a cluster, which has at most 2 MiB.

pub mod chain;
mod entry;
pub mod header;
pub mod reader;
mod refcounts;
#[cfg(test)]
mod tests;
pub mod writer;

/// Bits of an entry that are an offset, of L1 and L2 tables alike.
const OFFSET: u64 = 0x00ff_ffff_ffff_fe00;
/// Nothing but this entry refers to the cluster.
const COPIED: u64 = 1 << 63;
/// The cluster is compressed.
const COMPRESSED: u64 = 1 << 62;
/// The cluster reads as zeroes, whatever is there; since version 3, and not with subclusters.
const ZERO: u64 = 1;

/// Why a qcow2 image cannot be read. Each says what to do next in [`Qcow2Error::next_step`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Qcow2Error {
    /// Something else than a qcow2 image.
    #[error("expected a qcow2 image of version 2 or 3, found {found}")]
    NotQcow2 {
        /// What is there.
        found: String,
    },
    /// What the image says of itself cannot be, or lies beyond its end.
    #[error("at byte {at}: expected {expected}, found {found}")]
    Malformed {
        /// Where in the file.
        at: u64,
        /// What should be there.
        expected: String,
        /// What is.
        found: String,
    },
    /// A compressed cluster does not unpack.
    #[error("the compressed cluster at byte {at} is damaged: {reason}")]
    Damaged {
        /// Where in the file.
        at: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// The image is encrypted.
    #[error("the image is encrypted ({method})")]
    Encrypted {
        /// How.
        method: String,
    },
    /// The image's data is in another file.
    #[error("the image's data is in another file, {name}")]
    ExternalData {
        /// The file.
        name: String,
    },
    /// The image has features that a reader has to know, and that are not known here.
    #[error("the image has features that QemuWeb does not know: {names}")]
    Features {
        /// What the image calls them, or their bits.
        names: String,
    },
    /// The image's clusters are compressed in a way that is not known here.
    #[error("the image's clusters are compressed in a way that QemuWeb does not know (number {number})")]
    Compression {
        /// The number.
        number: u8,
    },
    /// What the image lies over was not given.
    #[error("the image lies over {name}, which is not there")]
    NoBacking {
        /// The file.
        name: String,
    },
    /// What the image lies over has a format that is not known here.
    #[error("the image lies over {name}, whose format is {format}: expected raw or qcow2")]
    BackingFormat {
        /// The file.
        name: String,
        /// Its format.
        format: String,
    },
    /// Too many images lie over each other.
    #[error("expected at most {most} images over each other, found one more, {name}")]
    TooDeep {
        /// How many there may be.
        most: usize,
        /// The file that would be the next.
        name: String,
    },
}

impl Qcow2Error {
    /// What a person can do about it.
    pub fn next_step(&self) -> &'static str {
        match self {
            Self::NotQcow2 { .. } => "Choose the image again, or attach it as a raw image.",
            Self::Malformed { .. } | Self::Damaged { .. } => {
                "Get the image again, or check it with qemu-img check."
            }
            Self::Encrypted { .. } => "Decrypt it with qemu-img convert.",
            Self::ExternalData { .. } => "Put both into one file with qemu-img convert -O qcow2.",
            Self::Features { .. } => "Convert it with qemu-img convert -O qcow2.",
            Self::Compression { .. } => "Convert it with qemu-img convert -O qcow2 -o compression_type=zlib.",
            Self::NoBacking { .. } => "Choose that file as well, or put both into one with qemu-img convert.",
            Self::BackingFormat { .. } => {
                "Convert that file with qemu-img convert -O qcow2, and rebase the image."
            }
            Self::TooDeep { .. } => "Put them into one file with qemu-img convert -O qcow2.",
        }
    }

    fn malformed(at: u64, expected: impl Into<String>, found: impl Into<String>) -> Self {
        Self::Malformed {
            at,
            expected: expected.into(),
            found: found.into(),
        }
    }
}
