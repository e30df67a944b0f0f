//! The frontier of a growing tree: the hashes that appending a leaf and computing the root need.

use super::hash::{HASH_BYTES, TreeHash, read_hashes, write_hashes};

/// A tree's size and root, which a checkpoint signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TreeHead {
    /// The number of leaves: the revision of the newest event.
    pub size: u64,
    /// Its root (RFC 6962 §2.1, `MTH`).
    pub root: TreeHash,
}

/// A node of a full subtree: its level above the leaves, and its index from the left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId {
    /// 0 for a leaf.
    pub level: u8,
    /// It covers the leaves from `index << level`.
    pub index: u64,
}

/// The roots of the full subtrees of a log's tree, the largest (leftmost) first: one for each set bit of the size.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    peaks: Vec<TreeHash>,
}

impl Frontier {
    /// Returns the frontier of a size from the bytes of [`Self::to_bytes`]; none if they have another length.
    pub fn from_bytes(size: u64, bytes: &[u8]) -> Option<Self> {
        let peaks = read_hashes(bytes)?;
        (u32::try_from(peaks.len()) == Ok(size.count_ones())).then_some(Self { size, peaks })
    }

    /// Returns the frontier of a size from the hashes of its nodes, which `node` returns, the largest first.
    ///
    /// # Errors
    /// The first error of `node`.
    pub fn from_nodes<E>(size: u64, node: impl FnMut(NodeId) -> Result<TreeHash, E>) -> Result<Self, E> {
        let levels = (0..=63_u8).rev().filter(|level| size >> level & 1 == 1);
        // Only larger full subtrees are to the left of a node, so its index is even.
        let nodes = levels.map(|level| NodeId { level, index: (size >> level) - 1 });
        let peaks = nodes.map(node).collect::<Result<_, _>>()?;
        Ok(Self { size, peaks })
    }

    /// Returns its hashes, concatenated: at most 64.
    pub fn to_bytes(&self) -> Vec<u8> {
        debug_assert!(self.peaks.len() * HASH_BYTES <= 2_048);
        write_hashes(&self.peaks)
    }

    /// Returns the number of leaves.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Appends a leaf, and returns each node that it completes, from the leaf upwards.
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

    /// Returns the root of the tree.
    pub fn root(&self) -> TreeHash {
        let mut from_right = self.peaks.iter().rev().copied();
        let Some(last) = from_right.next() else { return TreeHash::of_nothing() };
        from_right.fold(last, |right, left| TreeHash::of_node(&left, &right))
    }

    /// Returns the size and the root.
    pub fn head(&self) -> TreeHead {
        TreeHead { size: self.size, root: self.root() }
    }
}
