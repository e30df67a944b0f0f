-- The feed: every event of every workspace, in the order of the commits. Nothing is ever deleted from it, so the next
-- position is always the greatest plus one, and no position is used twice.
CREATE TABLE events (
    position  INTEGER PRIMARY KEY,
    workspace BLOB    NOT NULL,
    revision  INTEGER NOT NULL,
    command   BLOB,             -- only where an append begins, so that the index below has one entry an append
    event     BLOB    NOT NULL, -- last, so that nothing else is read across its bytes
    UNIQUE (workspace, revision)
);

-- Ids of commands grow with time, so this index grows at its end: about one more page a commit, not one a workspace.
CREATE INDEX events_by_command ON events (command) WHERE command IS NOT NULL;

CREATE TRIGGER events_are_never_updated BEFORE UPDATE ON events
BEGIN SELECT RAISE(ABORT, 'an event is never updated'); END;

CREATE TRIGGER events_are_never_deleted BEFORE DELETE ON events
BEGIN SELECT RAISE(ABORT, 'an event is never deleted'); END;

-- Every workspace whose log ever began, so that listing them does not read events.
CREATE TABLE workspaces (
    id BLOB PRIMARY KEY
) WITHOUT ROWID;

-- The live workspaces' names.
CREATE TABLE names (
    name      TEXT PRIMARY KEY,
    workspace BLOB NOT NULL UNIQUE
) WITHOUT ROWID;

CREATE TABLE credentials (
    id        TEXT PRIMARY KEY,
    workspace BLOB NOT NULL,
    sha256    BLOB NOT NULL,
    holder    TEXT NOT NULL
) WITHOUT ROWID;

-- Apart from the credentials, because it is written far more often, and outlives them.
CREATE TABLE credential_uses (
    id TEXT PRIMARY KEY,
    at INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE profiles (
    workspace BLOB NOT NULL,
    user      TEXT NOT NULL,
    name      TEXT,
    email     TEXT,
    PRIMARY KEY (workspace, user)
) WITHOUT ROWID;

CREATE TABLE next_expiries (
    workspace BLOB PRIMARY KEY,
    at        INTEGER NOT NULL
) WITHOUT ROWID;

CREATE INDEX next_expiries_by_instant ON next_expiries (at);

CREATE TABLE answers (
    scope       TEXT    NOT NULL,
    key         TEXT    NOT NULL,
    fingerprint BLOB    NOT NULL,
    at          INTEGER NOT NULL,
    answer      BLOB    NOT NULL,
    PRIMARY KEY (scope, key)
);

CREATE INDEX answers_by_instant ON answers (at);

-- One row: how often the store was opened for writing. What it is written for is told where it is written.
CREATE TABLE openings (
    id    INTEGER PRIMARY KEY CHECK (id = 1),
    count INTEGER NOT NULL
);

INSERT INTO openings (id, count) VALUES (1, 0);
