//! The tree over each workspace's log, which grows in the commit of its events.
//!
//! Owns the tables `trees` and `tile_hashes`. The leaves are in the table of events. The frontier of a tree, at most 64 hashes, is cached
//! from one commit to the next, and written only now and then to save a page in most commits. Without the cache, it is computed from the
//! last written one and the few leaves after that.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use rusqlite::types::{FromSql, FromSqlResult, ToSql, ToSqlOutput, ValueRef};
use rusqlite::{Connection, OptionalExtension, params};

use super::values::Count;
use crate::domain::model::id::WorkspaceId;
use crate::domain::model::time::Revision;
use crate::log::{LogError, UNWRITTEN_EVENTS_MAX};
use crate::proof::frontier::{Frontier, NodeId, TreeHead};
use crate::proof::hash::TreeHash;
use crate::proof::tile::{NodeError, Nodes, TILE_HEIGHT, Tile, TileKind, TileSource};

impl ToSql for TreeHash {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.0.as_slice().into())
    }
}

impl FromSql for TreeHash {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        <[u8; 32]>::column_result(value).map(Self)
    }
}

/// Returns the last written size and frontier of a workspace's tree; none if there are none.
fn stored(connection: &Connection, workspace: WorkspaceId) -> rusqlite::Result<Option<(Count, Vec<u8>)>> {
    let mut select = connection.prepare_cached("SELECT size, frontier FROM trees WHERE workspace = ?1")?;
    select.query_row([workspace], |row| Ok((row.get(0)?, row.get(1)?))).optional()
}

/// Returns the frontier of a tree now, from an earlier one.
fn frontier_after(
    connection: &Connection,
    workspace: WorkspaceId,
    mut frontier: Frontier,
) -> rusqlite::Result<Frontier> {
    let sql = "SELECT revision, leaf FROM events WHERE workspace = ?1 AND revision > ?2 ORDER BY revision";
    let mut select = connection.prepare_cached(sql)?;
    for row in select.query_map(params![workspace, Revision(frontier.size())], |row| Ok((row.get(0)?, row.get(1)?)))? {
        let (revision, leaf): (Revision, TreeHash) = row?;
        // Events after a gap are no part of the log.
        if revision.0 != frontier.size() + 1 {
            break;
        }
        let _ = frontier.push(leaf);
    }
    Ok(frontier)
}

/// Returns the hashes of a tile that exist, up to its width.
pub(super) fn hashes(connection: &Connection, workspace: WorkspaceId, tile: Tile) -> rusqlite::Result<Vec<TreeHash>> {
    let (start, end) = (tile.start(), tile.start().saturating_add(tile.width));
    match tile.kind {
        TileKind::Entries | TileKind::Hashes(0) => {
            let sql =
                "SELECT leaf FROM events WHERE workspace = ?1 AND revision > ?2 AND revision <= ?3 ORDER BY revision";
            let mut select = connection.prepare_cached(sql)?;
            select.query_map(params![workspace, Revision(start), Revision(end)], |row| row.get(0))?.collect()
        }
        TileKind::Hashes(level) => {
            let sql = "SELECT hash FROM tile_hashes WHERE workspace = ?1 AND level = ?2 AND place >= ?3 AND place < ?4 \
                       ORDER BY place";
            let mut select = connection.prepare_cached(sql)?;
            select.query_map(params![workspace, level, Count(start), Count(end)], |row| row.get(0))?.collect()
        }
    }
}

/// The most cached trees, of at most 2 KiB each. Reading a tree needs the leaves of a tile.
const CACHED_MAX: usize = 8_192;

/// A cached tree, which can grow.
#[derive(Debug, Default)]
pub(super) struct CachedTree {
    pub(super) frontier: Frontier,
    /// Its size when its frontier was last written.
    written: u64,
}

/// The tiles of a workspace's tree, read with one connection.
struct StoredTiles<'a> {
    connection: &'a Connection,
    workspace: WorkspaceId,
}

impl TileSource for StoredTiles<'_> {
    type Error = rusqlite::Error;

    fn hashes(&self, tile: Tile) -> rusqlite::Result<Vec<TreeHash>> {
        hashes(self.connection, self.workspace, tile)
    }
}

/// Reads a tree. Compares the last written frontier with the tiles, so a damaged one is never used.
///
/// # Errors
/// `Unavailable`, or `Unreadable` if the frontier is of no tree or of another one.
pub(super) fn read(connection: &Connection, workspace: WorkspaceId) -> Result<CachedTree, LogError> {
    let failed = |error: rusqlite::Error| super::unavailable(&error);
    let Some((size, bytes)) = stored(connection, workspace).map_err(failed)? else {
        let frontier = frontier_after(connection, workspace, Frontier::default()).map_err(failed)?;
        return Ok(CachedTree { frontier, written: 0 });
    };
    let unreadable = |revision: u64, why| LogError::Unreadable { workspace, revision: Revision(revision), why };
    let frontier = Frontier::from_bytes(size.0, &bytes).ok_or_else(|| {
        unreadable(size.0, format!("{} bytes are not the edge of a tree of {} events", bytes.len(), size.0))
    })?;
    check_frontier(&StoredTiles { connection, workspace }, &frontier)?;
    Ok(CachedTree { frontier: frontier_after(connection, workspace, frontier).map_err(failed)?, written: size.0 })
}

/// Compares a frontier with the tiles: the leaves of the events, and the hashes above them.
fn check_frontier(tiles: &StoredTiles<'_>, frontier: &Frontier) -> Result<(), LogError> {
    let (workspace, size) = (tiles.workspace, frontier.size());
    let unreadable = |revision: Revision, why| LogError::Unreadable { workspace, revision, why };
    match Nodes::new(tiles, size).frontier() {
        Ok(found) if found == *frontier => Ok(()),
        Ok(found) => {
            let (stored, found) = (frontier.root(), found.root());
            let why =
                format!("the edge of the tree of {size} events has the root `{stored}`, and its tiles have `{found}`");
            Err(unreadable(Revision(size), why))
        }
        Err(NodeError::Source(error)) => Err(super::unavailable(&error)),
        // The log lost its newest events. A loss of others is found when they are read.
        Err(error @ NodeError::Short(_)) => {
            let head = super::read::head(tiles.connection, workspace).map_err(|error| super::unavailable(&error))?;
            let head = head.unwrap_or_default();
            let why = if head.0 < size {
                format!("the log ends before it, and its tree has {size} events")
            } else {
                error.to_string()
            };
            Err(unreadable(head.min(Revision(size.saturating_sub(1))).next(), why))
        }
    }
}

/// The cached trees of the last commit of a connection.
#[derive(Debug, Default)]
pub(super) struct TreeCache {
    trees: BTreeMap<WorkspaceId, CachedTree>,
    /// The `data_version` of `SQLite`, which changes when another connection commits.
    version: i64,
}

impl TreeCache {
    /// Clears the cache if another connection has committed, or if it is too large.
    fn check(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        let version = connection.prepare_cached("PRAGMA data_version")?.query_row([], |row| row.get(0))?;
        if std::mem::replace(&mut self.version, version) != version || self.trees.len() > CACHED_MAX {
            self.trees.clear();
        }
        Ok(())
    }
}

/// The growth of trees in one commit.
pub(super) struct TreeAppender<'a> {
    connection: &'a Connection,
    cache: TreeCache,
    grown: BTreeSet<WorkspaceId>,
}

impl<'a> TreeAppender<'a> {
    /// Returns an appender for a transaction that has begun to write.
    pub(super) fn new(connection: &'a Connection, mut cache: TreeCache) -> rusqlite::Result<Self> {
        cache.check(connection)?;
        Ok(Self { connection, cache, grown: BTreeSet::new() })
    }

    /// Returns the newest revision of a workspace's log within the commit.
    ///
    /// # Errors
    /// `Unavailable`, or `Unreadable` if the tree is damaged.
    pub(super) fn head(&mut self, workspace: WorkspaceId) -> Result<Revision, LogError> {
        let tree = match self.cache.trees.entry(workspace) {
            Entry::Occupied(tree) => tree.into_mut(),
            Entry::Vacant(place) => place.insert(read(self.connection, workspace)?),
        };
        Ok(Revision(tree.frontier.size()))
    }

    /// Appends an event to its workspace's tree, and returns its leaf. `head` must have been called before.
    pub(super) fn push(&mut self, workspace: WorkspaceId, event: &[u8]) -> rusqlite::Result<TreeHash> {
        let leaf = TreeHash::of_leaf(event);
        let connection = self.connection;
        for (node, hash) in self.cache.trees.entry(workspace).or_default().frontier.push(leaf) {
            if node.level > 0 && node.level.is_multiple_of(TILE_HEIGHT) {
                insert_hash(connection, workspace, node, hash)?;
            }
        }
        self.grown.insert(workspace);
        Ok(leaf)
    }

    /// Writes the frontiers that are due. Returns the heads of all trees that grew, and the cache for the next commit.
    pub(super) fn finish(mut self) -> rusqlite::Result<(BTreeMap<WorkspaceId, TreeHead>, TreeCache)> {
        let mut heads = BTreeMap::new();
        for workspace in std::mem::take(&mut self.grown) {
            let connection = self.connection;
            let tree = self.cache.trees.entry(workspace).or_default();
            if tree.frontier.size() - tree.written >= UNWRITTEN_EVENTS_MAX {
                write_frontier(connection, workspace, &tree.frontier)?;
                tree.written = tree.frontier.size();
            }
            heads.insert(workspace, tree.frontier.head());
        }
        Ok((heads, self.cache))
    }
}

fn write_frontier(connection: &Connection, workspace: WorkspaceId, frontier: &Frontier) -> rusqlite::Result<()> {
    let sql = "INSERT OR REPLACE INTO trees (workspace, size, frontier) VALUES (?1, ?2, ?3)";
    let mut replace = connection.prepare_cached(sql)?;
    replace.execute(params![workspace, Count(frontier.size()), frontier.to_bytes()]).map(|_| ())
}

fn insert_hash(connection: &Connection, workspace: WorkspaceId, node: NodeId, hash: TreeHash) -> rusqlite::Result<()> {
    let sql = "INSERT INTO tile_hashes (workspace, level, place, hash) VALUES (?1, ?2, ?3, ?4)";
    let mut insert = connection.prepare_cached(sql)?;
    insert.execute(params![workspace, node.level / TILE_HEIGHT, Count(node.index), hash]).map(|_| ())
}

/// Grows the trees of a store of an older form from its events.
pub(super) fn grow_all(connection: &Connection) -> rusqlite::Result<()> {
    let mut trees = TreeAppender::new(connection, TreeCache::default())?;
    let mut select =
        connection.prepare("SELECT position, workspace, revision, command, event FROM events ORDER BY position")?;
    let mut insert = connection.prepare(
        "INSERT INTO events_with_leaves (position, workspace, revision, command, leaf, event) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let (position, workspace, revision): (Count, WorkspaceId, Revision) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let (command, event): (Option<Vec<u8>>, Vec<u8>) = (row.get(3)?, row.get(4)?);
        // Every tree begins here without stored leaves, so `head` is not called.
        let leaf = trees.push(workspace, &event)?;
        insert.execute(params![position, workspace, revision, command, leaf, event])?;
    }
    trees.finish().map(|_| ())
}
