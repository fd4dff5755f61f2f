//! Who may run when: pools of attempts, each first in, first out and with a limit, and the threads that take from them.
//! A slot's thread that has ended an attempt takes the next one in the same step, without waking anybody.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use crate::stopper::Stopper;
use crate::wire::{Attempt, Start, StopReason};

/// All that was accepted and has not ended.
#[derive(Debug, Default)]
pub(crate) struct Pools {
    pools: BTreeMap<String, Pool>,
    /// Admitted by their pool and not yet taken by a thread.
    ready: VecDeque<Box<Start>>,
    running: BTreeMap<Attempt, Running>,
    /// All attempts that wait, for telling whether one is known.
    waiting: BTreeSet<Attempt>,
    /// Threads that have no attempt in hand, those included that are about to begin.
    idle_threads: usize,
    /// Nothing is accepted any more.
    closed: bool,
}

#[derive(Debug, Default)]
struct Pool {
    limit: u32,
    running: u32,
    waiting: VecDeque<Box<Start>>,
}

/// Admitted by its pool: taken by a thread, or about to be.
#[derive(Debug)]
struct Running {
    pool: String,
    stopper: Option<Arc<Stopper>>,
    stop: Option<StopReason>,
}

impl Pools {
    /// Puts an attempt at the end of its pool. False if nothing is accepted any more.
    pub(crate) fn accept(&mut self, start: Box<Start>) -> bool {
        if self.closed {
            return false;
        }
        let pool = self.pools.entry(start.pool.clone()).or_default();
        pool.limit = start.limit;
        if self.running.contains_key(&start.attempt) || !self.waiting.insert(start.attempt.clone()) {
            return true;
        }
        pool.waiting.push_back(start);
        true
    }

    pub(crate) fn limit(&mut self, pool: &str, limit: u32) {
        // A pool that nothing waits or runs in gets its limit with its first attempt.
        if let Some(pool) = self.pools.get_mut(pool) {
            pool.limit = limit;
        }
    }

    /// Admits what the limits allow. Answers how many threads are missing for it.
    pub(crate) fn admit(&mut self) -> usize {
        for (name, pool) in &mut self.pools {
            while pool.running < pool.limit
                && let Some(start) = pool.waiting.pop_front()
            {
                pool.running += 1;
                self.waiting.remove(&start.attempt);
                let running = Running {
                    pool: name.clone(),
                    stopper: None,
                    stop: None,
                };
                self.running.insert(start.attempt.clone(), running);
                self.ready.push_back(start);
            }
        }
        self.ready.len().saturating_sub(self.idle_threads)
    }

    /// The next attempt for the thread that `stopper` reaches.
    pub(crate) fn take(&mut self, stopper: &Arc<Stopper>) -> Option<Box<Start>> {
        let start = self.ready.pop_front()?;
        self.idle_threads -= 1;
        if let Some(running) = self.running.get_mut(&start.attempt) {
            running.stopper = Some(Arc::clone(stopper));
            if let Some(reason) = running.stop {
                stopper.ask(reason);
            }
        }
        Some(start)
    }

    /// A thread's attempt has ended: both are free. Answers whether there is still more to do for the pool than one
    /// attempt per slot.
    pub(crate) fn end(&mut self, attempt: &str) -> bool {
        self.idle_threads += 1;
        self.leave_pool(attempt)
    }

    fn leave_pool(&mut self, attempt: &str) -> bool {
        let Some(running) = self.running.remove(attempt) else {
            return false;
        };
        if let Some(stopper) = running.stopper {
            stopper.reset();
        }
        let Some(pool) = self.pools.get_mut(&running.pool) else {
            return false;
        };
        pool.running -= 1;
        let is_ahead = pool.waiting.len() >= pool.limit as usize;
        if pool.running == 0 && pool.waiting.is_empty() {
            self.pools.remove(&running.pool);
        }
        is_ahead
    }

    /// Asks a running attempt to end. True if it was waiting instead and is now out.
    pub(crate) fn stop(&mut self, attempt: &str, reason: StopReason) -> bool {
        if let Some(running) = self.running.get_mut(attempt) {
            running.stop.get_or_insert(reason);
            if let Some(stopper) = &running.stopper {
                stopper.ask(reason);
            }
            return false;
        }
        if !self.waiting.remove(attempt) {
            return false;
        }
        for pool in self.pools.values_mut() {
            pool.waiting.retain(|start| start.attempt != attempt);
        }
        true
    }

    pub(crate) fn stop_all(&mut self, reason: StopReason) {
        let attempts: Vec<Attempt> = self.running.keys().cloned().collect();
        for attempt in attempts {
            self.stop(&attempt, reason);
        }
    }

    /// Takes out what waits, of one pool or all.
    pub(crate) fn withdraw(&mut self, pool: Option<&str>) -> Vec<Attempt> {
        let mut withdrawn = Vec::new();
        for (name, waiting) in self.pools.iter_mut().map(|(name, pool)| (name, &mut pool.waiting)) {
            if pool.is_none_or(|pool| pool == name) {
                withdrawn.extend(waiting.drain(..).map(|start| start.attempt));
            }
        }
        for attempt in &withdrawn {
            self.waiting.remove(attempt);
        }
        withdrawn
    }

    /// Takes out what was admitted when there is no thread to run it.
    pub(crate) fn withdraw_ready(&mut self) -> Vec<Attempt> {
        let ready: Vec<Attempt> = self.ready.drain(..).map(|start| start.attempt).collect();
        for attempt in &ready {
            self.leave_pool(attempt);
        }
        ready
    }

    pub(crate) fn close(&mut self) {
        self.closed = true;
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.running.is_empty() && self.waiting.is_empty()
    }

    pub(crate) fn running(&self) -> BTreeSet<Attempt> {
        self.running.keys().cloned().collect()
    }

    pub(crate) fn waiting(&self) -> Vec<Attempt> {
        self.waiting.iter().cloned().collect()
    }

    /// A thread is about to begin.
    pub(crate) fn add_thread(&mut self) {
        self.idle_threads += 1;
    }
}
