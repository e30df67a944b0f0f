//! The files of an export: a valid one with one replaced file, or arbitrary entries with a valid signature.
#![no_main]

use std::collections::BTreeMap;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use tenure::log::codec;
use tenure::log::published::{CHECKPOINT_FILE, FileError, PublishedLog};
use tenure::log::verify::Verifier;
use tenure::proof::checkpoint::Signer;
use tenure::proof::frontier::Frontier;
use tenure::proof::hash::{TreeHash, write_hashes};
use tenure::proof::note::{LogKey, Origin, VerifierKey};
use tenure::proof::tile::{Tile, TileKind, read_entries, write_entries};

const LOG: &[u8] = include_bytes!("../../events/histories/a-workspace-of-one.jsonl");

struct Files(BTreeMap<String, Vec<u8>>);

impl PublishedLog for Files {
    fn file(&self, path: &str) -> Result<Vec<u8>, FileError> {
        self.0.get(path).cloned().ok_or(FileError::Missing)
    }
}

static GOOD: LazyLock<(Vec<Vec<u8>>, Signer, VerifierKey)> = LazyLock::new(|| {
    let events: Vec<Vec<u8>> =
        LOG.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(<[u8]>::to_vec).collect();
    let workspace = codec::decode(&events[0]).map(|event| event.workspace).expect("a recorded event");
    let signer = Signer { key: LogKey::from_seed(&[7; 32]), instance: Origin::default() };
    let verifier = signer.verifier(workspace);
    (events, signer, verifier)
});

/// Returns an export of up to 256 events.
fn export(events: &[&[u8]]) -> Files {
    let (_, signer, verifier) = &*GOOD;
    let mut tree = Frontier::default();
    let leaves: Vec<TreeHash> = events.iter().map(|event| TreeHash::of_leaf(event)).collect();
    leaves.iter().for_each(|leaf| tree.push(*leaf).for_each(drop));
    let workspace = verifier.origin().workspace().expect("the log of a workspace");
    let size = tree.head().size;
    let mut files = BTreeMap::new();
    files.insert(CHECKPOINT_FILE.to_owned(), signer.sign(workspace, tree.head()).note().as_bytes().to_vec());
    if let Some(tile) = Tile::of_size(TileKind::Hashes(0), 0, size) {
        files.insert(tile.to_string(), write_hashes(&leaves));
    }
    if let Some(tile) = Tile::of_size(TileKind::Entries, 0, size) {
        files.insert(tile.to_string(), write_entries(events.iter().copied()).unwrap_or_default());
    }
    Files(files)
}

fn verify(files: &Files) -> bool {
    let verifier = Verifier::new(&GOOD.2, None).expect("a key of a workspace");
    verifier.verify(files, &mut |_| Ok(()), &|_, _| {}).is_ok()
}

fuzz_target!(|bytes: &[u8]| {
    let good: Vec<&[u8]> = GOOD.0.iter().map(Vec::as_slice).collect();
    if let Some((choice, rest)) = bytes.split_first() {
        let mut files = export(&good);
        let place = usize::from(*choice) % files.0.len();
        let file = files.0.values_mut().nth(place).expect("a file");
        let same = file.as_slice() == rest;
        *file = rest.to_vec();
        assert!(!verify(&files) || same, "a file was replaced, and nobody noticed");
    }
    if let Some(entries) = read_entries(bytes).filter(|entries| entries.len() <= 200) {
        verify(&export(&entries));
        verify(&export(&good.into_iter().chain(entries).collect::<Vec<_>>()));
    }
});
