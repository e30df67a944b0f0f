-- The journal: who read the audit. What is in it stays as it was written; only how many rows an answer gave is set later,
-- once, where the answer was still on its way. Nothing is ever deleted, so sequence numbers grow as those of the feed do.
CREATE TABLE audit_reads (
    sequence  INTEGER PRIMARY KEY,
    id        BLOB    NOT NULL UNIQUE, -- grows with time, as the ids of commands do
    workspace BLOB    NOT NULL,
    at        INTEGER NOT NULL,
    reader    TEXT    NOT NULL,
    token     TEXT,                    -- only where the reader proved itself with an API token
    request   TEXT    NOT NULL,
    question  TEXT    NOT NULL,
    query     TEXT    NOT NULL,
    form      TEXT    NOT NULL,
    revision  INTEGER NOT NULL,
    view_at   INTEGER NOT NULL,
    rows      INTEGER
);

CREATE INDEX audit_reads_by_workspace ON audit_reads (workspace, sequence);

CREATE TRIGGER audit_reads_are_never_updated
BEFORE UPDATE OF sequence, id, workspace, at, reader, token, request, question, query, form, revision, view_at ON audit_reads
BEGIN SELECT RAISE(ABORT, 'a read is never updated'); END;

CREATE TRIGGER audit_reads_are_counted_once BEFORE UPDATE OF rows ON audit_reads WHEN OLD.rows IS NOT NULL
BEGIN SELECT RAISE(ABORT, 'a read is never updated'); END;

CREATE TRIGGER audit_reads_are_never_deleted BEFORE DELETE ON audit_reads
BEGIN SELECT RAISE(ABORT, 'a read is never deleted'); END;
