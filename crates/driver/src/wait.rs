//! Time limits: one default, and one way to poll for a condition.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// How long a protocol command, or a wait without a limit of its own, may take.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

/// Calls `check` until it yields a value or `timeout` has passed.
///
/// An error of `check` counts as "not yet" (a page that is just being replaced refuses to evaluate); the last one is
/// told when time is up. `what` completes the sentence "waited … for".
pub fn poll<T>(what: &str, timeout: Duration, mut check: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let start = Instant::now();
    loop {
        let error = match check() {
            Ok(Some(value)) => return Ok(value),
            Ok(None) => None,
            Err(error) => Some(error),
        };
        if start.elapsed() >= timeout {
            let message = format!("waited {:.1} s for {what}", timeout.as_secs_f64());
            match error {
                Some(error) => return Err(error).context(message),
                None => bail!(message),
            }
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}
