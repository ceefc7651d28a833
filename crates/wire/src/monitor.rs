//! What can be asked of a VM's QEMU over QMP, what it tells, and what is measured by it.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// A request to QEMU's monitor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum MonitorCommand {
    /// Whether the machine runs (`query-status`).
    QueryStatus,
    /// QEMU's version (`query-version`).
    QueryVersion,
    /// The virtual processors (`query-cpus-fast`).
    QueryCpus,
    /// The guest's memory (`query-memory-size-summary`).
    QueryMemory,
    /// The disks (`query-block`).
    QueryBlock,
    /// What went through the disks (`query-blockstats`).
    QueryBlockStats,
    /// The character devices (`query-chardev`).
    QueryChardev,
    /// The PCI devices (`query-pci`).
    QueryPci,
    /// The CPU models (`query-cpu-definitions`).
    QueryCpuDefinitions,
    /// All QMP commands that this QEMU knows (`query-commands`).
    QueryCommands,
    /// Halt the vCPUs (`stop`).
    Stop,
    /// Let them run again (`cont`).
    Cont,
    /// A line for the human monitor, such as `info registers`; the answer is text.
    Hmp {
        /// The line.
        line: String,
    },
    /// Any other QMP command.
    Other {
        /// The command's name.
        execute: String,
        /// Its arguments, an object.
        #[serde(default)]
        arguments: Option<Value>,
    },
}

impl MonitorCommand {
    /// The requests without arguments, in the order in which a person is offered them.
    pub const SIMPLE: [Self; 12] = [
        Self::QueryStatus,
        Self::QueryVersion,
        Self::QueryCpus,
        Self::QueryMemory,
        Self::QueryBlock,
        Self::QueryBlockStats,
        Self::QueryChardev,
        Self::QueryPci,
        Self::QueryCpuDefinitions,
        Self::QueryCommands,
        Self::Stop,
        Self::Cont,
    ];

    /// The QMP command and its arguments.
    pub fn to_qmp(&self) -> (&str, Option<Value>) {
        let name = match self {
            Self::QueryStatus => "query-status",
            Self::QueryVersion => "query-version",
            Self::QueryCpus => "query-cpus-fast",
            Self::QueryMemory => "query-memory-size-summary",
            Self::QueryBlock => "query-block",
            Self::QueryBlockStats => "query-blockstats",
            Self::QueryChardev => "query-chardev",
            Self::QueryPci => "query-pci",
            Self::QueryCpuDefinitions => "query-cpu-definitions",
            Self::QueryCommands => "query-commands",
            Self::Stop => "stop",
            Self::Cont => "cont",
            Self::Hmp { line } => {
                return ("human-monitor-command", Some(json!({ "command-line": line })));
            }
            Self::Other { execute, arguments } => return (execute, arguments.clone()),
        };
        (name, None)
    }

    /// Reads what a person typed: `{"execute": …}`, or the bare name of a command.
    ///
    /// # Errors
    /// A sentence that says what was expected.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if !text.starts_with('{') {
            let is_name = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
            if text.is_empty() || !text.chars().all(is_name) {
                return Err("expected the name of a QMP command or {\"execute\": …}".to_owned());
            }
            return Ok(Self::Other {
                execute: text.to_owned(),
                arguments: None,
            });
        }
        #[derive(Deserialize)]
        struct Qmp {
            execute: String,
            #[serde(default)]
            arguments: Option<serde_json::Map<String, Value>>,
        }
        let Qmp { execute, arguments } =
            serde_json::from_str(text).map_err(|error| format!("expected {{\"execute\": …}}: {error}"))?;
        Ok(Self::Other {
            execute,
            arguments: arguments.map(Value::Object),
        })
    }
}

/// Something that QEMU told of its own accord.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct MonitorEvent {
    /// When it arrived, in milliseconds since the epoch.
    pub at: f64,
    /// Its name, such as `SHUTDOWN`.
    pub name: String,
    /// What belongs to it.
    #[serde(default)]
    pub data: Value,
}

/// How busy a VM is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct Metrics {
    /// When it was measured, in milliseconds since the epoch.
    pub at: f64,
    /// The share of samples since the last time in which a vCPU was not halted, 0 to 1, the mean of all vCPUs.
    pub cpu: Option<f64>,
    /// What the guest uses of its memory, in bytes, where it has a balloon driver.
    pub memory_used: Option<u64>,
    /// The guest's memory as the guest counts it, in bytes.
    pub memory_total: Option<u64>,
    /// Bytes that the guest has read from its disks since the start.
    pub disk_read: u64,
    /// Bytes that it has written to them.
    pub disk_written: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed_is_a_command() {
        let other = |execute: &str, arguments| MonitorCommand::Other {
            execute: execute.to_owned(),
            arguments,
        };
        assert_eq!(MonitorCommand::parse(" query-kvm "), Ok(other("query-kvm", None)));
        assert_eq!(
            MonitorCommand::parse(r#"{"execute": "device_del", "arguments": {"id": "x"}}"#),
            Ok(other("device_del", Some(json!({"id": "x"}))))
        );
        for wrong in [
            "",
            "info registers",
            "{",
            r#"{"execute": 5}"#,
            r#"{"execute": "a", "arguments": []}"#,
        ] {
            assert!(MonitorCommand::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn each_simple_command_has_a_name_of_its_own() {
        let names: std::collections::BTreeSet<&str> = MonitorCommand::SIMPLE
            .iter()
            .map(|command| command.to_qmp().0)
            .collect();
        assert_eq!(names.len(), MonitorCommand::SIMPLE.len());
    }
}
