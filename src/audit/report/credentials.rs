//! The reports about tokens and keys: those of service users, those that nobody uses, and those whose maker has left.

use schemars::JsonSchema;
use serde::Serialize;

use super::chart::Fill;
use super::held::{HeldRole, held_roles, open_environments};
use super::table::{Column, EVIDENCE, Shown, column};
use super::{Asked, Found, TooLarge, days_after, days_between};
use crate::audit::credentials::{AnyCredential, CredentialKind, CredentialRow, Credentials, ScopeKind};
use crate::audit::evidence::{Evidence, evidence};
use crate::domain::model::id::{ServiceUserId, TokenId};
use crate::domain::model::name::{EnvironmentName, ServiceUserName};
use crate::domain::model::principal::{Actor, Principal};
use crate::domain::model::time::{Instant, Revision};
use crate::domain::state::view::{ServiceUserView, View};

/// A service user with one of its tokens, or without any.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ServiceUserRow {
    /// Its id.
    pub service_user: ServiceUserId,
    /// Its name.
    pub service_user_name: ServiceUserName,
    /// When it was made.
    pub created_at: Instant,
    /// Who made it.
    pub created_by: Option<Actor>,
    /// What it reaches of restricted environments.
    pub access: Vec<HeldRole>,
    /// How many environments are open to it as to every principal.
    pub open_environments: usize,
    /// The token; `null` if it has none.
    pub token: Option<TokenId>,
    /// When the token was made.
    pub issued_at: Option<Instant>,
    /// Who made it.
    pub issued_by: Option<Actor>,
    /// How many whole days ago.
    pub age_days: Option<i64>,
    /// From when on it is worth nothing; `null` if it never ends.
    pub expires_at: Option<Instant>,
    /// When it was used last; `null` where it never was, and for an instant of the past, since uses are not in the log.
    pub last_used_at: Option<Instant>,
    /// The events that made both, and those that the access rests on.
    pub evidence: Vec<Evidence>,
}

impl ServiceUserRow {
    pub(super) const COLUMNS: &'static [Column] = &[
        column("service_user_name", "Service user", Shown::Text),
        column("service_user", "Service user id", Shown::Beneath),
        column("created_at", "Created", Shown::Instant),
        column("created_by", "Created by", Shown::Text),
        column("access", "Restricted environments", Shown::Held),
        column("open_environments", "Open ones", Shown::Number),
        column("token", "Token", Shown::Text),
        column("issued_at", "Issued", Shown::Instant),
        column("issued_by", "Issued by", Shown::Text),
        column("age_days", "Age in days", Shown::Number),
        column("expires_at", "Expires", Shown::Instant),
        column("last_used_at", "Last used", Shown::Instant),
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

/// Every service user, by its tokens.
pub(super) fn service_users(asked: &Asked, found: &mut Found) -> Result<(), TooLarge> {
    let view = &asked.view;
    found.chart.until(view.instant());
    for service_user in view.service_users() {
        let principal = Principal::ServiceUser(service_user.id);
        if !asked.asks_principal(&principal) {
            continue;
        }
        let access = held_roles(found, asked, &principal)?;
        let plain = service_user_row(view, &service_user, &access);
        let rows_before = found.rows.len();
        for token in view.tokens_of(&principal) {
            let lane = format!("{} · {}", service_user.name, short(&token.id.to_string()));
            found.chart.bar(lane, Fill::Credential, token.issued_at, None);
            let mut evidence = plain.evidence.clone();
            evidence.extend(view.event(token.issued).map(|event| Evidence::of(view, &event)));
            found.add(ServiceUserRow {
                token: Some(token.id),
                issued_at: Some(token.issued_at),
                issued_by: Some(token.issued_by.clone()),
                age_days: Some(days_between(token.issued_at, view.instant())),
                expires_at: token.expires_at,
                last_used_at: last_use(asked, AnyCredential::Token(token.id)),
                evidence,
                ..plain.clone()
            })?;
        }
        if found.rows.len() == rows_before {
            found.add(plain)?;
        }
    }
    Ok(())
}

/// The end of an id: its beginning is the time, which others share.
fn short(id: &str) -> String {
    let from = id.len().saturating_sub(6);
    format!("…{}", id.get(from..).unwrap_or(id))
}

fn last_use(asked: &Asked, credential: AnyCredential) -> Option<Instant> {
    asked.uses.as_ref()?.get(&credential).copied()
}

/// What every report says of a credential.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct About {
    /// What kind it is.
    pub kind: CredentialKind,
    /// Its id.
    pub credential: String,
    /// Whom an API token authenticates.
    pub holder: Option<Principal>,
    /// What they are called.
    pub holder_name: Option<String>,
    /// What it is good for: the workspace role of a token's holder, a proxy token's environments, an access key's role and label.
    pub good_for: Option<String>,
    /// Who made it.
    pub issued_by: Actor,
    /// When it was made.
    pub issued_at: Instant,
    /// From when on it is worth nothing; `null` if it never ends.
    pub expires_at: Option<Instant>,
}

const ABOUT: [Column; 8] = [
    column("kind", "Kind", Shown::Text),
    column("credential", "Credential", Shown::Text),
    column("holder_name", "Holder", Shown::Text),
    column("holder", "Holder id", Shown::Beneath),
    column("good_for", "Good for", Shown::Text),
    column("issued_by", "Issued by", Shown::Text),
    column("issued_at", "Issued", Shown::Instant),
    column("expires_at", "Expires", Shown::Instant),
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

fn about(row: CredentialRow) -> About {
    About {
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

/// The lane of a credential.
fn lane(about: &About) -> String {
    let whose = about.holder_name.as_deref().unwrap_or(about.kind.as_str());
    format!("{whose} · {}", short(&about.credential))
}

/// Every live credential that is asked for, by its holder or its maker, with what is said of it.
fn live(asked: &Asked) -> Vec<(AnyCredential, CredentialRow)> {
    let all = Credentials::new(asked.view.clone());
    let rows = all.all().iter().filter_map(|credential| Some((*credential, all.row(*credential)?)));
    let made_by = |row: &CredentialRow, who: &Principal| row.issued_by.to_string() == who.to_string();
    let concerns = |row: &CredentialRow, who: &Principal| row.holder.as_ref() == Some(who) || made_by(row, who);
    let asks =
        |row: &CredentialRow| asked.principals.as_ref().is_none_or(|asked| asked.iter().any(|who| concerns(row, who)));
    rows.filter(|(_, row)| asks(row)).collect()
}

/// A credential that nobody uses.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct DormantRow {
    /// What it is.
    #[serde(flatten)]
    pub about: About,
    /// When it was used last; `null` if it never was.
    pub last_used_at: Option<Instant>,
    /// The whole days since then, or since it was made.
    pub idle_days: i64,
    /// The events that made it.
    pub evidence: Vec<Evidence>,
}

impl DormantRow {
    pub(super) const COLUMNS: &'static [Column] = &[
        ABOUT[0],
        ABOUT[1],
        ABOUT[2],
        ABOUT[3],
        ABOUT[4],
        ABOUT[5],
        ABOUT[6],
        ABOUT[7],
        column("last_used_at", "Last used", Shown::Instant),
        column("idle_days", "Days unused", Shown::Number),
        EVIDENCE,
    ];
}

/// Live credentials that have been unused for some days.
pub(super) fn dormant(asked: &Asked, found: &mut Found) -> Result<(), TooLarge> {
    let now = asked.view.instant();
    found.chart.until(now);
    for (credential, row) in live(asked) {
        let last_used_at = last_use(asked, credential);
        let idle_since = last_used_at.unwrap_or(row.issued_at).max(row.issued_at);
        if days_after(idle_since, asked.days) > now {
            continue;
        }
        let evidence = row.evidence.clone();
        let about = about(row);
        found.chart.bar(lane(&about), Fill::Credential, about.issued_at, None);
        if let Some(at) = last_used_at {
            found.chart.mark("last used", at);
        }
        found.add(DormantRow { about, last_used_at, idle_days: days_between(idle_since, now), evidence })?;
    }
    Ok(())
}

/// A credential whose maker has left.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct OrphanRow {
    /// What it is.
    #[serde(flatten)]
    pub about: About,
    /// When its maker left; `null` for one who never was a member, as an imported history may have it.
    pub issuer_left_at: Option<Instant>,
    /// The whole days since then.
    pub days_since: Option<i64>,
    /// The events that made it, and the one that ended its maker's membership.
    pub evidence: Vec<Evidence>,
}

impl OrphanRow {
    pub(super) const COLUMNS: &'static [Column] = &[
        ABOUT[0],
        ABOUT[1],
        ABOUT[2],
        ABOUT[3],
        ABOUT[4],
        ABOUT[5],
        column("issuer_left_at", "Issuer left", Shown::Instant),
        ABOUT[6],
        ABOUT[7],
        column("days_since", "Days since", Shown::Number),
        EVIDENCE,
    ];
}

/// Whether whoever acted is in the workspace, or never was to be.
fn is_here(view: &View, actor: &Actor) -> bool {
    match actor {
        Actor::User(user) => view.member(user).is_some(),
        Actor::ServiceUser(id) => view.service_user(*id).is_some(),
        Actor::Operator | Actor::System => true,
    }
}

/// The event that ended the membership of whoever acted; none for one who never had any.
fn departure(view: &View, actor: &Actor) -> Option<Revision> {
    match actor {
        Actor::User(user) => view.last_member_change(user).map(|role| role.since),
        Actor::ServiceUser(id) => view.last_service_user_change(*id).map(|alive| alive.since),
        Actor::Operator | Actor::System => None,
    }
}

/// Live credentials whose maker has left.
pub(super) fn orphans(asked: &Asked, found: &mut Found) -> Result<(), TooLarge> {
    let view = &asked.view;
    found.chart.until(view.instant());
    for (_, row) in live(asked).into_iter().filter(|(_, row)| !is_here(view, &row.issued_by)) {
        let left = departure(view, &row.issued_by);
        let mut evidence = row.evidence.clone();
        evidence.extend(left.and_then(|left| view.event(left)).map(|event| Evidence::of(view, &event)));
        let about = about(row);
        let issuer_left_at = left.map(|left| view.time_of(left));
        found.chart.bar(lane(&about), Fill::Credential, about.issued_at, None);
        if let Some(at) = issuer_left_at {
            found.chart.mark("issuer left", at);
        }
        let days_since = issuer_left_at.map(|at| days_between(at, view.instant()));
        found.add(OrphanRow { about, issuer_left_at, days_since, evidence })?;
    }
    Ok(())
}
