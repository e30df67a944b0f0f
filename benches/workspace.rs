//! One workspace in process: decisions now and in the past, memory of a loaded history, the first question to a cold
//! workspace, and the speed of verification.
//!
//! `cargo bench --bench workspace` prints one figure a line and ends after a minute or two. `-- PART [EVENTS]` runs one
//! part only: `small`, `large`, `cold` or `start`.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    clippy::cast_possible_wrap,
    clippy::as_conversions,
    missing_docs,
    unreachable_pub,
    dead_code,
    reason = "a benchmark fails by panicking, and prints; the tests use the rest of what is shared"
)]

#[path = "workspace/history.rs"]
mod history;

use std::ffi::OsStr;
use std::hint::black_box;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Instant as Stopwatch;

use history::{LARGE, MIDDLE, SMALL, Shape, Writer};
use tenure::clock::SystemClock;
use tenure::domain::model::id::EnvironmentId;
use tenure::domain::model::principal::Principal;
use tenure::domain::model::time::{Instant, Revision, Span};
use tenure::domain::rules::authorize::{Question, Resource, Subject, authorize};
use tenure::domain::state::view::{At, View};
use tenure::domain::state::workspace::Workspace;
use tenure::log::sqlite::SqliteLog;
use tenure::log::{Append, EventLog, SnapshotStore, codec, snapshot};
use tenure::proof::checkpoint::Signer;
use tenure::proof::note::{LogKey, Origin};
use tenure::query::AuditQuery as _;
use tenure::query::pairs::Pairs;
use tenure::query::tenure::Tenures;
use tenure::service::id_generator::{RandomIdGenerator, Secret};
use tenure::service::timelines::AccessTimelineCache;
use tenure::service::{Quotas, Service, Settings, replay};

/// As in the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const ROUNDS: usize = 31;
const QUESTIONS: usize = 4_096;
/// The number of environments with timelines.
const TIMELINES: usize = 16;
const DAY_MICROS: i64 = 86_400_000_000;

/// Returns the anonymous memory of this process, in bytes, resident or swapped out.
fn own_memory() -> f64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap();
    let field = |name: &str| {
        let line = text.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() * 1_024.0
    };
    field("RssAnon:") + field("VmSwap:")
}

/// Returns the median time of `rounds` runs, in nanoseconds for each of `each` operations.
fn median_nanos(rounds: usize, each: usize, mut run: impl FnMut()) -> f64 {
    let mut all: Vec<f64> = (0..rounds)
        .map(|_| {
            let start = Stopwatch::now();
            run();
            start.elapsed().as_nanos() as f64 / each as f64
        })
        .collect();
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}

fn append(log: &SqliteLog, writer: &mut Writer, count: usize) {
    for start in (0..count).step_by(8_192) {
        let events = writer.events(start + (count - start).min(8_192));
        let (first, workspace) = (&events[0], writer.workspace);
        let expected = Revision(first.revision.0 - 1);
        let bytes = events.iter().map(|event| codec::encode(event).unwrap()).collect();
        let part = Append { workspace, expected, events: bytes, side_writes: Vec::new() };
        log.append(&[part]).unwrap();
    }
}

/// Returns a random question by names: a principal, an action, an environment.
fn question(writer: &mut Writer) -> Question {
    let (who, place) = (writer.below(writer.principals.len()), writer.below(writer.environments.len()));
    let subject = match &writer.principals[who] {
        Principal::User(user) => Subject::new("user", user.as_str()),
        Principal::ServiceUser(_) => Subject::new("service_user", &format!("robot-{}", who - writer.shape.members)),
    };
    let action = ["read", "deploy"][writer.below(2)].to_owned();
    Question { subject, action, resource: Resource::new("environment", &format!("env-{place}"), None) }
}

/// Questions about workspaces.
#[derive(Default)]
struct QuestionSet {
    roots: Vec<Arc<Workspace>>,
    /// Each question, its instant in the history, and the index of its workspace.
    questions: Vec<(usize, Instant, Question)>,
}

impl QuestionSet {
    /// Adds `count` questions about a workspace, at random instants of its history.
    fn about(&mut self, root: &Arc<Workspace>, writer: &mut Writer, count: usize) {
        let (first, now) = (root.event(Revision(1)).unwrap().time.micros(), root.head_time().next());
        let span = usize::try_from(now.micros() - first).unwrap();
        for _ in 0..count {
            let instant = Instant::from_micros(first + writer.below(span) as i64);
            self.questions.push((self.roots.len(), instant, question(writer)));
        }
        self.roots.push(Arc::clone(root));
    }

    fn check(&self, (root, _, question): &(usize, Instant, Question)) {
        let view = View::at_head(Arc::clone(&self.roots[*root]));
        black_box(authorize(&view, black_box(question)));
    }

    fn judge_past(&self, (root, instant, question): &(usize, Instant, Question)) {
        let view = View::new(Arc::clone(&self.roots[*root]), At::Instant(*instant), *instant).unwrap();
        black_box(authorize(&view, black_box(question)));
    }

    /// Interleaves the questions by workspace; otherwise each workspace would stay in the processor's caches.
    fn in_turn(mut self) -> Self {
        let each = self.questions.len() / self.roots.len();
        let mut places: Vec<_> = self.questions.into_iter().enumerate().collect();
        places.sort_by_key(|(place, (root, ..))| (place % each, root * 37 % 100));
        // Cloned in order, so that the questions are adjacent in memory, as a caller's would be.
        self.questions =
            places.iter().map(|(_, (root, instant, question))| (*root, *instant, question.clone())).collect();
        self
    }

    fn measure(&self, name: &str) {
        let each = self.questions.len();
        let at_now = median_nanos(ROUNDS, each, || self.questions.iter().for_each(|asked| self.check(asked)));
        let past = median_nanos(ROUNDS, each, || self.questions.iter().for_each(|asked| self.judge_past(asked)));
        println!("{name}: a decision now {at_now:.0} ns, at a random instant {past:.0} ns ({:.2} ×)", past / at_now);
    }
}

/// Returns a workspace with ten grants in each restricted environment.
fn small_workspace(seed: u64) -> (Writer, Arc<Workspace>) {
    let mut writer = Writer::new(SMALL, seed);
    let mut workspace = Workspace::empty(writer.workspace);
    writer.begin().iter().for_each(|event| workspace.evolve(event));
    for place in (0..SMALL.environments).step_by(2) {
        for who in 0..10 {
            workspace.evolve(&Arc::new(writer.grant_of(place, 5 + place * 10 + who)));
        }
    }
    (writer, Arc::new(workspace))
}

fn small() {
    let (mut one, mut hundred) = (QuestionSet::default(), QuestionSet::default());
    let (mut writer, root) = small_workspace(7);
    one.about(&root, &mut writer, QUESTIONS);
    one.measure("100 members, 10 environments");
    for seed in 0..100 {
        let (mut writer, root) = small_workspace(100 + seed);
        hundred.about(&root, &mut writer, QUESTIONS / 100);
    }
    // More than a core's own caches hold.
    hundred.in_turn().measure("the same in 100 workspaces in turn");
}

fn large(events: usize) {
    let folder = tempfile::tempdir().unwrap();
    let log = SqliteLog::open(folder.path()).unwrap();
    let mut writer = Writer::new(LARGE, 11);
    append(&log, &mut writer, events);
    let before = own_memory();
    let start = Stopwatch::now();
    let root = Arc::new(replay(&log, writer.workspace).unwrap().unwrap());
    let per_second = events as f64 / start.elapsed().as_secs_f64();
    println!("replay of {events} events from SQLite: {per_second:.0} events/s");
    let held = (own_memory() - before) / events as f64;
    let packed = root.packed().len() as f64 / events as f64;
    println!("memory of facts and history: {held:.1} bytes an event, of which packed events {packed:.1}");
    let mut set = QuestionSet::default();
    set.about(&root, &mut writer, QUESTIONS);
    set.measure("a million changes, 240,000 grants");
    who_had_access(&mut writer, &root);
    drop((root, log));
    verify(folder.path(), &writer, events);
}

/// Measures `tenure verify` of the log, in the data folder and exported.
fn verify(data: &Path, writer: &Writer, events: usize) {
    std::fs::write(data.join("log.key"), "07".repeat(32)).unwrap();
    let workspace = writer.workspace.to_string();
    let said = |args: &[&OsStr]| {
        let output = Command::new(env!("CARGO_BIN_EXE_tenure")).args(args).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let part = OsStr::new;
    let key = said(&[part("key"), part("--data"), data.as_ref(), part("--workspace"), part(&workspace)]);
    let export = data.join("export");
    let out = [part("--out"), export.as_ref()];
    said(&[&[part("export"), part("--data"), data.as_ref(), part("--workspace"), part(&workspace)], &out[..]].concat());
    let key = [part("--key"), part(key.trim())];
    for (what, args) in [("an export", vec![export.as_ref()]), ("a data folder", vec![part("--data"), data.as_ref()])] {
        let nanos = median_nanos(3, 1, || {
            black_box(said(&[&[part("verify")], &args[..], &key].concat()));
        });
        println!("verification of {what}, {events} events: {:.0} events/s", events as f64 * 1e9 / nanos);
    }
}

/// Measures who had access to an environment on one day: evaluated directly, from timelines built on demand, and from
/// finished timelines.
fn who_had_access(writer: &mut Writer, root: &Arc<Workspace>) {
    let view = View::now(Arc::clone(root), root.head_time().next());
    let environments: Vec<_> = (1..=TIMELINES).map(|place| writer.environments[4 * place]).collect();
    let principals: Vec<_> = view.principals_of_all_time().collect();
    let judged = |(environment, span): (EnvironmentId, Span)| {
        let pairs = Pairs::all([environment], principals.clone());
        let question = Tenures::new(view.clone(), span, None, pairs);
        (0..question.candidates()).map(|candidate| question.of_candidate(candidate).len()).sum::<usize>()
    };
    let timelines = AccessTimelineCache::with_capacity(1 << 30);
    let found = |(environment, span): (EnvironmentId, Span)| {
        let mut rows = Vec::new();
        timelines.who_had_access(&view, environment, span, |_, tenure| rows.push(tenure));
        black_box(&rows).len()
    };
    let events = usize::try_from(root.head().0).unwrap();
    let mut day = |place: usize| {
        let revision = Revision(u64::try_from(1 + writer.below(events)).unwrap());
        let at = root.event(revision).unwrap().time;
        let until = Instant::from_micros(at.micros() + DAY_MICROS);
        (environments[place % TIMELINES], Span::new(Some(at), Some(until)).unwrap())
    };
    let days: Vec<_> = (0..64).map(&mut day).collect();
    let mut rows = 0;
    let mut over = |rounds, answer: &dyn Fn((EnvironmentId, Span)) -> usize| {
        let mut asked = days.iter().cycle();
        median_nanos(rounds, 1, || rows = black_box(answer(*asked.next().unwrap()))) / 1e6
    };
    let (judging, first, then) = (over(TIMELINES, &judged), over(TIMELINES, &found), over(1_024, &found));
    assert!(days.iter().all(|day| judged(*day) == found(*day)));
    println!(
        "who had access to an environment on one day: {judging:.2} ms where it is judged, {first:.1} ms where the roll is made, \
         {then:.3} ms from timelines, {rows} rows"
    );
    let bytes = timelines.bytes() as f64 / (TIMELINES * principals.len()) as f64;
    let mut newer = Workspace::clone(root);
    let mut after: Vec<f64> = days
        .iter()
        .map(|(environment, span)| {
            newer.evolve(&Arc::new(writer.event()));
            let view = View::at_head(Arc::new(newer.clone()));
            median_nanos(1, 1, || {
                timelines.who_had_access(&view, *environment, *span, |_, tenure| {
                    black_box(tenure);
                });
            }) / 1e6
        })
        .collect();
    after.sort_by(f64::total_cmp);
    println!("timelines: {bytes:.0} bytes a principal; asked after each change: {:.3} ms", after[after.len() / 2]);
}

fn service(log: &Arc<SqliteLog>) -> Arc<Service> {
    let settings = Settings {
        log: log.clone(),
        clock: Arc::new(SystemClock),
        ids: Arc::new(RandomIdGenerator),
        operator: Secret::new("0123456789abcdef0123456789abcdef"),
        signer: Signer { key: key(), instance: Origin::default() },
        clock_settle: std::time::Duration::from_mins(1),
        cache_bytes: 1 << 30,
        quotas: Quotas::default(),
    };
    Service::start(settings).unwrap()
}

/// Returns the time of the first question to a workspace that is not loaded, in milliseconds.
async fn first_question(log: &Arc<SqliteLog>, writer: &mut Writer) -> f64 {
    let question = question(writer);
    let service = service(log);
    let start = Stopwatch::now();
    let root = service.workspace(writer.workspace).await.unwrap().unwrap();
    black_box(authorize(&View::now(root, service.now()), &question));
    let taken = start.elapsed().as_secs_f64() * 1e3;
    service.stop().await.unwrap();
    taken
}

/// Returns the key that seals snapshots.
fn key() -> LogKey {
    LogKey::from_seed(&[7; 32])
}

async fn cold(shape: Shape, events: usize) {
    let folder = tempfile::tempdir().unwrap();
    let log = Arc::new(SqliteLog::open(folder.path()).unwrap());
    let mut writer = Writer::new(shape, 13);
    append(&log, &mut writer, events);
    let (mut without, mut with) = (f64::MAX, f64::MAX);
    for _ in 0..5 {
        log.forget_snapshot(writer.workspace).unwrap();
        without = without.min(first_question(&log, &mut writer).await);
        let facts = replay(log.as_ref(), writer.workspace).unwrap().unwrap();
        log.keep_snapshot(writer.workspace, &snapshot::take(&facts, None, log.as_ref(), &key()).unwrap()).unwrap();
        with = with.min(first_question(&log, &mut writer).await);
    }
    println!(
        "first question to a cold workspace of {events} events: {with:.0} ms from a snapshot, {without:.0} ms without"
    );
}

/// Measures the start with many workspaces of a hundred events.
async fn start(workspaces: u64) {
    let folder = tempfile::tempdir().unwrap();
    let log = SqliteLog::open(folder.path()).unwrap();
    for seed in 0..workspaces {
        append(&log, &mut Writer::new(Shape { members: 30, ..SMALL }, 1_000 + seed), 100);
    }
    drop(log);
    let start = Stopwatch::now();
    let log = Arc::new(SqliteLog::open(folder.path()).unwrap());
    let service = service(&log);
    assert!(service.is_ready());
    println!("start with {workspaces} workspaces of 100 events: {:.0} ms", start.elapsed().as_secs_f64() * 1e3);
    service.stop().await.unwrap();
}

fn main() {
    let given: Vec<_> = std::env::args().skip(1).filter(|text| !text.starts_with('-')).collect();
    let number = |default| given.iter().find_map(|text| text.parse().ok()).unwrap_or(default);
    let part = given.iter().find(|text| text.parse::<usize>().is_err());
    let wants = |name: &str| part.is_none_or(|part| part == name);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    if wants("small") {
        small();
    }
    if wants("large") {
        large(number(1_000_000));
    }
    if wants("cold") {
        runtime.block_on(cold(MIDDLE, 100_000));
    }
    if wants("start") {
        runtime.block_on(start(10_000));
    }
}
