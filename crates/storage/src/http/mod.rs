//! An image on a web server, read by range requests (RFC 9110, section 14).
//!
//! The image is pinned when it is opened: its size and its ETag, or its time of change where there is no ETag. A server that
//! later answers for another image is an error and never corruption. What may pass, like a busy server or a network that is
//! away, is tried again for about a quarter of a minute; what cannot, like a server without ranges, is named at once.

mod reply;

use async_trait::async_trait;

use crate::device::{BlockError, SharedRuntime};
use crate::image::{ImageBlockDevice, Policy, Source};
use reply::{Judged, Pin, judge};
pub use reply::{RemoteError, Reply};

/// Asks a server for ranges.
#[async_trait(?Send)]
pub trait Ranges {
    /// Asks for the bytes from `start` up to and without `end`, unpacked in no way. The body is read if the status is 206
    /// only, and of it no more than was asked for and one byte. A body that ends early is returned as far as it came.
    ///
    /// # Errors
    /// What the network says when there is no reply at all.
    async fn fetch(&self, start: u64, end: u64) -> Result<Reply, String>;
}

/// Guests read what they need next by themselves: no more than they ask for, rounded up to their own pages, but for those that
/// read on and on. Six requests are what browsers do at the same time over HTTP/1.1.
const POLICY: Policy = Policy {
    page: 4096,
    longest: 1 << 20,
    ahead: 2 << 20,
    spare: 256 << 10,
    spare_share: 8,
    kept: 32 << 20,
    in_flight: 6,
};
/// How long to wait before each further try, in milliseconds.
const PAUSES: [u32; 6] = [250, 500, 1_000, 2_000, 4_000, 8_000];
/// Longest pause that a server may ask for, in milliseconds: guests give up after 30 s.
const LONGEST_PAUSE: u32 = 10_000;
/// Bytes that are fetched to find out what the server can do: a boot needs them anyway.
const FIRST: u64 = 64 << 10;

/// A read-only disk that is an image on a web server.
pub type HttpBlockDevice<R> = ImageBlockDevice<HttpSource<R>>;

/// An image on a web server.
pub struct HttpSource<R> {
    url: String,
    ranges: R,
    pin: Pin,
    runtime: SharedRuntime,
}

impl<R: Ranges + 'static> HttpBlockDevice<R> {
    /// Opens the image at `url`, by fetching its first bytes.
    ///
    /// # Errors
    /// [`BlockError::Remote`] when it cannot be used as a disk.
    pub async fn open(url: impl Into<String>, ranges: R, runtime: SharedRuntime) -> Result<Self, BlockError> {
        let url = url.into();
        let (pin, first) = fetch(&url, &ranges, &runtime, None, 0, FIRST).await?;
        let (size, identity) = (pin.size, format!("{url}: {pin}"));
        let source = HttpSource {
            url: url.clone(),
            ranges,
            pin,
            runtime: runtime.clone(),
        };
        let device = Self::new(url, identity, size, source, POLICY, runtime);
        device.keep(&first);
        Ok(device)
    }
}

#[async_trait(?Send)]
impl<R: Ranges> Source for HttpSource<R> {
    async fn fetch(&self, offset: u64, length: usize) -> Result<Vec<u8>, BlockError> {
        let (mut bytes, end) = (Vec::new(), offset + length as u64);
        while bytes.len() < length {
            let start = offset + bytes.len() as u64;
            let (_, more) = fetch(
                &self.url,
                &self.ranges,
                &self.runtime,
                Some(&self.pin),
                start,
                end,
            )
            .await?;
            // A server may give fewer bytes than were asked for, but never none.
            bytes.extend_from_slice(&more);
        }
        Ok(bytes)
    }
}

/// Asks until there are some bytes from `start` on, or until it makes no sense any longer.
async fn fetch(
    url: &str,
    ranges: &impl Ranges,
    runtime: &SharedRuntime,
    pin: Option<&Pin>,
    start: u64,
    end: u64,
) -> Result<(Pin, Vec<u8>), BlockError> {
    let remote = |source| BlockError::Remote {
        id: url.into(),
        source,
    };
    let mut pauses = PAUSES.iter();
    loop {
        let judged = match ranges.fetch(start, end).await {
            Ok(reply) => judge(reply, pin, start, end),
            Err(reason) => Judged::Again { reason, after: None },
        };
        match judged {
            Judged::Bytes { pin, bytes } => return Ok((pin, bytes)),
            Judged::Useless(error) => return Err(remote(error)),
            Judged::Changed { expected, found } => {
                return Err(BlockError::Changed {
                    id: url.into(),
                    expected,
                    found,
                });
            }
            Judged::Again { reason, after } => {
                let Some(&pause) = pauses.next() else {
                    let tries = PAUSES.len() + 1;
                    return Err(remote(RemoteError::Unreachable { tries, reason }));
                };
                runtime
                    .sleep(after.unwrap_or(pause).clamp(pause, LONGEST_PAUSE))
                    .await;
            }
        }
    }
}
