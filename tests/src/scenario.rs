//! Named steps that share a fixture, each a test of its own in the harness.
//!
//! Booting a machine takes long, so the steps of a scenario use one browser, in order. The fixture is made by the first
//! step that runs and dropped after the last. When it cannot be made, every step fails with that error.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, anyhow};
use libtest_mimic::{Arguments, Trial};

use crate::Report;
use crate::report::directory;

type Step<F> = Box<dyn FnOnce(&mut F) -> Result<()> + Send>;

/// A list of steps on a fixture `F`.
pub struct Scenario<F> {
    name: &'static str,
    make: Box<dyn Fn() -> Result<F> + Send>,
    steps: Vec<(&'static str, Step<F>)>,
}

/// Where the fixture is while the steps run.
struct Stage<F> {
    name: &'static str,
    make: Box<dyn Fn() -> Result<F> + Send>,
    fixture: Option<Result<F, String>>,
    left: usize,
}

impl<F: Report + Send + 'static> Scenario<F> {
    /// A scenario without steps; `make` makes its fixture.
    pub fn new(name: &'static str, make: impl Fn() -> Result<F> + Send + 'static) -> Self {
        Scenario {
            name,
            make: Box::new(make),
            steps: Vec::new(),
        }
    }

    /// Adds a step, named after what it shows.
    #[must_use]
    pub fn step(
        mut self,
        name: &'static str,
        step: impl FnOnce(&mut F) -> Result<()> + Send + 'static,
    ) -> Self {
        self.steps.push((name, Box::new(step)));
        self
    }

    /// The steps as tests of the harness.
    pub fn trials(self) -> Vec<Trial> {
        let stage = Stage {
            name: self.name,
            make: self.make,
            fixture: None,
            left: self.steps.len(),
        };
        let stage = Arc::new(Mutex::new(stage));
        self.steps
            .into_iter()
            .map(|(name, step)| {
                let stage = Arc::clone(&stage);
                Trial::test(format!("{}: {name}", self.name), move || {
                    // A step that panicked has its fixture used on.
                    let mut stage = stage.lock().unwrap_or_else(PoisonError::into_inner);
                    stage
                        .play(name, step)
                        .map_err(|error| format!("{error:#}").into())
                })
            })
            .collect()
    }
}

impl<F: Report> Stage<F> {
    fn play(&mut self, name: &str, step: Step<F>) -> Result<()> {
        let make = &self.make;
        let fixture = self
            .fixture
            .get_or_insert_with(|| make().map_err(|error| format!("{error:#}")));
        let result = match fixture {
            Ok(fixture) => step(fixture).or_else(|error| {
                let directory = directory(self.name, name)?;
                let error = error.context(format!("see {}", directory.display()));
                // The step's own error is the one that matters.
                let _ = fixture.report(&directory);
                std::fs::write(directory.join("error.txt"), format!("{error:#}\n"))
                    .context("cannot write a report")?;
                Err(error)
            }),
            Err(error) => Err(anyhow!("the fixture could not be made: {error}")),
        };
        self.left -= 1;
        if self.left == 0 {
            self.fixture = None;
        }
        result
    }
}

/// The `main` of a file of scenarios: runs their steps one after the other.
pub fn run(trials: Vec<Trial>) -> ! {
    let arguments = Arguments {
        test_threads: Some(1),
        ..Arguments::from_args()
    };
    libtest_mimic::run(&arguments, trials).exit()
}
