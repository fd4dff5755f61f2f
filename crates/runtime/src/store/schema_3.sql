-- Kingtide's database, from version 2 to 3: what earlier runs teach, and what was foreseen. Times are milliseconds since the Unix epoch.

-- A configuration of a job that has succeeded: what is told of it before it runs.
CREATE TABLE configuration (
    job     TEXT NOT NULL,
    key     INTEGER NOT NULL,                -- of the parameters
    kin     INTEGER NOT NULL,                -- of those that are no numbers
    shape   INTEGER NOT NULL,                -- of the parameters' names
    label   TEXT NOT NULL,                   -- for people
    numbers TEXT NOT NULL,                   -- JSON: parameters that are numbers
    PRIMARY KEY (job, key)
) STRICT, WITHOUT ROWID;

-- What a success took: kept when its run is cleaned away. Run 0 is what version 2 had made of all runs together.
CREATE TABLE observation (
    job          TEXT NOT NULL,
    run          INTEGER NOT NULL,
    key          INTEGER NOT NULL,
    milliseconds INTEGER NOT NULL,
    memory       INTEGER NOT NULL DEFAULT 0, -- bytes at its peak; 0: not seen
    PRIMARY KEY (job, run, key)
) STRICT, WITHOUT ROWID;
INSERT INTO observation (job, run, key, milliseconds) SELECT job, 0, key, milliseconds FROM duration;
DROP TABLE duration;

-- A run that is over: what was foreseen when it began, and what came. Kept when the run is cleaned away.
CREATE TABLE record (
    job        TEXT NOT NULL,
    run        INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    ended_at   INTEGER NOT NULL,
    state      TEXT NOT NULL,
    tasks      INTEGER NOT NULL,
    observed   INTEGER NOT NULL,             -- rows of `observation`
    began      INTEGER,                      -- milliseconds from its making to its first attempt's start
    attempts   INTEGER NOT NULL,
    failures   INTEGER NOT NULL,             -- attempts that count against `retries`
    due_at     INTEGER,
    confidence REAL,
    foreseen_at INTEGER,
    p50        INTEGER,                      -- milliseconds from foreseen_at to the end of all
    p95        INTEGER,
    chance     REAL,                         -- of the deadline
    PRIMARY KEY (job, run)
) STRICT, WITHOUT ROWID;

-- By when the run is to be done, and how likely that was to be.
ALTER TABLE run ADD COLUMN due_at INTEGER;
ALTER TABLE run ADD COLUMN confidence REAL;
-- What its tasks have in common: how far all are longer or shorter together, and how well that is known; how often attempts fail.
ALTER TABLE run ADD COLUMN common REAL;
ALTER TABLE run ADD COLUMN degrees REAL;
ALTER TABLE run ADD COLUMN failure REAL;
-- What was foreseen when it began, as in `record`.
ALTER TABLE run ADD COLUMN foreseen_at INTEGER;
ALTER TABLE run ADD COLUMN p50 INTEGER;
ALTER TABLE run ADD COLUMN p95 INTEGER;
ALTER TABLE run ADD COLUMN chance REAL;

-- How long the task takes: the logarithm of its seconds is normal, with this mean and this standard deviation.
ALTER TABLE task ADD COLUMN mu REAL;
ALTER TABLE task ADD COLUMN sigma REAL;
