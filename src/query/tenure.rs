//! Tenures: from when until when a principal had a role in an environment, by which rule, and which events began and ended it.
//!
//! A role may change at few instants: at events about the principal, the environment, the grant, RBAC and the workspace, and at expiries
//! of grants. The facts' own timelines list them. At each of them the role is resolved by the function that also decides. A tenure is a run
//! of instants with the same role and rule, so tenures and decisions cannot disagree.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;

use super::AuditQuery;
use super::evidence::{ShownCause, principal_name};
use super::pairs::Pairs;
use crate::domain::model::id::EnvironmentId;
use crate::domain::model::name::EnvironmentName;
use crate::domain::model::principal::Principal;
use crate::domain::model::role::EnvironmentRole;
use crate::domain::model::time::{Instant, Revision, Span};
use crate::domain::rules::authorize::{EffectiveRole, Rule, effective_role};
use crate::domain::state::view::View;

/// The cause of a change of access.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// An event.
    Event(Revision),
    /// The expiry of a grant, whenever the event that records it was appended.
    Expiry {
        /// The instant of the expiry.
        at: Instant,
        /// The event that set the expiry.
        set_by: Revision,
    },
}

/// A role held by one rule without interruption.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tenure {
    /// The role and the rule.
    pub held: EffectiveRole,
    /// Its first instant.
    pub from: Instant,
    /// The first instant after it; `None` if the role is still held in the view.
    pub until: Option<Instant>,
    /// The cause of its beginning.
    pub opened_by: Cause,
    /// The cause of its end.
    pub closed_by: Option<Cause>,
}

/// A cause that may have changed access, with its instant. At one instant, an expiry comes before events.
type TimedCause = (Instant, Cause);

fn timed_causes(view: &View, environment: EnvironmentId, principal: &Principal) -> Vec<TimedCause> {
    let events = view.relevant_revisions(environment, principal).into_iter();
    let mut causes: Vec<TimedCause> = events.map(|revision| (view.time_of(revision), Cause::Event(revision))).collect();
    let ends = view.grant_ends(environment, principal).into_iter();
    causes.extend(ends.map(|end| (end.value, Cause::Expiry { at: end.value, set_by: end.since })));
    causes.sort_by_key(|(instant, cause)| (*instant, matches!(cause, Cause::Event(_))));
    causes
}

/// Returns a principal's role and rule in an environment; `None` if the view lacks either of them.
pub fn held_in(view: &View, environment: EnvironmentId, principal: &Principal) -> Option<EffectiveRole> {
    view.principal(principal)?;
    Some(effective_role(view, &view.environment(environment)?, principal))
}

/// Returns the instant of each cause with the newest revision up to it.
fn newest_revisions(causes: &[TimedCause]) -> impl Iterator<Item = (Instant, Revision)> {
    causes.iter().scan(Revision::ZERO, |newest, (instant, cause)| {
        if let Cause::Event(revision) = cause {
            *newest = *revision;
        }
        Some((*instant, *newest))
    })
}

/// Returns every tenure of a principal in an environment up to the view, in order; `no_access` included.
pub fn tenures(view: &View, environment: EnvironmentId, principal: &Principal) -> Vec<Tenure> {
    tenures_in(view, environment, principal, Span::ALWAYS)
}

/// Returns the [`tenures`] that overlap `span`. It resolves no role before the first of them began or after the last one ended.
pub fn tenures_in(view: &View, environment: EnvironmentId, principal: &Principal, span: Span) -> Vec<Tenure> {
    let history = AccessHistory::of(view, environment, principal);
    let begun = history.points.partition_point(|point| point.at <= span.from());
    let mut before = begun.checked_sub(1).and_then(|last| history.after(last));
    let mut tenures = Vec::new();
    if let Some(held) = before {
        let other = (0..begun).rev().find(|index| history.after(*index) != before);
        tenures.extend(history.opened(held, other.map_or(0, |other| other + 1)));
    }
    for (index, ChangePoint { at, .. }) in history.points.iter().enumerate().skip(begun) {
        let is_later = span.until().is_some_and(|until| *at >= until);
        let open = tenures.last_mut().filter(|last: &&mut Tenure| last.until.is_none());
        if is_later && open.is_none() {
            break;
        }
        let after = history.after(index);
        if after == before {
            continue;
        }
        if let Some(last) = open {
            (last.until, last.closed_by) = (Some(*at), history.cause(index));
        }
        tenures.extend(after.filter(|_| !is_later).and_then(|held| history.opened(held, index)));
        before = after;
    }
    tenures.retain(|tenure| span.overlaps(tenure.from, tenure.until));
    tenures
}

/// An instant at which access may have changed.
struct ChangePoint {
    at: Instant,
    /// Its causes in order, each with the newest revision up to it.
    causes: Vec<(Cause, Revision)>,
}

/// The change points of a principal's access to an environment. The role after one is resolved on request.
struct AccessHistory<'a> {
    view: &'a View,
    environment: EnvironmentId,
    principal: &'a Principal,
    points: Vec<ChangePoint>,
}

impl<'a> AccessHistory<'a> {
    fn of(view: &'a View, environment: EnvironmentId, principal: &'a Principal) -> Self {
        let causes = timed_causes(view, environment, principal);
        let mut points: Vec<ChangePoint> = Vec::new();
        for ((at, cause), (_, revision)) in causes.iter().zip(newest_revisions(&causes)) {
            match points.last_mut().filter(|point| point.at == *at) {
                Some(point) => point.causes.push((*cause, revision)),
                None => points.push(ChangePoint { at: *at, causes: vec![(*cause, revision)] }),
            }
        }
        Self { view, environment, principal, points }
    }

    fn held(&self, at: Instant, revision: Revision) -> Option<EffectiveRole> {
        held_in(&self.view.mid_command(revision, at), self.environment, self.principal)
    }

    /// Returns the role after a point.
    fn after(&self, index: usize) -> Option<EffectiveRole> {
        let point = self.points.get(index)?;
        self.held(point.at, point.causes.last()?.1)
    }

    /// Returns the cause that made the difference at a point.
    fn cause(&self, index: usize) -> Option<Cause> {
        let ChangePoint { at, causes } = self.points.get(index)?;
        let roles: Vec<Option<EffectiveRole>> = causes.iter().map(|(_, revision)| self.held(*at, *revision)).collect();
        causes.get(start_of_last_run(&roles)).map(|(cause, _)| *cause)
    }

    /// Returns the tenure that begins at a point.
    fn opened(&self, held: EffectiveRole, index: usize) -> Option<Tenure> {
        let (from, opened_by) = (self.points.get(index)?.at, self.cause(index)?);
        Some(Tenure { held, from, until: None, opened_by, closed_by: None })
    }
}

/// Returns the index of the first item of the last run of equal roles.
fn start_of_last_run(roles: &[Option<EffectiveRole>]) -> usize {
    let last = roles.last();
    roles.iter().rposition(|role| Some(role) != last).map_or(0, |other| other + 1)
}

/// Returns the instant since when a principal's role and rule have been those of the view.
pub fn since(view: &View, environment: EnvironmentId, principal: &Principal) -> Instant {
    let causes = timed_causes(view, environment, principal);
    let now = held_in(view, environment, principal);
    let revisions: Vec<(Instant, Revision)> = newest_revisions(&causes).collect();
    let each = revisions.chunk_by(|one, other| one.0 == other.0).filter_map(<[_]>::last);
    let is_same = |(instant, revision): &&(Instant, Revision)| {
        held_in(&view.mid_command(*revision, *instant), environment, principal) == now
    };
    each.rev().take_while(is_same).last().map_or(Instant::EARLIEST, |(instant, _)| *instant)
}

/// The most pairs for which a [`TenureSource`] pays off: the timelines of more would evict each other.
pub const SOURCE_PAIRS_MAX: usize = 131_072;

/// Tenures that need not be computed from the view.
pub trait TenureSource: Send + Sync {
    /// Returns a principal's tenures above `no_access` that overlap `span`, in order; `None` if the source does not apply.
    fn tenures_in(
        &self,
        view: &View,
        environment: EnvironmentId,
        principal: &Principal,
        span: Span,
    ) -> Option<Vec<Tenure>>;
}

/// The tenures that overlap a span.
pub struct Tenures {
    view: View,
    span: Span,
    role: Option<EnvironmentRole>,
    pairs: Pairs,
    source: Option<Arc<dyn TenureSource>>,
}

/// A tenure as it is shown.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct TenureRow {
    /// The principal.
    pub principal: Principal,
    /// The principal's name.
    pub principal_name: String,
    /// The environment.
    pub environment: EnvironmentId,
    /// The environment's name, or its last one.
    pub environment_name: Option<EnvironmentName>,
    /// The role, above `no_access`.
    pub role: EnvironmentRole,
    /// The stable name of the rule that gave it.
    pub rule: &'static str,
    /// Its first instant.
    pub from: Instant,
    /// The first instant after it; `null` while it is held.
    pub until: Option<Instant>,
    /// The expiry of the grant that gives the role, if it is still held.
    pub expires_at: Option<Instant>,
    /// The cause of its beginning.
    pub opened_by: Option<ShownCause>,
    /// The cause of its end.
    pub closed_by: Option<ShownCause>,
}

impl Tenures {
    /// Creates the query for pairs, of one role or of all; later than the view, nothing is known.
    pub fn new(view: View, span: Span, role: Option<EnvironmentRole>, pairs: Pairs) -> Self {
        Self { view, span, role, pairs, source: None }
    }

    /// Reads tenures from a source where it applies.
    #[must_use]
    pub fn from_source(self, source: Arc<dyn TenureSource>) -> Self {
        Self { source: Some(source), ..self }
    }

    /// Returns the tenures of a candidate.
    pub fn of_candidate(&self, candidate: usize) -> Vec<Tenure> {
        let Some((environment, principal)) = self.pairs.get(candidate) else { return Vec::new() };
        let known = self.source.as_ref();
        let known = known.and_then(|source| source.tenures_in(&self.view, environment, principal, self.span));
        let mut tenures = known.unwrap_or_else(|| tenures_in(&self.view, environment, principal, self.span));
        tenures.retain(|tenure| self.is_requested(tenure));
        tenures
    }

    fn row(&self, environment: EnvironmentId, principal: &Principal, tenure: &Tenure) -> TenureRow {
        let view = &self.view;
        let grant = view.environment(environment).and_then(|found| view.grant(&found, principal));
        let expires_at = grant.and_then(|grant| grant.value.expires_at);
        TenureRow {
            principal: principal.clone(),
            principal_name: principal_name(view, principal),
            environment,
            environment_name: view.environment_name(environment).cloned(),
            role: tenure.held.role,
            rule: tenure.held.rule.as_str(),
            from: tenure.from,
            until: tenure.until,
            expires_at: expires_at.filter(|_| tenure.until.is_none() && tenure.held.rule == Rule::Grant),
            opened_by: ShownCause::of(view, &tenure.opened_by),
            closed_by: tenure.closed_by.as_ref().and_then(|cause| ShownCause::of(view, cause)),
        }
    }

    fn is_requested(&self, tenure: &Tenure) -> bool {
        let held = tenure.held.role;
        held > EnvironmentRole::NoAccess && self.role.is_none_or(|role| role == held)
    }
}

impl AuditQuery for Tenures {
    type Row = TenureRow;

    const COLUMNS: &'static [&'static str] = &[
        "principal",
        "principal_name",
        "environment",
        "environment_name",
        "role",
        "rule",
        "from",
        "until",
        "expires_at",
        "opened_by.event",
        "opened_by.revision",
        "opened_by.type",
        "opened_by.time",
        "opened_by.actor",
        "opened_by.reason",
        "opened_by.expiry",
        "closed_by.event",
        "closed_by.revision",
        "closed_by.type",
        "closed_by.time",
        "closed_by.actor",
        "closed_by.reason",
        "closed_by.expiry",
    ];

    fn candidates(&self) -> usize {
        self.pairs.len()
    }

    fn bytes(&self) -> usize {
        self.pairs.bytes()
    }

    fn rows(&self, candidate: usize) -> Vec<TenureRow> {
        let Some((environment, principal)) = self.pairs.get(candidate) else { return Vec::new() };
        self.of_candidate(candidate).iter().map(|tenure| self.row(environment, principal, tenure)).collect()
    }
}
