//! The shelf: what is on its way, what became of it, and the buttons for each.

use std::rc::Rc;

use sycamore::prelude::*;

use super::dialog::TransferDialog;
use super::job::OnTaken;
use super::state::{Question, Stage, Transfer, Transfers};
use crate::cx::Direction;
use crate::kit::browser::copy;
use crate::kit::buttons::{icon_button, text_button};
use crate::kit::failure_view::failure_view;
use crate::kit::icons::{self, icon};
use crate::kit::reactive::{Dynamic, Once, memo};
use crate::kit::text;

/// Longest name that is shown, in characters.
const LONGEST: usize = 80;

/// What is on its way, where there is anything.
#[component]
pub fn TransferShelf() -> View {
    let transfers = Transfers::here();
    let ids = memo(move || {
        transfers
            .list
            .with(|list| list.iter().map(|it| it.id).collect::<Vec<_>>())
    });
    let is_over = |it: &Rc<Transfer>| it.stage.is_over();
    let left = memo(move || {
        transfers
            .list
            .with(|list| list.iter().filter(|it| !is_over(it)).count())
    });
    let can_clear = memo(move || transfers.list.with(|list| list.iter().any(is_over)));
    let title = move || match left.get() {
        0 => "Files".to_owned(),
        left => format!("Files: {left} on their way"),
    };
    view! {
        section(class="transfers", data-testid="transfers", aria-label="Files to and from guests",
            hidden=ids.with(Vec::is_empty)) {
            div(class="transfers-head") {
                h2 { (title()) }
                (Dynamic { of: move || if can_clear.get() {
                    text_button("transfers-clear", "Clear", move |_| transfers.clear())
                } else {
                    View::new()
                } })
            }
            ul(class="transfer-list") {
                Keyed(list=ids, key=|id| *id, view=move |id| view! { Row(transfers=transfers, id=id) })
            }
        }
        // It is there before it says something.
        p(class="visually-hidden", role="status", data-testid="transfer-said") { (transfers.said.get_clone()) }
        TransferDialog {}
    }
}

/// What a transfer is, for people: `big.bin to ~ in Minimal`.
fn title(transfer: &Transfer, vm: &str) -> String {
    let (name, place) = (
        text::printable(&transfer.name, LONGEST),
        text::printable(&transfer.place, LONGEST),
    );
    match transfer.direction {
        Direction::Send => format!("{name} to {place} in {vm}"),
        Direction::Fetch => format!("{place} from {vm}"),
    }
}

#[component(inline_props)]
fn Row(transfers: Transfers, id: u32) -> View {
    let transfer = memo(move || {
        transfers
            .list
            .with(|list| list.iter().find(|it| it.id == id).cloned())
    });
    let of = move |transfer: &Option<Rc<Transfer>>| transfer.as_deref().map(|it| it.stage.clone());
    let stage = memo(move || transfer.with(of).unwrap_or(Stage::Cancelled));
    let Some(now_it) = transfers.get(id) else {
        return View::new();
    };
    let vm = transfers.machines.vm(&now_it.vm_id);
    let title = title(&now_it, vm.as_deref().map_or(&now_it.vm_id, |vm| &vm.name));
    let label = title.clone();
    let name = text::printable(&now_it.name, LONGEST);
    let shape = match now_it.direction {
        Direction::Send => icons::UPLOAD,
        Direction::Fetch => icons::DOWNLOAD,
    };
    let close = memo(move || {
        if stage.with(Stage::is_over) {
            format!("Take {name} from the list")
        } else {
            format!("Cancel {name}")
        }
    });
    let bar_name = title.clone();
    view! {
        li(class="transfer", data-testid="transfer", data-stage=stage.with(Stage::name)) {
            (Once { of: move || icon(shape) })
            span(class="transfer-title", title=label) { (title) }
            (Dynamic { of: move || match stage.get_clone() {
                Stage::Waiting => note("Waits for the files before it"),
                Stage::Looking => note("Asks the guest"),
                Stage::Moving => moving(transfers, transfer, bar_name.clone()),
                Stage::Asks(question) => question_view(transfers, id, question),
                Stage::Done { text, command } => done(text, command),
                Stage::Failed(failure) => failure_view(failure, again(transfers, id)),
                Stage::Cancelled => view! { (note("Cancelled")) (again(transfers, id)) },
            } })
            button(class="tool", r#type="button", data-testid="transfer-close", title=close.get_clone(), aria-label=close.get_clone(),
                on:click=move |_| transfers.dismiss(id)) { (Once { of: move || icon(icons::CLOSE) }) }
        }
    }
}

fn note(text: &'static str) -> View {
    view! { span(class="transfer-note") { (text) } }
}

fn again(transfers: Transfers, id: u32) -> View {
    text_button("transfer-again", "Try again", move |_| transfers.again(id))
}

fn moving(transfers: Transfers, transfer: ReadSignal<Option<Rc<Transfer>>>, name: String) -> View {
    let amounts = memo(move || {
        transfer.with(|it| {
            it.as_deref()
                .map_or((0, None, 0.0), |it| (it.done, it.total, it.began))
        })
    });
    let text = move || {
        let (done, total, began) = amounts.get();
        text::transfer(done, total, transfers.cx.now.get() - began)
    };
    let bar = move || {
        let (done, total, _) = amounts.get();
        total.map_or(View::new(), |total| {
            let (done, total, name) = (done.to_string(), total.max(1).to_string(), name.clone());
            view! { progress(class="progress-bar", value=done, max=total, aria-label=name) }
        })
    };
    view! {
        span(class="transfer-bar") { (bar()) }
        span(class="transfer-note", data-testid="transfer-amount") { (text()) }
    }
}

fn question_view(transfers: Transfers, id: u32, question: Question) -> View {
    let Question::Taken(free) = question else {
        let choose = text_button("transfer-place", "Save as…", move |_| {
            transfers.choose_place(id)
        });
        return view! { (note("Where to?")) (choose) };
    };
    let replace = text_button("transfer-replace", "Replace it", move |_| {
        transfers.resolve(id, OnTaken::Replace);
    });
    let both = free.map(|free| {
        let text = format!("Keep both, as {}", text::printable(&free, LONGEST));
        text_button("transfer-both", text, move |_| {
            transfers.resolve(id, OnTaken::KeepBoth)
        })
    });
    let skip = text_button("transfer-skip", "Skip", move |_| transfers.dismiss(id));
    view! { (note("There is one of that name in the guest.")) (replace) (both) (skip) }
}

fn done(text: String, command: Option<String>) -> View {
    let command = command.map(|command| {
        let shown = text::printable(&command, 4 * LONGEST);
        let button = icon_button(icons::COPY, "transfer-copy", "Copy the command", move |_| {
            copy(command.clone())
        });
        view! { code(class="transfer-command") { (shown) } (button) }
    });
    view! { span(class="transfer-note", data-testid="transfer-done") { (text) } (command) }
}

#[cfg(test)]
mod tests {
    use qemuweb_wire::VmState;
    use qemuweb_wire::failure::Failure;
    use sycamore::web::render_to_string;

    use super::*;
    use crate::cx::Cx;
    use crate::features::machines::state::Machines;
    use crate::features::machines::words::tests::{rows, vm};
    use crate::features::transfer::names::FilePath;

    fn render(stage: Stage) -> String {
        render_to_string(move || {
            let machines = Machines::new(Cx::new(0.0));
            machines.heard(&rows([vm("a", VmState::Running)]), None);
            let transfers = Transfers::new(machines);
            provide_context(machines);
            provide_context(transfers);
            // Nobody is there to give it.
            transfers.fetch("a", &FilePath::parse("/tmp/a<b").unwrap());
            transfers.change(1, |transfer| transfer.stage = stage);
            view! { TransferShelf {} }
        })
    }

    #[test]
    fn each_stage_says_what_can_be_done() {
        for (stage, parts) in [
            (Stage::Moving, &["0 B", "Cancel a&lt;b"][..]),
            (
                Stage::Asks(Question::Taken(Some("a-2".into()))),
                &["transfer-replace", "Keep both, as a-2", "transfer-skip"],
            ),
            (
                Stage::Asks(Question::Taken(None)),
                &["transfer-replace", "transfer-skip"],
            ),
            (Stage::Asks(Question::Place), &["Save as…"]),
            (
                Stage::Done {
                    text: "Sent.".into(),
                    command: Some("ls -l ~/x".into()),
                },
                &["ls -l ~/x", "Copy the command", "transfers-clear"],
            ),
            (
                Stage::Failed(Failure::new("no room").with_next_step("Make room.")),
                &["role=\"alert\"", "no room", "Make room.", "transfer-again"],
            ),
            (
                Stage::Cancelled,
                &["Cancelled", "transfer-again", "Take a&lt;b from the list"],
            ),
        ] {
            let html = render(stage);
            for part in parts {
                assert!(html.contains(part), "{part} in {html}");
            }
            assert!(html.contains("/tmp/a&lt;b from a name"), "{html}");
        }
    }
}
