-- One row: a name for the WAL that was begun last, and for the one before it. The file alone has the name of its WAL, or of the one
-- before; so a WAL that lies beside another store's file is told from its own.
CREATE TABLE wal_generation (
    id       INTEGER PRIMARY KEY CHECK (id = 1),
    current  BLOB NOT NULL,
    previous BLOB NOT NULL
);

INSERT INTO wal_generation (id, current, previous) VALUES (1, randomblob(16), x'');

-- At most one row: the newest time that a settled clock has shown. What expired by then stays expired, whatever the clock says later.
CREATE TABLE clock_mark (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    at INTEGER NOT NULL
);

-- The public keys that signed the logs, the newest last, each but the first with the note that made it follow the one before.
CREATE TABLE log_keys (
    sequence INTEGER PRIMARY KEY,
    key      BLOB    NOT NULL UNIQUE,
    at       INTEGER NOT NULL,
    note     TEXT
);

CREATE TRIGGER log_keys_are_never_updated BEFORE UPDATE ON log_keys
BEGIN SELECT RAISE(ABORT, 'a key of the log is never updated'); END;

CREATE TRIGGER log_keys_are_never_deleted BEFORE DELETE ON log_keys
BEGIN SELECT RAISE(ABORT, 'a key of the log is never deleted'); END;
