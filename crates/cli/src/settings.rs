//! How this invocation behaves: flag, then environment variable, then what the terminal suggests, merged here once. What
//! a project *is* stands in its file; nothing here is read from it.

use std::io::IsTerminal;
use std::path::PathBuf;

use crate::args::{Color, Globals};
use crate::output::style::Style;

/// Every environment variable that the command line reads, with its meaning, as the documentation lists them.
pub(crate) const VARIABLES: [(&str, &str); 7] = [
    ("KINGTIDE_PROJECT", "as `--project`"),
    ("KINGTIDE_COLOR", "as `--color`"),
    (
        "NO_COLOR",
        "no colour where it is set and not empty, unless `--color` or `KINGTIDE_COLOR` says otherwise",
    ),
    (
        crate::args::SECRET_VARIABLE,
        "the secret of `up --access-key`; programs of jobs do not see it",
    ),
    ("TERM", "`dumb`: no colour and no live region"),
    (
        crate::remote::session::VARIABLE,
        "the executable that asks AWS, in place of `kingtide-aws` beside this one or in PATH; AWS's own variables are its",
    ),
    (
        "KINGTIDE_WORKER_BINARY",
        "the binary that `deploy` puts beside each program, in place of `kingtide-worker` beside this one",
    ),
];

/// What was asked for, resolved.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// A folder or a file; searched upwards from the current folder when `None`.
    pub(crate) project: Option<PathBuf>,
    pub(crate) quiet: bool,
    pub(crate) json: bool,
    /// Of what goes to stdout.
    pub(crate) out: Style,
    /// Of what goes to stderr.
    pub(crate) err: Style,
    /// Whether a region of stderr may be drawn over and over.
    pub(crate) is_live: bool,
    /// Whether a person sees stdout.
    pub(crate) out_is_terminal: bool,
}

impl Settings {
    pub(crate) fn resolve(globals: &Globals) -> Settings {
        let out_is_terminal = std::io::stdout().is_terminal();
        let err_is_terminal = std::io::stderr().is_terminal();
        let environment = Environment::read();
        let colour = |is_terminal| Style::new(environment.colour(globals.color, is_terminal));
        Settings {
            project: globals.project.clone().or(environment.project.clone()),
            quiet: globals.quiet,
            json: globals.json,
            out: colour(out_is_terminal),
            err: colour(err_is_terminal),
            is_live: err_is_terminal && !environment.is_dumb && !globals.quiet,
            out_is_terminal,
        }
    }
}

/// What the environment says.
#[derive(Debug, Default)]
pub(crate) struct Environment {
    project: Option<PathBuf>,
    color: Option<Color>,
    no_color: bool,
    is_dumb: bool,
}

impl Environment {
    pub(crate) fn read() -> Environment {
        let text = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        Environment {
            project: text("KINGTIDE_PROJECT").map(PathBuf::from),
            color: text("KINGTIDE_COLOR").and_then(|value| Color::parse(value.to_str()?)),
            no_color: text("NO_COLOR").is_some(),
            is_dumb: text("TERM").is_some_and(|term| term == "dumb"),
        }
    }

    pub(crate) fn colour(&self, flag: Option<Color>, is_terminal: bool) -> bool {
        match flag.or(self.color).unwrap_or(Color::Auto) {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => is_terminal && !self.no_color && !self.is_dumb,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flag_wins_over_the_environment_and_it_over_the_terminal() {
        let silent = Environment::default();
        assert!(silent.colour(None, true));
        assert!(!silent.colour(None, false));
        let no_color = Environment {
            no_color: true,
            ..Environment::default()
        };
        assert!(!no_color.colour(None, true));
        assert!(no_color.colour(Some(Color::Always), false));
        let always = Environment {
            color: Some(Color::Always),
            no_color: true,
            ..Environment::default()
        };
        assert!(always.colour(None, false));
        assert!(!always.colour(Some(Color::Never), true));
        let dumb = Environment {
            is_dumb: true,
            ..Environment::default()
        };
        assert!(!dumb.colour(Some(Color::Auto), true));
    }
}
