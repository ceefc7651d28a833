//! Keeping up with topics.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::{Rc, Weak};

use super::{Inner, Transport};
use crate::failure::Failure;
use crate::message::{ClientMessage, Update};
use crate::topic::{Subject, Topic};

/// Unsubscribes when dropped.
#[must_use = "dropping it unsubscribes at once"]
pub struct Subscription(Box<dyn Fn()>);

impl Drop for Subscription {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// What a subscriber hears.
pub struct News<'a, S: Subject> {
    /// The topic as it is now.
    pub state: &'a S::State,
    /// The change that made it so; nothing when all of it is new.
    pub delta: Option<&'a S::Delta>,
}

/// Takes an update of this revision. Says whether one was missed before it.
type Take = Rc<dyn Fn(u64, Update) -> Result<bool, Failure>>;

/// All that a client is subscribed to.
#[derive(Default)]
pub(super) struct Subscriptions(RefCell<HashMap<u32, (Topic, Take)>>);

pub(super) fn subscribe<T: Transport + 'static, S: Subject + 'static>(
    inner: &Rc<Inner<T>>,
    subject: &S,
    heard: impl Fn(News<'_, S>) + 'static,
) -> Subscription {
    let (id, topic) = (inner.next_id(), subject.topic());
    let known: RefCell<Option<(u64, S::State)>> = RefCell::default();
    let take = move |revision, update| {
        let failed = |error: serde_json::Error| Failure {
            causes: vec![error.to_string()],
            ..Failure::new("news of the VM host are not what this version knows")
        };
        match update {
            Update::Snapshot(state) => {
                let state: S::State = serde_json::from_value(state).map_err(failed)?;
                heard(News {
                    state: &state,
                    delta: None,
                });
                *known.borrow_mut() = Some((revision, state));
            }
            Update::Delta(delta) => {
                // Before the snapshot, which has it already, nothing is known.
                let Some((last, mut state)) = known.borrow_mut().take() else {
                    return Ok(false);
                };
                if revision != last + 1 {
                    return Ok(true);
                }
                let delta: S::Delta = serde_json::from_value(delta).map_err(failed)?;
                S::apply(&mut state, &delta);
                heard(News {
                    state: &state,
                    delta: Some(&delta),
                });
                *known.borrow_mut() = Some((revision, state));
            }
        }
        Ok(false)
    };
    let entry = (topic.clone(), Rc::new(take) as Take);
    inner.subscriptions.0.borrow_mut().insert(id, entry);
    // A host that is gone has no news.
    let _ = inner.send(&ClientMessage::Subscribe { id, topic }, Vec::new());
    let weak: Weak<Inner<T>> = Rc::downgrade(inner);
    Subscription(Box::new(move || {
        if let Some(inner) = weak.upgrade() {
            inner.subscriptions.0.borrow_mut().remove(&id);
            // As above.
            let _ = inner.send(&ClientMessage::Unsubscribe { id }, Vec::new());
        }
    }))
}

/// Takes news. A subscription that missed some is made anew.
pub(super) fn update<T: Transport>(
    inner: &Rc<Inner<T>>,
    id: u32,
    revision: u64,
    update: Update,
) -> Result<(), Failure> {
    let known = inner.subscriptions.0.borrow().get(&id).cloned();
    let Some((topic, take)) = known else { return Ok(()) };
    if take(revision, update)? {
        inner.send(&ClientMessage::Unsubscribe { id }, Vec::new())?;
        inner.send(&ClientMessage::Subscribe { id, topic }, Vec::new())?;
    }
    Ok(())
}
