//! Exports, damaged in each way that a file can be, and by an operator who has the key.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tenure::proof::checkpoint::Signer;
use tenure::proof::frontier::{Frontier, TreeHead};
use tenure::proof::hash::{TreeHash, write_hashes};
use tenure::proof::note::LogKey;
use tenure::proof::tile::{Tile, TileKind, read_entries, write_entries};

use super::stage::{EVENTS, Stage, assert_found};

/// Returns the events of an export.
fn events(export: &Path) -> Vec<Vec<u8>> {
    let bundles = (0..EVENTS.div_ceil(256)).map(|index| Tile::of_size(TileKind::Entries, index, EVENTS).unwrap());
    let read = |tile: Tile| {
        let bytes = fs::read(export.join(tile.to_string())).unwrap();
        read_entries(&bytes).unwrap().into_iter().map(<[u8]>::to_vec).collect::<Vec<_>>()
    };
    bundles.flat_map(read).collect()
}

/// The part of the tree that is written again over changed events.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cover {
    /// None of it.
    Events,
    /// The leaves.
    Leaves,
    /// Every tile.
    Tiles,
    /// Every tile, and a checkpoint signed with the log's own key.
    Checkpoint,
}

/// A case: a change, its cover-up, and the words of the finding.
type Case<'a> = (&'a str, Vec<Vec<u8>>, Cover, Vec<&'a str>);

/// Replaces the events of an export, with a cover-up.
fn rewrite(export: &Path, events: &[Vec<u8>], cover: Cover) {
    let size = u64::try_from(events.len()).unwrap();
    fs::remove_dir_all(export.join("tile/entries")).unwrap();
    for (index, events) in (0..).zip(events.chunks(256)) {
        let tile = Tile::of_size(TileKind::Entries, index, size).unwrap();
        write(export, tile, &write_entries(events.iter().map(Vec::as_slice)).unwrap());
    }
    let mut tree = Frontier::default();
    let mut above = Vec::new();
    let leaves: Vec<TreeHash> = events.iter().map(|event| TreeHash::of_leaf(event)).collect();
    for leaf in &leaves {
        above.extend(tree.push(*leaf).filter(|(node, _)| node.level == 8).map(|(_, hash)| hash));
    }
    if cover != Cover::Events {
        fs::remove_dir_all(export.join("tile/0")).unwrap();
        for (index, leaves) in (0..).zip(leaves.chunks(256)) {
            write(export, Tile::of_size(TileKind::Hashes(0), index, size).unwrap(), &write_hashes(leaves));
        }
    }
    if cover == Cover::Tiles || cover == Cover::Checkpoint {
        write(export, Tile::of_size(TileKind::Hashes(1), 0, size).unwrap(), &write_hashes(&above));
    }
    if cover == Cover::Checkpoint {
        sign(export, tree.head(), [0x42; 32]);
    }
}

fn write(export: &Path, tile: Tile, bytes: &[u8]) {
    let path = export.join(tile.to_string());
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

fn sign(export: &Path, tree: TreeHead, seed: [u8; 32]) {
    let key = fs::read_to_string(export.join("key")).unwrap();
    let workspace = key.split(['/', '+']).nth(2).unwrap().parse().unwrap();
    let signer = Signer { key: LogKey::from_seed(&seed), instance: "tenure.local".parse().unwrap() };
    fs::write(export.join("checkpoint"), signer.sign(workspace, tree).note()).unwrap();
}

fn head(export: &Path) -> TreeHead {
    let mut tree = Frontier::default();
    for event in events(export) {
        tree.push(TreeHash::of_leaf(&event)).for_each(drop);
    }
    tree.head()
}

/// Changes the last letter of the first occurrence of a word.
fn altered(event: &[u8], word: &str) -> Vec<u8> {
    let mut event = String::from_utf8(event.to_vec()).unwrap();
    let at = event.find(word).unwrap() + word.len() - 1;
    event.replace_range(at..=at, if event[at..].starts_with('9') { "8" } else { "9" });
    event.into_bytes()
}

#[test]
fn an_export_is_verified_with_the_key_alone() {
    let stage = Stage::new();
    let export = stage.export("log");
    let said = stage.verify(&export).ok();
    assert!(said.contains(&format!("{EVENTS} events")) && said.contains(&stage.workspace), "{said}");
    fs::remove_file(export.join("key")).unwrap();
    assert_eq!(stage.verify(&export).ok(), said, "a mirror has no key beside it");
}

#[test]
fn changed_dropped_swapped_and_added_events_are_found_under_any_cover_up() {
    let stage = Stage::new();
    let intact = events(&stage.export("intact"));
    let mut cases: Vec<Case<'_>> = Vec::new();
    let change = |f: &dyn Fn(&mut Vec<Vec<u8>>)| {
        let mut events = intact.clone();
        f(&mut events);
        events
    };
    let a_byte = change(&|events| events[299] = altered(&events[299], "member-"));
    let swapped = change(&|events| events.swap(399, 400));
    let last = change(&|events| drop(events.pop()));
    let middle = change(&|events| drop(events.remove(299)));
    let added = change(&|events| events.push(events[599].clone()));
    for (cover, a, b) in [
        (Cover::Events, "revision 300", "the hash of its bytes is"),
        (Cover::Leaves, "revision 257", "`tile/1/000.p/2` has"),
        (Cover::Tiles, "600 events have the root", "its checkpoint signs"),
    ] {
        cases.push(("a byte changed", a_byte.clone(), cover, vec![a, b]));
    }
    cases.push(("two swapped", swapped.clone(), Cover::Events, vec!["revision 400", "the hash of its bytes is"]));
    cases.push(("two swapped", swapped.clone(), Cover::Leaves, vec!["revision 400", "written as revision 401"]));
    cases.push(("two swapped", swapped, Cover::Checkpoint, vec!["revision 400", "written as revision 401"]));
    cases.push(("the last dropped", last.clone(), Cover::Events, vec!["`tile/entries/002.p/88`", "missing"]));
    cases.push(("the last dropped", last, Cover::Tiles, vec!["`tile/entries/002.p/88`", "missing"]));
    cases.push(("one dropped", middle.clone(), Cover::Events, vec!["revision 300", "the hash of its bytes is"]));
    cases.push(("one dropped", middle, Cover::Checkpoint, vec!["revision 300", "written as revision 301"]));
    cases.push(("one added", added.clone(), Cover::Tiles, vec!["`tile/entries/002.p/88`", "missing"]));
    cases.push(("one added", added, Cover::Checkpoint, vec!["revision 601", "written as revision 600"]));
    for (number, (name, events, cover, words)) in cases.into_iter().enumerate() {
        let export = stage.export(&format!("case-{number}"));
        rewrite(&export, &events, cover);
        let said = stage.verify(&export);
        assert_eq!(said.code, Some(1), "{name}: {}", said.err);
        assert_found(&said, &words);
    }
}

#[test]
fn entries_of_the_wrong_number_in_their_bundle_are_found() {
    let stage = Stage::new();
    let last = Tile::of_size(TileKind::Entries, 2, EVENTS).unwrap().to_string();
    let alter = |name: &str, alter: &dyn Fn(&mut Vec<Vec<u8>>)| {
        let export = stage.export(name);
        let bytes = fs::read(export.join(&last)).unwrap();
        let mut entries: Vec<Vec<u8>> = read_entries(&bytes).unwrap().into_iter().map(<[u8]>::to_vec).collect();
        alter(&mut entries);
        fs::write(export.join(&last), write_entries(entries.iter().map(Vec::as_slice)).unwrap()).unwrap();
        export
    };
    let short = alter("short", &|entries| drop(entries.pop()));
    assert_found(&stage.verify(&short), &["revision 600", "has 87 events, and 88 were expected"]);
    let long = alter("long", &|entries| entries.push(entries[87].clone()));
    assert_found(&stage.verify(&long), &["revision 601", "has 89 events, and 88 were expected"]);
    let cut = stage.export("cut");
    let bytes = fs::read(cut.join(&last)).unwrap();
    fs::write(cut.join(&last), &bytes[..bytes.len() - 1]).unwrap();
    assert_found(&stage.verify(&cut), &["revision 513", "ends within an event"]);
}

#[test]
fn a_cut_changed_missing_or_surplus_tile_is_found() {
    let stage = Stage::new();
    for (number, (tile, revision)) in
        [("tile/0/000", "revision 1"), ("tile/0/002.p/88", "revision 513"), ("tile/1/000.p/2", "revision 1")]
            .into_iter()
            .enumerate()
    {
        let name = |kind: &str| format!("{kind}-{number}");
        let cut = stage.export(&name("cut"));
        let bytes = fs::read(cut.join(tile)).unwrap();
        fs::write(cut.join(tile), &bytes[..bytes.len() - 32]).unwrap();
        assert_found(&stage.verify(&cut), &[tile, revision, "bytes, and", "were expected"]);
        let changed = stage.export(&name("changed"));
        let mut other = bytes.clone();
        other[0] ^= 1;
        fs::write(changed.join(tile), other).unwrap();
        assert_found(&stage.verify(&changed), &[revision]);
        let missing = stage.export(&name("missing"));
        fs::remove_file(missing.join(tile)).unwrap();
        assert_found(&stage.verify(&missing), &[tile, revision, "missing"]);
    }
    let stray = stage.export("stray");
    fs::copy(stray.join("tile/0/000"), stray.join("tile/0/003")).unwrap();
    assert_found(&stage.verify(&stray), &["the file `tile/0/003` is there"]);
}

#[test]
fn a_forged_signature_and_an_exchanged_key_are_found() {
    let stage = Stage::new();
    let forged = stage.export("forged");
    let checkpoint = fs::read_to_string(forged.join("checkpoint")).unwrap();
    for size in ["599", "601"] {
        fs::write(forged.join("checkpoint"), checkpoint.replacen("\n600\n", &format!("\n{size}\n"), 1)).unwrap();
        assert_found(&stage.verify(&forged), &["its checkpoint", "forged"]);
    }
    let end = checkpoint.len() - 8;
    let mut altered = checkpoint.clone();
    altered.replace_range(end..=end, if checkpoint[end..].starts_with('A') { "B" } else { "A" });
    fs::write(forged.join("checkpoint"), altered).unwrap();
    assert_found(&stage.verify(&forged), &["its checkpoint", "forged"]);

    let exchanged = stage.export("exchanged");
    let tree = head(&exchanged);
    sign(&exchanged, tree, [0x43; 32]);
    assert_found(&stage.verify(&exchanged), &["carries no signature of the key"]);
    let other = Stage::new();
    fs::copy(&other.key, exchanged.join("key")).unwrap();
    assert_found(&stage.verify(&exchanged), &["the folder's file `key` holds another key"]);
}

#[test]
fn a_kept_checkpoint_reveals_a_log_that_was_rewritten_or_cut() {
    let stage = Stage::new();
    let kept = stage.export("then").join("checkpoint");
    let rewritten = stage.export("rewritten");
    let mut other = events(&rewritten);
    other[299] = altered(&other[299], "member-");
    rewrite(&rewritten, &other, Cover::Checkpoint);
    assert!(stage.verify(&rewritten).ok().contains("600 events"), "without a checkpoint nobody could know");
    assert_found(&stage.verify_since(&rewritten, &kept), &["revision 600", "the log was rewritten"]);

    let cut = stage.export("cut");
    other.truncate(520);
    fs::remove_file(cut.join("tile/0/002.p/88")).unwrap();
    rewrite(&cut, &events(&cut)[..520], Cover::Checkpoint);
    assert!(stage.verify(&cut).ok().contains("520 events"));
    assert_found(
        &stage.verify_since(&cut, &kept),
        &["the checkpoint that was kept has 600 events, and the log has 520"],
    );
    let earlier = cut.join("checkpoint");
    let now = stage.export("now");
    assert!(stage.verify_since(&now, &earlier).ok().contains("grown from the 520 that were kept"));

    let other = Stage::new();
    let foreign = other.export("foreign").join("checkpoint");
    assert_found(&stage.verify_since(&now, &foreign), &["the checkpoint in", "carries no signature of the key"]);
}

#[test]
fn a_kept_checkpoint_is_read_from_the_files_of_many_programs() {
    let stage = Stage::new();
    let export = stage.export("log");
    let note = fs::read_to_string(export.join("checkpoint")).unwrap();
    let kept = stage.folder.path().join("kept");
    let with_mark = format!("\u{feff}{}", note.replace('\n', "\r\n"));
    let in_utf_16 = |bytes_of: fn(u16) -> [u8; 2]| with_mark.encode_utf16().flat_map(bytes_of).collect::<Vec<u8>>();
    for bytes in [
        note.replace('\n', "\r\n").into_bytes(),
        format!("\u{feff}{note}").into_bytes(),
        note.trim_end().as_bytes().to_vec(),
        format!("{note}\n \n").into_bytes(),
        note.replace('\n', " \n").into_bytes(),
        with_mark.trim_end().as_bytes().to_vec(),
        in_utf_16(u16::to_le_bytes),
        in_utf_16(u16::to_be_bytes),
    ] {
        fs::write(&kept, &bytes).unwrap();
        let said = stage.verify_since(&export, &kept).ok();
        assert!(said.contains("grown from the 600 that were kept"), "{said}");
    }
    let key = fs::read_to_string(&stage.key).unwrap();
    fs::write(&stage.key, format!("\u{feff}{}\r\n", key.trim_end())).unwrap();
    stage.verify(&export).ok();
}

#[test]
fn a_file_without_a_checkpoint_is_a_usage_error() {
    let stage = Stage::new();
    let export = stage.export("log");
    let note = fs::read_to_string(export.join("checkpoint")).unwrap();
    let kept = stage.folder.path().join("kept");
    let (text, signature) = note.split_once("\n\n").unwrap();
    for bytes in [
        Vec::new(),
        b"revision 600".to_vec(),
        text.as_bytes().to_vec(),
        format!("{text}\n\n").into_bytes(),
        note.replace('\u{2014}', "-").into_bytes(),
        note.replace('\n', "\r").into_bytes(),
        note.as_bytes()[..note.len() - 40].to_vec(),
        format!("{text}\n\n{}", signature.replace('\u{2014}', "\u{e2}\u{20ac}\u{201d}")).into_bytes(),
        note.bytes().map(|byte| if byte.is_ascii() { byte } else { 0x97 }).collect(),
        vec![0xff, 0xfe, 0x00],
    ] {
        fs::write(&kept, &bytes).unwrap();
        let said = stage.verify_since(&export, &kept).failed();
        assert!(said.contains("cannot be read") && !said.contains("forged"), "{said}");
    }
    fs::write(&kept, note.replace("\n600\n", "\n599\n")).unwrap();
    assert_found(&stage.verify_since(&export, &kept), &["the checkpoint in", "forged"]);
}

#[test]
fn files_of_operating_systems_in_an_export_are_named_and_ignored() {
    let stage = Stage::new();
    let export = stage.export("log");
    let files = [
        ".DS_Store",
        "._checkpoint",
        "Thumbs.db",
        "tile/._0",
        "tile/0/desktop.ini",
        "tile/entries/THUMBS.DB",
        ".directory",
        "Icon\r",
        "tile/ehthumbs.db",
        ".localized",
    ];
    for file in files {
        fs::write(export.join(file), "left").unwrap();
    }
    let folders = ["__MACOSX/", ".Spotlight-V100/", ".Trashes/", "tile/.fseventsd/", "$Recycle.Bin/"];
    for folder in folders {
        fs::create_dir_all(export.join(folder).join("within")).unwrap();
        fs::write(export.join(folder).join("within/left"), "left").unwrap();
    }
    fs::set_permissions(export.join(".Trashes"), Permissions::from_mode(0o300)).unwrap();
    let left = files.map(|file| file.escape_debug().to_string()).into_iter().chain(folders.map(str::to_owned));
    let left: Vec<String> = left.collect();
    let said = stage.verify(&export).ok();
    let ignored =
        said.lines().find(|line| line.starts_with("ignored, for operating systems leave such files: ")).unwrap();
    assert!(said.starts_with("verified: ") && left.iter().all(|file| ignored.contains(&format!("`{file}`"))), "{said}");
    for stray in [
        "DS_Store",
        "_checkpoint",
        "tile/Thumbs.db.txt",
        ".DS_Store.txt",
        "Icon",
        "checkpoint~",
        "MACOSX/x",
        "tile/0/Trashes/x",
    ] {
        fs::create_dir_all(export.join(stray).parent().unwrap()).unwrap();
        fs::write(export.join(stray), "stray").unwrap();
        assert_found(&stage.verify(&export), &[&format!("the file `{stray}` is there")]);
        fs::remove_file(export.join(stray)).unwrap();
    }
    fs::remove_file(export.join(".DS_Store")).unwrap();
    std::os::unix::fs::symlink("checkpoint", export.join(".DS_Store")).unwrap();
    assert_found(&stage.verify(&export), &["the file `.DS_Store` is there"]);
    fs::remove_file(export.join(".DS_Store")).unwrap();
    for name in ["__MACOSX", ".Trashes", "tile/.fseventsd"] {
        // A file, or a link, of a folder's name is no such folder.
        let place = export.join(name);
        fs::set_permissions(&place, Permissions::from_mode(0o700)).unwrap();
        fs::remove_dir_all(&place).unwrap();
        fs::write(&place, "stray").unwrap();
        assert_found(&stage.verify(&export), &[&format!("the file `{name}` is there")]);
        fs::remove_file(&place).unwrap();
        std::os::unix::fs::symlink(".", &place).unwrap();
        assert_found(&stage.verify(&export), &[&format!("the file `{name}` is there")]);
        fs::remove_file(&place).unwrap();
    }
}

#[test]
fn a_failure_to_verify_is_no_flaw() {
    let stage = Stage::new();
    assert!(stage.verify(&stage.folder.path().join("nowhere")).failed().contains("is no folder"));
    let export = stage.export("log");
    let said = crate::support::program::run(
        crate::support::program::program()
            .arg("verify")
            .arg(&export)
            .args(["--key", "tenure.local/workspaces/ws_1+00000000+AA"]),
    );
    assert!(said.code == Some(2) && said.err.contains("neither a verifier key nor a file"), "{}", said.err);
    let again = crate::support::program::run(
        crate::support::program::program().args(["export", "--data"]).arg(&stage.data).arg("--out").arg(&export),
    );
    assert!(again.failed().contains("exists already"));
}
