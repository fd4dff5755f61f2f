//! The model keeper: pools, attempts that take their time and end as the seed wants, reports kept until acknowledged.

use std::collections::{BTreeMap, VecDeque};

use kingtide_core::engine::Effect;
use kingtide_core::engine::event::{End, Exit, Pool, Start, Stop, TaskState, Usage};
use kingtide_core::id::{AttemptId, TaskId};
use kingtide_core::time::Timestamp;

use super::Holds;
use super::store::Store;

#[derive(Debug)]
pub(super) struct Keeper {
    pub(super) id: u64,
    /// How many programs the machine has room for.
    slots: usize,
    pools: BTreeMap<Pool, Waiting>,
    running: BTreeMap<AttemptId, Program>,
    ended: BTreeMap<AttemptId, Exit>,
    withdrawn: Vec<AttemptId>,
}

#[derive(Debug, Default)]
struct Waiting {
    limit: u32,
    queue: VecDeque<Start>,
}

#[derive(Debug)]
struct Program {
    pool: Pool,
    exit: Exit,
}

impl Keeper {
    pub(super) fn new(id: u64, slots: u32) -> Keeper {
        Keeper {
            id,
            slots: slots as usize,
            pools: BTreeMap::new(),
            running: BTreeMap::new(),
            ended: BTreeMap::new(),
            withdrawn: Vec::new(),
        }
    }

    pub(super) fn holds(&self) -> Holds {
        let waiting = self
            .pools
            .values()
            .flat_map(|pool| pool.queue.iter().map(|start| start.attempt));
        waiting
            .chain(self.running.keys().copied())
            .chain(self.ended.keys().copied())
            .collect()
    }

    pub(super) fn ended(&self) -> Vec<(AttemptId, Exit)> {
        self.ended
            .iter()
            .map(|(attempt, exit)| (*attempt, exit.clone()))
            .collect()
    }

    pub(super) fn take_withdrawn(&mut self) -> Vec<AttemptId> {
        std::mem::take(&mut self.withdrawn)
    }

    /// Without a runtime nothing new starts.
    pub(super) fn withdraw_all(&mut self) {
        for pool in self.pools.values_mut() {
            self.withdrawn.extend(pool.queue.drain(..).map(|start| start.attempt));
        }
    }

    pub(super) fn obey(&mut self, effect: Effect, now: Timestamp) -> Vec<AttemptId> {
        match effect {
            Effect::Start(start) => {
                let pool = self.pools.entry(start.pool).or_default();
                pool.limit = start.limit;
                pool.queue.push_back(start);
            }
            Effect::Withdraw { pool } => {
                let queue = self.pools.get_mut(&pool).map(|pool| std::mem::take(&mut pool.queue));
                return queue
                    .unwrap_or_default()
                    .into_iter()
                    .map(|start| start.attempt)
                    .collect();
            }
            Effect::Stop { attempts, stop } => {
                for attempt in attempts {
                    if let Some(program) = self.running.get_mut(&attempt) {
                        program.exit.ended_at = now;
                        program.exit.end = End::Stopped(stop);
                        // One that happens to end by itself at that moment has ended by itself.
                        if stop == Stop::Cancel && attempt.task.seq % 3 == 0 {
                            program.exit.end = End::Code(0);
                        }
                    }
                }
            }
            Effect::Acknowledge { attempt } => {
                self.ended.remove(&attempt);
            }
            Effect::Employ(_) | Effect::Dismiss { .. } | Effect::Reclaim { .. } | Effect::TellConsumer { .. } => {
                unreachable!("the job is no consumer")
            }
            Effect::Collect { .. } | Effect::Publish { .. } | Effect::Tell(_) => {
                unreachable!("not the keeper's business")
            }
        }
        Vec::new()
    }

    /// Starts what has room; how many that were. An attempt may start only when its lease is on disk.
    pub(super) fn start_next(
        &mut self,
        now: Timestamp,
        store: &mut Store,
        random: &mut fastrand::Rng,
        seed: u64,
    ) -> u64 {
        let mut started = 0;
        for (id, pool) in &mut self.pools {
            let running = |programs: &BTreeMap<AttemptId, Program>| programs.values().filter(|p| p.pool == *id).count();
            while running(&self.running) < pool.limit as usize
                && let Some(start) = pool.queue.pop_front()
            {
                let task: TaskId = start.attempt.task;
                let row = &store.rows[&task];
                let leased = row.state == TaskState::Leased && row.attempt == start.attempt.number;
                assert!(
                    leased,
                    "seed {seed}: {} starts without its lease: {row:?}",
                    start.attempt
                );
                store.executed(start.attempt, seed);
                let exit = exit(now, random);
                self.running.insert(start.attempt, Program { pool: *id, exit });
                assert!(
                    self.running.len() <= self.slots,
                    "seed {seed}: more programs than there is room for"
                );
                started += 1;
            }
        }
        started
    }

    pub(super) fn next_end(&self) -> Option<Timestamp> {
        self.running.values().map(|program| program.exit.ended_at).min()
    }

    pub(super) fn end_due(&mut self, now: Timestamp) -> Vec<(AttemptId, Exit)> {
        let due = self.running.iter().filter(|(_, program)| program.exit.ended_at <= now);
        let due: Vec<AttemptId> = due.map(|(attempt, _)| *attempt).collect();
        let ended = due.into_iter().map(|attempt| {
            let program = self.running.remove(&attempt).expect("its key was just read");
            self.ended.insert(attempt, program.exit.clone());
            (attempt, program.exit)
        });
        ended.collect()
    }
}

fn exit(now: Timestamp, random: &mut fastrand::Rng) -> Exit {
    let took = if random.u32(0..4) == 0 {
        random.i64(500..20_000)
    } else {
        random.i64(1..50)
    };
    let end = match random.u32(0..20) {
        0..12 => End::Code(0),
        12 | 13 => End::Code(1),
        14 => End::Code(random.i32(3..=5)),
        15 => End::Signal(9),
        16 => End::OutOfMemory,
        17 => End::TimedOut,
        18 => End::DiskFull,
        _ => End::Code(random.i32(3..=5)),
    };
    let mut some = |path: &str| (end == End::Code(0) && random.u32(0..3) == 0).then(|| path.to_owned());
    let (result, output) = (some("result"), some("output"));
    Exit {
        end,
        started_at: now,
        ended_at: Timestamp(now.0 + took),
        usage: Usage::default(),
        result,
        output,
        tail: String::new(),
    }
}
