//! The tree as RFC 6962 §2.1 defines it, word for word, and a log in memory whose tiles ours reads.

use std::cell::RefCell;
use std::collections::HashMap;
use std::convert::Infallible;

use tenure::proof::frontier::{Frontier, NodeId, TreeHead};
use tenure::proof::hash::TreeHash;
use tenure::proof::path::{consistency, inclusion};
use tenure::proof::tile::{Nodes, TILE_HEIGHT, Tile, TileKind, TileSource};

/// `k` of RFC 6962 §2.1: the largest power of two smaller than `n`.
fn k(n: usize) -> usize {
    let mut k = 1;
    while k * 2 < n {
        k *= 2;
    }
    k
}

/// Leaves `D[0:n]`, and what was computed of them before.
pub struct Naive {
    leaves: Vec<TreeHash>,
    known: RefCell<HashMap<(usize, usize), TreeHash>>,
}

impl Naive {
    pub fn new(leaves: Vec<TreeHash>) -> Self {
        Self { leaves, known: RefCell::default() }
    }

    /// `MTH(D[from:to])`.
    pub fn mth(&self, from: usize, to: usize) -> TreeHash {
        if let Some(hash) = self.known.borrow().get(&(from, to)) {
            return *hash;
        }
        let hash = match to - from {
            0 => TreeHash::of_nothing(),
            1 => self.leaves[from],
            n => TreeHash::of_node(&self.mth(from, from + k(n)), &self.mth(from + k(n), to)),
        };
        self.known.borrow_mut().insert((from, to), hash);
        hash
    }

    /// `PATH(m, D[from:to])`, `m` counted from `from`.
    pub fn path(&self, m: usize, from: usize, to: usize) -> Vec<TreeHash> {
        let n = to - from;
        if n == 1 {
            return vec![];
        }
        let (mut path, sibling) = if m < k(n) {
            (self.path(m, from, from + k(n)), self.mth(from + k(n), to))
        } else {
            (self.path(m - k(n), from + k(n), to), self.mth(from, from + k(n)))
        };
        path.push(sibling);
        path
    }

    /// `PROOF(m, D[0:n])`.
    pub fn proof(&self, m: usize, n: usize) -> Vec<TreeHash> {
        self.subproof(m, 0, n, true)
    }

    fn subproof(&self, m: usize, from: usize, to: usize, whole: bool) -> Vec<TreeHash> {
        let n = to - from;
        if m == n {
            return if whole { vec![] } else { vec![self.mth(from, to)] };
        }
        let (mut proof, sibling) = if m <= k(n) {
            (self.subproof(m, from, from + k(n), whole), self.mth(from + k(n), to))
        } else {
            (self.subproof(m - k(n), from + k(n), to, false), self.mth(from, from + k(n)))
        };
        proof.push(sibling);
        proof
    }

    pub fn head(&self, n: usize) -> TreeHead {
        TreeHead { size: n.try_into().unwrap(), root: self.mth(0, n) }
    }
}

/// A growing log in memory.
#[derive(Default)]
pub struct MemoryLog {
    pub frontier: Frontier,
    nodes: HashMap<NodeId, TreeHash>,
}

impl MemoryLog {
    pub fn of(leaves: &[TreeHash]) -> Self {
        let mut log = Self::default();
        for leaf in leaves {
            log.push(*leaf);
        }
        log
    }

    pub fn push(&mut self, leaf: TreeHash) {
        self.nodes.extend(self.frontier.push(leaf));
    }

    /// The proof that a leaf is in the tree of a size.
    pub fn inclusion(&self, index: usize, size: usize) -> Vec<TreeHash> {
        inclusion(&mut Nodes::new(self, size.try_into().unwrap()), index.try_into().unwrap()).unwrap()
    }

    /// The proof that the tree of a size grew from that of an older one.
    pub fn consistency(&self, older: usize, size: usize) -> Vec<TreeHash> {
        consistency(&mut Nodes::new(self, size.try_into().unwrap()), older.try_into().unwrap()).unwrap()
    }

    pub fn root(&self, size: usize) -> TreeHash {
        let size = size.try_into().unwrap();
        Nodes::new(self, size).subtree(0, size).unwrap()
    }
}

impl TileSource for MemoryLog {
    type Error = Infallible;

    fn hashes(&self, tile: Tile) -> Result<Vec<TreeHash>, Infallible> {
        let TileKind::Hashes(level) = tile.kind else { panic!("{tile}: no proof reads entries") };
        let node = |index| self.nodes[&NodeId { level: level * TILE_HEIGHT, index }];
        Ok((tile.start()..tile.start() + tile.width).map(node).collect())
    }
}

/// Entries that differ, `0`, `1` and so on.
pub fn entries(count: usize) -> Vec<Vec<u8>> {
    (0..count).map(|number| format!("entry {number}").into_bytes()).collect()
}

pub fn leaves(count: usize) -> Vec<TreeHash> {
    entries(count).iter().map(|entry| TreeHash::of_leaf(entry)).collect()
}
