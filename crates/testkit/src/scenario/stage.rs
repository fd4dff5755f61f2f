//! Plays a scenario: the real engine, the model store of the simulator, a keeper and a collector that do what the script says.
//! The loop is that of the runtime: apply, ask, commit, act.

use std::collections::BTreeMap;
use std::time::Duration;

use kingtide_core::engine::event::{Collected, Event, Exit, Host, Output, Pool, Start, Stop, Usage};
use kingtide_core::engine::packing::Capacity;
use kingtide_core::engine::{Effect, Engine, Step};
use kingtide_core::id::{AttemptId, RunId};
use kingtide_core::project::Job;
use kingtide_core::time::Timestamp;

use super::script::{Cue, Ending};
use super::telling::{Teller, attempt, counts};
use crate::sim::Mutation;
use crate::sim::store::Store;

const RUN: RunId = RunId(1);
const BEGAN: Timestamp = Timestamp(1_000_000);
/// Decides the jitter of backoffs, where a scenario has some.
const SEED: u64 = 1;

pub(super) struct Stage {
    job: Job,
    machine: Capacity,
    now: Timestamp,
    store: Store,
    engine: Option<Engine>,
    keeper: Option<Keeper>,
    /// What is to be read and to be published: the attempt, whether there is a result, the output's folder.
    collecting: BTreeMap<i64, (AttemptId, bool, Option<String>)>,
    publishing: BTreeMap<i64, AttemptId>,
    said: Vec<String>,
}

/// It starts what has room, in order, and ends what the script ends.
#[derive(Default)]
struct Keeper {
    queue: Vec<Start>,
    limits: BTreeMap<Pool, u32>,
    running: BTreeMap<AttemptId, (Pool, Timestamp)>,
    stopped: BTreeMap<AttemptId, Stop>,
    /// Ends that no runtime has acknowledged.
    ended: BTreeMap<AttemptId, Exit>,
}

impl Stage {
    pub(super) fn new(job: &Job, machine: Capacity) -> Result<Stage, String> {
        Ok(Stage {
            job: job.clone(),
            machine,
            now: BEGAN,
            store: Store::new(RUN, 0, SEED),
            engine: None,
            keeper: Some(Keeper::default()),
            collecting: BTreeMap::new(),
            publishing: BTreeMap::new(),
            said: Vec::new(),
        })
    }

    /// What came of the last line.
    pub(super) fn said(&mut self) -> Vec<String> {
        std::mem::take(&mut self.said)
    }

    /// A run that is over has lost nothing and counted everything.
    pub(super) fn assert_sound(&self) {
        if self.store.is_over() {
            self.store.assert_drained(SEED, &self.job);
        }
    }

    pub(super) fn play(&mut self, cue: &Cue) -> Result<(), String> {
        match cue {
            Cue::Submit(tasks) => {
                if self.store.counts.total > 0 {
                    return Err("one run is enough for a scenario".to_owned());
                }
                self.store = Store::new(RUN, *tasks, SEED);
                self.open();
            }
            Cue::Advance(by) => self.advance(*by),
            Cue::Exit {
                seq,
                end,
                result,
                output,
            } => self.exit(*seq, end, *result, *output)?,
            Cue::Collected { seq, wrong } => {
                let (attempt, result, output) = self.collecting.remove(seq).ok_or("nothing to collect")?;
                let left = Collected {
                    result: result.then(|| "{}".to_owned()),
                    output: output.map(|folder| Output {
                        folder,
                        files: 1,
                        bytes: 1,
                    }),
                };
                let collected = wrong.clone().map_or(Ok(left), Err);
                self.apply(vec![Event::Collected { attempt, collected }]);
            }
            Cue::Published(seq) => {
                let attempt = self.publishing.remove(seq).ok_or("nothing to publish")?;
                self.store.publish(attempt, SEED);
                self.apply(vec![Event::Published { attempt }]);
            }
            Cue::KeeperLost => {
                self.keeper = None;
                self.apply(vec![Event::HostLost(Host::Keeper)]);
            }
            Cue::KeeperFound => {
                if self.keeper.is_some() {
                    return Err("the keeper was not lost".to_owned());
                }
                self.keeper = Some(Keeper::default());
                self.find_keeper(false);
            }
            Cue::KeeperAway => self.apply(vec![Event::HostAway(Host::Keeper)]),
            Cue::KeeperBack => self.find_keeper(true),
            Cue::RuntimeLost => {
                self.engine = None;
                self.collecting.clear();
                self.publishing.clear();
                if let Some(keeper) = &mut self.keeper {
                    // Without a runtime it starts nothing new; what it never started it does not hold.
                    keeper.queue.clear();
                }
            }
            Cue::Resume => self.open(),
            Cue::Cancel => self.apply(vec![Event::Cancel { run: RUN, late: false }]),
            Cue::Drain => self.apply(vec![Event::Drain]),
            Cue::Release => self.apply(vec![Event::Release]),
            Cue::States => self.tell_states(),
        }
        Ok(())
    }

    fn teller(&self) -> Teller {
        Teller { began: BEGAN }
    }

    fn tell_states(&mut self) {
        let teller = self.teller();
        let rows: Vec<String> = self.store.rows.values().map(|row| teller.row(row)).collect();
        self.said.extend(rows);
        let over = if self.store.is_over() { "over" } else { "open" };
        self.said
            .push(format!("the run is {over}: {}", counts(&self.store.counts)));
    }

    /// A runtime takes the run up, and finds the keeper.
    fn open(&mut self) {
        let deadline = self.job.max_duration.map(|most| BEGAN + most);
        let open = self.store.open_run(&self.job, deadline);
        self.engine = Some(Engine::new(SEED, self.machine));
        self.apply(vec![Event::RunOpened(Box::new(open))]);
        let is_same = self.keeper.is_some();
        self.keeper.get_or_insert_default();
        self.find_keeper(is_same);
    }

    fn find_keeper(&mut self, same: bool) {
        let Some(keeper) = &self.keeper else { return };
        let queued = keeper.queue.iter().map(|start| start.attempt);
        let holds = keeper.running.keys().chain(keeper.ended.keys()).copied();
        let mut events = vec![Event::HostFound {
            host: Host::Keeper,
            holds: holds.chain(queued).collect(),
            same,
        }];
        events.extend(keeper.ended.iter().map(|(attempt, exit)| Event::Exited {
            attempt: *attempt,
            exit: Box::new(exit.clone()),
        }));
        self.apply(events);
    }

    fn exit(&mut self, seq: i64, end: &Ending, result: bool, output: bool) -> Result<(), String> {
        let keeper = self.keeper.as_mut().ok_or("there is no keeper")?;
        let found = keeper.running.keys().find(|attempt| attempt.task.seq == seq).copied();
        let attempt = found.ok_or("it does not run")?;
        let end = match end {
            Ending::By(end) => end.clone(),
            Ending::Stopped => {
                let stop = keeper.stopped.get(&attempt).ok_or("nobody told it to stop")?;
                kingtide_core::engine::event::End::Stopped(*stop)
            }
        };
        let (_, started_at) = keeper.running.remove(&attempt).expect("found above");
        keeper.stopped.remove(&attempt);
        let exit = Exit {
            end,
            started_at,
            ended_at: self.now,
            usage: Usage::default(),
            result: result.then(|| "result".to_owned()),
            output: output.then(|| "output".to_owned()),
            tail: String::new(),
        };
        keeper.ended.insert(attempt, exit.clone());
        self.apply(vec![Event::Exited {
            attempt,
            exit: Box::new(exit),
        }]);
        self.start_next();
        Ok(())
    }

    /// Lets time pass, and stops wherever the engine wants to be told.
    fn advance(&mut self, by: Duration) {
        let until = self.now + by;
        loop {
            let wakeup = self.engine.as_ref().and_then(Engine::next_wakeup);
            let next = wakeup.map_or(until, |at| at.max(self.now).min(until));
            let is_over = next == until;
            self.now = next;
            let mark = self.said.len();
            self.apply(vec![Event::Tick]);
            if self.said.len() > mark {
                self.said.insert(mark, format!("at {}", self.teller().time(self.now)));
            }
            if is_over {
                return;
            }
            let again = self.engine.as_ref().and_then(Engine::next_wakeup);
            assert!(again.is_none_or(|at| at > self.now), "the engine wakes again and again");
        }
    }

    /// The runtime's loop, once, and again for what the keeper answers at once.
    fn apply(&mut self, events: Vec<Event>) {
        let Some(engine) = &mut self.engine else { return };
        let mut all = Step::default();
        let mut take = |step: Step, overlay: &mut Store| {
            overlay.write(&step.changes, Mutation::None, SEED);
            all.changes.extend(step.changes);
            all.effects.extend(step.effects);
        };
        let mut overlay = self.store.clone();
        for event in events {
            let step = engine.apply(self.now, event).expect("a legal event");
            engine.sanity_check();
            take(step, &mut overlay);
        }
        while let Some(receive) = engine.next_receive(self.now) {
            let received = Event::Received(overlay.receive(receive, self.now));
            let step = engine.apply(self.now, received).expect("a legal event");
            engine.sanity_check();
            take(step, &mut overlay);
        }
        self.store = overlay;
        let teller = self.teller();
        let changes = all.changes.iter().filter_map(|change| teller.change(change));
        self.said
            .extend(changes.chain(all.effects.iter().map(|effect| teller.effect(effect))));
        self.act(all.effects);
        self.start_next();
    }

    fn act(&mut self, effects: Vec<Effect>) {
        let mut withdrawn = Vec::new();
        for effect in effects {
            match effect {
                Effect::Collect {
                    attempt,
                    result,
                    output,
                } => {
                    let left = (attempt, result.is_some(), output);
                    self.collecting.insert(attempt.task.seq, left);
                }
                Effect::Publish { attempt, .. } => {
                    self.publishing.insert(attempt.task.seq, attempt);
                }
                effect => {
                    if let Some(keeper) = &mut self.keeper {
                        withdrawn.extend(keeper.obey(effect));
                    }
                }
            }
        }
        if !withdrawn.is_empty() {
            self.apply(vec![Event::Withdrawn { attempts: withdrawn }]);
        }
    }

    fn start_next(&mut self) {
        let Some(keeper) = self.keeper.as_mut().filter(|_| self.engine.is_some()) else {
            return;
        };
        let mut started = Vec::new();
        while let Some(start) = keeper.next() {
            keeper.running.insert(start.attempt, (start.pool, self.now));
            self.store.executed(start.attempt, SEED);
            self.said.push(format!("{} runs", attempt(start.attempt)));
            started.push(Event::Started {
                attempt: start.attempt,
                at: self.now,
            });
        }
        if !started.is_empty() {
            self.apply(started);
        }
    }
}

impl Keeper {
    /// What it hands back at once.
    fn obey(&mut self, effect: Effect) -> Vec<AttemptId> {
        match effect {
            Effect::Start(start) => {
                self.limits.insert(start.pool, start.limit);
                self.queue.push(start);
            }
            Effect::Withdraw { pool } => {
                let (back, stays) = std::mem::take(&mut self.queue)
                    .into_iter()
                    .partition(|start| start.pool == pool);
                self.queue = stays;
                let back: Vec<Start> = back;
                return back.into_iter().map(|start| start.attempt).collect();
            }
            Effect::Stop { attempts, stop } => {
                let running = attempts
                    .into_iter()
                    .filter(|attempt| self.running.contains_key(attempt));
                self.stopped.extend(running.map(|attempt| (attempt, stop)));
            }
            Effect::Acknowledge { attempt } => {
                self.ended.remove(&attempt);
            }
            Effect::Tell(_) => {}
            other => unreachable!("not the keeper's business: {other:?}"),
        }
        Vec::new()
    }

    /// The first whose pool has room.
    fn next(&mut self) -> Option<Start> {
        let has_room = |start: &Start| {
            let running = self.running.values().filter(|(pool, _)| *pool == start.pool);
            running.count() < self.limits.get(&start.pool).copied().unwrap_or(0) as usize
        };
        let index = self.queue.iter().position(has_room)?;
        Some(self.queue.remove(index))
    }
}
