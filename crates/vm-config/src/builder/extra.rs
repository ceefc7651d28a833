//! Arguments beyond those that the builder makes: the profile's and the person's.

use super::Builder;
use crate::error::ConfigError;
use crate::validate::check_args;

/// The words of a line as a POSIX shell splits it; nothing if a quote is not closed.
pub fn split_args(line: &str) -> Option<Vec<String>> {
    shlex::split(line)
}

impl Builder<'_> {
    pub(super) fn extra(&mut self) {
        self.add("defaultArgs", self.profile.default_args.clone());
        if let Some(line) = &self.overrides.extra_args {
            match split_args(line) {
                Some(words) => self.add("overrides.extraArgs", words),
                None => self.errors.push(ConfigError::UnbalancedQuotes),
            }
        }
    }

    fn add(&mut self, field: &str, args: Vec<String>) {
        self.errors.extend(check_args(field, &args));
        self.args.extend(args);
    }
}
