//! How fast: a measurement for people, in release:
//! `cargo test --release -p kingtide-runtime pace -- --ignored --nocapture`.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use super::*;
use crate::sqs::operation::Entry;

const PER_CALL: usize = 10;
const CALLS_PER_TRANSACTION: usize = 100;

/// A house whose rows are on disk, flushed at every commit.
fn on_disk(folder: &std::path::Path) -> House {
    let rows = Connection::open(folder.join("pace.db")).expect("opens");
    rows.set_prepared_statement_cache_capacity(128);
    rows.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -16384")
        .expect("set");
    for migration in MIGRATIONS {
        rows.execute_batch(migration).expect("a schema");
    }
    House { rows, ..House::new() }
}

fn sends(house: &mut House, queue: &str, calls: usize, body: &str) {
    let fifo = queue.ends_with(".fifo");
    let caller = Caller::default();
    let mut number = house.scalar::<i64>("SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'letter'");
    house.with(|queues| {
        for _ in 0..calls {
            let mut entries = Vec::new();
            for place in 0..PER_CALL {
                number += 1;
                entries.push(Entry {
                    id: place.to_string(),
                    of: Send {
                        group: fifo.then(|| format!("g{}", number % 1000)),
                        deduplication: fifo.then(|| number.to_string()),
                        ..message(body)
                    },
                });
            }
            let queue = queue.to_owned();
            let operation = Operation::SendMessageBatch { queue, entries };
            assert!(queues.perform(&caller, &operation).expect("works").is_ok());
        }
    });
}

/// What the process has computed so far.
fn busy() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Messages a second through send, receive and delete: by the clock, and of one core that has nothing else to do.
fn pace(house: &mut House, queue: &str, rounds: usize) -> (f64, f64) {
    let body = "x".repeat(100);
    let (start, before) = (Instant::now(), busy());
    let caller = Caller::default();
    for _ in 0..rounds {
        let calls = CALLS_PER_TRANSACTION / 3;
        sends(house, queue, calls, &body);
        house.with(|queues| {
            for _ in 0..calls {
                let receive = Operation::ReceiveMessage(Receive {
                    max: Some(10),
                    ..receive(queue)
                });
                let Ok(Ok(Outcome::Answer(Answer::Received(received)))) = queues.perform(&caller, &receive) else {
                    panic!("nothing received")
                };
                assert_eq!(received.len(), PER_CALL);
                let entry = |(place, received): (usize, Received)| Entry {
                    id: place.to_string(),
                    of: received.receipt,
                };
                let entries = received.into_iter().enumerate().map(entry).collect();
                let queue = queue.to_owned();
                let operation = Operation::DeleteMessageBatch { queue, entries };
                assert!(queues.perform(&caller, &operation).expect("works").is_ok());
            }
        });
    }
    let messages = (rounds * (CALLS_PER_TRANSACTION / 3) * PER_CALL) as f64;
    let (passed, computed) = (start.elapsed(), busy() - before);
    (messages / passed.as_secs_f64(), messages / computed.as_secs_f64())
}

#[test]
#[ignore = "a measurement, to be read by people"]
fn pace_of_the_queues() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut house = on_disk(folder.path());
    house.set_job("mode = \"consumer\"");
    house.create("free", &[]);
    house.create("q.fifo", &[("FifoQueue", "true")]);
    let mut said = String::new();
    // In thousands of messages.
    let backlog = 1000;
    for queue in ["free", "q.fifo", "retrain"] {
        let rounds = 60;
        pace(&mut house, queue, 5);
        let empty = pace(&mut house, queue, rounds);
        let body = "x".repeat(100);
        let start = Instant::now();
        for _ in 0..backlog {
            sends(&mut house, queue, 100, &body);
        }
        let loaded = start.elapsed().as_secs_f64();
        let full = pace(&mut house, queue, rounds);
        let start = Instant::now();
        let counts = house.counts(queue);
        let counting = start.elapsed().as_secs_f64() * 1e6;
        said += &format!(
            "{queue}: {:.0}/s empty ({:.0}/s of a core), {:.0}/s ({:.0}/s) at a backlog of {}; sent in {loaded:.1} s; counted in \
             {counting:.0} µs\n",
            empty.0, empty.1, full.0, full.1, counts.0
        );
    }
    let folder_bytes = std::fs::metadata(folder.path().join("pace.db")).expect("there").len();
    eprintln!("{said}{} MiB on disk", folder_bytes >> 20);
}
