//! The keeper alone, for tests and benchmarks: `keeper keeper <.kingtide folder>`, as the `kingtide` binary has it.

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    match std::env::args_os().collect::<Vec<_>>().as_slice() {
        [_, verb, folder] if verb == "keeper" => kingtide_exec::keeper::serve(Path::new(folder)),
        _ => ExitCode::from(2),
    }
}
