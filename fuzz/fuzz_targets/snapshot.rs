//! Snapshots: raw bytes, and bytes that the holder of the key has sealed.
#![no_main]

use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;
use tenure::domain::state::workspace::Workspace;
use tenure::log::codec;
use tenure::log::snapshot::{BadSnapshot, read, write};
use tenure::proof::hash::TreeHash;
use tenure::proof::note::LogKey;

const LOG: &[u8] = include_bytes!("../../events/histories/a-workspace-of-one.jsonl");
const SEAL_BYTES: usize = 32;

static KEY: LazyLock<LogKey> = LazyLock::new(|| LogKey::from_seed(&[7; 32]));
/// A valid snapshot, and the length of the part before its packed events.
static GOOD: LazyLock<(Workspace, Vec<u8>, usize)> = LazyLock::new(|| {
    let events = LOG.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let events: Vec<_> = events.filter_map(|line| codec::decode(line).ok()).collect();
    let mut facts = Workspace::empty(events[0].workspace);
    events.into_iter().for_each(|event| facts.evolve(&Arc::new(event)));
    let bytes = write(&facts, &TreeHash::of_nothing(), &KEY);
    let header = bytes.len() - SEAL_BYTES - facts.packed().len();
    (facts, bytes, header)
});

fn sealed(bytes: &[u8]) -> Vec<u8> {
    [bytes, &KEY.seal(bytes)].concat()
}

fuzz_target!(|bytes: &[u8]| {
    let (facts, good, header) = &*GOOD;
    let _ = read(bytes, facts.id(), &KEY);
    if let Err(BadSnapshot::Workspace(other)) = read(&sealed(bytes), facts.id(), &KEY) {
        let _ = read(&sealed(bytes), other, &KEY);
    }
    let packed = [&good[..*header], bytes].concat();
    if let Ok(snapshot) = read(&sealed(&packed), facts.id(), &KEY) {
        for event in snapshot.facts.events(tenure::domain::model::time::Revision::ZERO, snapshot.facts.head()) {
            let _ = codec::encode(&event);
        }
    }
});
