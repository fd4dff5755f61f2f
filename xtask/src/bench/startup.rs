//! How long it takes until something happens: `--version`, `check`, and `run` of one task that does nothing.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, bail};

use super::binary::{self, Kingtide};
use super::floors;
use super::machine;
use super::options::Options;
use super::peers::empty_folder;
use super::report::{Bound, Report, Target};
use super::timing::{Summary, time};

const WARM_UP: usize = 5;
const PROJECT: &str = "[project]\nname = \"noop\"\n\n[job.noop]\ncommand = [\"/bin/true\"]\n";

pub(super) fn run(options: &Options) -> anyhow::Result<()> {
    let scratch = binary::scratch()?;
    let load_before = machine::load();
    let kingtide = Kingtide::find(options)?;
    let floors = floors::measure(&scratch)?;
    let folder = scratch.join("startup");
    prove(&kingtide, &folder)?;

    let took = |args: &[&str], folder: &Path| time(Command::new(&kingtide.path).args(args).current_dir(folder));
    let version = sample(options, |_| took(&["--version"], &folder))?;
    let check = sample(options, |_| took(&["check"], &folder))?;
    let used = sample(options, |_| took(&["run", "noop"], &folder))?;
    let fresh = sample(options, |number| {
        let folder = folder.join(format!("new-{number}"));
        make_project(&folder, PROJECT)?;
        took(&["run", "noop"], &folder)
    })?;

    let measured = [
        ("`kingtide --version`", version, 5.0),
        ("`kingtide check`", check, 20.0),
        ("`kingtide run noop` in a new project", fresh, 60.0),
        ("`kingtide run noop` in a used project", used, 60.0),
    ];
    let mut report = Report::new(
        "startup",
        &format!(
            "From start to exit, {} samples each after {WARM_UP} that do not count.",
            options.samples
        ),
    );
    report.section("Milliseconds");
    let rows: Vec<Vec<String>> = measured
        .iter()
        .map(|(what, summary, _)| {
            let ratio = summary.median / floors.spawn_ms;
            let numbers = [summary.median, summary.least, summary.most, ratio].map(|number| format!("{number:.2}"));
            std::iter::once((*what).to_owned()).chain(numbers).collect()
        })
        .collect();
    report.table(
        &[
            "command",
            "median",
            "fastest",
            "slowest",
            "ratio to one start of `/bin/true`",
        ],
        &rows,
    );
    report.line(&format!(
        "\nVersion: {}. The project has one job that calls `/bin/true`.",
        kingtide.version
    ));
    report.targets(
        &measured
            .iter()
            .map(|(what, summary, at_most)| Target {
                promise: (*what).to_owned(),
                bound: Bound::AtMost(*at_most),
                unit: " ms",
                measured: Some(summary.median),
                disturbed: false,
            })
            .collect::<Vec<_>>(),
    );
    report.machine(&scratch, &floors, &load_before);
    report.write()
}

/// Milliseconds; `once` is told which sample it is.
fn sample(options: &Options, once: impl Fn(usize) -> anyhow::Result<std::time::Duration>) -> anyhow::Result<Summary> {
    let mut samples = Vec::new();
    for number in 0..WARM_UP + options.samples {
        let took = once(number)?;
        if number >= WARM_UP {
            samples.push(took.as_secs_f64() * 1000.0);
        }
    }
    Summary::of(&samples).context("nothing was measured")
}

/// That `check` checks and `run` runs is seen once; the samples print nothing.
fn prove(kingtide: &Kingtide, folder: &Path) -> anyhow::Result<()> {
    make_project(folder, &format!("{PROJECT}colour = \"blue\"\n"))?;
    if time(Command::new(&kingtide.path).arg("check").current_dir(folder)).is_ok() {
        bail!("`check` finds nothing wrong with an unknown key");
    }
    make_project(folder, PROJECT)?;
    match kingtide.succeeded(folder, "noop")? {
        1 => Ok(()),
        other => bail!("of one task, {other} succeeded"),
    }
}

fn make_project(folder: &Path, text: &str) -> anyhow::Result<()> {
    empty_folder(folder)?;
    fs::write(folder.join("kingtide.toml"), text).context("failed to write the project")
}
