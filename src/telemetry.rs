//! Logging to stderr, and the recorder behind `/metrics`.

use std::io::{self, IsTerminal, Write};

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;

/// The variable for the filter of log lines, such as `info` or `warn,tenure::service=debug`.
pub const LOG_VARIABLE: &str = "TENURE_LOG";

/// The upper bounds of the buckets for durations, in seconds.
const SECONDS_BUCKETS: &[f64] =
    &[0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0];
/// The upper bounds of the buckets for everything else.
const COUNT_BUCKETS: &[f64] = &[1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1_000.0, 10_000.0];

/// Starts logging to stderr, with `filter` or the one in [`LOG_VARIABLE`].
///
/// A second call changes nothing.
pub fn start_logging(filter: &str) {
    let chosen = std::env::var(LOG_VARIABLE).ok().map(|text| EnvFilter::try_new(&text).map_err(|error| (text, error)));
    let (filter, wrong) = match chosen {
        None => (EnvFilter::new(filter), None),
        Some(Ok(chosen)) => (chosen, None),
        Some(Err(wrong)) => (EnvFilter::new(filter), Some(wrong)),
    };
    let colours = io::stderr().is_terminal();
    // This fails only if logging was started before.
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours);
    let _ = lines.log_internal_errors(false).with_writer(|| Lossy(io::stderr())).try_init();
    if let Some((text, error)) = wrong {
        tracing::warn!(text, %error, "{LOG_VARIABLE} is not a log filter, such as `info`: it is ignored");
    }
}

/// A writer that drops lines it cannot write: a full disk or a closed pipe loses log lines, and nothing else.
struct Lossy<W>(W);

impl<W: Write> Write for Lossy<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.0.write(bytes) {
            Ok(0) | Err(_) => Ok(bytes.len()),
            written => written,
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        let _ = self.0.flush();
        Ok(())
    }
}

/// Starts recording metrics. The handle renders them in Prometheus' text format.
///
/// Histograms grow until the handle renders them or runs its upkeep, so one of the two must happen regularly.
///
/// # Errors
/// Another recorder is installed already.
pub fn start_metrics() -> Result<PrometheusHandle, BuildError> {
    PrometheusBuilder::new()
        .set_buckets(COUNT_BUCKETS)?
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), SECONDS_BUCKETS)?
        .install_recorder()
}
