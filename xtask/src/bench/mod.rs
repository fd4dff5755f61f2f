//! Benchmarks, side by side with named peers: `cargo xtask bench <area>`. An area is a file here and a page in
//! `bench/results/`; what areas share is beside it: `options.rs` (the command line), `timing.rs` (samples and their summary),
//! `machine.rs` (what it ran on), `floors.rs` (what nobody can beat on it), `binary.rs` (the `kingtide` to measure),
//! `installed.rs` (what is installed for them), `prices.rs`, `report.rs` (the page). How fairness is kept is told in `bench/README.md`.

mod binary;
mod burst;
mod dispatch;
mod floors;
mod installed;
mod machine;
mod options;
mod peers;
mod planning;
mod prices;
mod queue;
mod report;
mod startup;
mod synth;
mod timing;

use options::Options;

const USAGE: &str = "\
usage: cargo xtask bench <area> [option]...

  burst      the seed's burst on AWS, simulated: CDK's pattern, Copilot, KEDA, AWS Batch, Kingtide; takes no option
  dispatch   what a task costs beyond its own time: 10,000 x /bin/true, two at a time, beside its peers
  planning   how likely a burst is done in time, by how its number of workers is chosen; takes no option
  queue      messages a second through send, receive and delete, with two SDKs, beside peers and beside a backlog
  synth      the template of a burst and of a schedule: resources, what idles, bytes, time, beside AWS CDK's patterns
  startup    --version, check, run of one task that does nothing

  --kingtide PATH   measure this binary instead of building one
  --count N         dispatch: tasks (10000)
  --rounds N        dispatch, queue, synth: rounds (3)
  --peers A,B       dispatch: only these: bare, xargs, parallel, hyperqueue, hyperqueue-files, kingtide
  --samples N       startup: samples of each (40)
  --seconds N       queue: how long each is measured in a round (5)
  --backlog N       queue: messages that wait (1000000)
  --soak N          queue: seconds of 64 clients at once (60)
";

/// Measures the area that `args` begin with and writes its page.
pub(crate) fn run(args: &[String]) -> anyhow::Result<()> {
    match args.split_first() {
        Some((area, [])) if area == "burst" => burst::run(),
        Some((area, rest)) if area == "dispatch" => dispatch::run(&Options::parse(rest)?),
        Some((area, [])) if area == "planning" => planning::run(),
        Some((area, rest)) if area == "queue" => queue::run(&Options::parse(rest)?),
        Some((area, rest)) if area == "startup" => startup::run(&Options::parse(rest)?),
        Some((area, rest)) if area == "synth" => synth::run(&Options::parse(rest)?),
        Some((area, _)) => anyhow::bail!("no area is called `{area}`\n\n{USAGE}"),
        None => anyhow::bail!("an area is missing\n\n{USAGE}"),
    }
}
