//! `completions`: a script for a shell.

use std::io::Write;

use clap::CommandFactory;

use crate::args::{Arguments, Completions};
use crate::exit::{Exit, Outcome};
use crate::output;

pub(crate) fn run(completions: &Completions) -> Outcome {
    // The generator panics when it cannot write, so it writes to memory.
    let mut script = Vec::new();
    clap_complete::generate(completions.shell, &mut Arguments::command(), "kingtide", &mut script);
    let mut out = output::data();
    out.write_all(&script)?;
    out.flush()?;
    Ok(Exit::Done)
}
