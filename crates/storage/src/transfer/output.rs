//! A sink that gets few large writes for many small ones, and is told of zeroes.

use super::{Sink, TransferError, WINDOW};

/// Appends to a sink.
pub(crate) struct Output<'a> {
    sink: &'a mut dyn Sink,
    /// What is not yet written.
    bytes: Vec<u8>,
    position: u64,
}

impl<'a> Output<'a> {
    pub(crate) fn new(sink: &'a mut dyn Sink) -> Self {
        Self {
            sink,
            bytes: Vec::new(),
            position: 0,
        }
    }

    /// Bytes that were appended so far.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    pub(crate) async fn write(&mut self, bytes: &[u8]) -> Result<(), TransferError> {
        self.position += bytes.len() as u64;
        if self.bytes.len() + bytes.len() > WINDOW as usize {
            self.flush().await?;
        }
        if bytes.len() >= WINDOW as usize {
            return self.sink.write(bytes).await.map_err(failed);
        }
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    /// Appends zeroes; few go with what comes before and after.
    pub(crate) async fn write_zeroes(&mut self, length: u64, few: u64) -> Result<(), TransferError> {
        if length < few {
            return self.write(&vec![0; length as usize]).await;
        }
        self.flush().await?;
        self.position += length;
        self.sink.write_zeroes(length).await.map_err(failed)
    }

    pub(crate) async fn flush(&mut self) -> Result<(), TransferError> {
        if self.bytes.is_empty() {
            return Ok(());
        }
        self.sink.write(&self.bytes).await.map_err(failed)?;
        self.bytes.clear();
        Ok(())
    }

    /// Writes all that was appended, and then the file's first bytes.
    pub(crate) async fn finish(mut self, head: Option<&[u8]>) -> Result<u64, TransferError> {
        self.flush().await?;
        if let Some(head) = head {
            self.sink.write_head(head).await.map_err(failed)?;
        }
        Ok(self.position)
    }
}

fn failed(reason: String) -> TransferError {
    TransferError::Sink { reason }
}
