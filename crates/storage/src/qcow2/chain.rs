//! An image with all that it lies over: files that the image names, and somebody else finds.

use std::rc::Rc;

use async_trait::async_trait;

use super::Qcow2Error;
use super::header::{BackingFile, Header, MAGIC};
use super::reader::Qcow2BlockDevice;
use crate::cow::Base;
use crate::device::{BlockDevice, BlockError, SECTOR};

/// Most images over each other. Each takes memory.
const MOST: usize = 16;

/// Finds the files that images lie over: among those that a person has chosen, or by asking for them.
#[async_trait(?Send)]
pub trait BackingFiles {
    /// The file that the image known as `image` names, with what the file is known by; nothing if it is not there.
    ///
    /// # Errors
    /// [`BlockError`] when it is there and cannot be opened.
    async fn find(&self, image: &str, wanted: &BackingFile) -> Result<Option<Base>, BlockError>;
}

/// Opens the qcow2 image in `file`, and all images beneath it.
///
/// # Errors
/// [`BlockError::Qcow2`], or what the files fail with.
pub async fn open(file: Base, files: &dyn BackingFiles) -> Result<Qcow2BlockDevice, BlockError> {
    let mut top = file;
    let mut header = Qcow2BlockDevice::header(top.device.as_ref()).await?;
    let mut above: Vec<(Base, Header)> = Vec::new();
    // What lies beneath all qcow2 images, if anything.
    let mut beneath: Option<Base> = None;
    while let Some(backing) = &header.backing {
        let id = top.device.id().to_owned();
        let failed = |source| BlockError::Qcow2 {
            id: id.clone(),
            source,
        };
        let name = backing.name.clone();
        if above.len() + 2 > MOST {
            return Err(failed(Qcow2Error::TooDeep { most: MOST, name }));
        }
        let found = files.find(&id, backing).await?;
        let Some(found) = found else {
            return Err(failed(Qcow2Error::NoBacking { name }));
        };
        let is_qcow2 = match backing.format.as_deref() {
            Some("raw") => false,
            Some("qcow2") => true,
            None => is_qcow2(found.device.as_ref()).await?,
            Some(format) => {
                let format = format.to_owned();
                return Err(failed(Qcow2Error::BackingFormat { name, format }));
            }
        };
        if !is_qcow2 {
            beneath = Some(found);
            break;
        }
        let next = Qcow2BlockDevice::header(found.device.as_ref()).await?;
        above.push((
            std::mem::replace(&mut top, found),
            std::mem::replace(&mut header, next),
        ));
    }
    let mut image = layer(top, header, beneath);
    while let Some((file, header)) = above.pop() {
        let identity = image.identity().to_owned();
        let device: Rc<dyn BlockDevice> = Rc::new(image);
        image = layer(file, header, Some(Base { device, identity }));
    }
    Ok(image)
}

fn layer(file: Base, header: Header, beneath: Option<Base>) -> Qcow2BlockDevice {
    let identity = match &beneath {
        Some(beneath) => format!("{} over {}", file.identity, beneath.identity),
        None => file.identity,
    };
    Qcow2BlockDevice::new(file.device, header, beneath.map(|base| base.device), identity)
}

/// Whether a file whose format nobody tells is a qcow2 image: QEMU looks as well.
async fn is_qcow2(file: &dyn BlockDevice) -> Result<bool, BlockError> {
    if file.size() < SECTOR {
        return Ok(false);
    }
    let mut sector = [0; SECTOR as usize];
    file.read(0, &mut sector).await?;
    Ok(sector.starts_with(&MAGIC))
}
