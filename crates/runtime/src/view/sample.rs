//! For tests: a project whose database has one run that is over and one under way.

use rusqlite::Connection;

use crate::layout::Layout;
use crate::store::{APPLICATION_ID, MIGRATIONS, SCHEMA_VERSION};

/// A folder with a database of the newest schema. Run 1 (`retrain`) has failed, run 2 (`score`) is open.
pub(crate) fn project() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(Layout::new(folder.path()).root()).expect("a folder");
    let writer = Connection::open(Layout::new(folder.path()).database()).expect("a database");
    writer.execute_batch("PRAGMA journal_mode = WAL").expect("WAL");
    for migration in MIGRATIONS {
        writer.execute_batch(migration).expect("the schema");
    }
    writer
        .execute_batch(&format!(
            "PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {SCHEMA_VERSION}"
        ))
        .expect("set");
    writer.execute_batch(ROWS).expect("the rows");
    folder
}

const ROWS: &str = r#"
INSERT INTO lease VALUES (1, 3, 4194305, 77, 'no-such-boot', 1000, NULL);
INSERT INTO run (id, job, state, reason, late, source, created_at, ended_at, total, succeeded, skipped, failed, attempts)
VALUES (1, 'retrain', 'failed', '1 of 6 tasks failed', 1, 'destinations.csv', 1000, 101000, 6, 4, 1, 1, 8),
       (2, 'score', 'open', NULL, 0, 'inline', 200000, NULL, 6, 0, 0, 0, 3);
INSERT INTO message (run, seq, body) VALUES
    (1, 1, '{"dest":"BOS","depth":4}'), (1, 2, '{"dest":"LAX","depth":4}'), (1, 3, '{"dest":"LEX","depth":4}'),
    (1, 4, '{"dest":"SFO","depth":4}'), (1, 5, '{"dest":"SEA","depth":4}'),
    (1, 6, '{"dest":"say \"hi\"\n","depth":{"a":[1]}}'),
    (2, 1, '{"n":1}'), (2, 2, '{"n":2}'), (2, 3, '{"n":3}'), (2, 4, '{"n":4}'), (2, 5, '{"n":5}'), (2, 6, '{"n":6}');
INSERT INTO task (run, seq, state, key, attempt, failures, losses, memory, ended_at, reason) VALUES
    (1, 1, 'succeeded', 1, 1, 0, 0, NULL, 21000, NULL),
    (1, 2, 'failed', 2, 2, 2, 0, 2147483648, 101000, 'exit code 1'),
    (1, 3, 'skipped', 3, 1, 0, 0, NULL, 22000, 'exit code 3'),
    (1, 4, 'succeeded', 4, 2, 1, 0, NULL, 80000, NULL),
    (1, 5, 'succeeded', 5, 2, 0, 1, NULL, 60000, NULL),
    (1, 6, 'succeeded', 6, 0, 0, 0, NULL, 60000, NULL);
INSERT INTO task (run, seq, state, key, predicted, visible_at, attempt, failures, started_at) VALUES
    (2, 1, 'leased', 11, 9000, NULL, 1, 0, 201000), (2, 2, 'leased', 12, 8000, NULL, 1, 0, NULL),
    (2, 3, 'waiting', 13, 0, 230000, 1, 1, NULL), (2, 4, 'waiting', 14, 0, NULL, 0, 0, NULL),
    (2, 5, 'waiting', 15, 7000, NULL, 0, 0, NULL), (2, 6, 'waiting', 16, 0, NULL, 0, 0, NULL);
INSERT INTO attempt (run, seq, number, outcome, reason, exit_code, started_at, ended_at, cpu_ms, memory_peak) VALUES
    (1, 1, 1, 'succeeded', NULL, 0, 1000, 21000, 20000, 1073741824),
    (1, 2, 1, 'out_of_memory', 'out of memory (limit 1 GiB)', NULL, 1000, 11000, 10000, 1073741824),
    (1, 2, 2, 'failed', 'exit code 1', 1, 61000, 101000, 30000, 2147483648),
    (1, 3, 1, 'skipped', 'exit code 3', 3, 21000, 22000, 0, 0),
    (1, 4, 1, 'failed', 'exit code 1', 1, 22000, 23000, 0, 0),
    (1, 4, 2, 'succeeded', NULL, 0, 50000, 80000, 0, 0),
    (1, 5, 1, 'lost', 'the keeper died', NULL, 23000, 24000, 0, 0),
    (1, 5, 2, 'succeeded', NULL, 0, 50000, 60000, 0, 0),
    (2, 3, 1, 'failed', 'exit code 1', 1, 201000, 202000, 0, 0);
INSERT INTO result VALUES (1, 1, '{"mae":11.5}'), (1, 4, '[{"mae":9.0},{"mae":10.0}]');
INSERT INTO output VALUES (1, 1, 1, 1000), (1, 4, 2, 2000);
"#;
