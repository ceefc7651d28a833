//! The monitor tab: what is measured, QMP requests and events, and the human monitor.

use qemuweb_wire::VmState;
use qemuweb_wire::call::RunMonitor;
use qemuweb_wire::failure::Failure;
use qemuweb_wire::monitor::{MonitorCommand, MonitorEvent};

use serde_json::Value;
use sycamore::prelude::*;
use web_sys::{Event, SubmitEvent};

use super::metrics::MetricsStrip;
use super::state::Monitors;
use crate::features::machines::state::Machines;
use crate::kit::browser::value_of;
use crate::kit::later::Owner;
use crate::kit::reactive::{Dynamic, effect, memo};
use crate::kit::text;

/// Requests whose answers are kept on screen.
const MAX_ENTRIES: usize = 50;

/// A request and what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    key: u32,
    request: String,
    answer: Option<Result<String, String>>,
}

/// An answer as text: the human monitor's as it is, QMP's as indented JSON.
fn show(value: &Value) -> String {
    match value {
        Value::String(text) if text.trim().is_empty() => "(no output)".to_owned(),
        Value::String(text) => text.replace("\r\n", "\n").trim_end().to_owned(),
        Value::Object(fields) if fields.is_empty() => "done".to_owned(),
        value => serde_json::to_string_pretty(value).unwrap_or_default(),
    }
}

/// The tab.
#[component]
pub fn Monitor() -> View {
    let machines = Machines::here();
    let entries = create_signal(Vec::<Entry>::new());
    let owner = Owner::here();
    let has_machine =
        memo(move || machines.of_shown(|vm| vm.state.is_active() && vm.state != VmState::Starting));
    // Answers belong to the VM that was asked.
    effect(move || {
        machines.cx.nav.selected.track();
        entries.set(Vec::new());
    });
    view! {
        div(class="monitor", id="panel-monitor", role="tabpanel", aria-labelledby="tab-monitor", tabindex="0") {
            MetricsStrip {}
            (Dynamic { of: move || if has_machine.get() {
                view! { Requests(machines=machines, entries=entries, owner=owner) }
            } else {
                view! { p(class="hint") { "The monitor answers while the machine runs." } }
            } })
            Events {}
        }
    }
}

#[component(inline_props)]
fn Requests(machines: Machines, entries: Signal<Vec<Entry>>, owner: Owner) -> View {
    let (hmp, qmp) = (create_signal(String::new()), create_signal(String::new()));
    let ask = move |request: String, command: Result<MonitorCommand, String>| {
        ask(machines, entries, owner, request, command);
    };
    let submit_hmp = move |event: SubmitEvent| {
        event.prevent_default();
        let line = hmp.get_clone_untracked().trim().to_owned();
        if !line.is_empty() {
            ask(format!("(qemu) {line}"), Ok(MonitorCommand::Hmp { line }));
            hmp.set(String::new());
        }
    };
    let submit_qmp = move |event: SubmitEvent| {
        event.prevent_default();
        let text = qmp.get_clone_untracked();
        ask(text.trim().to_owned(), MonitorCommand::parse(&text));
    };
    let choose = move |event: Event| {
        let name = value_of(&event);
        let command = MonitorCommand::SIMPLE
            .into_iter()
            .find(|command| command.to_qmp().0 == name);
        if let Some(command) = command {
            ask(name, Ok(command));
        }
    };
    let options: Vec<View> = MonitorCommand::SIMPLE
        .iter()
        .map(|command| {
            let name = command.to_qmp().0.to_owned();
            let value = name.clone();
            view! { option(value=value) { (name) } }
        })
        .collect();
    view! {
        section(aria-labelledby="monitor-title") {
            h2(id="monitor-title") { "Monitor" }
            form(class="ask", on:submit=submit_hmp) {
                label(r#for="hmp") { "HMP" }
                input(r#type="text", id="hmp", class="mono", data-testid="hmp", placeholder="info block",
                    "spellcheck"="false", autocomplete="off", bind:value=hmp)
                button(class="button small", r#type="submit", data-testid="hmp-run") { "Run" }
            }
            form(class="ask", on:submit=submit_qmp) {
                label(r#for="qmp") { "QMP" }
                input(r#type="text", id="qmp", class="mono", data-testid="qmp",
                    placeholder="{\"execute\": \"query-status\"}",
                    "spellcheck"="false", autocomplete="off", bind:value=qmp)
                button(class="button small", r#type="submit", data-testid="qmp-run") { "Run" }
                select(aria-label="QMP request", data-testid="qmp-request", on:change=choose) {
                    option(value="") { "Requests…" }
                    (options)
                }
            }
            div(class="answers", role="log", aria-label="Answers", data-testid="monitor-answers") {
                Keyed(list=entries, key=|entry| (entry.key, entry.answer.is_some()), view=entry_view)
            }
        }
    }
}

fn entry_view(entry: Entry) -> View {
    let (class, answer) = match entry.answer {
        None => ("answer waiting", "…".to_owned()),
        Some(Ok(answer)) => ("answer", answer),
        Some(Err(failure)) => ("answer failed", failure),
    };
    let request = entry.request;
    view! {
        div(class=class) {
            pre(class="request") { (request) }
            pre { (answer) }
        }
    }
}

fn ask(
    machines: Machines,
    entries: Signal<Vec<Entry>>,
    owner: Owner,
    request: String,
    command: Result<MonitorCommand, String>,
) {
    let mut all = entries.get_clone_untracked();
    let key = all.first().map_or(0, |entry| entry.key + 1);
    let command = match command {
        Ok(command) => Some(command),
        Err(problem) => {
            let answer = Some(Err(problem));
            all.insert(0, Entry { key, request, answer });
            return entries.set(all);
        }
    };
    all.insert(
        0,
        Entry {
            key,
            request,
            answer: None,
        },
    );
    all.truncate(MAX_ENTRIES);
    entries.set(all);
    let Some((vm_id, command)) = machines.cx.nav.selected.get_clone_untracked().zip(command) else {
        return;
    };
    let asked = machines.cx.call(RunMonitor { vm_id, command });
    owner.then(asked, move |answer| {
        let answer = answer.as_ref().map(show).map_err(Failure::to_string);
        let mut all = entries.get_clone_untracked();
        if let Some(entry) = all.iter_mut().find(|entry| entry.key == key) {
            entry.answer = Some(answer);
            entries.set(all);
        }
    });
}

#[component]
fn Events() -> View {
    let monitors = Monitors::here();
    let events = monitors.events;
    let rows = move || -> Vec<View> {
        let started = monitors.machines.of_shown(|vm| vm.started_at);
        let events = events.get_clone();
        events
            .into_iter()
            .rev()
            .map(|event| event_row(event, started))
            .collect()
    };
    let is_empty = memo(move || events.with(Vec::is_empty));
    view! {
        section(aria-labelledby="events-title") {
            h2(id="events-title") { "Events" }
            (Dynamic { of: move || if is_empty.get() {
                view! { p(class="hint") { "QEMU has told nothing yet. Pause, reset or shut down, and it does." } }
            } else {
                View::new()
            } })
            ul(class="log", data-testid="monitor-events", hidden=is_empty.get()) { (rows()) }
        }
    }
}

fn event_row(event: MonitorEvent, started: f64) -> View {
    let at = text::seconds(event.at - started);
    let data = match event.data {
        Value::Null => String::new(),
        Value::Object(fields) if fields.is_empty() => String::new(),
        data => data.to_string(),
    };
    let line = format!("{at}  {} {data}", event.name);
    view! { li(class="log-line") { (line) } }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn answers_are_readable() {
        assert_eq!(show(&json!("VM status: running\r\n")), "VM status: running");
        assert_eq!(show(&json!("")), "(no output)");
        assert_eq!(show(&json!({})), "done");
        assert_eq!(show(&json!({"a": 1})), "{\n  \"a\": 1\n}");
    }
}
