//! The binary that goes beside a program on AWS. What it is to be, the first argument says, or else `KINGTIDE_ROLE`.

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    kingtide_worker::role::take(&arguments)
}
