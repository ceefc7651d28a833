//! What a form holds: what was typed, what it comes to, the files that were chosen.

use qemuweb_vm_config::VmProfile;
use qemuweb_wire::stored::StoredInfo;
use qemuweb_wire::vm::{FileId, VmId, VmInfo};
use sycamore::prelude::*;
use wasm_bindgen::JsValue;

use super::draft::{Checked, Draft, Field};
use crate::features::library::state::Library;
use crate::kit::later::Owner;

/// What the parts of a form share. Copies are the same.
#[derive(Clone, Copy)]
pub struct Form {
    pub(super) library: Library,
    pub(super) draft: Signal<Draft>,
    pub(super) checked: ReadSignal<Checked>,
    /// Files that were chosen here, behind those that the VM has.
    pub(super) files: Signal<Vec<JsValue>>,
    /// The files that the VM has, to which its definition's first indices refer.
    pub(super) kept: Signal<Vec<FileId>>,
    /// The revision of the definition that was opened.
    pub(super) revision: Option<u64>,
    /// The VM whose settings these are; none for a new one.
    pub(super) vm_id: Signal<Option<VmId>>,
    /// What kept it from being saved or started.
    pub(super) problems: Signal<Vec<String>>,
    /// What is being waited for.
    pub(super) notice: Signal<Option<String>>,
    /// The scope that it is drawn in.
    pub(super) owner: Owner,
}

impl Form {
    /// A form for a new machine, or the settings of one that is there. It lasts as long as the present scope.
    pub fn new(library: Library, draft: Draft, vm: Option<&VmInfo>) -> Self {
        let draft = create_signal(draft);
        let kept = vm.map(|vm| vm.files.clone()).unwrap_or_default();
        Self {
            library,
            draft,
            checked: create_memo(move || draft.with(Draft::check)),
            files: create_signal(Vec::new()),
            kept: create_signal(kept),
            revision: vm.map(|vm| vm.revision),
            vm_id: create_signal(vm.map(|vm| vm.vm_id.clone())),
            problems: create_signal(Vec::new()),
            notice: create_signal(None),
            owner: Owner::here(),
        }
    }

    /// The same form as it is drawn in the present scope, which may end before the form does.
    #[must_use]
    pub(super) fn drawn_here(self) -> Self {
        Self {
            owner: Owner::here(),
            ..self
        }
    }

    /// Begins anew with another draft.
    fn restart(self, draft: Draft) {
        batch(|| {
            self.files.set(Vec::new());
            self.problems.set(Vec::new());
            self.draft.set(draft);
        });
    }

    /// Begins anew with a profile. Saved under its own name, one of the person's is edited.
    pub fn begin(self, profile: VmProfile) {
        let is_own = self
            .library
            .profiles
            .with_untracked(|own| own.iter().any(|known| known.id == profile.id));
        let name = if is_own {
            profile.name.clone()
        } else {
            String::new()
        };
        self.restart(Draft {
            name,
            ..Draft::new(profile)
        });
    }

    /// Uses a stored file for the new machine.
    pub fn use_stored(self, stored: &StoredInfo) {
        self.change(|draft| *draft = draft.clone().using(stored));
    }

    /// Changes the draft.
    pub(super) fn change(self, change: impl FnOnce(&mut Draft)) {
        let mut draft = self.draft.get_clone_untracked();
        change(&mut draft);
        if self.draft.with_untracked(|old| *old != draft) {
            self.draft.set(draft);
            // They were those of the former draft.
            self.problems.set(Vec::new());
        }
    }

    /// The errors of a field. Tracked.
    pub(super) fn errors_of(self, field: Field) -> Vec<String> {
        self.checked.with(|checked| {
            let of_field = checked.errors.iter().filter(|(found, _)| *found == field);
            of_field.map(|(_, error)| error.clone()).collect()
        })
    }

    /// The profile as it is now. Tracked.
    pub(super) fn of_profile<T>(self, get: impl FnOnce(&VmProfile) -> T) -> T {
        self.draft.with(|draft| get(&draft.profile))
    }
}
