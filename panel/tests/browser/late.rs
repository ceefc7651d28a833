//! Answers that come when the view that asked is gone: they are dropped, or told elsewhere, and the panel lives on.

use js_sys::Array;
use qemuweb_panel::cx::{Direction, Tab};
use qemuweb_wire::VmState;
use qemuweb_wire::call::Call;
use qemuweb_wire::failure::Failure;
use qemuweb_wire::stream::StreamKind;

use qemuweb_vm_config::{export_profile, find_profile};
use serde_json::Value;
use wasm_bindgen::JsCast;
use wasm_bindgen_test::wasm_bindgen_test;
use web_sys::{DataTransfer, Event, EventInit, File, HtmlInputElement};

use crate::page::{Page, vm};

/// Shows a VM, as a person does who clicks on it.
fn select(page: &Page, vm_id: &str) {
    page.get(&format!("[data-vm-id={vm_id}]")).click();
}

/// Opens a tab of the launcher.
fn new_vm(page: &Page, tab: &str) {
    page.get("[data-testid=new-vm]").click();
    page.get(&format!("#launcher-{tab}")).click();
}

/// Whether a click still does something.
fn assert_alive(page: &Page) {
    for vm_id in ["a", "b"] {
        select(page, vm_id);
        let row = page.get(&format!("[data-vm-id={vm_id}]"));
        assert_eq!(row.get_attribute("aria-selected").as_deref(), Some("true"));
        for tab in ["details", "disks", "monitor", "settings", "console"] {
            page.get(&format!("#tab-{tab}")).click();
            assert!(page.find(&format!("#panel-{tab}")).is_some(), "{tab}");
        }
    }
    new_vm(page, "files");
    assert!(page.find("[data-testid=stored-files]").is_some());
}

async fn two_vms() -> Page {
    let page = Page::new(vec![vm("a", VmState::Running), vm("b", VmState::NOT_STARTED)]).await;
    select(&page, "a");
    page
}

fn dispatch(page: &Page, selector: &str, event: &str) {
    let options = EventInit::new();
    options.set_bubbles(true);
    options.set_cancelable(true);
    let event = Event::new_with_event_init_dict(event, &options).unwrap();
    page.get(selector).dispatch_event(&event).unwrap();
}

fn fill(page: &Page, selector: &str, text: &str) {
    page.get(selector)
        .unchecked_into::<HtmlInputElement>()
        .set_value(text);
    dispatch(page, selector, "input");
}

/// Chooses a file of this content, as a picker does.
fn choose(page: &Page, selector: &str, name: &str, content: &str) {
    let file = File::new_with_str_sequence(&Array::of1(&content.into()), name).unwrap();
    let transfer = DataTransfer::new().unwrap();
    transfer.items().add_with_file(&file).unwrap();
    let input: HtmlInputElement = page.get(selector).unchecked_into();
    input.set_files(transfer.files().as_ref());
    dispatch(page, selector, "change");
}

fn told(page: &Page) -> String {
    page.find(".notices [data-testid=error]")
        .and_then(|error| error.text_content())
        .unwrap_or_default()
}

#[wasm_bindgen_test]
async fn of_a_monitor_that_was_left() {
    for leave in ["console", "details", "settings"] {
        let page = two_vms().await;
        page.panel.cx.nav.tab.set(Tab::Monitor);
        page.host.hold();
        fill(&page, "#hmp", "info registers");
        dispatch(&page, "form.ask", "submit");
        page.get(&format!("#tab-{leave}")).click();
        page.answer(Ok(Value::from("EAX=00000000"))).await;
        assert_alive(&page);
    }
}

#[wasm_bindgen_test]
async fn of_a_monitor_that_stays() {
    let page = two_vms().await;
    page.panel.cx.nav.tab.set(Tab::Monitor);
    page.host.hold();
    fill(&page, "#hmp", "info registers");
    dispatch(&page, "form.ask", "submit");
    page.answer(Ok(Value::from("EAX=00000000"))).await;
    let answers = page.get("[data-testid=monitor-answers]").text_content().unwrap();
    assert!(answers.contains("EAX=00000000"), "{answers}");
}

#[wasm_bindgen_test]
async fn of_a_file_that_is_stored_while_one_looks_elsewhere() {
    for result in [Ok(Value::Null), Err(Failure::new("no room for it"))] {
        let page = two_vms().await;
        new_vm(&page, "files");
        page.host.hold();
        choose(&page, "#store-file", "disk.img", "a disk");
        select(&page, "a");
        page.answer(result.clone()).await;
        assert_eq!(told(&page).contains("no room for it"), result.is_err());
        assert_alive(&page);
    }
}

#[wasm_bindgen_test]
async fn of_a_profile_that_is_imported_while_one_looks_elsewhere() {
    let mut profile = find_profile("minimal-x86_64").unwrap();
    profile.id = "mine".to_owned();
    let good = export_profile(&profile);
    for content in [good.as_str(), "{}"] {
        let page = two_vms().await;
        new_vm(&page, "guests");
        // While the file is read.
        choose(&page, "#profile-import", "mine.json", content);
        select(&page, "a");
        page.asked().await;
        assert_alive(&page);
    }
    let page = two_vms().await;
    new_vm(&page, "guests");
    page.host.hold();
    choose(&page, "#profile-import", "mine.json", &good);
    let asked = page.asked().await;
    assert!(matches!(&asked[..], [Call::SaveProfile(_)]), "{asked:?}");
    select(&page, "a");
    page.answer(Err(Failure::new("there are too many"))).await;
    assert!(told(&page).contains("there are too many"));
    assert_alive(&page);
}

#[wasm_bindgen_test]
async fn of_a_form_that_was_left() {
    for button in ["launch-custom", "save-vm", "save-profile"] {
        for result in [Ok(Value::Null), Err(Failure::new("that cannot be"))] {
            let page = two_vms().await;
            new_vm(&page, "custom");
            page.host.hold();
            page.get(&format!("[data-testid={button}]")).click();
            select(&page, "a");
            page.answer(result.clone()).await;
            assert_eq!(
                told(&page).contains("that cannot be"),
                result.is_err(),
                "{button}"
            );
            let asked = page.asked().await;
            let is_start = |call: &Call| matches!(call, Call::RestartVm(_));
            let starts = asked.iter().any(is_start);
            assert_eq!(starts, button == "launch-custom" && result.is_ok(), "{asked:?}");
            // Who looks at something else by now stays there.
            let selected = page.panel.cx.nav.selected.get_clone_untracked();
            assert_eq!(selected.as_deref(), Some("a"), "{button}");
            assert_alive(&page);
        }
    }
}

#[wasm_bindgen_test]
async fn a_view_that_is_gone_before_it_was_drawn() {
    let page = two_vms().await;
    for _ in 0..3 {
        for tab in [Tab::Console, Tab::Details, Tab::Console, Tab::Monitor] {
            page.panel.cx.nav.tab.set(tab);
            page.panel.consoles.searching.set(tab == Tab::Console);
        }
        page.asked().await;
    }
    assert_alive(&page);
}

#[wasm_bindgen_test]
async fn of_a_file_that_is_sent_while_one_looks_elsewhere() {
    let page = two_vms().await;
    page.panel.cx.run(|| {
        let to = Some(("a".to_owned(), Direction::Send));
        page.panel.cx.nav.transfer.set(to);
    });
    dispatch(&page, ".transfer-form", "submit");
    choose(&page, "#transfer-files", "../notes.txt", "remember");
    select(&page, "b");
    page.asked().await;
    let is_look = |stream: &StreamKind| matches!(stream, StreamKind::Agent { vm_id, .. } if vm_id == "a");
    assert!(page.host.streams().iter().any(is_look));
    let row = page.get("[data-testid=transfer]");
    assert_eq!(row.get_attribute("data-stage").as_deref(), Some("looking"));
    page.get("[data-testid=transfer-close]").click();
    page.asked().await;
    assert_eq!(row.get_attribute("data-stage").as_deref(), Some("cancelled"));
    page.get("[data-testid=transfer-close]").click();
    assert!(page.find("[data-testid=transfer]").is_none());
    assert_alive(&page);
}
