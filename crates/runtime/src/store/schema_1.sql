-- Kingtide's database, version 1 (PRAGMA user_version). Times are milliseconds since the Unix epoch.

-- The one runtime: who may write. A commit whose epoch is not this one is refused.
CREATE TABLE lease (
    id            INTEGER PRIMARY KEY CHECK (id = 1),
    epoch         INTEGER NOT NULL,
    pid           INTEGER NOT NULL,
    process_start INTEGER NOT NULL,          -- clock ticks after boot, /proc/PID/stat field 22
    boot          TEXT NOT NULL,             -- /proc/sys/kernel/random/boot_id
    renewed_at    INTEGER NOT NULL,
    keeper        TEXT                       -- the keeper the leases were handed to: pid and start
) STRICT;

CREATE TABLE run (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    job         TEXT NOT NULL,
    state       TEXT NOT NULL CHECK (state IN ('open', 'succeeded', 'failed', 'cancelled')),
    reason      TEXT,                        -- why it did not succeed, in words
    late        INTEGER NOT NULL DEFAULT 0,  -- it was ended by its max_duration
    source      TEXT NOT NULL,               -- where its messages came from, in words
    retry_of    INTEGER,                     -- the run whose failures it repeats
    created_at  INTEGER NOT NULL,
    deadline_at INTEGER,                     -- created_at + max_duration
    ended_at    INTEGER,
    total       INTEGER NOT NULL DEFAULT 0,
    succeeded   INTEGER NOT NULL DEFAULT 0,
    skipped     INTEGER NOT NULL DEFAULT 0,
    failed      INTEGER NOT NULL DEFAULT 0,
    rejected    INTEGER NOT NULL DEFAULT 0,
    cancelled   INTEGER NOT NULL DEFAULT 0,
    attempts    INTEGER NOT NULL DEFAULT 0   -- attempts that have ended, losses included
) STRICT;

-- The body of a message, written once.
CREATE TABLE message (
    run  INTEGER NOT NULL,
    seq  INTEGER NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (run, seq)
) STRICT;

-- A message being worked off. A waiting task is its row and nothing else.
CREATE TABLE task (
    run        INTEGER NOT NULL,
    seq        INTEGER NOT NULL,
    state      TEXT NOT NULL CHECK (state IN
                 ('waiting', 'leased', 'succeeded', 'skipped', 'failed', 'rejected', 'cancelled')),
    key        INTEGER NOT NULL,             -- of the parameters: durations are remembered under it
    predicted  INTEGER NOT NULL DEFAULT 0,   -- milliseconds; the longest goes first
    visible_at INTEGER,                      -- waiting until then
    attempt    INTEGER NOT NULL DEFAULT 0,   -- attempts so far, the leased one included
    failures   INTEGER NOT NULL DEFAULT 0,   -- attempts that count against `retries`
    losses     INTEGER NOT NULL DEFAULT 0,   -- attempts lost by the infrastructure
    memory     INTEGER,                      -- bytes, when grown after an out-of-memory kill
    started_at INTEGER,                      -- of the running attempt, known when it outlives 50 ms
    ended_at   INTEGER,
    reason     TEXT,                         -- of the state or of the last failure, in words
    unpublished TEXT,                        -- the work folder of a success whose output is not yet in its place
    PRIMARY KEY (run, seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX task_ready ON task (run, predicted DESC, seq) WHERE state = 'waiting' AND visible_at IS NULL;
CREATE INDEX task_delayed ON task (run, visible_at) WHERE state = 'waiting' AND visible_at IS NOT NULL;
CREATE INDEX task_active ON task (run, seq) WHERE state = 'leased' OR unpublished IS NOT NULL;

-- An attempt that has ended.
CREATE TABLE attempt (
    run         INTEGER NOT NULL,
    seq         INTEGER NOT NULL,
    number      INTEGER NOT NULL,
    outcome     TEXT NOT NULL CHECK (outcome IN
                  ('succeeded', 'failed', 'skipped', 'released', 'rejected', 'timed_out', 'out_of_memory', 'lost', 'stopped')),
    reason      TEXT,                        -- in words: `exit code 1`, `killed by SIGSEGV`
    exit_code   INTEGER,
    started_at  INTEGER,
    ended_at    INTEGER NOT NULL,
    cpu_ms      INTEGER NOT NULL DEFAULT 0,
    memory_peak INTEGER NOT NULL DEFAULT 0,
    read_bytes  INTEGER NOT NULL DEFAULT 0,
    written_bytes INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (run, seq, number)
) STRICT, WITHOUT ROWID;

-- What a program wrote to KINGTIDE_RESULT: one JSON object, or several as an array of objects.
CREATE TABLE result (
    run  INTEGER NOT NULL,
    seq  INTEGER NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (run, seq)
) STRICT;

-- A published output: the folder `.kingtide/outputs/<job>-<run>/<seq>`.
CREATE TABLE output (
    run   INTEGER NOT NULL,
    seq   INTEGER NOT NULL,
    files INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    PRIMARY KEY (run, seq)
) STRICT;

-- What earlier runs took: successes only, the newest weighted as much as all before it.
CREATE TABLE duration (
    job   TEXT NOT NULL,
    key   INTEGER NOT NULL,
    milliseconds INTEGER NOT NULL,
    PRIMARY KEY (job, key)
) STRICT, WITHOUT ROWID;
