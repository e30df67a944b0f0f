//! A long mixed load that shows whether memory is bounded.
//!
//! Recorded history stays in memory while its workspace is in use. Each change may therefore take as much memory as the
//! server's cache charges for an event. Any growth beyond that in the second half of the run counts as unbounded.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::running::{Program, Workspace};
use crate::table::{Table, number, per_second, sparkline};
use crate::{Extent, clients, wrk};

/// The pause between two changes: about 50 changes a second.
const PAUSE: Duration = Duration::from_millis(20);
/// The bytes that the server's cache charges for an event.
const EVENT_BYTES: f64 = 1_000.0;
/// The tolerated noise, in KiB a second: a hundredth of a MiB.
const NOISE_KIB: f64 = 10.0;
const MINUTE: usize = 60;

/// Memory and changes, sampled each second.
#[derive(Default)]
struct Samples {
    mib: Vec<f64>,
    changes: Vec<f64>,
}

impl Samples {
    /// Returns the slope of the least-squares line through the second half, in units a second.
    fn slope(values: &[f64]) -> f64 {
        let half = &values[values.len() / 2..];
        let seconds: Vec<f64> = (0..half.len()).map(|second| f64::from(u32::try_from(second).unwrap())).collect();
        let mean = |values: &[f64]| values.iter().sum::<f64>() / seconds.last().map_or(1.0, |last| last + 1.0);
        let (middle, level) = (mean(&seconds), mean(half));
        let product: f64 = seconds.iter().zip(half).map(|(second, value)| (second - middle) * (value - level)).sum();
        product / seconds.iter().map(|second| (second - middle).powi(2)).sum::<f64>()
    }

    fn verdict(&self) -> String {
        let grown = Self::slope(&self.mib) * 1_024.0;
        let recorded = Self::slope(&self.changes) * EVENT_BYTES / 1_024.0;
        let bounded = grown <= recorded + NOISE_KIB;
        let word = if bounded { "bounded" } else { "GROWS WITHOUT BOUND" };
        format!(
            "{word}: {grown:.1} KiB/s in the second half, of which the history that was recorded may take {recorded:.1} KiB/s"
        )
    }
}

pub fn run(extent: Extent) {
    let program = Program::unlimited();
    let place = Workspace::make(&program);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let listening = runtime.block_on(clients::listen(&place, clients::LISTENERS));
    let slow = runtime.block_on(clients::stop_reading(&place, 5));
    let loads = [
        ("checks now, 8 connections", place.check(None).over(8)),
        ("checks in the past, 4 connections", place.check(Some(&place.past)).over(4)),
        ("batches of 50, 2 connections", place.batch(50).over(2)),
    ];
    let started = loads.each_ref().map(|(_, load)| load.start(extent.soak));
    let (changed, stop) = (AtomicU32::new(0), AtomicBool::new(false));
    let samples = std::thread::scope(|scope| {
        scope.spawn(|| change(&place, &changed, &stop));
        scope.spawn(|| come_and_go(&place, &runtime, &stop));
        let samples = sample(&program, &changed, extent.soak);
        stop.store(true, Ordering::Relaxed);
        samples
    });
    let mut table = Table::new(
        &format!("Soak of {} s, beside 1,000 listeners", extent.soak.as_secs()),
        &["what", "rate", wrk::LATENCIES],
    );
    for ((name, _), started) in loads.iter().zip(started) {
        let measured = started.wait();
        table.row(&[name, &per_second(measured.rate()), &wrk::latencies(&[measured])]);
    }
    let seconds = extent.soak.as_secs_f64();
    let changed = f64::from(changed.into_inner());
    table.row(&[
        "changes, one at a time; then, until 20 more had reached each listener",
        &per_second(changed / seconds),
        &runtime.block_on(clients::deliver(&place, &listening, 20)),
    ]);
    table.print();
    drop((listening, slow));
    memory(&samples);
}

fn memory(samples: &Samples) {
    let every = (samples.mib.len() / 10).max(1);
    let shown: Vec<_> = samples.mib.iter().step_by(every).map(|mib| number(*mib)).collect();
    println!("\nResident memory, in MiB, every {every} s: {}", shown.join(", "));
    let bars = (samples.mib.len() / MINUTE).max(1);
    let line: Vec<f64> = samples.mib.iter().step_by(bars).copied().collect();
    println!("\n`{}`", sparkline(&line));
    println!("\nVerdict: {}", samples.verdict());
}

/// Makes changes one by one until `stop` is set.
fn change(place: &Workspace, changed: &AtomicU32, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        let number = changed.fetch_add(1, Ordering::Relaxed);
        let (seconds, rest) = (number / 1_000, number % 1_000);
        let expires_at =
            format!("2997-01-01T{:02}:{:02}:{:02}.{rest:03}Z", seconds / 3_600, seconds / 60 % 60, seconds % 60);
        let path = format!("/v1/workspaces/acme/environments/env3/grants/user:user{}", number % 100);
        place.send("PUT", &path, &json!({"role": "contributor", "expires_at": expires_at}));
        std::thread::sleep(PAUSE);
    }
}

/// Opens and drops connections, some in the middle of a request, until `stop` is set.
fn come_and_go(place: &Workspace, runtime: &tokio::runtime::Runtime, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        let idle = runtime.block_on(clients::idle(place, 200));
        let trickling = runtime.block_on(clients::trickle(place, 20));
        std::thread::sleep(Duration::from_secs(1));
        drop((idle, trickling));
    }
}

fn sample(program: &Program, changed: &AtomicU32, time: Duration) -> Samples {
    let (started, mut samples) = (Instant::now(), Samples::default());
    while started.elapsed() < time {
        samples.mib.push(program.resident_mib());
        samples.changes.push(f64::from(changed.load(Ordering::Relaxed)));
        std::thread::sleep(Duration::from_secs(1));
    }
    samples
}
