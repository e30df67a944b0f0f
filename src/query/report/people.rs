//! The reports about joiners, leavers and movers.

use schemars::JsonSchema;
use serde::Serialize;

use super::chart::Fill;
use super::held::{HeldRole, kept_roles};
use super::membership::{MembershipPeriod, membership_periods};
use super::request::ReportRequest;
use super::table::{EVIDENCE, PRINCIPAL, Presentation, ReportColumn, column};
use super::{ReportBuilder, TooLarge, minutes_between};
use crate::domain::model::id::{EnvironmentId, TokenId};
use crate::domain::model::name::{EnvironmentName, Reason};
use crate::domain::model::principal::{Actor, Principal};
use crate::domain::model::role::{EnvironmentRole, WorkspaceRole};
use crate::domain::model::time::{Instant, Revision};
use crate::domain::state::timeline::Since;
use crate::domain::state::view::View;
use crate::query::evidence::{Evidence, evidence, principal_name};
use crate::query::tenure::{Cause, Tenure, tenures};

/// A principal who joined.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct JoinerRow {
    /// The principal.
    pub principal: Principal,
    /// The principal's name.
    pub principal_name: String,
    /// The first workspace role; `null` for a service user.
    pub workspace_role: Option<WorkspaceRole>,
    /// The instant of joining.
    pub joined_at: Instant,
    /// The actor that added the principal.
    pub added_by: Option<Actor>,
    /// The reason.
    pub reason: Option<Reason>,
    /// Whether the principal had been a member before.
    pub is_return: bool,
    /// The instant of the first access to an environment; `null` if there was none.
    pub first_access_at: Option<Instant>,
    /// The environment of that access; the first by its id if there were several.
    pub first_environment: Option<EnvironmentId>,
    /// The environment's name, or its last one.
    pub first_environment_name: Option<EnvironmentName>,
    /// The role of that access.
    pub first_role: Option<EnvironmentRole>,
    /// The minutes from joining to that access.
    pub minutes_between: Option<i64>,
    /// The event that added the principal, and the one that gave that access.
    pub evidence: Vec<Evidence>,
}

impl JoinerRow {
    pub(super) const COLUMNS: &'static [ReportColumn] = &[
        PRINCIPAL[0],
        PRINCIPAL[1],
        column("workspace_role", "Workspace role", Presentation::Text),
        column("joined_at", "Joined", Presentation::Instant),
        column("added_by", "Added by", Presentation::Text),
        column("reason", "Reason", Presentation::Text),
        column("is_return", "Returned", Presentation::Text),
        column("first_access_at", "First access", Presentation::Instant),
        column("first_environment_name", "To", Presentation::Text),
        column("first_environment", "To id", Presentation::Beneath),
        column("first_role", "As", Presentation::Text),
        column("minutes_between", "Minutes between", Presentation::Number),
        EVIDENCE,
    ];
}

/// Access to an environment during a membership period.
struct MemberAccess {
    environment: EnvironmentId,
    tenure: Tenure,
}

/// Returns the access during a membership period, ordered by environment, then by time.
fn member_access(
    builder: &mut ReportBuilder,
    view: &View,
    membership: &MembershipPeriod,
) -> Result<Vec<MemberAccess>, TooLarge> {
    let mut accesses = Vec::new();
    for environment in view.environments_of_all_time() {
        builder.count_pair()?;
        let all = tenures(view, environment, &membership.principal).into_iter();
        let own =
            all.filter(|tenure| tenure.held.role > EnvironmentRole::NoAccess && membership.holds(view, tenure.from));
        accesses.extend(own.map(|tenure| MemberAccess { environment, tenure }));
    }
    Ok(accesses)
}

const fn revision_of(cause: &Cause) -> Revision {
    match cause {
        Cause::Event(revision) | Cause::Expiry { set_by: revision, .. } => *revision,
    }
}

/// Returns the events of revisions, each once, in order.
fn evidence_once(view: &View, mut revisions: Vec<Revision>) -> Vec<Evidence> {
    revisions.sort_unstable();
    revisions.dedup();
    evidence(view, &revisions)
}

fn fill(role: Option<WorkspaceRole>) -> Fill {
    match role {
        Some(WorkspaceRole::Owner) => Fill::Owner,
        Some(WorkspaceRole::Manager) => Fill::Manager,
        Some(WorkspaceRole::Member) => Fill::Member,
        None => Fill::ServiceUser,
    }
}

/// Draws the roles of a membership period, each until the next one.
fn draw_membership(builder: &mut ReportBuilder, view: &View, membership: &MembershipPeriod) {
    let lane = principal_name(view, &membership.principal);
    let end = membership.left.map(|left| view.time_of(left));
    builder.chart.until(view.instant());
    if membership.roles.is_empty() {
        builder.chart.bar(lane, Fill::ServiceUser, view.time_of(membership.joined), end);
        return;
    }
    let ends = membership.roles.iter().skip(1).map(|next| Some(view.time_of(next.since))).chain([end]);
    for (role, end) in membership.roles.iter().zip(ends) {
        builder.chart.bar(lane.clone(), fill(Some(role.value)), view.time_of(role.since), end);
    }
}

fn joiner(view: &View, membership: &MembershipPeriod, accesses: &[MemberAccess]) -> JoinerRow {
    let joined_at = view.time_of(membership.joined);
    let event = view.event(membership.joined);
    let first = accesses.iter().min_by_key(|access| access.tenure.from);
    let first_access_at = first.map(|access| access.tenure.from);
    let opened = first.map(|access| revision_of(&access.tenure.opened_by));
    JoinerRow {
        principal: membership.principal.clone(),
        principal_name: principal_name(view, &membership.principal),
        workspace_role: membership.roles.first().map(|role| role.value),
        joined_at,
        added_by: event.as_ref().map(|event| event.actor.clone()),
        reason: event.and_then(|event| view.reason_of(&event)),
        is_return: membership.is_return,
        first_access_at,
        first_environment: first.map(|access| access.environment),
        first_environment_name: first.and_then(|access| view.environment_name(access.environment).cloned()),
        first_role: first.map(|access| access.tenure.held.role),
        minutes_between: first_access_at.map(|at| minutes_between(joined_at, at)),
        evidence: evidence_once(view, [Some(membership.joined), opened].into_iter().flatten().collect()),
    }
}

/// Adds the principals who joined in the period.
pub(super) fn joiners(request: &ReportRequest, builder: &mut ReportBuilder) -> Result<(), TooLarge> {
    let view = &request.view;
    let joined = |membership: &MembershipPeriod| {
        request.has_principal(&membership.principal) && request.covers(Some(membership.joined))
    };
    for membership in membership_periods(view, joined) {
        let accesses = member_access(builder, view, &membership)?;
        let row = joiner(view, &membership, &accesses);
        draw_membership(builder, view, &membership);
        if let Some(at) = row.first_access_at {
            builder.chart.mark("first access", at);
        }
        builder.add(row)?;
    }
    Ok(())
}

/// A principal who left.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct LeaverRow {
    /// The principal.
    pub principal: Principal,
    /// The principal's name.
    pub principal_name: String,
    /// The last workspace role; `null` for a service user.
    pub workspace_role: Option<WorkspaceRole>,
    /// The instant of joining.
    pub joined_at: Instant,
    /// The instant when the membership ended.
    pub left_at: Instant,
    /// The actor that ended it.
    pub removed_by: Option<Actor>,
    /// The reason.
    pub reason: Option<Reason>,
    /// The instant when the last environment access or API token ended; `null` if there was none, or if some remains.
    pub last_access_ended_at: Option<Instant>,
    /// The last such access: `environment NAME` or `token tok_…`; the first of several.
    pub last_access: Option<String>,
    /// The minutes from the end of the membership to the end of that access; a part of a minute counts as one. At most 0 is right, and
    /// more means that access outlived the membership. `null` without such an end.
    pub minutes_between: Option<i64>,
    /// Whether some access remains.
    pub has_access_still: bool,
    /// The instant of returning.
    pub returned_at: Option<Instant>,
    /// The events that ended the membership and the last access.
    pub evidence: Vec<Evidence>,
}

impl LeaverRow {
    pub(super) const COLUMNS: &'static [ReportColumn] = &[
        PRINCIPAL[0],
        PRINCIPAL[1],
        column("workspace_role", "Workspace role", Presentation::Text),
        column("joined_at", "Joined", Presentation::Instant),
        column("left_at", "Left", Presentation::Instant),
        column("removed_by", "Removed by", Presentation::Text),
        column("reason", "Reason", Presentation::Text),
        column("last_access_ended_at", "Last access ended", Presentation::Instant),
        column("last_access", "Which was", Presentation::Text),
        column("minutes_between", "Minutes between", Presentation::Number),
        column("has_access_still", "Access goes on", Presentation::Text),
        column("returned_at", "Returned", Presentation::Instant),
        EVIDENCE,
    ];
}

/// The end of some access during a membership period: its instant, the access, and the event.
struct EndedAccess {
    until: Option<Instant>,
    what: String,
    by: Option<Revision>,
}

/// Returns the access that ended last; access that remains counts as later than any end.
fn last_ended(
    builder: &mut ReportBuilder,
    view: &View,
    membership: &MembershipPeriod,
) -> Result<Option<EndedAccess>, TooLarge> {
    let environments = member_access(builder, view, membership)?.into_iter().map(|access| EndedAccess {
        until: access.tenure.until,
        what: format!("environment {}", view.environment_name(access.environment).map_or("", |name| name.as_str())),
        by: access.tenure.closed_by.as_ref().map(revision_of),
    });
    let lives = view.token_lives(&membership.principal).into_iter();
    let own = lives.filter(|token| membership.holds(view, token.from));
    let tokens =
        own.map(|token| EndedAccess { until: token.until, what: format!("token {}", token.id), by: token.ended });
    // `max_by_key` gives the last of equals, so the first comes last.
    let all: Vec<EndedAccess> = environments.chain(tokens).collect();
    Ok(all.into_iter().rev().max_by_key(|ended| ended.until.map_or(i64::MAX, Instant::micros)))
}

fn leaver(view: &View, membership: &MembershipPeriod, left: Revision, last: Option<EndedAccess>) -> LeaverRow {
    let left_at = view.time_of(left);
    let event = view.event(left);
    let ended_at = last.as_ref().and_then(|last| last.until);
    let by = last.as_ref().and_then(|last| last.by);
    LeaverRow {
        principal: membership.principal.clone(),
        principal_name: principal_name(view, &membership.principal),
        workspace_role: membership.last_role(),
        joined_at: view.time_of(membership.joined),
        left_at,
        removed_by: event.as_ref().map(|event| event.actor.clone()),
        reason: event.and_then(|event| view.reason_of(&event)),
        last_access_ended_at: ended_at,
        has_access_still: last.is_some() && ended_at.is_none(),
        last_access: last.map(|last| last.what),
        minutes_between: ended_at.map(|at| minutes_between(left_at, at)),
        returned_at: membership.next.map(|next| view.time_of(next)),
        evidence: evidence_once(view, [Some(left), by].into_iter().flatten().collect()),
    }
}

/// Adds the principals who left in the period.
pub(super) fn leavers(request: &ReportRequest, builder: &mut ReportBuilder) -> Result<(), TooLarge> {
    let view = &request.view;
    let left =
        |membership: &MembershipPeriod| request.has_principal(&membership.principal) && request.covers(membership.left);
    let mut gone = membership_periods(view, left);
    gone.sort_by_key(|membership| membership.left);
    for membership in &gone {
        let Some(left) = membership.left else { continue };
        let last = last_ended(builder, view, membership)?;
        let row = leaver(view, membership, left, last);
        draw_membership(builder, view, membership);
        if let Some(at) = row.last_access_ended_at {
            builder.chart.mark("last access ended", at);
        }
        builder.add(row)?;
    }
    Ok(())
}

/// A principal whose workspace role changed.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct MoverRow {
    /// The principal.
    pub principal: Principal,
    /// The principal's name.
    pub principal_name: String,
    /// The instant of the change.
    pub changed_at: Instant,
    /// The workspace role before.
    pub before: WorkspaceRole,
    /// The workspace role after.
    pub after: WorkspaceRole,
    /// The actor that changed it.
    pub changed_by: Option<Actor>,
    /// The reason.
    pub reason: Option<Reason>,
    /// The roles in restricted environments that the principal kept over the change.
    pub kept_access: Vec<HeldRole>,
    /// The API tokens that were valid before and after the change.
    pub kept_tokens: Vec<TokenId>,
    /// The event that changed the role, and those that the kept access is based on.
    pub evidence: Vec<Evidence>,
}

impl MoverRow {
    pub(super) const COLUMNS: &'static [ReportColumn] = &[
        PRINCIPAL[0],
        PRINCIPAL[1],
        column("changed_at", "Changed", Presentation::Instant),
        column("before", "Before", Presentation::Text),
        column("after", "After", Presentation::Text),
        column("changed_by", "Changed by", Presentation::Text),
        column("reason", "Reason", Presentation::Text),
        column("kept_access", "Access kept", Presentation::Roles),
        column("kept_tokens", "Tokens kept", Presentation::Text),
        EVIDENCE,
    ];
}

/// Returns the views just before a command and right after it.
fn around(view: &View, revision: Revision) -> (View, View) {
    let at = view.time_of(revision);
    let just_before = Instant::from_micros(at.micros().saturating_sub(1));
    (view.back_to(just_before), view.back_to(at))
}

fn mover(
    builder: &mut ReportBuilder,
    view: &View,
    principal: &Principal,
    [before, after]: &[Since<WorkspaceRole>; 2],
) -> Result<MoverRow, TooLarge> {
    let event = view.event(after.since);
    let (earlier, later) = around(view, after.since);
    let kept_access = kept_roles(builder, &earlier, &later, principal)?;
    let had_token = |id: TokenId| earlier.token(id).is_some();
    let kept_tokens = later.tokens_of(principal).map(|token| token.id).filter(|id| had_token(*id)).collect();
    let rests_on = kept_access.iter().flat_map(|held| held.rests_on.iter().copied());
    Ok(MoverRow {
        principal: principal.clone(),
        principal_name: principal_name(view, principal),
        changed_at: view.time_of(after.since),
        before: before.value,
        after: after.value,
        changed_by: event.as_ref().map(|event| event.actor.clone()),
        reason: event.and_then(|event| view.reason_of(&event)),
        evidence: evidence_once(view, rests_on.chain([after.since]).collect()),
        kept_access,
        kept_tokens,
    })
}

/// Adds the principals whose workspace role changed in the period.
pub(super) fn movers(request: &ReportRequest, builder: &mut ReportBuilder) -> Result<(), TooLarge> {
    let view = &request.view;
    let moved =
        |membership: &MembershipPeriod| request.has_principal(&membership.principal) && membership.roles.len() > 1;
    let mut changes = Vec::new();
    for membership in membership_periods(view, moved) {
        let pairs = membership.roles.array_windows::<2>().filter(|[_, after]| request.covers(Some(after.since)));
        let own: Vec<_> = pairs.map(|pair| (membership.principal.clone(), *pair)).collect();
        if !own.is_empty() {
            draw_membership(builder, view, &membership);
        }
        changes.extend(own);
    }
    changes.sort_by_key(|(_, [_, after])| after.since);
    for (principal, pair) in &changes {
        let row = mover(builder, view, principal, pair)?;
        builder.add(row)?;
    }
    Ok(())
}
