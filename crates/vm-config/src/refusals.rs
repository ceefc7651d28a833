//! Which QEMU options cannot work in a browser, or would take away what QemuWeb relies on, and why.
//!
//! This is help, not defence: QEMU runs in a WebAssembly sandbox with a file system of its own. An option
//! that is not named here passes, and QEMU judges it.

use crate::props;

/// An argument that is not let through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// The option with its value, if it has one.
    pub(crate) argument: String,
    /// Why, and what to do instead.
    pub(crate) reason: &'static str,
}

const ACCELERATOR: &str =
    "a browser has no hardware virtualization; QEMU translates code (TCG), set up by QemuWeb";
const HOST_CPU: &str = "there is no host processor to pass through; name a CPU model";
const MEMORY: &str = "the WebAssembly heap is sized beforehand; set the memory in the machine's settings";
const SMP: &str = "set the number of processors in the machine's settings";
const FIRMWARE: &str = "the package has one firmware folder, /pc-bios";
const PROCESS: &str = "QEMU is not a process of an operating system here";
const DISPLAY: &str = "there is no window system; the console is in the panel";
const NOGRAPHIC: &str =
    "the machine has no window and its console is in the panel already; leave the option out";
const SOCKET: &str = "a browser has no sockets, pipes or terminals; use none, null or chardev:ID";
const NETWORK: &str =
    "a browser gives no access to the computer's network; set the network in the machine's settings";
const USER_NETWORK: &str = "user-mode networking is not part of this build of QEMU";
const REMOTE_DISK: &str =
    "QEMU opens no connections here; give the address as a disk, and QemuWeb fetches it";
const HOST_DEVICE: &str = "a browser gives no access to the computer's devices";
const HOST_PATH: &str =
    "there is no such path: QEMU sees only the machine's own files below /vm and /pc-bios";
const SOUND: &str = "sound is not part of this build of QEMU";
const MIGRATION: &str =
    "a machine cannot be received over a connection or from a command; use -incoming defer";
const PLUGIN: &str = "a WebAssembly module cannot load shared libraries";
const CONFIG_FILE: &str = "there are no files to read options from; give the options themselves";
const ENTROPY: &str = "there is no random device to read; use rng-builtin";
const NOT_AN_OPTION: &str = "an option that begins with - was expected; give disks in the machine's settings";

/// Options that are refused whatever their value.
const REFUSED_OPTIONS: &[(&str, &str)] = &[
    ("accel", ACCELERATOR),
    ("enable-kvm", ACCELERATOR),
    ("xen-attach", ACCELERATOR),
    ("xen-domid", ACCELERATOR),
    ("xen-domid-restrict", ACCELERATOR),
    ("m", MEMORY),
    ("mem-path", MEMORY),
    ("smp", SMP),
    ("L", FIRMWARE),
    ("daemonize", PROCESS),
    ("chroot", PROCESS),
    ("runas", PROCESS),
    ("user", PROCESS),
    ("run-with", PROCESS),
    ("sandbox", PROCESS),
    ("pidfile", PROCESS),
    ("add-fd", PROCESS),
    ("qtest", SOCKET),
    ("s", SOCKET),
    ("vnc", DISPLAY),
    ("spice", DISPLAY),
    ("sdl", DISPLAY),
    ("gtk", DISPLAY),
    ("curses", DISPLAY),
    ("full-screen", DISPLAY),
    ("nographic", NOGRAPHIC),
    ("tpmdev", HOST_DEVICE),
    ("iscsi", REMOTE_DISK),
    ("smb", USER_NETWORK),
    ("tftp", USER_NETWORK),
    ("redir", USER_NETWORK),
    ("plugin", PLUGIN),
    ("readconfig", CONFIG_FILE),
];

/// Devices that stand for one of the host's, by the beginning of their name.
const HOST_DEVICES: &[&str] = &[
    "vfio-",
    "usb-host",
    "vhost-",
    "xen-",
    "scsi-block",
    "scsi-generic",
    "u2f-passthru",
    "ivshmem-doorbell",
];

/// Character device backends that need nothing of the host.
const CHARDEVS: &[&str] = &[
    "null", "ring", "ringbuf", "memory", "msmouse", "wctablet", "testdev", "mux", "hub", "file",
];

/// Block drivers that reach outside.
const REMOTE_BLOCK_DRIVERS: &[&str] = &[
    "nbd", "ssh", "http", "https", "ftp", "ftps", "iscsi", "rbd", "nfs", "gluster", "blkio", "vvfat",
];

/// Block drivers that open a device of the host.
const HOST_BLOCK_DRIVERS: &[&str] = &[
    "host_device",
    "host_cdrom",
    "nvme",
    "nvme-io_uring",
    "virtio-blk-vfio-pci",
];

/// Options whose value is free text, in which a slash means nothing.
const FREE_TEXT: &[&str] = &["append", "name", "uuid"];

/// What of `args` cannot be let through.
pub(crate) fn refusals(args: &[String]) -> Vec<Refusal> {
    let mut refused = Vec::new();
    let mut args = args.iter().map(String::as_str).peekable();
    while let Some(arg) = args.next() {
        let Some(option) = arg.strip_prefix("--").or_else(|| arg.strip_prefix('-')) else {
            refused.push(Refusal {
                argument: arg.to_owned(),
                reason: NOT_AN_OPTION,
            });
            continue;
        };
        // What begins with a dash is looked at as an option even where QEMU would take it for a value.
        let value = args.next_if(|next| !next.starts_with('-'));
        if let Some(reason) = option_refusal(option, value.unwrap_or_default()) {
            let argument = value.map_or_else(|| arg.to_owned(), |value| format!("{arg} {value}"));
            refused.push(Refusal { argument, reason });
        }
    }
    refused
}

/// Why this option with this value is not let through, if it is not.
pub(crate) fn option_refusal(option: &str, value: &str) -> Option<&'static str> {
    if let Some((_, reason)) = REFUSED_OPTIONS.iter().find(|(name, _)| *name == option) {
        return Some(reason);
    }
    let props = props::parse(value);
    let kind = |key: &str| named_or_first(&props, key);
    let by_option = match option {
        "machine" | "M" => props
            .iter()
            .any(|(k, v)| k == "accel" && v != "tcg")
            .then_some(ACCELERATOR),
        "cpu" => (kind("") == "host").then_some(HOST_CPU),
        "device" => HOST_DEVICES
            .iter()
            .any(|name| kind("driver").starts_with(name))
            .then_some(HOST_DEVICE),
        "usbdevice" => value.starts_with("host:").then_some(HOST_DEVICE),
        "display" => (kind("type") != "none").then_some(DISPLAY),
        "chardev" => (!CHARDEVS.contains(&kind("backend"))).then_some(SOCKET),
        "serial" | "parallel" | "monitor" | "debugcon" | "gdb" | "qmp" | "qmp-pretty" => {
            let harmless = matches!(value, "none" | "null") || value.starts_with("chardev:");
            (!harmless).then_some(SOCKET)
        }
        "netdev" | "nic" | "net" => network_refusal(kind("type")),
        "object" => object_refusal(kind("qom-type")),
        "audio" | "audiodev" => (kind("driver") != "none").then_some(SOUND),
        "incoming" => (value != "defer").then_some(MIGRATION),
        "fsdev" | "virtfs" => (kind("fsdriver") != "synth").then_some(HOST_PATH),
        "drive" | "blockdev" | "hda" | "hdb" | "hdc" | "hdd" | "cdrom" | "fda" | "fdb" | "sd"
        | "mtdblock" | "pflash" => block_refusal(&props),
        _ => None,
    };
    by_option.or_else(|| {
        let has_paths = !FREE_TEXT.contains(&option);
        has_paths
            .then(|| props.iter().find_map(|(_, value)| path_refusal(value)))
            .flatten()
    })
}

/// The value of `key`, or the bare word that stands first.
fn named_or_first<'a>(props: &'a [(String, String)], key: &str) -> &'a str {
    let named = props.iter().find(|(k, _)| !k.is_empty() && k == key);
    let first = props.first().filter(|(k, _)| k.is_empty());
    named.or(first).map_or("", |(_, value)| value.as_str())
}

fn network_refusal(kind: &str) -> Option<&'static str> {
    match kind {
        "none" | "hubport" | "nic" => None,
        "user" => Some(USER_NETWORK),
        _ => Some(NETWORK),
    }
}

fn object_refusal(kind: &str) -> Option<&'static str> {
    match kind {
        "rng-random" | "rng-egd" => Some(ENTROPY),
        "memory-backend-file" | "memory-backend-memfd" | "memory-backend-shm" | "memory-backend-epc" => {
            Some(MEMORY)
        }
        "input-linux" | "cryptodev-vhost-user" | "vfio-user-server" => Some(HOST_DEVICE),
        _ => None,
    }
}

/// Looks for block drivers and addresses that reach outside QEMU's own files.
fn block_refusal(props: &[(String, String)]) -> Option<&'static str> {
    props.iter().find_map(|(key, value)| {
        let last = key.rsplit('.').next().unwrap_or_default();
        match last {
            "driver" | "format" if HOST_BLOCK_DRIVERS.contains(&value.as_str()) => Some(HOST_DEVICE),
            "driver" | "format" if REMOTE_BLOCK_DRIVERS.contains(&value.as_str()) => Some(REMOTE_DISK),
            "" | "file" | "filename" if has_scheme(value) => Some(REMOTE_DISK),
            _ => None,
        }
    })
}

/// Whether a file's name begins with a protocol, as in `nbd:…` or `https://…`.
fn has_scheme(name: &str) -> bool {
    name.split_once(':').is_some_and(|(scheme, _)| {
        !scheme.is_empty()
            && scheme
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
    })
}

fn path_refusal(value: &str) -> Option<&'static str> {
    let climbs = value.split('/').any(|part| part == "..");
    let mounted = value.starts_with("/vm/") || value.starts_with("/pc-bios/");
    if value.starts_with("/dev/") {
        Some(HOST_DEVICE)
    } else if climbs || (value.starts_with('/') && !mounted) {
        Some(HOST_PATH)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reasons(line: &str) -> Vec<&'static str> {
        let args = shlex::split(line).expect("a well-formed line");
        refusals(&args)
            .into_iter()
            .map(|refusal| refusal.reason)
            .collect()
    }

    #[test]
    fn refuses_what_cannot_work_in_a_browser() {
        let cases = [
            ("-accel kvm", ACCELERATOR),
            ("--enable-kvm", ACCELERATOR),
            ("-machine q35,accel=kvm:tcg", ACCELERATOR),
            ("-M accel=hvf", ACCELERATOR),
            ("-cpu host,+vmx", HOST_CPU),
            ("-m 8G", MEMORY),
            ("-smp 64", SMP),
            ("-L /usr/share/qemu", FIRMWARE),
            ("-daemonize", PROCESS),
            ("-chroot /tmp", PROCESS),
            ("-runas nobody", PROCESS),
            ("-device vfio-pci,host=00:02.0", HOST_DEVICE),
            ("-device usb-host,vendorid=1", HOST_DEVICE),
            (r#"-device '{"driver": "vfio-pci"}'"#, HOST_DEVICE),
            ("-usbdevice host:1234:5678", HOST_DEVICE),
            ("-hda /dev/sda", HOST_DEVICE),
            ("-drive file=/dev/nvme0n1,if=virtio", HOST_DEVICE),
            ("-blockdev driver=host_device,node-name=a,filename=x", HOST_DEVICE),
            ("-drive file=nbd:localhost:10809", REMOTE_DISK),
            ("-cdrom https://example.org/a.iso", REMOTE_DISK),
            (
                r#"-blockdev '{"driver": "raw", "file": {"driver": "ssh"}}'"#,
                REMOTE_DISK,
            ),
            ("-kernel /boot/vmlinuz", HOST_PATH),
            ("-kernel /vm/../etc/passwd", HOST_PATH),
            ("-drive if=none,file=/home/me/disk.img", HOST_PATH),
            (
                "-virtfs local,path=/srv,mount_tag=x,security_model=none",
                HOST_PATH,
            ),
            ("-D /tmp/log", HOST_PATH),
            ("-vnc :0", DISPLAY),
            ("-spice port=5900", DISPLAY),
            ("-display gtk", DISPLAY),
            ("-display type=sdl", DISPLAY),
            ("-nographic", NOGRAPHIC),
            ("-chardev socket,id=a,path=/vm/a", SOCKET),
            ("-chardev backend=pty,id=a", SOCKET),
            ("-serial stdio", SOCKET),
            ("-serial mon:stdio", SOCKET),
            ("-monitor tcp::4444,server", SOCKET),
            ("-qmp tcp::4445", SOCKET),
            ("-gdb tcp::1234", SOCKET),
            ("-s", SOCKET),
            ("-netdev tap,id=n0", NETWORK),
            ("-nic bridge", NETWORK),
            ("-net socket,listen=:1", NETWORK),
            ("-netdev type=user,id=n0", USER_NETWORK),
            ("-incoming tcp:0:4444", MIGRATION),
            ("-incoming 'exec:cat x'", MIGRATION),
            ("-plugin ./x.so", PLUGIN),
            ("-readconfig x.cfg", CONFIG_FILE),
            ("-object rng-random,id=r,filename=/dev/urandom", ENTROPY),
            ("-object memory-backend-file,id=m,mem-path=/vm/m,size=1G", MEMORY),
            ("-audiodev alsa,id=a", SOUND),
            ("disk.img", NOT_AN_OPTION),
        ];
        for (line, reason) in cases {
            assert_eq!(reasons(line), [reason], "{line}");
        }
    }

    #[test]
    fn lets_the_rest_through() {
        let lines = [
            "",
            "-device virtio-balloon-pci -device edu -d int",
            "-device a-device-that-nobody-knows",
            "-append 'root=/dev/vda1 init=/bin/sh'",
            "-name /dev/null",
            "-drive if=none,file=/vm/disk1.raw,format=raw",
            "-blockdev driver=file,node-name=a,filename=/vm/disk0.raw",
            "-chardev null,id=a -serial chardev:a -monitor none",
            "-chardev ring,id=a -mon chardev=a",
            "-machine q35,accel=tcg,usb=off",
            "-cpu max",
            "-display none -vga std -nic none -net none",
            "-incoming defer",
            "-object rng-builtin,id=r -object iothread,id=t",
            "-rtc base=utc,clock=vm -boot menu=on",
            "-bios bios-256k.bin",
        ];
        for line in lines {
            assert_eq!(reasons(line), Vec::<&str>::new(), "{line}");
        }
    }

    #[test]
    fn an_option_cannot_hide_as_a_value() {
        assert_eq!(reasons("-no-reboot -daemonize"), [PROCESS]);
        assert_eq!(reasons("-append -enable-kvm"), [ACCELERATOR]);
    }
}
