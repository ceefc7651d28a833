//! What a person can do with what is kept.

use std::rc::Rc;

use qemuweb_wire::call::{RemoveProfile, RemoveStored, RestoreStored, SaveProfile, StoreFile};
use qemuweb_wire::failure::Failure;
use qemuweb_wire::stored::StoredInfo;

use qemuweb_vm_config::{
    StoredFile, VmProfile, default_profiles, export_profile, import_profile, infrastructure_profiles,
};
use wasm_bindgen_futures::JsFuture;
use web_sys::File;

use super::state::{Library, Storing};
use crate::cx::{Answer, not_connected};
use crate::kit::files::{self, Chosen};

/// The largest profile's file that is read, in bytes.
const LARGEST_PROFILE: f64 = 1_048_576.0;

impl Library {
    /// Has the host keep a profile, in place of the one that has its id.
    pub fn save_profile(self, profile: VmProfile) -> Answer<()> {
        let profile = Box::new(profile);
        self.machines.cx.call(SaveProfile { profile })
    }

    /// Forgets a profile, with the way back on screen.
    pub fn delete_profile(self, profile: VmProfile) {
        let cx = self.machines.cx;
        let call = RemoveProfile {
            profile_id: profile.id.clone(),
        };
        cx.command_then(call, move |()| {
            cx.undo
                .offer(format!("Deleted the profile {}.", profile.name), move || {
                    cx.later(self.save_profile(profile.clone()), move |result| {
                        cx.report_of(result)
                    });
                });
        });
    }

    /// An id for a profile of this name that no other has.
    pub fn new_profile_id(self, name: &str) -> String {
        let ours = default_profiles().into_iter().chain(infrastructure_profiles());
        let own = self.profiles.get_clone_untracked();
        let taken: Vec<String> = ours.chain(own).map(|VmProfile { id, .. }| id).collect();
        profile_id(name, &taken)
    }

    /// Has the host store a file, and tells meanwhile how far that is.
    pub fn store(self, chosen: Chosen) -> Answer<StoredInfo> {
        let cx = self.machines.cx;
        let Some(client) = cx.client() else {
            return Box::pin(std::future::ready(Err(not_connected())));
        };
        let Chosen { name, size, file } = chosen;
        self.storing.set(Some(Storing {
            name: name.clone(),
            done: 0,
            total: Some(size),
            cancel: None,
        }));
        let progress = move |done, total: Option<u64>| {
            cx.run(|| {
                if let Some(storing) = self.storing.get_clone_untracked() {
                    let total = total.or(storing.total);
                    self.storing.set(Some(Storing {
                        done,
                        total,
                        ..storing
                    }));
                }
            });
        };
        let call = client.call_with(StoreFile { name }, vec![file], Some(Rc::new(progress)));
        self.storing.update(|storing| {
            if let Some(storing) = storing {
                storing.cancel = Some(call.canceller());
            }
        });
        Box::pin(async move {
            let result: Result<StoredInfo, Failure> = call.await;
            cx.run(|| self.storing.set(None));
            result
        })
    }

    /// Forgets a stored file, with the way back on screen.
    pub fn delete_file(self, file: StoredFile) {
        let cx = self.machines.cx;
        let call = RemoveStored {
            hash: file.hash.clone(),
        };
        cx.command_then(call, move |()| {
            cx.undo.offer(format!("Deleted {}.", file.name), move || {
                cx.command(RestoreStored {
                    hash: file.hash.clone(),
                });
            });
        });
    }
}

/// The profile in a file, or what is wrong with it.
pub async fn read_profile(file: File) -> Result<VmProfile, Vec<String>> {
    if file.size() > LARGEST_PROFILE {
        let fault = format!("{}: a profile's file has at most 1 MiB", file.name());
        return Err(vec![fault]);
    }
    match JsFuture::from(file.text()).await {
        Ok(text) => import_profile(&text.as_string().unwrap_or_default())
            .map_err(|faults| faults.iter().map(ToString::to_string).collect()),
        Err(_) => Err(vec![format!("{} could not be read", file.name())]),
    }
}

/// Has the browser save a profile's file.
pub fn export(profile: &VmProfile) {
    let name = format!("{}.qemuweb.json", profile.id);
    // It does not fail in a document; there is nothing to be told if it did.
    let _ = files::download(export_profile(profile).as_bytes(), "application/json", &name);
}

/// An id for a profile of this name that is none of `taken`.
fn profile_id(name: &str, taken: &[String]) -> String {
    let mut stem = String::new();
    for c in name.to_ascii_lowercase().chars().take(40) {
        if c.is_ascii_alphanumeric() {
            stem.push(c);
        } else if !stem.is_empty() && !stem.ends_with('-') {
            stem.push('-');
        }
    }
    let stem = match stem.trim_end_matches('-') {
        "" => "profile",
        stem => stem,
    };
    std::iter::once(stem.to_owned())
        .chain((2_u32..).map(|number| format!("{stem}-{number}")))
        .find(|id| !taken.contains(id))
        .unwrap_or_else(|| stem.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_new_and_plain() {
        assert_eq!(profile_id("Build box!", &["build-box".into()]), "build-box-2");
        assert_eq!(profile_id("…", &[]), "profile");
    }
}
