-- What comes after the trees of the events that were there already have grown.
DROP TABLE events;

ALTER TABLE events_with_leaves RENAME TO events;

-- Ids of commands grow with time, so this index grows at its end: about one more page a commit, not one a workspace.
CREATE INDEX events_by_command ON events (command) WHERE command IS NOT NULL;

CREATE TRIGGER events_are_never_updated BEFORE UPDATE ON events
BEGIN SELECT RAISE(ABORT, 'an event is never updated'); END;

CREATE TRIGGER events_are_never_deleted BEFORE DELETE ON events
BEGIN SELECT RAISE(ABORT, 'an event is never deleted'); END;
