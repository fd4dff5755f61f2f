//! What is leased next: as much as fits, in order, and a window ahead for short attempts.

use super::event::{Change, Effect, Pool, Receive, Received, Start, TaskRow, TaskState};
use super::task::{self, Input, State};
use super::window::Pace;
use super::{Engine, IllegalTransition, Step, Supply, Task};
use crate::id::RunId;
use crate::time::Timestamp;

/// Bodies that a pool may hold before nothing more is leased ahead: a window of large messages costs no memory.
const MOST_BYTES_AHEAD: u64 = 8 * 1024 * 1024;

impl Engine {
    /// The next question to the store, whose answer is `Event::Received`; `None` when nothing more may be leased now.
    /// Runs are served in the order of their numbers; one whose next task does not fit holds back those after it.
    pub fn next_receive(&self, now: Timestamp) -> Option<Receive> {
        if self.supply != Supply::Open {
            return None;
        }
        for (id, run) in &self.runs {
            if run.exhausted || run.sated || !run.ready || !self.hosts.contains(&run.host) {
                continue;
            }
            let wanted = run.blocked.unwrap_or(run.job.resources);
            let room = self.room(*id, wanted);
            if run.blocked.is_some() {
                if room > 0 {
                    return Some(Receive { run: *id, max: 1 });
                }
                return None;
            }
            let window = run.pace.window(&run.job, self.oldest(*id), now);
            let (placed, ahead) = self.base_pool(*id);
            let ahead_wanted = placed.saturating_add(room).min(4096).saturating_mul(window - 1);
            // Ahead is filled up in halves, so that one transaction leases many.
            if room > 0 || ahead * 2 < ahead_wanted {
                let max = room.min(4096) + ahead_wanted.saturating_sub(ahead);
                return Some(Receive { run: *id, max });
            }
        }
        None
    }

    pub(super) fn on_received(
        &mut self,
        now: Timestamp,
        received: Received,
        step: &mut Step,
    ) -> Result<(), IllegalTransition> {
        let id = received.run;
        let Some(run) = self.runs.get_mut(&id) else {
            return Ok(());
        };
        run.blocked = None;
        run.next_visible = received.next_visible;
        run.exhausted = received.exhausted;
        for delivery in received.deliveries {
            let run = &self.runs[&id];
            let resources = run.resources(delivery.ledger.memory);
            let window = run.pace.window(&run.job, self.oldest(id), now);
            let pool = Pool {
                run: id,
                memory: delivery.ledger.memory,
            };
            let (placed, ahead) = self.base_pool(id);
            let place = self.room(id, resources) > 0;
            let heavy = self
                .pools
                .get(&pool)
                .is_some_and(|state| state.bytes + delivery.bytes > MOST_BYTES_AHEAD);
            if !place && heavy {
                let run = self.runs.get_mut(&id).expect("looked up above");
                run.exhausted = false;
                run.sated = true;
                break;
            }
            if !place && (pool.memory.is_some() || ahead >= placed.saturating_mul(window - 1)) {
                let run = self.runs.get_mut(&id).expect("looked up above");
                run.blocked = (pool.memory.is_some()).then_some(resources);
                run.exhausted = false;
                break;
            }
            let gpus = if place {
                self.packing.take(resources)
            } else {
                Vec::new()
            };
            let state = self.pools.entry(pool).or_default();
            state.active += 1;
            state.bytes += delivery.bytes;
            state.placed += u32::from(place);
            let attempt = delivery.task.attempt(delivery.attempts + 1);
            step.changes.push(Change::Task(TaskRow {
                task: delivery.task,
                state: TaskState::Leased,
                attempt: attempt.number,
                ledger: delivery.ledger,
                visible_at: None,
                ended_at: None,
                reason: None,
                unpublished: None,
            }));
            let (limit, memory) = (state.placed, resources.memory);
            step.effects.push(Effect::Start(Start {
                attempt,
                pool,
                limit,
                memory,
                gpus: gpus.clone(),
            }));
            let state = task::next(attempt, State::Waiting, Input::Lease)?;
            let task = Task {
                state,
                attempt: attempt.number,
                ledger: delivery.ledger,
                pool,
                gpus,
                bytes: delivery.bytes,
                exit: None,
            };
            let before = self.tasks.insert(delivery.task, task);
            assert!(
                before.is_none(),
                "the store offered {} while it was leased",
                delivery.task
            );
        }
        Ok(())
    }

    /// An attempt has left its pool. While others are ahead, the keeper has already put the next one in its place.
    pub(super) fn leave_pool(&mut self, pool: Pool, gpus: &[u32], bytes: u64) {
        let run = self.runs.get_mut(&pool.run).expect("a held task has an open run");
        run.sated = false;
        let resources = run.resources(pool.memory);
        let state = self.pools.get_mut(&pool).expect("a leased task has a pool");
        state.active -= 1;
        state.bytes -= bytes;
        if state.active < state.placed {
            state.placed -= 1;
            self.packing.give_back(resources, gpus);
        }
        if state.active == 0 {
            self.pools.remove(&pool);
        }
    }

    /// Withdraws what is queued behind attempts that turn out to be long.
    pub(super) fn shrink_windows(&mut self, now: Timestamp, step: &mut Step) {
        for (pool, state) in &self.pools {
            let run = &self.runs[&pool.run];
            let ahead = state.active - state.placed;
            if ahead > 0 && run.pace.window(&run.job, self.oldest(pool.run), now) == 1 {
                step.effects.push(Effect::Withdraw { pool: *pool });
            }
        }
    }

    /// When `shrink_windows` has to look again: only while something is ahead of an attempt known to run.
    pub(super) fn review_at(&self, run: RunId) -> Option<Timestamp> {
        let (placed, ahead) = self.base_pool(run);
        let due = if placed > 0 && ahead > 0 {
            self.oldest(run).map(Pace::review_at)
        } else {
            None
        };
        due.filter(|_| self.runs[&run].job.resources.gpus == 0)
    }

    /// How many more attempts of a run fit, with so many workers.
    fn room(&self, id: RunId, wanted: crate::project::Resources) -> u32 {
        let placed: u32 = self
            .pools
            .iter()
            .filter(|(pool, _)| pool.run == id)
            .map(|(_, state)| state.placed)
            .sum();
        self.packing
            .room(wanted)
            .min(self.runs[&id].workers.saturating_sub(placed))
    }

    fn base_pool(&self, run: RunId) -> (u32, u32) {
        let state = self.pools.get(&Pool { run, memory: None });
        state.map_or((0, 0), |state| (state.placed, state.active - state.placed))
    }

    /// The start of the run's longest-running attempt that is known to run.
    fn oldest(&self, run: RunId) -> Option<Timestamp> {
        let tasks = self.tasks.range(run.task(i64::MIN)..=run.task(i64::MAX));
        tasks
            .filter_map(|(_, task)| {
                if let State::Running { since } = task.state {
                    Some(since)
                } else {
                    None
                }
            })
            .min()
    }
}
