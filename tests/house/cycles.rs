//! The order of the rooms inside the domain, and that no rooms use each other in a circle.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::{code, each_violation, room, rust_files};

/// The rooms inside `src/domain` from the bottom up: each may use those before it.
const DOMAIN_ROOMS: &[&str] = &["collections", "model", "history", "state", "rules"];

/// Returns every path that the code names after `crate::`, each as its parts.
fn used_paths(code: &str) -> impl Iterator<Item = Vec<&str>> {
    let is_part = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    code.split("crate::").skip(1).map(move |rest| {
        let end = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
        rest[..end].split("::").collect()
    })
}

/// Returns the room of a path inside `src`; inside the domain, the room within it.
fn inner_room(parts: &[&str]) -> String {
    match parts {
        ["domain", inner, ..] if DOMAIN_ROOMS.contains(inner) => format!("domain/{inner}"),
        [room, ..] => (*room).to_owned(),
        [] => String::new(),
    }
}

fn room_of_file(path: &Path) -> String {
    let parts: Vec<_> = path.iter().skip(1).map(|part| part.to_str().unwrap()).collect();
    if parts[0] == "domain" { inner_room(&parts) } else { room(path) }
}

#[test]
fn rooms_of_the_domain_use_only_those_below_them() {
    let height = |room: &str| DOMAIN_ROOMS.iter().position(|known| room.strip_prefix("domain/") == Some(known));
    each_violation(|path, code| {
        let Some(own) = height(&room_of_file(path)) else { return Vec::new() };
        let used = used_paths(code).map(|parts| inner_room(&parts));
        let above = used.filter(|used| height(used).is_some_and(|used| used > own));
        above.map(|used| format!("{}: uses `{used}`, which is above it", path.display())).collect()
    });
}

#[test]
fn every_file_of_the_domain_is_in_a_room() {
    each_violation(|path, _| {
        let in_domain = path.starts_with("src/domain") && !path.ends_with("domain/mod.rs");
        let lost = in_domain && !room_of_file(path).starts_with("domain/");
        lost.then(|| format!("{}: is in no room", path.display())).into_iter().collect()
    });
}

#[test]
fn no_rooms_use_each_other_in_a_circle() {
    let mut uses: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (path, text) in rust_files("src") {
        let own = room_of_file(&path);
        let code = code(&text);
        let used = used_paths(&code).map(|parts| inner_room(&parts)).filter(|used| *used != own);
        uses.entry(own.clone()).or_default().extend(used);
    }
    // A room that uses nothing that is left can be in no circle.
    while let Some(free) = uses.iter().find(|(_, used)| used.iter().all(|used| !uses.contains_key(used))) {
        let free = free.0.clone();
        uses.remove(&free);
    }
    assert!(uses.is_empty(), "these rooms use each other in a circle, or are used by one that does: {uses:?}");
}
