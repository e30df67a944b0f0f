//! The access timeline of one environment: the tenures of each principal in it, from the first event of the log to the newest counted one.
//!
//! It memoises [`tenures`] and adds no rule of its own, so it can be dropped at any time. The [`LogPosition`] says which log it belongs to.
//! A principal's timeline is computed when it is first requested.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use uuid::Uuid;

use crate::domain::collections::interpolation_search::{part, search_from};
use crate::domain::model::id::{CommandId, EnvironmentId, EventId};
use crate::domain::model::principal::Principal;
use crate::domain::model::role::EnvironmentRole;
use crate::domain::model::time::{Instant, Revision, Span};
use crate::domain::rules::authorize::EffectiveRole;
use crate::domain::state::event_impact::AffectedPrincipals;
use crate::domain::state::view::View;
use crate::query::tenure::{Cause, Tenure, tenures};

/// The most events that a timeline is advanced over; beyond them a new one is begun.
const EVENTS_MAX: u64 = 8_192;
/// The bytes that the allocator and the reference counts take beside the changes of a principal's timeline.
const TIMELINE_BYTES: usize = 32;

/// A position in one particular log: a revision and the id of its event.
///
/// Event ids are unique and logs are append-only. Two logs with the same event at a revision therefore agree up to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LogPosition {
    revision: Revision,
    event: EventId,
}

impl LogPosition {
    /// Returns the position of a revision; `None` for the empty log and for a simulated event, whose id is a placeholder.
    pub(super) fn of(view: &View, revision: Revision) -> Option<Self> {
        let event = view.event(revision).filter(|event| event.command != CommandId::from_uuid(Uuid::nil()))?;
        Some(Self { revision, event: event.id })
    }

    /// Returns the newest counted revision.
    pub(super) const fn revision(self) -> Revision {
        self.revision
    }
}

/// A change of the effective role: its instant, its cause and the role from then on. It ends the role before it.
#[derive(Debug, Clone, Copy)]
struct RoleChange {
    at: Instant,
    /// The event, or the event that set the expiry.
    by: Revision,
    is_expiry: bool,
    held: Option<EffectiveRole>,
}

impl RoleChange {
    const fn new(at: Instant, cause: Cause, held: Option<EffectiveRole>) -> Self {
        match cause {
            Cause::Event(by) => Self { at, by, is_expiry: false, held },
            Cause::Expiry { set_by: by, .. } => Self { at, by, is_expiry: true, held },
        }
    }

    const fn cause(&self) -> Cause {
        // A grant expires exactly at its `expires_at`.
        if self.is_expiry { Cause::Expiry { at: self.at, set_by: self.by } } else { Cause::Event(self.by) }
    }
}

/// Returns the changes that ordered tenures consist of: one at each beginning, and one at each end that no tenure follows at once.
fn role_changes(tenures: &[Tenure]) -> Arc<[RoleChange]> {
    let nexts = tenures.iter().skip(1).map(|next| Some(next.from)).chain([None]);
    let each = tenures.iter().zip(nexts).flat_map(|(tenure, next)| {
        let end = tenure.until.zip(tenure.closed_by).filter(|(until, _)| next != Some(*until));
        let begin = RoleChange::new(tenure.from, tenure.opened_by, Some(tenure.held));
        [Some(begin), end.map(|(until, cause)| RoleChange::new(until, cause, None))]
    });
    each.flatten().collect()
}

/// The time between the first and the last event of a log.
#[derive(Debug, Clone, Copy)]
pub(super) struct LogPeriod {
    first: Instant,
    last: Instant,
}

impl LogPeriod {
    /// Returns the period of a log. `whole` is the view of its newest revision at that revision's own time.
    pub(super) fn of(whole: &View) -> Self {
        Self { first: whole.time_of(Revision(1)), last: whole.instant() }
    }

    /// Estimates how many of `count` evenly spread items lie before `instant`; at most all.
    fn estimate(self, count: usize, instant: Instant) -> usize {
        let since_first = |instant: Instant| instant.max(self.first).micros().abs_diff(self.first.micros());
        part(count, since_first(instant), since_first(self.last))
    }
}

/// The role changes of one principal in one environment.
#[derive(Debug, Clone)]
pub(super) struct PrincipalTimeline {
    changes: Arc<[RoleChange]>,
    /// The `expires_at` of the principal's grant at the newest counted revision and its time.
    grant_until: Option<Instant>,
}

impl PrincipalTimeline {
    fn of(whole: &View, environment: EnvironmentId, principal: &Principal) -> Self {
        let changes = role_changes(&tenures(whole, environment, principal));
        let grant = whole.environment(environment).and_then(|environment| whole.grant(&environment, principal));
        Self { changes, grant_until: grant.and_then(|grant| grant.value.expires_at) }
    }

    fn bytes(&self) -> usize {
        size_of_val(&*self.changes).saturating_add(TIMELINE_BYTES)
    }

    /// Checks that the timeline is still right at `instant` if no event was appended.
    pub(super) fn is_valid_until(&self, instant: Instant) -> bool {
        self.grant_until.is_none_or(|end| instant < end)
    }

    /// Returns the number of changes up to `instant`. The search starts where they would be if they were evenly spread.
    fn count_until(&self, instant: Instant, period: LogPeriod) -> usize {
        let happened = |index: usize| self.changes.get(index).is_some_and(|change| change.at <= instant);
        search_from(period.estimate(self.changes.len(), instant), 1, self.changes.len(), happened)
    }

    /// Returns the tenures above `no_access` that overlap `span`, in order, as known at `known`. The timeline must be valid until then.
    pub(super) fn within(&self, known: Instant, span: Span, period: LogPeriod) -> impl Iterator<Item = Tenure> {
        let begun = self.count_until(span.from().min(known), period);
        let changes = self.changes.get(begun.saturating_sub(1)..).unwrap_or_default();
        let ends = changes.iter().skip(1).map(Some).chain([None]);
        let is_known = move |change: &RoleChange| change.at <= known;
        let is_in_span =
            move |change: &RoleChange| is_known(change) && span.until().is_none_or(|until| change.at < until);
        let begun = changes.iter().zip(ends).take_while(move |(change, _)| is_in_span(change));
        let tenures = begun.filter_map(move |(change, end)| {
            let held = change.held.filter(|held| held.role > EnvironmentRole::NoAccess)?;
            let end = end.filter(|end| is_known(end));
            let (until, closed_by) = (end.map(|end| end.at), end.map(RoleChange::cause));
            Some(Tenure { held, from: change.at, until, opened_by: change.cause(), closed_by })
        });
        tenures.filter(move |tenure| span.overlaps(tenure.from, tenure.until))
    }
}

/// The timelines of all principals in one environment, up to a position of one log.
#[derive(Debug)]
pub(super) struct AccessTimeline {
    environment: EnvironmentId,
    position: LogPosition,
    /// Every principal that ever existed, in order.
    principals: Arc<[Principal]>,
    /// The timeline of each, in the same order, once it was requested.
    timelines: Box<[OnceLock<PrincipalTimeline>]>,
    bytes: AtomicUsize,
    /// The size that [`Self::weigh`] returned last, in bytes.
    weighed: AtomicUsize,
}

impl AccessTimeline {
    /// Creates a timeline with nothing computed yet. `whole` is the view of the newest revision at its own time.
    pub(super) fn new(whole: &View, environment: EnvironmentId, position: LogPosition) -> Self {
        Self::with(environment, position, whole.principals_of_all_time().collect(), |_, _| None)
    }

    fn with(
        environment: EnvironmentId,
        position: LogPosition,
        principals: Arc<[Principal]>,
        known: impl Fn(usize, &Principal) -> Option<PrincipalTimeline>,
    ) -> Self {
        let timeline = |(index, principal)| known(index, principal).map_or_else(OnceLock::new, OnceLock::from);
        let timelines: Box<[OnceLock<PrincipalTimeline>]> = principals.iter().enumerate().map(timeline).collect();
        let known: usize = timelines.iter().filter_map(OnceLock::get).map(PrincipalTimeline::bytes).sum();
        let bytes = size_of_val(&*principals).saturating_add(size_of_val(&*timelines)).saturating_add(known);
        let (bytes, weighed) = (AtomicUsize::new(bytes), AtomicUsize::new(bytes));
        Self { environment, position, principals, timelines, bytes, weighed }
    }

    /// Returns the timeline of a newer position, without what an event since then, or the clock, may have changed. `None` if everything
    /// may have changed, or over 8,192 events were appended.
    pub(super) fn advanced_to(&self, whole: &View, position: LogPosition) -> Option<Self> {
        let changed = self.changed_since(whole, position)?;
        let is_kept = |principal: &Principal, timeline: &PrincipalTimeline| {
            timeline.is_valid_until(whole.instant()) && changed.binary_search(principal).is_err()
        };
        let kept = |index: usize, principal: &Principal| {
            self.timelines.get(index)?.get().filter(|timeline| is_kept(principal, timeline)).cloned()
        };
        if changed.iter().all(|principal| self.index_of(principal).is_some()) {
            return Some(Self::with(self.environment, position, Arc::clone(&self.principals), kept));
        }
        let principals = whole.principals_of_all_time().collect();
        let kept = |_, principal: &Principal| kept(self.index_of(principal)?, principal);
        Some(Self::with(self.environment, position, principals, kept))
    }

    /// Returns the principals, in order, whose role the events up to a newer position may have changed.
    fn changed_since(&self, whole: &View, position: LogPosition) -> Option<Vec<Principal>> {
        let since = self.position.revision;
        let count = position.revision.0.checked_sub(since.0).filter(|count| *count <= EVENTS_MAX)?;
        let mut changed = Vec::new();
        for event in whole.workspace().events(since, position.revision).take(usize::try_from(count).ok()?) {
            match event.affected_principals(self.environment) {
                AffectedPrincipals::Nobody => {}
                AffectedPrincipals::One(principal) => changed.push(principal),
                AffectedPrincipals::Everyone => return None,
            }
        }
        changed.sort_unstable();
        Some(changed)
    }

    /// Returns the environment.
    pub(super) const fn environment(&self) -> EnvironmentId {
        self.environment
    }

    /// Returns the position up to which events are counted.
    pub(super) const fn position(&self) -> LogPosition {
        self.position
    }

    /// Returns the size in memory, in bytes, and remembers it.
    pub(super) fn weigh(&self) -> usize {
        let bytes = self.bytes.load(Ordering::Relaxed);
        self.weighed.store(bytes, Ordering::Relaxed);
        bytes
    }

    /// Checks whether the size is more than an eighth above the one that was returned last.
    fn is_outgrown(&self) -> bool {
        let weighed = self.weighed.load(Ordering::Relaxed);
        self.bytes.load(Ordering::Relaxed) > weighed.saturating_add(weighed / 8)
    }

    /// Returns every principal that ever existed, in order.
    pub(super) fn principals(&self) -> &[Principal] {
        &self.principals
    }

    /// Returns the index of a principal in that order.
    pub(super) fn index_of(&self, principal: &Principal) -> Option<usize> {
        self.principals.binary_search(principal).ok()
    }

    /// Returns the timeline of the principal at `index`, and computes it if necessary. `whole` is the view of the position's revision at
    /// its own time. Calls `outgrown` if the cache should weigh this timeline again.
    pub(super) fn timeline(&self, index: usize, whole: &View, outgrown: impl FnOnce()) -> Option<&PrincipalTimeline> {
        let (timeline, principal) = (self.timelines.get(index)?, self.principals.get(index)?);
        if let Some(known) = timeline.get() {
            return Some(known);
        }
        let computed = timeline.get_or_init(|| {
            let computed = PrincipalTimeline::of(whole, self.environment, principal);
            self.bytes.fetch_add(computed.bytes(), Ordering::Relaxed);
            computed
        });
        if self.is_outgrown() {
            outgrown();
        }
        Some(computed)
    }
}
