//! The store against a real file: who may write, what is refused, what is offered, what is left after a failure.

use std::convert::Infallible;

use kingtide_core::engine::Receive;
use kingtide_core::engine::event::{Change, Counts, Ledger, RunState, TaskRow, TaskState};
use kingtide_core::id::{RunId, TaskId};
use kingtide_core::message::Message;
use kingtide_core::project::{self, Job};
use kingtide_core::time::Timestamp;
use tempfile::TempDir;

use super::{Holder, LeaseError, NewRun, OpenError, Store, StoreError};

const NOW: Timestamp = Timestamp(1_700_000_000_000);

fn holder(pid: u32) -> Holder {
    Holder {
        pid,
        process_start: 1,
        boot: "boot".to_owned(),
    }
}

fn store() -> (TempDir, Store) {
    let folder = tempfile::tempdir().expect("a folder");
    let mut store = Store::open(folder.path()).expect("a new database");
    store
        .take_lease(NOW, &holder(1), |_| true, || false)
        .expect("nobody holds it");
    (folder, store)
}

fn job() -> Job {
    let source = "[project]\nname = \"p\"\n[job.retrain]\ncommand = [\"true\"]\n";
    let (project, findings) = project::load(source);
    assert_eq!(findings.0, []);
    project.expect("no findings").jobs["retrain"].clone()
}

fn submit(store: &mut Store, dests: &[&str]) -> RunId {
    let messages = dests
        .iter()
        .map(|dest| Message::parse(&format!(r#"{{"dest":"{dest}"}}"#)).expect("an object"));
    store
        .submit(NOW, &NewRun::of(&job(), "test", NOW), messages.map(Ok::<_, Infallible>))
        .expect("written")
        .expect("no bad rows")
}

fn offered(store: &mut Store, run: RunId, now: Timestamp) -> Vec<i64> {
    let batch = store.begin().expect("ours");
    let offer = batch.receive(Receive { run, max: 10 }, now).expect("read");
    assert_eq!(offer.received.deliveries.len(), offer.bodies.len());
    offer
        .received
        .deliveries
        .iter()
        .map(|delivery| delivery.task.seq)
        .collect()
}

fn row(task: TaskId, state: TaskState) -> TaskRow {
    TaskRow {
        task,
        state,
        attempt: 1,
        ledger: Ledger::default(),
        visible_at: None,
        ended_at: None,
        reason: None,
        unpublished: None,
    }
}

fn write(store: &mut Store, changes: &[Change]) {
    let batch = store.begin().expect("ours");
    batch.write(changes).expect("written");
    batch.commit().expect("committed");
}

#[test]
fn a_live_holder_keeps_others_out_and_a_dead_one_does_not() {
    let (folder, _first) = store();
    let mut second = Store::open(folder.path()).expect("opens");
    let refused = second.take_lease(NOW, &holder(2), |_| true, || false);
    assert!(matches!(refused, Err(LeaseError::Busy { pid: 1 })), "{refused:?}");
    second
        .take_lease(NOW, &holder(2), |_| false, || false)
        .expect("the holder is dead");
}

#[test]
fn a_runtime_that_wakes_up_late_writes_nothing() {
    let (folder, mut first) = store();
    let run = submit(&mut first, &["BOS"]);
    let mut second = Store::open(folder.path()).expect("opens");
    let late = Timestamp(NOW.0 + 60_000);
    second
        .take_lease(late, &holder(2), |_| true, || false)
        .expect("the holder has not renewed for a minute");
    let refused = first.begin().map(|_| ());
    assert!(
        matches!(refused, Err(StoreError::Fenced { ours: 1, found: 2 })),
        "{refused:?}"
    );
    assert!(
        first
            .submit(
                late,
                &NewRun::of(&job(), "test", NOW),
                std::iter::empty::<Result<Message, Infallible>>()
            )
            .is_err()
    );
    first.give_lease_back().expect("without effect");
    assert_eq!(offered(&mut second, run, late), [1]);
}

#[test]
fn what_is_not_ours_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("kingtide.db");
    let noise = b"this is no database at all, but it is long enough to look like something ".repeat(20);
    std::fs::write(&path, &noise).expect("written");
    assert!(matches!(Store::open(folder.path()), Err(OpenError::Foreign(_))));
    assert_eq!(std::fs::read(&path).expect("still there"), noise);

    std::fs::remove_file(&path).expect("removed");
    let foreign = rusqlite::Connection::open(&path).expect("opens");
    foreign.execute_batch("CREATE TABLE theirs (x)").expect("made");
    drop(foreign);
    assert!(matches!(Store::open(folder.path()), Err(OpenError::Foreign(_))));
}

#[test]
fn a_newer_database_is_refused() {
    let (folder, store) = store();
    drop(store);
    let connection = rusqlite::Connection::open(folder.path().join("kingtide.db")).expect("opens");
    connection.pragma_update(None, "user_version", 99).expect("set");
    drop(connection);
    assert!(matches!(
        Store::open(folder.path()),
        Err(OpenError::Newer { found: 99, .. })
    ));
}

#[test]
fn a_damaged_database_is_refused() {
    let (folder, store) = store();
    drop(store);
    let path = folder.path().join("kingtide.db");
    let mut bytes = std::fs::read(&path).expect("read");
    bytes[100..1000].fill(0xA5);
    std::fs::write(&path, &bytes).expect("written");
    assert!(matches!(Store::open(folder.path()), Err(OpenError::Damaged { .. })));
    assert_eq!(std::fs::read(&path).expect("still there"), bytes);
}

#[test]
fn a_row_that_fails_leaves_no_run_behind() {
    let (_folder, mut store) = store();
    let rows = [Ok(Message(serde_json::Map::new())), Err("row 2 is bad")];
    let failed = store
        .submit(NOW, &NewRun::of(&job(), "test", NOW), rows.into_iter())
        .expect("no failure of the store");
    assert_eq!(failed, Err("row 2 is bad"));
    assert_eq!(store.unfinished("retrain").expect("read"), None);
}

#[test]
fn the_longest_predicted_goes_first_and_the_waiting_wait() {
    let (_folder, mut store) = store();
    let first = submit(&mut store, &["BOS", "LAX"]);
    assert_eq!(offered(&mut store, first, NOW), [1, 2]);
    for (seq, seconds) in [(1, 10), (2, 60)] {
        let task = first.task(seq);
        let attempt = kingtide_core::engine::event::AttemptRow {
            instance: None,
            attempt: task.attempt(1),
            outcome: kingtide_core::engine::event::Outcome::Succeeded,
            reason: None,
            exit_code: Some(0),
            started_at: Some(NOW),
            ended_at: Timestamp(NOW.0 + seconds * 1000),
            usage: Default::default(),
        };
        write(
            &mut store,
            &[
                Change::Attempt(Box::new(attempt)),
                Change::Task(row(task, TaskState::Succeeded)),
            ],
        );
    }
    store.remember(first).expect("learnt");
    // SFO was never seen: it may take longer than either.
    let second = submit(&mut store, &["BOS", "LAX", "SFO"]);
    assert_eq!(offered(&mut store, second, NOW), [3, 2, 1]);
    let later = Timestamp(NOW.0 + 5_000);
    let delayed = TaskRow {
        visible_at: Some(later),
        ..row(second.task(3), TaskState::Waiting)
    };
    write(&mut store, &[Change::Task(delayed)]);
    assert_eq!(offered(&mut store, second, NOW), [2, 1]);
    assert_eq!(offered(&mut store, second, later), [3, 2, 1]);
    // One that has grown takes more of the machine than the others.
    let grown = Change::Reordered {
        task: second.task(1),
        by: 1000.0,
    };
    write(&mut store, &[grown]);
    assert_eq!(offered(&mut store, second, later), [1, 3, 2]);
}

#[test]
fn a_retry_repeats_what_did_not_succeed() {
    let (_folder, mut store) = store();
    let run = submit(&mut store, &["BOS", "LAX", "SFO"]);
    let changes = [
        Change::Task(row(run.task(1), TaskState::Failed)),
        Change::Task(row(run.task(2), TaskState::Succeeded)),
        Change::Task(row(run.task(3), TaskState::Rejected)),
        Change::Counts {
            run,
            counts: Counts {
                total: 3,
                succeeded: 1,
                failed: 1,
                rejected: 1,
                ..Counts::default()
            },
        },
        Change::RunEnded {
            run,
            state: RunState::Failed,
            late: false,
            reason: None,
            at: NOW,
        },
    ];
    write(&mut store, &changes);
    assert_eq!(
        store.run(run).expect("read"),
        Some(("retrain".to_owned(), RunState::Failed, false))
    );
    let again = store
        .retry(NOW, run, &NewRun::of(&job(), "test", NOW))
        .expect("written")
        .expect("two to repeat");
    let batch = store.begin().expect("ours");
    let offer = batch.receive(Receive { run: again, max: 10 }, NOW).expect("read");
    assert_eq!(offer.bodies, [r#"{"dest":"BOS"}"#, r#"{"dest":"SFO"}"#]);
    drop(batch);
    write(&mut store, &[Change::CancelWaiting { run: again, at: NOW }]);
    assert_eq!(offered(&mut store, again, NOW), [0; 0]);
}

#[test]
fn what_was_leased_is_found_again() {
    let (folder, mut store) = store();
    let run = submit(&mut store, &["BOS", "LAX"]);
    let published = TaskRow {
        unpublished: Some("/w/1/output".to_owned()),
        ..row(run.task(2), TaskState::Succeeded)
    };
    write(
        &mut store,
        &[
            Change::Task(row(run.task(1), TaskState::Leased)),
            Change::Task(published),
        ],
    );
    drop(store);
    let store = Store::open(folder.path()).expect("opens");
    let (project, _) = kingtide_core::project::load("[project]\nname = \"t\"\n[job.retrain]\ncommand = [\"true\"]\n");
    let job = &project.expect("a project").jobs["retrain"];
    let open = store.open_run(run, job, None).expect("read").expect("open");
    assert_eq!(
        open.leased.iter().map(|leased| leased.attempt).collect::<Vec<_>>(),
        [run.task(1).attempt(1)]
    );
    assert_eq!(open.unpublished, [(run.task(2).attempt(1), "/w/1/output".to_owned())]);
    assert_eq!(store.unpublished().expect("read"), ["/w/1/output"]);
}
