//! What clients ask for, one function a command.

use js_sys::Uint8Array;
use qemuweb_runtime::Failure;
use qemuweb_runtime::client::Packet;
use qemuweb_runtime::protocol::{self, Command, Event, MAX_VM_ID, Request, VmDefinition};
use qemuweb_runtime::state::{StopReason, Transition, VmState};
use serde_json::Value;
use wasm_bindgen::{JsCast, JsValue};

use super::clients::ClientId;
use super::vm::{self, Vm};
use super::{Run, SharedState, catalogue, definition, files, has_machine, library, metrics};

/// Does what a packet from `client` asks for, and answers it.
pub(super) async fn serve(state: &SharedState, client: ClientId, packet: Packet<JsValue>) {
    let request = protocol::check_version(packet.version)
        .map_err(|error| {
            Failure::from_error(&error)
                .with_next_step("Close this page and open QemuWeb again: it was updated.")
        })
        .and_then(|()| {
            serde_json::from_str::<Request>(&packet.json).map_err(|error| Failure {
                causes: vec![error.to_string()],
                ..Failure::new("expected a request that this version knows")
            })
        });
    match request {
        Ok(Request { id, command }) => {
            let result = match command {
                Command::RunMonitor { vm_id, command } => metrics::ask_monitor(state, &vm_id, &command).await,
                Command::StoreFile { name } => {
                    library::store(state, name, packet.attachments.into_iter().next()).await
                }
                command => execute(state, client, command, packet.attachments)
                    .await
                    .map(|()| Value::Null),
            };
            state.borrow().clients.reply(client, id, result);
        }
        Err(failure) => state
            .borrow()
            .clients
            .event(client, Event::Error { vm_id: None, failure }),
    }
}

async fn execute(
    state: &SharedState,
    client: ClientId,
    command: Command,
    attachments: Vec<JsValue>,
) -> Result<(), Failure> {
    match command {
        Command::Init => {
            library::tell(state);
            let state = state.borrow();
            state.clients.event(
                client,
                Event::Capabilities {
                    capabilities: state.capabilities.clone(),
                },
            );
            let vms = state.vms.iter().map(|vm| vm.info.clone()).collect();
            state.clients.event(client, Event::VmList { vms });
            let profiles = state.profiles.clone();
            state.clients.event(client, Event::ProfileList { profiles });
            for failure in state.storage_failures.iter().cloned() {
                state.clients.event(client, Event::Error { vm_id: None, failure });
            }
            Ok(())
        }
        Command::StartVm {
            vm_id,
            name,
            profile,
            inputs,
            overrides,
        } => {
            check_capabilities(state)?;
            let profile = definition::resolve(profile, &state.borrow().profiles)?;
            let name = name.unwrap_or_else(|| profile.name.clone());
            let definition = VmDefinition {
                profile,
                inputs: *inputs,
                overrides: overrides.map(|overrides| *overrides).unwrap_or_default(),
            };
            catalogue::define(state, &vm_id, name, definition, attachments, None).await?;
            vm::start(state, &vm_id).await
        }
        Command::PrepareVm { profile } => {
            let profile = definition::resolve(profile, &state.borrow().profiles)?;
            state.borrow_mut().prepare_profile(&profile);
            Ok(())
        }
        Command::RestartVm { vm_id } => {
            check_capabilities(state)?;
            known(state, &vm_id, |_| Ok(()))?;
            vm::start(state, &vm_id).await
        }
        Command::DefineVm {
            vm_id,
            name,
            definition,
            files_of,
        } => catalogue::define(state, &vm_id, name, *definition, attachments, files_of).await,
        Command::RenameVm { vm_id, name } => catalogue::rename(state, &vm_id, name),
        Command::CloneVm { vm_id, new_id, name } => catalogue::clone(state, &vm_id, &new_id, name),
        Command::SetFavourite { vm_id, favourite } => catalogue::set_favourite(state, &vm_id, favourite),
        Command::RestoreVm { vm_id } => catalogue::restore(state, &vm_id),
        Command::SaveProfile { profile } => catalogue::save_profile(state, *profile),
        Command::RemoveProfile { profile_id } => catalogue::remove_profile(state, &profile_id),
        Command::SendHandles { vm_id } => {
            let files = known(state, &vm_id, |vm| Ok(vm.definition.files.clone()))?;
            let handles: Vec<_> = files
                .into_iter()
                .filter(|file| files::handle(file).is_some())
                .collect();
            state.borrow().clients.handles_to(client, &vm_id, &handles);
            Ok(())
        }
        // Answered with a value, by `serve`.
        Command::RunMonitor { .. } | Command::StoreFile { .. } => Ok(()),
        Command::RemoveStored { hash } => library::remove(state, &hash),
        Command::RestoreStored { hash } => library::restore(state, &hash).await,
        Command::StopVm { vm_id, force: true } => force_stop(state, &vm_id),
        Command::StopVm { vm_id, force: false } => stop(state, &vm_id).await,
        Command::ResetVm { vm_id } => {
            let answer = known(state, &vm_id, |vm| {
                if !has_machine(&vm.info.state) {
                    return Err(Failure::new(format!(
                        "{} is {} and cannot be reset",
                        vm.info.name, vm.info.state
                    )));
                }
                vm.execute("system_reset", None)
            })?;
            answer
                .await
                .unwrap_or_else(|_| Err(Failure::new("QEMU ended before it answered")))
                .map(drop)
        }
        Command::RemoveVm { vm_id } => catalogue::remove(state, &vm_id),
        Command::SerialIn { vm_id } => {
            let bytes = bytes(&attachments)?;
            known(state, &vm_id, |vm| vm.type_in(&bytes))
        }
        Command::PushCapture { vm_id } => {
            let lines = bytes(&attachments)?;
            let room = known(state, &vm_id, |vm| Ok(vm.capture.push(&lines)))?;
            vm::publish_capture_later(state, &vm_id);
            // One that is defined anew meanwhile has room.
            let _ = room.await;
            Ok(())
        }
        Command::ResizeConsole { vm_id, rows, cols } => known(state, &vm_id, |vm| {
            vm.resize_console(rows, cols);
            Ok(())
        }),
        Command::WatchVm { vm_id } => {
            let (run, (offset, history)) = known(state, &vm_id, |vm| Ok((vm.run, vm.console.history())))?;
            let mut state = state.borrow_mut();
            state.clients.watch(client, &vm_id, true);
            state.send_past(client, &vm_id);
            if !history.is_empty() {
                let run = Run { vm_id, number: run };
                state.clients.serial_out_to(client, &run, offset, &history);
            }
            Ok(())
        }
        Command::UnwatchVm { vm_id } => {
            state.borrow_mut().clients.watch(client, &vm_id, false);
            Ok(())
        }
    }
}

/// The first attachment, which has to be bytes.
fn bytes(attachments: &[JsValue]) -> Result<Vec<u8>, Failure> {
    attachments
        .first()
        .and_then(|attachment| attachment.dyn_ref::<Uint8Array>())
        .map(Uint8Array::to_vec)
        .ok_or_else(|| Failure::new("expected bytes as the first attachment"))
}

async fn stop(state: &SharedState, vm_id: &str) -> Result<(), Failure> {
    let answer = known(state, vm_id, |vm| {
        if !has_machine(&vm.info.state) {
            return Err(Failure::new(format!(
                "{} is {} and cannot shut down",
                vm.info.name, vm.info.state
            ))
            .with_next_step("Power it off instead."));
        }
        let answer = vm.execute("system_powerdown", None)?;
        if vm.info.state == VmState::Paused {
            // A guest that stands still hears nothing.
            drop(vm.execute("cont", None)?);
        }
        vm.transition(Transition::RequestStop)?;
        Ok(answer)
    })?;
    state.borrow_mut().publish_vm(vm_id);
    answer.await.unwrap_or(Ok(Value::Null)).map(drop)
}

fn force_stop(state: &SharedState, vm_id: &str) -> Result<(), Failure> {
    let mut state = state.borrow_mut();
    let vm = state.vm_mut(vm_id).ok_or_else(|| unknown(vm_id))?;
    let reason = match vm.info.state {
        VmState::Starting => StopReason::Cancelled,
        _ => StopReason::ForceStopped,
    };
    vm.end(Transition::End(reason))?;
    state.publish_end(vm_id);
    Ok(())
}

pub(super) fn check_id(vm_id: &str) -> Result<(), Failure> {
    let fits = (1..=MAX_VM_ID).contains(&vm_id.len());
    if fits
        && vm_id
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    {
        return Ok(());
    }
    Err(Failure::new(format!(
        "expected a VM id of 1 to {MAX_VM_ID} letters, digits, “-”, “_” or “.”, found one of {} bytes",
        vm_id.len()
    )))
}

fn check_capabilities(state: &SharedState) -> Result<(), Failure> {
    let missing = state.borrow().capabilities.missing();
    missing
        .into_iter()
        .find(|missing| missing.fatal)
        .map_or(Ok(()), |missing| {
            Err(Failure::new(format!(
                "this browser offers no {}, without which no VM can run",
                missing.name
            ))
            .with_next_step(missing.advice))
        })
}

/// Does something with a VM that has to exist.
pub(super) fn known<T>(
    state: &SharedState,
    vm_id: &str,
    act: impl FnOnce(&mut Vm) -> Result<T, Failure>,
) -> Result<T, Failure> {
    state
        .borrow_mut()
        .vm_mut(vm_id)
        .ok_or_else(|| unknown(vm_id))
        .and_then(act)
}

pub(super) fn unknown(vm_id: &str) -> Failure {
    Failure::new(format!("there is no VM “{vm_id}”"))
        .with_next_step("It may have been removed in another panel.")
}
