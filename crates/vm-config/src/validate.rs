//! Checks of single fields, each of which names the path of the field that it blames; and of whole profiles,
//! which may come from a stranger's file.

use crate::builder::MAX_DISKS;
use crate::error::{ConfigError, excerpt};
use crate::inputs::{DiskInput, InputSource, MAX_BLANK, MIN_BLANK, VmInputs};
use crate::limits::{MAX_HEAP_MIB, MAX_SMP, QEMU_OWN_MIB, default_tb_size_mib, heap_mib, largest_guest_mib};
use crate::machine::Machine;
use crate::refusals::{option_refusal, refusals};
use crate::types::{Arch, VmProfile};

/// The longest `id`, in characters.
const LONGEST_ID: usize = 64;
/// The longest `name`, in characters.
const LONGEST_NAME: usize = 100;
/// The longest `description` and `kernelHelpText`, in characters.
const LONGEST_TEXT: usize = 2000;

impl VmProfile {
    /// Checks a profile of any origin: whether each of its fields can be what it says.
    ///
    /// [`crate::build_qemu_args`] checks what it uses anyway; this finds all faults before a profile is kept.
    ///
    /// # Errors
    /// All faults, each with the path of its field.
    pub fn validate(&self) -> Result<(), Vec<ConfigError>> {
        let mut checks = vec![
            check_id(&self.id),
            check_text("name", &self.name, 1, LONGEST_NAME),
            check_text("description", &self.description, 0, LONGEST_TEXT),
            check_text(
                "kernelHelpText",
                self.kernel_help_text.as_deref().unwrap_or_default(),
                0,
                LONGEST_TEXT,
            ),
            check_machine(&self.machine, self.arch),
            check_smp("smp", self.smp),
            check_memory(
                "memoryMiB",
                self.memory_mib,
                self.max_memory_mib.unwrap_or(u32::MAX),
            ),
            check_heap("memoryMiB", self.memory_mib, default_tb_size_mib(self.memory_mib)),
        ];
        checks.extend(self.cpu.as_ref().map(|cpu| check_model("cpu", "cpu", cpu)));
        checks.extend(
            self.max_memory_mib
                .map(|max| check_memory("maxMemoryMiB", max, largest_guest_mib())),
        );
        checks.extend(self.block_size_bytes.map(check_block_size));
        let mut faults: Vec<_> = checks.into_iter().filter_map(Result::err).collect();
        faults.extend(check_args("defaultArgs", &self.default_args));
        faults.extend(check_inputs("defaultInputs", &self.default_inputs));
        if faults.is_empty() { Ok(()) } else { Err(faults) }
    }
}

fn check_id(id: &str) -> Result<(), ConfigError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let sound = (1..=LONGEST_ID).contains(&id.len()) && id.chars().all(plain);
    let expected = || format!("1 to {LONGEST_ID} letters, digits, dashes, dots or underscores");
    ensure(sound, || ConfigError::invalid("id", expected(), id))
}

fn check_text(field: &str, text: &str, shortest: usize, longest: usize) -> Result<(), ConfigError> {
    let sound = (shortest..=longest).contains(&text.chars().count()) && !text.contains('\0');
    ensure(sound, || {
        ConfigError::invalid(field, format!("{shortest} to {longest} characters of text"), text)
    })
}

fn check_block_size(bytes: u32) -> Result<(), ConfigError> {
    let sound = bytes.is_power_of_two() && (512..=1 << 20).contains(&bytes);
    let expected = "a power of two from 512 to 1048576";
    ensure(sound, || {
        ConfigError::out_of_range("blockSizeBytes", expected, bytes.into())
    })
}

fn check_inputs(field: &str, inputs: &VmInputs) -> Vec<ConfigError> {
    let kernel = inputs
        .kernel
        .iter()
        .map(|source| (source, format!("{field}.kernel")));
    let initrd = inputs
        .initrd
        .iter()
        .map(|source| (source, format!("{field}.initrd")));
    let disk = inputs
        .disk
        .iter()
        .map(|disk| (&disk.source, format!("{field}.disk")));
    let further = inputs.additional_disks.iter().enumerate();
    let further =
        further.map(|(i, DiskInput { source, .. })| (source, format!("{field}.additionalDisks[{i}]")));
    let sources = kernel.chain(initrd).chain(disk).chain(further);
    let mut faults: Vec<_> = sources
        .filter_map(|(source, field)| check_source(source, &field).err())
        .collect();
    let count = inputs.additional_disks.len() + usize::from(inputs.disk.is_some());
    faults.extend(check_disk_count(&format!("{field}.additionalDisks"), count).err());
    let cmdline = inputs.kernel_cmdline.as_deref().unwrap_or_default();
    faults.extend(check_cmdline(&format!("{field}.kernelCmdline"), cmdline).err());
    faults
}

/// A machine type with options, of the right architecture.
pub(crate) fn check_machine(machine: &str, arch: Arch) -> Result<(), ConfigError> {
    check_model("machine", "machine", machine)?;
    let other_arch = Machine::of(machine).arch().is_some_and(|found| found != arch);
    ensure(!other_arch, || {
        ConfigError::invalid("machine", format!("a machine of {arch}"), machine)
    })
}

/// The value of `-machine` or `-cpu`, which is QEMU syntax and no plain text.
pub(crate) fn check_model(field: &str, option: &str, value: &str) -> Result<(), ConfigError> {
    let named = !value.is_empty() && !value.starts_with(',');
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.+=,:".contains(c);
    ensure(named && value.chars().all(plain), || {
        ConfigError::invalid(
            field,
            format!("a QEMU {option} model, with options after commas"),
            value,
        )
    })?;
    match option_refusal(option, value) {
        None => Ok(()),
        Some(reason) => Err(ConfigError::Refused {
            field: field.to_owned(),
            argument: excerpt(value),
            reason,
        }),
    }
}

/// A number of virtual processors.
pub(crate) fn check_smp(field: &str, smp: u32) -> Result<(), ConfigError> {
    let sound = (1..=MAX_SMP).contains(&smp);
    ensure(sound, || {
        ConfigError::out_of_range(field, format!("1 to {MAX_SMP} processors"), smp.into())
    })
}

/// An amount of guest memory in MiB.
pub(crate) fn check_memory(field: &str, mib: u32, limit_mib: u32) -> Result<(), ConfigError> {
    let expected = || match limit_mib {
        u32::MAX => "at least 1 MiB".to_owned(),
        limit => format!("1 to {limit} MiB"),
    };
    ensure((1..=limit_mib).contains(&mib), || {
        ConfigError::out_of_range(field, expected(), mib.into())
    })
}

/// Whether a guest of this memory fits into a heap, beside this much translated code.
pub(crate) fn check_heap(field: &str, guest_mib: u32, tb_size_mib: u32) -> Result<(), ConfigError> {
    let required_mib = heap_mib(guest_mib, tb_size_mib);
    ensure(required_mib <= MAX_HEAP_MIB, || ConfigError::HeapTooSmall {
        field: field.to_owned(),
        required_mib,
        guest_mib,
        tb_size_mib,
        qemu_mib: QEMU_OWN_MIB,
        limit_mib: MAX_HEAP_MIB,
        largest_guest_mib: (MAX_HEAP_MIB - QEMU_OWN_MIB).saturating_sub(tb_size_mib),
    })
}

/// How many disks there are.
pub(crate) fn check_disk_count(field: &str, count: usize) -> Result<(), ConfigError> {
    ensure(count <= MAX_DISKS, || {
        ConfigError::out_of_range(field, format!("at most {MAX_DISKS} disks in all"), count as u64)
    })
}

/// The name or id of an internal snapshot.
pub(crate) fn check_snapshot(field: &str, name: &str) -> Result<(), ConfigError> {
    /// QEMU's own limit, in bytes (`QEMUSnapshotInfo`).
    const LONGEST: usize = 255;
    let sound = (1..=LONGEST).contains(&name.len()) && !name.contains('\0');
    let expected = || format!("1 to {LONGEST} bytes of text");
    ensure(sound, || ConfigError::invalid(field, expected(), name))
}

/// A kernel's command line.
pub(crate) fn check_cmdline(field: &str, cmdline: &str) -> Result<(), ConfigError> {
    /// The most that Linux reads on the architectures that there are, in bytes.
    const LONGEST_CMDLINE: usize = 2047;
    let sound = cmdline.len() <= LONGEST_CMDLINE && !cmdline.contains('\0');
    let expected = || format!("at most {LONGEST_CMDLINE} bytes, without NUL characters");
    ensure(sound, || ConfigError::invalid(field, expected(), cmdline))
}

/// More QEMU arguments.
pub(crate) fn check_args(field: &str, args: &[String]) -> Vec<ConfigError> {
    let refused = refusals(args).into_iter().map(|refusal| ConfigError::Refused {
        field: field.to_owned(),
        argument: excerpt(&refusal.argument),
        reason: refusal.reason,
    });
    let with_nul = args.iter().filter(|arg| arg.contains('\0'));
    let with_nul = with_nul.map(|arg| ConfigError::invalid(field, "text without NUL characters", arg));
    refused.chain(with_nul).collect()
}

/// Whether a source can be what it says that it is.
pub(crate) fn check_source(source: &InputSource, field: &str) -> Result<(), ConfigError> {
    match source {
        InputSource::Builtin(file) => {
            let plain = |c: char| c.is_ascii_alphanumeric() || "-_.+".contains(c);
            let sound = |part: &str| !part.is_empty() && !part.starts_with('.') && part.chars().all(plain);
            let expected = "a file of the package by its path below guest/, such as x86_64/vmlinux.gz";
            ensure(file.path.split('/').all(sound), || {
                ConfigError::invalid(format!("{field}.builtin.path"), expected, &file.path)
            })
        }
        InputSource::Attachment(file) => ensure(file.size > 0, || {
            let expected = format!("a file with content as {}", excerpt(&file.name));
            ConfigError::out_of_range(format!("{field}.attachment.size"), expected, 0)
        }),
        InputSource::Url(url) | InputSource::UrlWithCredentials(url) => {
            let address = url
                .strip_prefix("https://")
                .or_else(|| url.strip_prefix("http://"));
            let sound = address.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'));
            ensure(sound, || {
                ConfigError::invalid(format!("{field}.url"), "an http:// or https:// address", url)
            })
        }
        InputSource::Blank(disk) => {
            let plain = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
            let is_name = (1..=LONGEST_ID).contains(&disk.id.len()) && disk.id.chars().all(plain);
            ensure(is_name, || {
                let expected = format!("1 to {LONGEST_ID} letters, digits, dashes or underscores");
                ConfigError::invalid(format!("{field}.blank.id"), expected, &disk.id)
            })?;
            ensure((MIN_BLANK..=MAX_BLANK).contains(&disk.size), || {
                let expected = format!("{MIN_BLANK} to {MAX_BLANK} bytes");
                ConfigError::out_of_range(format!("{field}.blank.size"), expected, disk.size)
            })
        }
        InputSource::Stored(file) => {
            let hash = file.hash.strip_prefix("sha256:").unwrap_or_default();
            let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
            let sound = hash.len() == 64 && hash.bytes().all(is_digit);
            let expected = "sha256: and 64 lower-case hexadecimal digits";
            ensure(sound, || {
                ConfigError::invalid(format!("{field}.stored.hash"), expected, &file.hash)
            })
        }
    }
}

fn ensure(sound: bool, error: impl FnOnce() -> ConfigError) -> Result<(), ConfigError> {
    if sound { Ok(()) } else { Err(error()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inputs::StoredFile;
    use crate::profiles::{default_profiles, find_profile, infrastructure_profiles};

    #[test]
    fn our_own_profiles_are_valid() {
        for profile in default_profiles().into_iter().chain(infrastructure_profiles()) {
            assert_eq!(profile.validate(), Ok(()), "{}", profile.id);
        }
    }

    #[test]
    fn each_fault_is_named_by_its_path() {
        let mut profile = find_profile("minimal-x86_64").expect("a profile of ours");
        profile.id = "../x".into();
        profile.name = String::new();
        profile.machine = "virt".into();
        profile.cpu = Some("host".into());
        profile.smp = 0;
        profile.memory_mib = 512;
        profile.max_memory_mib = Some(256);
        profile.block_size_bytes = Some(1000);
        profile.default_args = vec!["-daemonize".into()];
        profile.default_inputs.kernel = Some(InputSource::builtin("../manifest.json"));
        profile.default_inputs.additional_disks = vec![DiskInput::new(InputSource::Url("x".into()))];
        profile.default_inputs.initrd = Some(InputSource::Stored(StoredFile {
            hash: "sha256:AB".into(),
            name: "initrd.img".into(),
            size: 2,
        }));
        let faults = profile.validate().expect_err("a broken profile");
        let fields: Vec<_> = faults.iter().map(ConfigError::field).collect();
        let expected = [
            "id",
            "name",
            "machine",
            "smp",
            "memoryMiB",
            "cpu",
            "blockSizeBytes",
            "defaultArgs",
            "defaultInputs.kernel.builtin.path",
            "defaultInputs.initrd.stored.hash",
            "defaultInputs.additionalDisks[0].url",
        ];
        assert_eq!(fields, expected);
    }
}
