-- At most one row: the key that cursors are signed with. It is random and of no other use, so it outlives an exchange of the key that
-- signs the logs, and a backup has it.
CREATE TABLE cursor_key (
    id  INTEGER PRIMARY KEY CHECK (id = 1),
    key BLOB    NOT NULL CHECK (length(key) = 32)
);
