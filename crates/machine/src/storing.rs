//! What clients ask of the stored files.

use qemuweb_wire::Failure;
use qemuweb_wire::stored::StoredInfo;
use qemuweb_wire::topic::Library as LibraryTopic;

use crate::clients::Ticket;
use crate::core::Core;
use crate::io::{Attached, Content, Effect, Stored, Write};
use crate::library::cut_name;
use crate::task::Task;

impl<A: Clone + 'static> Core<A> {
    pub(crate) fn store_file(&mut self, ticket: Ticket, name: &str, attachments: Vec<Attached<A>>) {
        let content = match attachments.into_iter().next() {
            Some(Attached::File(file)) => Ok(Content {
                file,
                is_handle: false,
            }),
            Some(Attached::Handle(file)) => Ok(Content {
                file,
                is_handle: true,
            }),
            _ => Err(Failure::new("expected a file as the first attachment")),
        };
        let content = self.library.check_room().and(content);
        let content = match content {
            Ok(content) => content,
            Err(failure) => return self.reply::<()>(ticket, Err(failure)),
        };
        let name = cut_name(name);
        let hashing = Task::Hash {
            ticket,
            name: name.clone(),
        };
        self.hub
            .begin(hashing, |task| Effect::HashFile { task, name, content });
    }

    /// A file that is to be stored was looked into.
    pub(crate) fn hashed(&mut self, ticket: Ticket, name: String, found: Result<Box<Stored<A>>, Failure>) {
        let mut stored = match found.and_then(|stored| self.library.check_room().map(|()| stored)) {
            Ok(stored) => stored,
            Err(failure) => return self.reply::<()>(ticket, Err(failure)),
        };
        if let Some(known) = self.library.info(&stored.info.file.hash).cloned() {
            return self.reply(ticket, Ok(known));
        }
        stored.info.file.name = name;
        self.put_stored(ticket, *stored, true);
    }

    fn put_stored(&mut self, ticket: Ticket, stored: Stored<A>, tells: bool) {
        let storing = Task::Store {
            ticket,
            info: Box::new(stored.info.clone()),
            tells,
        };
        let write = Box::new(Write::PutStored(stored));
        self.hub.begin(storing, |task| Effect::Write(task, write));
    }

    /// A file is stored, or could not be.
    pub(crate) fn stored(
        &mut self,
        ticket: Ticket,
        info: StoredInfo,
        tells: bool,
        file: Result<Option<A>, Failure>,
    ) {
        let lost = || Failure::new(format!("could not read {} back", info.file.name));
        let file = match file.and_then(|file| file.ok_or_else(lost)) {
            Ok(file) => file,
            Err(failure) => return self.reply::<()>(ticket, Err(failure)),
        };
        // The copy is what VMs read from now on: the person's own file may change.
        self.library.insert(Stored {
            info: info.clone(),
            file,
        });
        self.publish_library();
        self.measure_storage();
        if tells {
            self.reply(ticket, Ok(info));
        } else {
            self.reply(ticket, Ok(()));
        }
    }

    pub(crate) fn remove_stored(&mut self, hash: &str) -> Result<(), Failure> {
        self.library.take_out(hash)?;
        self.hub.write(Write::RemoveStored(hash.to_owned()));
        self.publish_library();
        self.measure_storage();
        Ok(())
    }

    pub(crate) fn restore_stored(&mut self, ticket: Ticket, hash: &str) {
        match self.library.removed(hash).cloned() {
            Ok(stored) => self.put_stored(ticket, stored, false),
            Err(failure) => self.reply::<()>(ticket, Err(failure)),
        }
    }

    pub(crate) fn measure_storage(&mut self) {
        self.hub.begin(Task::Measure, Effect::MeasureStorage);
    }

    pub(crate) fn publish_library(&mut self) {
        let state = self.library.state();
        self.hub.clients.publish(&LibraryTopic, &state);
    }
}
