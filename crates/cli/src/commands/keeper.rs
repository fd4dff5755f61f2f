//! `keeper`, hidden: the parent of every program. Started by the runtime, never by people.

use crate::args::Keeper;
use crate::exit::{Exit, Failure, Outcome};

pub(crate) fn run(keeper: &Keeper) -> Outcome {
    match kingtide_exec::keeper::serve(&keeper.folder) {
        code if code == std::process::ExitCode::SUCCESS => Ok(Exit::Done),
        _ => Err(Failure::said(Exit::Ours)),
    }
}
