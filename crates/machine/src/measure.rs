//! What QEMU's answers tell of how busy a machine is.

use serde_json::Value;

/// How many of the processors in an answer to `info registers -a` are not halted, and how many there are. Nothing for
/// processors whose registers do not tell.
pub(crate) fn busy_processors(registers: &str) -> Option<(u32, u32)> {
    let (mut busy, mut all) = (0, 0);
    for (start, label) in registers.match_indices("HLT=") {
        all += 1;
        busy += u32::from(registers[start + label.len()..].starts_with('0'));
    }
    (all > 0).then_some((busy, all))
}

/// The program counters of the processors in an answer to `info registers -a` of an Arm machine.
pub(crate) fn program_counters(registers: &str) -> Vec<u64> {
    let counters = registers.match_indices(" PC=").filter_map(|(start, label)| {
        let rest = &registers[start + label.len()..];
        let end = rest.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(rest.len());
        u64::from_str_radix(&rest[..end], 16).ok()
    });
    counters.collect()
}

/// The line for the human monitor that shows the instruction before `pc`, for [`is_wfi`].
pub(crate) fn show_instruction_before(pc: u64) -> String {
    format!("x /1xw {:#x}", pc.wrapping_sub(4))
}

/// Whether the instruction in an answer to [`show_instruction_before`] is Arm's WFI, behind which a halted processor
/// stands.
pub(crate) fn is_wfi(memory: &str) -> bool {
    memory
        .split_once(": ")
        .is_some_and(|(_, word)| word.trim() == "0xd503207f")
}

/// The bytes read and written of all disks in an answer to `query-blockstats`.
pub(crate) fn disk_bytes(stats: &Value) -> (u64, u64) {
    let sum = |field: &str| {
        let disks = stats.as_array().into_iter().flatten();
        disks
            .filter_map(|disk| disk["stats"][field].as_u64())
            .fold(0, u64::saturating_add)
    };
    (sum("rd_bytes"), sum("wr_bytes"))
}

/// The used and the whole memory in an answer to `qom-get` of a balloon's `guest-stats`, once the guest has told.
pub(crate) fn guest_memory(stats: &Value) -> Option<(u64, u64)> {
    // What a guest does not tell is -1, as an unsigned number.
    let told = |field: &str| stats["stats"][field].as_u64().filter(|bytes| *bytes < 1 << 50);
    let total = told("stat-total-memory")?;
    let free = told("stat-available-memory").or_else(|| told("stat-free-memory"))?;
    Some((total.saturating_sub(free), total))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

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
