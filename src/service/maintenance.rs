//! Maintenance, on a thread of its own: it records expiries, uses of credentials and the time, and writes snapshots and checkpoints.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::batch::{IDEMPOTENCY_KEPT_MICROS, MARKED_AHEAD_MICROS};
use super::witness::CHECKPOINTS_A_ROUND_MAX;
use super::writer::Job;
use super::{INSTANCE, Service};
use crate::clock::{Reading, WatchedClock};
use crate::domain::model::time::Instant;
use crate::log::{LogError, SideWrite};

/// The longest time between two records of the clock's time, in microseconds.
const CLOCK_MARK_PERIOD_MICROS: i64 = 60_000_000;

impl Service {
    /// Runs one round: records what has expired and what was used, and writes the snapshots and checkpoints that are due.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn run_maintenance(&self) -> Result<(), LogError> {
        let reading = self.clock.read();
        if reading.unsettled.is_none() {
            self.record_expiries(reading).await?;
            self.prune_reads(reading.time).await?;
        } else {
            tracing::warn!("the machine's clock has jumped: nothing is written until it has been steady for a while");
        }
        self.save_uses().await?;
        let (workspaces, is_short) = (Arc::clone(&self.workspaces), self.is_short_of_room());
        self.reading(move |log| {
            log.look_after_room();
            if !is_short {
                workspaces.save();
            }
            Ok(())
        })
        .await?;
        if !is_short {
            self.writer.clear_shares();
            self.keep_checkpoints(CHECKPOINTS_A_ROUND_MAX).await;
        }
        let until = Instant::from_micros(reading.time.micros().saturating_sub(IDEMPOTENCY_KEPT_MICROS));
        self.reading(move |log| log.forget_idempotency_records(until)).await
    }

    /// Records what has expired. Records the time too if something expires soon, or if the last record is old.
    async fn record_expiries(&self, reading: Reading) -> Result<(), LogError> {
        let now = reading.decision_time;
        for id in self.reading(move |log| log.due(now)).await? {
            match self.entry(id).await {
                Ok(Some(entry)) => self.enqueue_internal(id, Job::Expire(entry))?,
                Ok(None) => {}
                Err(error) => tracing::error!(%error, workspace = %id, "expiries cannot be recorded"),
            }
        }
        let soon = Instant::from_micros(now.micros().saturating_add(MARKED_AHEAD_MICROS));
        let end = self.reading(move |log| log.last_end(now, soon)).await?;
        let mark = self.clock_mark.load(Ordering::Acquire);
        let is_old = now.micros().saturating_sub(mark) >= CLOCK_MARK_PERIOD_MICROS;
        if let Some(mark) = end.filter(|end| end.micros() > mark).or(is_old.then_some(now)) {
            self.raise_clock_mark(mark).await;
        }
        Ok(())
    }

    /// Raises the clock mark. A failure does not stop the round.
    async fn raise_clock_mark(&self, mark: Instant) {
        match self.write(INSTANCE, vec![SideWrite::RaiseClockMark(mark)]).await {
            Ok(()) => drop(self.clock_mark.fetch_max(mark.micros(), Ordering::AcqRel)),
            Err(error) => tracing::warn!(%error, "the time could not be recorded"),
        }
    }

    pub(super) async fn save_uses(&self) -> Result<(), LogError> {
        if self.is_short_of_room() {
            return Ok(());
        }
        let used = self.directory.take_used();
        if used.is_empty() {
            return Ok(());
        }
        let written = self.write(INSTANCE, used.iter().map(|entry| entry.last_use()).collect()).await;
        if written.is_err() {
            self.directory.put_back(used);
        }
        written
    }

    /// Sets the clock mark to the current time before a clean stop, also if it was raised ahead of an expiry.
    pub(super) async fn record_time(&self) {
        if self.clock.read().unsettled.is_some() {
            return;
        }
        if let Err(error) = self.write(INSTANCE, vec![SideWrite::ResetClockMark(self.clock.newest())]).await {
            tracing::warn!(%error, "the time could not be recorded");
        }
    }
}

/// Logs an error if the clock is behind the newest time that was recorded.
pub(super) fn warn_if_behind(clock: &WatchedClock) {
    if let Some((now, newest)) = clock.behind() {
        tracing::error!(
            "the machine's clock shows `{now}`, and this store has seen `{newest}`: what expired by then stays expired, and `/readyz` fails \
             until the clock is set right; if the later time was wrong, start once with --accept-clock"
        );
    }
}
