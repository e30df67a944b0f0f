//! The tree over each workspace's log, which grows in the commit of its events.
//!
//! Owns the tables `trees` and `tile_hashes`. The leaves stand with the events. The right edge of a tree, at most 64 hashes, is kept in
//! memory from one commit to the next and written now and then, since it is a page more for a commit to write: whoever does not
//! know it reads what was written last, and the few leaves after it.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use rusqlite::types::{FromSql, FromSqlResult, ToSql, ToSqlOutput, ValueRef};
use rusqlite::{Connection, OptionalExtension, params};

use super::values::Count;
use crate::domain::model::id::WorkspaceId;
use crate::domain::model::time::Revision;
use crate::log::LogError;
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

/// The size and the right edge of a workspace's tree as they were written last; none if they never were.
fn stored(connection: &Connection, workspace: WorkspaceId) -> rusqlite::Result<Option<(Count, Vec<u8>)>> {
    let mut select = connection.prepare_cached("SELECT size, frontier FROM trees WHERE workspace = ?1")?;
    select.query_row([workspace], |row| Ok((row.get(0)?, row.get(1)?))).optional()
}

/// The right edge of a tree as it is now, from that of an earlier one.
fn edge_after(connection: &Connection, workspace: WorkspaceId, mut edge: Frontier) -> rusqlite::Result<Frontier> {
    let sql = "SELECT revision, leaf FROM events WHERE workspace = ?1 AND revision > ?2 ORDER BY revision";
    let mut select = connection.prepare_cached(sql)?;
    for row in select.query_map(params![workspace, Revision(edge.size())], |row| Ok((row.get(0)?, row.get(1)?)))? {
        let (revision, leaf): (Revision, TreeHash) = row?;
        // What comes after a gap is no part of the log.
        if revision.0 != edge.size() + 1 {
            break;
        }
        let _ = edge.push(leaf);
    }
    Ok(edge)
}

/// As many of a tile's hashes as there are, up to its width.
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

/// How many leaves there are after an edge that is written: fewer than this.
const LEAVES_AFTER_EDGE: u64 = 16;

/// How many trees are known from one commit to the next, of at most 2 KiB each. To read one takes the leaves of a tile.
const KNOWN_MAX: usize = 8_192;

/// A tree that can grow.
#[derive(Debug, Default)]
pub(super) struct CachedTree {
    pub(super) edge: Frontier,
    /// Its size when its edge was written last.
    written: u64,
}

/// The tiles of a workspace's tree, by one connection.
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

/// Reads a tree as it is now. The edge that was written last is compared with the tiles, so a damaged one is never built upon.
///
/// # Errors
/// `Unavailable`, or `Unreadable` if the edge is of no tree or of another one.
pub(super) fn read(connection: &Connection, workspace: WorkspaceId) -> Result<CachedTree, LogError> {
    let failed = |error: rusqlite::Error| super::unavailable(&error);
    let Some((size, bytes)) = stored(connection, workspace).map_err(failed)? else {
        let edge = edge_after(connection, workspace, Frontier::default()).map_err(failed)?;
        return Ok(CachedTree { edge, written: 0 });
    };
    let unreadable = |revision: u64, why| LogError::Unreadable { workspace, revision: Revision(revision), why };
    let edge = Frontier::from_bytes(size.0, &bytes).ok_or_else(|| {
        unreadable(size.0, format!("{} bytes are not the edge of a tree of {} events", bytes.len(), size.0))
    })?;
    check_edge(&StoredTiles { connection, workspace }, &edge)?;
    Ok(CachedTree { edge: edge_after(connection, workspace, edge).map_err(failed)?, written: size.0 })
}

/// Compares an edge with the tiles: the leaves of the events, and the hashes above them.
fn check_edge(tiles: &StoredTiles<'_>, edge: &Frontier) -> Result<(), LogError> {
    let (workspace, size) = (tiles.workspace, edge.size());
    let unreadable = |revision: Revision, why| LogError::Unreadable { workspace, revision, why };
    match Nodes::new(tiles, size).frontier() {
        Ok(found) if found == *edge => Ok(()),
        Ok(found) => {
            let (stored, found) = (edge.root(), found.root());
            let why =
                format!("the edge of the tree of {size} events has the root `{stored}`, and its tiles have `{found}`");
            Err(unreadable(Revision(size), why))
        }
        Err(NodeError::Source(error)) => Err(super::unavailable(&error)),
        // As it is where the log lost its newest events; where it lost others, that is found when it is read.
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

/// The trees that are known, as the last commit of a connection left them.
#[derive(Debug, Default)]
pub(super) struct TreeCache {
    trees: BTreeMap<WorkspaceId, CachedTree>,
    /// What `SQLite` says that changes when another connection commits.
    version: i64,
}

impl TreeCache {
    /// Forgets them if another connection has written since, or if they are too many.
    fn check(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        let version = connection.prepare_cached("PRAGMA data_version")?.query_row([], |row| row.get(0))?;
        if std::mem::replace(&mut self.version, version) != version || self.trees.len() > KNOWN_MAX {
            self.trees.clear();
        }
        Ok(())
    }
}

/// The trees that one commit grows.
pub(super) struct TreeAppender<'a> {
    connection: &'a Connection,
    known: TreeCache,
    grown: BTreeSet<WorkspaceId>,
}

impl<'a> TreeAppender<'a> {
    /// Before the first event of a transaction that has begun to write.
    pub(super) fn new(connection: &'a Connection, mut known: TreeCache) -> rusqlite::Result<Self> {
        known.check(connection)?;
        Ok(Self { connection, known, grown: BTreeSet::new() })
    }

    /// The newest revision of a workspace's log, as the commit so far leaves it.
    ///
    /// # Errors
    /// `Unavailable`, or `Unreadable` if the tree is damaged.
    pub(super) fn head(&mut self, workspace: WorkspaceId) -> Result<Revision, LogError> {
        let tree = match self.known.trees.entry(workspace) {
            Entry::Occupied(tree) => tree.into_mut(),
            Entry::Vacant(place) => place.insert(read(self.connection, workspace)?),
        };
        Ok(Revision(tree.edge.size()))
    }

    /// Appends an event to its workspace's tree, whose head was asked for before, and gives its leaf.
    pub(super) fn push(&mut self, workspace: WorkspaceId, event: &[u8]) -> rusqlite::Result<TreeHash> {
        let leaf = TreeHash::of_leaf(event);
        let connection = self.connection;
        for (node, hash) in self.known.trees.entry(workspace).or_default().edge.push(leaf) {
            if node.level > 0 && node.level.is_multiple_of(TILE_HEIGHT) {
                insert_hash(connection, workspace, node, hash)?;
            }
        }
        self.grown.insert(workspace);
        Ok(leaf)
    }

    /// Writes the edges that it is time for. Gives the heads of all trees that grew, and what is known once this is committed.
    pub(super) fn finish(mut self) -> rusqlite::Result<(BTreeMap<WorkspaceId, TreeHead>, TreeCache)> {
        let mut heads = BTreeMap::new();
        for workspace in std::mem::take(&mut self.grown) {
            let connection = self.connection;
            let tree = self.known.trees.entry(workspace).or_default();
            if tree.edge.size() - tree.written >= LEAVES_AFTER_EDGE {
                write_edge(connection, workspace, &tree.edge)?;
                tree.written = tree.edge.size();
            }
            heads.insert(workspace, tree.edge.head());
        }
        Ok((heads, self.known))
    }
}

fn write_edge(connection: &Connection, workspace: WorkspaceId, edge: &Frontier) -> rusqlite::Result<()> {
    let sql = "INSERT OR REPLACE INTO trees (workspace, size, frontier) VALUES (?1, ?2, ?3)";
    let mut replace = connection.prepare_cached(sql)?;
    replace.execute(params![workspace, Count(edge.size()), edge.to_bytes()]).map(|_| ())
}

fn insert_hash(connection: &Connection, workspace: WorkspaceId, node: NodeId, hash: TreeHash) -> rusqlite::Result<()> {
    let sql = "INSERT INTO tile_hashes (workspace, level, place, hash) VALUES (?1, ?2, ?3, ?4)";
    let mut insert = connection.prepare_cached(sql)?;
    insert.execute(params![workspace, node.level / TILE_HEIGHT, Count(node.index), hash]).map(|_| ())
}

/// Grows the trees of a store that was written before there were any, as its events stand.
pub(super) fn grow_all(connection: &Connection) -> rusqlite::Result<()> {
    let mut growing = TreeAppender::new(connection, TreeCache::default())?;
    let mut select =
        connection.prepare("SELECT position, workspace, revision, command, event FROM events ORDER BY position")?;
    let mut insert = connection.prepare(
        "INSERT INTO events_with_leaves (position, workspace, revision, command, leaf, event) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let (position, workspace, revision): (Count, WorkspaceId, Revision) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let (command, event): (Option<Vec<u8>>, Vec<u8>) = (row.get(3)?, row.get(4)?);
        // Every tree begins here, and no leaf is stored yet, so none is asked for its head.
        let leaf = growing.push(workspace, &event)?;
        insert.execute(params![position, workspace, revision, command, leaf, event])?;
    }
    growing.finish().map(|_| ())
}
