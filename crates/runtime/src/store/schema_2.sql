-- Kingtide's database, from version 1 to 2: queues that anyone may send to. Times are milliseconds since the Unix epoch.

-- What holds the letters of a queue, and how many. A purge gives the queue an empty one; the old one is cleared little by
-- little. The counts are kept by triggers, so that they are exact whoever writes.
CREATE TABLE box (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    visible   INTEGER NOT NULL DEFAULT 0,
    in_flight INTEGER NOT NULL DEFAULT 0,
    delayed   INTEGER NOT NULL DEFAULT 0,
    discarded INTEGER NOT NULL DEFAULT 0   -- no queue's any more
) STRICT;
CREATE INDEX box_discarded ON box (id) WHERE discarded = 1;

-- A queue as Amazon SQS has it. Each job has one of its name and one for its dead letters; others are made freely.
CREATE TABLE queue (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    name        TEXT NOT NULL UNIQUE,
    role        TEXT NOT NULL CHECK (role IN ('free', 'job', 'dead')),
    job         TEXT,                        -- the job whose queue this is, or whose dead letters it holds
    box         INTEGER NOT NULL UNIQUE REFERENCES box (id),
    salt        INTEGER NOT NULL,            -- what tells a receipt handle of ours from an invented one
    attributes  TEXT NOT NULL,               -- JSON: those that were set, by their names in the API
    tags        TEXT NOT NULL,               -- JSON
    created_at  INTEGER NOT NULL,
    modified_at INTEGER NOT NULL,
    purged_at   INTEGER
) STRICT;

-- Names that were deleted: SQS lets a minute pass before they may be taken again.
CREATE TABLE queue_deleted (
    name TEXT PRIMARY KEY,
    at   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- A message in a queue: what anybody outside may receive. One that stands for a task (run, seq) shares its body with it.
CREATE TABLE letter (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    box         INTEGER NOT NULL REFERENCES box (id),
    -- As of the last look: one whose time has come is still said to be hidden until somebody asks.
    state       TEXT NOT NULL CHECK (state IN ('visible', 'in_flight', 'delayed')),
    visible_at  INTEGER NOT NULL,            -- it may be received from then on
    message_id  TEXT NOT NULL,
    body        TEXT,                        -- NULL: it is the task's, in `message`
    attributes  TEXT,                        -- JSON: the sender's, NULL for none
    trace       TEXT,                        -- the system attribute AWSTraceHeader
    sender      TEXT NOT NULL,
    sent_at     INTEGER NOT NULL,
    receives    INTEGER NOT NULL DEFAULT 0,
    received_at INTEGER,                     -- of the last receive: the twelve hours count from here
    first_at    INTEGER,                     -- of the first
    receipt     INTEGER NOT NULL DEFAULT 0,  -- the number of the last receipt handle; it alone may change visibility
    holder      TEXT,                        -- of a task: the consumer instance that holds it
    minded      INTEGER NOT NULL DEFAULT 0,  -- while its holder lives it stays in flight
    group_id    TEXT,
    dedup_id    TEXT,                        -- every letter of a FIFO queue has one, and no other
    run         INTEGER,
    seq         INTEGER,
    reason      TEXT,                        -- of a dead letter: why, in words
    source      TEXT                         -- of a dead letter: the name of the queue it comes from
) STRICT;
CREATE INDEX letter_visible ON letter (box, id) WHERE state = 'visible';
CREATE INDEX letter_hidden ON letter (box, visible_at) WHERE state <> 'visible';
CREATE INDEX letter_lane ON letter (box, group_id, state, id) WHERE dedup_id IS NOT NULL;
CREATE INDEX letter_dead ON letter (box, sent_at) WHERE source IS NOT NULL AND state = 'visible';
CREATE INDEX letter_task ON letter (run, seq) WHERE run IS NOT NULL;
CREATE INDEX letter_held ON letter (holder) WHERE holder IS NOT NULL;

CREATE TRIGGER letter_comes AFTER INSERT ON letter BEGIN
    UPDATE box SET visible = visible + (new.state = 'visible'), in_flight = in_flight + (new.state = 'in_flight'),
                   delayed = delayed + (new.state = 'delayed')
    WHERE id = new.box;
END;
CREATE TRIGGER letter_goes AFTER DELETE ON letter BEGIN
    UPDATE box SET visible = visible - (old.state = 'visible'), in_flight = in_flight - (old.state = 'in_flight'),
                   delayed = delayed - (old.state = 'delayed')
    WHERE id = old.box;
END;
CREATE TRIGGER letter_turns AFTER UPDATE OF state ON letter WHEN old.state <> new.state BEGIN
    UPDATE box SET visible = visible + (new.state = 'visible') - (old.state = 'visible'),
                   in_flight = in_flight + (new.state = 'in_flight') - (old.state = 'in_flight'),
                   delayed = delayed + (new.state = 'delayed') - (old.state = 'delayed')
    WHERE id = new.box;
END;

-- A message group of a FIFO queue that has letters. While one of them is in flight the others wait.
CREATE TABLE lane (
    box      INTEGER NOT NULL REFERENCES box (id),
    group_id TEXT NOT NULL,
    held     INTEGER NOT NULL,               -- letters in flight
    head     INTEGER,                        -- the first visible letter
    PRIMARY KEY (box, group_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX lane_open ON lane (box, head) WHERE held = 0 AND head IS NOT NULL;

-- What was sent to a FIFO queue within the last five minutes.
CREATE TABLE deduplication (
    queue      INTEGER NOT NULL,
    scope      TEXT NOT NULL,                -- the message group where it counts within one, else empty
    dedup_id   TEXT NOT NULL,
    at         INTEGER NOT NULL,
    message_id TEXT NOT NULL,
    sequence   INTEGER NOT NULL,
    PRIMARY KEY (queue, scope, dedup_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX deduplication_age ON deduplication (queue, at);

-- What a receive of a FIFO queue was answered that may be asked again within five minutes.
CREATE TABLE reception (
    queue   INTEGER NOT NULL,
    attempt TEXT NOT NULL,
    at      INTEGER NOT NULL,
    letters TEXT NOT NULL,                   -- JSON: [letter, receipt, hidden until] each
    PRIMARY KEY (queue, attempt)
) STRICT, WITHOUT ROWID;
CREATE INDEX reception_age ON reception (queue, at);

-- A message move task: dead letters on their way back.
CREATE TABLE move (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    handle      TEXT NOT NULL UNIQUE,
    source      TEXT NOT NULL,               -- the name of a queue
    destination TEXT,                        -- the name of a queue; where each came from when NULL
    rate        INTEGER,                     -- a second
    state       TEXT NOT NULL CHECK (state IN ('RUNNING', 'COMPLETED', 'CANCELLED', 'FAILED')),
    last        INTEGER NOT NULL,            -- the last letter it moves: what comes later stays
    total       INTEGER NOT NULL,
    moved       INTEGER NOT NULL DEFAULT 0,
    failure     TEXT,
    started_at  INTEGER NOT NULL,
    next_at     INTEGER NOT NULL
) STRICT;
CREATE INDEX move_source ON move (source, id);
CREATE INDEX move_running ON move (next_at) WHERE state = 'RUNNING';

-- What a message of a sent task was called, what was sent with it, and when; those of a `run` are as old as their run.
ALTER TABLE message ADD COLUMN message_id TEXT;
ALTER TABLE message ADD COLUMN attributes TEXT;
ALTER TABLE message ADD COLUMN sent_at INTEGER;

-- A run of messages sent by others: it ends when its job's queue has been empty and idle for a while.
ALTER TABLE run ADD COLUMN intake INTEGER NOT NULL DEFAULT 0;
-- Its messages are still being written; a run left so is forgotten at the next start.
ALTER TABLE run ADD COLUMN loading INTEGER NOT NULL DEFAULT 0;
-- At most so many of its attempts at once.
ALTER TABLE run ADD COLUMN workers INTEGER;
CREATE INDEX run_open ON run (job) WHERE state = 'open';

-- An instance of a consumer: a program of a job that reads its queue itself. Rows go with the instance's end; numbers never come twice.
CREATE TABLE instance (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    job       TEXT NOT NULL,
    opened_at INTEGER NOT NULL
) STRICT;
-- Of a consumer's job: the instance that had received the message.
ALTER TABLE attempt ADD COLUMN instance INTEGER;
