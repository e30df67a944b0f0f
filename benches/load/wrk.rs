//! `wrk`, the load generator: its input and its results.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::machine;
use crate::table::{median, time};

/// The values that [`latencies`] returns.
pub const LATENCIES: &str = "latency p50 / p90 / p99 / p99.9 / max";

/// A counter that makes the changes of each run unique.
static RUNS: AtomicU32 = AtomicU32::new(0);

/// One kind of request, repeated.
#[derive(Clone)]
pub struct Load {
    pub url: String,
    pub path: String,
    pub credential: String,
    pub body: String,
    pub script: &'static str,
    pub connections: usize,
}

/// The results of a run; latencies in microseconds.
pub struct Measured {
    requests: f64,
    micros: f64,
    latencies: [f64; 5],
}

/// A run in progress.
pub struct Started(Child);

impl Measured {
    pub fn rate(&self) -> f64 {
        self.requests / self.micros * 1_000_000.0
    }
}

impl Load {
    pub fn over(self, connections: usize) -> Self {
        Self { connections, ..self }
    }

    /// Sends for this long, one request at a time per connection. Any response but a success fails the bench.
    pub fn run(&self, time: Duration) -> Measured {
        self.start(time).wait()
    }

    pub fn start(&self, time: Duration) -> Started {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/load").join(self.script);
        let (seconds, connections) = (format!("{}s", time.as_secs()), self.connections.to_string());
        let threads = if self.connections < 8 { "1" } else { "2" };
        let mut command = Command::new("wrk");
        command.args(["-t", threads, "-c", &connections, "-d", &seconds, "--timeout", "10s", "-s"]).arg(script);
        command.arg(format!("{}{}", self.url, self.path)).args(["--", &self.credential, &self.body]);
        command.arg(RUNS.fetch_add(1, Ordering::Relaxed).to_string());
        Started(command.stdout(Stdio::piped()).spawn().expect("wrk is installed: it is in Debian's package `wrk`"))
    }
}

impl Started {
    pub fn wait(self) -> Measured {
        let output = self.0.wait_with_output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let found = text.lines().find_map(|line| line.strip_prefix("FOUND ")).unwrap_or_else(|| panic!("{text}"));
        let found: Vec<f64> = found.split_whitespace().map(|word| word.parse().unwrap()).collect();
        let [requests, micros, failed, p50, p90, p99, p999, max] = found[..] else { panic!("{text}") };
        assert!(failed == 0.0 && requests > 0.0, "{failed} of {requests} requests failed: {text}");
        Measured { requests, micros, latencies: [p50, p90, p99, p999, max] }
    }
}

/// Returns the medians of quantiles over several runs, and the worst latency of all.
pub fn latencies(measured: &[Measured]) -> String {
    let of = |place: usize| measured.iter().map(|measured| measured.latencies[place]).collect::<Vec<_>>();
    let max = of(4).into_iter().fold(0.0, f64::max);
    let all = (0..4).map(|place| median(of(place))).chain([max]).map(time);
    all.collect::<Vec<_>>().join(" / ")
}

pub fn version() -> String {
    let said = machine::said("wrk", &["-v"]);
    said.lines()
        .next()
        .unwrap_or_default()
        .split(" Copyright")
        .next()
        .unwrap_or_default()
        .trim_end_matches('[')
        .trim()
        .to_owned()
}
