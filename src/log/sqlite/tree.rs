//! The tree over each workspace's log, written in the commit of the events that it grows by.
//!
//! Owns the tables `trees` and `tile_hashes`. An append reads the frontier of each log it adds to, at most 64 hashes, and
//! writes it once a commit.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};
use rusqlite::{Connection, OptionalExtension, params};

use super::values::Count;
use crate::domain::id::WorkspaceId;
use crate::domain::time::Revision;
use crate::proof::frontier::{Frontier, NodeId, TreeHead};
use crate::proof::hash::TreeHash;
use crate::proof::tile::{TILE_HEIGHT, Tile, TileKind};

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

/// The size of a workspace's tree and the bytes of its right edge, as they are stored; none if its log never began.
pub(super) fn stored(connection: &Connection, workspace: WorkspaceId) -> rusqlite::Result<Option<(Count, Vec<u8>)>> {
    let mut select = connection.prepare_cached("SELECT size, frontier FROM trees WHERE workspace = ?1")?;
    select.query_row([workspace], |row| Ok((row.get(0)?, row.get(1)?))).optional()
}

/// The right edge of the tree that an append grows.
fn frontier(connection: &Connection, workspace: WorkspaceId) -> rusqlite::Result<Frontier> {
    let Some((size, bytes)) = stored(connection, workspace)? else { return Ok(Frontier::default()) };
    // As damage in a blob has it: nothing may be appended to such a tree.
    let damage = || FromSqlError::InvalidBlobSize { expected_size: 0, blob_size: bytes.len() }.into();
    Frontier::from_bytes(size.0, &bytes).ok_or_else(damage)
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

/// The trees that one commit grows.
pub(super) struct Growing<'a> {
    connection: &'a Connection,
    trees: BTreeMap<WorkspaceId, Frontier>,
    grown: BTreeSet<WorkspaceId>,
}

impl<'a> Growing<'a> {
    /// Before the first event of a commit.
    pub(super) fn new(connection: &'a Connection) -> Self {
        Self { connection, trees: BTreeMap::new(), grown: BTreeSet::new() }
    }

    /// The newest revision of a workspace's log, as the commit so far leaves it.
    pub(super) fn head(&mut self, workspace: WorkspaceId) -> rusqlite::Result<Revision> {
        self.tree(workspace).map(|tree| Revision(tree.size()))
    }

    /// Appends an event to its workspace's tree, and gives its leaf.
    pub(super) fn push(&mut self, workspace: WorkspaceId, event: &[u8]) -> rusqlite::Result<TreeHash> {
        let leaf = TreeHash::of_leaf(event);
        let connection = self.connection;
        for (node, hash) in self.tree(workspace)?.push(leaf) {
            if node.level > 0 && node.level.is_multiple_of(TILE_HEIGHT) {
                insert_hash(connection, workspace, node, hash)?;
            }
        }
        self.grown.insert(workspace);
        Ok(leaf)
    }

    fn tree(&mut self, workspace: WorkspaceId) -> rusqlite::Result<&mut Frontier> {
        Ok(match self.trees.entry(workspace) {
            Entry::Occupied(tree) => tree.into_mut(),
            Entry::Vacant(place) => place.insert(frontier(self.connection, workspace)?),
        })
    }

    /// Writes how far each tree has grown, and gives their heads.
    pub(super) fn finish(mut self) -> rusqlite::Result<BTreeMap<WorkspaceId, TreeHead>> {
        self.trees.retain(|workspace, _| self.grown.contains(workspace));
        let sql = "INSERT OR REPLACE INTO trees (workspace, size, frontier) VALUES (?1, ?2, ?3)";
        let mut replace = self.connection.prepare_cached(sql)?;
        for (workspace, tree) in &self.trees {
            replace.execute(params![workspace, Count(tree.size()), tree.to_bytes()])?;
        }
        Ok(self.trees.into_iter().map(|(workspace, tree)| (workspace, tree.head())).collect())
    }
}

fn insert_hash(connection: &Connection, workspace: WorkspaceId, node: NodeId, hash: TreeHash) -> rusqlite::Result<()> {
    let sql = "INSERT INTO tile_hashes (workspace, level, place, hash) VALUES (?1, ?2, ?3, ?4)";
    let mut insert = connection.prepare_cached(sql)?;
    insert.execute(params![workspace, node.level / TILE_HEIGHT, Count(node.index), hash]).map(|_| ())
}

/// Grows the trees of a store that was written before there were any, as its events stand.
pub(super) fn grow_all(connection: &Connection) -> rusqlite::Result<()> {
    let mut growing = Growing::new(connection);
    let mut select =
        connection.prepare("SELECT position, workspace, revision, command, event FROM events ORDER BY position")?;
    let mut insert = connection.prepare(
        "INSERT INTO events_with_leaves (position, workspace, revision, command, leaf, event) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let (position, workspace, revision): (Count, WorkspaceId, Revision) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let (command, event): (Option<Vec<u8>>, Vec<u8>) = (row.get(3)?, row.get(4)?);
        let leaf = growing.push(workspace, &event)?;
        insert.execute(params![position, workspace, revision, command, leaf, event])?;
    }
    growing.finish().map(|_| ())
}
