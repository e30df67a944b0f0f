-- The tree over each workspace's log (RFC 6962). Events are written anew with their leaf hashes, which stand before the bytes
-- of the events, so that hashes are read without reading across those.
CREATE TABLE events_with_leaves (
    position  INTEGER PRIMARY KEY,
    workspace BLOB    NOT NULL,
    revision  INTEGER NOT NULL,
    command   BLOB,             -- only where an append begins, so that the index below has one entry an append
    leaf      BLOB    NOT NULL,
    event     BLOB    NOT NULL, -- last, so that nothing else is read across its bytes
    UNIQUE (workspace, revision)
);

-- The right edge of each tree: all that an append has to read.
CREATE TABLE trees (
    workspace BLOB PRIMARY KEY,
    size      INTEGER NOT NULL,
    frontier  BLOB    NOT NULL
) WITHOUT ROWID;

-- The hashes of the tiles above level 0: the root of each full tile of the level below. Those of level 0 are the leaves.
CREATE TABLE tile_hashes (
    workspace BLOB    NOT NULL,
    level     INTEGER NOT NULL,
    place     INTEGER NOT NULL, -- along the level, from 0
    hash      BLOB    NOT NULL,
    PRIMARY KEY (workspace, level, place)
) WITHOUT ROWID;

CREATE TRIGGER tile_hashes_are_never_updated BEFORE UPDATE ON tile_hashes
BEGIN SELECT RAISE(ABORT, 'a hash is never updated'); END;

CREATE TRIGGER tile_hashes_are_never_deleted BEFORE DELETE ON tile_hashes
BEGIN SELECT RAISE(ABORT, 'a hash is never deleted'); END;
