//! Tenures: from when until when a principal held a role in an environment by a rule, and what began and ended it.
//!
//! What a role rests on changes at few moments, and each is known from the facts' own timelines: those of the principal, the environment,
//! the grant, RBAC and the workspace, and the ends that were set for grants. The role is judged at each of these moments by the same
//! function that decides; a tenure is a run of moments at which role and rule are the same. So tenures and decisions cannot disagree.

use std::sync::{Arc, Mutex, PoisonError};

use schemars::JsonSchema;
use serde::Serialize;

use super::Question;
use super::evidence::{ShownCause, principal_name};
use super::pairs::Pairs;
use super::rolls::{OpenRoll, Rolls};
use crate::domain::model::id::EnvironmentId;
use crate::domain::model::name::EnvironmentName;
use crate::domain::model::principal::Principal;
use crate::domain::model::role::EnvironmentRole;
use crate::domain::model::time::{Instant, Revision, Span};
use crate::domain::rules::authorize::{EffectiveRole, Rule, effective_role};
use crate::domain::state::view::View;

/// What made access begin, change or end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// An event.
    Event(Revision),
    /// A grant passed its end, whenever the event that says so came.
    Expiry {
        /// When.
        at: Instant,
        /// The event that set this end.
        set_by: Revision,
    },
}

/// A role held by a rule without a break.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tenure {
    /// The role and the rule.
    pub held: EffectiveRole,
    /// Its first instant.
    pub from: Instant,
    /// The first instant after it; none if it is still held in the view.
    pub until: Option<Instant>,
    /// What began it.
    pub opened_by: Cause,
    /// What ended it.
    pub closed_by: Option<Cause>,
}

/// A moment at which access may have changed: an instant, and what happened then, in order. An end comes before the events of its instant.
type Moment = (Instant, Cause);

fn moments(view: &View, environment: EnvironmentId, principal: &Principal) -> Vec<Moment> {
    let events = view.relevant_revisions(environment, principal).into_iter();
    let mut moments: Vec<Moment> = events.map(|revision| (view.time_of(revision), Cause::Event(revision))).collect();
    let ends = view.grant_ends(environment, principal).into_iter();
    moments.extend(ends.map(|end| (end.value, Cause::Expiry { at: end.value, set_by: end.since })));
    moments.sort_by_key(|(instant, cause)| (*instant, matches!(cause, Cause::Event(_))));
    moments
}

/// What a principal holds in an environment in a view; none where one of them is not there.
pub fn held_in(view: &View, environment: EnvironmentId, principal: &Principal) -> Option<EffectiveRole> {
    view.principal(principal)?;
    Some(effective_role(view, &view.environment(environment)?, principal))
}

/// The newest of the events up to each moment, beside it.
fn reached(moments: &[Moment]) -> impl Iterator<Item = (Instant, Revision)> {
    moments.iter().scan(Revision::ZERO, |newest, (instant, cause)| {
        if let Cause::Event(revision) = cause {
            *newest = *revision;
        }
        Some((*instant, *newest))
    })
}

/// Every tenure of a principal in an environment, of `no_access` too, as far as the view reaches; in order.
pub fn tenures(view: &View, environment: EnvironmentId, principal: &Principal) -> Vec<Tenure> {
    tenures_in(view, environment, principal, Span::ALWAYS)
}

/// Those of the [`tenures`] that overlap a span. Nothing is judged before the first of them began, nor after the last ended.
pub fn tenures_in(view: &View, environment: EnvironmentId, principal: &Principal, span: Span) -> Vec<Tenure> {
    let course = Course::of(view, environment, principal);
    let begun = course.turns.partition_point(|turn| turn.at <= span.from());
    let mut before = begun.checked_sub(1).and_then(|last| course.after(last));
    let mut tenures = Vec::new();
    if let Some(held) = before {
        let other = (0..begun).rev().find(|turn| course.after(*turn) != before);
        tenures.extend(course.opened(held, other.map_or(0, |other| other + 1)));
    }
    for (turn, Turn { at, .. }) in course.turns.iter().enumerate().skip(begun) {
        let is_later = span.until().is_some_and(|until| *at >= until);
        let open = tenures.last_mut().filter(|last: &&mut Tenure| last.until.is_none());
        if is_later && open.is_none() {
            break;
        }
        let after = course.after(turn);
        if after == before {
            continue;
        }
        if let Some(last) = open {
            (last.until, last.closed_by) = (Some(*at), course.cause(turn));
        }
        tenures.extend(after.filter(|_| !is_later).and_then(|held| course.opened(held, turn)));
        before = after;
    }
    tenures.retain(|tenure| span.overlaps(tenure.from, tenure.until));
    tenures
}

/// All moments of one instant.
struct Turn {
    at: Instant,
    /// What happened, in order, and the newest of the events up to it.
    happened: Vec<(Cause, Revision)>,
}

/// What a principal's access in an environment rested on, from turn to turn. What they held after one is judged when it is asked.
struct Course<'a> {
    view: &'a View,
    environment: EnvironmentId,
    principal: &'a Principal,
    turns: Vec<Turn>,
}

impl<'a> Course<'a> {
    fn of(view: &'a View, environment: EnvironmentId, principal: &'a Principal) -> Self {
        let moments = moments(view, environment, principal);
        let mut turns: Vec<Turn> = Vec::new();
        for ((at, cause), (_, revision)) in moments.iter().zip(reached(&moments)) {
            match turns.last_mut().filter(|turn| turn.at == *at) {
                Some(turn) => turn.happened.push((*cause, revision)),
                None => turns.push(Turn { at: *at, happened: vec![(*cause, revision)] }),
            }
        }
        Self { view, environment, principal, turns }
    }

    fn held(&self, at: Instant, revision: Revision) -> Option<EffectiveRole> {
        held_in(&self.view.mid_command(revision, at), self.environment, self.principal)
    }

    /// What they held after a turn.
    fn after(&self, turn: usize) -> Option<EffectiveRole> {
        let turn = self.turns.get(turn)?;
        self.held(turn.at, turn.happened.last()?.1)
    }

    /// What made the difference in a turn.
    fn cause(&self, turn: usize) -> Option<Cause> {
        let Turn { at, happened } = self.turns.get(turn)?;
        let states: Vec<Option<EffectiveRole>> =
            happened.iter().map(|(_, revision)| self.held(*at, *revision)).collect();
        happened.get(first_of_the_last(&states)).map(|(cause, _)| *cause)
    }

    /// The tenure that begins in a turn.
    fn opened(&self, held: EffectiveRole, turn: usize) -> Option<Tenure> {
        let (from, opened_by) = (self.turns.get(turn)?.at, self.cause(turn)?);
        Some(Tenure { held, from, until: None, opened_by, closed_by: None })
    }
}

/// Where the last unbroken run of equal states begins.
fn first_of_the_last(states: &[Option<EffectiveRole>]) -> usize {
    let last = states.last();
    states.iter().rposition(|state| Some(state) != last).map_or(0, |other| other + 1)
}

/// Since when a principal has held what it holds in a view, role and rule.
pub fn since(view: &View, environment: EnvironmentId, principal: &Principal) -> Instant {
    let moments = moments(view, environment, principal);
    let now = held_in(view, environment, principal);
    let ends: Vec<(Instant, Revision)> = reached(&moments).collect();
    let each = ends.chunk_by(|one, other| one.0 == other.0).filter_map(<[_]>::last);
    let alike = |(instant, revision): &&(Instant, Revision)| {
        held_in(&view.mid_command(*revision, *instant), environment, principal) == now
    };
    each.rev().take_while(alike).last().map_or(Instant::EARLIEST, |(instant, _)| *instant)
}

/// Who had access to what at any time of a span.
pub struct Tenures {
    view: View,
    span: Span,
    role: Option<EnvironmentRole>,
    pairs: Pairs,
    rolls: Option<Rolls>,
    /// The roll of the environment that was asked about last, if it has one.
    open: Mutex<Option<(EnvironmentId, Option<Arc<OpenRoll>>)>>,
}

/// A tenure, as it is shown.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct TenureRow {
    /// Who.
    pub principal: Principal,
    /// What they are called.
    pub principal_name: String,
    /// Where.
    pub environment: EnvironmentId,
    /// What that is called, or was called last.
    pub environment_name: Option<EnvironmentName>,
    /// The role, above `no_access`.
    pub role: EnvironmentRole,
    /// The stable name of the rule that gave it.
    pub rule: &'static str,
    /// Its first instant.
    pub from: Instant,
    /// The first instant after it; `null` while it is held.
    pub until: Option<Instant>,
    /// When it will end if nothing happens: the end of the grant that it is held by.
    pub expires_at: Option<Instant>,
    /// What began it.
    pub opened_by: Option<ShownCause>,
    /// What ended it.
    pub closed_by: Option<ShownCause>,
}

impl Tenures {
    /// Who of these pairs had access, perhaps only in one role, at any time of a span; what is known is as far as the view reaches.
    pub fn new(view: View, span: Span, role: Option<EnvironmentRole>, pairs: Pairs) -> Self {
        Self { view, span, role, pairs, rolls: None, open: Mutex::default() }
    }

    /// The same question, answered from the rolls of its environments: worth it where it is about everyone in them.
    #[must_use]
    pub fn through(self, rolls: Rolls) -> Self {
        Self { rolls: Some(rolls), ..self }
    }

    fn open(&self, environment: EnvironmentId) -> Option<Arc<OpenRoll>> {
        let rolls = self.rolls.as_ref()?;
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, known)) = open.as_ref().filter(|(known, _)| *known == environment) {
            return known.clone();
        }
        let found = rolls.open(&self.view, environment).map(Arc::new);
        *open = Some((environment, found.clone()));
        found
    }

    /// The tenures of a candidate, without what is only shown.
    pub fn found(&self, candidate: usize) -> Vec<Tenure> {
        let Some((environment, principal)) = self.pairs.get(candidate) else { return Vec::new() };
        let known = self.open(environment).and_then(|roll| roll.tenures_in(principal, self.span));
        let mut found = known.unwrap_or_else(|| tenures_in(&self.view, environment, principal, self.span));
        found.retain(|tenure| self.asks_for(tenure));
        found
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

    fn asks_for(&self, tenure: &Tenure) -> bool {
        let held = tenure.held.role;
        held > EnvironmentRole::NoAccess && self.role.is_none_or(|role| role == held)
    }
}

impl Question for Tenures {
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

    fn rows(&self, candidate: usize) -> Vec<TenureRow> {
        let Some((environment, principal)) = self.pairs.get(candidate) else { return Vec::new() };
        self.found(candidate).iter().map(|tenure| self.row(environment, principal, tenure)).collect()
    }
}
