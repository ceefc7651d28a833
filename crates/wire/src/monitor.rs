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

/// How many of the processors in an answer to `info registers -a` are not halted, and how many there are. Nothing for
/// processors whose registers do not tell.
pub fn busy_processors(registers: &str) -> Option<(u32, u32)> {
    let (mut busy, mut all) = (0, 0);
    for (start, label) in registers.match_indices("HLT=") {
        all += 1;
        busy += u32::from(registers[start + label.len()..].starts_with('0'));
    }
    (all > 0).then_some((busy, all))
}

/// The program counters of the processors in an answer to `info registers -a` of an Arm machine.
pub fn program_counters(registers: &str) -> Vec<u64> {
    let counters = registers.match_indices(" PC=").filter_map(|(start, label)| {
        let rest = &registers[start + label.len()..];
        let end = rest.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(rest.len());
        u64::from_str_radix(&rest[..end], 16).ok()
    });
    counters.collect()
}

/// The line for the human monitor that shows the instruction before `pc`, for [`is_wfi`].
pub fn show_instruction_before(pc: u64) -> String {
    format!("x /1xw {:#x}", pc.wrapping_sub(4))
}

/// Whether the instruction in an answer to [`show_instruction_before`] is Arm's WFI, behind which a halted processor
/// stands.
pub fn is_wfi(memory: &str) -> bool {
    memory
        .split_once(": ")
        .is_some_and(|(_, word)| word.trim() == "0xd503207f")
}

/// The bytes read and written of all disks in an answer to `query-blockstats`.
pub fn disk_bytes(stats: &Value) -> (u64, u64) {
    let sum = |field: &str| {
        let disks = stats.as_array().into_iter().flatten();
        disks
            .filter_map(|disk| disk["stats"][field].as_u64())
            .fold(0, u64::saturating_add)
    };
    (sum("rd_bytes"), sum("wr_bytes"))
}

/// The used and the whole memory in an answer to `qom-get` of a balloon's `guest-stats`, once the guest has told.
pub fn guest_memory(stats: &Value) -> Option<(u64, u64)> {
    // What a guest does not tell is -1, as an unsigned number.
    let told = |field: &str| stats["stats"][field].as_u64().filter(|bytes| *bytes < 1 << 50);
    let total = told("stat-total-memory")?;
    let free = told("stat-available-memory").or_else(|| told("stat-free-memory"))?;
    Some((total.saturating_sub(free), total))
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

    #[test]
    fn halted_processors_are_counted() {
        let registers = "CPU#0\nEAX=0 II=0 A20=1 SMM=0 HLT=1\nCPU#1\nII=0 A20=1 SMM=0 HLT=0\n";
        assert_eq!(busy_processors(registers), Some((1, 2)));
        assert_eq!(busy_processors(" PC=ffff800008 X00=0"), None);
        assert_eq!(busy_processors("HLT="), Some((0, 1)));
    }

    #[test]
    fn an_arm_processor_that_waits_stands_behind_its_wfi() {
        let registers =
            "\nCPU#0\n PC=ffff80000801b2a4 X00=00\nX01=1\n\nCPU#1\n PC=0000000000400abc X00=1\n PC=xyz";
        assert_eq!(program_counters(registers), [0xffff_8000_0801_b2a4, 0x40_0abc]);
        assert_eq!(show_instruction_before(0x40_0abc), "x /1xw 0x400ab8");
        assert!(is_wfi("ffff80000801b2a0: 0xd503207f\r\n"));
        assert!(!is_wfi("ffff80000801b2a0: 0xd503201f\r\n") && !is_wfi("Cannot access memory"));
    }

    #[test]
    fn bytes_of_all_disks_are_added() {
        let stats = json!([{"stats": {"rd_bytes": 5, "wr_bytes": 1}}, {"stats": {"rd_bytes": 7}}, 3]);
        assert_eq!(disk_bytes(&stats), (12, 1));
        assert_eq!(disk_bytes(&Value::Null), (0, 0));
    }

    #[test]
    fn memory_is_known_once_the_guest_tells() {
        let stats =
            json!({"last-update": 0, "stats": {"stat-total-memory": u64::MAX, "stat-free-memory": u64::MAX}});
        assert_eq!(guest_memory(&stats), None);
        let stats =
            json!({"stats": {"stat-total-memory": 100, "stat-free-memory": 10, "stat-available-memory": 40}});
        assert_eq!(guest_memory(&stats), Some((60, 100)));
    }
}
