-- Whether an append is there is told by its events, so commands need no column and no index of their own.
DROP INDEX events_by_command;

ALTER TABLE events DROP COLUMN command;
