//! The model store: rows as the real one has them, and the invariants on what is written.

use std::collections::{BTreeMap, BTreeSet};

use kingtide_core::engine::event::{
    Change, Counts, Delivery, Host, Leased, Ledger, OpenRun, Outcome, Receive, Received, RunState, TaskRow, TaskState,
};
use kingtide_core::engine::retry::MAX_LOSSES;
use kingtide_core::id::{AttemptId, RunId, TaskId};
use kingtide_core::project::{Job, OnCrash};
use kingtide_core::time::Timestamp;

use super::Mutation;

#[derive(Clone, Debug)]
pub(crate) struct Store {
    run: RunId,
    pub(crate) rows: BTreeMap<TaskId, TaskRow>,
    pub(crate) counts: Counts,
    state: RunState,
    published: BTreeSet<TaskId>,
    results: BTreeSet<TaskId>,
    /// Every attempt that was ever started; never twice the same.
    executed: BTreeSet<AttemptId>,
    /// Attempts that ended by a loss.
    lost: BTreeSet<AttemptId>,
    /// Every attempt whose end was written.
    attempts: BTreeSet<AttemptId>,
}

impl Store {
    pub(crate) fn new(run: RunId, tasks: i64, _seed: u64) -> Store {
        let row = |seq| TaskRow {
            task: run.task(seq),
            state: TaskState::Waiting,
            attempt: 0,
            ledger: Ledger::default(),
            visible_at: None,
            ended_at: None,
            reason: None,
            unpublished: None,
        };
        Store {
            run,
            rows: (1..=tasks).map(|seq| (run.task(seq), row(seq))).collect(),
            counts: Counts {
                total: tasks as u64,
                ..Counts::default()
            },
            state: RunState::Open,
            published: BTreeSet::new(),
            results: BTreeSet::new(),
            executed: BTreeSet::new(),
            lost: BTreeSet::new(),
            attempts: BTreeSet::new(),
        }
    }

    pub(crate) fn is_over(&self) -> bool {
        self.state != RunState::Open
    }

    pub(crate) fn write(&mut self, changes: &[Change], mutation: Mutation, seed: u64) {
        for change in changes {
            match change {
                Change::Task(row) => self.write_task(row, mutation, seed),
                Change::Started { .. } | Change::Reordered { .. } => {}
                Change::Attempt(row) => {
                    let new = self.attempts.insert(row.attempt);
                    assert!(new, "seed {seed}: the end of {} was written twice", row.attempt);
                    if row.outcome == Outcome::Lost {
                        self.lost.insert(row.attempt);
                    }
                }
                Change::Result { task, .. } => {
                    let new = self.results.insert(*task);
                    assert!(new, "seed {seed}: a second result of {task}");
                }
                Change::Output { .. } => {}
                Change::Published { task } => {
                    assert!(
                        self.published.contains(task),
                        "seed {seed}: {task} is said to be published and is not"
                    );
                    self.rows.get_mut(task).expect("a known task").unpublished = None;
                }
                Change::InstanceOpened { .. } | Change::InstanceEnded { .. } => {
                    unreachable!("the job is no consumer")
                }
                Change::CancelWaiting { .. } => {
                    for row in self.rows.values_mut().filter(|row| row.state == TaskState::Waiting) {
                        row.state = TaskState::Cancelled;
                    }
                }
                Change::Counts { counts, .. } => self.counts = *counts,
                Change::RunEnded { state, .. } => {
                    assert_eq!(self.state, RunState::Open, "seed {seed}: the run ended twice");
                    self.state = *state;
                }
            }
        }
    }

    fn write_task(&mut self, row: &TaskRow, mutation: Mutation, seed: u64) {
        if mutation == Mutation::ForgetLease && row.state == TaskState::Leased && row.task.seq % 2 == 0 {
            return;
        }
        if mutation == Mutation::LoseRetry && row.state == TaskState::Waiting && row.ledger.failures > 0 {
            return;
        }
        let before = &self.rows[&row.task];
        let legal = match (before.state, row.state) {
            (TaskState::Waiting, TaskState::Leased) => row.attempt == before.attempt + 1,
            (TaskState::Leased, TaskState::Leased) => false,
            (TaskState::Leased, _) => row.attempt == before.attempt,
            _ => false,
        };
        assert!(legal, "seed {seed}: {before:?} cannot become {row:?}");
        self.rows.insert(row.task, row.clone());
    }

    pub(crate) fn receive(&self, receive: Receive, now: Timestamp) -> Received {
        assert!(receive.max > 0, "asked for nothing");
        let waiting = || self.rows.values().filter(|row| row.state == TaskState::Waiting);
        let ready = || waiting().filter(|row| row.visible_at.is_none_or(|at| at <= now));
        // Some bodies are large, and a read stops when it has enough of them: it may return fewer than there are.
        let enough = (receive.max as usize).min(1 + self.rows.len() / 2);
        let delivery = |row: &TaskRow| Delivery {
            task: row.task,
            attempts: row.attempt,
            ledger: row.ledger,
            bytes: if row.task.seq % 2 == 0 { 3 << 20 } else { 20 },
        };
        let deliveries: Vec<Delivery> = ready().take(enough).map(delivery).collect();
        let next_visible = waiting().filter_map(|row| row.visible_at).filter(|at| *at > now).min();
        let exhausted = deliveries.len() == ready().count();
        Received {
            run: receive.run,
            exhausted,
            deliveries,
            next_visible,
        }
    }

    fn active(&self) -> (Vec<Leased>, Vec<(AttemptId, String)>) {
        let attempt = |row: &TaskRow| row.task.attempt(row.attempt);
        let leased = self.rows.values().filter(|row| row.state == TaskState::Leased);
        let unpublished = self
            .rows
            .values()
            .filter_map(|row| Some((attempt(row), row.unpublished.clone()?)));
        (
            leased
                .map(|row| Leased {
                    attempt: attempt(row),
                    ledger: row.ledger,
                })
                .collect(),
            unpublished.collect(),
        )
    }

    /// The run as a runtime finds it.
    pub(crate) fn open_run(&self, job: &Job, deadline: Option<Timestamp>) -> OpenRun {
        let (leased, unpublished) = self.active();
        OpenRun {
            run: self.run,
            job: job.clone(),
            host: Host::Keeper,
            ready: true,
            idle: None,
            workers: None,
            deadline,
            counts: self.counts,
            leased,
            unpublished,
        }
    }

    /// An attempt starts, for the first and only time.
    pub(crate) fn executed(&mut self, attempt: AttemptId, seed: u64) {
        assert!(self.executed.insert(attempt), "seed {seed}: {attempt} is started twice");
    }

    pub(crate) fn publish(&mut self, attempt: AttemptId, seed: u64) {
        let row = &self.rows[&attempt.task];
        let committed = row.state == TaskState::Succeeded && row.attempt == attempt.number;
        assert!(
            committed,
            "seed {seed}: {attempt} is published without its committed success"
        );
        self.published.insert(attempt.task);
    }

    pub(crate) fn assert_drained(&self, seed: u64, job: &Job) {
        let of = |state| self.rows.values().filter(|row| row.state == state).count() as u64;
        assert_eq!(
            of(TaskState::Waiting) + of(TaskState::Leased),
            0,
            "seed {seed}: tasks are left\n{self:#?}"
        );
        let counted = [
            (self.counts.succeeded, TaskState::Succeeded),
            (self.counts.skipped, TaskState::Skipped),
            (self.counts.failed, TaskState::Failed),
            (self.counts.rejected, TaskState::Rejected),
            (self.counts.cancelled, TaskState::Cancelled),
        ];
        for (count, state) in counted {
            assert_eq!(
                count,
                of(state),
                "seed {seed}: the counts of {state:?} are off\n{self:#?}"
            );
        }
        assert_eq!(
            self.counts.attempts,
            self.attempts.len() as u64,
            "seed {seed}: attempts are miscounted"
        );
        assert_eq!(
            self.counts.total,
            self.rows.len() as u64,
            "seed {seed}: tasks were lost in run {}",
            self.run
        );
        for attempt in self.lost.iter().filter(|_| job.on_crash == OnCrash::Fail) {
            let after = self
                .executed
                .range(attempt.task.attempt(attempt.number + 1)..=attempt.task.attempt(u32::MAX));
            assert_eq!(after.count(), 0, "seed {seed}: {} ran again after a loss", attempt.task);
        }
        for row in self.rows.values() {
            assert!(
                row.ledger.failures <= job.retries + 1,
                "seed {seed}: {} was retried too often",
                row.task
            );
            assert!(
                row.ledger.losses <= MAX_LOSSES,
                "seed {seed}: {} was lost too often",
                row.task
            );
            assert!(
                row.unpublished.is_none(),
                "seed {seed}: the output of {} is not in its place",
                row.task
            );
            let failed_early = row.state == TaskState::Failed
                && row.ledger.failures <= job.retries
                && row.ledger.losses < MAX_LOSSES
                && job.on_crash == OnCrash::Retry;
            assert!(
                !failed_early,
                "seed {seed}: {} failed with retries left\n{row:#?}",
                row.task
            );
        }
    }
}
