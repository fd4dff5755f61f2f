//! How the process ends: one documented enum of exit codes, one kind of failure, one function that prints it.

use std::error::Error;
use std::fmt::Write as _;
use std::io;
use std::process::ExitCode;

use crate::output::{self, style::Style};

/// The exit codes. Where several apply, the first of [`Exit::ORDER`] does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Everything asked for is done.
    Done = 0,
    /// Something went wrong in Kingtide or on this machine.
    Ours = 1,
    /// The command line was not understood.
    Usage = 2,
    /// The project has errors; nothing was started.
    Findings = 3,
    /// More tasks failed than the job tolerates.
    Failed = 4,
    /// The run was cancelled or interrupted.
    Cancelled = 5,
    /// The run took longer than its `max_duration`.
    Late = 6,
}

impl Exit {
    /// Earlier ones win.
    pub(crate) const ORDER: [Exit; 7] = [
        Exit::Usage,
        Exit::Findings,
        Exit::Cancelled,
        Exit::Failed,
        Exit::Late,
        Exit::Ours,
        Exit::Done,
    ];

    /// As the documentation lists it.
    pub(crate) fn meaning(self) -> &'static str {
        match self {
            Exit::Done => "everything asked for is done",
            Exit::Ours => "something went wrong in Kingtide or on this machine",
            Exit::Usage => "the command line was not understood",
            Exit::Findings => "the project has errors; nothing was started",
            Exit::Failed => "more tasks failed than the job tolerates",
            Exit::Cancelled => "the run was cancelled or interrupted",
            Exit::Late => "the run took longer than its `max_duration`",
        }
    }
}

/// Why a command did not do what was asked. `message` is a fragment that fits after `error: `; its causes follow from
/// `source`, each on its line.
#[derive(Debug)]
pub(crate) struct Failure {
    exit: Exit,
    message: String,
    source: Option<Box<dyn Error + Send + Sync>>,
    help: Option<String>,
    /// The reader of our output has gone: nothing to say, nothing wrong.
    is_broken_pipe: bool,
    /// All has been said already.
    is_said: bool,
}

/// What a command ends with.
pub(crate) type Outcome<T = Exit> = Result<T, Failure>;

impl Failure {
    pub(crate) fn new(message: impl Into<String>) -> Failure {
        Failure {
            exit: Exit::Ours,
            message: message.into(),
            source: None,
            help: None,
            is_broken_pipe: false,
            is_said: false,
        }
    }

    /// A mistake on the command line.
    pub(crate) fn usage(message: impl Into<String>) -> Failure {
        Failure {
            exit: Exit::Usage,
            ..Failure::new(message)
        }
    }

    /// The project cannot be run as it is.
    pub(crate) fn finding(message: impl Into<String>) -> Failure {
        Failure {
            exit: Exit::Findings,
            ..Failure::new(message)
        }
    }

    /// Everything has been printed; only the exit code is left.
    pub(crate) fn said(exit: Exit) -> Failure {
        Failure {
            exit,
            is_said: true,
            ..Failure::new("")
        }
    }

    #[must_use]
    pub(crate) fn because(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Failure {
        self.source = Some(source.into());
        self
    }

    #[must_use]
    pub(crate) fn help(mut self, help: impl Into<String>) -> Failure {
        self.help = Some(help.into());
        self
    }

    /// What went wrong, without its causes.
    pub(crate) fn words(&self) -> &str {
        &self.message
    }

    fn text(&self, style: Style) -> String {
        let mut text = format!("{} {}", style.red("error:"), self.message);
        let mut cause = self.source.as_ref().map(|source| source.as_ref() as &dyn Error);
        while let Some(error) = cause {
            let _ = write!(text, "\n  {} {error}", style.dim("because:"));
            cause = error.source();
        }
        if let Some(help) = &self.help {
            let _ = write!(text, "\n{} {help}", style.cyan("help:"));
        }
        text
    }
}

impl<E: Error + Send + Sync + 'static> From<E> for Failure {
    fn from(error: E) -> Failure {
        let failure = Failure::new(error.to_string());
        let error: Box<dyn Error + Send + Sync> = Box::new(error);
        if let Some(error) = error.downcast_ref::<io::Error>() {
            let is_broken_pipe = error.kind() == io::ErrorKind::BrokenPipe;
            return Failure {
                message: format!("failed to write the output: {error}"),
                is_broken_pipe,
                ..failure
            };
        }
        Failure {
            source: Causes::of(error.as_ref()),
            ..failure
        }
    }
}

/// The texts of a chain of causes, kept after the error itself is gone.
#[derive(Debug)]
struct Causes {
    text: String,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl Causes {
    fn of(error: &(dyn Error + 'static)) -> Option<Box<dyn Error + Send + Sync>> {
        error.source().map(|cause| {
            Box::new(Causes {
                text: cause.to_string(),
                source: Causes::of(cause),
            }) as _
        })
    }
}

impl std::fmt::Display for Causes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

impl Error for Causes {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source
            .as_ref()
            .map(|source| source.as_ref() as &(dyn Error + 'static))
    }
}

/// Prints what went wrong, if anything did, and turns it into the code of the process.
pub(crate) fn report(outcome: Outcome, style: Style) -> ExitCode {
    let exit = match outcome {
        Ok(exit) => exit,
        Err(failure) if failure.is_broken_pipe => Exit::Done,
        Err(failure) => {
            if !failure.is_said {
                output::say(&failure.text(style));
            }
            failure.exit
        }
    };
    ExitCode::from(exit as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("failed to open the safe")]
    struct Outer(#[source] Inner);

    #[derive(Debug, thiserror::Error)]
    #[error("the key is lost")]
    struct Inner;

    #[test]
    fn a_failure_prints_its_causes_and_its_help() {
        let failure = Failure::from(Outer(Inner)).help("look under the mat");
        assert_eq!(
            failure.text(Style::plain()),
            "error: failed to open the safe\n  because: the key is lost\nhelp: look under the mat"
        );
    }

    #[test]
    fn a_reader_that_left_is_no_failure() {
        let gone = Failure::from(io::Error::from(io::ErrorKind::BrokenPipe));
        assert!(gone.is_broken_pipe);
        let full = Failure::from(io::Error::from(io::ErrorKind::StorageFull));
        assert!(!full.is_broken_pipe && full.exit == Exit::Ours);
    }

    #[test]
    fn every_code_has_its_place_in_the_order() {
        let mut codes: Vec<u8> = Exit::ORDER.iter().map(|exit| *exit as u8).collect();
        codes.sort_unstable();
        assert_eq!(codes, [0, 1, 2, 3, 4, 5, 6]);
    }
}
