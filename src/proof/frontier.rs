//! The right edge of a growing tree: all that is needed to append a leaf and to know the root.

use super::hash::{HASH_BYTES, TreeHash, read_hashes, write_hashes};

/// A tree's size and root: what a checkpoint signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TreeHead {
    /// How many leaves it has: the revision of the newest event.
    pub size: u64,
    /// Its root (RFC 6962 §2.1, `MTH`).
    pub root: TreeHash,
}

/// A node under which all leaves are there: its level above the leaves, and its number from the left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId {
    /// 0 for a leaf.
    pub level: u8,
    /// It covers the leaves from `index << level`.
    pub index: u64,
}

/// The roots of the full trees that a log's tree consists of, the greatest (the leftmost) first: one for each bit of the size.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    peaks: Vec<TreeHash>,
}

impl Frontier {
    /// The frontier of a size from the bytes that [`Self::to_bytes`] gave; none if they are not of that size.
    pub fn from_bytes(size: u64, bytes: &[u8]) -> Option<Self> {
        let peaks = read_hashes(bytes)?;
        (u32::try_from(peaks.len()) == Ok(size.count_ones())).then_some(Self { size, peaks })
    }

    /// The frontier of a size from the hash of each of its nodes, which `node` is asked for, the greatest first.
    ///
    /// # Errors
    /// The first error that `node` gives.
    pub fn from_nodes<E>(size: u64, node: impl FnMut(NodeId) -> Result<TreeHash, E>) -> Result<Self, E> {
        let levels = (0..=63_u8).rev().filter(|level| size >> level & 1 == 1);
        // What stands before a node are whole trees that are greater, so its number from the left is even.
        let nodes = levels.map(|level| NodeId { level, index: (size >> level) - 1 });
        let peaks = nodes.map(node).collect::<Result<_, _>>()?;
        Ok(Self { size, peaks })
    }

    /// Its hashes one after the other: at most 64.
    pub fn to_bytes(&self) -> Vec<u8> {
        debug_assert!(self.peaks.len() * HASH_BYTES <= 2_048);
        write_hashes(&self.peaks)
    }

    /// How many leaves there are.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Appends a leaf, and gives each node that is full with it, from the leaf upwards.
    pub fn push(&mut self, leaf: TreeHash) -> impl Iterator<Item = (NodeId, TreeHash)> + use<> {
        let mut full = Vec::with_capacity(1);
        self.add_each(leaf, |node, hash| full.push((node, hash)));
        full.into_iter()
    }

    /// Appends a leaf.
    pub fn add(&mut self, leaf: TreeHash) {
        self.add_each(leaf, |_, _| {});
    }

    fn add_each(&mut self, leaf: TreeHash, mut full: impl FnMut(NodeId, TreeHash)) {
        let index = self.size;
        self.size += 1;
        full(NodeId { level: 0, index }, leaf);
        let mut hash = leaf;
        for level in 1..=index.trailing_ones() {
            let Some(left) = self.peaks.pop() else { break };
            hash = TreeHash::of_node(&left, &hash);
            let level = u8::try_from(level).unwrap_or(u8::MAX);
            full(NodeId { level, index: index >> level }, hash);
        }
        self.peaks.push(hash);
    }

    /// The root of the tree.
    pub fn root(&self) -> TreeHash {
        let mut from_right = self.peaks.iter().rev().copied();
        let Some(last) = from_right.next() else { return TreeHash::of_nothing() };
        from_right.fold(last, |right, left| TreeHash::of_node(&left, &right))
    }

    /// The size and the root.
    pub fn head(&self) -> TreeHead {
        TreeHead { size: self.size, root: self.root() }
    }
}
