//! Arguments beyond those that the builder makes: the profile's and the person's.

use super::Builder;
use crate::error::{ConfigError, excerpt};
use crate::refusals::refusals;

impl Builder<'_> {
    pub(super) fn extra(&mut self) {
        self.add("defaultArgs", self.profile.default_args.clone());
        if let Some(line) = &self.overrides.extra_args {
            match shlex::split(line) {
                Some(words) => self.add("overrides.extraArgs", words),
                None => self.errors.push(ConfigError::UnbalancedQuotes),
            }
        }
    }

    fn add(&mut self, field: &str, args: Vec<String>) {
        for refusal in refusals(&args) {
            self.errors.push(ConfigError::Refused {
                field: field.to_owned(),
                argument: excerpt(&refusal.argument),
                reason: refusal.reason,
            });
        }
        self.args.extend(args);
    }
}
