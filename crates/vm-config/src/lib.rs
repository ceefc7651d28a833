//! Virtual machines as data: profiles, what they boot, and the QEMU arguments that run them.
//!
//! A [`VmProfile`] is a template for a machine, [`VmInputs`] say what it boots, and [`VmOverrides`] what a
//! person changed. [`build_qemu_args`] turns the three into the command line of QEMU as it is compiled for a
//! browser, with the list of files to put into QEMU's file system beforehand and that of disks to serve it. The crate is pure: it reads no
//! file, knows no clock and no browser, and compiles natively and to WebAssembly alike.
//!
//! ```
//! use qemuweb_vm_config::{VmInputs, VmOverrides, build_qemu_args, find_profile, required_heap_mib};
//!
//! let profile = find_profile("linux-aarch64-virt-nographic").expect("comes with QemuWeb");
//! let inputs: VmInputs = serde_json::from_str(
//!     r#"{"additionalDisks": [{"url": "https://example.org/data.qcow2", "readonly": true}]}"#,
//! )?;
//! let overrides = VmOverrides { memory_mib: Some(256), ..VmOverrides::default() };
//!
//! let result = build_qemu_args(&profile, &inputs, Some(&overrides));
//! assert!(result.errors.is_empty());
//! let paths: Vec<_> = result.files_to_mount.iter().map(|file| file.path.as_str()).collect();
//! assert_eq!(paths, ["/vm/kernel", "/vm/initrd"]);
//! let disks: Vec<_> = result.disks.iter().map(|disk| disk.file_name()).collect();
//! assert_eq!(disks, ["ring:disk0", "ring:home"]);
//! // 256 MiB for the guest, 32 for translated code, 384 for QEMU itself.
//! assert_eq!(required_heap_mib(&profile, Some(&overrides)), 672);
//! # Ok::<(), serde_json::Error>(())
//! ```

mod builder;
mod content;
mod error;
mod firmware;
mod inputs;
mod limits;
mod machine;
mod profile_file;
mod profiles;
mod props;
mod refusals;
mod schema;
mod types;
mod validate;

pub use builder::{
    AGENT_CHANNEL, AGENT_PORT_NAME, BALLOON, CAPTURE_CHANNEL, CAPTURE_PORT_NAME, HOME_CHANNEL, HOME_IMAGE,
    MAX_DISKS, MAX_FLOPPIES, PACKET_CHANNEL, PACKET_PORT_NAME, QMP_CHANNEL, SERIAL_CHANNEL, build_qemu_args,
    split_args, starts_disk,
};
pub use content::{
    CONTENT_HEAD, Compression, Content, DiskImage, InitrdFor, Layout, Role, Sample, Seen, Snapshot, Volume,
    WrongContent, check_any_content, check_content, recognize,
};
pub use error::{ConfigError, ConfigWarning};
pub use firmware::{MAX_UEFI_VARIABLES, Uefi, fits_uefi_variables, uefi};
pub use inputs::*;
pub use limits::{
    MAX_HEAP_MIB, MAX_SMP, QEMU_OWN_MIB, default_tb_size_mib, guest_memory_mib, largest_guest_mib,
    required_heap_mib, tb_size_mib,
};
pub use profile_file::{PROFILE_SCHEMA, export_profile, import_profile};
pub use profiles::{
    DEFAULT_PROFILE_ID, WHOLE_PC_PROFILE_ID, default_profiles, find_profile, infrastructure_profiles,
};
pub use types::*;
