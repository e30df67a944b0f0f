//! Tiles and bundles: their names, which there are, what is in them.

use proptest::prelude::*;
use tenure::proof::tile::{TILE_WIDTH, Tile, TileKind, read_entries, write_entries};

fn tile(kind: TileKind, index: u64, width: u64) -> Tile {
    Tile { kind, index, width }
}

#[test]
fn a_tile_is_named_as_the_specification_says() {
    for (text, expected) in [
        ("tile/0/x001/x234/067", tile(TileKind::Hashes(0), 1_234_067, 256)),
        ("tile/0/x001/x234/067.p/17", tile(TileKind::Hashes(0), 1_234_067, 17)),
        ("tile/0/000", tile(TileKind::Hashes(0), 0, 256)),
        ("tile/5/999.p/255", tile(TileKind::Hashes(5), 999, 255)),
        ("tile/63/x001/000", tile(TileKind::Hashes(63), 1_000, 256)),
        ("tile/entries/x001/x000/000.p/1", tile(TileKind::Entries, 1_000_000, 1)),
    ] {
        assert_eq!(text.parse(), Ok(expected));
        assert_eq!(expected.to_string(), text);
    }
}

#[test]
fn a_name_that_is_not_the_one_name_is_refused() {
    for wrong in [
        "",
        "tile",
        "tile/",
        "tile/0",
        "tile/0/",
        "tile/0/67",
        "tile/0/0067",
        "tile/0/1000",
        "tile/00/067",
        "tile/+0/067",
        "tile/-1/067",
        "tile/64/000",
        "tile/256/000",
        "tile/data/000",
        "tile/Entries/000",
        "/tile/0/067",
        "tile/0/067/",
        "tile/0//067",
        "tile/0/x067",
        "tile/0/x000/067",
        "tile/0/001/234",
        "tile/0/x001/x234",
        "tile/0/X001/234",
        "tile/0/xx001/234",
        "tile/0/x01/234",
        "tile/0/067.p/0",
        "tile/0/067.p/256",
        "tile/0/067.p/08",
        "tile/0/067.p/+8",
        "tile/0/067.p/",
        "tile/0/067.p",
        "tile/0/067.p/8/",
        "tile/0/067.p/8.p/8",
        "tile/0/x001.p/8/234",
        "tile/0/ 067",
        "tile/0/067\n",
        "tile/0/../067",
        "tile/0/0\u{667}7",
        "checkpoint",
        "tile/0/x018/x446/x744/x073/x709/x551/616",
    ] {
        let refused = wrong.parse::<Tile>().unwrap_err().to_string();
        assert!(refused.contains("is no tile") && refused.contains("tile/0/x001/234"), "{refused}");
    }
}

proptest! {
    #[test]
    fn every_name_is_read_as_what_it_names(level in 0..=63_u8, entries in any::<bool>(), index in any::<u64>(), width in 1..=TILE_WIDTH) {
        let kind = if entries { TileKind::Entries } else { TileKind::Hashes(level) };
        let tile = tile(kind, index, width);
        prop_assert_eq!(tile.to_string().parse(), Ok(tile));
    }

    #[test]
    fn entries_come_back_from_their_bundle(entries in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..40)) {
        let bundle = write_entries(entries.iter().map(Vec::as_slice)).unwrap();
        prop_assert_eq!(read_entries(&bundle).unwrap(), entries.iter().map(Vec::as_slice).collect::<Vec<_>>());
        let whole = |cut: usize| read_entries(&bundle[..cut]).is_some();
        // A bundle that is cut between two entries is a shorter one; anywhere else it is none.
        prop_assert_eq!((0..bundle.len()).filter(|cut| whole(*cut)).count(), entries.len());
    }
}

#[test]
fn an_entry_has_a_length_of_two_bytes() {
    let bundle = write_entries([b"ab".as_slice(), b"", &vec![7; 65_535]]).unwrap();
    assert_eq!(bundle[..8], [0, 2, b'a', b'b', 0, 0, 0xff, 0xff]);
    assert_eq!(bundle.len(), 8 + 65_535);
    assert_eq!(write_entries([vec![0; 65_536].as_slice()]), None);
    assert_eq!(write_entries([]), Some(vec![]));
}

/// Counts the hashes along a level.
fn along(kind: TileKind, size: u64) -> u64 {
    let TileKind::Hashes(level) = kind else { return size };
    (0..level).fold(size, |below, _| below / 256)
}

#[test]
fn the_tiles_of_a_size_are_all_that_there_are_and_no_wider() {
    for size in [0, 1, 2, 255, 256, 257, 511, 512, 65_535, 65_536, 65_537, 70_000] {
        let all: Vec<Tile> = Tile::all(size).collect();
        for kind in [TileKind::Entries, TileKind::Hashes(0), TileKind::Hashes(1), TileKind::Hashes(2)] {
            let of_kind: Vec<&Tile> = all.iter().filter(|tile| tile.kind == kind).collect();
            assert_eq!(of_kind.iter().map(|tile| tile.width).sum::<u64>(), along(kind, size), "{size}");
            let count: u64 = of_kind.len().try_into().unwrap();
            for (index, tile) in (0..).zip(&of_kind) {
                let last = index + 1 == count;
                assert!(tile.index == index && (tile.is_full() || last), "{tile} of {size}");
                assert!(tile.is_within(size), "{tile} of {size}");
                assert_eq!(Tile::of_size(kind, index, size), Some(**tile));
                let wider = Tile { width: tile.width + 1, ..**tile };
                assert!(!last || !wider.is_within(size), "{tile} of {size}");
            }
            assert_eq!(Tile::of_size(kind, count, size), None);
        }
        assert!(all.iter().all(|tile| !matches!(tile.kind, TileKind::Hashes(3..))));
    }
    assert!(!tile(TileKind::Hashes(63), 0, 1).is_within(u64::MAX));
    assert!(!tile(TileKind::Hashes(0), u64::MAX, 1).is_within(1_000));
    assert_eq!(Tile::of_size(TileKind::Entries, u64::MAX, u64::MAX), None);
}
