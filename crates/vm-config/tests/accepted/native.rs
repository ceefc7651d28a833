//! By a native QEMU. Where none is installed the test says so on standard error and passes.
//!
//! What is ours alone is replaced: `ring` character devices, the firmware folder, snapshots as disks, and the paths of
//! mounted files.

use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use qemuweb_vm_config::{Arch, QemuArgsResult, default_profiles, infrastructure_profiles};

use crate::{combinations, files};

/// QEMU's largest silence before the test fails.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn x86_64_machines_start() {
    start_all(Arch::X86_64);
}

#[test]
fn aarch64_machines_start() {
    start_all(Arch::Aarch64);
}

fn is_installed(program: &str) -> bool {
    let found = Command::new(program)
        .arg("--version")
        .stdout(Stdio::null())
        .status()
        .is_ok();
    if !found {
        // Written past the test harness, which would keep it to itself.
        let _ = writeln!(
            io::stderr(),
            "SKIPPED: {program} is not installed; its arguments were not tried"
        );
    }
    found
}

fn start_all(arch: Arch) {
    let program = format!("qemu-system-{arch}");
    if !is_installed(&program) {
        return;
    }
    let folder = Folder::new(arch);
    let machines = combinations::machines(arch);
    for (profile, result) in &machines {
        let args = folder.native_args(result);
        if let Err(problem) = start_and_quit(&program, &args) {
            panic!("{profile}: {problem}\n{}", result.command_line());
        }
    }
    assert!(
        machines.len() >= 20,
        "only {} machines were tried",
        machines.len()
    );
}

/// What distributions compile for, as QEMU calls it: x86-64-v3.
const V3: [&str; 16] = [
    "abm", "avx", "avx2", "bmi1", "bmi2", "cx16", "f16c", "fma", "lahf-lm", "movbe", "popcnt", "sse3",
    "sse4.1", "sse4.2", "ssse3", "xsave",
];

#[test]
fn processors_of_pcs_run_what_distributions_compile() {
    let program = "qemu-system-x86_64";
    if !is_installed(program) {
        return;
    }
    let profiles = default_profiles().into_iter().chain(infrastructure_profiles());
    let mut models: Vec<_> = profiles
        .filter(|profile| profile.arch == Arch::X86_64)
        .filter_map(|profile| profile.cpu)
        .collect();
    models.sort();
    models.dedup();
    assert!(!models.is_empty());
    for model in models {
        let args = [
            "-nodefaults",
            "-display",
            "none",
            "-S",
            "-qmp",
            "stdio",
            "-cpu",
            &model,
        ];
        let mut asked = vec![("{\"execute\": \"qmp_capabilities\"}".to_owned(), "\"return\"")];
        asked.extend(V3.map(|feature| {
            let path = "/machine/unattached/device[0]";
            let arguments = format!("{{\"path\": \"{path}\", \"property\": \"{feature}\"}}");
            (
                format!("{{\"execute\": \"qom-get\", \"arguments\": {arguments}}}"),
                "\"return\": true",
            )
        }));
        asked.push(("{\"execute\": \"quit\"}".to_owned(), "\"return\""));
        let complaint = run(program, &args.map(str::to_owned), &asked)
            .unwrap_or_else(|problem| panic!("{model}: {problem}"));
        assert_eq!(complaint, "", "{model}");
    }
}

/// A folder of this test's own, which is removed at the end, with a file for every kind of input.
struct Folder(PathBuf);

impl Folder {
    fn new(arch: Arch) -> Self {
        let path = std::env::temp_dir().join(format!("qemuweb-args-{arch}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("a temporary folder");
        for (name, content) in files::all() {
            fs::write(path.join(name), content).expect("a file in the temporary folder");
        }
        // Arm's machine has flash of this size.
        let flash = fs::File::create(path.join(files::FLASH)).expect("a file in the temporary folder");
        let size = if arch == Arch::Aarch64 { 64 << 20 } else { 1 << 20 };
        flash.set_len(size).expect("a file with holes");
        Self(path)
    }

    /// The arguments with what is ours alone replaced by what any QEMU has.
    fn native_args(&self, result: &QemuArgsResult) -> Vec<String> {
        let mut args = result.args.clone();
        let firmware = args
            .iter()
            .position(|arg| arg == "-L")
            .expect("a firmware folder");
        args.drain(firmware..firmware + 2);
        for arg in &mut args {
            if arg == "qboot.rom" {
                // QEMU's own firmware folder has it under this name too, where it is installed.
                *arg = self.0.join("firmware").to_string_lossy().into_owned();
            } else if arg == "ring,id=qmp0" {
                *arg = "stdio,id=qmp0".into();
            } else if let Some(id) = arg.strip_prefix("ring,") {
                // Others have nothing to discard.
                *arg = format!("null,{}", id.trim_end_matches(",discard=on"));
            } else if let Some((drive, _)) = arg.split_once(",load-snapshot=") {
                *arg = drive.to_owned();
            } else if arg.starts_with("if=pflash") {
                // Of any content and size, in QEMU's own format.
                *arg = arg.replace("format=qcow2", "format=raw");
            }
        }
        for mount in &result.files_to_mount {
            let path = self.0.join(files::name_of(mount));
            let path = path.to_str().expect("a path in UTF-8");
            for arg in args.iter_mut().filter(|arg| names(arg, &mount.path)) {
                *arg = arg.replace(&mount.path, path);
            }
        }
        for disk in &result.disks {
            let path = self.0.join(files::name_of_image(disk));
            let path = path.to_str().expect("a path in UTF-8");
            for arg in args.iter_mut().filter(|arg| names(arg, &disk.file_name())) {
                // Several machines have the same file, and some a disk several times.
                *arg = arg.replace(&disk.file_name(), path) + ",file.locking=off";
            }
        }
        args.push("-S".into());
        args
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn names(arg: &str, path: &str) -> bool {
    arg == path || arg.contains(&format!("file={path},"))
}

/// Starts QEMU, agrees with it on QMP, asks for its state, and has it quit.
fn start_and_quit(program: &str, args: &[String]) -> Result<(), String> {
    let asked = [
        ("qmp_capabilities", "\"return\""),
        ("query-status", "prelaunch"),
        ("quit", "\"return\""),
    ];
    let asked = asked.map(|(command, answer)| (format!("{{\"execute\": \"{command}\"}}"), answer));
    run(program, args, &asked).map(drop)
}

/// Runs QEMU, sends what is to be asked, and returns what it wrote to its standard error.
fn run(program: &str, args: &[String], asked: &[(String, &str)]) -> Result<String, String> {
    let mut qemu = Command::new(program)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| error.to_string())?;
    let outcome = converse(&mut qemu, asked);
    if outcome.is_err() {
        let _ = qemu.kill();
    }
    let output = qemu.wait_with_output().map_err(|error| error.to_string())?;
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    outcome.map_err(|problem| format!("{problem}; it said: {complaint}"))?;
    if output.status.success() {
        Ok(complaint)
    } else {
        Err(format!("{}: {complaint}", output.status))
    }
}

fn converse(qemu: &mut Child, asked: &[(String, &str)]) -> Result<(), String> {
    let mut commands = qemu.stdin.take().ok_or("no standard input")?;
    let answers = lines(qemu.stdout.take().ok_or("no standard output")?);
    expect(&answers, "\"QMP\"")?;
    for (command, answer) in asked {
        // At once: QEMU obeys as soon as it has seen the last brace, and may be gone before a line's end follows.
        let line = format!("{command}\n");
        commands
            .write_all(line.as_bytes())
            .map_err(|error| error.to_string())?;
        expect(&answers, answer)?;
    }
    Ok(())
}

fn lines(stdout: impl io::Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    receiver
}

/// Waits for an answer, past QEMU's events, and checks that it contains `text`.
fn expect(answers: &Receiver<String>, text: &str) -> Result<(), String> {
    loop {
        let line = answers
            .recv_timeout(PATIENCE)
            .map_err(|error| format!("QEMU did not answer {text}: {error}"))?;
        if line.contains(text) {
            return Ok(());
        }
        if !line.contains("\"event\"") {
            return Err(format!("expected {text}, QEMU answered {line}"));
        }
    }
}
