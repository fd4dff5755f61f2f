//! `kill -9` of runtime, keeper and guard at random moments while a run is worked off, and after each a look at whether
//! what was promised holds. The test suite does a few hundred (`cli/tests/kill.rs`), `cargo xtask kill` as many as one likes.
//!
//! `workload` is what is worked off, `witness` remembers what was committed and holds the rest against it. The moments and
//! victims come from a seed; what the machine does in between does not, so a failing seed fails again often, not always.

mod witness;
mod workload;

use std::path::Path;
use std::time::{Duration, Instant};

use fastrand::Rng;
use rustix::process::Signal;

use self::witness::Witness;
use crate::processes::{Process, assert_no_process_left, processes_of};
use crate::running::Running;

pub use self::workload::JOURNAL;

/// How a loop went.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    pub kills: u32,
    /// Kills by victim.
    pub runtimes: u32,
    pub keepers: u32,
    pub guards: u32,
    /// Runs that were worked off to their end.
    pub runs: u32,
    pub tasks: u64,
    pub executions: u64,
    /// Attempts the database knows as lost.
    pub losses: u64,
    /// Tasks that were given up as lost too often, and done by `retry`.
    pub given_up: u64,
    pub outputs: u64,
    pub took: Duration,
}

/// Who is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Victims {
    Runtime,
    Keeper,
    Guard,
    KeeperAndGuard,
    RuntimeAndKeeper,
    All,
}

impl Victims {
    fn draw(rng: &mut Rng) -> Victims {
        match rng.u32(0..100) {
            0..40 => Victims::Runtime,
            40..52 => Victims::Keeper,
            52..62 => Victims::Guard,
            62..72 => Victims::KeeperAndGuard,
            72..82 => Victims::RuntimeAndKeeper,
            _ => Victims::All,
        }
    }

    fn runtime(self) -> bool {
        matches!(self, Victims::Runtime | Victims::RuntimeAndKeeper | Victims::All)
    }

    fn keeper(self) -> bool {
        !matches!(self, Victims::Runtime | Victims::Guard)
    }

    fn guard(self) -> bool {
        matches!(self, Victims::Guard | Victims::KeeperAndGuard | Victims::All)
    }
}

/// Says the seed when a loop panics.
struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!(
                "the kill loop failed with seed {0}; again: `cargo xtask kill --seed {0}`",
                self.0
            );
        }
    }
}

/// Kills so many times, over as many runs as that takes, and looks after each.
///
/// # Panics
/// When anything that was promised does not hold.
pub fn run(binary: &Path, seed: u64, kills: u32, tell: &mut dyn FnMut(&Tally)) -> Tally {
    let _seed = Seed(seed);
    let mut rng = Rng::with_seed(seed);
    let began = Instant::now();
    let mut tally = Tally::default();
    while tally.kills < kills {
        work_off(binary, &mut rng, kills, &mut tally);
        tally.took = began.elapsed();
        tell(&tally);
    }
    tally
}

/// One project with one run, killed until it is worked off.
fn work_off(binary: &Path, rng: &mut Rng, kills: u32, tally: &mut Tally) {
    let project = workload::project(binary, rng);
    let mut witness = Witness::new(&project);
    let mut runtime: Option<Running> = None;
    let mut last = Vec::new();
    let end = loop {
        let running = runtime.get_or_insert_with(|| project.spawn(&["run", workload::JOB, "--resume", "--quiet"]));
        if tally.kills >= kills {
            break runtime.take().expect("it was just started").wait();
        }
        // The moments are what is tried: often soon after the start, else when the run is in full swing.
        let most = if rng.u8(0..4) == 0 { 30 } else { 350 };
        let moment = Duration::from_micros(rng.u64(0..most * 1000));
        if running.ended_within(moment) {
            break runtime.take().expect("it was just started").wait();
        }
        let victims = Victims::draw(rng);
        let pair = Pair::find(project.root());
        let condemned: Vec<&Process> = [
            pair.keeper.as_ref().filter(|_| victims.keeper()),
            pair.guard.as_ref().filter(|_| victims.guard()),
        ]
        .into_iter()
        .flatten()
        .collect();
        let mut order: Vec<usize> = (0..=condemned.len()).collect();
        rng.shuffle(&mut order);
        for one in order {
            match condemned.get(one) {
                Some(process) => process.signal(Signal::KILL),
                None if victims.runtime() => running.signal(Signal::KILL),
                None => {}
            }
        }
        if !victims.runtime() && condemned.is_empty() {
            continue;
        }
        tally.kills += 1;
        tally.keepers += u32::from(victims.keeper() && pair.keeper.is_some());
        tally.guards += u32::from(victims.guard() && pair.guard.is_some());
        last.push(victims);
        if victims.runtime() {
            tally.runtimes += 1;
            let end = runtime.take().expect("it was just started").wait();
            // It may have ended by itself at the same moment.
            // Or it was about to: `--resume` would begin another run.
            if end.signal.is_none() || witness.is_over() {
                break end;
            }
        }
        if victims == Victims::RuntimeAndKeeper && pair.is_whole() && rng.bool() {
            // The guard clears up, also when nobody comes after.
            assert_no_process_left(project.root());
        }
        witness.look(&project);
    };
    let was_killed = end.signal.is_some();
    if !was_killed && end.code != 0 && end.code != 4 {
        let tail = &last[last.len().saturating_sub(5)..];
        panic!("after the kills {tail:?} the runtime ended with\n{}", end.text());
    }
    let given_up = witness.look_at_the_end(&project);
    let code = if given_up > 0 { 4 } else { 0 };
    assert!(
        was_killed || end.code == code,
        "{given_up} tasks were given up:\n{}",
        end.text()
    );
    if given_up > 0 {
        project.run(&["retry", "--quiet"]).expect_code(0);
    }
    assert_no_process_left(project.root());
    witness.look(&project);
    let outputs = witness.hold_outputs(&project, true);
    tally.runs += 1;
    tally.tasks += witness.tasks();
    tally.executions += witness.executions(&project);
    tally.losses += witness.losses();
    tally.given_up += given_up;
    tally.outputs += outputs;
}

/// The two processes that keep programs, when they are there: `keeper` is a child of `guard`.
struct Pair {
    keeper: Option<Process>,
    guard: Option<Process>,
}

impl Pair {
    fn is_whole(&self) -> bool {
        self.keeper.is_some() && self.guard.is_some()
    }

    fn find(root: &Path) -> Pair {
        let mut keepers: Vec<Process> = processes_of(root)
            .into_iter()
            .filter(|process| process.command.contains(" keeper "))
            .collect();
        let keeper = keepers
            .iter()
            .position(|process| keepers.iter().any(|other| other.pid == process.parent));
        match keeper {
            Some(keeper) => {
                let keeper = keepers.remove(keeper);
                let guard = keepers.into_iter().find(|process| process.pid == keeper.parent);
                Pair {
                    keeper: Some(keeper),
                    guard,
                }
            }
            // One of them is beginning, or clearing up.
            None => Pair {
                keeper: None,
                guard: keepers.pop(),
            },
        }
    }
}
