//! How each thing happens in the world.

use crate::world::World;
use crate::world::qemu::CHANNELS;
use qemuweb_capture::{Exchange, jsonl};
use qemuweb_machine::Input;
use qemuweb_machine::io::{Attached, ClientId, FromWorker, Outcome, RunId, StreamId};
use qemuweb_machine::storage::StorageEvent;
use qemuweb_vm_config::find_profile;
use qemuweb_wire::Failure;
use qemuweb_wire::call::*;
use qemuweb_wire::disk::ExportAs;
use qemuweb_wire::message::{ClientMessage, VERSION};
use qemuweb_wire::monitor::MonitorCommand;
use qemuweb_wire::stream::StreamMessage;
use qemuweb_wire::topic::Topic;
use qemuweb_wire::vm::FileRef;
use serde_json::json;

use crate::deed::{Deed, EVENTS, PROFILES, VMS, asks};

impl World {
    pub(crate) fn active(&mut self, vm: usize) -> Option<RunId> {
        let info = self.vm(VMS[vm])?;
        let run = RunId(info.run);
        self.workers.contains_key(&run).then_some(run)
    }

    /// The client in this place: one that is gone never comes back as itself.
    pub(crate) fn slot(&self, place: u32) -> ClientId {
        ClientId(place + 4 * self.generations.get(&place).copied().unwrap_or(0))
    }

    pub(crate) fn join_slot(&mut self, place: u32) -> ClientId {
        self.join(self.slot(place).0)
    }

    fn leave_slot(&mut self, place: u32) {
        let client = self.slot(place);
        if self.present.contains(&client) {
            self.leave(client);
            *self.generations.entry(place).or_default() += 1;
        }
    }

    pub(crate) fn do_deed(&mut self, deed: Deed) {
        match deed {
            Deed::Join(client) => drop(self.join_slot(client)),
            Deed::Leave(client) => self.leave_slot(client),
            Deed::Call {
                client,
                vm,
                call,
                more,
            } => self.any_call(self.slot(client), VMS[vm], call, more),
            Deed::Malformed { client, text } => {
                let client = self.slot(client);
                if asks(&text) && self.present.contains(&client) {
                    self.note_asked(client, 1_000_000);
                }
                self.happen(Input::Message {
                    client,
                    version: VERSION,
                    json: text,
                    attachments: Vec::new(),
                });
            }
            Deed::Cancel { client, back } => {
                let client = self.slot(client);
                let asked = self
                    .asked
                    .get(&client)
                    .and_then(|asked| asked.keys().nth_back(back as usize).copied());
                let id = asked.unwrap_or(5);
                self.say(client, &ClientMessage::Cancel { id }, Vec::new());
            }
            Deed::Subscribe { client, topic } => {
                let vm_id = VMS[usize::from(topic) % VMS.len()].to_owned();
                let topic = match topic {
                    0 => Topic::Host,
                    1 => Topic::Machines,
                    2 => Topic::Profiles,
                    3 => Topic::Library,
                    4 => Topic::Capture {
                        capture: "c".to_owned(),
                    },
                    _ => Topic::Machine { vm_id },
                };
                self.subscribe(self.slot(client), topic);
            }
            Deed::OpenConsole { client, vm } => {
                let stream = qemuweb_wire::stream::StreamKind::Console {
                    vm_id: VMS[vm].to_owned(),
                };
                let open = ClientMessage::Open { id: 1, stream };
                self.say(self.slot(client), &open, vec![Attached::Other(7)]);
            }
            Deed::OnStream { stream, what, count } => self.any_stream(stream, what, count),
            Deed::Event { vm, event, more } => {
                if self.active(vm).is_some() {
                    let action = ["pause", "stop", "report", "run", ""][usize::from(more) % 5];
                    let reason = ["guest-shutdown", "guest-reset", "guest-panic", "host-qmp-quit"]
                        [usize::from(more) % 4];
                    let data = json!({
                        "action": action, "reason": reason, "device": "disk0", "operation": "read",
                        "id": CHANNELS[usize::from(more) % CHANNELS.len()], "open": more % 2 == 0,
                    });
                    self.event(VMS[vm], EVENTS[event], data);
                }
            }
            Deed::Nonsense { vm, channel, bytes } => {
                if let Some(run) = self.active(vm) {
                    let channel = CHANNELS[channel].to_owned();
                    self.happen(Input::Received { run, channel, bytes });
                }
            }
            Deed::Print { vm, count } => {
                if self.active(vm).is_some() {
                    self.print(VMS[vm], &vec![b'x'; count]);
                }
            }
            Deed::Guest { vm, channel, what } => {
                if let Some(run) = self.active(vm) {
                    let channel = CHANNELS[channel];
                    let qemu = self.workers.get_mut(&run).unwrap();
                    match what {
                        0 => qemu.reads = false,
                        1 => qemu.reads = true,
                        2 => qemu.answers = !qemu.answers,
                        3 => qemu.heeds = !qemu.heeds,
                        4 if channel != "qmp0" => {
                            qemu.set_open(channel, false);
                            qemu.reopen(channel);
                            qemu.set_open(channel, true);
                        }
                        _ if channel != "qmp0" => qemu.read(channel, 1000),
                        _ => {}
                    }
                    self.settle();
                }
            }
            Deed::Worker { vm, what } => {
                if let Some(run) = self.active(vm) {
                    self.happen(Input::Worker(run, worker_says(what)));
                }
            }
            Deed::Storage { vm, what } => {
                let closing = self.closing().filter(|_| what > 2);
                if let Some(run) = closing {
                    let failure = (what > 3).then(|| Failure::new("no room"));
                    self.close_storage(run, failure);
                    self.settle();
                } else if let Some(run) = self.active(vm).filter(|run| self.storage.contains_key(run)) {
                    self.happen(Input::Storage(run, storage_says(what)));
                }
            }
            Deed::Late { run, what } => {
                // None that lives.
                let ended = self.ended.keys().nth(run as usize % 7).copied();
                let run = ended.unwrap_or(RunId(run % 1000));
                let input = late(run, what);
                // A storage Worker that says so has let go of its disks.
                if matches!(input, Input::Storage(..)) {
                    self.storage.remove(&run);
                }
                self.happen(input);
            }
            Deed::Task { place, well } => {
                if place < self.tasks.len() {
                    let (task, outcome) = self.tasks.remove(place).unwrap();
                    let outcome = if well { outcome } else { failed(outcome) };
                    self.happen(Input::Done(task, outcome.clone()));
                    // It is done once.
                    self.happen(Input::Done(task, outcome));
                }
            }
            Deed::Repeat { task, what } => {
                let task = qemuweb_machine::io::TaskId(task);
                let is_pending = self.tasks.iter().any(|(other, _)| *other == task);
                if !is_pending {
                    let outcome = match what {
                        0 => Outcome::Opened(Ok(Vec::new())),
                        1 => Outcome::Written(Ok(None)),
                        2 => Outcome::Measured(None),
                        _ => Outcome::Recognized(Err(Failure::new("late"))),
                    };
                    self.happen(Input::Done(task, outcome));
                }
            }
            Deed::Pass(ms) => self.pass(f64::from(ms)),
            Deed::Settle => {
                self.prompt = true;
                self.settle();
                self.prompt = false;
            }
        }
    }

    fn any_call(&mut self, client: ClientId, vm_id: &str, call: u8, more: u8) {
        let vm_id = vm_id.to_owned();
        let profile = ProfileRef::Id(PROFILES[usize::from(more) % PROFILES.len()].to_owned());
        let mut attachments = Vec::new();
        let call: Call = match call {
            0..=3 => StartVm {
                vm_id,
                name: None,
                profile,
                inputs: Box::default(),
                overrides: None,
            }
            .into(),
            4 | 5 => {
                let info = self.vm(&vm_id);
                let mut definition: qemuweb_wire::vm::VmDefinition =
                    find_profile(PROFILES[0]).unwrap().into();
                let mut files = Vec::new();
                if more.is_multiple_of(2) {
                    definition.inputs.additional_disks = serde_json::from_value(json!([
                        {"attachment": {"index": 0, "name": "x", "size": 5}, "format": "raw", "isData": true}
                    ]))
                    .unwrap();
                    let kept = info.as_ref().and_then(|info| info.files.first().copied());
                    files.push(
                        kept.filter(|_| more.is_multiple_of(4))
                            .map_or(FileRef::Attached(0), FileRef::Kept),
                    );
                    attachments.push(if more.is_multiple_of(3) {
                        Attached::Handle(3)
                    } else {
                        Attached::File(4)
                    });
                }
                let replaces = info.map(|info| info.revision).filter(|_| !more.is_multiple_of(7));
                DefineVm {
                    vm_id,
                    name: "A".to_owned(),
                    definition: Box::new(definition),
                    files,
                    replaces,
                }
                .into()
            }
            6 | 7 => RestartVm { vm_id }.into(),
            8 => StopVm { vm_id, force: true }.into(),
            9 => StopVm { vm_id, force: false }.into(),
            10 => PauseVm { vm_id }.into(),
            11 => ResumeVm { vm_id }.into(),
            12 => ResetVm { vm_id }.into(),
            13 => RemoveVm { vm_id }.into(),
            14 => RestoreVm { vm_id }.into(),
            15 => CloneVm {
                vm_id,
                new_id: VMS[usize::from(more) % 3].to_owned(),
                name: "copy".to_owned(),
            }
            .into(),
            16 => RenameVm {
                vm_id,
                name: "x".repeat(usize::from(more)),
            }
            .into(),
            17 => {
                attachments.push(if more.is_multiple_of(3) {
                    Attached::File(u32::from(more))
                } else {
                    Attached::Handle(2)
                });
                StoreFile { name: "f".to_owned() }.into()
            }
            18 => RemoveStored {
                hash: format!("sha256:{more:064x}"),
            }
            .into(),
            19 => RestoreStored {
                hash: format!("sha256:{more:064x}"),
            }
            .into(),
            20 => RunMonitor {
                vm_id,
                command: MonitorCommand::QueryStatus,
            }
            .into(),
            21 | 22 => {
                attachments.push(Attached::Bytes(lines(usize::from(more) * 9000).into()));
                PushCapture { vm_id }.into()
            }
            23 => ListDisks {}.into(),
            24 => SyncOverlay { vm_id }.into(),
            25 => {
                let disk_id = "home.1".to_owned();
                DiscardDisk { vm_id, disk_id }.into()
            }
            26 => ExportDisk {
                vm_id,
                disk_id: "home.1".to_owned(),
                format: ExportAs::Overlay,
            }
            .into(),
            27 => ImportDisk {
                vm_id,
                disk_id: "home.1".to_owned(),
            }
            .into(),
            28 => GrowDisk {
                vm_id,
                channel: "home".to_owned(),
                size: 9,
            }
            .into(),
            29 => VmDisks { vm_id }.into(),
            _ => FileHandles { vm_id }.into(),
        };
        if self.present.contains(&client) {
            self.call(client, call, attachments);
        }
    }

    fn any_stream(&mut self, stream: usize, what: u8, count: u64) {
        let open: Vec<StreamId> = self
            .streams
            .iter()
            .filter(|(_, shown)| !shown.closed)
            .map(|(id, _)| *id)
            .collect();
        let Some(stream) = open.get(stream % open.len().max(1)).copied() else {
            return;
        };
        match what {
            0..=2 => {
                let total = self.streams[&stream].granted + count;
                self.grant(stream, total);
            }
            3 => self.on_stream(
                stream,
                &StreamMessage::Data { offset: 0 },
                Some(&vec![b'k'; count as usize]),
            ),
            4 => {
                let note =
                    json!({"type": "size", "size": [count % 70_000, 80], "focused": count.is_multiple_of(2)});
                self.on_stream(stream, &StreamMessage::Note { note }, None);
            }
            5 => self.on_stream(stream, &StreamMessage::End { failure: None }, None),
            _ => self.happen(Input::OnStream {
                stream,
                version: VERSION,
                json: "{".to_owned(),
                bytes: None,
            }),
        }
    }
}

fn lines(bytes: usize) -> Vec<u8> {
    let mut lines = Vec::new();
    let mut exchange = Exchange::default();
    exchange.request.url = format!("https://example.org/{}", "x".repeat(bytes));
    jsonl::write_exchange(&mut lines, "c", &exchange).unwrap();
    lines
}

fn storage_says(what: u8) -> StorageEvent {
    match what {
        0 => StorageEvent::Used { disks: Vec::new() },
        1 => StorageEvent::Synced {
            tag: 3,
            failure: None,
        },
        2 => StorageEvent::Alarm {
            channel: "home".to_owned(),
            failure: Failure::new("no room"),
        },
        3 => StorageEvent::Failed {
            failure: Failure::new("another image"),
        },
        _ => StorageEvent::Closed { failure: None },
    }
}

fn worker_says(what: u8) -> FromWorker {
    match what {
        0 => FromWorker::Ready,
        1 => FromWorker::Loaded,
        2 => FromWorker::Output("a line".repeat(500)),
        3 => FromWorker::Exited(0),
        4 => FromWorker::Exited(1),
        _ => FromWorker::Failed(Failure::new("trap")),
    }
}

fn late(run: RunId, what: u8) -> Input<u32> {
    let channel = CHANNELS[usize::from(what) % CHANNELS.len()].to_owned();
    match what {
        0..=2 => Input::Worker(run, worker_says(what + 2)),
        3 => Input::Received {
            run,
            channel,
            bytes: b"late output".to_vec(),
        },
        4 => Input::ChannelOpened {
            run,
            channel,
            capacity: 10,
        },
        5 => Input::Worker(run, FromWorker::Variables(None)),
        6 => Input::Storage(run, StorageEvent::Closed { failure: None }),
        _ => Input::Moved {
            run,
            channel,
            used: 0,
            dropped: 9,
        },
    }
}

fn failed(outcome: Outcome<u32>) -> Outcome<u32> {
    let failure = Failure::new("the browser refuses");
    match outcome {
        Outcome::Opened(_) => Outcome::Opened(Err(failure)),
        Outcome::Recognized(_) => Outcome::Recognized(Err(failure)),
        Outcome::Hashed(_) => Outcome::Hashed(Err(failure)),
        Outcome::Written(_) => Outcome::Written(Err(failure)),
        Outcome::Measured(_) => Outcome::Measured(None),
        Outcome::DidWithDisks(_) => Outcome::DidWithDisks(Err(failure)),
    }
}
