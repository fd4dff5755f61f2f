//! What is worked off while it rains kills: short tasks of several kinds, each of which writes a line into the execution
//! journal before it does anything else.

use std::fmt::Write as _;
use std::path::Path;

use fastrand::Rng;

use crate::project::TestProject;

pub(crate) const JOB: &str = "work";
/// Lines of `RUN TASK ATTEMPT`, appended in one write each.
pub const JOURNAL: &str = "journal";
/// As many tasks have an output of so many bytes.
pub(crate) const OUTPUT_BYTES: usize = 20_000;

const PROGRAM: &str = r#"#!/bin/sh
echo "$KINGTIDE_RUN $KINGTIDE_TASK $KINGTIDE_ATTEMPT" >> journal
case $1 in
quick) ;;
slow) sleep "0.$2" ;;
result) printf '{"twice": %d}' "$2$2" > "$KINGTIDE_RESULT" ;;
output)
    mkdir -p "$KINGTIDE_OUTPUT/deep"
    head -c 20000 /dev/zero > "$KINGTIDE_OUTPUT/deep/model.bin"
    echo "$2" > "$KINGTIDE_OUTPUT/name"
    printf '{"files": 2}' > "$KINGTIDE_RESULT"
    ;;
flees) setsid sh -c 'setsid sleep 1000 </dev/null >/dev/null 2>&1 &'; sleep 0.15 ;;
flaky) [ -e "tried/$2" ] || { : > "tried/$2"; echo "the first time it fails" >&2; exit 1; } ;;
chatty) yes "a line of the task $2" | head -n 2000 ;;
esac
"#;

/// A project with some hundred messages of mixed kinds.
pub(crate) fn project(binary: &Path, rng: &mut Rng) -> TestProject {
    let mut rows = String::from("kind,n\n");
    for _ in 0..rng.u32(300..900) {
        let kind = match rng.u32(0..100) {
            0..60 => "quick",
            60..72 => "slow",
            72..80 => "result",
            80..87 => "output",
            87..91 => "flees",
            91..97 => "flaky",
            _ => "chatty",
        };
        let _ = writeln!(rows, "{kind},{}", rng.u32(100..300));
    }
    let retries = "retries = 1\nbackoff = { first = \"50ms\", jitter = 0 }\n";
    let toml = format!(
        "[project]\nname = \"kill\"\n[local]\ncpu = 4\nmemory = \"1GiB\"\n\
         [job.{JOB}]\ncommand = [\"./work\", \"{{kind}}\", \"{{n}}\"]\nparams = \"rows.csv\"\nstop_timeout = \"1s\"\n{retries}"
    );
    TestProject::new(binary)
        .toml(&toml)
        .file("rows.csv", rows)
        .file("tried/.keep", "")
        .program("work", PROGRAM)
}
