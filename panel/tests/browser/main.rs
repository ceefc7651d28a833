//! Components in a real document: focus, keyboard, dialogs, what they ask of the host, and what they do with late answers.

#![cfg(target_arch = "wasm32")]
#![allow(clippy::unwrap_used, reason = "a panic here is a failed test with a place")]

mod late;
mod page;

use gloo_timers::future::TimeoutFuture;
use qemuweb_panel::cx::LauncherTab;
use qemuweb_wire::VmState;
use qemuweb_wire::call::{
    Call, ListDisks, PauseVm, PrepareVm, ProfileRef, RemoveVm, RestoreVm, ResumeVm, StartVm, StopVm,
};
use qemuweb_wire::topic::Topic;
use qemuweb_wire::vm::VmInfo;
use sycamore::web::document;
use wasm_bindgen::JsCast;
use wasm_bindgen_test::{wasm_bindgen_test, wasm_bindgen_test_configure};
use web_sys::{Element, Event, EventInit, HtmlInputElement, MouseEvent};

use page::{Page, vm};

wasm_bindgen_test_configure!(run_in_browser);

fn focused() -> Element {
    document().active_element().unwrap()
}

/// The ids of the profiles that the host is to prepare for; it is asked nothing else.
async fn prepared(page: &Page) -> Vec<String> {
    let id = |call| match call {
        Call::PrepareVm(PrepareVm {
            profile: ProfileRef::Inline(profile),
        }) => profile.id,
        other => panic!("{other:?}"),
    };
    page.asked().await.into_iter().map(id).collect()
}

#[wasm_bindgen_test]
async fn a_machine_is_prepared_for_who_reaches_for_its_button() {
    let stopped = VmInfo {
        started_at: 1.0,
        ..vm("a", VmState::NOT_STARTED)
    };
    let page = Page::new(vec![stopped]).await;
    page.panel
        .cx
        .run(|| page.panel.cx.nav.open_launcher(LauncherTab::Guests));
    for (button, profile) in [
        (
            "[data-profile-id=linux-aarch64-virt-nographic] [data-testid=launch]",
            "linux-aarch64-virt-nographic",
        ),
        ("[data-testid=recent-open]", "minimal-x86_64"),
    ] {
        let event = Event::new("pointerenter").unwrap();
        page.get(button).dispatch_event(&event).unwrap();
        assert_eq!(prepared(&page).await, [profile]);
    }
}

#[wasm_bindgen_test]
async fn what_was_started_last_is_prepared_and_else_the_default_guest() {
    let page = Page::new(vec![]).await;
    page.panel.cx.run(|| page.panel.machines.prepare_likely());
    assert_eq!(prepared(&page).await, ["minimal-x86_64"]);
    let profile = qemuweb_vm_config::find_profile("linux-aarch64-virt-nographic").unwrap();
    let last = VmInfo {
        started_at: 2.0,
        ..VmInfo::new("b".into(), "B".into(), profile.into())
    };
    let first = VmInfo {
        started_at: 1.0,
        ..vm("a", VmState::NOT_STARTED)
    };
    let page = Page::new(vec![first, last]).await;
    page.panel.cx.run(|| page.panel.machines.prepare_likely());
    assert_eq!(prepared(&page).await, ["linux-aarch64-virt-nographic"]);
}

#[wasm_bindgen_test]
async fn the_default_guest_is_one_click_away() {
    let page = Page::new(vec![]).await;
    page.get("[data-testid=launch-default]").click();
    let asked = page.asked().await;
    assert!(
        matches!(&asked[..], [Call::StartVm(StartVm { vm_id, .. })] if vm_id == "minimal-x86_64"),
        "{asked:?}"
    );
}

#[wasm_bindgen_test]
async fn a_row_is_opened_by_enter_and_by_click() {
    let page = Page::new(vec![vm("a", VmState::Running), vm("b", VmState::Running)]).await;
    page.press("[data-vm-id=b]", "Enter");
    assert_eq!(
        page.panel.cx.nav.selected.get_clone_untracked().as_deref(),
        Some("b")
    );
    assert_eq!(
        page.get("[data-vm-id=b]")
            .get_attribute("aria-selected")
            .as_deref(),
        Some("true")
    );
    page.get("[data-vm-id=a]").click();
    assert_eq!(
        page.panel.cx.nav.selected.get_clone_untracked().as_deref(),
        Some("a")
    );
}

#[wasm_bindgen_test]
async fn delete_removes_and_can_be_undone() {
    let page = Page::new(vec![vm("a", VmState::NOT_STARTED), vm("b", VmState::Running)]).await;
    page.press("[data-vm-id=b]", "Delete");
    assert!(page.asked().await.is_empty(), "what runs is not removed");
    page.press("[data-vm-id=a]", "Delete");
    let asked = [
        Call::from(RemoveVm { vm_id: "a".into() }),
        Call::from(ListDisks {}),
    ];
    assert_eq!(page.asked().await, asked);
    page.get("[data-testid=undo]").click();
    assert_eq!(page.asked().await, [Call::from(RestoreVm { vm_id: "a".into() })]);
    assert!(page.find("[data-testid=undo]").is_none());
}

#[wasm_bindgen_test]
async fn force_stop_asks_while_something_can_be_lost() {
    let page = Page::new(vec![vm("a", VmState::Running), vm("b", VmState::Starting)]).await;
    page.show("a");
    page.get("[data-testid=force-stop]").click();
    assert!(page.asked().await.is_empty());
    page.get("[data-testid=confirm-ok]").click();
    assert_eq!(
        page.asked().await,
        [Call::from(StopVm {
            vm_id: "a".into(),
            force: true
        })]
    );

    page.show("b");
    page.get("[data-testid=force-stop]").click();
    assert_eq!(
        page.asked().await,
        [Call::from(StopVm {
            vm_id: "b".into(),
            force: true
        })]
    );
}

#[wasm_bindgen_test]
async fn arrows_move_inside_the_toolbar_which_has_one_tab_stop() {
    let page = Page::new(vec![vm("a", VmState::NOT_STARTED)]).await;
    page.show("a");
    TimeoutFuture::new(20).await;
    page.press("[data-testid=new-vm]", "ArrowRight");
    assert_eq!(focused().get_attribute("data-testid").as_deref(), Some("start"));
    assert_eq!(page.find_all(".toolbar [tabindex='0']"), 1);
}

#[wasm_bindgen_test]
async fn slash_goes_to_the_filter() {
    let page = Page::new(vec![vm("a", VmState::Running), vm("b", VmState::Running)]).await;
    page.press("[data-vm-id=a]", "/");
    TimeoutFuture::new(20).await;
    assert_eq!(focused().id(), "filter");
    page.panel.machines.filter.set("b".into());
    assert!(page.find("[data-vm-id=a]").is_none() && page.find("[data-vm-id=b]").is_some());
}

#[wasm_bindgen_test]
async fn what_was_not_typed_is_told() {
    let page = Page::new(vec![vm("a", VmState::Running)]).await;
    // Without xterm.js there is no console to type into.
    page.panel.consoles.type_in("a", b"a paste");
    let notice = page.get("[data-testid=error]");
    assert!(notice.text_content().unwrap().contains("there is no connection"));
}

#[wasm_bindgen_test]
async fn pause_and_resume_take_one_button() {
    let page = Page::new(vec![vm("a", VmState::Running), vm("b", VmState::Paused)]).await;
    for (vm_id, name) in [("a", "Pause"), ("b", "Resume")] {
        page.show(vm_id);
        let button = page.get("[data-testid=pause]");
        assert_eq!(button.get_attribute("aria-label").as_deref(), Some(name));
        button.click();
    }
    let expected: [Call; 2] = [
        PauseVm { vm_id: "a".into() }.into(),
        ResumeVm { vm_id: "b".into() }.into(),
    ];
    assert_eq!(page.asked().await, expected);
}

#[wasm_bindgen_test]
async fn only_the_machine_that_is_shown_is_measured() {
    let page = Page::new(vec![vm("a", VmState::Running), vm("b", VmState::Running)]).await;
    let measured = || {
        let topics = page.host.topics().into_iter();
        let machine = topics.filter_map(|topic| match topic {
            Topic::Machine { vm_id } => Some(vm_id),
            _ => None,
        });
        machine.collect::<Vec<_>>()
    };
    for vm_id in ["a", "b", "a"] {
        page.show(vm_id);
        page.asked().await;
        assert_eq!(measured(), [vm_id]);
    }
    page.get("[data-testid=new-vm]").click();
    page.asked().await;
    assert!(measured().is_empty());
}

#[wasm_bindgen_test]
async fn a_row_has_a_menu() {
    let page = Page::new(vec![vm("a", VmState::Running), vm("b", VmState::NOT_STARTED)]).await;
    let ask = |selector: &str| {
        let options = EventInit::new();
        options.set_bubbles(true);
        let event =
            MouseEvent::new_with_mouse_event_init_dict("contextmenu", options.unchecked_ref()).unwrap();
        page.get(selector).dispatch_event(&event).unwrap();
    };
    ask("[data-vm-id=b]");
    page.asked().await;
    assert!(page.get("[data-testid=vm-stop]").has_attribute("disabled"));
    page.get("[data-testid=vm-remove]").click();
    let asked = [
        Call::from(RemoveVm { vm_id: "b".into() }),
        Call::from(ListDisks {}),
    ];
    assert_eq!(page.asked().await, asked);
    ask("[data-vm-id=a]");
    page.asked().await;
    page.get("[data-testid=vm-pause]").click();
    assert_eq!(page.asked().await, [Call::from(PauseVm { vm_id: "a".into() })]);
}

#[wasm_bindgen_test]
async fn a_form_keeps_what_was_typed_and_a_template_is_used_once() {
    let page = Page::new(vec![vm("a", VmState::Running)]).await;
    let memory = || page.get("#memory").unchecked_into::<HtmlInputElement>();
    page.get("[data-testid=new-vm]").click();
    page.get("[data-profile-id=linux-aarch64-virt-nographic] [data-testid=customize]")
        .click();
    memory().set_value("777");
    memory().dispatch_event(&Event::new("input").unwrap()).unwrap();
    page.get("[data-vm-id=a]").click();
    page.get("[data-testid=new-vm]").click();
    page.get("#launcher-custom").click();
    assert_eq!(memory().value(), "777");
}

#[wasm_bindgen_test]
async fn traffic_stands_in_place_of_the_machine_or_beside_it() {
    let page = Page::new(vec![vm("a", VmState::Running)]).await;
    page.show("a");
    page.panel.cx.nav.beside.set(false);
    page.get("[data-testid=show-capture]").click();
    assert!(page.find("#panel-console").is_none() && page.find("section.capture").is_some());
    page.get("[data-testid=capture-beside]").click();
    assert!(page.find("#panel-console").is_some() && page.find("section.capture").is_some());
    // Who chooses a machine then keeps both.
    page.get("[data-vm-id=a]").click();
    assert!(page.find("section.capture").is_some());
    page.get("[data-testid=capture-beside]").click();
    page.get("[data-vm-id=a]").click();
    assert!(page.find("#panel-console").is_some() && page.find("section.capture").is_none());
}

#[wasm_bindgen_test]
async fn keys_by_themselves_can_be_turned_off() {
    let page = Page::new(vec![vm("a", VmState::Running)]).await;
    page.show("a");
    page.panel.single_keys.set(false);
    page.press("[data-vm-id=a]", "n");
    assert!(page.find("#launcher-panel").is_none());
    page.panel.single_keys.set(true);
    page.press("[data-vm-id=a]", "n");
    assert!(page.find("#launcher-panel").is_some());
}
