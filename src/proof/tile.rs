//! Tiles: the tree in files of up to 256 hashes, and the log in bundles of up to 256 entries (C2SP `tlog-tiles`).

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

use super::frontier::{Frontier, NodeId};
use super::hash::TreeHash;

/// How many hashes a full tile has, and how many entries a full bundle.
pub const TILE_WIDTH: u64 = 256;
/// How many levels of the tree a tile spans.
pub const TILE_HEIGHT: u8 = 8;
/// The highest level of a tile.
pub const TILE_LEVEL_MAX: u8 = 63;

/// Whether a tile holds the hashes of a level, or a bundle the entries themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TileKind {
    /// Hashes; those of level `L` stand `8 L` levels above the leaves.
    Hashes(u8),
    /// The entries of the leaves.
    Entries,
}

/// A tile or bundle: which, and how much of it there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tile {
    /// What it holds.
    pub kind: TileKind,
    /// Its number from the left.
    pub index: u64,
    /// How many hashes or entries it has, from 1 to 256; fewer than 256 only at the right edge.
    pub width: u64,
}

impl Tile {
    /// The tile of a kind and number in a tree of this size; none if the tree has nothing there.
    pub fn of_size(kind: TileKind, index: u64, size: u64) -> Option<Self> {
        let width = width_at(kind, size).saturating_sub(index.checked_mul(TILE_WIDTH)?).min(TILE_WIDTH);
        (width > 0).then_some(Self { kind, index, width })
    }

    /// The first of its hashes or entries, counted along its level from 0.
    pub const fn start(&self) -> u64 {
        self.index.saturating_mul(TILE_WIDTH)
    }

    /// Whether it has all that it can ever have. Then it never changes.
    pub const fn is_full(&self) -> bool {
        self.width == TILE_WIDTH
    }

    /// Whether a tree of this size has all that the tile has.
    pub fn is_within(&self, size: u64) -> bool {
        self.start().saturating_add(self.width) <= width_at(self.kind, size)
    }

    /// Every tile and bundle of a tree of this size, entries first, then level after level.
    pub fn all(size: u64) -> impl Iterator<Item = Self> {
        let levels = (0..=7).map(TileKind::Hashes).take_while(move |kind| width_at(*kind, size) > 0);
        std::iter::once(TileKind::Entries).chain(levels).flat_map(move |kind| {
            let count = width_at(kind, size).div_ceil(TILE_WIDTH);
            (0..count).filter_map(move |index| Self::of_size(kind, index, size))
        })
    }
}

/// How many hashes or entries there are along a level in a tree of this size.
fn width_at(kind: TileKind, size: u64) -> u64 {
    match kind {
        TileKind::Entries => size,
        TileKind::Hashes(level) => size.checked_shr(u32::from(level) * u32::from(TILE_HEIGHT)).unwrap_or(0),
    }
}

/// The path under the log's prefix, as in `tile/0/x001/234.p/5`.
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

/// A path is not that of a tile.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no tile: one is named as in `tile/0/x001/234` or `tile/entries/005.p/17`")]
pub struct InvalidTile(String);

impl FromStr for Tile {
    type Err = InvalidTile;

    fn from_str(path: &str) -> Result<Self, InvalidTile> {
        let tile = parse(path);
        // Only the one way to write it is accepted: a path is a cache's key, and a file's name.
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

/// Entries as a bundle holds them: each after its length, a big-endian `uint16`; none if one is longer than that can say.
pub fn write_entries<'a>(entries: impl IntoIterator<Item = &'a [u8]>) -> Option<Vec<u8>> {
    let mut bundle = Vec::new();
    for entry in entries {
        bundle.extend(u16::try_from(entry.len()).ok()?.to_be_bytes());
        bundle.extend(entry);
    }
    Some(bundle)
}

/// The entries of a bundle; none if it ends within one.
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

/// Where tiles of hashes come from.
pub trait TileSource {
    /// Why one cannot be had.
    type Error;

    /// The hashes of a tile, as many as it is wide.
    ///
    /// # Errors
    /// The tile cannot be had.
    fn hashes(&self, tile: Tile) -> Result<Vec<TreeHash>, Self::Error>;
}

/// Why a node of a tree is not to be had.
#[derive(Debug, thiserror::Error)]
pub enum NodeError<E> {
    /// The source failed.
    #[error(transparent)]
    Source(#[from] E),
    /// A tile holds fewer hashes than the size of the tree says.
    #[error("`{0}` holds fewer hashes than a tree of that size has there")]
    Short(Tile),
}

/// The nodes of a tree of one size, each tile asked for once.
pub struct Nodes<'a, S: TileSource> {
    source: &'a S,
    size: u64,
    tiles: HashMap<Tile, Vec<TreeHash>>,
}

impl<'a, S: TileSource> Nodes<'a, S> {
    /// The nodes of the tree of this size whose tiles the source gives.
    pub fn new(source: &'a S, size: u64) -> Self {
        Self { source, size, tiles: HashMap::new() }
    }

    /// The hash of a node under which the tree has all leaves.
    ///
    /// # Errors
    /// The tile with the node cannot be had, or does not reach so far.
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

    /// The hash of the tree over the leaves from `start` to before `end`, which stand in the tree as one of its subtrees.
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

    /// The right edge of the tree.
    ///
    /// # Errors
    /// As [`Self::node`].
    pub fn frontier(&mut self) -> Result<Frontier, NodeError<S::Error>> {
        Frontier::from_nodes(self.size, |node| self.node(node))
    }

    /// How many leaves the tree has.
    pub const fn size(&self) -> u64 {
        self.size
    }
}

/// The root over hashes whose number is a power of two; none if there are none.
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
