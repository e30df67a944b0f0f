//! One workspace in process: decisions, memory, loading.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    clippy::as_conversions,
    missing_docs,
    unreachable_pub,
    dead_code,
    reason = "a benchmark fails by panicking, and prints"
)]

#[path = "workspace/history.rs"]
mod history;

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant as Stopwatch;

use history::{LARGE, SMALL, Shape, Writer};
use tenure::domain::access::{Question, Resource, Subject, judge};
use tenure::domain::principal::Principal;
use tenure::domain::time::{Instant, Revision, Span};
use tenure::domain::view::{At, View};
use tenure::domain::workspace::Workspace;
use tenure::log::sqlite::SqliteLog;
use tenure::log::{Append, EventLog, codec};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn rss() -> f64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    text.split(' ').nth(1).unwrap().parse::<f64>().unwrap() * 4096.0
}

fn decodes(root: &Workspace) {
    let start = cpu();
    let count = root.events(Revision::ZERO, root.head()).map(|event| event.revision.0 & 1).sum::<u64>();
    println!("decoded every event in {:.3} s ({count})", cpu() - start);
}

fn store(log: &SqliteLog, writer: &mut Writer, count: usize) {
    let mut done = 0;
    while done < count {
        let now = (count - done).min(8_192);
        let events: Vec<_> = (0..now).map(|_| writer.event()).collect();
        let expected = Revision(events[0].revision.0 - 1);
        let bytes = events.iter().map(|event| codec::encode(event).unwrap()).collect();
        let part =
            Append { workspace: writer.workspace, expected, command: events[0].command, events: bytes, notes: vec![] };
        log.append(&[part]).unwrap();
        done += now;
    }
}

fn questions(writer: &mut Writer, count: usize) -> Vec<Question> {
    (0..count)
        .map(|_| {
            let who = writer.below(writer.principals.len());
            let place = writer.below(writer.environments.len());
            let subject = match &writer.principals[who] {
                Principal::User(user) => Subject::new("user", user.as_str()),
                Principal::ServiceUser(_) => {
                    Subject::new("service_user", &format!("robot-{}", who - writer.shape.members))
                }
            };
            let action = ["view", "deploy"][writer.below(2)].to_owned();
            let resource = Resource::new("environment", &format!("env-{place}"), None);
            Question { subject, action, resource }
        })
        .collect()
}

/// Seconds for which this thread has run, so that what else the machine does counts less.
fn cpu() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    text.split(' ').next().unwrap().parse::<f64>().unwrap() / 1e9
}

/// Nanoseconds for one, the median of rounds.
fn nanos(rounds: usize, each: usize, mut run: impl FnMut()) -> f64 {
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

fn checks(name: &str, root: &Arc<Workspace>, asked: &[Question], instants: &[Instant]) {
    let now = Instant::from_micros(root.head_time().micros() + 1);
    let view = View::now(Arc::clone(root), now);
    let per = nanos(31, asked.len(), || {
        for question in asked {
            black_box(judge(black_box(&view), question));
        }
    });
    println!("{name}: a check now {per:.0} ns");
    let per = nanos(31, asked.len(), || {
        for question in asked {
            let view = View::now(Arc::clone(root), now);
            black_box(judge(black_box(&view), question));
        }
    });
    println!("{name}: a view of now and a check {per:.0} ns");
    let per = nanos(31, asked.len(), || {
        for instant in instants {
            black_box(View::new(Arc::clone(root), At::Instant(*instant), now).unwrap());
        }
    });
    println!("{name}: a view of a random instant {per:.0} ns");
    let per = nanos(31, asked.len(), || {
        for (question, instant) in asked.iter().zip(instants.iter().cycle()) {
            let view = View::new(Arc::clone(root), At::Instant(*instant), now).unwrap();
            black_box(judge(black_box(&view), question));
        }
    });
    println!("{name}: at a random instant {per:.0} ns");
}

fn instants(writer: &mut Writer, root: &Workspace, count: usize) -> Vec<Instant> {
    let first = root.event(Revision(1)).unwrap().time.micros();
    let span = usize::try_from(root.head_time().micros() - first).unwrap();
    (0..count).map(|_| Instant::from_micros(first + writer.below(span) as i64)).collect()
}

fn main() {
    let count: usize = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(1_000_000);
    // Small workspace.
    let mut writer = Writer::new(SMALL, 7);
    let mut workspace = Workspace::empty(writer.workspace);
    for event in writer.begin() {
        workspace.evolve(&event);
    }
    for place in (0..10).step_by(2) {
        for who in 0..10 {
            workspace.evolve(&Arc::new(writer.grant_of(place, 5 + place * 10 + who)));
        }
    }
    let root = Arc::new(workspace);
    let asked = questions(&mut writer, 4_096);
    let at = instants(&mut writer, &root, 4_096);
    checks("small", &root, &asked, &at);

    let folder = tempfile::tempdir().unwrap();
    let log = SqliteLog::open(folder.path()).unwrap();
    let mut writer = Writer::new(LARGE, 11);
    let start = Stopwatch::now();
    store(&log, &mut writer, count);
    println!("stored in {:?}", start.elapsed());
    let before = rss();
    let start = cpu();
    let root = Arc::new(tenure::service::replay(&log, writer.workspace).unwrap().unwrap());
    let took = cpu() - start;
    println!("replayed {} in {took:.3} s: {:.0} events/s", root.head(), count as f64 / took);
    println!("memory: {:.1} bytes an event", (rss() - before) / count as f64);
    println!("packed history: {:.1} bytes an event", root.packed().len() as f64 / count as f64);
    let seal = tenure::log::snapshot::checksum();
    let start = cpu();
    let written = tenure::log::snapshot::write(&root, &seal);
    println!("snapshot written in {:.3} s", cpu() - start);
    let start = cpu();
    let again = tenure::log::snapshot::read(&written, writer.workspace, &seal).unwrap();
    println!("snapshot read in {:.3} s", cpu() - start);
    drop((again, written));
    decodes(&root);
    let asked = questions(&mut writer, 4_096);
    let at = instants(&mut writer, &root, 4_096);
    checks("large", &root, &asked, &at);
}
