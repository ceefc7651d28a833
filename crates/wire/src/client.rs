//! The client: what a panel, a popup or a page holds to use VMs.
//!
//! [`QemuClient`] owns nothing that must outlive it. It makes calls, keeps the topics that it subscribes to up to date, and
//! opens streams. The channel to the host is a [`Transport`]; the browser's is [`crate::web::PortTransport`].

mod stream;
mod subscription;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll};

use futures_channel::oneshot;
use serde_json::Value;

use crate::call::Method;
use crate::failure::Failure;
use crate::message::{self, ClientMessage, HostMessage, Packet};
use crate::stream::Kind;
use crate::topic::Subject;

pub use stream::{Stream, StreamEvent};
pub use subscription::{News, Subscription};

/// A channel to the host.
pub trait Transport: Sized {
    /// Bytes, a Blob, a handle or a port. Cloning must be cheap.
    type Attachment: Clone + 'static;

    /// Sends a packet. Ports among the attachments go over to the other side.
    ///
    /// # Errors
    /// A [`Failure`] when the channel is gone.
    fn send(&self, packet: Packet<Self::Attachment>) -> Result<(), Failure>;

    /// Bytes as an attachment.
    fn bytes(&self, bytes: &[u8]) -> Self::Attachment;

    /// How many bytes an attachment has, if it is bytes.
    fn length(attachment: &Self::Attachment) -> Option<usize>;

    /// A new channel: this end of it, and the other as an attachment.
    ///
    /// # Errors
    /// A [`Failure`] when there can be none.
    fn channel(&self) -> Result<(Self, Self::Attachment), Failure>;

    /// Sets who takes the packets that arrive, and starts the channel.
    fn on_packet(&self, take: Box<dyn Fn(Packet<Self::Attachment>)>);

    /// Sets who is told once that the other side is gone.
    fn on_close(&self, closed: Box<dyn FnOnce()>);

    /// Ends the channel.
    fn close(&self);
}

type Answer<A> = Result<(Value, Vec<A>), Failure>;
type OnProgress = Rc<dyn Fn(u64, Option<u64>)>;
type OnFailure = Rc<dyn Fn(Failure)>;

struct Waiting<A> {
    answer: oneshot::Sender<Answer<A>>,
    progress: Option<OnProgress>,
}

struct Inner<T: Transport> {
    transport: T,
    last_id: Cell<u32>,
    waiting: RefCell<HashMap<u32, Waiting<T::Attachment>>>,
    subscriptions: subscription::Subscriptions,
    streams: RefCell<HashMap<u32, Rc<dyn Fn()>>>,
    failed: RefCell<Option<OnFailure>>,
    closed: RefCell<Vec<Box<dyn FnOnce()>>>,
    gone: Cell<bool>,
}

/// Uses the VM host over a [`Transport`]. Clones share one connection.
pub struct QemuClient<T: Transport> {
    inner: Rc<Inner<T>>,
}

impl<T: Transport> Clone for QemuClient<T> {
    fn clone(&self) -> Self {
        Self {
            inner: Rc::clone(&self.inner),
        }
    }
}

/// A call under way: a future of its reply. It was sent when it was made; dropping it leaves it to itself.
#[must_use = "its failure is told by nobody else"]
pub struct Ongoing<R> {
    answer: Pin<Box<dyn Future<Output = Result<R, Failure>>>>,
    cancel: Canceller,
}

/// Cancels a call. Clones cancel the same one.
#[derive(Clone)]
pub struct Canceller(Rc<dyn Fn()>);

impl Canceller {
    /// Wants the reply no longer. The call ends as soon as it can, and is answered.
    pub fn cancel(&self) {
        (self.0)();
    }
}

impl<R> Ongoing<R> {
    /// What cancels it.
    pub fn canceller(&self) -> Canceller {
        self.cancel.clone()
    }
}

impl<R> Future for Ongoing<R> {
    type Output = Result<R, Failure>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.answer.as_mut().poll(context)
    }
}

fn lost() -> Failure {
    Failure::new("the connection to the VM host was closed").with_next_step("Connect again.")
}

impl<T: Transport + 'static> QemuClient<T> {
    /// A client on `transport`.
    pub fn new(transport: T) -> Self {
        let inner = Rc::new(Inner {
            transport,
            last_id: Cell::new(0),
            waiting: RefCell::default(),
            subscriptions: subscription::Subscriptions::default(),
            streams: RefCell::default(),
            failed: RefCell::default(),
            closed: RefCell::default(),
            gone: Cell::new(false),
        });
        let weak: Weak<Inner<T>> = Rc::downgrade(&inner);
        inner.transport.on_packet(Box::new(move |packet| {
            if let Some(inner) = weak.upgrade() {
                inner.take(packet);
            }
        }));
        let weak = Rc::downgrade(&inner);
        inner.transport.on_close(Box::new(move || {
            if let Some(inner) = weak.upgrade() {
                inner.end();
            }
        }));
        Self { inner }
    }

    /// Makes a call, at once: calls reach the host in the order in which they are made.
    ///
    /// The future's errors are the host's [`Failure`], and one that says that the channel is gone.
    pub fn call<M: Method>(&self, call: M) -> Ongoing<M::Reply> {
        self.call_with(call, Vec::new(), None)
    }

    /// As [`Self::call`], with attachments, and with who is told of its progress: bytes done, and in all where that is known.
    pub fn call_with<M: Method>(
        &self,
        call: M,
        attachments: Vec<T::Attachment>,
        progress: Option<OnProgress>,
    ) -> Ongoing<M::Reply> {
        let (id, answer) = self.inner.call(call, attachments, progress);
        self.ongoing(id, async move { typed::<M>(answer.await?.0) })
    }

    /// As [`Self::call`], for a reply that has attachments.
    pub fn call_for_attachments<M: Method>(
        &self,
        call: M,
        progress: Option<OnProgress>,
    ) -> Ongoing<(M::Reply, Vec<T::Attachment>)> {
        let (id, answer) = self.inner.call(call, Vec::new(), progress);
        self.ongoing(id, async move {
            let (value, attachments) = answer.await?;
            Ok((typed::<M>(value)?, attachments))
        })
    }

    fn ongoing<R>(&self, id: u32, answer: impl Future<Output = Result<R, Failure>> + 'static) -> Ongoing<R> {
        let weak = Rc::downgrade(&self.inner);
        Ongoing {
            answer: Box::pin(answer),
            cancel: Canceller(Rc::new(move || {
                if let Some(inner) = weak.upgrade()
                    && inner.waiting.borrow().contains_key(&id)
                {
                    // A host that is gone cancels everything.
                    let _ = inner.send(&ClientMessage::Cancel { id }, Vec::new());
                }
            })),
        }
    }

    /// Keeps up with a topic for as long as the subscription lives: `heard` is called with all of it first, and then with each
    /// change after it was made. What was missed comes as all of it anew.
    pub fn subscribe<S: Subject + 'static>(
        &self,
        subject: &S,
        heard: impl Fn(News<'_, S>) + 'static,
    ) -> Subscription {
        subscription::subscribe(&self.inner, subject, heard)
    }

    /// Opens a stream. It is closed when it is dropped.
    ///
    /// # Errors
    /// A [`Failure`] when the channel is gone.
    pub fn open<K: Kind>(
        &self,
        kind: &K,
        heard: impl Fn(StreamEvent<K, T::Attachment>) + 'static,
    ) -> Result<Stream<T, K>, Failure> {
        stream::open(&self.inner, kind, heard)
    }

    /// Sets who is told of what fails and belongs to no call, subscription or stream.
    pub fn on_failure(&self, failed: impl Fn(Failure) + 'static) {
        *self.inner.failed.borrow_mut() = Some(Rc::new(failed));
    }

    /// Calls `closed` once when the host is gone. Calls under way fail by then.
    pub fn on_close(&self, closed: impl FnOnce() + 'static) {
        self.inner.closed.borrow_mut().push(Box::new(closed));
    }

    /// Leaves the host. VMs go on; calls under way fail, and streams end.
    pub fn terminate(&self) {
        self.inner.transport.close();
        self.inner.closed.borrow_mut().clear();
        self.inner.end();
    }
}

fn typed<M: Method>(value: Value) -> Result<M::Reply, Failure> {
    serde_json::from_value(value).map_err(|error| Failure {
        causes: vec![error.to_string()],
        ..Failure::new(format!(
            "the answer to {} is not what this version knows",
            M::NAME
        ))
    })
}

impl<T: Transport> Inner<T> {
    fn next_id(&self) -> u32 {
        self.last_id.set(self.last_id.get().wrapping_add(1));
        self.last_id.get()
    }

    fn send(&self, message: &ClientMessage, attachments: Vec<T::Attachment>) -> Result<(), Failure> {
        if self.gone.get() {
            return Err(lost());
        }
        self.transport.send(Packet::new(message, attachments)?)
    }

    fn call<M: Method>(
        &self,
        call: M,
        attachments: Vec<T::Attachment>,
        progress: Option<OnProgress>,
    ) -> (u32, impl Future<Output = Answer<T::Attachment>> + use<T, M>) {
        let (answer, receiver) = oneshot::channel();
        let id = self.next_id();
        self.waiting.borrow_mut().insert(id, Waiting { answer, progress });
        let call = call.into();
        let sent = self.send(&ClientMessage::Call { id, call }, attachments);
        if sent.is_err() {
            self.waiting.borrow_mut().remove(&id);
        }
        (id, async move {
            sent?;
            receiver.await.unwrap_or_else(|_| Err(lost()))
        })
    }

    fn take(self: &Rc<Self>, packet: Packet<T::Attachment>) {
        let message = message::check_version(packet.version)
            .map_err(|error| Failure::from_error(&error).with_next_step("Reload this page."))
            .and_then(|()| serde_json::from_str(&packet.json).map_err(|error| Failure::from_error(&error)));
        match message {
            Ok(HostMessage::Reply { id, failure, value }) => {
                let waiting = self.waiting.borrow_mut().remove(&id);
                if let Some(waiting) = waiting {
                    let answer = failure.map_or(Ok((value, packet.attachments)), Err);
                    // Whoever dropped the future wants no answer.
                    let _ = waiting.answer.send(answer);
                }
            }
            Ok(HostMessage::Progress { id, done, total }) => {
                let waiting = self.waiting.borrow();
                let progress = waiting.get(&id).and_then(|waiting| waiting.progress.clone());
                drop(waiting);
                if let Some(progress) = progress {
                    progress(done, total);
                }
            }
            Ok(HostMessage::Update { id, revision, update }) => {
                if let Err(failure) = subscription::update(self, id, revision, update) {
                    self.fail(failure);
                }
            }
            Ok(HostMessage::Error { failure }) | Err(failure) => self.fail(failure),
        }
    }

    fn fail(&self, failure: Failure) {
        let failed = self.failed.borrow().clone();
        if let Some(failed) = failed {
            failed(failure);
        }
    }

    /// The other side is gone, or we are.
    fn end(&self) {
        if self.gone.replace(true) {
            return;
        }
        self.waiting.borrow_mut().clear();
        let streams = std::mem::take(&mut *self.streams.borrow_mut());
        streams.values().for_each(|ended| ended());
        for closed in self.closed.take() {
            closed();
        }
    }
}

#[cfg(test)]
mod tests;
