//! Between a VM's channels and the core: what comes, what is taken, what the guest opens and closes.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::{Rc, Weak};

use qemuweb_machine::Input;
use qemuweb_machine::io::{FromWorker, RunId};
use qemuweb_shm::directory::{Channel, Owner};
use qemuweb_shm::web::{JsSharedMemory, Level, Link, Outlet, PumpError};
use qemuweb_wire::Failure;
use wasm_bindgen::JsValue;

use super::driver::Driver;

/// The channels of one QEMU, for as long as it lives. Dropping them ends their pumps.
pub(super) struct Channels {
    link: Link,
    outlets: RefCell<HashMap<String, Outlet>>,
    run: RunId,
    driver: Weak<Driver>,
}

impl Drop for Channels {
    fn drop(&mut self) {
        self.link.end();
    }
}

impl Channels {
    /// The channels of a QEMU whose directory is at `address`.
    ///
    /// # Errors
    /// A [`Failure`] when there is no directory.
    pub(super) fn open(
        memory: JsSharedMemory,
        address: u32,
        run: RunId,
        driver: &Rc<Driver>,
    ) -> Result<Rc<Self>, Failure> {
        let link = Link::open(memory, address).map_err(|error| Failure::from_error(&error))?;
        Ok(Rc::new(Self {
            link,
            outlets: RefCell::default(),
            run,
            driver: Rc::downgrade(driver),
        }))
    }

    /// Tells the core of each channel that exists or comes to exist, and of what happens there.
    pub(super) fn watch(self: &Rc<Self>) {
        let channels = Rc::downgrade(self);
        let found = move |channel| {
            let Some(channels) = channels.upgrade() else {
                return;
            };
            match channel {
                Ok(channel) => channels.opened(&channel),
                Err(error) => {
                    let line = Failure::from_error(&error).to_string();
                    channels.happen(Input::Worker(channels.run, FromWorker::Output(line)));
                }
            }
        };
        self.link.watch(Owner::Host, found, self.failed());
    }

    fn opened(&self, channel: &Channel) {
        let [to_guest, from_guest] = channel.rings[..] else {
            return;
        };
        let name = || channel.name.clone();
        let (run, driver) = (self.run, &self.driver);
        let moved = teller(driver, name(), move |channel, level: Level| Input::Moved {
            run,
            channel,
            used: level.used,
            dropped: level.dropped,
        });
        let outlet = self.link.outlet(channel, to_guest, moved, self.failed());
        let capacity = outlet.capacity();
        self.outlets.borrow_mut().insert(name(), outlet);
        self.happen(Input::ChannelOpened {
            run,
            channel: name(),
            capacity,
        });
        let port = teller(driver, name(), move |channel, opened| Input::Port {
            run,
            channel,
            opened,
        });
        self.link.watch_opened(channel, port, self.failed());
        let received = teller(driver, name(), move |channel, bytes| Input::Received {
            run,
            channel,
            bytes,
        });
        self.link.receive(channel, from_guest, received, self.failed());
    }

    /// Puts bytes into a channel's ring, which has room for them, as the core knows.
    pub(super) fn write(&self, channel: &str, bytes: &[u8]) {
        let outlet = self.outlets.borrow().get(channel).cloned();
        let Some(outlet) = outlet else { return };
        match outlet.write(bytes) {
            Ok(written) if written == bytes.len() => {}
            Ok(written) => fail(
                &self.driver,
                self.run,
                Failure::new(format!(
                    "QEMU's channel {channel} took {written} bytes where it had room for {}",
                    bytes.len()
                )),
            ),
            Err(error) => fail(&self.driver, self.run, Failure::from_error(&error)),
        }
    }

    fn happen(&self, input: Input<JsValue>) {
        if let Some(driver) = self.driver.upgrade() {
            driver.happen(input);
        }
    }

    /// What a pump that fails does: it ends its VM, whose QEMU cannot be trusted any more.
    fn failed(&self) -> impl Fn(PumpError) + 'static {
        let (driver, run) = (self.driver.clone(), self.run);
        move |error| fail(&driver, run, Failure::from_error(&error))
    }
}

fn fail(driver: &Weak<Driver>, run: RunId, failure: Failure) {
    if let Some(driver) = driver.upgrade() {
        driver.happen(Input::Worker(run, FromWorker::Failed(failure)));
    }
}

/// Tells the core what `input` makes of the channel's name and of what happened there.
fn teller<T>(
    driver: &Weak<Driver>,
    channel: String,
    input: impl Fn(String, T) -> Input<JsValue> + 'static,
) -> impl Fn(T) + 'static {
    let driver = driver.clone();
    move |happened| {
        if let Some(driver) = driver.upgrade() {
            driver.happen(input(channel.clone(), happened));
        }
    }
}
