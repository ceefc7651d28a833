//! The protocol connection: NUL-terminated JSON messages over two pipes, commands matched to their answers.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, PipeReader, PipeWriter, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use serde_json::{Value, json};

/// Something the browser reports without having been asked.
#[derive(Clone, Debug)]
pub struct Event {
    /// The session it belongs to; `None` for the browser itself.
    pub session: Option<String>,
    /// Such as `Target.attachedToTarget`.
    pub method: String,
    /// As the protocol describes them for `method`.
    pub params: Value,
}

/// A connection to one browser. Clones share it.
#[derive(Clone)]
pub struct Connection {
    shared: Arc<Shared>,
}

struct Shared {
    writer: Mutex<PipeWriter>,
    next_id: AtomicU64,
    /// `None` once the browser has closed its end.
    pending: Mutex<Option<HashMap<u64, Sender<Result<Value>>>>>,
    subscribers: Mutex<Vec<Subscriber>>,
}

struct Subscriber {
    wants: Box<dyn Fn(&Event) -> bool + Send>,
    events: Sender<Event>,
}

impl Connection {
    /// Speaks over the two ends of a browser's `--remote-debugging-pipe`.
    pub(crate) fn new(reader: PipeReader, writer: PipeWriter) -> Self {
        let shared = Arc::new(Shared {
            writer: Mutex::new(writer),
            next_id: AtomicU64::new(1),
            pending: Mutex::new(Some(HashMap::new())),
            subscribers: Mutex::new(Vec::new()),
        });
        let for_thread = Arc::clone(&shared);
        std::thread::spawn(move || for_thread.read_all(reader));
        Connection { shared }
    }

    /// Sends a command, to `session` or else to the browser, and waits for its result.
    pub fn call(
        &self,
        session: Option<&str>,
        method: &str,
        params: Value,
        timeout: Duration,
    ) -> Result<Value> {
        let (sender, receiver) = channel();
        let id = self.send_with(session, method, params, Some(sender))?;
        match receiver.recv_timeout(timeout) {
            Ok(result) => result.with_context(|| format!("{method} failed")),
            Err(RecvTimeoutError::Timeout) => {
                if let Some(pending) = lock(&self.shared.pending).as_mut() {
                    pending.remove(&id);
                }
                bail!(
                    "waited {:.1} s for the browser's answer to {method}",
                    timeout.as_secs_f64()
                )
            }
            Err(RecvTimeoutError::Disconnected) => bail!("the browser went away before it answered {method}"),
        }
    }

    /// Sends a command and does not wait; its answer, an error too, is dropped.
    pub fn send(&self, session: Option<&str>, method: &str, params: Value) -> Result<()> {
        self.send_with(session, method, params, None).map(drop)
    }

    /// All events from now on that `wants` accepts, in order. Dropping the receiver ends the subscription; it
    /// disconnects when the browser goes away.
    pub fn subscribe(&self, wants: impl Fn(&Event) -> bool + Send + 'static) -> Receiver<Event> {
        let (events, receiver) = channel();
        let gone = lock(&self.shared.pending).is_none();
        if !gone {
            lock(&self.shared.subscribers).push(Subscriber {
                wants: Box::new(wants),
                events,
            });
        }
        receiver
    }

    fn send_with(
        &self,
        session: Option<&str>,
        method: &str,
        params: Value,
        answer: Option<Sender<Result<Value>>>,
    ) -> Result<u64> {
        let id = self.shared.next_id.fetch_add(1, Ordering::Relaxed);
        let mut message = json!({ "id": id, "method": method, "params": params });
        if let Some(session) = session {
            message["sessionId"] = session.into();
        }
        let mut bytes = serde_json::to_vec(&message)?;
        bytes.push(0);
        {
            let mut pending = lock(&self.shared.pending);
            let pending = pending
                .as_mut()
                .ok_or_else(|| anyhow!("{method}: the browser is gone"))?;
            if let Some(answer) = answer {
                pending.insert(id, answer);
            }
        }
        lock(&self.shared.writer)
            .write_all(&bytes)
            .with_context(|| format!("cannot send {method}: the browser is gone"))?;
        Ok(id)
    }
}

impl Shared {
    /// The reading thread: ends when the browser closes the pipe, and then disconnects everyone who waits.
    fn read_all(&self, reader: PipeReader) {
        let mut reader = BufReader::with_capacity(1 << 16, reader);
        let mut message = Vec::new();
        loop {
            message.clear();
            match reader.read_until(0, &mut message) {
                Ok(read) if read > 0 && message.last() == Some(&0) => {
                    message.pop();
                }
                _ => break,
            }
            // What is not JSON is not from a DevTools endpoint; whoever waits for an answer will time out and say so.
            if let Ok(value) = serde_json::from_slice(&message) {
                self.dispatch(value);
            }
        }
        *lock(&self.pending) = None;
        lock(&self.subscribers).clear();
    }

    fn dispatch(&self, mut message: Value) {
        if let Some(id) = message["id"].as_u64() {
            let answer = lock(&self.pending)
                .as_mut()
                .and_then(|pending| pending.remove(&id));
            if let Some(answer) = answer {
                let result = match message.get("error") {
                    Some(error) => Err(protocol_error(error)),
                    None => Ok(message["result"].take()),
                };
                // The caller may have stopped waiting.
                let _ = answer.send(result);
            }
        } else if let Some(method) = message["method"].as_str() {
            let event = Event {
                session: message["sessionId"].as_str().map(str::to_owned),
                method: method.to_owned(),
                params: message["params"].take(),
            };
            lock(&self.subscribers).retain(|subscriber| {
                !(subscriber.wants)(&event) || subscriber.events.send(event.clone()).is_ok()
            });
        }
    }
}

fn protocol_error(error: &Value) -> anyhow::Error {
    let message = error["message"].as_str().unwrap_or("unknown error");
    match error["data"].as_str() {
        Some(data) => anyhow!("{message}: {data}"),
        None => anyhow!("{message}"),
    }
}

/// A panic of another thread while it held the lock leaves these maps usable.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
