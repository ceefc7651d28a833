//! Components in a real document: focus, keyboard, dialogs, what they ask of the host, and what they do with late answers.

#![cfg(target_arch = "wasm32")]
#![allow(clippy::unwrap_used, reason = "a panic here is a failed test with a place")]

mod late;
mod page;

use gloo_timers::future::TimeoutFuture;
use qemuweb_panel::cx::LauncherTab;
use qemuweb_runtime::VmState;
use qemuweb_runtime::failure::Failure;
use qemuweb_runtime::protocol::{Command, ProfileRef, VmInfo};
use sycamore::web::document;
use wasm_bindgen_test::{wasm_bindgen_test, wasm_bindgen_test_configure};
use web_sys::{Element, Event};

use page::{Page, vm};

wasm_bindgen_test_configure!(run_in_browser);

fn focused() -> Element {
    document().active_element().unwrap()
}

/// The ids of the profiles that the host is to prepare for; it is asked nothing else.
async fn prepared(page: &Page) -> Vec<String> {
    let id = |command| match command {
        Command::PrepareVm {
            profile: ProfileRef::Inline(profile),
        } => profile.id,
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
    let page = Page::new(vec![stopped]);
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
    let page = Page::new(vec![]);
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
    let page = Page::new(vec![first, last]);
    page.panel.cx.run(|| page.panel.machines.prepare_likely());
    assert_eq!(prepared(&page).await, ["linux-aarch64-virt-nographic"]);
}

#[wasm_bindgen_test]
async fn the_default_guest_is_one_click_away() {
    let page = Page::new(vec![]);
    page.get("[data-testid=launch-default]").click();
    let asked = page.asked().await;
    assert!(
        matches!(&asked[..], [Command::StartVm { vm_id, .. }] if vm_id == "minimal-x86_64"),
        "{asked:?}"
    );
}

#[wasm_bindgen_test]
async fn a_row_is_opened_by_enter_and_by_click() {
    let page = Page::new(vec![vm("a", VmState::Running), vm("b", VmState::Running)]);
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
    let page = Page::new(vec![vm("a", VmState::NOT_STARTED), vm("b", VmState::Running)]);
    page.press("[data-vm-id=b]", "Delete");
    assert!(page.asked().await.is_empty(), "what runs is not removed");
    page.press("[data-vm-id=a]", "Delete");
    assert_eq!(page.asked().await, [Command::RemoveVm { vm_id: "a".into() }]);
    page.get("[data-testid=undo]").click();
    assert_eq!(page.asked().await, [Command::RestoreVm { vm_id: "a".into() }]);
    assert!(page.find("[data-testid=undo]").is_none());
}

#[wasm_bindgen_test]
async fn force_stop_asks_while_something_can_be_lost() {
    let page = Page::new(vec![vm("a", VmState::Running), vm("b", VmState::Starting)]);
    page.show("a");
    page.get("[data-testid=force-stop]").click();
    assert!(page.asked().await.is_empty());
    page.get("[data-testid=confirm-ok]").click();
    assert_eq!(
        page.asked().await,
        [Command::StopVm {
            vm_id: "a".into(),
            force: true
        }]
    );

    page.show("b");
    page.get("[data-testid=force-stop]").click();
    assert_eq!(
        page.asked().await,
        [Command::StopVm {
            vm_id: "b".into(),
            force: true
        }]
    );
}

#[wasm_bindgen_test]
async fn arrows_move_inside_the_toolbar_which_has_one_tab_stop() {
    let page = Page::new(vec![vm("a", VmState::NOT_STARTED)]);
    page.show("a");
    TimeoutFuture::new(20).await;
    page.press("[data-testid=new-vm]", "ArrowRight");
    assert_eq!(focused().get_attribute("data-testid").as_deref(), Some("start"));
    assert_eq!(page.find_all(".toolbar [tabindex='0']"), 1);
}

#[wasm_bindgen_test]
async fn slash_goes_to_the_filter() {
    let page = Page::new(vec![vm("a", VmState::Running), vm("b", VmState::Running)]);
    page.press("[data-vm-id=a]", "/");
    TimeoutFuture::new(20).await;
    assert_eq!(focused().id(), "filter");
    page.panel.machines.filter.set("b".into());
    assert!(page.find("[data-vm-id=a]").is_none() && page.find("[data-vm-id=b]").is_some());
}

#[wasm_bindgen_test]
async fn what_a_guest_does_not_take_is_told() {
    let page = Page::new(vec![vm("a", VmState::Running)]);
    page.host.hold();
    page.panel.cx.type_in("a", b"a paste");
    page.answer(Err(Failure::new("7 bytes were not typed"))).await;
    let notice = page.get("[data-testid=error]");
    assert!(notice.text_content().unwrap().contains("7 bytes were not typed"));
}
