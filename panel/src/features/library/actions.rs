//! What a person can do with what is kept.

use qemuweb_runtime::failure::Failure;
use qemuweb_runtime::protocol::Command;
use qemuweb_vm_config::{
    StoredFile, VmProfile, default_profiles, export_profile, import_profile, infrastructure_profiles,
};
use wasm_bindgen_futures::JsFuture;
use web_sys::File;

use super::state::Library;
use crate::cx::Answer;
use crate::kit::files::{self, Chosen};

/// The largest profile's file that is read, in bytes.
const LARGEST_PROFILE: f64 = 1_048_576.0;

impl Library {
    /// Has the host keep a profile, in place of the one that has its id.
    pub fn save_profile(self, profile: VmProfile) -> Answer {
        let profile = Box::new(profile);
        self.machines
            .cx
            .request(Command::SaveProfile { profile }, Vec::new())
    }

    /// Forgets a profile, with the way back on screen.
    pub fn delete_profile(self, profile: VmProfile) {
        let cx = self.machines.cx;
        let command = Command::RemoveProfile {
            profile_id: profile.id.clone(),
        };
        cx.command_then(command, move || {
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

    /// Has the host store a file.
    pub fn store(self, chosen: Chosen) -> impl Future<Output = Result<(), Failure>> + 'static {
        let cx = self.machines.cx;
        let Chosen { name, file, .. } = chosen;
        let answer = cx.request(Command::StoreFile { name }, vec![file]);
        async move {
            let result = answer.await;
            cx.run(|| self.storing.set(None));
            result
        }
    }

    /// Forgets a stored file, with the way back on screen.
    pub fn delete_file(self, file: StoredFile) {
        let cx = self.machines.cx;
        let command = Command::RemoveStored {
            hash: file.hash.clone(),
        };
        cx.command_then(command, move || {
            cx.undo.offer(format!("Deleted {}.", file.name), move || {
                cx.command(Command::RestoreStored {
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
