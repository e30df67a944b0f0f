//! The recorded files, and the code that writes them on request.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use tenure::domain::model::event::Event;
use tenure::domain::model::time::{Instant, Revision};
use tenure::domain::state::permission_state::PermissionState;
use tenure::domain::state::view::{At, View};
use tenure::domain::state::workspace::Workspace;
use tenure::log::codec::decode;

use super::scripts::{SCRIPTS, record};

/// The hint of a test that found a difference.
pub(crate) const BLESS: &str = "if this is meant, write it anew with `TENURE_BLESS=1 cargo test --test domain replay::`, \
     and look at the difference before you commit it";

/// A recorded history.
pub(crate) struct History {
    pub(crate) name: String,
    pub(crate) lines: Vec<Vec<u8>>,
    pub(crate) events: Vec<Arc<Event>>,
    /// The state at the head, and at the revisions chosen, as stored.
    pub(crate) head: String,
    pub(crate) snapshots: BTreeMap<Revision, String>,
}

/// Every recorded history, by name.
pub(crate) static HISTORIES: LazyLock<Vec<History>> = LazyLock::new(|| {
    if blessing() {
        for (name, _) in SCRIPTS {
            record_if_missing(name);
        }
    }
    names_in(&root("events/histories")).iter().map(|file| read_history(file.strip_suffix(".jsonl").unwrap())).collect()
});

pub(crate) fn blessing() -> bool {
    std::env::var_os("TENURE_BLESS").is_some_and(|value| value == "1")
}

pub(crate) fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Returns the names in a folder, in order.
pub(crate) fn names_in(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Returns the text of a file. When blessing, it is written first.
pub(crate) fn golden(path: &str, now: &str) -> String {
    let file = root(path);
    if blessing() {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, now).unwrap();
    }
    fs::read_to_string(&file).unwrap_or_else(|error| panic!("{path}: {error}; {BLESS}"))
}

/// Returns the facts after these events, most of them packed.
pub(crate) fn evolved(mut workspace: Workspace, events: &[Arc<Event>]) -> Arc<Workspace> {
    for (count, event) in events.iter().enumerate() {
        workspace.evolve(event);
        if count % 11 == 0 {
            workspace.compact();
        }
    }
    Arc::new(workspace)
}

pub(crate) fn state_at(workspace: &Arc<Workspace>, revision: Revision) -> String {
    let clock = Instant::EARLIEST;
    PermissionState::of(&View::new(Arc::clone(workspace), At::Revision(revision), clock).unwrap()).to_json().unwrap()
}

impl History {
    pub(crate) fn replay(&self) -> Arc<Workspace> {
        evolved(Workspace::empty(self.events[0].workspace), &self.events)
    }

    pub(crate) fn head_revision(&self) -> Revision {
        self.events.last().unwrap().revision
    }

    /// Returns the last revision of each command.
    pub(crate) fn ends_of_commands(&self) -> Vec<Revision> {
        let ends = self.events.windows(2).filter(|pair| pair[0].command != pair[1].command);
        ends.map(|pair| pair[0].revision).chain([self.head_revision()]).collect()
    }

    /// Returns the events after a revision.
    pub(crate) fn after(&self, revision: Revision) -> &[Arc<Event>] {
        &self.events[usize::try_from(revision.0).unwrap()..]
    }
}

fn read_history(name: &str) -> History {
    let text = fs::read(root(&format!("events/histories/{name}.jsonl"))).unwrap();
    let lines: Vec<Vec<u8>> =
        text.split_inclusive(|byte| *byte == b'\n').map(|line| line[..line.len() - 1].to_vec()).collect();
    assert_eq!(text.last(), Some(&b'\n'), "{name} ends in the middle of a line");
    let events: Vec<_> =
        lines.iter().map(|line| Arc::new(decode(line).unwrap_or_else(|error| panic!("{name}: {error}")))).collect();
    let mut history = History { name: name.to_owned(), lines, events, head: String::new(), snapshots: BTreeMap::new() };
    let workspace = history.replay();
    let golden_at =
        |file: &str, revision| golden(&format!("snapshots/{name}/{file}.json"), &state_at(&workspace, revision));
    history.head = golden_at("head", history.head_revision());
    for file in names_in(&root(&format!("snapshots/{name}"))) {
        let stem = file.strip_suffix(".json").unwrap_or_else(|| panic!("snapshots/{name}/{file} is no snapshot"));
        if stem != "head" {
            let revision = stem.parse().unwrap();
            history.snapshots.insert(revision, golden_at(stem, revision));
        }
    }
    history
}

fn record_if_missing(name: &'static str) {
    let file = root(&format!("events/histories/{name}.jsonl"));
    if file.exists() {
        return;
    }
    let recording = record(name);
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(&file, recording.lines.iter().flat_map(|line| [line.as_slice(), b"\n"]).collect::<Vec<_>>().concat())
        .unwrap();
    let snapshots = root(&format!("snapshots/{name}"));
    if snapshots.exists() {
        fs::remove_dir_all(&snapshots).unwrap();
    }
    fs::create_dir_all(&snapshots).unwrap();
    for revision in recording.marks {
        // Written in full once the history is read.
        fs::write(snapshots.join(format!("{revision}.json")), "").unwrap();
    }
}
