//! The cache of access timelines, so that tenures over a span of time are found without computing any of them twice.
//!
//! Its size is bounded and the least used timeline is evicted first. It returns exactly what [`tenures_in`] returns, and computes that
//! where no timeline applies. *(tests/domain/timelines.rs)*

mod timeline;

use std::sync::{Arc, Mutex, PoisonError};

use moka::sync::Cache;

use crate::domain::model::id::{EnvironmentId, WorkspaceId};
use crate::domain::model::principal::Principal;
use crate::domain::model::role::EnvironmentRole;
use crate::domain::model::time::{Instant, Revision, Span};
use crate::domain::state::view::{At, View};
use crate::query::tenure::{Tenure, TenureSource, tenures_in};
use timeline::{AccessTimeline, LogPeriod, LogPosition, PrincipalTimeline};

/// A cache of access timelines, of all workspaces. Clones share it.
#[derive(Debug, Clone)]
pub struct AccessTimelineCache {
    cached: Cache<(WorkspaceId, EnvironmentId), Arc<AccessTimeline>>,
}

impl AccessTimelineCache {
    /// Creates an empty cache that keeps about `bytes` bytes.
    pub fn with_capacity(bytes: u64) -> Self {
        let weigh = |_: &_, timeline: &Arc<AccessTimeline>| u32::try_from(timeline.weigh()).unwrap_or(u32::MAX);
        Self { cached: Cache::builder().weigher(weigh).max_capacity(bytes).build() }
    }

    /// Returns the size of the cached timelines, in bytes.
    pub fn bytes(&self) -> u64 {
        self.cached.run_pending_tasks();
        self.cached.weighted_size()
    }

    /// Calls `visit` with each tenure above `no_access` in an environment that overlaps `span`: in the order of principals, then of time.
    pub fn who_had_access(
        &self,
        view: &View,
        environment: EnvironmentId,
        span: Span,
        mut visit: impl FnMut(&Principal, Tenure),
    ) {
        let Some(reader) = self.open(view, environment) else {
            let everyone = view.principals_of_all_time();
            return everyone.for_each(|principal| visit_computed(view, environment, &principal, span, &mut visit));
        };
        for (index, principal) in reader.timeline.principals().iter().enumerate() {
            match reader.principal_timeline(index) {
                Some(timeline) => {
                    let tenures = timeline.within(reader.known, span, reader.period);
                    tenures.for_each(|tenure| visit(principal, tenure));
                }
                None => visit_computed(view, environment, principal, span, &mut visit),
            }
        }
    }

    /// Returns the tenures of one query. It remembers the timeline that it read last.
    pub fn source(&self) -> Arc<dyn TenureSource> {
        Arc::new(CachedTenures { cache: self.clone(), open: Mutex::default() })
    }

    /// Opens the timeline of an environment at a view; `None` where no timeline applies to that view.
    fn open(&self, view: &View, environment: EnvironmentId) -> Option<TimelineReader> {
        let whole = whole(view)?;
        let position = LogPosition::of(&whole, whole.revision())?;
        let timeline = self.timeline(&whole, position, environment)?;
        let period = LogPeriod::of(&whole);
        Some(TimelineReader { cache: self.clone(), timeline, whole, period, known: view.instant() })
    }

    /// Returns the timeline of an environment at the newest revision; `None` if the cached one is newer.
    fn timeline(&self, whole: &View, position: LogPosition, environment: EnvironmentId) -> Option<Arc<AccessTimeline>> {
        let cached = self.cached.get(&(whole.workspace().id(), environment));
        match cached {
            Some(cached) if cached.position() == position => return Some(cached),
            Some(cached) if cached.position().revision() > position.revision() => return None,
            _ => {}
        }
        let is_own = |cached: &Arc<AccessTimeline>| {
            LogPosition::of(whole, cached.position().revision()) == Some(cached.position())
        };
        let advanced = cached.filter(is_own).and_then(|cached| cached.advanced_to(whole, position));
        let timeline = Arc::new(advanced.unwrap_or_else(|| AccessTimeline::new(whole, environment, position)));
        self.keep(whole.workspace().id(), &timeline);
        Some(timeline)
    }

    fn keep(&self, workspace: WorkspaceId, timeline: &Arc<AccessTimeline>) {
        let key = (workspace, timeline.environment());
        let is_newer = |cached: Arc<AccessTimeline>| cached.position().revision() <= timeline.position().revision();
        if self.cached.get(&key).is_none_or(is_newer) {
            self.cached.insert(key, Arc::clone(timeline));
        }
    }
}

/// Returns the view of the newest revision at its own time, if it determines the tenures of `view`.
///
/// It does not where `view` hides an event of its own time, or where the facts begin in the middle of their log.
fn whole(view: &View) -> Option<View> {
    let workspace = view.workspace();
    let is_plain = view.revision() == workspace.revision_at(view.instant());
    let from_the_first = View::new(Arc::clone(workspace), At::Revision(Revision::ZERO), Instant::EARLIEST);
    (is_plain && from_the_first.is_ok()).then(|| View::at_head(Arc::clone(workspace)))
}

/// Calls `visit` with a principal's tenures, computed without a timeline.
fn visit_computed(
    view: &View,
    environment: EnvironmentId,
    principal: &Principal,
    span: Span,
    visit: &mut impl FnMut(&Principal, Tenure),
) {
    let tenures = tenures_in(view, environment, principal, span).into_iter();
    let above = tenures.filter(|tenure| tenure.held.role > EnvironmentRole::NoAccess);
    above.for_each(|tenure| visit(principal, tenure));
}

/// A timeline, read at a view.
#[derive(Debug)]
struct TimelineReader {
    cache: AccessTimelineCache,
    timeline: Arc<AccessTimeline>,
    /// The view of the timeline's revision, at its own time.
    whole: View,
    period: LogPeriod,
    /// The instant of the queried view; later changes are not known in it.
    known: Instant,
}

impl TimelineReader {
    /// Returns a principal's tenures above `no_access` that overlap `span`, in order; `None` if the timeline does not apply.
    fn tenures_in(&self, principal: &Principal, span: Span) -> Option<Vec<Tenure>> {
        let timeline = self.principal_timeline(self.timeline.index_of(principal)?)?;
        Some(timeline.within(self.known, span, self.period).collect())
    }

    /// Returns the timeline at an index, unless a grant has expired since and no event records that yet.
    fn principal_timeline(&self, index: usize) -> Option<&PrincipalTimeline> {
        let outgrown = || self.cache.keep(self.whole.workspace().id(), &self.timeline);
        let timeline = self.timeline.timeline(index, &self.whole, outgrown);
        timeline.filter(|timeline| timeline.is_valid_until(self.known))
    }
}

/// The cached tenures of one query, whose candidates are ordered by environment.
struct CachedTenures {
    cache: AccessTimelineCache,
    /// The environment that was read last, with its timeline if one applies.
    open: Mutex<Option<(EnvironmentId, Option<Arc<TimelineReader>>)>>,
}

impl CachedTenures {
    fn reader(&self, view: &View, environment: EnvironmentId) -> Option<Arc<TimelineReader>> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, known)) = open.as_ref().filter(|(known, _)| *known == environment) {
            return known.clone();
        }
        let found = self.cache.open(view, environment).map(Arc::new);
        *open = Some((environment, found.clone()));
        found
    }
}

impl TenureSource for CachedTenures {
    fn tenures_in(
        &self,
        view: &View,
        environment: EnvironmentId,
        principal: &Principal,
        span: Span,
    ) -> Option<Vec<Tenure>> {
        self.reader(view, environment)?.tenures_in(principal, span)
    }
}
