//! The roll of an environment: what each principal held in it, from the first event of the log to the newest that counts.
//!
//! A memo of [`tenures`] and of nothing else. It can be wrong only about another log than its own, so it knows its log by the newest event
//! that it counts ([`Mark`]); and it can be thrown away at any time. A principal's line is worked out when it is first asked for.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use uuid::Uuid;

use super::tenure::{Cause, Tenure, tenures};
use crate::domain::collections::interpolation_search::{part, search_from};
use crate::domain::model::id::{CommandId, EnvironmentId, EventId};
use crate::domain::model::principal::Principal;
use crate::domain::model::role::EnvironmentRole;
use crate::domain::model::time::{Instant, Revision, Span};
use crate::domain::rules::authorize::EffectiveRole;
use crate::domain::state::event_impact::AffectedPrincipals;
use crate::domain::state::view::View;

/// The most events that a roll is brought forward over; after more of them it is begun anew.
const EVENTS_MAX: u64 = 8_192;
/// What the allocator and the counts of owners take beside a line's steps, in bytes.
const LINE_BYTES: usize = 32;

/// The newest event that counts. No two logs have an event in common that is not the newest of the same history in both: an id is never
/// made twice, and a log is never rewritten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    revision: Revision,
    event: EventId,
}

impl Mark {
    /// The mark of a revision; none for the empty log, and for an event that is only foreseen: its id stands for others.
    pub(super) fn of(view: &View, revision: Revision) -> Option<Self> {
        let event = view.event(revision).filter(|event| event.command != CommandId::from_uuid(Uuid::nil()))?;
        Some(Self { revision, event: event.id })
    }

    /// The newest revision that counts.
    pub(super) const fn revision(self) -> Revision {
        self.revision
    }
}

/// What was held from an instant on, and what made the difference. What it made ends what was held before.
#[derive(Debug, Clone, Copy)]
struct Step {
    at: Instant,
    /// The event, or the one that set the end that passed.
    by: Revision,
    is_expiry: bool,
    held: Option<EffectiveRole>,
}

impl Step {
    const fn new(at: Instant, cause: Cause, held: Option<EffectiveRole>) -> Self {
        match cause {
            Cause::Event(by) => Self { at, by, is_expiry: false, held },
            Cause::Expiry { set_by: by, .. } => Self { at, by, is_expiry: true, held },
        }
    }

    const fn cause(&self) -> Cause {
        // What expires ends at the very instant of its end.
        if self.is_expiry { Cause::Expiry { at: self.at, set_by: self.by } } else { Cause::Event(self.by) }
    }
}

/// The steps of tenures that are in order: one where each begins, and one where nothing follows at once.
fn steps(tenures: &[Tenure]) -> Arc<[Step]> {
    let nexts = tenures.iter().skip(1).map(|next| Some(next.from)).chain([None]);
    let each = tenures.iter().zip(nexts).flat_map(|(tenure, next)| {
        let end = tenure.until.zip(tenure.closed_by).filter(|(until, _)| next != Some(*until));
        let begin = Step::new(tenure.from, tenure.opened_by, Some(tenure.held));
        [Some(begin), end.map(|(until, cause)| Step::new(until, cause, None))]
    });
    each.flatten().collect()
}

/// From when until when a log has events.
#[derive(Debug, Clone, Copy)]
pub(super) struct LogTime {
    first: Instant,
    last: Instant,
}

impl LogTime {
    /// That of the log that a view of its newest revision, at its own time, is of.
    pub(super) fn of(whole: &View) -> Self {
        Self { first: whole.time_of(Revision(1)), last: whole.instant() }
    }

    /// How many of so many things would be there at an instant if they came evenly; at most all.
    fn share_of(self, count: usize, instant: Instant) -> usize {
        let since_first = |instant: Instant| instant.max(self.first).micros().abs_diff(self.first.micros());
        part(count, since_first(instant), since_first(self.last))
    }
}

/// What a principal held, and what the clock alone will change about it.
#[derive(Debug, Clone)]
pub(super) struct Line {
    steps: Arc<[Step]>,
    /// The end of the grant that the principal has at the newest revision that counts, and its time.
    grant_until: Option<Instant>,
}

impl Line {
    fn of(whole: &View, environment: EnvironmentId, principal: &Principal) -> Self {
        let steps = steps(&tenures(whole, environment, principal));
        let grant = whole.environment(environment).and_then(|place| whole.grant(&place, principal));
        Self { steps, grant_until: grant.and_then(|grant| grant.value.expires_at) }
    }

    fn bytes(&self) -> usize {
        size_of_val(&*self.steps).saturating_add(LINE_BYTES)
    }

    /// Whether the line still says what is held at an instant, if no event has come.
    pub(super) fn lasts_until(&self, instant: Instant) -> bool {
        self.grant_until.is_none_or(|end| instant < end)
    }

    /// How many steps there are up to an instant, counted from where they would be if they came evenly over the time of the log.
    fn count_until(&self, instant: Instant, time: LogTime) -> usize {
        let happened = |place: usize| self.steps.get(place).is_some_and(|step| step.at <= instant);
        search_from(time.share_of(self.steps.len(), instant), 1, self.steps.len(), happened)
    }

    /// The tenures above `no_access` that overlap a span, as they were at an instant that the line lasts until, in order.
    pub(super) fn within(&self, known: Instant, span: Span, time: LogTime) -> impl Iterator<Item = Tenure> {
        let begun = self.count_until(span.from().min(known), time);
        let steps = self.steps.get(begun.saturating_sub(1)..).unwrap_or_default();
        let ends = steps.iter().skip(1).map(Some).chain([None]);
        let is_known = move |step: &Step| step.at <= known;
        let is_asked = move |step: &Step| is_known(step) && span.until().is_none_or(|until| step.at < until);
        let asked = steps.iter().zip(ends).take_while(move |(step, _)| is_asked(step));
        let tenures = asked.filter_map(move |(step, end)| {
            let held = step.held.filter(|held| held.role > EnvironmentRole::NoAccess)?;
            let end = end.filter(|end| is_known(end));
            let (until, closed_by) = (end.map(|end| end.at), end.map(Step::cause));
            Some(Tenure { held, from: step.at, until, opened_by: step.cause(), closed_by })
        });
        tenures.filter(move |tenure| span.overlaps(tenure.from, tenure.until))
    }
}

/// What each principal held in an environment, as far as a revision of one log.
#[derive(Debug)]
pub(super) struct Roll {
    environment: EnvironmentId,
    mark: Mark,
    /// Every principal that ever was, in order.
    principals: Arc<[Principal]>,
    /// The line of each, in the same order, once it was asked for.
    lines: Box<[OnceLock<Line>]>,
    bytes: AtomicUsize,
    /// What it took when it was weighed last.
    weighed: AtomicUsize,
}

impl Roll {
    /// A roll that nothing was asked of yet. `whole` is a view of the newest revision at its own time.
    pub(super) fn new(whole: &View, environment: EnvironmentId, mark: Mark) -> Self {
        Self::with(environment, mark, whole.principals_of_all_time().collect(), |_, _| None)
    }

    fn with(
        environment: EnvironmentId,
        mark: Mark,
        principals: Arc<[Principal]>,
        known: impl Fn(usize, &Principal) -> Option<Line>,
    ) -> Self {
        let line = |(place, principal)| known(place, principal).map_or_else(OnceLock::new, OnceLock::from);
        let lines: Box<[OnceLock<Line>]> = principals.iter().enumerate().map(line).collect();
        let known: usize = lines.iter().filter_map(OnceLock::get).map(Line::bytes).sum();
        let bytes = size_of_val(&*principals).saturating_add(size_of_val(&*lines)).saturating_add(known);
        Self { environment, mark, principals, lines, bytes: AtomicUsize::new(bytes), weighed: AtomicUsize::new(bytes) }
    }

    /// The same as far as a newer revision of its log: without the lines that an event since then, or the clock, may have changed. None
    /// if all may have changed, or too much has happened.
    pub(super) fn brought_to(&self, whole: &View, mark: Mark) -> Option<Self> {
        let since = self.mark.revision;
        let count = mark.revision.0.checked_sub(since.0).filter(|count| *count <= EVENTS_MAX)?;
        let mut changed = Vec::new();
        for event in whole.workspace().events(since, mark.revision).take(usize::try_from(count).ok()?) {
            match event.affected_principals(self.environment) {
                AffectedPrincipals::Nobody => {}
                AffectedPrincipals::One(principal) => changed.push(principal),
                AffectedPrincipals::Everyone => return None,
            }
        }
        changed.sort_unstable();
        let is_kept = |principal: &Principal, line: &Line| {
            line.lasts_until(whole.instant()) && changed.binary_search(principal).is_err()
        };
        let kept = |place: usize, principal: &Principal| {
            self.lines.get(place)?.get().filter(|line| is_kept(principal, line)).cloned()
        };
        if changed.iter().all(|principal| self.place_of(principal).is_some()) {
            return Some(Self::with(self.environment, mark, Arc::clone(&self.principals), kept));
        }
        let principals = whole.principals_of_all_time().collect();
        Some(Self::with(self.environment, mark, principals, |_, principal| kept(self.place_of(principal)?, principal)))
    }

    /// Where it is the roll of.
    pub(super) const fn environment(&self) -> EnvironmentId {
        self.environment
    }

    /// Of which log it is, and as far as where.
    pub(super) const fn mark(&self) -> Mark {
        self.mark
    }

    /// What it takes in memory, in bytes.
    pub(super) fn weigh(&self) -> usize {
        let bytes = self.bytes.load(Ordering::Relaxed);
        self.weighed.store(bytes, Ordering::Relaxed);
        bytes
    }

    /// Whether it takes an eighth more than when it was weighed.
    fn is_outgrown(&self) -> bool {
        let weighed = self.weighed.load(Ordering::Relaxed);
        self.bytes.load(Ordering::Relaxed) > weighed.saturating_add(weighed / 8)
    }

    /// Every principal that ever was, in order.
    pub(super) fn principals(&self) -> &[Principal] {
        &self.principals
    }

    /// The place of a principal in the order.
    pub(super) fn place_of(&self, principal: &Principal) -> Option<usize> {
        self.principals.binary_search(principal).ok()
    }

    /// The line of a place. `whole` is the view of the roll's revision at its own time; `outgrown` hears that the roll should be
    /// weighed again.
    pub(super) fn line(&self, place: usize, whole: &View, outgrown: impl FnOnce()) -> Option<&Line> {
        let (line, principal) = (self.lines.get(place)?, self.principals.get(place)?);
        if let Some(known) = line.get() {
            return Some(known);
        }
        let made = line.get_or_init(|| {
            let made = Line::of(whole, self.environment, principal);
            self.bytes.fetch_add(made.bytes(), Ordering::Relaxed);
            made
        });
        if self.is_outgrown() {
            outgrown();
        }
        Some(made)
    }
}
