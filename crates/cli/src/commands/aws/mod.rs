//! `aws verify`: what only real AWS can show (`checks.rs`), tried on real AWS with the commands that everybody uses (`verify.rs`).

mod checks;
mod verify;

use crate::args::{Aws, AwsVerb};
use crate::exit::Outcome;
use crate::settings::Settings;

pub(crate) fn run(aws: &Aws, settings: &Settings) -> Outcome {
    match &aws.verb {
        AwsVerb::Verify(verify) => verify::run(verify, settings),
    }
}
