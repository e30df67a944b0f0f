//! Load on a real server: the program in a process of its own. `wrk` drives it, and clients of this bench hold the
//! connections that stay open.
//!
//! It prints Markdown, stops by itself, stays on loopback, and ends only processes that it started. `run.sh` in this
//! folder builds it, raises limits and runs it.
//!
//! `-- PART…` runs some parts only. `--rounds N --seconds N --soak N` set the durations. `--beside PATH` makes `builds`
//! alternate with another build of the program. `--attack WORDS` selects the attacks of `neighbours` by name, and
//! `--flood N` sets the number of connections that one of them opens. `benches/README.md` explains each figure.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::panic,
    missing_docs,
    unreachable_pub,
    reason = "a benchmark fails by panicking, and prints"
)]

mod attacks;
mod bare;
mod clients;
mod durable;
mod machine;
mod neighbours;
mod running;
mod soak;
mod table;
mod wire;
mod wrk;

use std::time::Duration;

use running::{Program, Workspace};
use table::{Table, median, number, per_second, ratio};
use wrk::{Load, Measured};

/// As in the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The numbers of connections for decisions and for durable changes.
const DECISION_CONNECTIONS: usize = 16;
const CHANGE_CONNECTIONS: usize = 64;
const BATCH_LEN: u32 = 50;

type Part = fn(Extent);

/// The durations.
#[derive(Clone, Copy)]
pub struct Extent {
    rounds: usize,
    time: Duration,
    soak: Duration,
}

fn text_option(name: &str) -> Option<String> {
    let mut given = std::env::args().skip_while(|argument| argument != name);
    given.nth(1)
}

fn option(name: &str, default: u64) -> u64 {
    text_option(name).and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn main() {
    if std::env::args().nth(1).as_deref() == Some("bare") {
        return bare::serve();
    }
    let extent = Extent {
        rounds: usize::try_from(option("--rounds", 5)).unwrap(),
        time: Duration::from_secs(option("--seconds", 3)),
        soak: Duration::from_secs(option("--soak", 600)),
    };
    let parts: [(&str, Part); 7] = [
        ("decisions", decisions),
        ("changes", changes),
        ("builds", builds),
        ("submit", durable::submit),
        ("open", open),
        ("neighbours", neighbours::run),
        ("soak", soak::run),
    ];
    let named = |part: &str| std::env::args().any(|argument| argument == part);
    let all = !parts.iter().any(|(part, _)| named(part));
    machine::print(&wrk::version());
    for (part, run) in parts {
        if all || named(part) {
            run(extent);
        }
    }
}

/// Runs rounds of several loads in turn, so that noise on the machine affects all of them.
fn rounds<const N: usize>(extent: Extent, loads: [&Load; N]) -> [Vec<Measured>; N] {
    let mut all = [const { Vec::new() }; N];
    for _ in 0..extent.rounds {
        for (measured, load) in all.iter_mut().zip(loads) {
            measured.push(load.run(extent.time));
        }
    }
    all
}

fn rates(measured: &[Measured]) -> Vec<f64> {
    measured.iter().map(Measured::rate).collect()
}

/// Measures single decisions beside a bare handler, and many decisions in one request.
fn decisions(extent: Extent) {
    let (bare, program) = (Program::bare(), Program::unlimited());
    let place = Workspace::make(&program);
    let [now, past, batch] = [place.check(None), place.check(Some(&place.past)), place.batch(BATCH_LEN)];
    let base = Load { url: bare.url.clone(), ..now.clone() };
    let loads = [&base, &now, &past, &batch].map(|load| load.clone().over(DECISION_CONNECTIONS));
    let all = rounds(extent, loads.each_ref());
    let [base, now, past, batch] = all.each_ref().map(|measured| median(rates(measured)));
    let mut table = Table::new("Decisions over HTTP, 16 connections", &["what", "rate", "ratio", wrk::LATENCIES]);
    for (name, measured, rate, of) in [
        ("bare axum handler, same question and answer", &all[0], per_second(base), String::new()),
        ("a check now", &all[1], per_second(now), format!("{} of bare", ratio(now, base))),
        ("a check in the past", &all[2], per_second(past), format!("{} of now", ratio(past, now))),
        ("50 evaluations a request", &all[3], per_second(batch * f64::from(BATCH_LEN)), "decisions".to_owned()),
    ] {
        table.row(&[name, &rate, &of, &wrk::latencies(measured)]);
    }
    table.print();
}

/// Measures durable changes of one workspace, beside the disk alone in the same folder.
fn changes(extent: Extent) {
    let program = Program::unlimited();
    let place = Workspace::make(&program);
    let (alone, together) = (place.changes().over(1), place.changes().over(CHANGE_CONNECTIONS));
    let (mut syncs, mut one, mut many) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..extent.rounds {
        syncs.push(durable::syncs_a_second(program.folder(), extent.time));
        one.push(alone.run(extent.time));
        many.push(together.run(extent.time));
    }
    let [disk, single, several] = [syncs, rates(&one), rates(&many)].map(median);
    let mut table = Table::new("Durable changes over HTTP, one workspace", &["what", "rate", "ratio", wrk::LATENCIES]);
    table.row(&["append 1,100 bytes and `fdatasync`, in the same folder", &per_second(disk), "", ""]);
    let times = format!("{} × the disk's time", ratio(disk, single));
    table.row(&["changes, 1 connection", &per_second(single), &times, &wrk::latencies(&one)]);
    let times = format!("{} a sync", ratio(several, disk));
    table.row(&["changes, 64 connections", &per_second(several), &times, &wrk::latencies(&many)]);
    table.print();
}

/// Alternates this build with the one that `--beside` names: single decisions, and durable changes over one connection
/// and over many.
fn builds(extent: Extent) {
    let Some(path) = text_option("--beside") else { return };
    let programs = [Program::unlimited(), Program::of_build(&path)];
    let places = programs.each_ref().map(Workspace::make);
    let of = |load: fn(&Workspace) -> Load, connections| places.each_ref().map(|place| load(place).over(connections));
    let mut table = Table::new("This build beside another", &["what", "this", "the other", "ratio", "pairs"]);
    for (name, loads) in [
        ("a check now, 16 connections", of(|place| place.check(None), DECISION_CONNECTIONS)),
        ("durable changes, 1 connection", of(Workspace::changes, 1)),
        ("durable changes, 64 connections", of(Workspace::changes, CHANGE_CONNECTIONS)),
    ] {
        let [this, other] = rounds(extent, loads.each_ref()).map(|measured| rates(&measured));
        let pairs: Vec<f64> = this.iter().zip(&other).map(|(this, other)| this / other).collect();
        let all = pairs.iter().map(|pair| format!("{pair:.2}")).collect::<Vec<_>>().join(" ");
        let [this, other] = [this, other].map(|rates| per_second(median(rates)));
        table.row(&[name, &this, &other, &format!("{:.3}", median(pairs)), &all]);
    }
    table.print();
}

/// Measures checks beside open connections: listeners, stalled readers and idle connections.
fn open(extent: Extent) {
    let program = Program::unlimited();
    let place = Workspace::make(&program);
    let checks = place.check(None).over(DECISION_CONNECTIONS);
    let mut table = Table::new(
        "Checks over 16 connections beside what stays open",
        &["beside", "checks", wrk::LATENCIES, "resident memory", "what else was seen"],
    );
    let mut row = |beside: &str, seen: &str| {
        let measured = checks.run(extent.time);
        let (rate, latencies) = (per_second(measured.rate()), wrk::latencies(std::slice::from_ref(&measured)));
        table.row(&[beside, &rate, &latencies, &format!("{} MiB", number(program.resident_mib())), seen]);
    };
    row("nothing", "");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let listening = runtime.block_on(clients::listen(&place, clients::LISTENERS));
    let delivered = runtime.block_on(clients::deliver(&place, &listening, 100));
    row("1,000 listeners", &format!("a change reached all of them in {delivered}"));
    let slow = runtime.block_on(clients::stop_reading(&place, 20));
    let delivered = runtime.block_on(clients::deliver(&place, &listening, 100));
    let seen = format!("20 listeners read nothing; a change reached the others in {delivered}");
    row("1,000 listeners, 20 slow ones", &seen);
    drop((listening, slow));
    let trickling = runtime.block_on(clients::trickle(&place, 200));
    row("200 requests that arrive a byte a second", "");
    drop(trickling);
    let idle = runtime.block_on(clients::idle(&place, clients::IDLE));
    row("9,900 idle connections", &format!("{} of them open", idle.len()));
    let ended = runtime.block_on(clients::ended(idle));
    row("none of them any more", &format!("all of them closed by the server after {ended} s"));
    table.print();
}
