//! Fetching a file: the guest opens it, the person says where it is saved, then its bytes, as they are saved.
//!
//! The guest goes first, so that nobody chooses a place for a file that is not there.

use js_sys::{Promise, Uint8Array};
use qemuweb_wire::agent::{AgentFromHost, AgentOperation, AgentOutcome};
use qemuweb_wire::failure::Failure;
use wasm_bindgen::JsValue;
use wasm_bindgen_futures::JsFuture;

use super::state::{Question, Stage, Transfers};
use crate::kit::save::{Asked, MAX_DOWNLOAD, Saving, ask_for_place, has_place_picker, said};
use crate::kit::text::bytes;

/// What is to be done next with what came.
enum Step {
    /// A piece of this length was given to the browser.
    Wrote(u64, Result<Option<Promise>, JsValue>),
    /// All is written of a file that had so many bytes in the guest.
    Close(Saving, u64, u64),
    /// More has to come first.
    Wait,
}

fn too_large(found: &str) -> Failure {
    Failure::new(format!(
        "in DevTools, expected a file of at most {}, found {found}",
        bytes(MAX_DOWNLOAD)
    ))
    .with_next_step("Open QemuWeb in a tab: there the browser saves a file of any size where you want it.")
}

impl Transfers {
    pub(super) fn open_file(self, id: u32) {
        if let Some(transfer) = self.get(id) {
            let path = transfer.path.clone();
            self.open(id, AgentOperation::Get { path });
        }
    }

    pub(super) fn fetch_heard(self, id: u32, note: &AgentFromHost) {
        match note {
            AgentFromHost::Started { size, .. } => self.is_open(id, size.filter(|size| *size > 0)),
            AgentFromHost::Ended {
                outcome: AgentOutcome::Sent { size },
            } => {
                self.job(id, |job| job.whole = Some(*size));
                self.save_more(id);
            }
            AgentFromHost::Ended { .. } => {
                let failure =
                    Failure::new("expected the end of the file, found that it was cancelled in the guest");
                self.fail(id, failure.with_next_step("Fetch it again."));
            }
            _ => {}
        }
    }

    fn is_open(self, id: u32, size: Option<u64>) {
        self.change(id, |transfer| transfer.total = size);
        if has_place_picker() {
            return self.choose_place(id);
        }
        if let Some(size) = size.filter(|size| *size > MAX_DOWNLOAD) {
            return self.fail(id, too_large(&format!("one of {}", bytes(size))));
        }
        if let Some(transfer) = self.get(id) {
            self.saves_to(id, Saving::download(transfer.name.clone()));
        }
    }

    /// Asks where the file is saved.
    pub fn choose_place(self, id: u32) {
        let (Some(transfer), Some(attempt)) = (self.get(id), self.job(id, |job| job.attempt)) else {
            return;
        };
        self.change(id, |transfer| transfer.stage = Stage::Looking);
        let name = transfer.name.clone();
        self.cx
            .later(async move { ask_for_place(&name).await }, move |asked| {
                if !self.is_at(id, attempt) {
                    if let Asked::Chosen(saving) = asked {
                        saving.abort();
                    }
                    return;
                }
                match asked {
                    Asked::Chosen(saving) => self.saves_to(id, saving),
                    Asked::Dismissed => self.dismiss(id),
                    Asked::NotNow => self.ask(id, Question::Place),
                    Asked::Refused(why) => self.cannot_save(id, why),
                }
            });
    }

    fn saves_to(self, id: u32, saving: Saving) {
        self.job(id, |job| job.saving = Some(saving));
        self.begins(id);
        self.save_more(id);
    }

    /// Takes a piece, for which the place may not be known yet.
    pub(super) fn came(self, id: u32, piece: Uint8Array) {
        let received = self.job(id, |job| {
            job.received += u64::from(piece.length());
            job.pieces.push_back(piece);
            let is_bounded = job.saving.as_ref().is_some_and(Saving::is_download);
            is_bounded && job.received > MAX_DOWNLOAD
        });
        if received == Some(true) {
            return self.fail(id, too_large("a larger one"));
        }
        self.save_more(id);
    }

    /// Gives the browser what came, a piece at a time.
    fn save_more(self, id: u32) {
        loop {
            let step = self.job(id, |job| {
                if job.is_writing {
                    return Step::Wait;
                }
                let Some(saving) = &mut job.saving else {
                    return Step::Wait;
                };
                match (job.pieces.pop_front(), job.whole) {
                    (Some(piece), _) => {
                        let written = saving.write(&piece);
                        job.is_writing = matches!(written, Ok(Some(_)));
                        Step::Wrote(piece.length().into(), written)
                    }
                    (None, Some(whole)) => match job.saving.take() {
                        Some(saving) => Step::Close(saving, whole, job.received),
                        None => Step::Wait,
                    },
                    (None, None) => Step::Wait,
                }
            });
            match step {
                Some(Step::Wrote(length, Ok(None))) => self.saved(id, length),
                Some(Step::Wrote(length, Ok(Some(promise)))) => {
                    return self.when_done(id, promise, move |transfers| {
                        transfers.job(id, |job| job.is_writing = false);
                        transfers.saved(id, length);
                        transfers.save_more(id);
                    });
                }
                Some(Step::Wrote(_, Err(exception))) => return self.cannot_save(id, said(&exception)),
                Some(Step::Close(saving, whole, received)) => return self.close(id, saving, whole, received),
                Some(Step::Wait) | None => return,
            }
        }
    }

    /// So many more bytes are where they belong, and as many can come.
    fn saved(self, id: u32, length: u64) {
        if let Some(stream) = self.stream(id) {
            stream.taken(length);
        }
        let saved = self.job(id, |job| {
            job.taken += length;
            job.taken
        });
        if let Some(saved) = saved {
            self.progressed(id, saved);
        }
    }

    fn close(self, id: u32, saving: Saving, whole: u64, received: u64) {
        if whole != received {
            saving.abort();
            let failure = Failure::new(format!("expected {whole} bytes of the guest, found {received}"));
            return self.fail(id, failure.with_next_step("Fetch it again."));
        }
        let text = if saving.is_download() {
            format!(
                "Given to the browser, which saves it with its downloads as {}.",
                saving.name()
            )
        } else {
            format!("Saved as {}.", saving.name())
        };
        self.change(id, |transfer| transfer.total = Some(whole));
        match saving.close() {
            Ok(None) => self.arrived(id, text),
            Ok(Some(promise)) => self.when_done(id, promise, move |transfers| transfers.arrived(id, text)),
            Err(exception) => self.cannot_save(id, said(&exception)),
        }
    }

    /// Goes on when the browser has done something, or fails with what it says.
    fn when_done(self, id: u32, promise: Promise, done: impl FnOnce(Self) + 'static) {
        let Some(attempt) = self.job(id, |job| job.attempt) else {
            return;
        };
        self.cx.later(JsFuture::from(promise), move |result| {
            if !self.is_at(id, attempt) {
                return;
            }
            match result {
                Ok(_) => done(self),
                Err(exception) => self.cannot_save(id, said(&exception)),
            }
        });
    }

    fn cannot_save(self, id: u32, why: String) {
        let failure = Failure {
            causes: vec![why],
            ..Failure::new("the browser could not save the file")
        };
        self.fail(
            id,
            failure.with_next_step("Make room on the disk, or choose another place, and try again."),
        );
    }
}
