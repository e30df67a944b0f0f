//! Every history survives a round trip through the store.

use std::sync::Arc;

use tenure::domain::model::event::Event;
use tenure::domain::model::time::Revision;
use tenure::log::sqlite::SqliteLog;
use tenure::log::{Append, EventLog, Outcome};
use tenure::service::replay;

use super::files::{HISTORIES, History, state_at};
use crate::support::verify::verify_store;

/// Returns an append for each command, as the service makes them.
fn appends(history: &History) -> Vec<Append> {
    let commands = history.events.chunk_by(|before, event| before.command == event.command);
    let append = |events: &[Arc<Event>]| {
        let first = &events[0];
        let start = usize::try_from(first.revision.0).unwrap() - 1;
        Append {
            workspace: first.workspace,
            expected: Revision(first.revision.0 - 1),
            events: history.lines[start..start + events.len()].to_vec(),
            side_writes: Vec::new(),
        }
    };
    commands.map(append).collect()
}

#[test]
fn every_history_rebuilds_its_snapshots_after_a_round_trip_through_the_store() {
    let folder = tempfile::tempdir().unwrap();
    let log = SqliteLog::open(folder.path()).unwrap();
    let group: Vec<_> = HISTORIES.iter().flat_map(appends).collect();
    let outcomes = log.append(&group).unwrap().outcomes;
    assert!(outcomes.iter().all(|outcome| *outcome == Outcome::Appended), "{outcomes:?}");
    drop(log);

    let log = SqliteLog::open(folder.path()).unwrap();
    for history in HISTORIES.iter() {
        let id = history.events[0].workspace;
        let stored = log.read(id, Revision::ZERO, usize::MAX).unwrap();
        let bytes: Vec<_> = stored.iter().map(|stored| stored.bytes.clone()).collect();
        assert!(bytes == history.lines, "{}: the bytes are not those that went in", history.name);
        let workspace = Arc::new(replay(&log, id).unwrap().unwrap());
        assert_eq!(state_at(&workspace, history.head_revision()), history.head, "{}", history.name);
        for (revision, snapshot) in &history.snapshots {
            assert_eq!(state_at(&workspace, *revision), *snapshot, "{} at {revision}", history.name);
        }
    }
    assert_eq!(verify_store(&log).unwrap().len(), HISTORIES.len());
}
