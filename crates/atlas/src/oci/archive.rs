//! Tar archives (POSIX ustar and pax), as far as OCI layouts need them: files and folders, in order.

use tar::{EntryType, Header};

use crate::error::AtlasError;
use crate::input::Input;

/// Bytes of a header, and what files are filled up to.
const BLOCK: usize = 512;
/// Most bytes of an extended header.
const MOST_EXTENDED: u64 = 64 << 10;

/// The header of a file or folder, always the same for the same arguments.
pub(super) fn header(path: &str, kind: EntryType, size: u64) -> Result<Vec<u8>, AtlasError> {
    let mut header = Header::new_ustar();
    header
        .set_path(path)
        .map_err(|error| AtlasError::malformed(0, "a path of a tar archive", error))?;
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(if kind.is_dir() { 0o755 } else { 0o644 });
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_cksum();
    Ok(header.as_bytes().to_vec())
}

/// Zeroes that fill a file up.
pub(super) fn padding(size: u64) -> Vec<u8> {
    vec![0; (size.next_multiple_of(BLOCK as u64) - size) as usize]
}

/// What an archive ends with.
pub(super) fn end() -> Vec<u8> {
    vec![0; 2 * BLOCK]
}

/// A file in an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Its path, without `./` before it.
    pub(super) path: String,
    /// Its size in bytes, all of which are there.
    pub(super) size: u64,
    /// Where its header begins.
    pub(super) at: u64,
}

/// An archive that is read: after each file, its bytes are the caller's to read, or to [`skip`].
pub(super) struct Archive<'a> {
    pub(super) input: Input<'a>,
}

impl Archive<'_> {
    /// The next file. Folders, links and devices are passed over.
    pub(super) async fn next(&mut self) -> Result<Option<Entry>, AtlasError> {
        let (mut path, mut size) = (None, None);
        loop {
            let at = self.input.at();
            if self.input.left() == 0 {
                return Ok(None);
            }
            let bytes = self.input.take(BLOCK, "a tar archive").await?;
            if bytes.iter().all(|byte| *byte == 0) {
                return Ok(None);
            }
            let header = Header::from_byte_slice(&bytes);
            check_sum(header, at)?;
            let wrong = |error: std::io::Error| AtlasError::malformed(at, "a size in a tar archive", error);
            let own = header.entry_size().map_err(wrong)?;
            let kind = header.entry_type();
            if kind.is_pax_local_extensions() {
                if own > MOST_EXTENDED {
                    let most = format!("an extended header of at most {MOST_EXTENDED} bytes");
                    return Err(AtlasError::malformed(at, most, own));
                }
                let bytes = self.input.take(own as usize, "an extended header").await?;
                self.skip_padding(own).await?;
                (path, size) = extended(&bytes, at)?;
                continue;
            }
            let is_file = kind.is_file() || kind.is_contiguous();
            let size = if is_file { size.take().unwrap_or(own) } else { own };
            if size > self.input.left() {
                let found = format!("the end after {}", self.input.left());
                return Err(AtlasError::malformed(
                    at,
                    format!("{size} bytes of a file"),
                    found,
                ));
            }
            let known = path.take();
            if is_file {
                let path =
                    known.unwrap_or_else(|| String::from_utf8_lossy(&header.path_bytes()).into_owned());
                let path = path.strip_prefix("./").unwrap_or(&path).to_owned();
                return Ok(Some(Entry { path, size, at }));
            }
            // Of links and devices nothing follows, whatever they say.
            if !kind.is_hard_link() && !kind.is_symlink() {
                self.skip(size).await?;
            }
        }
    }

    /// Passes over a file, and what fills it up.
    pub(super) async fn skip(&mut self, size: u64) -> Result<(), AtlasError> {
        let mut left = size;
        while left > 0 {
            left -= self.input.some(left.min(1 << 20) as usize).await?.len() as u64;
        }
        self.skip_padding(size).await
    }

    /// Passes over what fills a file up that was read.
    pub(super) async fn skip_padding(&mut self, size: u64) -> Result<(), AtlasError> {
        let odd = (size % BLOCK as u64) as usize;
        if odd > 0 {
            self.input.take(BLOCK - odd, "a tar archive").await?;
        }
        Ok(())
    }
}

fn check_sum(header: &Header, at: u64) -> Result<(), AtlasError> {
    // The checksum's own place counts as spaces.
    let sum = |bytes: &[u8]| bytes.iter().map(|byte| u32::from(*byte)).sum::<u32>();
    let bytes = header.as_bytes();
    let found = sum(&bytes[..148]) + 8 * u32::from(b' ') + sum(&bytes[156..]);
    match header.cksum() {
        Ok(told) if told == found => Ok(()),
        _ => Err(AtlasError::malformed(
            at,
            "a tar archive, whose checksum fits",
            "other bytes",
        )),
    }
}

/// The path and size that an extended header tells: lines of a length, a name and a value.
fn extended(bytes: &[u8], at: u64) -> Result<(Option<String>, Option<u64>), AtlasError> {
    let (mut path, mut size) = (None, None);
    for line in tar::PaxExtensions::new(bytes) {
        let line = line.map_err(|error| AtlasError::malformed(at, "an extended header", error))?;
        match line.key_bytes() {
            b"path" => path = Some(String::from_utf8_lossy(line.value_bytes()).into_owned()),
            b"size" => {
                let text = String::from_utf8_lossy(line.value_bytes());
                let wrong = |_| AtlasError::malformed(at, "a size in an extended header", &text);
                size = Some(text.parse().map_err(wrong)?);
            }
            _ => (),
        }
    }
    Ok((path, size))
}
