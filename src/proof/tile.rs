//! Tiles: the tree in files of up to 256 hashes, and the log in bundles of up to 256 entries (C2SP `tlog-tiles`).

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

use super::frontier::{Frontier, NodeId};
use super::hash::TreeHash;

/// The hashes of a full tile, and the entries of a full bundle.
pub const TILE_WIDTH: u64 = 256;
/// The levels of the tree that a tile spans.
pub const TILE_HEIGHT: u8 = 8;
/// The highest level of a tile.
pub const TILE_LEVEL_MAX: u8 = 63;

/// The contents of a tile or bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TileKind {
    /// Hashes. Those of level `L` are `8 L` levels above the leaves.
    Hashes(u8),
    /// The entries of the leaves: a bundle.
    Entries,
}

/// A tile or bundle, full or partial.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tile {
    /// Its contents.
    pub kind: TileKind,
    /// Its index from the left.
    pub index: u64,
    /// The number of its hashes or entries, from 1 to 256; below 256 only at the right edge.
    pub width: u64,
}

impl Tile {
    /// Returns the tile of a kind and index in a tree of this size; none beyond the tree.
    pub fn of_size(kind: TileKind, index: u64, size: u64) -> Option<Self> {
        let width = width_at(kind, size).saturating_sub(index.checked_mul(TILE_WIDTH)?).min(TILE_WIDTH);
        (width > 0).then_some(Self { kind, index, width })
    }

    /// Returns the index of its first hash or entry along its level, from 0.
    pub const fn start(&self) -> u64 {
        self.index.saturating_mul(TILE_WIDTH)
    }

    /// Returns whether it is full. A full tile never changes.
    pub const fn is_full(&self) -> bool {
        self.width == TILE_WIDTH
    }

    /// Returns whether a tree of this size has all of the tile.
    pub fn is_within(&self, size: u64) -> bool {
        self.start().saturating_add(self.width) <= width_at(self.kind, size)
    }

    /// Returns every tile and bundle of a tree of this size: bundles first, then level by level.
    pub fn all(size: u64) -> impl Iterator<Item = Self> {
        let levels = (0..=7).map(TileKind::Hashes).take_while(move |kind| width_at(*kind, size) > 0);
        std::iter::once(TileKind::Entries).chain(levels).flat_map(move |kind| {
            let count = width_at(kind, size).div_ceil(TILE_WIDTH);
            (0..count).filter_map(move |index| Self::of_size(kind, index, size))
        })
    }
}

/// Returns the number of hashes or entries along a level in a tree of this size.
fn width_at(kind: TileKind, size: u64) -> u64 {
    match kind {
        TileKind::Entries => size,
        TileKind::Hashes(level) => size.checked_shr(u32::from(level) * u32::from(TILE_HEIGHT)).unwrap_or(0),
    }
}

/// Writes the path under the log's prefix, as in `tile/0/x001/234.p/5`.
impl fmt::Display for Tile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            TileKind::Entries => f.write_str("tile/entries")?,
            TileKind::Hashes(level) => write!(f, "tile/{level}")?,
        }
        let mut groups = vec![self.index % 1_000];
        let mut rest = self.index / 1_000;
        while rest > 0 {
            groups.push(rest % 1_000);
            rest /= 1_000;
        }
        for (place, group) in groups.iter().enumerate().rev() {
            write!(f, "/{}{group:03}", if place > 0 { "x" } else { "" })?;
        }
        if self.is_full() { Ok(()) } else { write!(f, ".p/{}", self.width) }
    }
}

/// The error for a path that is no tile's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no tile: one is named as in `tile/0/x001/234` or `tile/entries/005.p/17`")]
pub struct InvalidTile(String);

impl FromStr for Tile {
    type Err = InvalidTile;

    fn from_str(path: &str) -> Result<Self, InvalidTile> {
        let tile = parse(path);
        // Only the canonical form is accepted: a path is the key of a cache, and the name of a file.
        let tile = tile.filter(|tile| tile.to_string() == path);
        tile.ok_or_else(|| InvalidTile(path.escape_debug().take(100).collect()))
    }
}

fn parse(path: &str) -> Option<Tile> {
    let (kind, rest) = path.strip_prefix("tile/")?.split_once('/')?;
    let kind = match kind {
        "entries" => TileKind::Entries,
        level => TileKind::Hashes(level.parse().ok().filter(|level| *level <= TILE_LEVEL_MAX)?),
    };
    let (number, width) = match rest.split_once(".p/") {
        Some((number, width)) => (number, width.parse().ok().filter(|width| (1..TILE_WIDTH).contains(width))?),
        None => (rest, TILE_WIDTH),
    };
    let index = number.split('/').try_fold(0_u64, |index, group| {
        let group: u64 = group.strip_prefix('x').unwrap_or(group).parse().ok().filter(|group| *group < 1_000)?;
        index.checked_mul(1_000)?.checked_add(group)
    })?;
    Some(Tile { kind, index, width })
}

/// Writes the entries of a bundle, each after its length as a big-endian `uint16`; returns none if one is too long for that.
pub fn write_entries<'a>(entries: impl IntoIterator<Item = &'a [u8]>) -> Option<Vec<u8>> {
    let mut bundle = Vec::new();
    for entry in entries {
        bundle.extend(u16::try_from(entry.len()).ok()?.to_be_bytes());
        bundle.extend(entry);
    }
    Some(bundle)
}

/// Reads the entries of a bundle; returns none if it ends within one.
pub fn read_entries(mut bundle: &[u8]) -> Option<Vec<&[u8]>> {
    let mut entries = Vec::new();
    while !bundle.is_empty() {
        let (len, rest) = bundle.split_first_chunk()?;
        let (entry, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*len)))?;
        entries.push(entry);
        bundle = rest;
    }
    Some(entries)
}

/// A source of tiles of hashes.
pub trait TileSource {
    /// The error of the source.
    type Error;

    /// Returns the hashes of a tile, as many as its width.
    ///
    /// # Errors
    /// The tile cannot be read.
    fn hashes(&self, tile: Tile) -> Result<Vec<TreeHash>, Self::Error>;
}

/// The reason why a node of a tree cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum NodeError<E> {
    /// The source failed.
    #[error(transparent)]
    Source(#[from] E),
    /// A tile has fewer hashes than the size of the tree needs.
    #[error("`{0}` holds fewer hashes than a tree of that size has there")]
    Short(Tile),
}

/// The nodes of a tree of one size. Each tile is read once.
pub struct Nodes<'a, S: TileSource> {
    source: &'a S,
    size: u64,
    tiles: HashMap<Tile, Vec<TreeHash>>,
}

impl<'a, S: TileSource> Nodes<'a, S> {
    /// Returns the nodes of a tree of this size.
    pub fn new(source: &'a S, size: u64) -> Self {
        Self { source, size, tiles: HashMap::new() }
    }

    /// Returns the hash of a node of a full subtree.
    ///
    /// # Errors
    /// The tile of the node cannot be read, or is too short.
    pub fn node(&mut self, node: NodeId) -> Result<TreeHash, NodeError<S::Error>> {
        let (level, height) = (node.level / TILE_HEIGHT, node.level % TILE_HEIGHT);
        let first = node.index << height;
        let kind = TileKind::Hashes(level);
        let whole = Tile { kind, index: first / TILE_WIDTH, width: TILE_WIDTH };
        let tile = Tile::of_size(kind, whole.index, self.size).ok_or(NodeError::Short(whole))?;
        if !self.tiles.contains_key(&tile) {
            self.tiles.insert(tile, self.source.hashes(tile)?);
        }
        let within = usize::try_from(first % TILE_WIDTH).unwrap_or(usize::MAX);
        let hashes = self.tiles.get(&tile).and_then(|hashes| hashes.get(within..within + (1 << height)));
        hashes.and_then(full_root).ok_or(NodeError::Short(tile))
    }

    /// Returns the hash of the subtree over the leaves from `start` to before `end`.
    ///
    /// # Errors
    /// As [`Self::node`].
    pub fn subtree(&mut self, start: u64, end: u64) -> Result<TreeHash, NodeError<S::Error>> {
        let len = end.saturating_sub(start);
        if len == 0 {
            return Ok(TreeHash::of_nothing());
        }
        let level = len.ilog2();
        if len.is_power_of_two() {
            return self.node(NodeId { level: u8::try_from(level).unwrap_or(u8::MAX), index: start >> level });
        }
        let middle = start + (1 << level);
        Ok(TreeHash::of_node(&self.subtree(start, middle)?, &self.subtree(middle, end)?))
    }

    /// Returns the frontier of the tree.
    ///
    /// # Errors
    /// As [`Self::node`].
    pub fn frontier(&mut self) -> Result<Frontier, NodeError<S::Error>> {
        Frontier::from_nodes(self.size, |node| self.node(node))
    }

    /// Returns the number of leaves of the tree.
    pub const fn size(&self) -> u64 {
        self.size
    }
}

/// Returns the root over hashes whose number is a power of two; none for no hashes.
fn full_root(hashes: &[TreeHash]) -> Option<TreeHash> {
    match hashes {
        [] => None,
        [hash] => Some(*hash),
        _ => {
            let (left, right) = hashes.split_at(hashes.len() / 2);
            Some(TreeHash::of_node(&full_root(left)?, &full_root(right)?))
        }
    }
}
