//! What clients say: calls, subscriptions and streams, each brought to whoever serves it.

use qemuweb_wire::Failure;
use qemuweb_wire::call::Call;
use qemuweb_wire::message::{ClientMessage, HostMessage, check_version};
use qemuweb_wire::stream::{StreamKind, StreamMessage};
use qemuweb_wire::topic::{HostState, Topic};
use serde::Serialize;
use serde_json::Value;

use crate::clients::{StreamEnd, Ticket};
use crate::core::{Core, unknown};
use crate::io::{Attached, ClientId, Effect, StreamId};
use crate::services::{Place, Request};

/// The longest message of a client's, in bytes. A profile has some kilobytes.
const LONGEST_MESSAGE: usize = 4 << 20;
/// The longest name in a topic.
const LONGEST_TOPIC: usize = 100;

impl<A: Clone + 'static> Core<A> {
    pub(crate) fn message(
        &mut self,
        client: ClientId,
        version: u32,
        json: &str,
        attachments: Vec<Attached<A>>,
    ) {
        if !self.hub.clients.is_there(client) {
            return;
        }
        if json.len() > LONGEST_MESSAGE {
            let failure = Failure::new(format!(
                "expected a message of at most {LONGEST_MESSAGE} bytes, found {}",
                json.len()
            ));
            return self.refuse(client, call_id(json), failure);
        }
        let message = match ClientMessage::parse(version, json) {
            Ok(message) => message,
            Err(malformed) => return self.refuse(client, malformed.call, malformed.failure),
        };
        match message {
            ClientMessage::Call { id, call } => {
                if let Some(ticket) = self.hub.clients.call(client, id) {
                    self.call(call, Request { ticket, attachments });
                }
            }
            ClientMessage::Cancel { id } => self.cancel(client, id),
            ClientMessage::Subscribe { id, topic } => match self.snapshot(&topic) {
                Ok(state) => self.hub.clients.subscribe(client, id, topic, state),
                Err(failure) => self.hub.clients.send(client, HostMessage::Error { failure }),
            },
            ClientMessage::Unsubscribe { id } => self.hub.clients.unsubscribe(client, id),
            ClientMessage::Open { stream, .. } => self.open(client, &stream, attachments),
        }
    }

    /// Answers what is no message of ours: as the call that it was meant to be, if it was one.
    fn refuse(&mut self, client: ClientId, call: Option<u32>, failure: Failure) {
        match call {
            Some(id) => {
                if let Some(ticket) = self.hub.clients.call(client, id) {
                    self.reply::<()>(ticket, Err(failure));
                }
            }
            None => self.hub.clients.send(client, HostMessage::Error { failure }),
        }
    }

    /// Ends a call that its client does not want any more.
    fn cancel(&mut self, client: ClientId, id: u32) {
        let Some(ticket) = self.hub.clients.waiting(client, id) else {
            return;
        };
        self.hub.cancel_tasks(ticket);
        self.delayed.retain(|(_, delayed)| *delayed != ticket);
        for vm in self.vms.iter_mut().chain(&mut self.removed) {
            vm.forget_call(ticket);
        }
        self.reply::<()>(ticket, Err(Failure::new("cancelled")));
        self.forget_unused_files();
    }

    pub(crate) fn reply<T: Serialize>(&mut self, ticket: Ticket, reply: Result<T, Failure>) {
        self.hub.clients.reply(ticket, reply);
    }

    fn call(&mut self, call: Call, request: Request<A>) {
        let mut served = self.prototypes.iter().enumerate();
        let served = served.find_map(|(index, service)| Some((index, service.vm_of_call(&call)?.to_owned())));
        if let Some((service, vm_id)) = served {
            let ticket = request.ticket;
            return match self.vms.iter_mut().find(|vm| vm.id() == vm_id) {
                Some(vm) => {
                    vm.with_service(&mut self.hub, service, |service, cx| {
                        service.call(call, request, cx)
                    });
                }
                None => self.reply::<()>(ticket, Err(unknown(&vm_id))),
            };
        }
        let Request { ticket, attachments } = request;
        let done = match call {
            Call::Hello(_) => Ok(()),
            Call::StartVm(call) => return self.start_vm(ticket, call, attachments),
            Call::DefineVm(call) => return self.define_vm(ticket, call, attachments),
            Call::RestartVm(call) => return self.restart_vm(ticket, &call.vm_id),
            Call::StopVm(call) if call.force => self.power_off(&call.vm_id),
            Call::StopVm(call) => return self.shut_down(ticket, &call.vm_id),
            Call::PauseVm(call) => return self.pause(ticket, &call.vm_id),
            Call::ResumeVm(call) => return self.resume(ticket, &call.vm_id),
            Call::ResetVm(call) => return self.reset(ticket, &call.vm_id),
            Call::CloneVm(call) => return self.clone_vm(ticket, call),
            Call::ListDisks(_) => return self.list_disks(ticket),
            Call::ExportDisk(call) => return self.export_disk(ticket, &call),
            Call::ImportDisk(call) => return self.import_disk(ticket, &call, attachments),
            Call::VmDisks(call) => return self.vm_disks(ticket, &call.vm_id),
            Call::DiscardDisk(call) => return self.discard_disk(ticket, call),
            Call::FileHandles(call) => return self.file_handles(ticket, &call.vm_id),
            Call::StoreFile(call) => return self.store_file(ticket, &call.name, attachments),
            Call::RestoreStored(call) => return self.restore_stored(ticket, &call.hash),
            Call::PrepareVm(call) => crate::definition::resolve(call.profile, &self.profiles)
                .map(|profile| self.prepare_profile(&profile)),
            Call::RenameVm(call) => self.rename_vm(&call.vm_id, &call.name),
            Call::SetFavourite(call) => self.set_favourite(&call.vm_id, call.favourite),
            Call::RemoveVm(call) => self.remove_vm(&call.vm_id),
            Call::RestoreVm(call) => self.restore_vm(&call.vm_id),
            Call::SaveProfile(call) => self.save_profile(*call.profile),
            Call::RemoveProfile(call) => self.remove_profile(&call.profile_id),
            Call::RemoveStored(call) => self.remove_stored(&call.hash),
            // Those of services are served above.
            _ => Err(Failure::new("nobody serves this request")),
        };
        self.reply(ticket, done);
    }

    /// All of a topic.
    fn snapshot(&self, topic: &Topic) -> Result<Value, Failure> {
        let state = match topic {
            Topic::Host => serde_json::to_value(HostState {
                capabilities: self.capabilities.clone(),
                failures: self.hub.failures.clone(),
            }),
            Topic::Machines => {
                let vms: Vec<_> = self.vms.iter().map(|vm| &vm.machine.info).collect();
                serde_json::to_value(vms)
            }
            Topic::Profiles => serde_json::to_value(&self.profiles),
            Topic::Library => serde_json::to_value(self.library.state()),
            other => return self.snapshot_of_service(other),
        };
        state.map_err(|error| Failure::from_error(&error))
    }

    fn snapshot_of_service(&self, topic: &Topic) -> Result<Value, Failure> {
        let name = match topic {
            Topic::Machine { vm_id } => vm_id.as_str(),
            Topic::Capture { capture } => capture.as_str(),
            _ => "",
        };
        if name.len() > LONGEST_TOPIC {
            return Err(Failure::new(format!(
                "expected the name of a topic of at most {LONGEST_TOPIC} bytes, found {}",
                name.len()
            )));
        }
        let mut services = self.prototypes.iter();
        match services.find_map(|service| Some((service, service.place_of_topic(topic)?))) {
            Some((service, Place::Anywhere)) => Ok(service.snapshot(None)),
            // A VM that is not there may come, and has no news until then.
            Some((service, Place::Vm(vm_id))) => Ok(service.snapshot(self.vm(vm_id).map(|vm| &vm.machine))),
            None => Err(Failure::new("nobody tells of this topic")),
        }
    }

    /// A client opens a stream; the first attachment is its port.
    fn open(&mut self, client: ClientId, kind: &StreamKind, attachments: Vec<Attached<A>>) {
        let Some(Attached::Other(port)) = attachments.into_iter().next() else {
            let failure = Failure::new("expected the stream's port as the first attachment");
            return self.hub.clients.send(client, HostMessage::Error { failure });
        };
        let mut served = self.prototypes.iter().enumerate();
        let served =
            served.find_map(|(index, service)| Some((index, service.vm_of_stream(kind)?.to_owned())));
        let Some((service, vm_id)) = served else {
            let failure = Failure::new("nobody serves such a stream");
            return self.hub.clients.send(client, HostMessage::Error { failure });
        };
        let is_known = self.vm(&vm_id).is_some();
        let end = StreamEnd {
            client,
            vm_id: vm_id.clone(),
            service,
        };
        let Some(stream) = self.hub.clients.open_stream(end) else {
            let failure = Failure::new("this page has too many streams open");
            return self.hub.clients.send(client, HostMessage::Error { failure });
        };
        self.hub.act(Effect::OpenStream { stream, client, port });
        if is_known {
            self.with_service(&vm_id, service, |service, cx| {
                service.stream_opened(stream, kind, cx)
            });
        } else {
            self.hub.end_stream(stream, Some(unknown(&vm_id)));
        }
    }

    /// Something came on a stream.
    pub(crate) fn on_stream(&mut self, stream: StreamId, version: u32, json: &str, bytes: Option<&[u8]>) {
        let Some(end) = self.hub.clients.stream(stream).cloned() else {
            return;
        };
        let message = check_version(version)
            .map_err(|error| Failure::from_error(&error))
            .and_then(|()| serde_json::from_str(json).map_err(|error| Failure::from_error(&error)));
        let mut ended = None;
        match message {
            Ok(StreamMessage::Data { .. }) => {
                let bytes = bytes.unwrap_or_default();
                self.with_service(&end.vm_id, end.service, |service, cx| {
                    if !service.stream_data(stream, bytes, cx) {
                        let failure = Failure::new("more bytes came than were asked for");
                        ended = Some(Some(failure));
                    }
                });
            }
            Ok(StreamMessage::Credit { total }) => {
                self.with_service(&end.vm_id, end.service, |service, cx| {
                    service.stream_credit(stream, total, cx);
                });
            }
            Ok(StreamMessage::Note { note }) => {
                self.with_service(&end.vm_id, end.service, |service, cx| {
                    ended = service.stream_note(stream, note, cx).err().map(Some);
                });
            }
            Ok(StreamMessage::End { .. }) => ended = Some(None),
            Err(failure) => ended = Some(Some(failure)),
        }
        if let Some(failure) = ended {
            self.with_service(&end.vm_id, end.service, |service, cx| {
                service.stream_closed(stream, cx)
            });
            self.hub.end_stream(stream, failure);
        }
    }
}

/// The id of a call that is too long to be read.
fn call_id(json: &str) -> Option<u32> {
    let start = json.get(..200).unwrap_or(json);
    let (_, rest) = start.split_once("\"id\":")?;
    let rest = rest.trim_start();
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    rest[..end].parse().ok()
}
