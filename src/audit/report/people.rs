//! The reports about who comes, goes and changes role.

use schemars::JsonSchema;
use serde::Serialize;

use super::chart::Fill;
use super::held::{HeldRole, kept_roles};
use super::stint::{Stint, stints};
use super::table::{Column, EVIDENCE, PRINCIPAL, Shown, column};
use super::{Asked, Found, TooLarge, minutes_between};
use crate::audit::evidence::{Evidence, evidence, principal_name};
use crate::audit::tenure::{Cause, Tenure, tenures};
use crate::domain::model::id::{EnvironmentId, TokenId};
use crate::domain::model::name::{EnvironmentName, Reason};
use crate::domain::model::principal::{Actor, Principal};
use crate::domain::model::role::{EnvironmentRole, WorkspaceRole};
use crate::domain::model::time::{Instant, Revision};
use crate::domain::state::timeline::Since;
use crate::domain::state::view::View;

/// Someone who joined.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct JoinerRow {
    /// Who.
    pub principal: Principal,
    /// What they are called.
    pub principal_name: String,
    /// The workspace role that they began with; `null` for a service user.
    pub workspace_role: Option<WorkspaceRole>,
    /// When.
    pub joined_at: Instant,
    /// Who let them in.
    pub added_by: Option<Actor>,
    /// Why.
    pub reason: Option<Reason>,
    /// Whether they had been there before.
    pub is_return: bool,
    /// When they first had access to an environment; `null` if they never had.
    pub first_access_at: Option<Instant>,
    /// To which; the first by its id if there were several.
    pub first_environment: Option<EnvironmentId>,
    /// What that is called, or was called last.
    pub first_environment_name: Option<EnvironmentName>,
    /// The role there.
    pub first_role: Option<EnvironmentRole>,
    /// The minutes from joining to that access.
    pub minutes_between: Option<i64>,
    /// The event that let them in, and the one that gave that access.
    pub evidence: Vec<Evidence>,
}

impl JoinerRow {
    pub(super) const COLUMNS: &'static [Column] = &[
        PRINCIPAL[0],
        PRINCIPAL[1],
        column("workspace_role", "Workspace role", Shown::Text),
        column("joined_at", "Joined", Shown::Instant),
        column("added_by", "Added by", Shown::Text),
        column("reason", "Reason", Shown::Text),
        column("is_return", "Returned", Shown::Text),
        column("first_access_at", "First access", Shown::Instant),
        column("first_environment_name", "To", Shown::Text),
        column("first_environment", "To id", Shown::Beneath),
        column("first_role", "As", Shown::Text),
        column("minutes_between", "Minutes between", Shown::Number),
        EVIDENCE,
    ];
}

/// Access to an environment that was had in a stint.
struct Had {
    environment: EnvironmentId,
    tenure: Tenure,
}

/// All access to environments that was had in a stint, in the order of environments and then of time.
fn had(found: &mut Found, view: &View, stint: &Stint) -> Result<Vec<Had>, TooLarge> {
    let mut had = Vec::new();
    for environment in view.environments_of_all_time() {
        found.look()?;
        let all = tenures(view, environment, &stint.principal).into_iter();
        let own = all.filter(|tenure| tenure.held.role > EnvironmentRole::NoAccess && stint.holds(view, tenure.from));
        had.extend(own.map(|tenure| Had { environment, tenure }));
    }
    Ok(had)
}

const fn revision_of(cause: &Cause) -> Revision {
    match cause {
        Cause::Event(revision) | Cause::Expiry { set_by: revision, .. } => *revision,
    }
}

/// Events, each once, in order.
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

/// Draws the roles of a stint, each until the next one.
fn draw_stint(found: &mut Found, view: &View, stint: &Stint) {
    let lane = principal_name(view, &stint.principal);
    let end = stint.left.map(|left| view.time_of(left));
    found.chart.until(view.instant());
    if stint.roles.is_empty() {
        found.chart.bar(lane, Fill::ServiceUser, view.time_of(stint.joined), end);
        return;
    }
    let ends = stint.roles.iter().skip(1).map(|next| Some(view.time_of(next.since))).chain([end]);
    for (role, end) in stint.roles.iter().zip(ends) {
        found.chart.bar(lane.clone(), fill(Some(role.value)), view.time_of(role.since), end);
    }
}

fn joiner(view: &View, stint: &Stint, had: &[Had]) -> JoinerRow {
    let joined_at = view.time_of(stint.joined);
    let event = view.event(stint.joined);
    let first = had.iter().min_by_key(|had| had.tenure.from);
    let first_access_at = first.map(|had| had.tenure.from);
    let opened = first.map(|had| revision_of(&had.tenure.opened_by));
    JoinerRow {
        principal: stint.principal.clone(),
        principal_name: principal_name(view, &stint.principal),
        workspace_role: stint.roles.first().map(|role| role.value),
        joined_at,
        added_by: event.as_ref().map(|event| event.actor.clone()),
        reason: event.and_then(|event| view.reason_of(&event)),
        is_return: stint.is_return,
        first_access_at,
        first_environment: first.map(|had| had.environment),
        first_environment_name: first.and_then(|had| view.environment_name(had.environment).cloned()),
        first_role: first.map(|had| had.tenure.held.role),
        minutes_between: first_access_at.map(|at| minutes_between(joined_at, at)),
        evidence: evidence_once(view, [Some(stint.joined), opened].into_iter().flatten().collect()),
    }
}

/// Who joined in the period.
pub(super) fn joiners(asked: &Asked, found: &mut Found) -> Result<(), TooLarge> {
    let view = &asked.view;
    let joined = |stint: &Stint| asked.asks_principal(&stint.principal) && asked.happened(Some(stint.joined));
    for stint in stints(view, joined) {
        let had = had(found, view, &stint)?;
        let row = joiner(view, &stint, &had);
        draw_stint(found, view, &stint);
        if let Some(at) = row.first_access_at {
            found.chart.mark("first access", at);
        }
        found.add(row)?;
    }
    Ok(())
}

/// Someone who left.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct LeaverRow {
    /// Who.
    pub principal: Principal,
    /// What they are called.
    pub principal_name: String,
    /// The workspace role that they ended with; `null` for a service user.
    pub workspace_role: Option<WorkspaceRole>,
    /// When they had joined.
    pub joined_at: Instant,
    /// When their membership ended.
    pub left_at: Instant,
    /// Who ended it.
    pub removed_by: Option<Actor>,
    /// Why.
    pub reason: Option<Reason>,
    /// When the last of their access to environments and of their API tokens ended; `null` if they had none, or have some still.
    pub last_access_ended_at: Option<Instant>,
    /// What that was: `environment NAME` or `token tok_…`; of several, the first.
    pub last_access: Option<String>,
    /// The minutes from the end of the membership to the end of that access, a part of one counted as one: 0 or less is as it should
    /// be, more says how long access outlived it; `null` where there is no such end.
    pub minutes_between: Option<i64>,
    /// Whether some of that access goes on.
    pub has_access_still: bool,
    /// When they came back.
    pub returned_at: Option<Instant>,
    /// The events that ended the membership and the last access.
    pub evidence: Vec<Evidence>,
}

impl LeaverRow {
    pub(super) const COLUMNS: &'static [Column] = &[
        PRINCIPAL[0],
        PRINCIPAL[1],
        column("workspace_role", "Workspace role", Shown::Text),
        column("joined_at", "Joined", Shown::Instant),
        column("left_at", "Left", Shown::Instant),
        column("removed_by", "Removed by", Shown::Text),
        column("reason", "Reason", Shown::Text),
        column("last_access_ended_at", "Last access ended", Shown::Instant),
        column("last_access", "Which was", Shown::Text),
        column("minutes_between", "Minutes between", Shown::Number),
        column("has_access_still", "Access goes on", Shown::Text),
        column("returned_at", "Returned", Shown::Instant),
        EVIDENCE,
    ];
}

/// Access of any kind that was had in a stint: when it ended, what it was, and the event that ended it.
struct Ended {
    until: Option<Instant>,
    what: String,
    by: Option<Revision>,
}

/// The access of any kind that ended last; what goes on comes after all that ended.
fn last_ended(found: &mut Found, view: &View, stint: &Stint) -> Result<Option<Ended>, TooLarge> {
    let environments = had(found, view, stint)?.into_iter().map(|had| Ended {
        until: had.tenure.until,
        what: format!("environment {}", view.environment_name(had.environment).map_or("", |name| name.as_str())),
        by: had.tenure.closed_by.as_ref().map(revision_of),
    });
    let lives = view.token_lives(&stint.principal).into_iter();
    let own = lives.filter(|token| stint.holds(view, token.from));
    let tokens = own.map(|token| Ended { until: token.until, what: format!("token {}", token.id), by: token.ended });
    // `max_by_key` gives the last of equals, so the first comes last.
    let all: Vec<Ended> = environments.chain(tokens).collect();
    Ok(all.into_iter().rev().max_by_key(|ended| ended.until.map_or(i64::MAX, Instant::micros)))
}

fn leaver(view: &View, stint: &Stint, left: Revision, last: Option<Ended>) -> LeaverRow {
    let left_at = view.time_of(left);
    let event = view.event(left);
    let ended_at = last.as_ref().and_then(|last| last.until);
    let by = last.as_ref().and_then(|last| last.by);
    LeaverRow {
        principal: stint.principal.clone(),
        principal_name: principal_name(view, &stint.principal),
        workspace_role: stint.last_role(),
        joined_at: view.time_of(stint.joined),
        left_at,
        removed_by: event.as_ref().map(|event| event.actor.clone()),
        reason: event.and_then(|event| view.reason_of(&event)),
        last_access_ended_at: ended_at,
        has_access_still: last.is_some() && ended_at.is_none(),
        last_access: last.map(|last| last.what),
        minutes_between: ended_at.map(|at| minutes_between(left_at, at)),
        returned_at: stint.next.map(|next| view.time_of(next)),
        evidence: evidence_once(view, [Some(left), by].into_iter().flatten().collect()),
    }
}

/// Who left in the period.
pub(super) fn leavers(asked: &Asked, found: &mut Found) -> Result<(), TooLarge> {
    let view = &asked.view;
    let left = |stint: &Stint| asked.asks_principal(&stint.principal) && asked.happened(stint.left);
    let mut gone = stints(view, left);
    gone.sort_by_key(|stint| stint.left);
    for stint in &gone {
        let Some(left) = stint.left else { continue };
        let last = last_ended(found, view, stint)?;
        let row = leaver(view, stint, left, last);
        draw_stint(found, view, stint);
        if let Some(at) = row.last_access_ended_at {
            found.chart.mark("last access ended", at);
        }
        found.add(row)?;
    }
    Ok(())
}

/// Someone whose workspace role changed.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct MoverRow {
    /// Who.
    pub principal: Principal,
    /// What they are called.
    pub principal_name: String,
    /// When.
    pub changed_at: Instant,
    /// The workspace role before.
    pub before: WorkspaceRole,
    /// The workspace role after.
    pub after: WorkspaceRole,
    /// Who changed it.
    pub changed_by: Option<Actor>,
    /// Why.
    pub reason: Option<Reason>,
    /// What they held in restricted environments right after the change, and just before it too.
    pub kept_access: Vec<HeldRole>,
    /// The API tokens from before that were good after the change.
    pub kept_tokens: Vec<TokenId>,
    /// The event that changed the role, and those that the access kept rests on.
    pub evidence: Vec<Evidence>,
}

impl MoverRow {
    pub(super) const COLUMNS: &'static [Column] = &[
        PRINCIPAL[0],
        PRINCIPAL[1],
        column("changed_at", "Changed", Shown::Instant),
        column("before", "Before", Shown::Text),
        column("after", "After", Shown::Text),
        column("changed_by", "Changed by", Shown::Text),
        column("reason", "Reason", Shown::Text),
        column("kept_access", "Access kept", Shown::Held),
        column("kept_tokens", "Tokens kept", Shown::Text),
        EVIDENCE,
    ];
}

/// The views just before a command and right after it.
fn around(view: &View, revision: Revision) -> (View, View) {
    let at = view.time_of(revision);
    let just_before = Instant::from_micros(at.micros().saturating_sub(1));
    (view.back_to(just_before), view.back_to(at))
}

fn mover(
    found: &mut Found,
    view: &View,
    principal: &Principal,
    [before, after]: &[Since<WorkspaceRole>; 2],
) -> Result<MoverRow, TooLarge> {
    let event = view.event(after.since);
    let (earlier, later) = around(view, after.since);
    let kept_access = kept_roles(found, &earlier, &later, principal)?;
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

/// Whose role changed in the period.
pub(super) fn movers(asked: &Asked, found: &mut Found) -> Result<(), TooLarge> {
    let view = &asked.view;
    let moved = |stint: &Stint| asked.asks_principal(&stint.principal) && stint.roles.len() > 1;
    let mut changes = Vec::new();
    for stint in stints(view, moved) {
        let pairs = stint.roles.array_windows::<2>().filter(|[_, after]| asked.happened(Some(after.since)));
        let own: Vec<_> = pairs.map(|pair| (stint.principal.clone(), *pair)).collect();
        if !own.is_empty() {
            draw_stint(found, view, &stint);
        }
        changes.extend(own);
    }
    changes.sort_by_key(|(_, [_, after])| after.since);
    for (principal, pair) in &changes {
        let row = mover(found, view, principal, pair)?;
        found.add(row)?;
    }
    Ok(())
}
