//! Times: short runs of Criterion for code in this process. The compared values differ by more than the noise.

use std::hint::black_box;
use std::path::Path;
use std::time::Duration;

use criterion::Criterion;
use serde_json::Value;
use tempfile::TempDir;

use crate::peer::{Outcome, Peer};

/// A stopwatch that keeps Criterion's files in a temporary folder.
pub struct Stopwatch {
    criterion: Criterion,
    folder: TempDir,
    /// The number of measurements so far: Criterion would put two of the same name into one folder.
    taken: usize,
}

impl Stopwatch {
    /// Returns a stopwatch that takes about 1.5 s for each measurement.
    ///
    /// # Errors
    /// The folder cannot be created.
    pub fn new() -> Outcome<Self> {
        let folder = tempfile::tempdir()?;
        let criterion = Criterion::default()
            .output_directory(folder.path())
            .without_plots()
            .sample_size(20)
            .warm_up_time(Duration::from_millis(300))
            .measurement_time(Duration::from_millis(1_200));
        Ok(Self { criterion, folder, taken: 0 })
    }

    /// Returns the median time of a routine, in nanoseconds.
    ///
    /// # Errors
    /// Criterion left no estimate.
    pub fn median<T>(&mut self, name: &str, mut routine: impl FnMut() -> T) -> Outcome<f64> {
        self.taken += 1;
        let name = format!("{} {name}", self.taken);
        self.criterion.bench_function(&name, |bencher| bencher.iter(|| black_box(routine())));
        read_median(self.folder.path(), &name)
    }

    /// Returns the median time of a peer's decision, in nanoseconds, over these questions in turn.
    ///
    /// # Errors
    /// As [`Self::median`].
    pub fn decisions(&mut self, peer: &mut dyn Peer, questions: usize) -> Outcome<f64> {
        let mut place = 0;
        self.median(&peer.name(), || {
            place = (place + 1) % questions;
            peer.decide(place).expect("it answered these questions before")
        })
    }
}

fn read_median(folder: &Path, name: &str) -> Outcome<f64> {
    let file = folder.join(name.replace(['/', '"'], "_")).join("new/estimates.json");
    let estimates: Value = serde_json::from_slice(&std::fs::read(file)?)?;
    Ok(estimates["median"]["point_estimate"].as_f64().ok_or("criterion gave no median")?)
}

/// Returns the median of at least one value.
pub fn middle(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
