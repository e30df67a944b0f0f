//! The reports about tokens and keys: those of service users, dormant ones, and those whose issuer has left.

use schemars::JsonSchema;
use serde::Serialize;

use super::chart::Fill;
use super::held::{HeldRole, held_roles, open_environments};
use super::request::ReportRequest;
use super::table::{EVIDENCE, Presentation, ReportColumn, column};
use super::{ReportBuilder, TooLarge, days_after, days_between};
use crate::domain::model::credential::CredentialId;
use crate::domain::model::id::{ServiceUserId, TokenId};
use crate::domain::model::name::{EnvironmentName, ServiceUserName};
use crate::domain::model::principal::{Actor, Principal};
use crate::domain::model::time::{Instant, Revision};
use crate::domain::state::view::{ServiceUserView, View};
use crate::query::credentials::{CredentialKind, CredentialRow, Credentials, ScopeKind};
use crate::query::evidence::{Evidence, evidence};

/// A service user with one of its tokens, or without any.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ServiceUserRow {
    /// Its id.
    pub service_user: ServiceUserId,
    /// Its name.
    pub service_user_name: ServiceUserName,
    /// The instant when it was created.
    pub created_at: Instant,
    /// The actor that created it.
    pub created_by: Option<Actor>,
    /// Its roles in restricted environments.
    pub access: Vec<HeldRole>,
    /// The number of environments that are open to every principal.
    pub open_environments: usize,
    /// The token; `null` if it has none.
    pub token: Option<TokenId>,
    /// The instant when the token was issued.
    pub issued_at: Option<Instant>,
    /// The actor that issued the token.
    pub issued_by: Option<Actor>,
    /// The token's age in whole days.
    pub age_days: Option<i64>,
    /// The instant from which on it is invalid; `null` if it never expires.
    pub expires_at: Option<Instant>,
    /// The instant of its last use; `null` if it was never used. `null` too for the past, since uses are not in the log.
    pub last_used_at: Option<Instant>,
    /// The events that created both, and those that the access is based on.
    pub evidence: Vec<Evidence>,
}

impl ServiceUserRow {
    pub(super) const COLUMNS: &'static [ReportColumn] = &[
        column("service_user_name", "Service user", Presentation::Text),
        column("service_user", "Service user id", Presentation::Beneath),
        column("created_at", "Created", Presentation::Instant),
        column("created_by", "Created by", Presentation::Text),
        column("access", "Restricted environments", Presentation::Roles),
        column("open_environments", "Open ones", Presentation::Number),
        column("token", "Token", Presentation::Text),
        column("issued_at", "Issued", Presentation::Instant),
        column("issued_by", "Issued by", Presentation::Text),
        column("age_days", "Age in days", Presentation::Number),
        column("expires_at", "Expires", Presentation::Instant),
        column("last_used_at", "Last used", Presentation::Instant),
        EVIDENCE,
    ];
}

fn service_user_row(view: &View, found: &ServiceUserView<'_>, access: &[HeldRole]) -> ServiceUserRow {
    let rests_on = access.iter().flat_map(|held| held.rests_on.iter().copied());
    ServiceUserRow {
        service_user: found.id,
        service_user_name: found.name.clone(),
        created_at: view.time_of(found.created),
        created_by: view.event(found.created).map(|event| event.actor.clone()),
        open_environments: open_environments(view),
        token: None,
        issued_at: None,
        issued_by: None,
        age_days: None,
        expires_at: None,
        last_used_at: None,
        evidence: in_order(view, rests_on.chain([found.created]).collect()),
        access: access.to_vec(),
    }
}

fn in_order(view: &View, mut revisions: Vec<Revision>) -> Vec<Evidence> {
    revisions.sort_unstable();
    revisions.dedup();
    evidence(view, &revisions)
}

/// Adds every service user with each of its tokens.
pub(super) fn service_users(request: &ReportRequest, builder: &mut ReportBuilder) -> Result<(), TooLarge> {
    let view = &request.view;
    builder.chart.until(view.instant());
    for service_user in view.service_users() {
        let principal = Principal::ServiceUser(service_user.id);
        if !request.has_principal(&principal) {
            continue;
        }
        let access = held_roles(builder, request, &principal)?;
        let plain = service_user_row(view, &service_user, &access);
        let rows_before = builder.rows.len();
        for token in view.tokens_of(&principal) {
            let lane = format!("{} · {}", service_user.name, short(&token.id.to_string()));
            builder.chart.bar(lane, Fill::Credential, token.issued_at, None);
            let mut evidence = plain.evidence.clone();
            evidence.extend(view.event(token.issued).map(|event| Evidence::of(view, &event)));
            builder.add(ServiceUserRow {
                token: Some(token.id),
                issued_at: Some(token.issued_at),
                issued_by: Some(token.issued_by.clone()),
                age_days: Some(days_between(token.issued_at, view.instant())),
                expires_at: token.expires_at,
                last_used_at: last_use(request, CredentialId::Token(token.id)),
                evidence,
                ..plain.clone()
            })?;
        }
        if builder.rows.len() == rows_before {
            builder.add(plain)?;
        }
    }
    Ok(())
}

/// Returns the end of an id. The beginning is a time, which other ids share.
fn short(id: &str) -> String {
    let from = id.len().saturating_sub(6);
    format!("…{}", id.get(from..).unwrap_or(id))
}

fn last_use(request: &ReportRequest, credential: CredentialId) -> Option<Instant> {
    request.uses.as_ref()?.get(&credential).copied()
}

/// The columns about a credential that several reports share.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct CredentialSummary {
    /// Its kind.
    pub kind: CredentialKind,
    /// Its id.
    pub credential: String,
    /// The principal that an API token authenticates.
    pub holder: Option<Principal>,
    /// The holder's name.
    pub holder_name: Option<String>,
    /// Its use: the workspace role of a token's holder, a proxy token's environments, an access key's role and label.
    pub good_for: Option<String>,
    /// The actor that issued it.
    pub issued_by: Actor,
    /// The instant when it was issued.
    pub issued_at: Instant,
    /// The instant from which on it is invalid; `null` if it never expires.
    pub expires_at: Option<Instant>,
}

const SUMMARY: [ReportColumn; 8] = [
    column("kind", "Kind", Presentation::Text),
    column("credential", "Credential", Presentation::Text),
    column("holder_name", "Holder", Presentation::Text),
    column("holder", "Holder id", Presentation::Beneath),
    column("good_for", "Good for", Presentation::Text),
    column("issued_by", "Issued by", Presentation::Text),
    column("issued_at", "Issued", Presentation::Instant),
    column("expires_at", "Expires", Presentation::Instant),
];

fn good_for(row: &CredentialRow) -> Option<String> {
    match row.kind {
        CredentialKind::ApiToken => row.holder_role.map(|role| format!("API, as {role}")),
        CredentialKind::ProxyToken if row.scope == Some(ScopeKind::WorkspaceWide) => {
            Some("every environment".to_owned())
        }
        CredentialKind::ProxyToken if row.environments.is_empty() => Some("no environment".to_owned()),
        CredentialKind::ProxyToken => {
            let names: Vec<&str> = row.environment_names.iter().map(EnvironmentName::as_str).collect();
            Some(names.join(", "))
        }
        CredentialKind::AccessKey => row.role.zip(row.label.as_ref()).map(|(role, label)| format!("{role}: {label}")),
    }
}

fn summary(row: CredentialRow) -> CredentialSummary {
    CredentialSummary {
        good_for: good_for(&row),
        kind: row.kind,
        credential: row.id,
        holder: row.holder,
        holder_name: row.holder_name,
        issued_by: row.issued_by,
        issued_at: row.issued_at,
        expires_at: row.expires_at,
    }
}

/// Returns the name of a credential's lane.
fn lane(summary: &CredentialSummary) -> String {
    let owner = summary.holder_name.as_deref().unwrap_or(summary.kind.as_str());
    format!("{owner} · {}", short(&summary.credential))
}

/// Returns every live credential of the requested holders or issuers, with its row.
fn live_credentials(request: &ReportRequest) -> Vec<(CredentialId, CredentialRow)> {
    let all = Credentials::new(request.view.clone());
    let rows = all.all().iter().filter_map(|credential| Some((*credential, all.row(*credential)?)));
    let is_issuer = |row: &CredentialRow, who: &Principal| row.issued_by.to_string() == who.to_string();
    let concerns = |row: &CredentialRow, who: &Principal| row.holder.as_ref() == Some(who) || is_issuer(row, who);
    let is_requested = |row: &CredentialRow| {
        request.principals.as_ref().is_none_or(|selected| selected.iter().any(|who| concerns(row, who)))
    };
    rows.filter(|(_, row)| is_requested(row)).collect()
}

/// A credential that is not used.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct DormantRow {
    /// The credential.
    #[serde(flatten)]
    pub about: CredentialSummary,
    /// The instant of its last use; `null` if it was never used.
    pub last_used_at: Option<Instant>,
    /// The whole days since then, or since it was issued.
    pub idle_days: i64,
    /// The event that issued it.
    pub evidence: Vec<Evidence>,
}

impl DormantRow {
    pub(super) const COLUMNS: &'static [ReportColumn] = &[
        SUMMARY[0],
        SUMMARY[1],
        SUMMARY[2],
        SUMMARY[3],
        SUMMARY[4],
        SUMMARY[5],
        SUMMARY[6],
        SUMMARY[7],
        column("last_used_at", "Last used", Presentation::Instant),
        column("idle_days", "Days unused", Presentation::Number),
        EVIDENCE,
    ];
}

/// Adds the live credentials that have been unused for the requested days.
pub(super) fn dormant(request: &ReportRequest, builder: &mut ReportBuilder) -> Result<(), TooLarge> {
    let now = request.view.instant();
    builder.chart.until(now);
    for (credential, row) in live_credentials(request) {
        let last_used_at = last_use(request, credential);
        let idle_since = last_used_at.unwrap_or(row.issued_at).max(row.issued_at);
        if days_after(idle_since, request.days) > now {
            continue;
        }
        let evidence = row.evidence.clone();
        let about = summary(row);
        builder.chart.bar(lane(&about), Fill::Credential, about.issued_at, None);
        if let Some(at) = last_used_at {
            builder.chart.mark("last used", at);
        }
        builder.add(DormantRow { about, last_used_at, idle_days: days_between(idle_since, now), evidence })?;
    }
    Ok(())
}

/// A credential whose issuer has left.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct OrphanRow {
    /// The credential.
    #[serde(flatten)]
    pub about: CredentialSummary,
    /// The instant when its issuer left; `null` for an issuer in an imported history who never was a member.
    pub issuer_left_at: Option<Instant>,
    /// The whole days since then.
    pub days_since: Option<i64>,
    /// The event that issued it, and the one that ended its issuer's membership.
    pub evidence: Vec<Evidence>,
}

impl OrphanRow {
    pub(super) const COLUMNS: &'static [ReportColumn] = &[
        SUMMARY[0],
        SUMMARY[1],
        SUMMARY[2],
        SUMMARY[3],
        SUMMARY[4],
        SUMMARY[5],
        column("issuer_left_at", "Issuer left", Presentation::Instant),
        SUMMARY[6],
        SUMMARY[7],
        column("days_since", "Days since", Presentation::Number),
        EVIDENCE,
    ];
}

/// Checks whether an actor is in the workspace, or is no principal at all.
fn is_present(view: &View, actor: &Actor) -> bool {
    match actor {
        Actor::User(user) => view.member(user).is_some(),
        Actor::ServiceUser(id) => view.service_user(*id).is_some(),
        Actor::Operator | Actor::System => true,
    }
}

/// Returns the event that ended an actor's membership; `None` if it never had one.
fn departure(view: &View, actor: &Actor) -> Option<Revision> {
    match actor {
        Actor::User(user) => view.last_member_change(user).map(|role| role.since),
        Actor::ServiceUser(id) => view.last_service_user_change(*id).map(|alive| alive.since),
        Actor::Operator | Actor::System => None,
    }
}

/// Adds the live credentials whose issuer has left.
pub(super) fn orphans(request: &ReportRequest, builder: &mut ReportBuilder) -> Result<(), TooLarge> {
    let view = &request.view;
    builder.chart.until(view.instant());
    for (_, row) in live_credentials(request).into_iter().filter(|(_, row)| !is_present(view, &row.issued_by)) {
        let left = departure(view, &row.issued_by);
        let mut evidence = row.evidence.clone();
        evidence.extend(left.and_then(|left| view.event(left)).map(|event| Evidence::of(view, &event)));
        let about = summary(row);
        let issuer_left_at = left.map(|left| view.time_of(left));
        builder.chart.bar(lane(&about), Fill::Credential, about.issued_at, None);
        if let Some(at) = issuer_left_at {
            builder.chart.mark("issuer left", at);
        }
        let days_since = issuer_left_at.map(|at| days_between(at, view.instant()));
        builder.add(OrphanRow { about, issuer_left_at, days_since, evidence })?;
    }
    Ok(())
}
