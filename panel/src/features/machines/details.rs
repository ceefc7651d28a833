//! A VM's details: what it is, how long its start took, the command line of QEMU, the log.

use qemuweb_vm_config::{InputSource, VmInputs};
use qemuweb_wire::topic::{LogLevel, LogLine};
use qemuweb_wire::vm::VmInfo;
use sycamore::prelude::*;

use super::state::Machines;
use super::words;
use crate::kit::browser::copy;
use crate::kit::reactive::memo;
use crate::kit::text;

/// What a VM is, as names and values.
fn facts(vm: &VmInfo) -> Vec<(&'static str, String)> {
    let mut facts = vec![
        ("Id", vm.vm_id.clone()),
        ("Profile", vm.profile_id.clone()),
        ("Architecture", vm.arch.to_string()),
        ("Memory", text::mebibytes(vm.memory_mib)),
        ("vCPUs", vm.smp.to_string()),
        ("State", vm.state.to_string()),
    ];
    let (own, defaults) = (&vm.definition.inputs, &vm.definition.profile.default_inputs);
    let mut add = |name, source: Option<&InputSource>| {
        facts.extend(source.map(|source| (name, words::describe(source))));
    };
    add("Kernel", own.kernel.as_ref().or(defaults.kernel.as_ref()));
    add("Initrd", own.initrd.as_ref().or(defaults.initrd.as_ref()));
    let disks = |inputs: &VmInputs| -> Vec<InputSource> {
        let disks = inputs.disk.iter().chain(&inputs.additional_disks);
        disks.map(|disk| disk.source.clone()).collect()
    };
    let disks = Some(disks(own))
        .filter(|own| !own.is_empty())
        .unwrap_or_else(|| disks(defaults));
    disks.iter().for_each(|disk| add("Disk", Some(disk)));
    facts
}

/// QEMU's command line as one would type it.
fn command_line(vm: &VmInfo) -> String {
    let args: Vec<String> = std::iter::once(format!("qemu-system-{}", vm.arch))
        .chain(vm.args.iter().map(|arg| text::shell_word(arg)))
        .collect();
    args.join(" ")
}

/// The tab.
#[component]
pub fn Details() -> View {
    let machines = Machines::here();
    // Progress changes nothing here.
    let vm = memo(move || {
        machines.shown.with(|vm| {
            vm.as_deref().map(|vm| VmInfo {
                progress: None,
                ..vm.clone()
            })
        })
    });
    let lines = memo(move || {
        machines.cx.nav.selected.with(|vm_id| {
            machines.log.with(|log| {
                // What belongs to no VM may concern any.
                let concerns = |line: &&LogLine| line.vm_id.is_none() || line.vm_id == *vm_id;
                log.iter().filter(concerns).cloned().collect::<Vec<_>>()
            })
        })
    });
    view! {
        div(class="details", id="panel-details", role="tabpanel", aria-labelledby="tab-details", tabindex="0") {
            (vm.get_clone().map(|vm| about(&vm)))
            (log(&lines.get_clone()))
        }
    }
}

fn about(vm: &VmInfo) -> View {
    let definition = |(name, value): (&'static str, String)| view! { dt { (name) } dd { (value) } };
    let facts: Vec<View> = facts(vm).into_iter().map(definition).collect();
    let times: Vec<View> = words::phase_times(vm)
        .into_iter()
        .map(|(phase, took)| definition((words::phase(phase), text::seconds(took))))
        .collect();
    let warnings: Vec<View> = vm
        .warnings
        .iter()
        .cloned()
        .map(|warning| view! { li { (warning) } })
        .collect();
    let times = (!times.is_empty()).then(|| view! { section { h2 { "Last start" } dl { (times) } } });
    let warnings = (!warnings.is_empty()).then(|| view! { section { h2 { "Notes" } ul { (warnings) } } });
    let command = (!vm.args.is_empty()).then(|| {
        let (line, copied) = (command_line(vm), command_line(vm));
        view! {
            section {
                h2 { "QEMU command line" }
                pre(class="command-line", tabindex="0") { (line) }
                button(class="button small", r#type="button", on:click=move |_| copy(copied.clone())) { "Copy" }
            }
        }
    });
    view! {
        section { h2 { "Machine" } dl { (facts) } }
        (times)
        (warnings)
        (command)
    }
}

fn log(lines: &[LogLine]) -> View {
    if lines.is_empty() {
        return View::new();
    }
    let lines: Vec<View> = lines
        .iter()
        .map(|line| {
            let class = match line.level {
                LogLevel::Debug => "log-line debug",
                LogLevel::Info => "log-line",
                LogLevel::Warning => "log-line warning",
                LogLevel::Error => "log-line error",
            };
            let message = line.message.clone();
            view! { li(class=class) { (message) } }
        })
        .collect();
    view! { section { h2 { "Log" } ul(class="log") { (lines) } } }
}

#[cfg(test)]
mod tests {
    use qemuweb_vm_config::DiskInput;
    use qemuweb_wire::VmState;

    use super::*;
    use crate::features::machines::words::tests::vm;

    #[test]
    fn what_a_machine_boots_is_named() {
        let mut vm = vm("a", VmState::NOT_STARTED);
        let own = InputSource::Url("https://example.org/d.img".into());
        vm.definition.inputs.disk = Some(DiskInput::new(own));
        let facts = facts(&vm);
        let has = |name: &str, part: &str| facts.iter().any(|(n, v)| *n == name && v.contains(part));
        assert!(has("Disk", "d.img") && has("Kernel", "built in"), "{facts:?}");
    }

    #[test]
    fn the_command_line_can_be_pasted_into_a_shell() {
        let mut vm = vm("a", VmState::Running);
        vm.args = vec![
            "-machine".into(),
            "q35".into(),
            "-append".into(),
            "console=ttyS0 it's".into(),
        ];
        assert_eq!(
            command_line(&vm),
            r"qemu-system-x86_64 -machine q35 -append 'console=ttyS0 it'\''s'"
        );
    }
}
