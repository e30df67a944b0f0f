//! Facts from a permission state.
//!
//! From the state's revision on, restored facts answer every question like the original facts: the same roles, rules,
//! instants and events. They say nothing about the time before, so a [`View`](crate::domain::state::view::View) of it
//! is refused.

use std::sync::Arc;

use imbl::OrdSet;

use super::{
    AccessKeyState, EnvironmentState, FormerName, GrantState, MemberState, PermissionState, ProxyTokenState,
    ServiceUserState, TokenState, WorkspaceState,
};
use crate::domain::history::History;
use crate::domain::model::credential::CredentialId;
use crate::domain::model::event::{AccessKeyTerms, ProxyTokenTerms, TokenTerms, WorkspaceDescription};
use crate::domain::model::id::EnvironmentId;
use crate::domain::model::time::Instant;
use crate::domain::state::credential_facts::Credential;
use crate::domain::state::timeline::Timeline;
use crate::domain::state::workspace::{Grant, LiveCounts, RestrictionState, Workspace};

impl Workspace {
    /// Returns the facts at a state's revision, on which [`evolve`](Self::evolve) applies the events after it. It is
    /// total: any state can be restored.
    ///
    /// A view of the time before is refused.
    // INVARIANT: restored at any revision and evolved to the head, the facts have the state, and give the answers, that they
    // do when they are replayed from the first event. Kept by `tests/replay`.
    pub fn restore(state: &PermissionState) -> Self {
        let mut workspace = Self::empty(state.workspace.id);
        workspace.history = History::after(state.workspace.id, state.revision);
        workspace.base_time = state.time.unwrap_or(Instant::EARLIEST);
        workspace.times = state.times.iter().map(|(revision, time)| (*revision, *time)).collect();
        workspace.times.extend(state.time.map(|time| (state.revision, time)));
        workspace.restore_about(&state.workspace);
        workspace.restore_principals(state);
        workspace.restore_environments(state);
        workspace.restore_credentials(state);
        workspace.restore_resources(state);
        if state.workspace.deleted.is_some() {
            workspace.forget_limits();
        }
        workspace
    }

    fn restore_principals(&mut self, state: &PermissionState) {
        for member in state.past.members.iter().chain(&state.members) {
            self.restore_member(member);
        }
        // By time, because several may have had the same name. The current owner of the name is last.
        let mut past: Vec<&ServiceUserState> = state.past.service_users.iter().collect();
        past.sort_by_key(|service_user| service_user.since);
        for service_user in past.into_iter().chain(&state.service_users) {
            self.restore_service_user(service_user);
        }
    }

    /// Restores former names first, because the current owner of a name took it later.
    fn restore_environments(&mut self, state: &PermissionState) {
        for former in &state.past.environment_names {
            self.restore_former_name(former);
        }
        for environment in state.past.environments.iter().chain(&state.environments) {
            self.restore_environment(environment);
        }
        for former in &state.past.grants {
            self.restore_grant(former.environment, &former.grant);
        }
    }

    fn restore_credentials(&mut self, state: &PermissionState) {
        for token in state.past.tokens.iter().chain(&state.tokens) {
            self.restore_token(token);
        }
        for token in state.past.proxy_tokens.iter().chain(&state.proxy_tokens) {
            self.restore_proxy_token(token);
        }
        for key in state.past.access_keys.iter().chain(&state.access_keys) {
            self.restore_access_key(key);
        }
    }

    /// Clears the counts and expiries of a workspace that has ended.
    fn forget_limits(&mut self) {
        self.expiries = OrdSet::new();
        self.live_counts = LiveCounts::default();
        self.resources.placed_len = 0;
    }

    fn restore_about(&mut self, about: &WorkspaceState) {
        let WorkspaceState { name, kind, plan, created, .. } = about;
        let Some(created) = created else { return };
        self.alive.set(*created, true);
        if let Some(deleted) = about.deleted {
            self.alive.set(deleted, false);
        }
        self.plan.set(about.plan_since, *plan);
        self.rbac.set(about.rbac_since, about.rbac);
        let description = name.clone().zip(*kind).map(|(name, kind)| WorkspaceDescription { name, kind, plan: *plan });
        self.description = description.map(Arc::new);
    }

    fn restore_member(&mut self, member: &MemberState) {
        for before in &member.before {
            self.set_member(before.since, &member.user, Some(before.role));
        }
        self.set_member(member.since, &member.user, Some(member.role));
        if let Some(ended) = member.ended {
            self.set_member(ended, &member.user, None);
        }
    }

    fn restore_service_user(&mut self, service_user: &ServiceUserState) {
        let ServiceUserState { id, name, since, ended } = service_user;
        self.add_service_user(*since, *id, name);
        if let Some(ended) = ended {
            self.end_service_user(*ended, *id);
        }
    }

    fn restore_former_name(&mut self, former: &FormerName) {
        self.set_environment_name(former.since, &former.name, Some(former.environment));
        self.set_environment_name(former.until, &former.name, None);
    }

    fn restore_environment(&mut self, environment: &EnvironmentState) {
        let EnvironmentState { id, name, named, ended, .. } = environment;
        let names = Timeline::starting(*named, name.clone());
        self.registry.begin_environment(*id, names, restored_restriction(environment));
        if ended.is_none() {
            self.set_environment_name(*named, name, Some(*id));
            self.live_counts.environments += 1;
        }
        for grant in &environment.grants {
            self.restore_grant(*id, grant);
        }
    }

    fn restore_grant(&mut self, environment: EnvironmentId, grant: &GrantState) {
        let GrantState { principal, role, expires_at, since, before, ended } = grant;
        let before = before.iter().map(|before| (before.since, before.expires_at));
        for (at, expires_at) in before.chain([(*since, *expires_at)]) {
            self.set_grant(at, environment, principal, Some(Grant { role: *role, expires_at }));
        }
        if let Some(ended) = ended {
            self.set_grant(*ended, environment, principal, None);
        }
    }

    fn restore_token(&mut self, token: &TokenState) {
        let TokenState { id, holder, sha256, issued_by, issued_at, issued, expires_at, ended } = token.clone();
        let terms = TokenTerms { holder: holder.clone(), sha256, expires_at };
        let token = Arc::new(Credential { terms, issued, issued_at, issued_by, expires_at, ended });
        if ended.is_none() {
            self.token_added(id, &token);
        }
        self.tokens.insert(id, token);
        self.tokens_of.entry(holder).or_default().insert(id);
    }

    fn restore_proxy_token(&mut self, token: &ProxyTokenState) {
        let ProxyTokenState { id, scope, since, sha256, issued_by, issued_at, issued, expires_at, ended } =
            token.clone();
        let timeline = Timeline::starting(since, scope.clone().map(Arc::new));
        let terms = (ProxyTokenTerms { environments: scope, sha256, expires_at }, timeline);
        let token = Arc::new(Credential { terms, issued, issued_at, issued_by, expires_at, ended });
        if ended.is_none() {
            self.credential_added(&token, CredentialId::ProxyToken(id));
        }
        self.proxy_tokens.insert(id, token);
    }

    fn restore_access_key(&mut self, key: &AccessKeyState) {
        let AccessKeyState { id, role, label, sha256, issued_by, issued_at, issued, expires_at, ended } = key.clone();
        let terms = AccessKeyTerms { role, label, sha256, expires_at };
        let key = Arc::new(Credential { terms, issued, issued_at, issued_by, expires_at, ended });
        if ended.is_none() {
            self.credential_added(&key, CredentialId::AccessKey(id));
        }
        self.access_keys.insert(id, key);
    }
}

fn restored_restriction(environment: &EnvironmentState) -> Timeline<RestrictionState> {
    let mut restriction = Timeline::default();
    // An environment begins unrestricted, and its first entry has the event that made it.
    let first = environment.before.first().map_or(environment.since, |before| before.since);
    if environment.created < first {
        restriction.set(environment.created, RestrictionState::Unrestricted);
    }
    for before in &environment.before {
        restriction.set(before.since, RestrictionState::Restricted(before.default_role));
    }
    restriction.set(
        environment.since,
        environment.default_role.map_or(RestrictionState::Unrestricted, RestrictionState::Restricted),
    );
    if let Some(ended) = environment.ended {
        restriction.set(ended, RestrictionState::Ended);
    }
    restriction
}
