//! The facts about credentials.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::domain::model::credential::CredentialId;
use crate::domain::model::event::{Event, ProxyTokenTerms};
use crate::domain::model::id::{AccessKeyId, EnvironmentId, ProxyTokenId, TokenId};
use crate::domain::model::principal::{Actor, Principal};
use crate::domain::model::time::{Instant, Revision};
use crate::domain::state::registry::Registry;
use crate::domain::state::timeline::Timeline;

/// The fixed facts of a credential, and its end.
#[derive(Debug, Clone)]
pub(in crate::domain) struct Credential<T> {
    pub(in crate::domain) terms: T,
    pub(in crate::domain) issued: Revision,
    pub(in crate::domain) issued_at: Instant,
    pub(in crate::domain) issued_by: Actor,
    pub(in crate::domain) expires_at: Option<Instant>,
    pub(in crate::domain) ended: Option<Revision>,
}

impl<T> Credential<T> {
    pub(super) fn new(registry: &Registry, event: &Event, terms: T, expires_at: Option<Instant>) -> Arc<Self> {
        let (issued, issued_at) = (event.revision, event.time);
        let issued_by = match &event.actor {
            Actor::User(user) => Actor::User(registry.known_user(user)),
            other @ (Actor::Operator | Actor::ServiceUser(_) | Actor::System) => other.clone(),
        };
        Arc::new(Self { terms, issued, issued_at, issued_by, expires_at, ended: None })
    }
}

/// The environments of a proxy token; `None` for a workspace-wide one.
pub(in crate::domain) type Scope = Option<Arc<BTreeSet<EnvironmentId>>>;

/// The properties of a proxy token, and its scopes over time.
pub(in crate::domain) type ScopedTerms = (ProxyTokenTerms, Timeline<Scope>);

/// A thing that can expire.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::domain) enum Expiring {
    /// A principal's grant in an environment.
    Grant(EnvironmentId, Principal),
    /// An API token.
    Token(TokenId),
    /// A proxy token.
    ProxyToken(ProxyTokenId),
    /// An access key.
    AccessKey(AccessKeyId),
}

impl From<CredentialId> for Expiring {
    fn from(id: CredentialId) -> Self {
        match id {
            CredentialId::Token(id) => Self::Token(id),
            CredentialId::ProxyToken(id) => Self::ProxyToken(id),
            CredentialId::AccessKey(id) => Self::AccessKey(id),
        }
    }
}

/// Ends a credential, and returns it.
pub(super) fn end_credential<T: Clone>(credential: &mut Arc<Credential<T>>, at: Revision) -> Arc<Credential<T>> {
    Arc::make_mut(credential).ended = Some(at);
    Arc::clone(credential)
}
