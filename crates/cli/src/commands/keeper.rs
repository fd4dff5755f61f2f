//! `keeper`, hidden: the parent of every program. Started by the runtime, never by people.

use crate::args::Keeper;
use crate::exit::{Failure, Outcome};

pub(crate) fn run(keeper: &Keeper) -> Outcome {
    Err(Failure::new(format!(
        "this build has no keeper for `{}`",
        keeper.folder.display()
    )))
}
