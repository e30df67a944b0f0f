//! The contract for the log in a `SQLite` file, and what is true of that one alone: its folder, its forms, its faults.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rusqlite::Connection;
use tempfile::TempDir;
use tenure::domain::model::time::Revision;
use tenure::log::sqlite::SqliteLog;
use tenure::log::{
    Append, Directories, EventLog, LogError, Outcome, ReadJournal, SideWrite, SnapshotStore, Store, TreeStore,
};

use super::clauses::contract;
use super::support::{
    ALL_READS, StoreFixture, answer, appended, at, claim, command, credential, part, read, read_all, recorded, scope,
    side_writes, verify, with, workspace,
};

pub(crate) struct SqliteStore(TempDir);

impl SqliteStore {
    fn folder(&self) -> PathBuf {
        self.0.path().join("data")
    }

    /// The file as any program may open it: for faults, and for a look beside the log.
    fn raw(&self) -> Connection {
        Connection::open(self.folder().join("tenure.db")).unwrap()
    }
}

impl StoreFixture for SqliteStore {
    type Log = SqliteLog;

    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn open(&self) -> SqliteLog {
        SqliteLog::open(&self.folder()).unwrap()
    }
}

contract! { SqliteStore }

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn why(error: LogError) -> String {
    let LogError::Unavailable(why) = error else { panic!("{error}") };
    why
}

#[test]
fn only_the_owner_can_read_the_data_folder_and_a_backup() {
    let store = SqliteStore::new();
    let log = store.open();
    appended(&log, part(1, 0, 1, 1));
    let backup = store.0.path().join("backup.db");
    log.backup(&backup).unwrap();
    assert_eq!(mode(&store.folder()), 0o700);
    assert_eq!(mode(&backup), 0o600);
    for file in ["tenure.db", "tenure.db-wal", "tenure.db-shm", "tenure.lock"] {
        assert_eq!(mode(&store.folder().join(file)), 0o600, "{file}");
    }
}

#[test]
fn a_folder_is_opened_by_one_log_at_a_time() {
    let store = SqliteStore::new();
    let log = store.open();
    let error = SqliteLog::open(&store.folder()).unwrap_err();
    assert!(matches!(&error, LogError::Locked(folder) if Path::new(folder) == store.folder()), "{error}");
    log.reopen().unwrap();
    assert!(matches!(SqliteLog::open(&store.folder()), Err(LogError::Locked(_))), "a reopened log keeps the folder");
    drop(log);
    store.open();
}

#[test]
fn a_closed_log_is_one_file_and_takes_nothing_until_it_is_reopened() {
    let store = SqliteStore::new();
    let log = store.open();
    appended(&log, part(1, 0, 1, 1));
    read_all(&log, 1);
    for _ in 0..2 {
        log.close().unwrap();
        assert!(!store.folder().join("tenure.db-wal").exists());
    }
    assert!(why(log.append(&[part(1, 1, 1, 2)]).unwrap_err()).contains("it was closed"));
    assert!(why(log.keep_snapshot(workspace(1), b"").unwrap_err()).contains("it was closed"));
    assert_eq!(read_all(&log, 1).len(), 1);
    log.reopen().unwrap();
    appended(&log, part(1, 1, 1, 2));
    verify(&log);
}

#[test]
fn a_log_that_someone_still_reads_says_so_when_it_is_closed_and_loses_nothing() {
    let store = SqliteStore::new();
    let log = store.open();
    appended(&log, part(1, 0, 1, 1));
    let raw = store.raw();
    raw.execute_batch("BEGIN; SELECT count(*) FROM events").unwrap();
    appended(&log, part(1, 1, 1, 2));
    let why = why(log.close().unwrap_err());
    assert!(why.contains("tenure.db-wal` could not be emptied") && why.contains("still reads the store"), "{why}");
    drop((log, raw));
    assert_eq!(read_all(&store.open(), 1).len(), 2);
}

#[test]
fn a_store_that_a_newer_tenure_wrote_is_refused_and_left_alone() {
    let store = SqliteStore::new();
    appended(&store.open(), part(1, 0, 1, 1));
    store.raw().pragma_update(None, "user_version", 9_999).unwrap();
    for opened in [SqliteLog::open(&store.folder()), SqliteLog::attach(&store.folder())] {
        let why = why(opened.unwrap_err());
        assert!(why.contains("schema version 9999") && why.contains("newer tenure"), "{why}");
    }
    let version: i64 = store.raw().pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
    assert_eq!(version, 9_999);
}

/// Another version than the tables have, in either direction, is no reason for a message of the database.
#[test]
fn a_store_whose_version_was_altered_is_refused_in_one_sentence_and_left_alone() {
    let store = SqliteStore::new();
    appended(&store.open(), part(1, 0, 1, 1));
    let version = |number: i64| store.raw().pragma_update(None, "user_version", number).unwrap();
    for number in 0..7 {
        version(number);
        let why = why(SqliteLog::open(&store.folder()).unwrap_err());
        assert!(why.contains(&format!("says that it has schema version {number}")), "{why}");
        let is_sql = ["CREATE", "DROP", "no such", "already exists"].iter().any(|word| why.contains(word));
        assert!(why.contains("restore it from a backup") && !is_sql, "{why}");
    }
    version(7);
    assert_eq!(read_all(&store.open(), 1).len(), 1);
    for table in ["cursor_key", "log_keys", "credential_uses"] {
        let store = SqliteStore::new();
        appended(&store.open(), part(1, 0, 1, 1));
        store.raw().execute_batch(&format!("DROP TABLE {table}")).unwrap();
        let why = why(SqliteLog::open(&store.folder()).unwrap_err());
        assert!(why.contains("says that it has schema version 7, and its tables are not those of it"), "{why}");
    }
}

/// The first form that a store had, with a log of one event in it.
fn store_of_the_first_form() -> SqliteStore {
    let store = SqliteStore::new();
    fs::create_dir(store.folder()).unwrap();
    let raw = store.raw();
    raw.execute_batch(include_str!("../../../src/log/migrations/0001_events_and_directories.sql")).unwrap();
    raw.pragma_update(None, "user_version", 1).unwrap();
    let id = workspace(1).uuid().as_bytes().to_vec();
    raw.execute("INSERT INTO workspaces (id) VALUES (?1)", [&id]).unwrap();
    raw.execute("INSERT INTO events (workspace, revision, event) VALUES (?1, 1, x'7b7d')", [&id]).unwrap();
    raw.execute("INSERT INTO names (name, workspace) VALUES ('acme', ?1)", [&id]).unwrap();
    store
}

#[test]
fn a_store_of_an_older_form_is_migrated_and_loses_nothing() {
    let store = store_of_the_first_form();
    let backup = store.0.path().join("backup.db");
    SqliteLog::attach(&store.folder()).unwrap().backup(&backup).unwrap();
    for _ in 0..2 {
        let log = store.open();
        assert_eq!(read_all(&log, 1)[0].bytes, b"{}");
        assert_eq!(log.workspace_named("acme").unwrap(), Some(workspace(1)));
    }
    let log = store.open();
    appended(&log, with(part(1, 1, 1, 2), [recorded(read(1, 1))]));
    assert_eq!(log.reads(workspace(1), &ALL_READS, 9).unwrap().len(), 1);
    verify(&log);
    let version = |file: &Path| -> i64 {
        Connection::open(file).unwrap().pragma_query_value(None, "user_version", |row| row.get(0)).unwrap()
    };
    assert_eq!(version(&store.folder().join("tenure.db")), 7);
    assert_eq!(version(&backup), 1, "a backup from before is in the form from before");
}

/// A place of the feed in the second form: position, workspace, revision, command, bytes.
type Row = (i64, Vec<u8>, i64, Option<Vec<u8>>, Vec<u8>);

/// The second form, which knew no trees, with the logs of two workspaces in each other's midst, the first of 600 events.
fn store_of_the_second_form() -> (SqliteStore, Vec<Row>) {
    let store = SqliteStore::new();
    fs::create_dir(store.folder()).unwrap();
    let mut raw = store.raw();
    raw.execute_batch(include_str!("../../../src/log/migrations/0001_events_and_directories.sql")).unwrap();
    raw.execute_batch(include_str!("../../../src/log/migrations/0002_audit_reads.sql")).unwrap();
    raw.pragma_update(None, "user_version", 2).unwrap();
    let ids = [1, 2].map(|number| workspace(number).uuid().as_bytes().to_vec());
    let mut heads = [0, 0];
    let rows = (1..=700_i64).map(|position| {
        let stream = usize::from(position % 7 == 3);
        heads[stream] += 1;
        let by = command(position.unsigned_abs().into()).uuid().as_bytes().to_vec();
        let bytes = format!("{{\"n\":{position}}}").repeat(stream * 90 + 1).into_bytes();
        (position, ids[stream].clone(), heads[stream], (position % 2 == 1).then_some(by), bytes)
    });
    let rows: Vec<Row> = rows.collect();
    let transaction = raw.transaction().unwrap();
    for id in &ids {
        transaction.execute("INSERT INTO workspaces (id) VALUES (?1)", [id]).unwrap();
    }
    let sql = "INSERT INTO events (position, workspace, revision, command, event) VALUES (?1, ?2, ?3, ?4, ?5)";
    for (position, id, revision, by, bytes) in &rows {
        transaction.execute(sql, (position, id, revision, by, bytes)).unwrap();
    }
    transaction.commit().unwrap();
    (store, rows)
}

#[test]
fn a_store_from_before_there_were_trees_gets_them_and_its_events_stay_as_they_are() {
    let (store, expected) = store_of_the_second_form();
    for _ in 0..2 {
        let log = store.open();
        verify(&log);
        let raw = store.raw();
        let sql = "SELECT position, workspace, revision, event FROM events ORDER BY position";
        let mut select = raw.prepare(sql).unwrap();
        let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)));
        let rows: Vec<(i64, Vec<u8>, i64, Vec<u8>)> = rows.unwrap().map(Result::unwrap).collect();
        let kept = |row: &Row| (row.0, row.1.clone(), row.2, row.4.clone());
        assert_eq!(rows, expected.iter().map(kept).collect::<Vec<_>>());
        let looked_up = |sql: &str| raw.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
        assert_eq!(looked_up("SELECT count(*) FROM pragma_table_info('events') WHERE name = 'command'"), 0);
    }
    let log = store.open();
    let done = log.append(&[part(1, 600, 200, 9_001), part(2, 100, 1, 9_002)]).unwrap();
    assert_eq!(done.outcomes, [Outcome::Appended, Outcome::Appended]);
    assert_eq!(done.trees.values().map(|tree| tree.size).collect::<Vec<_>>(), [800, 101]);
    assert_eq!(log.feed(700, 1).unwrap()[0].position, 701);
    verify(&log);
    for sql in [
        "UPDATE events SET event = x'00'",
        "DELETE FROM events",
        "UPDATE tile_hashes SET hash = x'00'",
        "DELETE FROM tile_hashes",
    ] {
        let error = store.raw().execute_batch(sql).unwrap_err().to_string();
        assert!(error.contains("is never"), "{sql}: {error}");
    }
}

#[test]
fn the_store_itself_refuses_to_change_or_delete_a_read() {
    let store = SqliteStore::new();
    let log = store.open();
    let ended = tenure::log::journal::ReadRecord { rows: Some(1), ..read(1, 1) };
    appended(&log, side_writes(1, [recorded(ended), recorded(read(2, 1))]));
    for sql in [
        "UPDATE audit_reads SET reader = 'user:mallory'",
        "UPDATE audit_reads SET query = '', rows = 2 WHERE rows IS NULL",
        "UPDATE audit_reads SET rows = NULL",
        "DELETE FROM audit_reads WHERE rows IS NULL",
    ] {
        let error = store.raw().execute_batch(sql).unwrap_err().to_string();
        let why =
            if sql.starts_with("DELETE") { "a read is pruned after all that are older" } else { "a read is never" };
        assert!(error.contains(why), "{sql}: {error}");
    }
    assert_eq!(log.reads(workspace(1), &ALL_READS, 9).unwrap().len(), 2);
}

#[test]
fn a_page_of_reads_is_found_by_its_workspace() {
    let store = SqliteStore::new();
    drop(store.open());
    let sql = "EXPLAIN QUERY PLAN SELECT id FROM audit_reads WHERE workspace = x'00' AND sequence > 1 AND sequence <= 9 \
               ORDER BY sequence LIMIT 3";
    let plan: String = store.raw().query_row(sql, [], |row| row.get(3)).unwrap();
    assert!(plan.contains("audit_reads_by_workspace (workspace=? AND sequence>? AND sequence<?)"), "{plan}");
}

#[test]
fn a_file_that_is_no_store_is_refused() {
    let store = SqliteStore::new();
    fs::create_dir(store.folder()).unwrap();
    fs::write(store.folder().join("tenure.db"), [b'x'; 4_096]).unwrap();
    let why = why(SqliteLog::open(&store.folder()).unwrap_err());
    assert!(why.contains("tenure.db") && why.contains("not a database"), "{why}");
}

#[test]
fn a_log_is_attached_for_reading_while_it_is_open_and_after() {
    let store = SqliteStore::new();
    let log = store.open();
    appended(&log, with(part(1, 0, 2, 1), [claim("acme")]));
    let attached = SqliteLog::attach(&store.folder()).unwrap();
    appended(&log, part(1, 2, 1, 2));
    assert_eq!(read_all(&attached, 1).len(), 3, "what is appended later is seen too");
    assert!(why(attached.append(&[part(1, 3, 1, 3)]).unwrap_err()).contains("reading only"));
    attached.reopen().unwrap();
    assert!(why(attached.append(&[]).unwrap_err()).contains("reading only"));
    drop(log);
    let attached = SqliteLog::attach(&store.folder()).unwrap();
    assert_eq!(attached.workspace_named("acme").unwrap(), Some(workspace(1)));
    verify(&attached);
}

#[test]
fn nothing_is_attached_where_there_is_no_store() {
    let empty = tempfile::tempdir().unwrap();
    let why = why(SqliteLog::attach(empty.path()).unwrap_err());
    assert!(why.contains("there is no `") && why.contains("tenure.db"), "{why}");
    assert_eq!(fs::read_dir(empty.path()).unwrap().count(), 0, "and nothing is made there");
}

#[test]
fn a_backup_opens_as_the_log_that_it_was_taken_from() {
    let store = SqliteStore::new();
    let log = store.open();
    appended(&log, with(part(1, 0, 3, 1), [claim("acme"), recorded(read(1, 1))]));
    let restored = SqliteStore::new();
    fs::create_dir(restored.folder()).unwrap();
    SqliteLog::attach(&store.folder()).unwrap().backup(&restored.folder().join("tenure.db")).unwrap();
    appended(&log, part(1, 3, 1, 2));
    let restored = restored.open();
    assert_eq!(read_all(&restored, 1), read_all(&log, 1)[..3]);
    assert_eq!(restored.workspace_named("acme").unwrap(), Some(workspace(1)));
    assert_eq!(restored.reads(workspace(1), &ALL_READS, 9).unwrap()[0].record, read(1, 1));
    appended(&restored, part(1, 3, 1, 3));
    verify(&restored);
}

#[test]
fn reads_do_not_wait_for_a_transaction_that_is_open() {
    let store = SqliteStore::new();
    let log = store.open();
    appended(&log, part(1, 0, 1, 1));
    let writer = store.raw();
    writer.execute_batch("BEGIN IMMEDIATE; INSERT INTO workspaces (id) VALUES (zeroblob(16))").unwrap();
    assert_eq!(log.workspaces(None, 10).unwrap(), [workspace(1)]);
    assert_eq!(read_all(&log, 1).len(), 1);
    writer.execute_batch("ROLLBACK").unwrap();
}

#[test]
fn a_part_that_fails_takes_the_whole_group_with_it() {
    let store = SqliteStore::new();
    let log = store.open();
    appended(&log, part(1, 0, 1, 1));
    store
        .raw()
        .execute_batch("CREATE TRIGGER fault BEFORE INSERT ON credentials BEGIN SELECT RAISE(ABORT, 'a fault'); END")
        .unwrap();
    let failing = with(part(2, 0, 1, 3), [claim("acme"), SideWrite::AddCredential(credential(1, workspace(2)))]);
    assert_eq!(why(log.append(&[part(1, 1, 1, 2), failing.clone()]).unwrap_err()), "a fault");
    assert_eq!(log.head(workspace(1)).unwrap(), Some(Revision(1)));
    assert_eq!(log.workspace_named("acme").unwrap(), None);

    store.raw().execute_batch("DROP TRIGGER fault").unwrap();
    assert_eq!(log.append(&[part(1, 1, 1, 2), failing]).unwrap().outcomes, [Outcome::Appended, Outcome::Appended]);
    verify(&log);
}

#[test]
fn a_commit_that_fails_and_can_be_rolled_back_wrote_nothing() {
    let store = SqliteStore::new();
    let log = store.open();
    // A broken foreign key that is looked at only when the transaction commits.
    store
        .raw()
        .execute_batch(
            "CREATE TABLE broken (id BLOB REFERENCES workspaces (id) DEFERRABLE INITIALLY DEFERRED);
             CREATE TRIGGER fault AFTER INSERT ON events BEGIN INSERT INTO broken VALUES (x'00'); END",
        )
        .unwrap();
    assert_eq!(why(log.append(&[part(1, 0, 1, 1)]).unwrap_err()), "FOREIGN KEY constraint failed");
    store.raw().execute_batch("DROP TRIGGER fault").unwrap();
    assert_eq!(log.head(workspace(1)).unwrap(), None);
    appended(&log, part(1, 0, 1, 2));
    verify(&log);
}

#[test]
fn the_store_itself_refuses_to_change_or_delete_an_event() {
    let store = SqliteStore::new();
    appended(&store.open(), part(1, 0, 2, 1));
    for sql in ["UPDATE events SET event = x'00'", "DELETE FROM events WHERE revision = 2"] {
        let error = store.raw().execute_batch(sql).unwrap_err().to_string();
        assert!(error.contains("an event is never"), "{error}");
    }
    assert_eq!(read_all(&store.open(), 1).len(), 2);
}

#[test]
fn an_erased_profile_is_not_left_in_the_file() {
    let store = SqliteStore::new();
    let log = store.open();
    let profile = tenure::domain::model::command::Profile { name: "Rumpelstilzchen".parse().ok(), email: None };
    let in_file = || {
        let bytes = fs::read(store.folder().join("tenure.db")).unwrap();
        bytes.windows(15).any(|window| window == b"Rumpelstilzchen")
    };
    appended(&log, side_writes(1, [SideWrite::SetProfile("alice".parse().unwrap(), profile)]));
    log.reopen().unwrap();
    assert!(in_file());
    appended(&log, side_writes(1, [SideWrite::EraseProfile("alice".parse().unwrap())]));
    log.reopen().unwrap();
    assert!(!in_file());
}

/// Tells a test that it runs in a process of its own, and on which data folder.
const CHILD_FOLDER: &str = "TENURE_TEST_CHILD_FOLDER";

/// Runs one of the tests below in a process of its own, which `shell` says how to start.
fn child(shell: &str, test: &str, store: &SqliteStore) -> Command {
    let mut command = Command::new("sh");
    command
        .args(["-c", shell])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(CHILD_FOLDER, store.folder());
    command
}

fn opened_in_child() -> Option<SqliteLog> {
    std::env::var_os(CHILD_FOLDER).map(|folder| SqliteLog::open(Path::new(&folder)).unwrap())
}

/// A part of one event, whose command and kept answer have the number of its revision.
fn numbered(revision: u64) -> Append {
    let kept = SideWrite::KeepIdempotencyRecord(answer("ws", &revision.to_string(), 1));
    with(part(1, revision - 1, 1, u128::from(revision)), [kept])
}

/// Returns whether the part of [`numbered`] is stored; all queries must agree.
fn is_there(log: &SqliteLog, revision: u64) -> bool {
    let kept = log.idempotency_record(&scope("ws"), &revision.to_string(), at(0)).unwrap().is_some();
    assert_eq!(kept, log.holds(&numbered(revision)).unwrap());
    assert_eq!(kept, log.head(workspace(1)).unwrap() >= Some(Revision(revision)));
    kept
}

#[test]
fn child_appends_until_the_disk_is_full_and_goes_on_after_reopening() {
    let Some(log) = opened_in_child() else { return };
    let (revision, error) = (1..100_000)
        .find_map(|revision| log.append(&[numbered(revision)]).err().map(|error| (revision, error)))
        .expect("the disk is full at some time");
    assert!(matches!(error, LogError::OutcomeUnknown(_)), "{error}");
    assert!(why(log.append(&[part(2, 0, 1, 1)]).unwrap_err()).contains("reopened first"));
    assert!(is_there(&log, revision - 1), "what was acknowledged can be read all the time");

    log.reopen().unwrap();
    assert!(is_there(&log, revision - 1));
    let next = if is_there(&log, revision) { revision + 1 } else { revision };
    appended(&log, numbered(next));
    assert!(!is_there(&log, next + 1));
}

#[test]
fn a_full_disk_loses_nothing_that_was_acknowledged() {
    let store = SqliteStore::new();
    // A limit on the size of files simulates the full disk. A block of the shell has 512 or 1,024 bytes.
    let shell = "trap '' XFSZ; ulimit -f 1000; exec \"$0\" \"$@\"";
    let test = "log_contract::sqlite::child_appends_until_the_disk_is_full_and_goes_on_after_reopening";
    assert!(child(shell, test, &store).stdout(Stdio::null()).status().unwrap().success());
    let log = store.open();
    let head = log.head(workspace(1)).unwrap().unwrap().0;
    assert!((1..=head).all(|revision| is_there(&log, revision)));
    verify(&log);
}

#[test]
fn child_appends_until_it_is_killed() {
    let Some(log) = opened_in_child() else { return };
    for revision in 1.. {
        appended(&log, numbered(revision));
        writeln!(std::io::stdout(), "acknowledged {revision}").unwrap();
    }
}

#[test]
fn a_killed_process_loses_nothing_that_was_acknowledged_and_leaves_nothing_by_half() {
    let store = SqliteStore::new();
    let mut child = child("exec \"$0\" \"$@\"", "log_contract::sqlite::child_appends_until_it_is_killed", &store)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let said = lines.find(|line| line.as_ref().unwrap() == "acknowledged 100").is_some();
    assert!(matches!(SqliteLog::open(&store.folder()), Err(LogError::Locked(_))), "another process has the folder");
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(said);

    let last = lines.map_while(Result::ok).filter_map(|line| line.strip_prefix("acknowledged ")?.parse().ok()).last();
    let log = store.open();
    let head = log.head(workspace(1)).unwrap().unwrap().0;
    assert!(head >= last.unwrap_or(100), "{head}, and {last:?} was acknowledged");
    assert!((1..=head).all(|revision| is_there(&log, revision)));
    assert!(!is_there(&log, head + 1));
    appended(&log, numbered(head + 1));
    verify(&log);
}

/// Alters the store behind the back of the log.
fn alter(store: &SqliteStore, sql: &str) {
    let raw = store.raw();
    for table in ["events", "tile_hashes"] {
        raw.execute_batch(&format!("DROP TRIGGER {table}_are_never_updated")).unwrap();
    }
    raw.execute_batch(sql).unwrap();
}

#[test]
fn an_event_whose_bytes_are_not_those_of_its_leaf_is_never_given() {
    for sql in [
        "UPDATE events SET event = CAST(event || ' ' AS BLOB) WHERE revision = 2",
        "UPDATE events SET leaf = (SELECT leaf FROM events WHERE revision = 1) WHERE revision = 2",
    ] {
        let store = SqliteStore::new();
        let log = store.open();
        appended(&log, part(1, 0, 3, 1));
        appended(&log, part(2, 0, 1, 2));
        alter(&store, sql);
        assert_eq!(log.read(workspace(1), Revision::ZERO, 1).unwrap().len(), 1, "those before it are");
        let mut given = Vec::new();
        let visited = log.visit(workspace(1), Revision::ZERO, 9, &mut |event| {
            given.push(event.revision);
            Ok(())
        });
        for refused in [visited, log.feed(0, 9).map(drop), log.holds(&part(1, 1, 2, 1)).map(drop)] {
            let LogError::Unreadable { workspace: whose, revision, why } = refused.unwrap_err() else { panic!() };
            assert_eq!((whose, revision), (workspace(1), Revision(2)));
            assert!(why.contains("the hash of its bytes is"), "{why}");
        }
        assert_eq!(given, [Revision(1)]);
        assert_eq!(read_all(&log, 2).len(), 1, "another workspace's are");
    }
}

#[test]
fn a_damaged_edge_is_neither_given_nor_appended_to_and_the_others_of_the_group_are() {
    for sql in [
        "UPDATE trees SET frontier = zeroblob(length(frontier))",
        "UPDATE trees SET size = size + 1",
        "UPDATE events SET leaf = zeroblob(32) WHERE revision = 300",
        "UPDATE tile_hashes SET hash = zeroblob(32)",
    ] {
        let store = SqliteStore::new();
        let log = store.open();
        appended(&log, part(1, 0, 400, 1));
        alter(&store, sql);
        assert!(matches!(log.tree(workspace(1)), Err(LogError::Unreadable { .. })), "{sql}");
        let group = [part(1, 400, 1, 2), part(2, 0, 1, 3), side_writes(1, [claim("acme")])];
        let outcomes = log.append(&group).unwrap().outcomes;
        assert_eq!(outcomes, [Outcome::Damaged, Outcome::Appended, Outcome::Appended], "{sql}");
        assert_eq!(log.head(workspace(1)).unwrap(), Some(Revision(400)));
    }
}

#[test]
fn a_checkpoint_that_is_kept_comes_back_and_takes_the_place_of_the_one_before() {
    let store = SqliteStore::new();
    let log = store.open();
    appended(&log, part(1, 0, 1, 1));
    assert_eq!(log.kept_checkpoint(workspace(1)).unwrap(), None);
    for note in ["first", "second"] {
        log.keep_checkpoint(workspace(1), note.as_bytes()).unwrap();
        assert_eq!(log.kept_checkpoint(workspace(1)).unwrap(), Some(note.as_bytes().to_vec()));
        assert_eq!(log.kept_checkpoint(workspace(2)).unwrap(), None);
    }
    let [_, name] = log.witness_names(workspace(1));
    assert_eq!(mode(&store.folder().join(&name)), 0o600);
    drop(log);
    let attached = SqliteLog::attach(&store.folder()).unwrap();
    assert_eq!(attached.kept_checkpoint(workspace(1)).unwrap(), Some(b"second".to_vec()));
    assert!(why(attached.keep_checkpoint(workspace(1), b"third").unwrap_err()).contains("reading only"));
}
