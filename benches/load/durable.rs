//! The cost of durability without HTTP: the disk alone, `SQLite` alone, and the service in this process.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rusqlite::{Connection, params};
use tenure::clock::SystemClock;
use tenure::domain::model::command::{
    AddMember, Command, CreateEnvironment, CreateWorkspace, EnableRbac, GrantExpiry, SetGrant,
};
use tenure::domain::model::id::WorkspaceId;
use tenure::domain::model::principal::Caller;
use tenure::log::sqlite::SqliteLog;
use tenure::proof::checkpoint::Signer;
use tenure::proof::note::{LogKey, Origin};
use tenure::service::id_generator::{RandomIdGenerator, Secret};
use tenure::service::submission::{Submission, SubmitOutcome};
use tenure::service::{Quotas, Service, Settings};

use crate::Extent;
use crate::table::{Table, median, per_second, quantiles, ratio};

/// Roughly the bytes that `SQLite` would append to its WAL for one change if it did not write whole pages.
const APPENDED_BYTES: usize = 1_100;
const CALLERS: usize = 64;

/// An event's workspace, revision, leaf and bytes.
type Row = (Vec<u8>, i64, Vec<u8>, Vec<u8>);

const ROWS_A_TRANSACTION: usize = 100;

/// Returns the number of sequential appends with a sync that the disk takes per second in this folder.
pub fn syncs_a_second(folder: &Path, time: Duration) -> f64 {
    let path = folder.join("appended");
    let mut file = File::create(&path).unwrap();
    let (started, mut done) = (Instant::now(), 0);
    while started.elapsed() < time {
        file.write_all(&[b'x'; APPENDED_BYTES]).unwrap();
        file.sync_data().unwrap();
        done += 1;
    }
    std::fs::remove_file(path).unwrap();
    f64::from(done) / started.elapsed().as_secs_f64()
}

/// Measures changes by many callers in this process, beside `SQLite` alone with the same rows.
pub fn submit(extent: Extent) {
    let (mut disk, mut service, mut sqlite) = (Vec::new(), Vec::new(), Vec::new());
    let mut latencies = Vec::new();
    for _ in 0..extent.rounds {
        let folder = tempfile::tempdir().unwrap();
        disk.push(syncs_a_second(folder.path(), extent.time / 3));
        let (rate, times) = submitted(&folder.path().join("service"), extent.time);
        service.push(rate);
        latencies.extend(times);
        sqlite.push(inserted(&folder.path().join("service"), &folder.path().join("sqlite")));
    }
    let [disk, service, sqlite] = [disk, service, sqlite].map(median);
    let mut table =
        Table::new("Durable changes in process, one workspace", &["what", "rate", "ratio", crate::wrk::LATENCIES]);
    table.row(&["append 1,100 bytes and `fdatasync`", &per_second(disk), "", ""]);
    table.row(&["SQLite alone: the same rows, 100 a transaction", &per_second(sqlite), "", ""]);
    let of = format!("{} of SQLite alone", ratio(service, sqlite));
    table.row(&["`Service::submit`, 64 callers", &per_second(service), &of, &quantiles(latencies)]);
    table.print();
}

/// Submits for this long to a service on a new folder; returns the rate, and the time of each change in microseconds.
fn submitted(folder: &Path, time: Duration) -> (f64, Vec<f64>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let log = Arc::new(SqliteLog::open(folder).unwrap());
        let (clock, ids, operator) = (Arc::new(SystemClock), Arc::new(RandomIdGenerator), Secret::new("x".repeat(32)));
        let signer = Signer { key: LogKey::from_seed(&[7; 32]), instance: Origin::default() };
        let settings = Settings {
            log,
            clock,
            ids,
            operator,
            signer,
            clock_settle: Duration::from_mins(1),
            cache_bytes: 64 << 20,
            quotas: Quotas::default(),
        };
        let service = Service::start(settings).unwrap();
        let workspace = workspace(&service).await;
        let (number, started) = (Arc::new(AtomicU32::new(0)), Instant::now());
        let callers: Vec<_> = (0..CALLERS)
            .map(|_| tokio::spawn(call(Arc::clone(&service), workspace, Arc::clone(&number), started + time)))
            .collect();
        let mut times = Vec::new();
        for caller in callers {
            times.extend(caller.await.unwrap());
        }
        let rate = f64::from(u32::try_from(times.len()).unwrap()) / started.elapsed().as_secs_f64();
        service.stop().await.unwrap();
        (rate, times)
    })
}

async fn call(service: Arc<Service>, workspace: WorkspaceId, number: Arc<AtomicU32>, end: Instant) -> Vec<f64> {
    let mut times = Vec::new();
    while Instant::now() < end {
        let number = number.fetch_add(1, Ordering::Relaxed);
        let (minutes, micros) = (number / 1_000_000, number % 1_000_000);
        let started = Instant::now();
        let change = SetGrant {
            environment: "env0".into(),
            principal: format!("user:user{}", number % 100).as_str().into(),
            role: serde_json::from_str("\"contributor\"").unwrap(),
            expires_at: GrantExpiry::At(format!("2999-01-01T00:{minutes:02}:00.{micros:06}Z").parse().unwrap()),
        };
        change_with(&service, Some(workspace), change.into()).await;
        times.push(started.elapsed().as_secs_f64() * 1_000_000.0);
    }
    times
}

async fn change_with(service: &Service, workspace: Option<WorkspaceId>, command: Command) -> WorkspaceId {
    let caller = Caller::Operator;
    let submission = Submission {
        workspace,
        caller,
        commands: vec![command],
        reason: None,
        expected: None,
        idempotency: None,
        bytes: None,
    };
    let SubmitOutcome::Done(accepted) = service.submit(submission).await.unwrap() else { panic!("nothing is kept") };
    accepted.view.workspace().id()
}

async fn workspace(service: &Service) -> WorkspaceId {
    let shape = r#"{"name": "acme", "kind": "shared", "plan": "team", "owner": {"user": "alice"}}"#;
    let create: CreateWorkspace = serde_json::from_str(shape).unwrap();
    let id = change_with(service, None, create.into()).await;
    for person in 0..100 {
        let member: AddMember =
            serde_json::from_str(&format!(r#"{{"user": "user{person}", "role": "member"}}"#)).unwrap();
        change_with(service, Some(id), member.into()).await;
    }
    change_with(service, Some(id), EnableRbac {}.into()).await;
    let place: CreateEnvironment = serde_json::from_str(r#"{"name": "env0", "restricted": true}"#).unwrap();
    change_with(service, Some(id), place.into()).await;
    id
}

/// Inserts the rows that a service wrote into an empty store of the same schema; returns the rows per second.
fn inserted(written: &Path, empty: &Path) -> f64 {
    drop(SqliteLog::open(empty).unwrap());
    let from = Connection::open(written.join("tenure.db")).unwrap();
    let columns = "workspace, revision, leaf, event";
    let mut select = from.prepare(&format!("SELECT {columns} FROM events ORDER BY position")).unwrap();
    let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?));
    let rows = select.query_map([], row).unwrap();
    let rows: Vec<Row> = rows.map(Result::unwrap).collect();
    let mut to = Connection::open(empty.join("tenure.db")).unwrap();
    to.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;").unwrap();
    let started = Instant::now();
    for some in rows.chunks(ROWS_A_TRANSACTION) {
        let transaction = to.transaction().unwrap();
        let sql = format!("INSERT INTO events ({columns}) VALUES (?1, ?2, ?3, ?4)");
        let mut insert = transaction.prepare_cached(&sql).unwrap();
        for (workspace, revision, leaf, event) in some {
            insert.execute(params![workspace, revision, leaf, event]).unwrap();
        }
        drop(insert);
        transaction.commit().unwrap();
    }
    f64::from(u32::try_from(rows.len()).unwrap()) / started.elapsed().as_secs_f64()
}
