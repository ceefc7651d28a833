//! A failure as it travels to the person: what failed, why, and what to do next.

use std::error::Error;
use std::fmt;

use serde::{Deserialize, Serialize};

/// An error in the form that crosses contexts and that the panel shows.
///
/// Typed errors become a `Failure` at the border of the context in which they happened; see
/// [`Failure::from_error`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Failure {
    /// One sentence: what failed, with what was expected and what was found.
    pub message: String,
    /// The chain of causes, the nearest first.
    #[serde(default)]
    pub causes: Vec<String>,
    /// What the person can do now.
    #[serde(default)]
    pub next_step: Option<String>,
}

impl Failure {
    /// A failure without known causes.
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            causes: Vec::new(),
            next_step: None,
        }
    }

    /// The same failure with the next step for the person.
    #[must_use]
    pub fn with_next_step(mut self, next_step: impl Into<String>) -> Self {
        self.next_step = Some(next_step.into());
        self
    }

    /// Keeps the message of `error` and the messages of all its sources.
    pub fn from_error(error: &dyn Error) -> Self {
        let mut causes = Vec::new();
        let mut source = error.source();
        while let Some(cause) = source {
            causes.push(cause.to_string());
            source = cause.source();
        }
        Self {
            message: error.to_string(),
            causes,
            next_step: None,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        for cause in &self.causes {
            write!(f, ": {cause}")?;
        }
        if let Some(next_step) = &self.next_step {
            write!(f, ". {next_step}")?;
        }
        Ok(())
    }
}

impl Error for Failure {}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("could not load the kernel")]
    struct Outer(#[source] std::num::ParseIntError);

    #[test]
    fn keeps_the_chain_of_causes() {
        let error = Outer("x".parse::<u8>().unwrap_err());
        let failure = Failure::from_error(&error).with_next_step("Choose another file.");
        assert_eq!(failure.causes, ["invalid digit found in string"]);
        assert_eq!(
            failure.to_string(),
            "could not load the kernel: invalid digit found in string. Choose another file."
        );
    }
}
