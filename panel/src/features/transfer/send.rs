//! Sending a file: a look whether its name is free, then its bytes, as the guest takes them.
//!
//! The guest's agent writes a file under another name until it is complete, and puts it in the place of what has its name: what
//! is there is asked about before. A program in the guest that makes a file of that name between the look and the end is not seen.

use js_sys::Uint8Array;
use qemuweb_wire::agent::{AgentCommand, AgentFromClient, AgentFromHost, AgentOperation, AgentOutcome};
use qemuweb_wire::failure::Failure;
use wasm_bindgen_futures::JsFuture;
use web_sys::{Blob, File};

use super::job::{Job, OnTaken};
use super::names::{LOOK, candidates};
use super::state::{Question, Stage, Transfers};
use crate::kit::save::said;
use crate::kit::text::printable;

/// Bytes of a file that are read at a time.
const PIECE: u64 = 256 << 10;
/// Bytes that are read ahead of what the guest has taken.
const AHEAD: u64 = 1 << 20;
/// How long the look into the folder may take, in milliseconds.
const LOOK_MS: u64 = 20_000;
/// Bytes that are kept of what it prints.
const MAX_PRINTED: usize = 400;

/// The permissions of a file that begins so: what the system can run may be run.
fn mode(head: &[u8]) -> u32 {
    if head.starts_with(b"#!") || head.starts_with(b"\x7fELF") {
        0o755
    } else {
        0o644
    }
}

/// What was read of a file.
fn part(file: &File, from: u64, to: u64) -> impl Future<Output = Result<Vec<u8>, String>> + use<> {
    #[expect(
        clippy::cast_precision_loss,
        reason = "a file's size is an f64 of JavaScript's"
    )]
    let part: Result<Blob, _> = file.slice_with_f64_and_f64(from as f64, to as f64);
    async move {
        let buffer = match part {
            Ok(part) => JsFuture::from(part.array_buffer()).await,
            Err(exception) => Err(exception),
        };
        buffer
            .map(|buffer| Uint8Array::new(&buffer).to_vec())
            .map_err(|exception| said(&exception))
    }
}

impl Transfers {
    /// Looks whether the name is free.
    pub(super) fn look(self, id: u32) {
        let Some(transfer) = self.get(id) else { return };
        let wanted = self.job(id, |job| (job.folder.for_cd(), job.on_taken));
        let Some((folder, on_taken)) = wanted else { return };
        if on_taken == OnTaken::Replace {
            return self.read_head(id);
        }
        let words = ["/bin/sh", "-c", LOOK, "sh"].map(str::to_owned);
        let words = words
            .into_iter()
            .chain([folder])
            .chain(candidates(&transfer.name));
        let operation = AgentOperation::Run {
            command: AgentCommand::Arguments(words.collect()),
            directory: None,
            environment: Vec::new(),
            terminal: None,
            time_limit_ms: Some(LOOK_MS),
        };
        self.open(id, operation);
    }

    /// Takes what the look prints.
    pub(super) fn printed(self, id: u32, bytes: &Uint8Array) {
        self.job(id, |job| {
            let kept = &mut job.printed[usize::from(job.is_error)];
            let room = MAX_PRINTED.saturating_sub(kept.len());
            kept.extend(bytes.to_vec().into_iter().take(room));
        });
        if let Some(stream) = self.stream(id) {
            stream.taken(bytes.length().into());
        }
    }

    pub(super) fn send_heard(self, id: u32, note: &AgentFromHost) {
        let Some(transfer) = self.get(id) else { return };
        let is_moving = transfer.stage == Stage::Moving;
        match note {
            AgentFromHost::Started { .. } if is_moving => self.read_more(id),
            AgentFromHost::Taken { bytes } => {
                self.job(id, |job| job.taken = *bytes);
                self.progressed(id, *bytes);
                self.read_more(id);
            }
            AgentFromHost::Ended { outcome } => match outcome {
                AgentOutcome::Stored if is_moving => self.arrived(id, "Sent. In the guest:".to_owned()),
                AgentOutcome::Exited { status: 0 } => self.looked(id),
                _ => {
                    let complaint = self.job(id, |job| String::from_utf8_lossy(&job.printed[1]).into_owned());
                    let complaint = printable(complaint.unwrap_or_default().trim(), MAX_PRINTED);
                    let failure = Failure {
                        causes: if complaint.is_empty() {
                            Vec::new()
                        } else {
                            vec![complaint]
                        },
                        ..Failure::new(format!("the folder {} could not be looked into", transfer.place))
                    };
                    self.fail(
                        id,
                        failure.with_next_step("Make it in the guest (mkdir -p), or choose another folder."),
                    );
                }
            },
            _ => {}
        }
    }

    /// The look has found how many of the candidates are taken.
    fn looked(self, id: u32) {
        let Some(transfer) = self.get(id) else { return };
        let found = self.job(id, |job| {
            let taken: Option<usize> = std::str::from_utf8(&job.printed[0])
                .ok()
                .and_then(|text| text.trim().parse().ok());
            job.hang_up();
            (taken, job.on_taken, job.folder.clone())
        });
        let Some((taken, on_taken, folder)) = found else {
            return;
        };
        let Some(taken) = taken else {
            let failure = Failure::new("expected a number from the guest’s shell, found something else");
            return self.fail(
                id,
                failure.with_next_step("Try again, or send the file by another way."),
            );
        };
        let free = candidates(&transfer.name).into_iter().nth(taken);
        match (taken, free) {
            (0, _) => self.read_head(id),
            (_, Some(free)) if on_taken == OnTaken::KeepBoth => {
                self.change(id, |transfer| transfer.path = folder.path(&free));
                self.read_head(id);
            }
            (_, free) => {
                self.job(id, Job::stop);
                self.ask(id, Question::Taken(free));
            }
        }
    }

    /// Reads how the file begins, and opens the one in the guest.
    fn read_head(self, id: u32) {
        let read = self.job(id, |job| Some((part(job.file.as_ref()?, 0, 4), job.attempt)));
        let Some((head, attempt)) = read.flatten() else {
            return;
        };
        self.cx.later(head, move |head| {
            if !self.is_at(id, attempt) {
                return;
            }
            let (head, transfer) = match (head, self.get(id)) {
                (Ok(head), Some(transfer)) => (head, transfer),
                (Err(why), _) => return self.cannot_read(id, why),
                (Ok(_), None) => return,
            };
            self.begins(id);
            let operation = AgentOperation::Put {
                path: transfer.path.clone(),
                mode: Some(mode(&head)),
                size: transfer.total.unwrap_or(0),
            };
            self.open(id, operation);
        });
    }

    fn cannot_read(self, id: u32, why: String) {
        let name = self.get(id).map(|transfer| transfer.name.clone());
        let failure = Failure {
            causes: vec![why],
            ..Failure::new(format!("{} could not be read", name.unwrap_or_default()))
        };
        let next_step = "It was changed, moved or removed since it was chosen: choose it anew.";
        self.fail(id, failure.with_next_step(next_step));
    }

    /// Reads on as long as the guest keeps up.
    fn read_more(self, id: u32) {
        let Some(size) = self.get(id).and_then(|transfer| transfer.total) else {
            return;
        };
        let read = self.job(id, |job| {
            if size == 0 {
                return None;
            }
            let is_ahead = job.sent - job.taken.min(job.sent) >= AHEAD;
            if job.is_reading || is_ahead || job.sent >= size {
                return None;
            }
            let read = part(job.file.as_ref()?, job.sent, size.min(job.sent + PIECE));
            job.is_reading = true;
            Some((read, job.attempt))
        });
        let Some((read, attempt)) = read.flatten() else {
            if size == 0 {
                self.end_input(id);
            }
            return;
        };
        self.cx.later(read, move |bytes| {
            if self.is_at(id, attempt) {
                self.was_read(id, size, bytes);
            }
        });
    }

    fn was_read(self, id: u32, size: u64, bytes: Result<Vec<u8>, String>) {
        let bytes = match bytes {
            Ok(bytes) if !bytes.is_empty() => bytes,
            Ok(_) => return self.cannot_read(id, "it has become shorter".to_owned()),
            Err(why) => return self.cannot_read(id, why),
        };
        let Some(stream) = self.stream(id) else { return };
        if let Err(failure) = stream.send(&bytes) {
            return self.fail(id, failure);
        }
        let sent = self.job(id, |job| {
            job.is_reading = false;
            job.sent += bytes.len() as u64;
            job.sent
        });
        if sent >= Some(size) {
            self.end_input(id);
        } else {
            self.read_more(id);
        }
    }

    /// Tells the guest that the file is complete.
    fn end_input(self, id: u32) {
        if let Some(stream) = self.stream(id) {
            stream.note_behind(&AgentFromClient::End);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_run_may_be_run() {
        for (head, expected) in [
            (&b"#!/b"[..], 0o755),
            (b"\x7fELF", 0o755),
            (b"PK\x03\x04", 0o644),
            (b"#", 0o644),
            (b"", 0o644),
        ] {
            assert_eq!(mode(head), expected);
        }
    }
}
