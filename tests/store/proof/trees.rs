//! Roots and proofs.

use ct_merkle::mem_backed_tree::MemoryBackedTree;
use ct_merkle::{ConsistencyProof, InclusionProof, RootHash};
use proptest::prelude::*;
use sha2::Sha256;
use tenure::proof::frontier::{Frontier, TreeHead};
use tenure::proof::hash::{TreeHash, read_hashes, write_hashes};
use tenure::proof::path::{ProofError, verify_consistency, verify_inclusion};

use super::naive::{MemoryLog, Naive, entries, leaves};

/// More than a full tile.
const SIZE_MAX: usize = 300;

fn number(place: usize) -> u64 {
    place.try_into().unwrap()
}

/// The eight entries that implementations of Certificate Transparency are tried with, and the root after each.
const REFERENCE: [(&str, &str); 8] = [
    ("", "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"),
    ("00", "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"),
    ("10", "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77"),
    ("2021", "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"),
    ("3031", "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4"),
    ("40414243", "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef"),
    ("5051525354555657", "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c"),
    ("606162636465666768696a6b6c6d6e6f", "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"),
];

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|place| u8::from_str_radix(&text[place..place + 2], 16).unwrap()).collect()
}

#[test]
fn the_reference_tree_has_the_published_roots() {
    let mut frontier = Frontier::default();
    let nothing = unhex("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    assert_eq!(frontier.root().0.as_slice(), nothing);
    for (entry, root) in REFERENCE {
        let full = frontier.push(TreeHash::of_leaf(&unhex(entry))).count();
        assert_eq!(frontier.root().0.as_slice(), unhex(root), "{} leaves, {full} nodes full", frontier.size());
    }
}

#[test]
fn every_root_and_proof_of_every_size_is_as_the_rfc_defines_it() {
    let naive = Naive::new(leaves(SIZE_MAX));
    let mut log = MemoryLog::default();
    for (size, leaf) in (0..=SIZE_MAX).zip(leaves(SIZE_MAX + 1)) {
        let head = naive.head(size);
        assert_eq!(log.frontier.head(), head);
        assert_eq!(log.root(size), head.root);
        for index in 0..size {
            let path = log.inclusion(index, size);
            assert_eq!(path, naive.path(index, 0, size), "{index} of {size}");
            verify_inclusion(&head, number(index), naive.mth(index, index + 1), &path).unwrap();
        }
        for older in 0..=size {
            let proof = log.consistency(older, size);
            let expected = if older == 0 { Vec::new() } else { naive.proof(older, size) };
            assert_eq!(proof, expected, "{older} of {size}");
            verify_consistency(&naive.head(older), &head, &proof).unwrap();
        }
        log.push(leaf);
    }
}

#[test]
fn a_frontier_comes_back_from_its_bytes_and_from_no_others() {
    let mut frontier = Frontier::default();
    for leaf in leaves(SIZE_MAX) {
        let (bytes, size) = (frontier.to_bytes(), frontier.size());
        assert_eq!(Frontier::from_bytes(size, &bytes), Some(frontier.clone()));
        assert_eq!(Frontier::from_bytes(size, &[bytes.as_slice(), &[0; 32]].concat()), None);
        assert_eq!(Frontier::from_bytes(size, &[bytes.as_slice(), &[0]].concat()), None);
        assert_eq!(Frontier::from_bytes(size * 2 + 1, &bytes), None);
        assert!(frontier.push(leaf).count() > 0);
    }
}

#[test]
fn the_tree_of_an_older_size_is_read_from_the_tiles_of_a_newer_one() {
    let naive = Naive::new(leaves(SIZE_MAX));
    let log = MemoryLog::of(&leaves(SIZE_MAX));
    for size in 1..=SIZE_MAX {
        assert_eq!(log.root(size), naive.mth(0, size));
        assert_eq!(log.inclusion(size / 2, size), naive.path(size / 2, 0, size));
        assert_eq!(log.consistency(size.div_ceil(2), size), naive.proof(size.div_ceil(2), size));
    }
}

type Theirs = MemoryBackedTree<Sha256, Vec<u8>>;

fn theirs(entries: &[Vec<u8>]) -> Theirs {
    let mut tree = Theirs::new();
    for entry in entries {
        tree.push(entry.clone());
    }
    tree
}

fn digest(root: &RootHash<Sha256>) -> TreeHash {
    read_hashes(root.as_bytes().as_slice()).unwrap()[0]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn another_implementation_agrees_and_each_checks_the_others_proofs(
        entries in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 1..600),
        one in any::<prop::sample::Index>(),
        before in any::<prop::sample::Index>(),
    ) {
        let hashes: Vec<TreeHash> = entries.iter().map(|entry| TreeHash::of_leaf(entry)).collect();
        let (ours, theirs, size) = (MemoryLog::of(&hashes), theirs(&entries), entries.len());
        let root = theirs.root();
        let head = TreeHead { size: number(size), root: digest(&root) };
        prop_assert_eq!(ours.frontier.head(), head);

        let index = one.index(size);
        let (path, their_path) = (ours.inclusion(index, size), theirs.prove_inclusion(index));
        prop_assert_eq!(write_hashes(&path), their_path.as_bytes());
        let ours_to_them = InclusionProof::try_from_bytes(write_hashes(&path)).unwrap();
        root.verify_inclusion(&entries[index], number(index), &ours_to_them).unwrap();
        let theirs_to_us = read_hashes(their_path.as_bytes()).unwrap();
        verify_inclusion(&head, number(index), hashes[index], &theirs_to_us).unwrap();

        let older = before.index(size) + 1;
        let older_root = super::trees::theirs(&entries[..older]).root();
        let (proof, their_proof) = (ours.consistency(older, size), theirs.prove_consistency(size - older));
        let ours_to_them = ConsistencyProof::try_from_bytes(write_hashes(&proof)).unwrap();
        root.verify_consistency(&older_root, &ours_to_them).unwrap();
        let older_head = TreeHead { size: number(older), root: digest(&older_root) };
        verify_consistency(&older_head, &head, &read_hashes(their_proof.as_bytes()).unwrap()).unwrap();
    }
}

/// Every way to tamper with a proof that leaves it another one.
fn tampered(proof: &[TreeHash]) -> Vec<Vec<TreeHash>> {
    let mut all = Vec::new();
    for place in 0..proof.len() {
        for bit in [0, 7, 100, 255] {
            let mut flipped = proof.to_vec();
            flipped[place].0[bit / 8] ^= 1 << (bit % 8);
            all.push(flipped);
        }
        let mut dropped = proof.to_vec();
        dropped.remove(place);
        all.push(dropped);
        for other in place + 1..proof.len() {
            let mut swapped = proof.to_vec();
            swapped.swap(place, other);
            all.push(swapped);
        }
    }
    for place in 0..=proof.len() {
        for hash in [TreeHash::of_nothing(), TreeHash::of_leaf(b"entry 0")].into_iter().chain(proof.first().copied()) {
            let mut added = proof.to_vec();
            added.insert(place, hash);
            all.push(added);
        }
    }
    all
}

#[test]
fn an_inclusion_proof_that_was_tampered_with_is_refused() {
    let (naive, log) = (Naive::new(leaves(40)), MemoryLog::of(&leaves(40)));
    for size in 1..=33 {
        let head = naive.head(size);
        for index in 0..size {
            let (leaf, path) = (naive.mth(index, index + 1), log.inclusion(index, size));
            for wrong in tampered(&path) {
                verify_inclusion(&head, number(index), leaf, &wrong).unwrap_err();
            }
            for other in (0..40).filter(|other| *other != index) {
                verify_inclusion(&head, number(other), leaf, &path).unwrap_err();
                verify_inclusion(&head, number(index), naive.mth(other, other + 1), &path).unwrap_err();
            }
            for other in (0..=40).filter(|other| *other != size) {
                verify_inclusion(&naive.head(other), number(index), leaf, &path).unwrap_err();
            }
        }
    }
}

#[test]
fn a_consistency_proof_that_was_tampered_with_is_refused() {
    let (naive, log) = (Naive::new(leaves(40)), MemoryLog::of(&leaves(40)));
    for size in 1..=33 {
        let head = naive.head(size);
        for older in 1..=size {
            let (before, proof) = (naive.head(older), log.consistency(older, size));
            for wrong in tampered(&proof) {
                verify_consistency(&before, &head, &wrong).unwrap_err();
            }
            for other in (1..=40).filter(|other| *other != older && *other != size) {
                verify_consistency(&naive.head(other), &head, &proof).unwrap_err();
            }
            for other in (0..=40).filter(|other| *other != size && *other != older) {
                verify_consistency(&before, &naive.head(other), &proof).unwrap_err();
            }
        }
    }
}

#[test]
fn a_history_that_was_rewritten_is_not_consistent_with_what_it_was() {
    for size in [1, 2, 7, 8, 256, 299] {
        for changed in [0, size / 2, size - 1] {
            let (before, mut after) = (leaves(size), leaves(SIZE_MAX));
            after[changed] = TreeHash::of_leaf(b"never happened");
            let (older, newer) = (MemoryLog::of(&before).frontier.head(), MemoryLog::of(&after));
            let proof = newer.consistency(size, SIZE_MAX);
            let refused = verify_consistency(&older, &newer.frontier.head(), &proof).unwrap_err();
            assert!(matches!(refused, ProofError::Root { .. }), "{refused}");
        }
    }
}

#[test]
fn what_needs_no_proof_is_checked_all_the_same() {
    let naive = Naive::new(leaves(8));
    let (none, five, eight) = (naive.head(0), naive.head(5), naive.head(8));
    verify_consistency(&none, &eight, &[]).unwrap();
    verify_consistency(&five, &five, &[]).unwrap();
    let forged = |head: TreeHead| TreeHead { root: TreeHash::of_leaf(b"forged"), ..head };
    verify_consistency(&forged(none), &eight, &[]).unwrap_err();
    verify_consistency(&forged(five), &five, &[]).unwrap_err();
    verify_consistency(&five, &five, &[five.root]).unwrap_err();
    verify_consistency(&five, &eight, &[]).unwrap_err();
    let cut = verify_consistency(&eight, &five, &naive.proof(5, 8)).unwrap_err();
    assert_eq!(cut, ProofError::OutOfTree { index: 8, size: 5 });
    let beyond = verify_inclusion(&five, 5, naive.mth(5, 6), &[]).unwrap_err();
    assert_eq!(beyond, ProofError::OutOfTree { index: 5, size: 5 });
}

#[test]
fn an_entry_is_no_node_and_a_hash_is_written_one_way() {
    let [left, right] = [TreeHash::of_leaf(b"a"), TreeHash::of_leaf(b"b")];
    assert_ne!(TreeHash::of_leaf(&write_hashes(&[left, right])), TreeHash::of_node(&left, &right));
    assert_eq!(left.to_string().parse(), Ok(left));
    let text = left.to_string();
    for wrong in [&text[1..], &text[..43], &format!("{text}="), &format!(" {text}"), &text.replace('=', ""), ""] {
        assert!(wrong.parse::<TreeHash>().is_err(), "{wrong}");
    }
    assert_eq!(entries(2), [b"entry 0".to_vec(), b"entry 1".to_vec()]);
}
