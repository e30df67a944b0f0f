//! The credentials that were live in a view, and what each could do.

use schemars::JsonSchema;
use serde::Serialize;

use super::Question;
use super::evidence::{Evidence, evidence, principal_name};
use crate::domain::model::id::{AccessKeyId, EnvironmentId, ProxyTokenId, TokenId};
use crate::domain::model::name::{EnvironmentName, Label};
use crate::domain::model::principal::{Actor, Principal};
use crate::domain::model::role::{AccessKeyRole, WorkspaceRole};
use crate::domain::model::time::Instant;
use crate::domain::state::view::View;

/// A credential of any kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum AnyCredential {
    /// An API token.
    Token(TokenId),
    /// A proxy token.
    ProxyToken(ProxyTokenId),
    /// An access key.
    AccessKey(AccessKeyId),
}

/// What kind of credential a row is about.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CredentialKind {
    /// Authenticates a member or a service user.
    ApiToken,
    /// Lets requests through to web functions.
    ProxyToken,
    /// Asks, and never changes.
    AccessKey,
}

impl CredentialKind {
    /// What people call it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ApiToken => "API token",
            Self::ProxyToken => "proxy token",
            Self::AccessKey => "access key",
        }
    }
}

/// Where a proxy token is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ScopeKind {
    /// In every environment.
    WorkspaceWide,
    /// In those of its scope.
    Scoped,
}

/// A live credential.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct CredentialRow {
    /// What kind it is.
    pub kind: CredentialKind,
    /// Its id.
    pub id: String,
    /// Whom an API token authenticates.
    pub holder: Option<Principal>,
    /// What they are called.
    pub holder_name: Option<String>,
    /// The workspace role of an API token's holder; `null` for a service user.
    pub holder_role: Option<WorkspaceRole>,
    /// What an access key may ask for.
    pub role: Option<AccessKeyRole>,
    /// What an access key is for.
    pub label: Option<Label>,
    /// Where a proxy token is valid.
    pub scope: Option<ScopeKind>,
    /// The environments in a proxy token's scope.
    pub environments: Vec<EnvironmentId>,
    /// What those are called, in the same order.
    pub environment_names: Vec<EnvironmentName>,
    /// Who made it.
    pub issued_by: Actor,
    /// When it was made.
    pub issued_at: Instant,
    /// From when on it is worth nothing.
    pub expires_at: Option<Instant>,
    /// When it was used last; `null` where it never was, and for a view of the past, since uses are not in the log.
    pub last_used_at: Option<Instant>,
    /// The events that it rests on.
    pub evidence: Vec<Evidence>,
}

/// Which credentials were live.
pub struct Credentials {
    view: View,
    all: Vec<AnyCredential>,
}

impl Credentials {
    /// Every credential that is live in a view: API tokens, proxy tokens, access keys, each in the order of their ids.
    pub fn new(view: View) -> Self {
        Self::issued_by(view, None)
    }

    /// Returns the credentials that are live in a view and that an actor issued, in the same order; all of them for none.
    pub fn issued_by(view: View, issuer: Option<&Actor>) -> Self {
        let asked = |by: &Actor| issuer.is_none_or(|issuer| issuer == by);
        let tokens = view.tokens().filter(|token| asked(token.issued_by));
        let tokens = tokens.map(|token| AnyCredential::Token(token.id));
        let proxy_tokens = view.proxy_tokens().filter(|token| asked(token.issued_by));
        let proxy_tokens = proxy_tokens.map(|token| AnyCredential::ProxyToken(token.id));
        let keys = view.access_keys().filter(|key| asked(key.issued_by));
        let keys = keys.map(|key| AnyCredential::AccessKey(key.id));
        let all = tokens.chain(proxy_tokens).chain(keys).collect();
        Self { view, all }
    }

    /// The credential of a candidate.
    pub fn credential(&self, candidate: usize) -> Option<AnyCredential> {
        self.all.get(candidate).copied()
    }

    /// Every credential, in order.
    pub fn all(&self) -> &[AnyCredential] {
        &self.all
    }

    /// What there is to say of a credential, if it is live.
    pub fn row(&self, credential: AnyCredential) -> Option<CredentialRow> {
        match credential {
            AnyCredential::Token(id) => token(&self.view, id),
            AnyCredential::ProxyToken(id) => proxy_token(&self.view, id),
            AnyCredential::AccessKey(id) => access_key(&self.view, id),
        }
    }
}

impl Question for Credentials {
    type Row = CredentialRow;

    const COLUMNS: &'static [&'static str] = &[
        "kind",
        "id",
        "holder",
        "holder_name",
        "holder_role",
        "role",
        "label",
        "scope",
        "environment_names",
        "issued_by",
        "issued_at",
        "expires_at",
        "last_used_at",
        "evidence",
    ];

    fn candidates(&self) -> usize {
        self.all.len()
    }

    fn rows(&self, candidate: usize) -> Vec<CredentialRow> {
        self.credential(candidate).and_then(|credential| self.row(credential)).into_iter().collect()
    }
}

/// A row of which the kind's own fields are still to be filled.
fn blank(kind: CredentialKind, id: String, issued_by: &Actor, issued_at: Instant) -> CredentialRow {
    CredentialRow {
        kind,
        id,
        holder: None,
        holder_name: None,
        holder_role: None,
        role: None,
        label: None,
        scope: None,
        environments: Vec::new(),
        environment_names: Vec::new(),
        issued_by: issued_by.clone(),
        issued_at,
        expires_at: None,
        last_used_at: None,
        evidence: Vec::new(),
    }
}

fn token(view: &View, id: TokenId) -> Option<CredentialRow> {
    let found = view.token(id)?;
    let holder = &found.terms.holder;
    let member = match holder {
        Principal::User(user) => view.member(user),
        Principal::ServiceUser(_) => None,
    };
    Some(CredentialRow {
        holder: Some(holder.clone()),
        holder_name: Some(principal_name(view, holder)),
        holder_role: member.map(|member| member.value),
        expires_at: found.expires_at,
        evidence: evidence(view, &[found.issued]),
        ..blank(CredentialKind::ApiToken, id.to_string(), found.issued_by, found.issued_at)
    })
}

fn proxy_token(view: &View, id: ProxyTokenId) -> Option<CredentialRow> {
    let found = view.proxy_token(id)?;
    let environments: Vec<EnvironmentId> = found.scope.value.into_iter().flatten().copied().collect();
    let names = environments.iter().filter_map(|id| view.environment_name(*id).cloned());
    let mut revisions = vec![found.issued, found.scope.since];
    revisions.dedup();
    Some(CredentialRow {
        scope: Some(if found.scope.value.is_some() { ScopeKind::Scoped } else { ScopeKind::WorkspaceWide }),
        environment_names: names.collect(),
        environments,
        expires_at: found.expires_at,
        evidence: evidence(view, &revisions),
        ..blank(CredentialKind::ProxyToken, id.to_string(), found.issued_by, found.issued_at)
    })
}

fn access_key(view: &View, id: AccessKeyId) -> Option<CredentialRow> {
    let found = view.access_key(id)?;
    Some(CredentialRow {
        role: Some(found.terms.role),
        label: Some(found.terms.label.clone()),
        expires_at: found.expires_at,
        evidence: evidence(view, &[found.issued]),
        ..blank(CredentialKind::AccessKey, id.to_string(), found.issued_by, found.issued_at)
    })
}
