//! Follows the browser's targets: pages, frames of extensions, workers. Attaches to each and keeps what they print.

use std::collections::HashMap;
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use serde_json::{Value, json};

use crate::connection::lock;
use crate::log::{LogEntry, printed};
use crate::{Connection, Event};

/// One target as the browser describes it.
#[derive(Clone, Debug)]
pub struct Target {
    /// The browser's name for it.
    pub id: String,
    /// `page`, `iframe`, `background_page` (an offscreen document; `other` at first), `service_worker`, `worker`, …
    pub kind: String,
    /// Where it is now.
    pub url: String,
    /// Its document's title.
    pub title: String,
    /// Our session with it.
    pub session: String,
    /// The session that attached us to it; `None` for the browser itself.
    pub(crate) parent: Option<String>,
}

/// The targets that are alive now, kept up to date by a thread.
#[derive(Clone)]
pub struct Targets {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// By target id.
    alive: HashMap<String, Target>,
    log: Vec<LogEntry>,
}

/// A log that grows without end would take the machine with it; the newest entries are the ones that explain.
const MAX_LOG: usize = 20_000;

impl Targets {
    /// Begins to follow the targets of `connection`, those that exist included.
    pub(crate) fn follow(connection: &Connection, timeout: Duration) -> Result<Self> {
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            changed: Condvar::new(),
        });
        let events = connection.subscribe(|event| {
            event.method.starts_with("Target.")
                || event.method.starts_with("Runtime.")
                || event.method == "Log.entryAdded"
        });
        let follower = Follower {
            connection: connection.clone(),
            shared: Arc::clone(&shared),
        };
        std::thread::spawn(move || follower.run(events));
        connection.call(
            None,
            "Target.setDiscoverTargets",
            json!({ "discover": true }),
            timeout,
        )?;
        connection.call(None, "Target.setAutoAttach", auto_attach(), timeout)?;
        Ok(Targets { shared })
    }

    /// All targets alive now.
    pub fn all(&self) -> Vec<Target> {
        lock(&self.shared.state).alive.values().cloned().collect()
    }

    /// The first target that `wanted` accepts, waiting for it to appear. `what` names it in the error.
    pub fn wait(&self, what: &str, timeout: Duration, wanted: impl Fn(&Target) -> bool) -> Result<Target> {
        self.wait_state(timeout, |alive| {
            alive.values().find(|target| wanted(target)).cloned()
        })
        .or_else(|()| {
            let seen: Vec<String> = self
                .all()
                .iter()
                .map(|t| format!("{} {}", t.kind, t.url))
                .collect();
            bail!(
                "waited {:.1} s for {what}; targets: {}",
                timeout.as_secs_f64(),
                seen.join(", ")
            )
        })
    }

    /// Waits until no target is accepted by `unwanted`.
    pub fn wait_gone(&self, what: &str, timeout: Duration, unwanted: impl Fn(&Target) -> bool) -> Result<()> {
        self.wait_state(timeout, |alive| (!alive.values().any(&unwanted)).then_some(()))
            .or_else(|()| bail!("waited {:.1} s for {what} to go away", timeout.as_secs_f64()))
    }

    /// What all targets have printed so far, oldest first.
    pub fn log(&self) -> Vec<LogEntry> {
        lock(&self.shared.state).log.clone()
    }

    fn wait_state<T>(
        &self,
        timeout: Duration,
        mut check: impl FnMut(&HashMap<String, Target>) -> Option<T>,
    ) -> Result<T, ()> {
        let deadline = Instant::now() + timeout;
        let mut state = lock(&self.shared.state);
        loop {
            if let Some(found) = check(&state.alive) {
                return Ok(found);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(());
            }
            state = self
                .shared
                .changed
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }
}

struct Follower {
    connection: Connection,
    shared: Arc<Shared>,
}

impl Follower {
    fn run(self, events: Receiver<Event>) {
        for event in events {
            match event.method.as_str() {
                "Target.attachedToTarget" => self.attached(&event),
                "Target.detachedFromTarget" => {
                    let session = event.params["sessionId"].as_str().unwrap_or_default();
                    lock(&self.shared.state)
                        .alive
                        .retain(|_, target| target.session != session);
                }
                "Target.targetInfoChanged" => self.changed(&event.params["targetInfo"]),
                "Target.targetDestroyed" => {
                    let id = event.params["targetId"].as_str().unwrap_or_default();
                    lock(&self.shared.state).alive.remove(id);
                }
                _ => self.printed(&event),
            }
            self.shared.changed.notify_all();
        }
    }

    fn attached(&self, event: &Event) {
        let (info, session) = (&event.params["targetInfo"], text(&event.params["sessionId"]));
        let target = Target {
            id: text(&info["targetId"]),
            kind: text(&info["type"]),
            url: text(&info["url"]),
            title: text(&info["title"]),
            session: session.clone(),
            parent: event.session.clone(),
        };
        // Below, a browser that is gone is noticed by whoever waits for something.
        if lock(&self.shared.state).alive.contains_key(&target.id) {
            // A service worker is offered by the browser and by each of its pages: the first session is enough.
            let detach = json!({ "sessionId": session });
            let _ = self
                .connection
                .send(event.session.as_deref(), "Target.detachFromTarget", detach);
            return;
        }
        // Not every kind of target has every domain.
        for (method, params) in [
            ("Target.setAutoAttach", auto_attach()),
            ("Runtime.enable", json!({})),
            ("Log.enable", json!({})),
        ] {
            let _ = self.connection.send(Some(&session), method, params);
        }
        lock(&self.shared.state).alive.insert(target.id.clone(), target);
    }

    fn changed(&self, info: &Value) {
        let id = text(&info["targetId"]);
        if let Some(target) = lock(&self.shared.state).alive.get_mut(&id) {
            target.kind = text(&info["type"]);
            target.url = text(&info["url"]);
            target.title = text(&info["title"]);
        }
    }

    fn printed(&self, event: &Event) {
        let (Some((level, text)), Some(session)) = (printed(event), &event.session) else {
            return;
        };
        let mut state = lock(&self.shared.state);
        let target = state.alive.values().find(|target| target.session == *session);
        let (target_kind, target_url) = target.map_or_else(Default::default, |target| {
            (target.kind.clone(), target.url.clone())
        });
        if state.log.len() == MAX_LOG {
            state.log.drain(..MAX_LOG / 2);
        }
        state.log.push(LogEntry {
            target_kind,
            target_url,
            level,
            text,
        });
    }
}

/// Attach to everything below, DevTools front ends too, without stopping it.
fn auto_attach() -> Value {
    json!({ "autoAttach": true, "waitForDebuggerOnStart": false, "flatten": true })
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
