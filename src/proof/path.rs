//! Inclusion and consistency proofs: made by RFC 6962 §2.1.1 and §2.1.2, checked by RFC 9162 §2.1.3.2 and §2.1.4.2.

use super::frontier::TreeHead;
use super::hash::TreeHash;
use super::tile::{NodeError, Nodes, TileSource};

/// The reason why a proof is invalid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// The index or older size is beyond the tree.
    #[error("a tree of size {size} has nothing at {index}")]
    OutOfTree {
        /// The leaf's index, or the older size.
        index: u64,
        /// The tree's size.
        size: u64,
    },
    /// It has more or fewer hashes than the sizes need.
    #[error("the proof has {0} hashes, which is not how many it takes")]
    Length(usize),
    /// It leads to another root.
    #[error("the proof leads to the root {found}, and the checkpoint has {expected}")]
    Root {
        /// The root that it leads to.
        found: TreeHash,
        /// The root of the checkpoint.
        expected: TreeHash,
    },
}

/// Returns the largest power of two below a number above 1.
const fn split(len: u64) -> u64 {
    1 << (len - 1).ilog2()
}

/// Returns the proof that a leaf is in the tree: the siblings from the leaf's up to the root's child (RFC 6962 §2.1.1, `PATH`). It is
/// empty for an index beyond the tree.
///
/// # Errors
/// A tile cannot be read.
pub fn inclusion<S: TileSource>(nodes: &mut Nodes<'_, S>, index: u64) -> Result<Vec<TreeHash>, NodeError<S::Error>> {
    let (mut start, mut end) = (0, nodes.size());
    let mut from_root = Vec::new();
    while index < end && end - start > 1 {
        let middle = start + split(end - start);
        if index < middle {
            from_root.push(nodes.subtree(middle, end)?);
            end = middle;
        } else {
            from_root.push(nodes.subtree(start, middle)?);
            start = middle;
        }
    }
    from_root.reverse();
    Ok(from_root)
}

/// Returns the proof that the tree of an older size is a part of this one (RFC 6962 §2.1.2, `PROOF`). It is empty for the size 0, the
/// tree's own, and one beyond it.
///
/// # Errors
/// A tile cannot be read.
pub fn consistency<S: TileSource>(nodes: &mut Nodes<'_, S>, older: u64) -> Result<Vec<TreeHash>, NodeError<S::Error>> {
    let (mut start, mut end) = (0, nodes.size());
    let mut from_root = Vec::new();
    if older == 0 || older >= end {
        return Ok(from_root);
    }
    while older != end {
        let middle = start + split(end - start);
        if older <= middle {
            from_root.push(nodes.subtree(middle, end)?);
            end = middle;
        } else {
            from_root.push(nodes.subtree(start, middle)?);
            start = middle;
        }
    }
    if start > 0 {
        // The verifier knows the older root only if it is the left subtree of this one.
        from_root.push(nodes.subtree(start, end)?);
    }
    from_root.reverse();
    Ok(from_root)
}

/// Checks that an entry's leaf hash is at an index of the tree (RFC 9162 §2.1.3.2).
///
/// # Errors
/// [`ProofError`] if the proof is invalid.
pub fn verify_inclusion(tree: &TreeHead, index: u64, leaf: TreeHash, path: &[TreeHash]) -> Result<(), ProofError> {
    if index >= tree.size {
        return Err(ProofError::OutOfTree { index, size: tree.size });
    }
    let (mut node, mut last, mut hash) = (index, tree.size - 1, leaf);
    for sibling in path {
        if last == 0 {
            return Err(ProofError::Length(path.len()));
        }
        if node & 1 == 1 || node == last {
            hash = TreeHash::of_node(sibling, &hash);
            let up = up_to_right_child(node);
            (node, last) = (node >> up, last >> up);
        } else {
            hash = TreeHash::of_node(&hash, sibling);
        }
        (node, last) = (node >> 1, last >> 1);
    }
    if last != 0 {
        return Err(ProofError::Length(path.len()));
    }
    same_root(hash, tree.root)
}

/// Returns the number of levels up to which a node at the right edge has no left neighbour.
fn up_to_right_child(node: u64) -> u32 {
    if node == 0 { 0 } else { node.trailing_zeros() }
}

/// Checks that the older tree is a part of the newer one: that the log only grew (RFC 9162 §2.1.4.2).
///
/// # Errors
/// [`ProofError`] if the proof is invalid; a `Root` error means that one of the two was rewritten.
pub fn verify_consistency(older: &TreeHead, newer: &TreeHead, path: &[TreeHash]) -> Result<(), ProofError> {
    if older.size > newer.size {
        return Err(ProofError::OutOfTree { index: older.size, size: newer.size });
    }
    if older.size == 0 || older.size == newer.size {
        return trivially_consistent(older, newer, path);
    }
    let own = older.size.is_power_of_two().then_some(older.root);
    let mut hashes = own.into_iter().chain(path.iter().copied());
    let short = ProofError::Length(path.len());
    let first = hashes.next().ok_or(short)?;
    let up = (older.size - 1).trailing_ones();
    let (mut node, mut last) = ((older.size - 1) >> up, (newer.size - 1) >> up);
    let (mut old, mut new) = (first, first);
    for hash in hashes {
        if last == 0 {
            return Err(short);
        }
        if node & 1 == 1 || node == last {
            (old, new) = (TreeHash::of_node(&hash, &old), TreeHash::of_node(&hash, &new));
            let up = up_to_right_child(node);
            (node, last) = (node >> up, last >> up);
        } else {
            new = TreeHash::of_node(&new, &hash);
        }
        (node, last) = (node >> 1, last >> 1);
    }
    if last != 0 {
        return Err(short);
    }
    same_root(old, older.root)?;
    same_root(new, newer.root)
}

fn trivially_consistent(older: &TreeHead, newer: &TreeHead, path: &[TreeHash]) -> Result<(), ProofError> {
    let expected = if older.size == 0 { TreeHash::of_nothing() } else { newer.root };
    if path.is_empty() { same_root(older.root, expected) } else { Err(ProofError::Length(path.len())) }
}

fn same_root(found: TreeHash, expected: TreeHash) -> Result<(), ProofError> {
    if found == expected { Ok(()) } else { Err(ProofError::Root { found, expected }) }
}
