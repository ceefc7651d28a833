//! A real QEMU accepts what the builder makes: each profile, with many combinations of inputs and overrides,
//! is started by `qemu-system-*` with its processors stopped, greeted over QMP, and told to quit.
//!
//! Where a QEMU is not installed the test says so on standard error and passes. What is ours alone is
//! replaced: `ring` character devices, the firmware folder, and the paths of mounted files.

use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use qemuweb_vm_config::{
    Arch, Attachment, BootDevice, BootFrom, DiskFormat, DiskInput, DiskInterface, FileKind, InputSource,
    Media, NetMode, QemuArgsResult, VmInputs, VmOverrides, VmProfile, build_qemu_args, default_profiles,
    infrastructure_profiles,
};

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

fn start_all(arch: Arch) {
    let program = format!("qemu-system-{arch}");
    if Command::new(&program)
        .arg("--version")
        .stdout(Stdio::null())
        .status()
        .is_err()
    {
        // Written past the test harness, which would keep it to itself.
        let _ = writeln!(
            io::stderr(),
            "SKIPPED: {program} is not installed; its arguments were not tried"
        );
        return;
    }
    let folder = Folder::new(arch);
    let profiles: Vec<_> = default_profiles()
        .into_iter()
        .chain(infrastructure_profiles())
        .collect();
    let mut started = 0;
    for profile in profiles.iter().filter(|profile| profile.arch == arch) {
        for (inputs, overrides) in combinations(profile) {
            let result = build_qemu_args(profile, &inputs, Some(&overrides));
            assert_eq!(result.errors, [], "{}: {inputs:?} {overrides:?}", profile.id);
            let args = folder.native_args(&result);
            if let Err(problem) = start_and_quit(&program, &args) {
                panic!("{}: {problem}\n{}", profile.id, result.command_line());
            }
            started += 1;
        }
    }
    assert!(started >= 20, "only {started} machines were tried");
}

/// Inputs and overrides that this profile accepts.
fn combinations(profile: &VmProfile) -> Vec<(VmInputs, VmOverrides)> {
    let none = VmOverrides::default;
    let is_pc = profile.machine == "q35";
    let mut combinations = vec![
        (
            VmInputs {
                kernel: Some(file("vmlinuz")),
                ..VmInputs::default()
            },
            none(),
        ),
        (
            VmInputs {
                kernel: Some(file("vmlinuz")),
                initrd: Some(file("initrd, with = signs")),
                kernel_cmdline: Some("console=ttyS0 a,b=c \"d e\" -enable-kvm".into()),
                ..VmInputs::default()
            },
            VmOverrides {
                memory_mib: Some(256),
                smp: Some(4),
                cpu: Some("max".into()),
                cmdline: Some("debug".into()),
                net: Some(NetMode::User),
                tb_size_mib: Some(48),
                ..none()
            },
        ),
        (
            VmInputs {
                kernel: Some(file("vmlinuz")),
                ..VmInputs::default()
            },
            VmOverrides {
                extra_args: Some(
                    "-name 'a,, b' -rtc clock=vm -no-reboot -chardev null,id=extra -object iothread,id=t"
                        .into(),
                ),
                ..none()
            },
        ),
    ];
    if profile.default_inputs.kernel.is_some() && !profile.id.starts_with("debian-") {
        combinations.push((VmInputs::default(), none()));
    }
    let on = |media: Media, readonly: bool| DiskInput {
        media: Some(media),
        readonly,
        ..DiskInput::new(file("image"))
    };
    let mut drives = vec![on(Media::Cdrom, false), on(Media::Cdrom, true)];
    if is_pc {
        drives.extend([on(Media::Floppy, false), on(Media::Floppy, true)]);
    }
    combinations.push((
        VmInputs {
            disk: Some(DiskInput::new(file("disk"))),
            additional_disks: drives,
            ..VmInputs::default()
        },
        none(),
    ));
    let interfaces = [DiskInterface::VirtioBlk, DiskInterface::Ide, DiskInterface::Scsi];
    for interface in interfaces {
        for format in [DiskFormat::Raw, DiskFormat::Qcow2] {
            for readonly in [false, true] {
                let disk = DiskInput {
                    readonly,
                    format: Some(format),
                    ..DiskInput::new(file("disk"))
                };
                let inputs = VmInputs {
                    kernel: Some(file("vmlinuz")),
                    disk: Some(disk.clone()),
                    additional_disks: vec![disk; 2],
                    ..VmInputs::default()
                };
                combinations.push((
                    inputs,
                    VmOverrides {
                        disk_interface: Some(interface),
                        ..none()
                    },
                ));
            }
        }
    }
    let mixed = interfaces.map(|interface| DiskInput {
        interface: Some(interface),
        ..DiskInput::new(file("disk.qcow2"))
    });
    if is_pc {
        let inputs = VmInputs {
            disk: Some(DiskInput::new(file("disk"))),
            additional_disks: mixed.to_vec(),
            ..VmInputs::default()
        };
        let boot_order = vec![
            BootDevice::Cdrom,
            BootDevice::Disk,
            BootDevice::Network,
            BootDevice::Floppy,
        ];
        combinations.push((inputs.clone(), none()));
        combinations.push((
            inputs,
            VmOverrides {
                boot_order,
                boot_from: (!profile.requires_kernel).then_some(BootFrom::Disk),
                ..none()
            },
        ));
    } else {
        let kernel = Some(file("vmlinuz"));
        combinations.push((
            VmInputs {
                kernel,
                additional_disks: mixed.to_vec(),
                ..VmInputs::default()
            },
            none(),
        ));
    }
    combinations
}

fn file(name: &str) -> InputSource {
    InputSource::Attachment(Attachment {
        index: 0,
        name: name.into(),
        size: 1,
    })
}

/// A folder of this test's own, which is removed at the end, with a file for every kind of input.
struct Folder(PathBuf);

impl Folder {
    fn new(arch: Arch) -> Self {
        let path = std::env::temp_dir().join(format!("qemuweb-args-{arch}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("a temporary folder");
        for (name, content) in [
            ("kernel", kernel()),
            ("firmware", vec![0; 64 << 10]),
            ("initrd", vec![0; 4096]),
            ("disk.raw", vec![0; 1 << 20]),
            ("floppy.raw", vec![0; 1_474_560]),
            ("disk.qcow2", empty_qcow2()),
        ] {
            fs::write(path.join(name), content).expect("a file in the temporary folder");
        }
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
            }
        }
        for mount in &result.files_to_mount {
            let name = match mount.kind {
                FileKind::Kernel => "kernel",
                FileKind::Initrd => "initrd",
                FileKind::Disk if has_extension(&mount.path, "qcow2") => "disk.qcow2",
                FileKind::Disk | FileKind::Cdrom => "disk.raw",
                FileKind::Floppy => "floppy.raw",
                FileKind::Firmware => "firmware",
            };
            let path = self.0.join(name);
            let path = path.to_str().expect("a path in UTF-8");
            for arg in args.iter_mut().filter(|arg| names(arg, &mount.path)) {
                *arg = arg.replace(&mount.path, path);
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

fn has_extension(path: &str, extension: &str) -> bool {
    Path::new(path)
        .extension()
        .is_some_and(|found| found == extension)
}

fn names(arg: &str, path: &str) -> bool {
    arg == path || arg.contains(&format!("file={path},"))
}

/// A file with the header of a Linux kernel for x86 (boot protocol 2.06), which for Arm is a raw image.
fn kernel() -> Vec<u8> {
    let mut image = vec![0; 64 << 10];
    image[0x1f1] = 4;
    image[0x202..0x206].copy_from_slice(b"HdrS");
    image[0x206..0x208].copy_from_slice(&0x0206_u16.to_le_bytes());
    image[0x211] = 1;
    image[0x22c..0x230].copy_from_slice(&0x37ff_ffff_u32.to_le_bytes()); // the initrd's highest address
    image
}

/// An empty qcow2 image (version 2) of 1 MiB: header, refcount table, refcount block, L1 table, a cluster each.
fn empty_qcow2() -> Vec<u8> {
    const CLUSTER: u64 = 1 << 16;
    let mut image = b"QFI\xfb".to_vec();
    image.extend(2_u32.to_be_bytes());
    image.extend([0; 12]); // no backing file
    image.extend(16_u32.to_be_bytes()); // cluster bits
    image.extend((1_u64 << 20).to_be_bytes());
    image.extend(0_u32.to_be_bytes()); // not encrypted
    image.extend(1_u32.to_be_bytes()); // L1 entries
    image.extend((3 * CLUSTER).to_be_bytes());
    image.extend(CLUSTER.to_be_bytes()); // refcount table
    image.extend(1_u32.to_be_bytes());
    image.extend([0; 12]); // no snapshots
    image.resize(4 << 16, 0);
    image[1 << 16..(1 << 16) + 8].copy_from_slice(&(2 * CLUSTER).to_be_bytes());
    for cluster in 0..4 {
        image[(2 << 16) + 2 * cluster + 1] = 1;
    }
    image
}

/// Starts QEMU, agrees with it on QMP, asks for its state, and has it quit.
fn start_and_quit(program: &str, args: &[String]) -> Result<(), String> {
    let mut qemu = Command::new(program)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| error.to_string())?;
    let outcome = converse(&mut qemu);
    if outcome.is_err() {
        let _ = qemu.kill();
    }
    let output = qemu.wait_with_output().map_err(|error| error.to_string())?;
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    outcome.map_err(|problem| format!("{problem}; it said: {complaint}"))?;
    if output.status.success() {
        Ok(())
    } else {
        Err(format!("{}: {complaint}", output.status))
    }
}

fn converse(qemu: &mut Child) -> Result<(), String> {
    let mut commands = qemu.stdin.take().ok_or("no standard input")?;
    let answers = lines(qemu.stdout.take().ok_or("no standard output")?);
    expect(&answers, "\"QMP\"")?;
    for (command, answer) in [
        ("qmp_capabilities", "\"return\""),
        ("query-status", "prelaunch"),
        ("quit", "\"return\""),
    ] {
        writeln!(commands, "{{\"execute\": \"{command}\"}}").map_err(|error| error.to_string())?;
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
