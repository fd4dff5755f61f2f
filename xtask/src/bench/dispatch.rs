//! What a task costs beyond its own time: many × `/bin/true`, two at a time, Kingtide beside its peers.

use super::binary;
use super::floors;
use super::machine;
use super::options::Options;
use super::peers::{Peer, Ready};
use super::report::{Bound, Report, Target};
use super::timing::Summary;

/// HyperQueue's client asks this often, in seconds, whether a job is done, so its times may be too long by as much.
const HYPERQUEUE_POLL: f64 = 1.0;

/// When the slowest round of bare took this much longer than its fastest, something else ran on the machine: peers that
/// took turns were not measured alike, and no target is decided.
const DISTURBED: f64 = 1.3;

pub(super) fn run(options: &Options) -> anyhow::Result<()> {
    let scratch = binary::scratch()?;
    let load_before = machine::load();
    let mut ready = Vec::new();
    let mut missing = Vec::new();
    for peer in &options.peers {
        match peer.prepare(options, &scratch) {
            Ok(peer) => ready.push(peer),
            Err(error) => missing.push((*peer, format!("{error:#}"))),
        }
    }
    let floors = floors::measure(&scratch)?;
    let rounds = measure(&ready, options, &scratch)?;

    let mut report = Report::new(
        "dispatch",
        &format!(
            "{} × `/bin/true`, two at a time; {} rounds side by side.",
            options.count, options.rounds
        ),
    );
    let bare = column(&ready, &rounds, Peer::Bare);
    let rows: Vec<Vec<String>> = ready
        .iter()
        .filter_map(|peer| {
            row(
                peer,
                &column(&ready, &rounds, peer.peer)?,
                bare.as_deref(),
                options.count,
            )
        })
        .collect();
    report.section("Seconds");
    report.table(
        &["peer", "median", "fastest", "slowest", "per task", "ratio to bare"],
        &rows,
    );
    report.section("Commands");
    let commands: Vec<Vec<String>> = ready
        .iter()
        .map(|ready| {
            let command = ready.peer.command(options.count);
            vec![
                ready.peer.title().to_owned(),
                ready.version.clone(),
                format!("`{command}`"),
            ]
        })
        .chain(
            missing
                .iter()
                .map(|(peer, reason)| vec![peer.title().to_owned(), "missing".to_owned(), reason.clone()]),
        )
        .collect();
    report.table(&["peer", "version", "command"], &commands);
    report.line("\nA project with a row of parameters for each task, `cpu = 1` and `[local] cpu = 2`, made anew for each round.");
    let uneven = bare
        .as_deref()
        .and_then(Summary::of)
        .is_some_and(|bare| bare.most > bare.least * DISTURBED);
    let disturbed = uneven || !machine::is_quiet(&load_before);
    if disturbed {
        report
            .line("\n**The machine was not quiet**, by its load before or by how much the rounds of bare differ: no target is decided.");
    }
    report.targets(&targets(&ready, &rounds, disturbed));
    report.machine(&scratch, &floors, &load_before);
    report.write()
}

/// Seconds by round and peer. Every second round goes backwards, so that no peer is always first.
fn measure(ready: &[Ready], options: &Options, scratch: &std::path::Path) -> anyhow::Result<Vec<Vec<f64>>> {
    let mut rounds = Vec::new();
    for round in 0..options.rounds {
        let mut order: Vec<usize> = (0..ready.len()).collect();
        if round % 2 == 1 {
            order.reverse();
        }
        let mut seconds = vec![0.0; ready.len()];
        for index in order {
            seconds[index] = ready[index].run(options.count, scratch)?;
            let title = ready[index].peer.title();
            eprintln!(
                "round {}: {title}: {:.2} s (load {})",
                round + 1,
                seconds[index],
                machine::load()
            );
        }
        rounds.push(seconds);
    }
    Ok(rounds)
}

/// One peer's seconds, by round.
fn column(ready: &[Ready], rounds: &[Vec<f64>], peer: Peer) -> Option<Vec<f64>> {
    let index = ready.iter().position(|ready| ready.peer == peer)?;
    Some(rounds.iter().map(|round| round[index]).collect())
}

fn row(ready: &Ready, seconds: &[f64], bare: Option<&[f64]>, count: usize) -> Option<Vec<String>> {
    let summary = Summary::of(seconds)?;
    let ratio = bare.and_then(|bare| ratio(seconds, bare));
    Some(vec![
        ready.peer.title().to_owned(),
        format!("{:.2}", summary.median),
        format!("{:.2}", summary.least),
        format!("{:.2}", summary.most),
        format!("{:.3} ms", summary.median * 1000.0 / count as f64),
        ratio.map_or_else(String::new, |ratio| format!("{ratio:.2}")),
    ])
}

/// The median over the rounds of what one took against another in the same round.
fn ratio(seconds: &[f64], other: &[f64]) -> Option<f64> {
    let ratios: Vec<f64> = seconds
        .iter()
        .zip(other)
        .map(|(seconds, other)| seconds / other)
        .collect();
    Summary::of(&ratios).map(|summary| summary.median)
}

fn targets(ready: &[Ready], rounds: &[Vec<f64>], disturbed: bool) -> Vec<Target> {
    let of = |peer| column(ready, rounds, peer);
    let kingtide = of(Peer::Kingtide);
    let against = |other: Option<Vec<f64>>| ratio(kingtide.as_deref()?, other.as_deref()?);
    let hyperqueue = of(Peer::HyperQueue).map(|seconds| seconds.iter().map(|s| s - HYPERQUEUE_POLL).collect());
    vec![
        Target {
            promise: "Kingtide against bare".to_owned(),
            bound: Bound::AtMost(1.5),
            unit: " ×",
            measured: against(of(Peer::Bare)),
            disturbed,
        },
        Target {
            promise: "Kingtide against HyperQueue, less the second by which its client may be late".to_owned(),
            bound: Bound::AtMost(0.5),
            unit: " ×",
            measured: against(hyperqueue),
            disturbed,
        },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_is_taken_within_each_round() {
        // The machine was ten times slower in the second round, for both.
        assert_eq!(ratio(&[3.0, 30.0, 4.0], &[2.0, 20.0, 2.0]), Some(1.5));
        assert_eq!(ratio(&[], &[]), None);
    }
}
