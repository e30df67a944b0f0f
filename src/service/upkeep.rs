//! What the housekeeping thread does now and then: it records what has expired, what was used and what time it is, and writes
//! snapshots and checkpoints.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::group::{ANSWER_KEPT_MICROS, MARKED_AHEAD_MICROS};
use super::witness::CHECKPOINTS_A_ROUND_MAX;
use super::writer::Job;
use super::{INSTANCE, Service};
use crate::clock::{Reading, WatchedClock};
use crate::domain::model::time::Instant;
use crate::log::{LogError, Note};

/// How often the time that the clock shows is recorded, in microseconds.
const CLOCK_MARK_PERIOD_MICROS: i64 = 60_000_000;

impl Service {
    /// Records what has expired and what was used, and writes the snapshots that are due. The housekeeping thread calls it now and then.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn keep_house(&self) -> Result<(), LogError> {
        let reading = self.clock.read();
        if reading.unsettled.is_none() {
            self.keep_time(reading).await?;
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
            self.keep_checkpoints(CHECKPOINTS_A_ROUND_MAX).await;
        }
        let until = Instant::from_micros(reading.time.micros().saturating_sub(ANSWER_KEPT_MICROS));
        self.reading(move |log| log.forget_answers(until)).await
    }

    /// Records what has expired, and the time where something expires soon or none was recorded for a while.
    async fn keep_time(&self, reading: Reading) -> Result<(), LogError> {
        let now = reading.judged;
        for id in self.reading(move |log| log.due(now)).await? {
            match self.slot(id).await {
                Ok(Some(slot)) => self.hand_in_own(id, Job::Expire(slot))?,
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

    /// Records a time. Where that fails the rest of the house is kept all the same.
    async fn raise_clock_mark(&self, mark: Instant) {
        match self.write(INSTANCE, vec![Note::RaiseClockMark(mark)]).await {
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

    /// Records the time as it is, before a clean stop. What was recorded ahead of an end that has not come yet is not needed any more.
    pub(super) async fn record_time(&self) {
        if self.clock.read().unsettled.is_some() {
            return;
        }
        if let Err(error) = self.write(INSTANCE, vec![Note::ResetClockMark(self.clock.newest())]).await {
            tracing::warn!(%error, "the time could not be recorded");
        }
    }
}

/// Says so where the clock is behind the newest time that was recorded.
pub(super) fn warn_if_behind(clock: &WatchedClock) {
    if let Some((now, newest)) = clock.behind() {
        tracing::error!(
            "the machine's clock shows `{now}`, and this store has seen `{newest}`: what expired by then stays expired, and `/readyz` fails \
             until the clock is set right; if the later time was wrong, start once with --accept-clock"
        );
    }
}
