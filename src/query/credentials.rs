//! The live credentials of a view, and the access that each gives.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;

use super::AuditQuery;
use super::evidence::{Evidence, evidence, principal_name};
use crate::domain::model::credential::CredentialId;
use crate::domain::model::id::{AccessKeyId, EnvironmentId, ProxyTokenId, TokenId};
use crate::domain::model::name::{EnvironmentName, Label};
use crate::domain::model::principal::{Actor, Principal};
use crate::domain::model::role::{AccessKeyRole, WorkspaceRole};
use crate::domain::model::time::Instant;
use crate::domain::state::view::View;

/// The kind of a credential.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CredentialKind {
    /// An API token, which authenticates a member or a service user.
    ApiToken,
    /// A proxy token, which lets requests through to web functions.
    ProxyToken,
    /// An access key, which reads and never changes.
    AccessKey,
}

impl CredentialKind {
    /// Returns the kind as people read it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ApiToken => "API token",
            Self::ProxyToken => "proxy token",
            Self::AccessKey => "access key",
        }
    }
}

/// The kind of a proxy token's scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ScopeKind {
    /// Every environment.
    WorkspaceWide,
    /// The environments of its scope.
    Scoped,
}

/// A live credential.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct CredentialRow {
    /// Its kind.
    pub kind: CredentialKind,
    /// Its id.
    pub id: String,
    /// The principal that an API token authenticates.
    pub holder: Option<Principal>,
    /// The holder's name.
    pub holder_name: Option<String>,
    /// The workspace role of an API token's holder; `null` for a service user.
    pub holder_role: Option<WorkspaceRole>,
    /// The role of an access key.
    pub role: Option<AccessKeyRole>,
    /// The label of an access key.
    pub label: Option<Label>,
    /// The kind of a proxy token's scope.
    pub scope: Option<ScopeKind>,
    /// The environments in a proxy token's scope.
    pub environments: Vec<EnvironmentId>,
    /// Their names, in the same order.
    pub environment_names: Vec<EnvironmentName>,
    /// The actor that issued it.
    pub issued_by: Actor,
    /// The instant when it was issued.
    pub issued_at: Instant,
    /// The instant from which on it is invalid.
    pub expires_at: Option<Instant>,
    /// The instant of its last use; `null` if it was never used. `null` too for a view of the past, since uses are not in the log.
    pub last_used_at: Option<Instant>,
    /// The events that it is based on.
    pub evidence: Vec<Evidence>,
}

/// The last use of each credential, which is not in the log.
pub trait LastUses: Send + Sync {
    /// Returns when a credential was last used; `None` if it never was, or if that cannot be read.
    fn last_used_at(&self, credential: CredentialId) -> Option<Instant>;
}

/// The live credentials of a view.
pub struct Credentials {
    view: View,
    all: Vec<CredentialId>,
    last_uses: Option<Arc<dyn LastUses>>,
}

impl Credentials {
    /// Selects every live credential: API tokens, then proxy tokens, then access keys, each in the order of their ids.
    pub fn new(view: View) -> Self {
        Self::issued_by(view, None)
    }

    /// Selects the live credentials that `issuer` issued, in the same order; all of them for `None`.
    pub fn issued_by(view: View, issuer: Option<&Actor>) -> Self {
        let is_issuer = |by: &Actor| issuer.is_none_or(|issuer| issuer == by);
        let tokens = view.tokens().filter(|token| is_issuer(token.issued_by));
        let tokens = tokens.map(|token| CredentialId::Token(token.id));
        let proxy_tokens = view.proxy_tokens().filter(|token| is_issuer(token.issued_by));
        let proxy_tokens = proxy_tokens.map(|token| CredentialId::ProxyToken(token.id));
        let keys = view.access_keys().filter(|key| is_issuer(key.issued_by));
        let keys = keys.map(|key| CredentialId::AccessKey(key.id));
        let all = tokens.chain(proxy_tokens).chain(keys).collect();
        Self { view, all, last_uses: None }
    }

    /// Adds the last use of each credential to its row, if uses are known.
    #[must_use]
    pub fn with_last_uses(self, last_uses: Option<Arc<dyn LastUses>>) -> Self {
        Self { last_uses, ..self }
    }

    /// Returns the credential of a candidate.
    pub fn credential(&self, candidate: usize) -> Option<CredentialId> {
        self.all.get(candidate).copied()
    }

    /// Returns every credential, in order.
    pub fn all(&self) -> &[CredentialId] {
        &self.all
    }

    /// Returns the row of a credential, if it is live.
    pub fn row(&self, credential: CredentialId) -> Option<CredentialRow> {
        match credential {
            CredentialId::Token(id) => token(&self.view, id),
            CredentialId::ProxyToken(id) => proxy_token(&self.view, id),
            CredentialId::AccessKey(id) => access_key(&self.view, id),
        }
    }
}

impl AuditQuery for Credentials {
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
        let Some(credential) = self.credential(candidate) else { return Vec::new() };
        let row = self.row(credential).map(|row| match &self.last_uses {
            Some(last_uses) => CredentialRow { last_used_at: last_uses.last_used_at(credential), ..row },
            None => row,
        });
        row.into_iter().collect()
    }
}

/// Creates a row without the fields that only some kinds have.
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
