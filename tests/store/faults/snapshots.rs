//! Snapshots that cannot be read, written or removed: they can be made again, so a workspace is served all the same.

use std::path::Path;
use std::sync::Arc;

use tempfile::TempDir;
use tenure::domain::model::event::Event;
use tenure::domain::model::id::WorkspaceId;
use tenure::domain::model::role::WorkspaceRole;
use tenure::domain::model::time::Revision;
use tenure::log::{Append, EventLog, SnapshotStore, codec};

use super::faulty::Fault;
use super::life::{Life, open, run};
use crate::support::commands::add_member;
use crate::support::history::{SMALL, Writer};

/// More events than a log must have for a snapshot.
const LONG: usize = 5_100;

/// A folder with a long log, and whose it is.
fn long_log() -> (TempDir, WorkspaceId) {
    let folder = tempfile::tempdir().unwrap();
    let events: Vec<Arc<Event>> = Writer::new(SMALL, 3).events(LONG);
    let workspace = events[0].workspace;
    let bytes = events.iter().map(|event| codec::encode(event).unwrap()).collect();
    let part = Append { workspace, expected: Revision::ZERO, events: bytes, side_writes: Vec::new() };
    open(folder.path()).append(&[part]).unwrap();
    (folder, workspace)
}

fn copy_of(folder: &Path) -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    std::fs::copy(folder.join("tenure.db"), copy.path().join("tenure.db")).unwrap();
    copy
}

/// Loads the workspace twice, and changes it in between; the first time a snapshot is written, the second time one is read.
async fn load_twice(folder: &Path, id: WorkspaceId, fault: Option<Fault>, broken: &'static [&'static str]) -> bool {
    let mut life = Life::on(copy_of(folder), fault, &[]);
    life.id = Some(id);
    life.log.break_calls(broken);
    life.agrees().await;
    // Written in the background; not at all where that fails.
    while life.log.store.snapshot(id).unwrap().is_none() && !life.log.struck() && broken.is_empty() {
        tokio::task::yield_now().await;
    }
    life.done(&[add_member("new", WorkspaceRole::Member)], None).await;
    life.restart().await;
    life.agrees().await;
    life.done(&[add_member("newer", WorkspaceRole::Member)], None).await;
    life.service.stop().await.unwrap();
    life.agrees().await;
    life.log.struck()
}

#[test]
fn a_workspace_is_loaded_whichever_call_fails_meanwhile() {
    let (folder, id) = long_log();
    let survived = (1..1_000).find(|n| !run(load_twice(folder.path(), id, Some(Fault::Call(*n)), &[])));
    assert!(survived.unwrap() > 15, "a load makes as many calls");
}

#[test]
fn a_workspace_is_served_from_its_log_while_snapshots_can_be_neither_read_nor_written() {
    let (folder, id) = long_log();
    run(load_twice(folder.path(), id, None, &["snapshot", "keep_snapshot", "forget_snapshot"]));
}
