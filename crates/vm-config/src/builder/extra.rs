//! Arguments beyond those that the builder makes: the profile's and the person's.

use super::Builder;
use crate::error::ConfigError;
use crate::validate::check_args;

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
        self.errors.extend(check_args(field, &args));
        self.args.extend(args);
    }
}
