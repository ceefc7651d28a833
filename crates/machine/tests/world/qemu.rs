//! A QEMU as the core sees it: a Worker's messages, channels with rings, and a monitor that answers.

use std::collections::{BTreeMap, VecDeque};

use qemuweb_machine::Input;
use qemuweb_machine::io::{FromWorker, RunId};
use qemuweb_machine::worker::BootOrder;
use serde_json::{Value, json};

/// Bytes that each ring takes.
pub const CAPACITY: u32 = 64 << 10;

/// What comes from a QEMU.
pub enum Said {
    Worker(FromWorker),
    Opened(&'static str),
    Bytes(&'static str, Vec<u8>),
    Moved {
        channel: &'static str,
        used: u32,
        dropped: u64,
    },
    Port {
        channel: &'static str,
        opened: u32,
    },
}

impl Said {
    pub fn into_input(self, run: RunId) -> Input<u32> {
        match self {
            Self::Worker(said) => Input::Worker(run, said),
            Self::Opened(channel) => Input::ChannelOpened {
                run,
                channel: channel.to_owned(),
                capacity: CAPACITY,
            },
            Self::Bytes(channel, bytes) => Input::Received {
                run,
                channel: channel.to_owned(),
                bytes,
            },
            Self::Port { channel, opened } => Input::Port {
                run,
                channel: channel.to_owned(),
                opened,
            },
            Self::Moved {
                channel,
                used,
                dropped,
            } => Input::Moved {
                run,
                channel: channel.to_owned(),
                used,
                dropped,
            },
        }
    }
}

/// One ring to the guest.
#[derive(Default)]
pub struct Ring {
    pub waiting: VecDeque<u8>,
    pub taken: Vec<u8>,
    pub dropped: u64,
    /// How often the guest's side was opened or closed.
    pub opened: u32,
}

/// A QEMU.
pub struct Qemu {
    /// What it is going to say.
    pub saying: VecDeque<Said>,
    pub rings: BTreeMap<&'static str, Ring>,
    pub status: &'static str,
    /// The commands that it was given.
    pub commands: Vec<String>,
    /// Whether the guest shuts down when it is asked.
    pub heeds: bool,
    /// Whether the monitor answers.
    pub answers: bool,
    /// Whether guests read their ports.
    pub reads: bool,
    pub variables: Option<u32>,
}

pub const CHANNELS: [&str; 5] = ["serial0", "qmp0", "agent0", "capture0", "capture1"];

impl Qemu {
    /// One that boots at once.
    pub fn new(order: &BootOrder<u32>) -> Self {
        let mut qemu = Self {
            saying: VecDeque::new(),
            rings: CHANNELS.iter().map(|name| (*name, Ring::default())).collect(),
            status: "running",
            commands: Vec::new(),
            heeds: true,
            answers: true,
            reads: true,
            variables: order.boot.uefi_variables,
        };
        qemu.saying.push_back(Said::Worker(FromWorker::Ready));
        qemu.saying.push_back(Said::Worker(FromWorker::Loaded));
        qemu.saying.extend(CHANNELS.map(Said::Opened));
        qemu.say(
            &json!({"QMP": {"version": {"qemu": {"major": 10, "minor": 2, "micro": 0}}, "capabilities": []}}),
        );
        qemu
    }

    pub fn next(&mut self) -> Option<Said> {
        self.saying.pop_front()
    }

    fn say(&mut self, line: &Value) {
        self.saying
            .push_back(Said::Bytes("qmp0", format!("{line}\r\n").into_bytes()));
    }

    pub fn event(&mut self, name: &str, data: Value) {
        self.say(&json!({"event": name, "data": data, "timestamp": {"seconds": 1, "microseconds": 2}}));
    }

    /// The host puts bytes into a ring.
    pub fn write(&mut self, channel: &str, bytes: &[u8]) {
        let (name, ring) = self
            .rings
            .iter_mut()
            .find(|(name, _)| **name == channel)
            .expect("no such ring");
        ring.waiting.extend(bytes);
        assert!(ring.waiting.len() <= CAPACITY as usize, "a ring overflows");
        let name = *name;
        if name == "qmp0" {
            self.serve();
        } else if self.reads {
            self.read(name, usize::MAX);
        }
    }

    /// The guest reads at most `count` bytes.
    pub fn read(&mut self, channel: &'static str, count: usize) {
        let ring = self.rings.get_mut(channel).expect("no such ring");
        let count = count.min(ring.waiting.len());
        ring.taken.extend(ring.waiting.drain(..count));
        self.moved(channel);
    }

    /// Another program opens the port: what waits is dropped.
    pub fn reopen(&mut self, channel: &'static str) {
        let ring = self.rings.get_mut(channel).expect("no such ring");
        ring.dropped += ring.waiting.len() as u64;
        ring.waiting.clear();
        self.moved(channel);
    }

    /// A program in the guest opens or closes a port, if it is not so already.
    pub fn set_open(&mut self, channel: &str, open: bool) {
        let ring = self.rings.iter_mut().find(|(name, _)| **name == channel);
        let (channel, ring) = ring.expect("no such port");
        if open != (ring.opened % 2 == 1) {
            ring.opened += 1;
            let opened = ring.opened;
            self.saying.push_back(Said::Port { channel, opened });
        }
    }

    fn moved(&mut self, channel: &'static str) {
        let ring = &self.rings[channel];
        self.saying.push_back(Said::Moved {
            channel,
            used: ring.waiting.len() as u32,
            dropped: ring.dropped,
        });
    }

    fn serve(&mut self) {
        let ring = self.rings.get_mut("qmp0").expect("no monitor");
        ring.taken.extend(ring.waiting.drain(..));
        self.moved("qmp0");
        let taken = std::mem::take(&mut self.rings.get_mut("qmp0").expect("no monitor").taken);
        let (lines, rest) = match taken.iter().rposition(|byte| *byte == b'\n') {
            Some(end) => (taken[..end].to_vec(), taken[end + 1..].to_vec()),
            None => (Vec::new(), taken),
        };
        self.rings.get_mut("qmp0").expect("no monitor").taken = rest;
        for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let command: Value = serde_json::from_slice(line).expect("a command is no JSON");
            if self.answers {
                self.answer(&command);
            }
        }
    }

    fn answer(&mut self, command: &Value) {
        let name = command["execute"].as_str().unwrap_or_default().to_owned();
        let id = command["id"].clone();
        self.commands.push(name.clone());
        let value = match name.as_str() {
            "query-status" => json!({"status": self.status, "running": self.status == "running"}),
            "human-monitor-command" => json!("CPU#0\r\nHLT=1\r\n"),
            "query-blockstats" => json!([{"stats": {"rd_bytes": 5, "wr_bytes": 6}}]),
            "stop" if self.status == "running" => {
                self.status = "paused";
                self.event("STOP", json!({}));
                json!({})
            }
            "cont" if self.status != "running" && self.status != "suspended" => {
                self.status = "running";
                self.event("RESUME", json!({}));
                json!({})
            }
            "system_wakeup" if self.status == "suspended" => {
                self.status = "running";
                self.event("WAKEUP", json!({}));
                json!({})
            }
            "qom-get" | "qom-set" | "no-such" => {
                let error = json!({"class": "GenericError", "desc": "no such"});
                return self.say(&json!({"error": error, "id": id}));
            }
            _ => json!({}),
        };
        self.say(&json!({"return": value, "id": id}));
        match name.as_str() {
            "system_powerdown" if self.heeds && self.status == "running" => self.shut_down("guest-shutdown"),
            "cont" if self.heeds && self.commands.iter().any(|command| command == "system_powerdown") => {
                self.shut_down("guest-shutdown");
            }
            "quit" => self.shut_down("host-qmp-quit"),
            "system_reset" => self.event(
                "RESET",
                json!({"guest": false, "reason": "host-qmp-system-reset"}),
            ),
            _ => {}
        }
    }

    pub fn shut_down(&mut self, reason: &str) {
        self.event("SHUTDOWN", json!({"guest": true, "reason": reason}));
        self.saying.push_back(Said::Worker(FromWorker::Exited(0)));
    }
}
