//! Components in a real document: focus, keyboard, dialogs, and what they ask of the host.

#![cfg(target_arch = "wasm32")]
#![allow(clippy::unwrap_used, reason = "a panic here is a failed test with a place")]

use std::cell::RefCell;
use std::rc::Rc;

use gloo_timers::future::TimeoutFuture;
use qemuweb_panel::app::App;
use qemuweb_panel::workbench::{Answer, Asked, Host, Workbench};
use qemuweb_runtime::VmState;
use qemuweb_runtime::protocol::{self, Command, ProfileRef, VmInfo};
use sycamore::prelude::*;
use sycamore::web::{document, render_in_scope};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_test::{wasm_bindgen_test, wasm_bindgen_test_configure};
use web_sys::{Element, Event, HtmlElement, KeyboardEvent, KeyboardEventInit};

wasm_bindgen_test_configure!(run_in_browser);

/// A host that notes what it is asked, and does it at once.
#[derive(Default)]
struct Notes(RefCell<Vec<Command>>);

impl Host for Notes {
    fn request(&self, command: Command, _: Vec<JsValue>) -> Answer {
        self.0.borrow_mut().push(command);
        Box::pin(std::future::ready(Ok(())))
    }

    fn ask(&self, command: Command) -> Asked {
        self.0.borrow_mut().push(command);
        Box::pin(std::future::ready(Ok(serde_json::Value::Null)))
    }

    fn type_bytes(&self, _: &str, _: &[u8]) -> Answer {
        Box::pin(std::future::ready(Ok(())))
    }

    fn resize_console(&self, _: &str, _: u16, _: u16) {}

    fn leave(&self) {}
}

/// The panel in the test's document.
struct Page {
    element: Element,
    workbench: Workbench,
    host: Rc<Notes>,
}

impl Page {
    fn new(vms: Vec<VmInfo>) -> Self {
        let element = document().create_element("div").unwrap();
        document().body().unwrap().append_child(&element).unwrap();
        let host = Rc::new(Notes::default());
        let mut made = None;
        let _ = create_root(|| {
            let workbench = Workbench::new(0.0);
            render_in_scope(|| view! { App(workbench=workbench, reconnect=|_| ()) }, &element);
            workbench.attach(Rc::clone(&host) as Rc<dyn Host>);
            workbench.store.apply(&protocol::Event::VmList { vms });
            made = Some(workbench);
        });
        Self {
            element,
            workbench: made.unwrap(),
            host,
        }
    }

    fn find(&self, selector: &str) -> Option<HtmlElement> {
        self.element
            .query_selector(selector)
            .unwrap()
            .map(JsCast::unchecked_into)
    }

    fn get(&self, selector: &str) -> HtmlElement {
        self.find(selector)
            .unwrap_or_else(|| panic!("expected {selector} in {}", self.element.inner_html()))
    }

    fn press(&self, selector: &str, key: &str) {
        let target = self.get(selector);
        target.focus().unwrap();
        let options = KeyboardEventInit::new();
        options.set_key(key);
        options.set_bubbles(true);
        options.set_cancelable(true);
        let event = KeyboardEvent::new_with_keyboard_event_init_dict("keydown", &options).unwrap();
        target.dispatch_event(&event).unwrap();
    }

    /// What the host was asked, once all that waits has run.
    async fn asked(&self) -> Vec<Command> {
        TimeoutFuture::new(20).await;
        self.host.0.take()
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        self.element.remove();
    }
}

fn vm(vm_id: &str, state: VmState) -> VmInfo {
    let profile = qemuweb_vm_config::find_profile("minimal-x86_64").unwrap();
    VmInfo {
        state,
        ..VmInfo::new(vm_id.into(), vm_id.to_uppercase(), profile.into())
    }
}

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
    page.workbench.run(|| page.workbench.open_launcher());
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
    page.workbench.run(|| page.workbench.prepare_likely());
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
    page.workbench.run(|| page.workbench.prepare_likely());
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
        page.workbench.store.selected.get_clone_untracked().as_deref(),
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
        page.workbench.store.selected.get_clone_untracked().as_deref(),
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
    page.get("[data-testid=undo-remove]").click();
    assert_eq!(page.asked().await, [Command::RestoreVm { vm_id: "a".into() }]);
    assert!(page.find("[data-testid=undo-remove]").is_none());
}

#[wasm_bindgen_test]
async fn force_stop_asks_while_something_can_be_lost() {
    let page = Page::new(vec![vm("a", VmState::Running), vm("b", VmState::Starting)]);
    page.workbench.run(|| page.workbench.select("a"));
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

    page.workbench.run(|| page.workbench.select("b"));
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
    page.workbench.run(|| page.workbench.select("a"));
    TimeoutFuture::new(20).await;
    page.press("[data-testid=new-vm]", "ArrowRight");
    assert_eq!(focused().get_attribute("data-testid").as_deref(), Some("start"));
    let stops = page
        .element
        .query_selector_all(".toolbar [tabindex='0']")
        .unwrap();
    assert_eq!(stops.length(), 1);
}

#[wasm_bindgen_test]
async fn slash_goes_to_the_filter() {
    let page = Page::new(vec![vm("a", VmState::Running), vm("b", VmState::Running)]);
    page.press("[data-vm-id=a]", "/");
    TimeoutFuture::new(20).await;
    assert_eq!(focused().id(), "filter");
    page.workbench.store.filter.set("b".into());
    assert!(page.find("[data-vm-id=a]").is_none() && page.find("[data-vm-id=b]").is_some());
}
