//! A world around the core: clients, Workers with a QEMU that answers, a database. It carries effects out late and in any order
//! that the real one could, and checks after each step what always holds.
#![allow(dead_code, unreachable_pub, reason = "each test uses what it needs")]

pub mod qemu;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;

use qemuweb_machine::io::FromWorker;
use qemuweb_machine::io::{Attached, Begin, ClientId, Kept, Outcome, RunId, Stored, StreamId, TaskId, Write};
use qemuweb_machine::storage::{DiskJob, StorageEvent};
use qemuweb_machine::{Core, Effect, Input};
use qemuweb_vm_config::{DiskFormat, FileKind, StoredFile};
use qemuweb_wire::RuntimeCapabilities;
use qemuweb_wire::call::{Call, Method};
use qemuweb_wire::message::{ClientMessage, HostMessage, Update, VERSION};
use qemuweb_wire::stored::StoredInfo;
use qemuweb_wire::stream::{StreamKind, StreamMessage};
use qemuweb_wire::topic::Topic;
use qemuweb_wire::vm::VmInfo;
use qemuweb_wire::{Failure, VmState};
use serde_json::Value;

use qemu::Qemu;

/// All that a browser can offer.
pub const CAPABLE: RuntimeCapabilities = RuntimeCapabilities {
    shared_array_buffer: true,
    web_assembly: true,
    wasm_simd: true,
    wasm_threads: true,
    big_int: true,
    indexed_db: true,
    file_system_access: true,
    web_gpu: true,
    max_memory: 4 << 30,
};

/// More than one VM may ever keep: the console's history, the longest capture line, and what waits for the guest beside.
pub const MOST_KEPT: usize = (64 << 20) + (64 << 20) + (4 << 20);

/// An answer to a call: why it failed, its value, its attachments.
type Reply = (Option<Failure>, Value, Vec<u32>);

/// What a client was told.
#[derive(Debug, Default)]
pub struct Told {
    pub replies: BTreeMap<u32, Vec<Reply>>,
    pub errors: Vec<Failure>,
    /// The latest revision of each subscription.
    pub revisions: BTreeMap<u32, u64>,
    pub updates: Vec<(u32, Update)>,
}

/// What came on a stream.
#[derive(Debug, Default)]
pub struct Shown {
    pub client: Option<ClientId>,
    pub run: u64,
    pub missed: u64,
    pub bytes: Vec<u8>,
    /// Offset and length of each piece, with its run.
    pub pieces: Vec<(u64, u64, usize)>,
    pub received: u64,
    pub granted: u64,
    pub credit: u64,
    /// What was said beside bytes, save for runs.
    pub notes: Vec<Value>,
    pub failure: Option<Failure>,
    pub ended: bool,
    pub closed: bool,
}

/// A world.
pub struct World {
    pub core: Core<u32>,
    pub now: f64,
    pub told: BTreeMap<ClientId, Told>,
    pub asked: BTreeMap<ClientId, BTreeMap<u32, usize>>,
    pub present: BTreeSet<ClientId>,
    pub streams: BTreeMap<StreamId, Shown>,
    /// The Workers that exist, and those that have been told to end.
    pub workers: BTreeMap<RunId, Qemu>,
    pub ended: BTreeMap<RunId, Qemu>,
    /// The storage Workers, by the VM whose disks they have, and whether they are to close.
    pub storage: BTreeMap<RunId, (String, bool)>,
    /// What waits to be carried out.
    pub tasks: VecDeque<(TaskId, Outcome<u32>)>,
    pub cancelled: BTreeSet<TaskId>,
    pub kept_vms: BTreeMap<String, qemuweb_machine::KeptVm>,
    pub kept_files: BTreeSet<u64>,
    pub writes: Vec<&'static str>,
    pub badge: Option<usize>,
    pub spares: usize,
    pub closed: bool,
    /// Whether tasks are done as soon as they are begun.
    pub prompt: bool,
    /// How often a client has left each place.
    pub generations: BTreeMap<u32, u32>,
    next_id: u32,
}

impl World {
    pub fn new() -> Self {
        Self::with(Kept::default())
    }

    pub fn with(kept: Kept<u32>) -> Self {
        let begin = Begin {
            capabilities: CAPABLE,
            kept,
            failed: None,
        };
        let now = 1_000_000.0;
        let (core, effects) = Core::new(now, begin);
        let mut world = Self {
            core,
            now,
            told: BTreeMap::new(),
            asked: BTreeMap::new(),
            present: BTreeSet::new(),
            streams: BTreeMap::new(),
            workers: BTreeMap::new(),
            ended: BTreeMap::new(),
            storage: BTreeMap::new(),
            tasks: VecDeque::new(),
            cancelled: BTreeSet::new(),
            kept_vms: BTreeMap::new(),
            kept_files: BTreeSet::new(),
            writes: Vec::new(),
            badge: None,
            spares: 0,
            closed: false,
            prompt: true,
            generations: BTreeMap::new(),
            next_id: 0,
        };
        world.act(effects);
        world.settle();
        world
    }

    /// Has something happen, and carries out what is to be done at once.
    pub fn step(&mut self, input: Input<u32>) {
        let effects = self.core.step(self.now, input);
        self.act(effects);
        self.check();
    }

    /// As [`Self::step`], and everything that follows.
    pub fn happen(&mut self, input: Input<u32>) {
        self.step(input);
        self.settle();
    }

    /// Does tasks, and lets QEMUs answer, until nothing is left to do.
    pub fn settle(&mut self) {
        for _ in 0..10_000 {
            if self.prompt
                && let Some((task, outcome)) = self.tasks.pop_front()
            {
                self.step(Input::Done(task, outcome));
                continue;
            }
            if self.prompt
                && let Some(run) = self.closing()
            {
                self.close_storage(run, None);
                continue;
            }
            let said = self
                .workers
                .iter_mut()
                .find_map(|(run, qemu)| Some((*run, qemu.next()?)));
            let Some((run, said)) = said else { return };
            self.step(said.into_input(run));
        }
        panic!("the world does not come to rest");
    }

    /// A storage Worker that is to close.
    pub fn closing(&self) -> Option<RunId> {
        let mut storage = self.storage.iter();
        storage.find_map(|(run, (_, closes))| closes.then_some(*run))
    }

    /// A storage Worker has kept all that it could.
    pub fn close_storage(&mut self, run: RunId, failure: Option<Failure>) {
        self.storage.remove(&run);
        self.step(Input::Storage(run, StorageEvent::Closed { failure }));
    }

    /// Lets time pass, with all that becomes due meanwhile.
    pub fn pass(&mut self, ms: f64) {
        let end = self.now + ms;
        while let Some(deadline) = self.core.deadline().filter(|deadline| *deadline <= end) {
            self.now = self.now.max(deadline);
            self.happen(Input::Tick);
        }
        self.now = end;
        self.happen(Input::Tick);
    }

    pub fn join(&mut self, client: u32) -> ClientId {
        let client = ClientId(client);
        self.present.insert(client);
        self.told.entry(client).or_default();
        self.happen(Input::Joined(client));
        client
    }

    pub fn leave(&mut self, client: ClientId) {
        self.present.remove(&client);
        self.happen(Input::Left(client));
    }

    pub fn say(&mut self, client: ClientId, message: &ClientMessage, attachments: Vec<Attached<u32>>) {
        let json = serde_json::to_string(message).unwrap();
        self.happen(Input::Message {
            client,
            version: VERSION,
            json,
            attachments,
        });
    }

    /// Makes a call, and gives its id.
    pub fn call(&mut self, client: ClientId, call: impl Into<Call>, attachments: Vec<Attached<u32>>) -> u32 {
        self.next_id += 1;
        let id = self.next_id;
        self.note_asked(client, id);
        let call = call.into();
        self.say(client, &ClientMessage::Call { id, call }, attachments);
        id
    }

    pub fn note_asked(&mut self, client: ClientId, id: u32) {
        *self.asked.entry(client).or_default().entry(id).or_default() += 1;
    }

    /// The answer to a call, if it has come.
    pub fn answer(&self, client: ClientId, id: u32) -> Option<Result<Value, Failure>> {
        let replies = self.told.get(&client)?.replies.get(&id)?;
        let (failure, value, _) = replies.first()?;
        Some(match failure {
            Some(failure) => Err(failure.clone()),
            None => Ok(value.clone()),
        })
    }

    /// Makes a call that has to be answered at once.
    pub fn ask<M: Method>(&mut self, client: ClientId, call: M) -> Result<Value, Failure> {
        self.ask_with(client, call, Vec::new())
    }

    /// As [`Self::ask`], with attachments. A reply has to be what the call promises.
    pub fn ask_with<M: Method>(
        &mut self,
        client: ClientId,
        call: M,
        attachments: Vec<Attached<u32>>,
    ) -> Result<Value, Failure> {
        let id = self.call(client, call, attachments);
        let answer = self.answer(client, id).expect("no answer");
        if let Ok(value) = &answer {
            serde_json::from_value::<M::Reply>(value.clone()).expect(M::NAME);
        }
        answer
    }

    pub fn subscribe(&mut self, client: ClientId, topic: Topic) -> u32 {
        self.next_id += 1;
        let id = self.next_id;
        self.say(client, &ClientMessage::Subscribe { id, topic }, Vec::new());
        id
    }

    /// Opens a stream of a VM's console; gives its id once the host listens.
    pub fn open_console(&mut self, client: ClientId, vm_id: &str) -> StreamId {
        let vm_id = vm_id.to_owned();
        self.open(client, StreamKind::Console { vm_id })
    }

    /// Opens a stream; gives its id once the host listens.
    pub fn open(&mut self, client: ClientId, stream: StreamKind) -> StreamId {
        let known: BTreeSet<_> = self.streams.keys().copied().collect();
        self.next_id += 1;
        let open = ClientMessage::Open {
            id: self.next_id,
            stream,
        };
        self.say(client, &open, vec![Attached::Other(77)]);
        *self
            .streams
            .keys()
            .find(|stream| !known.contains(stream))
            .expect("no stream")
    }

    pub fn on_stream(&mut self, stream: StreamId, message: &StreamMessage, bytes: Option<&[u8]>) {
        self.happen(Input::OnStream {
            stream,
            version: VERSION,
            json: serde_json::to_string(message).unwrap(),
            bytes: bytes.map(Rc::from),
        });
    }

    pub fn grant(&mut self, stream: StreamId, total: u64) {
        if let Some(shown) = self.streams.get_mut(&stream) {
            shown.granted = shown.granted.max(total);
        }
        self.on_stream(stream, &StreamMessage::Credit { total }, None);
    }

    /// The VM as a new subscriber sees it.
    pub fn vm(&mut self, vm_id: &str) -> Option<VmInfo> {
        let asker = self.join(u32::MAX);
        let id = self.subscribe(asker, Topic::Machines);
        let updates = &self.told[&asker].updates;
        let state = updates.iter().rev().find_map(|(of, update)| match update {
            Update::Snapshot(state) if *of == id => Some(state.clone()),
            _ => None,
        });
        self.leave(asker);
        let vms: Vec<VmInfo> = serde_json::from_value(state?).unwrap();
        vms.into_iter().find(|vm| vm.vm_id == vm_id)
    }

    pub fn state(&mut self, vm_id: &str) -> VmState {
        self.vm(vm_id).expect("no such VM").state
    }

    /// The QEMU of a VM.
    pub fn qemu(&mut self, vm_id: &str) -> (RunId, &mut Qemu) {
        let run = RunId(self.vm(vm_id).expect("no such VM").run);
        (run, self.workers.get_mut(&run).expect("no Worker"))
    }

    /// The guest writes to its console.
    pub fn print(&mut self, vm_id: &str, bytes: &[u8]) {
        self.say_on(vm_id, "serial0", bytes);
    }

    /// The guest writes into a channel.
    pub fn say_on(&mut self, vm_id: &str, channel: &str, bytes: &[u8]) {
        let (run, _) = self.qemu(vm_id);
        self.happen(Input::Received {
            run,
            channel: channel.to_owned(),
            bytes: bytes.to_vec(),
        });
    }

    /// QEMU tells of an event.
    pub fn event(&mut self, vm_id: &str, name: &str, data: Value) {
        let (_, qemu) = self.qemu(vm_id);
        qemu.event(name, data);
        self.settle();
    }

    /// A program in the guest opens or closes a port.
    pub fn set_open(&mut self, vm_id: &str, port: &str, open: bool) {
        let (_, qemu) = self.qemu(vm_id);
        qemu.set_open(port, open);
        self.settle();
    }

    pub fn worker(&mut self, vm_id: &str, said: FromWorker) {
        let (run, _) = self.qemu(vm_id);
        self.happen(Input::Worker(run, said));
    }

    fn act(&mut self, effects: Vec<Effect<u32>>) {
        for effect in effects {
            self.carry_out(effect);
        }
    }

    fn carry_out(&mut self, effect: Effect<u32>) {
        match effect {
            Effect::Send {
                client,
                message,
                attachments,
            } => {
                assert!(
                    self.present.contains(&client),
                    "{message:?} to a client that is gone"
                );
                self.told.entry(client).or_default().take(*message, attachments);
            }
            Effect::OpenStream { stream, client, .. } => {
                let shown = Shown {
                    client: Some(client),
                    ..Shown::default()
                };
                self.streams.insert(stream, shown);
            }
            Effect::SendOnStream {
                stream,
                message,
                bytes,
            } => self.streams.get_mut(&stream).unwrap().take(message, bytes),
            Effect::CloseStream(stream) => self.streams.get_mut(&stream).unwrap().closed = true,
            Effect::StartWorker(run, order) => {
                assert!(!self.workers.contains_key(&run) && !self.ended.contains_key(&run));
                if !order.disks.is_empty() {
                    let disks = self.storage.values();
                    let is_free = disks.into_iter().all(|(vm_id, _)| *vm_id != order.vm_id);
                    assert!(is_free, "two Workers have the disks of {}", order.vm_id);
                    self.storage.insert(run, (order.vm_id.clone(), false));
                }
                self.workers.insert(run, Qemu::new(&order));
            }
            Effect::EndWorker(run) => {
                let worker = self.workers.remove(&run).expect("a Worker is ended twice");
                self.ended.insert(run, worker);
                if let Some((_, closes)) = self.storage.get_mut(&run) {
                    *closes = true;
                }
            }
            Effect::AskStorage(run, _) => {
                assert!(self.storage.contains_key(&run), "nobody has the disks");
            }
            Effect::EndStorage(run) => drop(self.storage.remove(&run)),
            Effect::WriteChannel { run, channel, bytes } => {
                let qemu = self.workers.get_mut(&run).expect("bytes for a QEMU that is gone");
                qemu.write(&channel, &bytes);
            }
            Effect::PrepareSpare { .. } => self.spares = 1,
            Effect::DropSpares => self.spares = 0,
            Effect::OpenFiles { task, files } => {
                let files = files.into_iter().map(|(_, content)| content.file).collect();
                self.tasks.push_back((task, Outcome::Opened(Ok(files))));
            }
            Effect::Recognize(task, recognize) => {
                let found = Outcome::Recognized(Ok(Box::new(recognize.definition)));
                self.tasks.push_back((task, found));
            }
            Effect::HashFile { task, name, content } => {
                let stored = Stored {
                    info: stored_info(&name, content.file),
                    file: content.file,
                };
                self.tasks
                    .push_back((task, Outcome::Hashed(Ok(Box::new(stored)))));
            }
            Effect::CancelTask(task) => {
                self.cancelled.insert(task);
                self.tasks.retain(|(other, _)| *other != task);
            }
            Effect::Write(task, write) => {
                let written = self.write(*write);
                self.tasks.push_back((task, Outcome::Written(Ok(written))));
            }
            Effect::MeasureStorage(task) => self.tasks.push_back((task, Outcome::Measured(None))),
            Effect::DoWithDisks { task, job, .. } => {
                let file = matches!(*job, DiskJob::Export { .. }).then_some(99);
                let done = Outcome::DidWithDisks(Ok((Vec::new(), file)));
                self.tasks.push_back((task, done));
            }
            Effect::Badge(active) => self.badge = Some(active),
            Effect::Close => self.closed = true,
        }
    }

    fn write(&mut self, write: Write<u32>) -> Option<u32> {
        let (name, file) = match write {
            Write::PutVm(vm) => {
                assert!(
                    vm.files.iter().all(|id| self.kept_files.contains(id)),
                    "a VM names a file that is not kept"
                );
                self.kept_vms.insert(vm.vm_id.clone(), vm);
                ("vm", None)
            }
            Write::RemoveVm(vm_id) => {
                self.kept_vms.remove(&vm_id);
                ("no vm", None)
            }
            Write::PutFile(id, _) => {
                assert!(self.kept_files.insert(id), "a file is kept twice");
                ("file", None)
            }
            Write::RemoveFile(id) => {
                self.kept_files.remove(&id);
                ("no file", None)
            }
            Write::PutProfile(_) => ("profile", None),
            Write::RemoveProfile(_) => ("no profile", None),
            Write::PutVariables(..) => ("variables", None),
            Write::RemoveVariables(_) => ("no variables", None),
            Write::PutStored(stored) => ("stored", Some(stored.file)),
            Write::RemoveStored(_) => ("no stored", None),
        };
        self.writes.push(name);
        file
    }

    /// What always holds.
    fn check(&self) {
        for (client, told) in &self.told {
            for (id, replies) in &told.replies {
                let asked = self.asked.get(client).and_then(|asked| asked.get(id)).copied();
                assert!(
                    replies.len() <= asked.unwrap_or(0),
                    "call {id} of {client:?} has {replies:?}"
                );
            }
            if !self.present.contains(client) {
                assert_eq!(self.core.kept_for(*client), 0, "something is kept for {client:?}");
            }
        }
        assert_eq!(
            self.core.forsaken_calls(),
            0,
            "a call is held that nobody waits for"
        );
        assert!(
            self.core.most_kept() <= MOST_KEPT,
            "{} bytes are kept for a VM",
            self.core.most_kept()
        );
        for shown in self.streams.values() {
            assert!(
                shown.received <= shown.granted,
                "more was sent than was asked for"
            );
        }
    }

    /// That each call has been answered once.
    pub fn check_answers(&self) {
        for (client, asked) in &self.asked {
            if !self.present.contains(client) {
                continue;
            }
            for (id, times) in asked {
                let replies = self.told[client].replies.get(id).map_or(0, Vec::len);
                assert_eq!(replies, *times, "answers to call {id} of {client:?}");
            }
        }
    }
}

impl Told {
    fn take(&mut self, message: HostMessage, attachments: Vec<u32>) {
        match message {
            HostMessage::Reply { id, failure, value } => {
                self.replies
                    .entry(id)
                    .or_default()
                    .push((failure, value, attachments));
            }
            HostMessage::Progress { .. } => {}
            HostMessage::Update { id, revision, update } => {
                if let (Update::Delta(_), Some(known)) = (&update, self.revisions.get(&id)) {
                    assert_eq!(revision, known + 1, "a delta was left out");
                }
                self.revisions.insert(id, revision);
                self.updates.push((id, update));
            }
            HostMessage::Error { failure } => self.errors.push(failure),
        }
    }
}

impl Shown {
    fn take(&mut self, message: StreamMessage, bytes: Option<Rc<[u8]>>) {
        assert!(
            !self.ended && !self.closed,
            "{message:?} on a stream that has ended"
        );
        match message {
            StreamMessage::Data { offset } => {
                let bytes = bytes.unwrap();
                if let Some((run, before, length)) = self.pieces.last().copied()
                    && run == self.run
                {
                    assert!(offset >= before + length as u64, "output comes twice");
                }
                self.received += bytes.len() as u64;
                self.pieces.push((self.run, offset, bytes.len()));
                self.bytes.extend_from_slice(&bytes);
            }
            StreamMessage::Credit { total } => self.credit = total,
            StreamMessage::Note { note } if note["type"] != "run" => self.notes.push(note),
            StreamMessage::Note { note } => {
                let run = note["run"].as_u64().unwrap();
                assert!(run == 0 || run > self.run, "a run comes again");
                self.run = run;
                self.missed += note["missed"].as_u64().unwrap();
            }
            StreamMessage::End { failure } => {
                self.failure = failure;
                self.ended = true;
            }
        }
    }
}

/// What a file of this name and content is.
pub fn stored_info(name: &str, content: u32) -> StoredInfo {
    StoredInfo {
        file: StoredFile {
            hash: format!("sha256:{content:064x}"),
            name: name.to_owned(),
            size: 1 << 20,
        },
        what: "a disk".to_owned(),
        kind: FileKind::Disk,
        arch: None,
        format: DiskFormat::Raw,
    }
}
