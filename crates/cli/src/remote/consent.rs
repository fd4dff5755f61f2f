//! Whether somebody wants it: asked on a terminal, said with `--yes` elsewhere.

use std::io::{BufRead, IsTerminal, Write};

use crate::exit::{Exit, Failure, Outcome};

/// `Err` where it is not wanted, or nobody can be asked. `with` is the command line that says so.
pub(crate) fn ask(question: &str, is_said: bool, with: &str) -> Outcome<()> {
    if is_said {
        return Ok(());
    }
    let (stdin, mut stderr) = (std::io::stdin(), std::io::stderr());
    if !stdin.is_terminal() || !stderr.is_terminal() {
        return Err(
            Failure::usage("nobody is there to be asked whether that is wanted").help(format!("`{with}` says so"))
        );
    }
    write!(stderr, "{question} [y/N] ")?;
    stderr.flush()?;
    let mut answer = String::new();
    stdin.lock().read_line(&mut answer)?;
    match answer.trim().to_ascii_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => {
            crate::output::say("nothing was changed");
            Err(Failure::said(Exit::Cancelled))
        }
    }
}
