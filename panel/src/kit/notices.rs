//! The failures that wait to be read, above everything else.

use qemuweb_wire::failure::Failure;
use sycamore::prelude::*;

use super::buttons::dismiss;
use super::failure_view::failure_view;
use super::reactive::{Dynamic, memo};

/// Failures that are shown at a time; how many older ones there are is told.
const MAX_SHOWN: usize = 3;
/// Failures that are kept.
const MAX_KEPT: usize = 50;

/// A failure that waits to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Tells it from others.
    pub key: u32,
    /// What failed.
    pub failure: Failure,
}

/// All failures that wait to be read, the latest last.
#[derive(Clone, Copy)]
pub struct Notices {
    list: Signal<Vec<Notice>>,
    last_key: Signal<u32>,
}

impl Notices {
    /// None. Call it in the root scope.
    pub fn new() -> Self {
        Self {
            list: create_signal(Vec::new()),
            last_key: create_signal(0),
        }
    }

    /// Shows a failure until it is dismissed.
    pub fn report(self, failure: Failure) {
        let key = self.last_key.get_untracked() + 1;
        self.last_key.set(key);
        self.list.update(|list| {
            // The same thing that fails again needs no second place.
            list.retain(|notice| notice.failure != failure);
            list.push(Notice { key, failure });
            if list.len() > MAX_KEPT {
                list.remove(0);
            }
        });
    }

    /// Takes a failure away, wherever it is told from now on.
    pub fn withdraw(self, failure: &Failure) {
        if self
            .list
            .with_untracked(|list| list.iter().any(|it| it.failure == *failure))
        {
            self.list.update(|list| list.retain(|it| it.failure != *failure));
        }
    }

    /// How many there are. Tracked.
    pub fn len(self) -> usize {
        self.list.with(Vec::len)
    }

    /// Whether there is none. Tracked.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    fn dismiss(self, key: u32) {
        self.list.update(|list| list.retain(|notice| notice.key != key));
    }

    /// What is shown, and how many there are beside. Tracked.
    fn shown(self) -> (Vec<Notice>, usize) {
        self.list.with(|list| {
            let first = list.len().saturating_sub(MAX_SHOWN);
            (list[first..].to_vec(), first)
        })
    }
}

impl Default for Notices {
    fn default() -> Self {
        Self::new()
    }
}

/// The failures, each until it is dismissed.
#[component(inline_props)]
pub fn NoticeList(notices: Notices) -> View {
    let list = memo(move || notices.shown().0);
    let more = memo(move || notices.shown().1);
    let all = move |_| notices.list.set(Vec::new());
    view! {
        div(class="notices") {
            (Dynamic { of: move || match more.get() {
                0 => View::new(),
                more => {
                    let text = format!("{more} more failed before.");
                    view! {
                        p(class="undo") {
                            (text)
                            button(class="button small", r#type="button", on:click=all) { "Dismiss all" }
                        }
                    }
                }
            } })
            Keyed(list=list, key=|notice| notice.key, view=move |notice| {
                failure_view(notice.failure, dismiss("Dismiss", move |_| notices.dismiss(notice.key)))
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_failure_is_shown_once_and_none_vanishes_unread() {
        let root = create_root(|| {
            let notices = Notices::new();
            for message in ["x", "y", "x", "z", "w"] {
                notices.report(Failure::new(message));
            }
            let shown = || {
                let (list, more) = notices.shown();
                let texts: Vec<String> = list.into_iter().map(|it| it.failure.message).collect();
                (texts.join(" "), more)
            };
            assert_eq!(shown(), ("x z w".to_owned(), 1));
            let key = notices.list.with(|all| all[2].key);
            notices.dismiss(key);
            assert_eq!(shown(), ("y x w".to_owned(), 0));
            notices.withdraw(&Failure::new("x"));
            assert_eq!(shown(), ("y w".to_owned(), 0));
        });
        root.dispose();
    }
}
