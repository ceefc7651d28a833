//! The client's end of a stream.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use super::{Inner, Transport, lost};
use crate::failure::Failure;
use crate::message::{ClientMessage, Packet, check_version};
use crate::stream::{Incoming, Kind, MAX_PIECE, Outgoing, StreamMessage, WINDOW};

/// Most bytes that wait to be sent. More is refused, whole.
const MAX_QUEUED: usize = 4 << 20;

/// What comes on a stream.
pub enum StreamEvent<K: Kind, A> {
    /// Bytes. Whoever has dealt with them says so with [`Stream::taken`].
    Data {
        /// How many bytes of the content came before them.
        offset: u64,
        /// The bytes.
        bytes: A,
    },
    /// Something else.
    Note(K::FromHost),
    /// No more comes.
    End(Option<Failure>),
}

/// One end of a stream. Dropping it closes it.
pub struct Stream<T: Transport, K: Kind> {
    end: Rc<End<T>>,
    forget: Box<dyn Fn()>,
    kind: std::marker::PhantomData<K>,
}

struct End<T: Transport> {
    port: T,
    incoming: Cell<Incoming>,
    outgoing: Cell<Outgoing>,
    queue: RefCell<VecDeque<u8>>,
    /// What is said when the queue is empty.
    behind: RefCell<Option<StreamMessage>>,
    /// Bytes that were ever sent.
    sent: Cell<u64>,
    open: Cell<bool>,
}

pub(super) fn open<T: Transport + 'static, K: Kind>(
    inner: &Rc<Inner<T>>,
    kind: &K,
    heard: impl Fn(StreamEvent<K, T::Attachment>) + 'static,
) -> Result<Stream<T, K>, Failure> {
    let (port, other) = inner.transport.channel()?;
    let end = Rc::new(End {
        port,
        incoming: Cell::new(Incoming::new(WINDOW)),
        outgoing: Cell::default(),
        queue: RefCell::default(),
        behind: RefCell::default(),
        sent: Cell::new(0),
        open: Cell::new(true),
    });
    let id = inner.next_id();
    let heard = Rc::new(heard);
    let weak = Rc::downgrade(&end);
    let hears = Rc::clone(&heard);
    end.port.on_packet(Box::new(move |packet| {
        if let Some(end) = weak.upgrade().filter(|end| end.open.get()) {
            end.take::<K>(packet, &*hears);
        }
    }));
    let weak = Rc::downgrade(&end);
    let ended = move || {
        if let Some(end) = weak.upgrade()
            && end.open.replace(false)
        {
            heard(StreamEvent::End(Some(lost())));
        }
    };
    let stream = kind.kind();
    inner.send(&ClientMessage::Open { id, stream }, vec![other])?;
    inner.streams.borrow_mut().insert(id, Rc::new(ended));
    let total = end.incoming.get().granted();
    end.send(&StreamMessage::Credit { total }, Vec::new());
    let weak = Rc::downgrade(inner);
    Ok(Stream {
        end,
        forget: Box::new(move || {
            if let Some(inner) = weak.upgrade() {
                inner.streams.borrow_mut().remove(&id);
            }
        }),
        kind: std::marker::PhantomData,
    })
}

impl<T: Transport, K: Kind> Stream<T, K> {
    /// Sends bytes, behind those that were sent before, as the host takes them.
    ///
    /// # Errors
    /// A [`Failure`] when the stream has ended, or when so much waits already that none of the bytes were taken.
    pub fn send(&self, bytes: &[u8]) -> Result<(), Failure> {
        if !self.end.open.get() {
            return Err(lost());
        }
        let mut queue = self.end.queue.borrow_mut();
        if queue.len() + bytes.len() > MAX_QUEUED {
            return Err(Failure::new(format!(
                "the guest does not take its input: {} bytes were not sent",
                bytes.len()
            ))
            .with_next_step("Wait until it has taken what was sent before."));
        }
        queue.extend(bytes);
        drop(queue);
        self.end.pump();
        Ok(())
    }

    /// Bytes that wait because the host takes no more at present.
    pub fn queued(&self) -> usize {
        self.end.queue.borrow().len()
    }

    /// Sends something behind all bytes that were sent before, in place of what waits so already: the end of the bytes.
    pub fn note_behind(&self, note: &K::FromClient) {
        if let Ok(note) = serde_json::to_value(note) {
            *self.end.behind.borrow_mut() = Some(StreamMessage::Note { note });
            self.end.pump();
        }
    }

    /// Sends something beside bytes, at once: those that wait come after it.
    pub fn note(&self, note: &K::FromClient) {
        // A note is plain data and has a JSON form.
        if let Ok(note) = serde_json::to_value(note) {
            self.end.send(&StreamMessage::Note { note }, Vec::new());
        }
    }

    /// Notes that `bytes` of what came have been dealt with, so that more can come.
    pub fn taken(&self, bytes: u64) {
        let mut incoming = self.end.incoming.get();
        let more = incoming.taken(bytes);
        self.end.incoming.set(incoming);
        if let Some(total) = more {
            self.end.send(&StreamMessage::Credit { total }, Vec::new());
        }
    }
}

impl<T: Transport, K: Kind> Drop for Stream<T, K> {
    fn drop(&mut self) {
        (self.forget)();
        if self.end.open.replace(false) {
            self.end.send(&StreamMessage::End { failure: None }, Vec::new());
        }
        self.end.port.close();
    }
}

impl<T: Transport> End<T> {
    fn send(&self, message: &StreamMessage, attachments: Vec<T::Attachment>) {
        // A host that is gone takes nothing; the end of the connection tells it.
        if let Ok(packet) = Packet::new(message, attachments) {
            let _ = self.port.send(packet);
        }
    }

    fn pump(&self) {
        let mut queue = self.queue.borrow_mut();
        let mut outgoing = self.outgoing.get();
        while self.open.get() && !queue.is_empty() && outgoing.room() > 0 {
            let room = usize::try_from(outgoing.room()).unwrap_or(usize::MAX);
            let length = queue.len().min(room).min(MAX_PIECE);
            let piece: Vec<u8> = queue.drain(..length).collect();
            let offset = self.sent.get();
            self.sent.set(offset + length as u64);
            outgoing.sent(length as u64);
            let bytes = self.port.bytes(&piece);
            self.send(&StreamMessage::Data { offset }, vec![bytes]);
        }
        self.outgoing.set(outgoing);
        if queue.is_empty()
            && let Some(message) = self.behind.take()
        {
            self.send(&message, Vec::new());
        }
    }

    fn take<K: Kind>(&self, packet: Packet<T::Attachment>, heard: &dyn Fn(StreamEvent<K, T::Attachment>)) {
        let fail = |message: &str| {
            self.open.set(false);
            heard(StreamEvent::End(Some(Failure::new(message))));
        };
        if check_version(packet.version).is_err() {
            return fail("the VM host speaks another version on a stream");
        }
        match serde_json::from_str(&packet.json) {
            Ok(StreamMessage::Data { offset }) => {
                let bytes = packet.attachments.into_iter().next();
                let Some((bytes, length)) = bytes
                    .and_then(|bytes| Some((T::length(&bytes)?, bytes)))
                    .map(|(l, b)| (b, l))
                else {
                    return fail("expected bytes on a stream");
                };
                let mut incoming = self.incoming.get();
                let is_granted = incoming.received(length as u64);
                self.incoming.set(incoming);
                if !is_granted {
                    return fail("more came on a stream than was asked for");
                }
                heard(StreamEvent::Data { offset, bytes });
            }
            Ok(StreamMessage::Credit { total }) => {
                let mut outgoing = self.outgoing.get();
                outgoing.grant(total);
                self.outgoing.set(outgoing);
                self.pump();
            }
            Ok(StreamMessage::Note { note }) => match serde_json::from_value(note) {
                Ok(note) => heard(StreamEvent::Note(note)),
                Err(_) => fail("a note on a stream is not what this version knows"),
            },
            Ok(StreamMessage::End { failure }) => {
                self.open.set(false);
                heard(StreamEvent::End(failure));
            }
            Err(_) => fail("a message on a stream is not what this version knows"),
        }
    }
}
