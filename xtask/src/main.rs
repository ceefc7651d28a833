//! Every chore of QemuWeb is one verb: `cargo xtask run`, `test`, `engine-test`, `crash-test`, `soak`, `build`, `bench`, `fuzz`, `tidy`, `package`,
//! `setup`.
//!
//! One file per verb; [`flags`] says what each takes, [`process`] runs other programs, [`setup`] sees to the tools.

mod bench;
mod boot;
mod build;
mod console;
mod crash_test;
mod engine_test;
mod flags;
mod fuzz;
mod licences;
mod native;
mod package;
mod parts;
mod paths;
mod plan;
mod process;
mod procfs;
mod run;
mod setup;
mod shell;
mod soak;
mod summary;
mod test;
mod tidy;
mod wasm;

use std::process::ExitCode;

use crate::flags::{Xtask, XtaskCmd};

fn main() -> ExitCode {
    let flags = Xtask::from_env_or_exit();
    let result = match flags.subcommand {
        // `run` ends with the status of the command that it ran in the guest.
        XtaskCmd::Run(flags) => return run::main(&flags),
        XtaskCmd::Setup(_) => setup::ensure(&setup::Needs::all()),
        XtaskCmd::Build(flags) => build::main(&flags),
        XtaskCmd::Test(flags) => test::main(&flags),
        XtaskCmd::Bench(flags) => bench::main(&flags),
        XtaskCmd::EngineTest(flags) => engine_test::main(&flags),
        XtaskCmd::CrashTest(flags) => crash_test::main(&flags),
        XtaskCmd::Soak(flags) => soak::main(&flags),
        XtaskCmd::Fuzz(flags) => fuzz::main(&flags),
        XtaskCmd::Tidy(_) => tidy::main(),
        XtaskCmd::Package(_) => package::main(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
