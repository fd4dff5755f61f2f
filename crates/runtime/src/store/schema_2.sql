-- Kingtide's database, from version 1 to 2: queues that anyone may send to. Times are milliseconds since the Unix epoch.

-- A queue as Amazon SQS has it. Each job has one of its name and one for its dead letters; others are made freely.
CREATE TABLE queue (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    name        TEXT NOT NULL UNIQUE,
    job         TEXT,                        -- the job whose queue this is, or whose dead letters it holds
    role        TEXT NOT NULL CHECK (role IN ('free', 'job', 'dead')),
    attributes  TEXT NOT NULL,               -- JSON: those that were set, by their names in the API
    tags        TEXT NOT NULL,               -- JSON
    created_at  INTEGER NOT NULL,
    modified_at INTEGER NOT NULL,
    purged_at   INTEGER
) STRICT;

-- A message in a queue: what anybody outside may receive. One that stands for a task (run, seq) shares its body with it.
CREATE TABLE letter (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    queue       INTEGER NOT NULL REFERENCES queue (id),
    message_id  TEXT NOT NULL,
    body        TEXT,                        -- NULL: it is the task's, in `message`
    attributes  TEXT,                        -- JSON: the sender's, NULL for none
    trace       TEXT,                        -- the system attribute AWSTraceHeader
    sender      TEXT NOT NULL,
    sent_at     INTEGER NOT NULL,
    visible_at  INTEGER NOT NULL,            -- it may be received from then on
    receives    INTEGER NOT NULL DEFAULT 0,
    received_at INTEGER,                     -- of the last receive: the twelve hours count from here
    first_at    INTEGER,                     -- of the first
    receipt     INTEGER NOT NULL DEFAULT 0,  -- the number of the last receipt handle; it alone may change visibility
    holder      TEXT,                        -- the consumer instance that received it last
    group_id    TEXT,
    dedup_id    TEXT,
    sequence    INTEGER,
    run         INTEGER,
    seq         INTEGER,
    reason      TEXT,                        -- of a dead letter: why, in words
    source      TEXT                         -- of a dead letter: the name of the queue it comes from
) STRICT;
CREATE INDEX letter_visible ON letter (queue, visible_at, id);
CREATE INDEX letter_task ON letter (run, seq) WHERE run IS NOT NULL;

-- What a message of a sent task was called, and who sent it what with it.
ALTER TABLE message ADD COLUMN message_id TEXT;
ALTER TABLE message ADD COLUMN attributes TEXT;

-- A run of messages sent by others: it ends when its job's queue has been empty and idle for a while.
ALTER TABLE run ADD COLUMN intake INTEGER NOT NULL DEFAULT 0;
-- Its messages are still being written; a run left so is forgotten at the next start.
ALTER TABLE run ADD COLUMN loading INTEGER NOT NULL DEFAULT 0;
-- At most so many of its attempts at once.
ALTER TABLE run ADD COLUMN workers INTEGER;

-- An instance of a consumer: a program of a job that reads its queue itself. Rows go with the instance's end; numbers never come twice.
CREATE TABLE instance (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    job       TEXT NOT NULL,
    opened_at INTEGER NOT NULL
) STRICT;
