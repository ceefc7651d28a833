//! By our own QEMU, in Node (`qemu-wasm/test/machines.mjs`): an argument that our build cannot take fails here.
//!
//! The tests are ignored where nobody says which build: `cargo xtask test` runs them when there is one.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use qemuweb_vm_config::{Arch, FileKind, InputSource, QemuArgsResult, required_heap_mib};
use serde_json::{Value, json};

use crate::{combinations, files};

/// The variable that names the output directory of `qemu-wasm/build.sh`.
const OUTPUT: &str = "QEMUWEB_QEMU";

#[test]
#[ignore = "needs the output of qemu-wasm/build.sh, named by QEMUWEB_QEMU"]
fn x86_64_machines_start_in_ours() {
    start_some(Arch::X86_64);
}

#[test]
#[ignore = "needs the output of qemu-wasm/build.sh, named by QEMUWEB_QEMU"]
fn aarch64_machines_start_in_ours() {
    start_some(Arch::Aarch64);
}

/// Starts as many machines as it takes to have each argument tried.
fn start_some(arch: Arch) {
    let output =
        std::env::var(OUTPUT).expect("QEMUWEB_QEMU names the output directory of qemu-wasm/build.sh");
    let machines = covering(combinations::machines(arch));
    assert!(machines.len() >= 5, "only {} machines were tried", machines.len());
    let given: Vec<Value> = machines
        .iter()
        .map(|(profile, result)| machine(profile, result))
        .collect();
    let files = files::all().map(|(name, content)| (name.to_owned(), Value::from(content)));
    let request = json!({ "files": serde_json::Map::from_iter(files), "machines": given });

    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../qemu-wasm/test/machines.mjs");
    let mut node = Command::new("node")
        .arg(script)
        .args([output.as_str(), arch.as_str()])
        .stdin(Stdio::piped())
        .spawn()
        .expect("node can be started");
    let mut input = node.stdin.take().expect("standard input");
    input
        .write_all(request.to_string().as_bytes())
        .expect("node reads");
    drop(input);
    let status = node.wait().expect("node ends");
    assert!(status.success(), "{status}: see above");
}

/// A machine as the script takes it: its arguments, and which file or firmware is mounted where.
fn machine(id: &str, result: &QemuArgsResult) -> Value {
    let mounts: serde_json::Map<String, Value> = result
        .files_to_mount
        .iter()
        .map(|mount| {
            let from = match &mount.source {
                InputSource::Builtin(file) if mount.kind == FileKind::Firmware => file.path.as_str(),
                _ => files::name_of(mount),
            };
            (mount.path.clone(), from.into())
        })
        .collect();
    let disks: serde_json::Map<String, Value> = result
        .disks
        .iter()
        .map(|disk| (disk.channel.clone(), files::name_of_image(disk).into()))
        .collect();
    let profile = qemuweb_vm_config::find_profile(id).expect("a profile of ours");
    json!({
        "name": id,
        "commandLine": result.command_line(),
        "args": result.args,
        "mounts": mounts,
        "disks": disks,
        // Overrides ask for less than twice the profile's memory.
        "heapMiB": required_heap_mib(&profile, None) + 512,
    })
}

/// Some of the machines, which together have every argument that any has.
fn covering(mut machines: Vec<(String, QemuArgsResult)>) -> Vec<(String, QemuArgsResult)> {
    let mut chosen = Vec::new();
    let mut seen = BTreeSet::new();
    loop {
        let new = |result: &QemuArgsResult| parts(result).difference(&seen).count();
        let Some(best) = (0..machines.len()).max_by_key(|index| new(&machines[*index].1)) else {
            return chosen;
        };
        if new(&machines[best].1) == 0 {
            return chosen;
        }
        let machine = machines.swap_remove(best);
        seen.extend(parts(&machine.1));
        chosen.push(machine);
    }
}

/// The parts of an argument list: each option with its value, whose numbers count for nothing.
fn parts(result: &QemuArgsResult) -> BTreeSet<String> {
    let pairs = result.args.windows(2).filter(|pair| pair[0].starts_with('-'));
    let pairs = pairs.map(|pair| format!("{} {}", pair[0], pair[1]));
    pairs
        .map(|text| text.chars().filter(|c| !c.is_ascii_digit()).collect())
        .collect()
}
