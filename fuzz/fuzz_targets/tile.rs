//! Paths of tiles, bundles of entries and tiles of hashes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tenure::proof::hash::{TreeHash, read_hashes, write_hashes};
use tenure::proof::tile::{Tile, read_entries, write_entries};

fuzz_target!(|bytes: &[u8]| {
    if let Some(entries) = read_entries(bytes) {
        assert_eq!(write_entries(entries).as_deref(), Some(bytes));
    }
    if let Some(hashes) = read_hashes(bytes) {
        assert_eq!(write_hashes(&hashes), bytes);
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    for path in [text.to_owned(), format!("tile/entries/{text}"), format!("tile/0/{text}")] {
        if let Ok(tile) = path.parse::<Tile>() {
            assert_eq!(tile.to_string(), path, "a tile has one path");
            let _ = (tile.start(), tile.is_full(), tile.is_within(u64::MAX), tile.is_within(0));
        }
    }
    if let Ok(hash) = text.parse::<TreeHash>() {
        assert_eq!(hash.to_string().parse(), Ok(hash));
    }
});
