//! Native QEMU (`qemu-wasm/native.sh`) under TCG with the machine that the extension would start: what we compare with.

use std::fs::{self, File};
use std::io::{PipeReader, Read};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use qemuweb_storage::device::BlockDevice as _;
use qemuweb_storage::sparse::SparseBlockDevice;
use qemuweb_vm_config::{InputSource, QemuArgsResult, build_qemu_args, find_profile};

use crate::boot::Launch;
use crate::build;
use crate::console::Console;
use crate::paths::Paths;
use crate::process;
use crate::shell::{Happened, Terminal};

/// A native QEMU and its console.
pub(crate) struct NativeVm {
    child: Child,
    output: Receiver<Vec<u8>>,
    console: Console,
    /// When its process was started.
    pub(crate) launched: Instant,
    // The uncompressed images.
    _images: tempfile::TempDir,
}

impl NativeVm {
    /// Starts the same machine; built-in images are those in `guest`, the output of the guests' recipe.
    pub(crate) fn launch(paths: &Paths, launch: &Launch, guest: &Path) -> Result<Self> {
        let programs = build::native_qemu(paths)?;
        let profile =
            find_profile(&launch.profile).with_context(|| format!("unknown profile {}", launch.profile))?;
        let built = build_qemu_args(&profile, &launch.inputs, Some(&launch.overrides));
        if let Some(error) = built.errors.first() {
            bail!("the profile {} cannot start: {error}", profile.id);
        }
        let images = tempfile::Builder::new().prefix("qemuweb-native-").tempdir()?;
        let arguments = native_arguments(&built, &launch.files, guest, images.path())?;
        let program = programs.join(format!("qemu-system-{}", built.arch));
        let (reader, writer) = std::io::pipe()?;
        let launched = Instant::now();
        let child = Command::new(&program)
            .args(&arguments)
            .stdin(Stdio::piped())
            .stdout(writer)
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        Ok(NativeVm {
            child,
            output: read_on(reader),
            console: Console::default(),
            launched,
            _images: images,
        })
    }

    /// QEMU's process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Terminal for NativeVm {
    fn console(&self) -> &Console {
        &self.console
    }

    fn send(&mut self, bytes: &[u8]) -> Result<()> {
        use std::io::Write as _;
        let stdin = self
            .child
            .stdin
            .as_mut()
            .context("QEMU was started without a console")?;
        stdin
            .write_all(bytes)
            .and_then(|()| stdin.flush())
            .context("cannot type into QEMU's console")
    }

    fn wait(&mut self, limit: Duration) -> Result<Happened> {
        match self.output.recv_timeout(limit) {
            Ok(bytes) => {
                self.console.push(&bytes);
                Ok(Happened::Output)
            }
            Err(RecvTimeoutError::Timeout) => Ok(Happened::Nothing),
            Err(RecvTimeoutError::Disconnected) => Ok(Happened::Ended("native QEMU ended".into())),
        }
    }
}

impl Drop for NativeVm {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The version of a native QEMU, as it names it itself.
pub(crate) fn version(paths: &Paths, arch: &str) -> Result<String> {
    let program = build::native_qemu(paths)?.join(format!("qemu-system-{arch}"));
    let printed = process::output(Command::new(program).arg("--version"))?;
    Ok(printed
        .lines()
        .next()
        .unwrap_or_default()
        .trim_start_matches("QEMU emulator ")
        .to_owned())
}

/// The same machine, with what only our QEMU has replaced: ring character devices, the folder of firmware, the rate of
/// the time stamp counter, and the paths of files, which are unpacked into `images` as the VM host does.
fn native_arguments(
    built: &QemuArgsResult,
    files: &[PathBuf],
    guest: &Path,
    images: &Path,
) -> Result<Vec<String>> {
    let mut arguments = Vec::new();
    let mut given = built.args.iter();
    while let Some(argument) = given.next() {
        match argument.as_str() {
            "-L" => drop(given.next()),
            "-chardev" => {
                let value = given.next().context("-chardev without a value")?;
                let native = match value.strip_prefix("ring,id=") {
                    Some("serial0") => "stdio,id=serial0,signal=off".to_owned(),
                    // Without our own properties.
                    Some(rest) => format!("null,id={}", rest.split(',').next().unwrap_or(rest)),
                    None => value.clone(),
                };
                arguments.extend(["-chardev".to_owned(), native]);
            }
            "-append" => {
                let command_line = given.next().context("-append without a value")?;
                arguments.extend(["-append".to_owned(), with_tsc_rate_of_host(command_line)?]);
            }
            _ => arguments.push(argument.clone()),
        }
    }
    let mounted = built
        .files_to_mount
        .iter()
        .map(|file| (&file.source, file.path.clone()));
    let served = built.disks.iter().map(|disk| (&disk.source, disk.file_name()));
    for (source, named) in mounted.chain(served) {
        let from = match source {
            InputSource::Builtin(builtin) => guest.join(&builtin.path),
            InputSource::Attachment(attachment) => files
                .get(attachment.index as usize)
                .context("an attachment without a file")?
                .clone(),
            source => bail!("{} is nothing that can be compared", source.file_name()),
        };
        let unpacked = unpack(&from, images)?;
        let unpacked = unpacked
            .to_str()
            .context("a temporary directory whose name is no UTF-8")?;
        let in_drive = format!("file={named},");
        for argument in &mut arguments {
            if *argument == named {
                *argument = unpacked.to_owned();
            } else if argument.contains(&in_drive) {
                *argument = argument.replace(&in_drive, &format!("file={unpacked},"));
            }
        }
    }
    Ok(arguments)
}

/// Our QEMU's time stamp counter counts nanoseconds, native QEMU's is the host's.
fn with_tsc_rate_of_host(command_line: &str) -> Result<String> {
    const OPTION: &str = "tsc_early_khz=";
    if !command_line.contains(OPTION) {
        return Ok(command_line.to_owned());
    }
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").context("cannot read /proc/cpuinfo")?;
    let mhz: f64 = cpuinfo
        .lines()
        .find_map(|line| line.strip_prefix("cpu MHz")?.split(": ").nth(1)?.parse().ok())
        .context("/proc/cpuinfo does not tell the processor's rate")?;
    let words: Vec<String> = command_line
        .split(' ')
        .map(|word| match word.strip_prefix(OPTION) {
            Some(_) => format!("{OPTION}{:.0}", mhz * 1000.0),
            None => word.to_owned(),
        })
        .collect();
    Ok(words.join(" "))
}

fn unpack(file: &Path, into: &Path) -> Result<PathBuf> {
    let name = file
        .file_name()
        .and_then(|name| name.to_str())
        .context("an image without a name")?;
    let unpacked = into.join(name.trim_end_matches(".gz"));
    let packed = File::open(file).with_context(|| format!("cannot open {}", file.display()))?;
    if name.ends_with(".gz") {
        let status = Command::new("gzip")
            .arg("-dc")
            .stdin(packed)
            .stdout(File::create(&unpacked)?)
            .status()?;
        if !status.success() {
            bail!("cannot unpack {}", file.display());
        }
    } else {
        fs::copy(file, &unpacked)?;
    }
    if unpacked
        .extension()
        .is_some_and(|extension| extension == "sparse")
    {
        return spread(&unpacked);
    }
    Ok(unpacked)
}

/// The disk beside an image of its pages that are not zero.
fn spread(sparse: &Path) -> Result<PathBuf> {
    let image = SparseBlockDevice::open(sparse.display().to_string(), &fs::read(sparse)?)?;
    let raw = sparse.with_extension("raw");
    let disk = File::create(&raw)?;
    disk.set_len(image.size())?;
    for (offset, page) in image.pages() {
        disk.write_all_at(page, offset)?;
    }
    Ok(raw)
}

fn read_on(mut reader: PipeReader) -> Receiver<Vec<u8>> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(read @ 1..) = reader.read(&mut buffer) {
            if sender.send(buffer[..read].to_vec()).is_err() {
                break;
            }
        }
    });
    receiver
}
