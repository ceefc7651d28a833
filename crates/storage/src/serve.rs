//! What a disk does for a request from QEMU.

use qemuweb_shm::SharedMemory;
use qemuweb_shm::block::{Completion, Info, Op, Request};

use crate::device::{BlockDevice, BlockError};

/// Error numbers as Linux has them.
mod errno {
    pub(super) const EIO: i32 = 5;
    pub(super) const EINVAL: i32 = 22;
    pub(super) const ENOSPC: i32 = 28;
    pub(super) const EROFS: i32 = 30;
}

/// Does what `request` asks for, and returns its completion, with the error for people where there is one. The areas lie in
/// `memory`, as [`qemuweb_shm::block::Requests`] has checked.
pub async fn perform(
    device: &dyn BlockDevice,
    memory: &impl SharedMemory,
    request: &Request,
) -> (Completion, Option<BlockError>) {
    let error = serve(device, memory, request).await.err();
    let completion = Completion {
        tag: request.tag,
        status: error.as_ref().map_or(0, |error| -number(error)),
    };
    (completion, error)
}

async fn serve(
    device: &dyn BlockDevice,
    memory: &impl SharedMemory,
    request: &Request,
) -> Result<(), BlockError> {
    match request.op {
        Op::Read => {
            // At most as many as a request may move.
            let mut bytes = vec![0; request.length as usize];
            device.read(request.offset, &mut bytes).await?;
            request.scatter(memory, &bytes);
        }
        Op::Write => device.write(request.offset, &request.gather(memory)).await?,
        Op::Flush => device.sync().await?,
        Op::Discard => device.discard(request.offset, request.length).await?,
        Op::WriteZeroes => device.write_zeroes(request.offset, request.length).await?,
        Op::Resize => device.grow(request.offset).await?,
        Op::Info => {
            let info = Info {
                size: device.size(),
                block_size: device.block_size(),
                readonly: device.readonly(),
                discards: !device.readonly(),
            };
            request.scatter(memory, &info.encode());
        }
    }
    if request.fua && matches!(request.op, Op::Write | Op::WriteZeroes) {
        device.sync().await?;
    }
    Ok(())
}

/// What a guest is told.
fn number(error: &BlockError) -> i32 {
    match error {
        BlockError::OutOfRange { .. } | BlockError::Misaligned { .. } | BlockError::Shrunk { .. } => {
            errno::EINVAL
        }
        BlockError::ReadOnly { .. } => errno::EROFS,
        BlockError::NoSpace { .. } => errno::ENOSPC,
        BlockError::Closed { .. }
        | BlockError::Changed { .. }
        | BlockError::Remote { .. }
        | BlockError::Qcow2 { .. }
        | BlockError::Unreadable { .. }
        | BlockError::Store { .. }
        | BlockError::Foreign { .. }
        | BlockError::Busy { .. } => errno::EIO,
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use qemuweb_shm::block::{Area, INFO_SIZE};

    use super::*;
    use crate::cow::CowBlockDevice;
    use crate::memory::MemoryBlockDevice;
    use crate::overlay::Limits;
    use crate::testing::{TestStore, pool};

    struct Memory(RefCell<Vec<u8>>);

    impl SharedMemory for Memory {
        fn len(&self) -> u64 {
            self.0.borrow().len() as u64
        }

        fn load(&self, _: u32) -> u32 {
            0
        }

        fn store(&self, _: u32, _: u32) {}

        fn read(&self, address: u32, target: &mut [u8]) {
            target.copy_from_slice(&self.0.borrow()[address as usize..][..target.len()]);
        }

        fn write(&self, address: u32, source: &[u8]) {
            self.0.borrow_mut()[address as usize..][..source.len()].copy_from_slice(source);
        }
    }

    fn request(op: Op, offset: u64, length: u64, areas: &[(u32, u32)]) -> Request {
        let areas = areas.iter().map(|&(address, length)| Area { address, length });
        Request {
            tag: 9,
            op,
            fua: false,
            unmap: false,
            offset,
            length,
            areas: areas.collect(),
        }
    }

    #[test]
    fn requests_do_what_they_say() {
        let (store, memory) = (TestStore::default(), Memory(RefCell::new(vec![7; 16_384])));
        let (mut pool, runtime) = pool();
        pool.run_until(async {
            let disk = CowBlockDevice::open(None, store.clone(), 1 << 20, Limits::default(), runtime)
                .await
                .unwrap();
            let ask = async |request: Request| perform(&disk, &memory, &request).await.0.status;
            let commits = || store.log.borrow().len();
            assert_eq!(
                ask(request(Op::Write, 512, 1024, &[(0, 1000), (4000, 24)])).await,
                0
            );
            assert_eq!(commits(), 0);
            assert_eq!(ask(request(Op::Flush, 0, 0, &[])).await, 0);
            assert_eq!(commits(), 1);
            let durable = Request {
                fua: true,
                ..request(Op::Write, 8192, 512, &[(0, 512)])
            };
            assert_eq!(ask(durable).await, 0);
            assert_eq!(commits(), 2);
            assert_eq!(ask(request(Op::WriteZeroes, 1024, 512, &[])).await, 0);
            assert_eq!(
                ask(request(Op::Read, 0, 2048, &[(8000, 2000), (12_000, 48)])).await,
                0
            );
            let seen = memory.0.borrow().clone();
            assert!(
                seen[8000..8512] == [0; 512] && seen[8512..9024] == [7; 512] && seen[9024..9536] == [0; 512]
            );
            assert_eq!((seen[9536], seen[12_047]), (0, 0));
            assert_eq!(ask(request(Op::Resize, 2 << 20, 0, &[])).await, 0);
            assert_eq!(ask(request(Op::Info, 0, 0, &[(0, INFO_SIZE as u32)])).await, 0);
            assert_eq!(memory.0.borrow()[..8], (2_u64 << 20).to_le_bytes());
            assert_eq!(ask(request(Op::Discard, 0, 2 << 20, &[])).await, 0);
        });
    }

    #[test]
    fn faults_are_told_by_number() {
        let (store, memory) = (TestStore::default(), Memory(RefCell::new(vec![7; 16_384])));
        let (mut pool, runtime) = pool();
        pool.run_until(async {
            let disk = CowBlockDevice::open(None, store.clone(), 1 << 20, Limits::default(), runtime)
                .await
                .unwrap();
            let image = MemoryBlockDevice::with_bytes("image", vec![0; 4096], true);
            let ask =
                async |device: &dyn BlockDevice, request| perform(device, &memory, &request).await.0.status;
            for (device, request, expected) in [
                (
                    &disk as &dyn BlockDevice,
                    request(Op::Read, 1 << 20, 512, &[(0, 512)]),
                    -22,
                ),
                (&disk, request(Op::Write, u64::MAX - 511, 512, &[(0, 512)]), -22),
                (&disk, request(Op::Write, 1, 512, &[(0, 512)]), -22),
                (&disk, request(Op::Discard, 0, u64::MAX, &[]), -22),
                (&disk, request(Op::Resize, 512, 0, &[]), -22),
                (&image, request(Op::Write, 0, 512, &[(0, 512)]), -30),
                (&image, request(Op::Resize, 1 << 20, 0, &[]), -30),
                (&image, request(Op::Flush, 0, 0, &[]), 0),
            ] {
                assert_eq!(ask(device, request.clone()).await, expected, "{request:?}");
            }
            store.failures.set(1);
            let durable = Request {
                fua: true,
                ..request(Op::Write, 0, 512, &[(0, 512)])
            };
            assert_eq!(ask(&disk, durable).await, -28);
            // Room was made: nothing was lost.
            assert_eq!(ask(&disk, request(Op::Flush, 0, 0, &[])).await, 0);
            assert_eq!(store.log.borrow().len(), 1);
            disk.close().await.unwrap();
            assert_eq!(ask(&disk, request(Op::Read, 0, 512, &[(0, 512)])).await, -5);
        });
    }
}
