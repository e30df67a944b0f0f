//! The table of section 2, restated: the refusal or the events of each command.
//!
//! A refusal is its stable code. Events that name something new have made-up ids. The limits on counts are left out,
//! because no history here gets near them.

use std::collections::BTreeSet;

use tenure::domain::model::command::{
    AddMember, ChangeMemberRole, Command, CreateEnvironment, CreateProxyToken, CreateServiceUser, CreateWorkspace,
    DefineResourceType, EnvironmentRef, GrantExpiry, GrantSpec, IssueAccessKey, IssueToken, PlaceResource,
    RenameEnvironment, RestrictEnvironment, SetGrant, SetProxyTokenEnvironments,
};
use tenure::domain::model::event::{
    AccessKeyTerms, EnvironmentDescription, EventData, GrantEnd, GrantTerms, Membership, Move, Nothing, Placement,
    PlanChange, ProxyTokenScope, ProxyTokenTerms, ResourceTypeTerms, Restriction, ServiceUserDescription, TokenEnd,
    TokenTerms, WorkspaceDescription,
};
use tenure::domain::model::id::{AccessKeyId, EnvironmentId, GeneratedIds, ProxyTokenId, ServiceUserId, TokenId};
use tenure::domain::model::principal::{Actor, Caller, Principal};
use tenure::domain::model::resource::ResourceKey;
use tenure::domain::model::role::{EnvironmentRole, Plan, WorkspaceKind, WorkspaceRole};
use tenure::domain::model::time::Instant;

use super::authority::{CallerRole, Rank, caller_role, has_authority};
use super::facts::{Environment, Facts, Token};

/// The events of a command, or the code of its refusal.
pub type Outcome = Result<Vec<EventData>, &'static str>;

const NOT_FOUND: &str = "not_found";

/// Decides one command: authority, then references, then the rules of its row.
pub fn decide(facts: &Facts, caller: &Caller, command: &Command, generated: &GeneratedIds) -> Outcome {
    let caller_role = caller_role(facts, caller)?;
    if !has_authority(facts, &caller_role, command) {
        return Err("forbidden");
    }
    if let Command::CreateWorkspace(command) = command {
        return create_workspace(facts, command, generated);
    }
    if facts.workspace.is_none() {
        return Err(NOT_FOUND);
    }
    match command {
        Command::CreateWorkspace(_) => unreachable!("judged above"),
        Command::DeleteWorkspace(_) => Ok(vec![EventData::WorkspaceDeleted(facts.id, Nothing {})]),
        Command::ChangePlan(command) => Ok(change_plan(facts, command.plan)),
        Command::EnableRbac(_) if facts.plan == Plan::Starter => Err("plan_required"),
        Command::EnableRbac(_) if facts.rbac => Ok(vec![]),
        Command::EnableRbac(_) => Ok(vec![EventData::RbacEnabled(facts.id, Nothing {})]),
        Command::DisableRbac(_) => Ok(disable_rbac(facts)),
        Command::AddMember(command) => add_member(facts, &caller_role, command),
        Command::ChangeMemberRole(command) => change_role(facts, &caller_role, command),
        Command::RemoveMember(command) => remove_member(facts, &caller_role, &command.user.0, command.revoke_issued),
        Command::CreateServiceUser(command) => create_service_user(facts, caller, command, generated),
        Command::DeleteServiceUser(command) => delete_service_user(facts, &command.service_user.0),
        Command::IssueToken(command) => issue_token(facts, caller, command, generated),
        Command::RevokeToken(command) => revoke_token(facts, &caller_role, &command.token.0),
        Command::CreateEnvironment(command) => create_environment(facts, caller, command, generated),
        Command::RenameEnvironment(command) => rename(facts, command),
        Command::RestrictEnvironment(command) => restrict(facts, caller, command),
        Command::SetDefaultRole(command) => set_default_role(named(facts, &command.environment)?, command.default_role),
        Command::UnrestrictEnvironment(command) => Ok(unrestrict(facts, named(facts, &command.environment)?)),
        Command::DeleteEnvironment(command) => Ok(delete_environment(facts, named(facts, &command.environment)?)),
        Command::SetGrant(command) => set_grant(facts, caller, command),
        Command::RevokeGrant(command) => {
            let environment = named(facts, &command.environment)?;
            let principal = facts.principal(&command.principal.0).ok_or(NOT_FOUND)?;
            facts.grant(environment.id, &principal).ok_or(NOT_FOUND)?;
            Ok(vec![revoked(environment.id, &principal)])
        }
        Command::CreateProxyToken(command) => create_proxy_token(facts, caller, command, generated),
        Command::SetProxyTokenEnvironments(command) => set_scope(facts, command),
        Command::RevokeProxyToken(command) => {
            let id = facts.proxy_tokens.iter().map(|token| token.id).find(|id| id.to_string() == command.proxy_token.0);
            Ok(vec![EventData::ProxyTokenRevoked(id.ok_or(NOT_FOUND)?, Nothing {})])
        }
        Command::IssueAccessKey(command) => issue_access_key(facts, caller, command, generated),
        Command::RevokeAccessKey(command) => {
            let id = facts.access_keys.iter().map(|key| key.id).find(|id| id.to_string() == command.access_key.0);
            Ok(vec![EventData::AccessKeyRevoked(id.ok_or(NOT_FOUND)?, Nothing {})])
        }
        Command::DefineResourceType(command) => define_resource_type(facts, command),
        Command::PlaceResource(command) => place(facts, command),
        Command::RemoveResource(command) => {
            let named = command.resource.to_string();
            let found = facts.placements.iter().find(|(key, _)| key.to_string() == named);
            let (key, environment) = found.ok_or(NOT_FOUND)?;
            Ok(vec![EventData::ResourceRemoved(key.clone(), Placement { environment: *environment })])
        }
        // The generator draws only commands that the model knows.
        #[allow(unreachable_patterns, reason = "for a command that the model does not know yet")]
        other => panic!("the model does not know {other:?}"),
    }
}

fn named<'a>(facts: &'a Facts, reference: &EnvironmentRef) -> Result<&'a Environment, &'static str> {
    facts.environment(&reference.0).ok_or(NOT_FOUND)
}

fn rule(holds: bool, code: &'static str) -> Result<(), &'static str> {
    if holds { Ok(()) } else { Err(code) }
}

fn check_future(facts: &Facts, expires_at: Option<Instant>) -> Result<(), &'static str> {
    rule(expires_at.is_none_or(|end| end > facts.instant), "invalid")
}

fn check_shared(facts: &Facts) -> Result<(), &'static str> {
    let personal = facts.workspace.as_ref().is_some_and(|workspace| workspace.kind == WorkspaceKind::Personal);
    rule(!personal, "personal_workspace")
}

fn create_workspace(facts: &Facts, command: &CreateWorkspace, generated: &GeneratedIds) -> Outcome {
    rule(!facts.begun, "already_exists")?;
    let CreateWorkspace { name, kind, plan, owner } = command;
    let holder = Principal::User(owner.user.clone());
    let main = EnvironmentDescription { name: "main".parse().expect("a name") };
    Ok(vec![
        EventData::WorkspaceCreated(facts.id, WorkspaceDescription { name: name.clone(), kind: *kind, plan: *plan }),
        EventData::MemberAdded(owner.user.clone(), Membership { role: WorkspaceRole::Owner }),
        EventData::EnvironmentCreated(EnvironmentId::from_uuid(generated.environment), main),
        token_issued(holder, None, generated),
    ])
}

fn change_plan(facts: &Facts, plan: Plan) -> Vec<EventData> {
    let mut events = Vec::new();
    if facts.plan != plan {
        events.push(EventData::PlanChanged(facts.id, PlanChange { plan }));
    }
    if plan == Plan::Starter {
        events.extend(disable_rbac(facts));
    }
    events
}

fn disable_rbac(facts: &Facts) -> Vec<EventData> {
    if facts.rbac { vec![EventData::RbacDisabled(facts.id, Nothing {})] } else { vec![] }
}

fn add_member(facts: &Facts, caller_role: &CallerRole, command: &AddMember) -> Outcome {
    check_shared(facts)?;
    rule(facts.role(command.user.as_str()).is_none(), "already_exists")?;
    rule(command.role != WorkspaceRole::Owner || caller_role.rank >= Rank::Owner, "owner_protected")?;
    Ok(vec![EventData::MemberAdded(command.user.clone(), Membership { role: command.role })])
}

/// Checks that the caller may end this member's ownership, and that another owner is left.
fn check_owner(facts: &Facts, caller_role: &CallerRole, held: WorkspaceRole) -> Result<(), &'static str> {
    if held != WorkspaceRole::Owner {
        return Ok(());
    }
    rule(caller_role.rank >= Rank::Owner, "owner_protected")?;
    let owners = facts.members.iter().filter(|(_, role)| *role == WorkspaceRole::Owner).count();
    rule(owners > 1, "last_owner")
}

fn change_role(facts: &Facts, caller_role: &CallerRole, command: &ChangeMemberRole) -> Outcome {
    let held = facts.role(&command.user.0).ok_or(NOT_FOUND)?;
    if held == command.role {
        return Ok(vec![]);
    }
    rule(command.role != WorkspaceRole::Owner || caller_role.rank >= Rank::Owner, "owner_protected")?;
    check_owner(facts, caller_role, held)?;
    let user = command.user.0.parse().expect("a member's id");
    let mut events = Vec::new();
    if command.role != WorkspaceRole::Member {
        events.extend(revoke_grants_of(facts, &Principal::User(user)));
    }
    let user = command.user.0.parse().expect("a member's id");
    events.push(EventData::MemberRoleChanged(user, Membership { role: command.role }));
    Ok(events)
}

fn remove_member(facts: &Facts, caller_role: &CallerRole, user: &str, revoke_issued: bool) -> Outcome {
    let held = facts.role(user).ok_or(NOT_FOUND)?;
    check_owner(facts, caller_role, held)?;
    let principal = Principal::User(user.parse().expect("a member's id"));
    let mut events = revoke_grants_of(facts, &principal);
    events.extend(revoke_tokens_of(facts, &principal));
    if revoke_issued {
        events.extend(revoke_all_issued_by(facts, caller_role, &principal)?);
    }
    events.push(EventData::MemberRemoved(user.parse().expect("a member's id"), Nothing {}));
    Ok(events)
}

/// Returns the events that revoke every credential that a member issued, except the member's own tokens.
fn revoke_all_issued_by(facts: &Facts, caller_role: &CallerRole, issuer: &Principal) -> Outcome {
    let by_issuer = |actor: &Actor| actor.to_string() == issuer.to_string();
    let mut events = Vec::new();
    for token in facts.tokens.iter().filter(|token| by_issuer(&token.issued_by) && token.holder != *issuer) {
        events.extend(revoke_token(facts, caller_role, &token.id.to_string())?);
    }
    let proxy_tokens = facts.proxy_tokens.iter().filter(|token| by_issuer(&token.issued_by));
    events.extend(proxy_tokens.map(|token| EventData::ProxyTokenRevoked(token.id, Nothing {})));
    let keys = facts.access_keys.iter().filter(|key| by_issuer(&key.issued_by));
    events.extend(keys.map(|key| EventData::AccessKeyRevoked(key.id, Nothing {})));
    Ok(events)
}

fn create_service_user(
    facts: &Facts,
    caller: &Caller,
    command: &CreateServiceUser,
    generated: &GeneratedIds,
) -> Outcome {
    check_shared(facts)?;
    rule(!facts.service_users.iter().any(|(_, name)| name == command.name.as_str()), "already_exists")?;
    let id = ServiceUserId::from_uuid(generated.entity);
    let made = EventData::ServiceUserCreated(id, ServiceUserDescription { name: command.name.clone() });
    Ok(vec![made, token_issued(Principal::ServiceUser(id), callers_expiry(facts, caller), generated)])
}

fn delete_service_user(facts: &Facts, reference: &str) -> Outcome {
    let id = facts.service_user(reference).ok_or(NOT_FOUND)?;
    let principal = Principal::ServiceUser(id);
    let mut events = revoke_grants_of(facts, &principal);
    events.extend(revoke_tokens_of(facts, &principal));
    events.push(EventData::ServiceUserDeleted(id, Nothing {}));
    Ok(events)
}

/// Returns the expiry of the token that the caller uses.
fn callers_expiry(facts: &Facts, caller: &Caller) -> Option<Instant> {
    let Caller::Principal { token, .. } = caller else { return None };
    facts.tokens.iter().find(|found| found.id == *token)?.expires_at
}

fn token_issued(holder: Principal, expires_at: Option<Instant>, generated: &GeneratedIds) -> EventData {
    EventData::TokenIssued(
        TokenId::from_uuid(generated.token),
        TokenTerms { holder, sha256: generated.digest, expires_at },
    )
}

fn issue_token(facts: &Facts, caller: &Caller, command: &IssueToken, generated: &GeneratedIds) -> Outcome {
    let holder = match (&command.user, &command.service_user) {
        (Some(user), None) => facts.principal(&format!("user:{user}")).ok_or(NOT_FOUND)?,
        (None, Some(reference)) => Principal::ServiceUser(facts.service_user(&reference.0).ok_or(NOT_FOUND)?),
        _ => return Err("invalid"),
    };
    let expires_at = end_of_credential(facts, caller, command.expires_at)?;
    Ok(vec![token_issued(holder, expires_at, generated)])
}

/// Returns the end of a new credential: the requested one, at most the caller's own.
fn end_of_credential(facts: &Facts, caller: &Caller, asked: Option<Instant>) -> Result<Option<Instant>, &'static str> {
    check_future(facts, asked)?;
    match (asked, callers_expiry(facts, caller)) {
        (Some(asked), Some(own)) if asked > own => Err("invalid"),
        (asked, own) => Ok(asked.or(own)),
    }
}

fn revoke_token(facts: &Facts, caller_role: &CallerRole, reference: &str) -> Outcome {
    let token = facts.tokens.iter().find(|token| token.id.to_string() == reference).ok_or(NOT_FOUND)?;
    let owners = matches!(&token.holder, Principal::User(user)
        if facts.role(user.as_str()) == Some(WorkspaceRole::Owner));
    rule(!owners || caller_role.rank >= Rank::Owner, "owner_protected")?;
    Ok(vec![token_revoked(token)])
}

fn token_revoked(token: &Token) -> EventData {
    EventData::TokenRevoked(token.id, TokenEnd { holder: token.holder.clone() })
}

fn revoke_tokens_of(facts: &Facts, holder: &Principal) -> Vec<EventData> {
    facts.tokens.iter().filter(|token| token.holder == *holder).map(token_revoked).collect()
}

fn revoked(environment: EnvironmentId, principal: &Principal) -> EventData {
    EventData::GrantRevoked(environment, GrantEnd { principal: principal.clone() })
}

fn revoke_grants_of(facts: &Facts, principal: &Principal) -> Vec<EventData> {
    let held = facts.grants.iter().filter(|grant| grant.principal == *principal);
    held.map(|grant| revoked(grant.environment, principal)).collect()
}

fn revoke_grants_in(facts: &Facts, environment: EnvironmentId) -> Vec<EventData> {
    let held = facts.grants.iter().filter(|grant| grant.environment == environment);
    held.map(|grant| revoked(environment, &grant.principal)).collect()
}

fn restricted(id: EnvironmentId, default_role: EnvironmentRole) -> EventData {
    EventData::EnvironmentRestricted(id, Restriction { default_role })
}

fn default_role_changed(id: EnvironmentId, default_role: EnvironmentRole) -> EventData {
    EventData::EnvironmentDefaultRoleChanged(id, Restriction { default_role })
}

fn create_environment(
    facts: &Facts,
    caller: &Caller,
    command: &CreateEnvironment,
    generated: &GeneratedIds,
) -> Outcome {
    let CreateEnvironment { name, restricted: asked, default_role, grants } = command;
    let principals = find_principals(facts, grants)?;
    rule(!asked || facts.rbac, "rbac_disabled")?;
    rule(!name_is_taken(facts, name.as_str()), "already_exists")?;
    rule(*asked || (default_role.is_none() && grants.is_empty()), "environment_unrestricted")?;
    let id = EnvironmentId::from_uuid(generated.entity);
    let given = give(facts, caller, id, &principals, grants)?;
    let mut events = vec![EventData::EnvironmentCreated(id, EnvironmentDescription { name: name.clone() })];
    if *asked {
        events.push(restricted(id, default_role.unwrap_or(EnvironmentRole::Viewer)));
    }
    events.extend(given);
    Ok(events)
}

fn name_is_taken(facts: &Facts, name: &str) -> bool {
    facts.environments.iter().any(|found| found.name.eq_ignore_ascii_case(name))
}

fn rename(facts: &Facts, command: &RenameEnvironment) -> Outcome {
    let environment = named(facts, &command.environment)?;
    let name = command.name.as_str();
    if environment.name == name {
        return Ok(vec![]);
    }
    let others = facts.environments.iter().filter(|found| found.id != environment.id);
    rule(!others.into_iter().any(|found| found.name.eq_ignore_ascii_case(name)), "already_exists")?;
    let renamed = EnvironmentDescription { name: command.name.clone() };
    Ok(vec![EventData::EnvironmentRenamed(environment.id, renamed)])
}

fn restrict(facts: &Facts, caller: &Caller, command: &RestrictEnvironment) -> Outcome {
    let environment = named(facts, &command.environment)?;
    let principals = find_principals(facts, &command.grants)?;
    rule(facts.rbac, "rbac_disabled")?;
    let given = give(facts, caller, environment.id, &principals, &command.grants)?;
    let mut events = match (environment.default_role, command.default_role) {
        (None, asked) => vec![restricted(environment.id, asked.unwrap_or(EnvironmentRole::Viewer))],
        (Some(held), Some(asked)) if held != asked => vec![default_role_changed(environment.id, asked)],
        (Some(_), _) => vec![],
    };
    events.extend(given);
    Ok(events)
}

fn set_default_role(environment: &Environment, asked: EnvironmentRole) -> Outcome {
    match environment.default_role {
        None => Err("environment_unrestricted"),
        Some(held) if held == asked => Ok(vec![]),
        Some(_) => Ok(vec![default_role_changed(environment.id, asked)]),
    }
}

fn unrestrict(facts: &Facts, environment: &Environment) -> Vec<EventData> {
    if environment.default_role.is_none() {
        return vec![];
    }
    let mut events = revoke_grants_in(facts, environment.id);
    events.push(EventData::EnvironmentUnrestricted(environment.id, Nothing {}));
    events
}

fn delete_environment(facts: &Facts, environment: &Environment) -> Vec<EventData> {
    let mut events = revoke_grants_in(facts, environment.id);
    for token in &facts.proxy_tokens {
        if let Some(scope) = token.scope.as_ref().filter(|scope| scope.contains(&environment.id)) {
            let mut environments = scope.clone();
            environments.remove(&environment.id);
            events.push(EventData::ProxyTokenScoped(token.id, ProxyTokenScope { environments }));
        }
    }
    for (key, _) in facts.placements.iter().filter(|(_, place)| *place == environment.id) {
        events.push(EventData::ResourceRemoved(key.clone(), Placement { environment: environment.id }));
    }
    events.push(EventData::EnvironmentDeleted(environment.id, Nothing {}));
    events
}

fn set_grant(facts: &Facts, caller: &Caller, command: &SetGrant) -> Outcome {
    let SetGrant { environment, principal, role, expires_at } = command;
    let environment = named(facts, environment)?;
    let found = facts.principal(&principal.0).ok_or(NOT_FOUND)?;
    rule(facts.rbac, "rbac_disabled")?;
    rule(environment.default_role.is_some(), "environment_unrestricted")?;
    let grant = GrantSpec { principal: principal.clone(), role: *role, expires_at: *expires_at };
    give(facts, caller, environment.id, &[found], &[grant])
}

fn find_principals(facts: &Facts, grants: &[GrantSpec]) -> Result<Vec<Principal>, &'static str> {
    grants.iter().map(|grant| facts.principal(&grant.principal.0).ok_or(NOT_FOUND)).collect()
}

/// Returns the events that give grants. A grant that is held already needs none.
fn give(facts: &Facts, caller: &Caller, id: EnvironmentId, principals: &[Principal], grants: &[GrantSpec]) -> Outcome {
    let mut events = Vec::new();
    for (index, (principal, asked)) in principals.iter().zip(grants).enumerate() {
        rule(!facts.administers(principal), "role_implied")?;
        let expires_at = match asked.expires_at {
            GrantExpiry::At(end) => Some(end),
            GrantExpiry::Unspecified | GrantExpiry::Never => None,
        };
        check_future(facts, expires_at)?;
        rule(!principals[..index].contains(principal), "invalid")?;
        let is_recorded = matches!(caller, Caller::ImportedActor(_));
        if asked.expires_at == GrantExpiry::Unspecified && !is_recorded {
            let has_end = facts.grant(id, principal).is_some_and(|held| held.expires_at.is_some());
            rule(!has_end, "expiry_required")?;
        }
        let terms = GrantTerms { principal: principal.clone(), role: asked.role, expires_at };
        match facts.grant(id, principal) {
            Some(held) if held.role == asked.role && held.expires_at == expires_at => {}
            Some(_) => events.push(EventData::GrantChanged(id, terms)),
            None => events.push(EventData::GrantAdded(id, terms)),
        }
    }
    Ok(events)
}

fn find_scope(facts: &Facts, references: &[EnvironmentRef]) -> Result<BTreeSet<EnvironmentId>, &'static str> {
    references.iter().map(|reference| named(facts, reference).map(|found| found.id)).collect()
}

fn create_proxy_token(facts: &Facts, caller: &Caller, command: &CreateProxyToken, generated: &GeneratedIds) -> Outcome {
    let CreateProxyToken { environments, expires_at } = command;
    let environments = environments.as_deref().map(|references| find_scope(facts, references)).transpose()?;
    if facts.rbac {
        rule(environments.as_ref().is_some_and(|scope| !scope.is_empty()), "invalid")?;
    } else {
        rule(environments.is_none(), "rbac_disabled")?;
    }
    let expires_at = end_of_credential(facts, caller, *expires_at)?;
    let terms = ProxyTokenTerms { environments, sha256: generated.digest, expires_at };
    Ok(vec![EventData::ProxyTokenCreated(ProxyTokenId::from_uuid(generated.entity), terms)])
}

fn set_scope(facts: &Facts, command: &SetProxyTokenEnvironments) -> Outcome {
    let token = facts.proxy_tokens.iter().find(|token| token.id.to_string() == command.proxy_token.0);
    let token = token.ok_or(NOT_FOUND)?;
    let environments = find_scope(facts, &command.environments)?;
    let held = token.scope.as_ref().ok_or("token_not_scoped")?;
    rule(facts.rbac, "rbac_disabled")?;
    if *held == environments {
        return Ok(vec![]);
    }
    Ok(vec![EventData::ProxyTokenScoped(token.id, ProxyTokenScope { environments })])
}

fn issue_access_key(facts: &Facts, caller: &Caller, command: &IssueAccessKey, generated: &GeneratedIds) -> Outcome {
    let IssueAccessKey { role, label, expires_at } = command;
    let expires_at = end_of_credential(facts, caller, *expires_at)?;
    let terms = AccessKeyTerms { role: *role, label: label.clone(), sha256: generated.digest, expires_at };
    Ok(vec![EventData::AccessKeyIssued(AccessKeyId::from_uuid(generated.entity), terms)])
}

const BUILT_IN: [&str; 9] =
    ["environment", "app", "function", "secret", "volume", "dict", "queue", "web_function", "workspace"];

fn define_resource_type(facts: &Facts, command: &DefineResourceType) -> Outcome {
    let DefineResourceType { name, actions } = command;
    rule(!BUILT_IN.contains(&name.as_str()), "already_exists")?;
    rule(!actions.is_empty(), "invalid")?;
    if facts.resource_type(name.as_str()) == Some(actions) {
        return Ok(vec![]);
    }
    Ok(vec![EventData::ResourceTypeDefined(name.clone(), ResourceTypeTerms { actions: actions.clone() })])
}

fn place(facts: &Facts, command: &PlaceResource) -> Outcome {
    let resource_type = command.resource.resource_type.0.as_str();
    rule(BUILT_IN.contains(&resource_type) || facts.resource_type(resource_type).is_some(), NOT_FOUND)?;
    let environment = named(facts, &command.environment)?.id;
    rule(!["environment", "workspace"].contains(&resource_type), "invalid")?;
    let key = ResourceKey {
        resource_type: resource_type.parse().expect("the name of a type"),
        id: command.resource.id.clone(),
    };
    Ok(match facts.placement(resource_type, key.id.as_str()) {
        Some(held) if held == environment => vec![],
        Some(from) => vec![EventData::ResourceMoved(key, Move { from, environment })],
        None => vec![EventData::ResourcePlaced(key, Placement { environment })],
    })
}
