//! One event of each type, with every field that it can have.

use std::collections::BTreeSet;

use tenure::domain::model::credential::SecretDigest;
use tenure::domain::model::event::{
    AccessKeyTerms, EnvironmentDescription, Event, EventData, GrantEnd, GrantTerms, Membership, Move, Nothing,
    Placement, PlanChange, ProxyTokenScope, ProxyTokenTerms, ResourceTypeTerms, Restriction, ServiceUserDescription,
    TokenEnd, TokenTerms, WorkspaceDescription,
};
use tenure::domain::model::id::{
    AccessKeyId, CommandId, EnvironmentId, EventId, ProxyTokenId, ServiceUserId, TokenId, UserId, WorkspaceId,
};
use tenure::domain::model::principal::{Actor, ActorCredential, Principal};
use tenure::domain::model::resource::ResourceKey;
use tenure::domain::model::role::{AccessKeyRole, EnvironmentRole, Plan, RequiredRole, WorkspaceKind, WorkspaceRole};
use tenure::domain::model::time::{Instant, Revision};
use uuid::Uuid;

use super::files::HISTORIES;

/// 2026-03-01T09:30:00Z, as in the design of the stored form.
const TIME: Instant = Instant::from_micros(1_772_357_400_000_000);
const EXPIRY: Instant = Instant::from_micros(1_772_962_200_000_000);
const RECORDED: Instant = Instant::from_micros(1_773_133_384_123_456);

/// Returns the id of the n-th thing at that time.
fn uuid(n: u8) -> Uuid {
    uuid::Builder::from_unix_timestamp_millis(1_772_357_400_000, &[0, 0, 0, 0, 0, 0, 0, 0, 0, n]).into_uuid()
}

const fn digest(n: u8) -> SecretDigest {
    SecretDigest([n; 32])
}

fn alice() -> UserId {
    "alice".parse().unwrap()
}

fn scope() -> BTreeSet<EnvironmentId> {
    [2, 3].into_iter().map(|n| EnvironmentId::from_uuid(uuid(n))).collect()
}

/// Returns one event of each type: one with every field, or else the first recorded one.
pub(crate) fn samples() -> Vec<Event> {
    let mut samples = full_samples();
    for event in HISTORIES.iter().flat_map(|history| &history.events) {
        if samples.iter().all(|sample| sample.data.type_name() != event.data.type_name()) {
            samples.push(event.as_ref().clone());
        }
    }
    samples
}

fn full_samples() -> Vec<Event> {
    let people = about_the_workspace().into_iter().chain(about_principals());
    let others =
        about_environments().into_iter().chain(about_proxy_tokens()).chain(about_keys()).chain(about_resources());
    (1..).zip(people.chain(others)).map(|(revision, data)| event(revision, data)).collect()
}

/// Makes an event. Every other one is imported; those of the system have neither credential nor reason.
fn event(revision: u64, data: EventData) -> Event {
    let expired = data.type_name().contains(".expired.");
    Event {
        id: EventId::from_uuid(uuid(50)),
        workspace: WorkspaceId::from_uuid(uuid(1)),
        revision: Revision(revision),
        time: TIME,
        recorded: revision.is_multiple_of(2).then_some(RECORDED),
        actor: if expired { Actor::System } else { Actor::User(alice()) },
        credential: (!expired).then(|| ActorCredential::Token(TokenId::from_uuid(uuid(5)))),
        command: CommandId::from_uuid(uuid(60)),
        reason: (!expired).then(|| "SEC-142: \"least privilege\", agreed with Zoë".parse().unwrap()),
        data,
    }
}

fn about_the_workspace() -> Vec<EventData> {
    let id = WorkspaceId::from_uuid(uuid(1));
    let description =
        WorkspaceDescription { name: "acme".parse().unwrap(), kind: WorkspaceKind::Shared, plan: Plan::Team };
    vec![
        EventData::WorkspaceCreated(id, description),
        EventData::WorkspaceDeleted(id, Nothing {}),
        EventData::PlanChanged(id, PlanChange { plan: Plan::Enterprise }),
        EventData::RbacEnabled(id, Nothing {}),
        EventData::RbacDisabled(id, Nothing {}),
    ]
}

fn about_principals() -> Vec<EventData> {
    let service_user = ServiceUserId::from_uuid(uuid(4));
    let token = TokenId::from_uuid(uuid(5));
    let holder = Principal::ServiceUser(service_user);
    let terms = TokenTerms { holder: holder.clone(), sha256: digest(0x5a), expires_at: Some(EXPIRY) };
    vec![
        EventData::MemberAdded(alice(), Membership { role: WorkspaceRole::Member }),
        EventData::MemberRoleChanged(
            "auth0+5f7c8ec7@example.org".parse().unwrap(),
            Membership { role: WorkspaceRole::Manager },
        ),
        EventData::MemberRemoved(alice(), Nothing {}),
        EventData::ServiceUserCreated(service_user, ServiceUserDescription { name: "ci-bot".parse().unwrap() }),
        EventData::ServiceUserDeleted(service_user, Nothing {}),
        EventData::TokenIssued(token, terms),
        EventData::TokenRevoked(token, TokenEnd { holder: holder.clone() }),
        EventData::TokenExpired(token, TokenEnd { holder }),
    ]
}

fn about_environments() -> Vec<EventData> {
    let id = EnvironmentId::from_uuid(uuid(2));
    let description = |name: &str| EnvironmentDescription { name: name.parse().unwrap() };
    let restriction = |default_role| Restriction { default_role };
    let principal = || Principal::User(alice());
    let grant = |role, expires_at| GrantTerms { principal: principal(), role, expires_at };
    vec![
        EventData::EnvironmentCreated(id, description("staging")),
        EventData::EnvironmentRenamed(id, description("Pre-Prod")),
        EventData::EnvironmentRestricted(id, restriction(EnvironmentRole::Viewer)),
        EventData::EnvironmentDefaultRoleChanged(id, restriction(EnvironmentRole::NoAccess)),
        EventData::EnvironmentUnrestricted(id, Nothing {}),
        EventData::EnvironmentDeleted(id, Nothing {}),
        EventData::GrantAdded(id, grant(EnvironmentRole::Contributor, Some(EXPIRY))),
        EventData::GrantChanged(id, grant(EnvironmentRole::Viewer, None)),
        EventData::GrantRevoked(id, GrantEnd { principal: principal() }),
        EventData::GrantExpired(id, GrantEnd { principal: principal() }),
    ]
}

fn about_proxy_tokens() -> Vec<EventData> {
    let id = ProxyTokenId::from_uuid(uuid(6));
    let terms = ProxyTokenTerms { environments: Some(scope()), sha256: digest(0xc3), expires_at: Some(EXPIRY) };
    vec![
        EventData::ProxyTokenCreated(id, terms),
        EventData::ProxyTokenScoped(id, ProxyTokenScope { environments: scope() }),
        EventData::ProxyTokenRevoked(id, Nothing {}),
        EventData::ProxyTokenExpired(id, Nothing {}),
    ]
}

fn about_keys() -> Vec<EventData> {
    let id = AccessKeyId::from_uuid(uuid(7));
    let terms = AccessKeyTerms {
        role: AccessKeyRole::Auditor,
        label: "external audit 2026".parse().unwrap(),
        sha256: digest(0x99),
        expires_at: Some(EXPIRY),
    };
    vec![
        EventData::AccessKeyIssued(id, terms),
        EventData::AccessKeyRevoked(id, Nothing {}),
        EventData::AccessKeyExpired(id, Nothing {}),
    ]
}

fn about_resources() -> Vec<EventData> {
    let [from, environment] = [2, 3].map(|n| EnvironmentId::from_uuid(uuid(n)));
    let resource = || -> ResourceKey { "gpu_pool/eu-west/Zoë’s a100".parse().unwrap() };
    let actions = [("read", RequiredRole::Viewer), ("reserve", RequiredRole::Contributor)];
    let actions = actions.map(|(action, role)| (action.parse().unwrap(), role)).into_iter().collect();
    vec![
        EventData::ResourceTypeDefined("gpu_pool".parse().unwrap(), ResourceTypeTerms { actions }),
        EventData::ResourcePlaced(resource(), Placement { environment: from }),
        EventData::ResourceMoved(resource(), Move { from, environment }),
        EventData::ResourceRemoved(resource(), Placement { environment }),
    ]
}
