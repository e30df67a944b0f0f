//! Torn pages. Unacknowledged changes are absent. If acknowledged ones are lost, the log is whole up to a command, or
//! reports its damage; it never answers as a different log.

use std::fs;
use std::path::Path;

use tempfile::TempDir;
use tenure::domain::model::id::WorkspaceId;
use tenure::domain::model::role::{EnvironmentRole, WorkspaceRole};
use tenure::domain::model::time::Revision;
use tenure::log::sqlite::SqliteLog;
use tenure::log::{Directories, EventLog, LogError, Store};
use tenure::proof::checkpoint::Checkpoint;

use super::every_call::found;
use super::life::{Life, open, run, state, verify_all, verify_published};
use super::process::Process;
use crate::support::commands::{add_member, create_environment, create_restricted, enable_rbac, grant};

const BATCHES: usize = 6;
const BATCH: usize = 3;
const PAGE_BYTES: usize = 4_096;
/// A frame of the WAL is a page after a header of 24 bytes; before the first one there are 32 bytes.
const FRAME_BYTES: usize = PAGE_BYTES + 24;

/// The folder of a server that was killed, with all that it acknowledged in the WAL.
fn killed() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::start(folder.path());
    server.found();
    for batch in 0..BATCHES {
        server.add(&format!("batch{batch}"), BATCH).expect(200);
    }
    server.kill();
    folder
}

/// The files of a store, the WAL with other bytes.
fn with_wal(folder: &Path, wal: &[u8]) -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    fs::copy(folder.join("tenure.db"), copy.path().join("tenure.db")).unwrap();
    fs::write(copy.path().join("tenure.db-wal"), wal).unwrap();
    copy
}

fn acme(log: &SqliteLog) -> Option<(WorkspaceId, u64)> {
    let id = log.workspace_named("acme").unwrap()?;
    Some((id, log.head(id).unwrap().unwrap().0))
}

/// The revisions at which the log ends after a command: the workspace's creation, and each batch.
fn ends() -> Vec<u64> {
    (0..=BATCHES).map(|batches| u64::try_from(4 + batches * BATCH).unwrap()).collect()
}

#[test]
fn after_a_kill_acknowledged_changes_are_stored_and_unfinished_ones_are_not() {
    let folder = killed();
    let wal = fs::read(folder.path().join("tenure.db-wal")).unwrap();
    let last = &wal[wal.len() - FRAME_BYTES..];
    let unfinished: [&[u8]; 4] = [&last[..10], &last[..FRAME_BYTES / 2], last, &[0; 3 * FRAME_BYTES]];
    for torn in unfinished {
        let copy = with_wal(folder.path(), &[&wal, torn].concat());
        let server = Process::start(copy.path());
        for batch in 0..BATCHES {
            server.get(&format!("/v1/workspaces/acme/members/batch{batch}-{}", BATCH - 1)).expect(200);
        }
        server.add("more", BATCH).expect(200);
        server.stop();
        verify_all(&open(copy.path()));
    }
}

/// No crash does this: a disk that lost what it had said was written does.
#[test]
fn a_wal_that_lost_its_end_leaves_whole_commands_and_a_kept_checkpoint_tells() {
    let folder = killed();
    let wal = fs::read(folder.path().join("tenure.db-wal")).unwrap();
    let whole = with_wal(folder.path(), &wal);
    let log = open(whole.path());
    let (id, head) = acme(&log).unwrap();
    let kept: Checkpoint = verify_published(&log, id, None).unwrap();
    assert_eq!(head, *ends().last().unwrap());
    let mut found = Vec::new();
    for length in (0..wal.len()).step_by(FRAME_BYTES / 2) {
        let copy = with_wal(folder.path(), &wal[..length]);
        let log = open(copy.path());
        let Some((id, head)) = acme(&log) else { continue };
        assert!(ends().contains(&head), "half a command: {head}");
        verify_all(&log);
        assert_eq!(verify_published(&log, id, Some(&kept)).is_ok(), head == kept.tree().size);
        found.push(head);
    }
    assert!(found.is_sorted() && found.first() < found.last(), "{found:?}");
}

/// A store with all pages in one file, and the state that it holds.
async fn closed() -> (TempDir, WorkspaceId, String) {
    let mut life = Life::new(None, &[]);
    life.done(&[found("acme"), enable_rbac()], None).await;
    for n in 0..40 {
        let (user, environment) = (format!("user-{n}"), format!("environment-{n}"));
        let grants = [grant(&format!("user:{user}"), EnvironmentRole::Contributor)];
        let member = add_member(&user, WorkspaceRole::Member);
        let restricted = create_restricted(&environment, EnvironmentRole::NoAccess, grants);
        life.done(&[member, restricted, create_environment(&format!("open-{n}"))], None).await;
    }
    let (id, state) = (life.id.unwrap(), state(&life.served().await));
    let folder = tempfile::tempdir().unwrap();
    life.log.store.backup(&folder.path().join("tenure.db")).unwrap();
    life.service.stop().await.unwrap();
    (folder, id, state)
}

/// The outcome of a damaged store.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    /// It cannot be opened.
    Refused(String),
    /// It can, and its log cannot be read.
    Damaged(String),
    /// The workspace is served in this state.
    Served(String),
}

/// Opens a damaged store as a server does, and asks for the workspace.
fn ask(folder: TempDir, id: WorkspaceId) -> Found {
    let log = match SqliteLog::open(folder.path()) {
        Ok(log) => log,
        Err(LogError::Unavailable(why)) => return Found::Refused(why),
        Err(other) => panic!("{other}"),
    };
    drop(log);
    run(async {
        let life = Life::on(folder, None, &[]);
        let found = match life.service.workspace(id).await {
            Ok(Some(root)) => Found::Served(state(&root)),
            Ok(None) => Found::Served("there is no such workspace".to_owned()),
            Err(LogError::Unavailable(why)) => Found::Damaged(why),
            Err(error @ LogError::Unreadable { .. }) => Found::Damaged(error.to_string()),
            Err(other) => panic!("{other}"),
        };
        life.service.stop().await.unwrap();
        found
    })
}

/// The damages of a page: its second half, its first half or all of it is lost, or its second half is of another page.
fn torn(page: usize, whole: &[u8]) -> [Vec<u8>; 4] {
    let start = page * PAGE_BYTES;
    let middle = start + PAGE_BYTES / 2;
    let zeroed = |range: std::ops::Range<usize>| {
        let mut bytes = whole.to_vec();
        bytes[range].fill(0);
        bytes
    };
    let mut mixed = whole.to_vec();
    let other = whole[whole.len() - PAGE_BYTES / 2..].to_vec();
    mixed[middle..start + PAGE_BYTES].copy_from_slice(&other);
    [zeroed(middle..start + PAGE_BYTES), zeroed(start..middle), zeroed(start..start + PAGE_BYTES), mixed]
}

#[test]
fn whichever_page_is_torn_the_workspace_is_served_as_it_is_or_not_at_all() {
    let (folder, id, expected) = run(closed());
    let whole = fs::read(folder.path().join("tenure.db")).unwrap();
    let pages = whole.len() / PAGE_BYTES;
    let mut damaged = 0;
    let cut = [whole[..whole.len() - PAGE_BYTES / 2].to_vec(), whole[..whole.len() - PAGE_BYTES].to_vec()];
    for (nth, bytes) in (0..pages).flat_map(|page| torn(page, &whole)).chain(cut).enumerate() {
        let copy = tempfile::tempdir().unwrap();
        fs::write(copy.path().join("tenure.db"), &bytes).unwrap();
        match ask(copy, id) {
            Found::Served(state) => {
                assert!(state == expected, "page {}, torn in way {}: another state", nth / 4, nth % 4);
            }
            Found::Refused(why) => assert!(why.contains("tenure.db") && !why.contains('\n'), "{why}"),
            Found::Damaged(why) => {
                damaged += 1;
                assert!(!why.is_empty() && !why.contains('\n'), "{why}");
            }
        }
    }
    assert!(damaged > pages / 4, "{damaged} of {pages} pages matter");
}

/// A log whose newest events are lost, though its tree has them.
#[test]
fn a_log_that_ends_before_its_tree_is_not_served() {
    let (folder, id, _) = run(closed());
    let store = rusqlite::Connection::open(folder.path().join("tenure.db")).unwrap();
    store.execute_batch("DROP TRIGGER events_are_never_deleted; DELETE FROM events WHERE revision > 50").unwrap();
    drop(store);
    let Found::Damaged(why) = ask(folder, id) else { panic!("it is served") };
    assert!(why.contains(&id.to_string()) && why.contains(&Revision(51).to_string()), "{why}");
}
