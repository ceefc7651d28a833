//! What each verb takes on the command line.

use std::path::PathBuf;

xflags::xflags! {
    /// The chores of QemuWeb.
    cmd xtask {
        /// Build everything, then open Chromium with the panel and boot a VM; or boot one without a window.
        cmd run {
            /// Open no window: boot, have the console on standard output and input, end when the VM does.
            optional --headless
            /// Run a command in the guest's shell, print its output, exit with its status (implies --headless).
            optional --exec command: String
            /// Wait until a line on the console contains this text (implies --headless).
            optional --until text: String
            /// Print one JSON object: output, status and the time of each phase (implies --headless).
            optional --json
            /// Give up after so many seconds from the VM's launch, with exit status 124.
            optional --timeout seconds: f64
            /// The machine profile, such as minimal-x86_64 (the default) or linux-aarch64-virt-nographic.
            optional --profile id: String
            /// Boot this kernel.
            optional --kernel file: PathBuf
            /// With this initial RAM disk.
            optional --initrd file: PathBuf
            /// The kernel's command line.
            optional --append text: String
            /// Attach this disk image, in any format; may be given several times. Without a kernel, the first medium starts:
            /// a floppy, else a CD, else a disk.
            repeated --disk file: PathBuf
            /// Put this image into the floppy drive; may be given twice.
            repeated --floppy file: PathBuf
            /// Put this image into an optical drive; may be given several times.
            repeated --cdrom file: PathBuf
            /// The internal snapshot that the first disk is, by its name or id.
            optional --snapshot name: String
            /// What starts a disk: bios or uefi (what the disk needs).
            optional --firmware name: String
            /// The processor model, such as max.
            optional --cpu model: String
            /// Guest memory in MiB.
            optional --memory mib: u32
            /// Number of virtual processors.
            optional --smp count: u32
            /// The guest's architecture when no profile is named: x86_64 or aarch64.
            optional --arch name: String
        }

        /// Run all tests; the last line says how many passed and failed.
        cmd test {
            /// Only the steps whose name contains this text: tidy, build, native, browser, scripts, e2e, crash, soak, fuzz.
            optional --only step: String
        }

        /// Test the engine in full: QEMU's own TCG tests, random code against native QEMU, what people bring to boot, and UEFI variables.
        cmd engine-test {
            /// Only the parts whose name contains this text: node, qemu, chromium x86_64 random, chromium aarch64 tcg, boots, boots Xen, variables, ...
            optional --only part: String
            /// Seed of the random code in Chromium (1).
            optional --seed number: u64
            /// Blocks of random code in Chromium (2000).
            optional --blocks count: u32
        }

        /// End the browser, the VM host or the service worker at random moments, and see what is left of what was stored.
        cmd crash-test {
            /// How often, with VMs in the catalogue (30).
            optional --rounds count: u32
            /// How often to kill something while a guest writes to a disk; without --rounds, nothing else.
            optional --kills count: u32
            /// Of the random moments and actions; a round that failed names it.
            optional --seed number: u64
        }

        /// One browser for hours, in which VMs start and stop and panels open and close, with its memory watched.
        cmd soak {
            /// For how many minutes (120).
            optional --minutes count: f64
        }

        /// Build QEMU, the guests and the extension into target/extension.
        cmd build {
            /// Only the extension, with QEMU and guests as the cache has them.
            optional --extension-only
        }

        /// Measure.
        cmd bench {
            /// Boot times against native QEMU, memory, idle CPU use, size of the package.
            cmd boot {
                /// Print one JSON object.
                optional --json
                /// Also write the results to docs/benchmarks.md.
                optional --save
            }

            /// How fast the page's traffic gets into a guest, with which delay, and the memory that it takes.
            cmd capture {
                /// Print one JSON object.
                optional --json
                /// Also write the results to docs/benchmarks.md.
                optional --save
                /// Only the rows whose name contains this text; of `redact` alone, nothing but Rust and Node is needed.
                optional --only row: String
            }

            /// A guest's disk, against native QEMU and against the browser's bare store.
            cmd disk {
                /// Print one JSON object.
                optional --json
                /// Also write the results to docs/benchmarks.md.
                optional --save
                /// Only the rows whose name contains this text, such as read, attach.
                optional --only row: String
                /// How often each is measured (3).
                optional --times count: u32
            }

            /// What a person waits for in the panel, against the build of an earlier commit.
            cmd panel {
                /// Print one JSON object.
                optional --json
                /// Also write the results to docs/benchmarks.md.
                optional --save
                /// Only the rows whose name contains this text, such as popup, yes.
                optional --only row: String
                /// The commit to compare with (69ea233).
                optional --reference commit: String
                /// How often each build is measured (9); what takes long, a third as often.
                optional --times count: u32
            }

            /// What guest code costs, row by row, and boots, in Chromium and natively.
            cmd engine {
                /// Print one JSON object.
                optional --json
                /// Also write the results to docs/benchmarks.md.
                optional --save
                /// Only the rows whose name contains this text, such as hot-block, aarch64, boot.
                optional --only row: String
                /// For at least how many milliseconds to measure each row (3000).
                optional --ms count: u32
            }
        }

        /// Run the fuzz targets, each for a while.
        cmd fuzz {
            /// Only the targets whose name contains this text, such as har.
            optional --only target: String
            /// For how many seconds each (60).
            optional --seconds count: u32
        }

        /// Check the sources: format, lints, headers, sizes.
        cmd tidy {}

        /// Make the zip for the store from target/extension.
        cmd package {}

        /// Install what the other verbs need.
        cmd setup {}
    }
}
