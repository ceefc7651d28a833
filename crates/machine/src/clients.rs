//! The clients that are connected: what each has asked for and is told of. With a client goes all that is kept for it.

use std::collections::{BTreeMap, HashMap};

use qemuweb_wire::Failure;
use qemuweb_wire::message::{HostMessage, Update};
use qemuweb_wire::topic::{Subject, Topic};
use serde::Serialize;
use serde_json::Value;

use crate::io::{ClientId, Effect, StreamId};

/// Most calls of a client that wait for their answers.
pub(crate) const MAX_CALLS: usize = 1000;
/// Most topics that a client is subscribed to.
pub(crate) const MAX_SUBSCRIPTIONS: usize = 1000;
/// Most streams that a client has open.
pub(crate) const MAX_STREAMS: usize = 300;

/// Names a call that waits for its answer. It is answered once, whoever does it and however often.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Ticket(u64);

impl Ticket {
    /// What a Worker's answer can name it by.
    pub(crate) fn number(self) -> u64 {
        self.0
    }
}

/// Where a stream leads.
#[derive(Clone, Debug)]
pub(crate) struct StreamEnd {
    pub(crate) client: ClientId,
    pub(crate) vm_id: String,
    /// The service that serves it.
    pub(crate) service: usize,
}

#[derive(Debug, Default)]
struct Client {
    /// The topics by their subscriptions' ids.
    subscriptions: BTreeMap<u32, Topic>,
}

/// Everybody who is connected.
#[derive(Debug)]
pub(crate) struct Clients<A> {
    clients: BTreeMap<ClientId, Client>,
    /// The calls that wait: whose, and under which id.
    calls: BTreeMap<Ticket, (ClientId, u32)>,
    streams: BTreeMap<StreamId, StreamEnd>,
    /// The revisions of the topics that somebody is subscribed to.
    revisions: HashMap<Topic, u64>,
    last: u64,
    news: Vec<Effect<A>>,
    /// They come after the news of the same step, so that who has an answer knows what it has brought about.
    replies: Vec<Effect<A>>,
}

impl<A> Default for Clients<A> {
    fn default() -> Self {
        Self {
            clients: BTreeMap::new(),
            calls: BTreeMap::new(),
            streams: BTreeMap::new(),
            revisions: HashMap::new(),
            last: 0,
            news: Vec::new(),
            replies: Vec::new(),
        }
    }
}

impl<A> Clients<A> {
    pub(crate) fn join(&mut self, client: ClientId) {
        self.clients.entry(client).or_default();
    }

    /// Forgets a client; gives the calls and streams that it had.
    pub(crate) fn leave(&mut self, client: ClientId) -> (Vec<Ticket>, Vec<(StreamId, StreamEnd)>) {
        let subscriptions = self.clients.remove(&client).map(|client| client.subscriptions);
        for topic in subscriptions.into_iter().flat_map(BTreeMap::into_values) {
            self.forget_topic(&topic);
        }
        let calls = self.calls.extract_if(.., |_, (of, _)| *of == client);
        let calls = calls.map(|(ticket, _)| ticket).collect();
        let streams = self.streams.extract_if(.., |_, end| end.client == client);
        (calls, streams.collect())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.clients.is_empty()
    }

    pub(crate) fn is_there(&self, client: ClientId) -> bool {
        self.clients.contains_key(&client)
    }

    /// How much is kept for a client.
    pub(crate) fn kept_for(&self, client: ClientId) -> usize {
        let of = |found: &&ClientId| **found == client;
        let subscriptions = self
            .clients
            .get(&client)
            .map_or(0, |client| 1 + client.subscriptions.len());
        let calls = self.calls.values().map(|(client, _)| client).filter(of).count();
        let streams = self.streams.values().map(|end| &end.client).filter(of).count();
        subscriptions + calls + streams
    }

    /// A call came that is going to be answered. `None` when too many wait: then it is answered already.
    pub(crate) fn call(&mut self, client: ClientId, id: u32) -> Option<Ticket> {
        self.last += 1;
        let ticket = Ticket(self.last);
        let waiting = self.calls.values().filter(|(of, _)| *of == client).count();
        self.calls.insert(ticket, (client, id));
        if waiting >= MAX_CALLS {
            let failure = Failure::new(format!(
                "{MAX_CALLS} requests of this page wait for their answers"
            ));
            self.reply::<()>(ticket, Err(failure.with_next_step("Wait for some of them.")));
            return None;
        }
        Some(ticket)
    }

    /// The call of a client that has this id and waits.
    pub(crate) fn waiting(&self, client: ClientId, id: u32) -> Option<Ticket> {
        let mut calls = self.calls.iter();
        calls
            .find(|(_, call)| **call == (client, id))
            .map(|(ticket, _)| *ticket)
    }

    /// Whether a call still waits for its answer.
    pub(crate) fn waits(&self, ticket: Ticket) -> bool {
        self.calls.contains_key(&ticket)
    }

    /// Answers a call, if nobody has.
    pub(crate) fn reply<T: Serialize>(&mut self, ticket: Ticket, reply: Result<T, Failure>) {
        self.reply_with(ticket, reply, Vec::new());
    }

    /// As [`Self::reply`], with attachments.
    pub(crate) fn reply_with<T: Serialize>(
        &mut self,
        ticket: Ticket,
        reply: Result<T, Failure>,
        attachments: Vec<A>,
    ) {
        let Some((client, id)) = self.calls.remove(&ticket) else {
            return;
        };
        let reply =
            reply.and_then(|value| serde_json::to_value(value).map_err(|error| Failure::from_error(&error)));
        let (value, failure) = match reply {
            Ok(value) => (value, None),
            Err(failure) => (Value::Null, Some(failure)),
        };
        self.replies.push(Effect::Send {
            client,
            message: Box::new(HostMessage::Reply { id, failure, value }),
            attachments,
        });
    }

    /// Tells how far a call is.
    pub(crate) fn progress(&mut self, ticket: Ticket, done: u64, total: Option<u64>) {
        if let Some((client, id)) = self.calls.get(&ticket).copied() {
            self.send(client, HostMessage::Progress { id, done, total });
        }
    }

    /// Tells a client something.
    pub(crate) fn send(&mut self, client: ClientId, message: HostMessage) {
        self.news.push(Effect::Send {
            client,
            message: Box::new(message),
            attachments: Vec::new(),
        });
    }

    /// Tells a client of a topic from now on; `state` is all of it now.
    pub(crate) fn subscribe(&mut self, client: ClientId, id: u32, topic: Topic, state: Value) {
        self.unsubscribe(client, id);
        let Some(known) = self.clients.get_mut(&client) else {
            return;
        };
        if known.subscriptions.len() >= MAX_SUBSCRIPTIONS {
            let failure = Failure::new(format!(
                "expected at most {MAX_SUBSCRIPTIONS} subscriptions of a page"
            ));
            return self.send(client, HostMessage::Error { failure });
        }
        known.subscriptions.insert(id, topic.clone());
        let revision = *self.revisions.entry(topic).or_default();
        let update = Update::Snapshot(state);
        self.send(client, HostMessage::Update { id, revision, update });
    }

    pub(crate) fn unsubscribe(&mut self, client: ClientId, id: u32) {
        let known = self.clients.get_mut(&client);
        if let Some(topic) = known.and_then(|client| client.subscriptions.remove(&id)) {
            self.forget_topic(&topic);
        }
    }

    fn forget_topic(&mut self, topic: &Topic) {
        if !self.is_subscribed(topic) {
            self.revisions.remove(topic);
        }
    }

    /// Whether anybody is told of a topic.
    pub(crate) fn is_subscribed(&self, topic: &Topic) -> bool {
        let mut clients = self.clients.values();
        clients.any(|client| client.subscriptions.values().any(|known| known == topic))
    }

    /// Tells of a change to those who are subscribed.
    pub(crate) fn publish<S: Subject>(&mut self, subject: &S, delta: &S::Delta) {
        let topic = subject.topic();
        let Some(revision) = self.revisions.get_mut(&topic) else {
            return;
        };
        *revision += 1;
        let revision = *revision;
        // What a delta is made of has JSON.
        let Ok(delta) = serde_json::to_value(delta) else {
            return;
        };
        let mut told = Vec::new();
        for (client, known) in &self.clients {
            let ids = known.subscriptions.iter().filter(|(_, known)| **known == topic);
            told.extend(ids.map(|(id, _)| (*client, *id)));
        }
        for (client, id) in told {
            let update = Update::Delta(delta.clone());
            self.send(client, HostMessage::Update { id, revision, update });
        }
    }

    /// Opens a stream, unless the client has too many.
    pub(crate) fn open_stream(&mut self, end: StreamEnd) -> Option<StreamId> {
        let open = self
            .streams
            .values()
            .filter(|other| other.client == end.client)
            .count();
        if open >= MAX_STREAMS {
            return None;
        }
        self.last += 1;
        let stream = StreamId(self.last);
        self.streams.insert(stream, end);
        Some(stream)
    }

    pub(crate) fn stream(&self, stream: StreamId) -> Option<&StreamEnd> {
        self.streams.get(&stream)
    }

    /// Forgets a stream; says whether it was open.
    pub(crate) fn close_stream(&mut self, stream: StreamId) -> bool {
        self.streams.remove(&stream).is_some()
    }

    /// Forgets all streams of a VM, and gives them.
    pub(crate) fn close_streams_of(&mut self, vm_id: &str) -> Vec<StreamId> {
        let streams = self.streams.extract_if(.., |_, end| end.vm_id == vm_id);
        streams.map(|(stream, _)| stream).collect()
    }

    /// What is to be sent, news first.
    pub(crate) fn take_effects(&mut self) -> (Vec<Effect<A>>, Vec<Effect<A>>) {
        (std::mem::take(&mut self.news), std::mem::take(&mut self.replies))
    }
}
