//! Commands by the guest's agent: their output as it comes, and the status that they end with. A guest without an agent has
//! its console (`shell.rs`).

use std::io::{self, Write};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use qemuweb_wire::agent::{AgentCommand, AgentOperation, AgentOutcome};

use crate::boot::{AgentEvent, Vm};
use crate::shell::{Deadline, Outcome};

/// How long an agent may take to come after the shell's prompt.
const COMES_WITHIN: Duration = Duration::from_secs(3);
const TRY_EVERY: Duration = Duration::from_millis(200);
/// How long to wait at once.
const WAIT: Duration = Duration::from_secs(1);
/// Bytes of output that are taken before the guest is told so.
const TAKEN_AT_ONCE: usize = 64 << 10;
/// What a shell adds to the number of the signal that ended a command.
const SIGNALLED: u8 = 128;

/// Whether the guest has an agent: it reports.
pub(crate) fn is_there(vm: &mut Vm, deadline: Deadline) -> Result<bool> {
    let start = Instant::now();
    loop {
        vm.open_agent(&AgentOperation::Report)?;
        let mut has_reported = false;
        loop {
            deadline.check("the guest's agent")?;
            match vm.next_of_agent(deadline.at_most(WAIT))? {
                Some((AgentEvent::Ended { .. }, _)) => has_reported = true,
                // The last event of this operation: what comes next is of another one.
                Some((AgentEvent::Closed { .. }, _)) => break,
                _ => {}
            }
        }
        if has_reported {
            return Ok(true);
        }
        if start.elapsed() > COMES_WITHIN {
            return Ok(false);
        }
        std::thread::sleep(TRY_EVERY);
    }
}

/// Runs `command` with `sh -c`, without input. With `shows` its output goes to ours as it comes, else it is kept.
pub(crate) fn exec(vm: &mut Vm, command: &str, deadline: Deadline, shows: bool) -> Result<Outcome> {
    vm.open_agent(&AgentOperation::Run {
        command: AgentCommand::Shell(command.to_owned()),
        directory: None,
        environment: Vec::new(),
        terminal: None,
        time_limit_ms: None,
    })?;
    let (mut output, mut is_error, mut taken) = (Vec::new(), false, 0);
    loop {
        deadline.check("the end of the command")?;
        let Some((event, bytes)) = vm.next_of_agent(deadline.at_most(WAIT))? else {
            continue;
        };
        match event {
            AgentEvent::Data => {
                taken += bytes.len();
                if taken >= TAKEN_AT_ONCE {
                    vm.taken_of_agent(std::mem::take(&mut taken))?;
                }
                match (shows, is_error) {
                    (true, false) => show(io::stdout(), &bytes)?,
                    (true, true) => show(io::stderr(), &bytes)?,
                    (false, _) => output.extend(bytes),
                }
            }
            AgentEvent::Output { error } => is_error = error,
            AgentEvent::Ended { outcome } => {
                let status = match outcome {
                    AgentOutcome::Exited { status } => status,
                    AgentOutcome::Signalled { signal } => SIGNALLED.saturating_add(signal),
                    other => bail!("expected that the command ends, found {other:?}"),
                };
                return Ok(Outcome { output, status });
            }
            AgentEvent::Closed { failure } => match failure {
                Some(failure) => bail!("{failure}"),
                None => bail!("the guest's agent did not tell how the command ended"),
            },
            AgentEvent::Other => {}
        }
    }
}

fn show(mut to: impl Write, bytes: &[u8]) -> Result<()> {
    to.write_all(bytes)?;
    Ok(to.flush()?)
}
