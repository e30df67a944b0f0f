//! The permission state of facts.
//!
//! Every fact is read as a [`LastTenure`]: its value, the values before it without a break, and its end. Whether the
//! tenure is live decides only the list to put it in.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    AccessKeyState, DefaultRoleBefore, EnvironmentState, FormerGrant, FormerName, GrantBefore, GrantState, MemberState,
    Past, PermissionState, ProxyTokenState, RoleBefore, ServiceUserState, TokenState, WorkspaceState,
};
use crate::domain::collections::dense_id_map::DenseId;
use crate::domain::model::id::EnvironmentId;
use crate::domain::model::principal::Principal;
use crate::domain::model::role::EnvironmentRole;
use crate::domain::model::time::{Instant, Revision};
use crate::domain::state::credential_facts::Credential;
use crate::domain::state::registry::EnvironmentFacts;
use crate::domain::state::timeline::{Since, Timeline};
use crate::domain::state::view::View;
use crate::domain::state::workspace::{Grant, RestrictionState, Workspace};

/// A record, and whether it is live in the view.
pub(super) type WithLiveness<T> = (bool, T);

pub(super) fn state(view: &View) -> PermissionState {
    let reader = StateReader { workspace: view.workspace(), revision: view.revision(), instant: view.instant(), view };
    let (members, past_members) = split(reader.members());
    let (service_users, past_service_users) = split(reader.service_users());
    let (environments, past_environments) = split(reader.environments());
    let (tokens, past_tokens) = split(reader.tokens());
    let (proxy_tokens, past_proxy_tokens) = split(reader.proxy_tokens());
    let (access_keys, past_access_keys) = split(reader.access_keys());
    let (resource_types, past_resource_types) = split(reader.resource_types());
    let (resources, past_resources) = split(reader.resources());
    let past = Past {
        members: past_members,
        service_users: past_service_users,
        environments: past_environments,
        environment_names: reader.former_names(),
        grants: reader.former_grants(),
        tokens: past_tokens,
        proxy_tokens: past_proxy_tokens,
        access_keys: past_access_keys,
        resource_types: past_resource_types,
        resources: past_resources,
    };
    let state = PermissionState {
        revision: reader.revision,
        time: reader.workspace.time_of(reader.revision),
        workspace: reader.about(),
        members,
        service_users,
        environments,
        tokens,
        proxy_tokens,
        access_keys,
        resource_types,
        resources,
        past,
        times: BTreeMap::new(),
    };
    PermissionState { times: reader.times(&state), ..state }
}

fn split<T>(found: impl Iterator<Item = WithLiveness<T>>) -> (Vec<T>, Vec<T>) {
    let (live, past): (Vec<_>, Vec<_>) = found.partition(|(live, _)| *live);
    let records = |found: Vec<WithLiveness<T>>| found.into_iter().map(|(_, record)| record).collect();
    (records(live), records(past))
}

/// The last unbroken time in which a fact had a value.
pub(super) struct LastTenure<T> {
    pub(super) held: Since<T>,
    /// The values before it without a break, oldest first; not read if the tenure has ended.
    before: Vec<Since<T>>,
    pub(super) ended: Option<Revision>,
}

/// Returns the last tenure that began up to a revision. `value` returns the value of an entry, if it has one. `same`
/// says whether two values follow each other without a break.
pub(super) fn last_tenure<T: Clone, U: Clone>(
    timeline: &Timeline<T>,
    until: Revision,
    value: impl Fn(&T) -> Option<U>,
    same: impl Fn(&U, &U) -> bool,
) -> Option<LastTenure<U>> {
    let held = |entry: &Since<T>| value(&entry.value).map(|value| entry.with(value));
    let mut newest_first = timeline.iter().rev().skip_while(|entry| entry.since > until);
    let last = newest_first.next()?;
    let Some(now) = held(last) else {
        let held = held(newest_first.next()?)?;
        return Some(LastTenure { held, before: Vec::new(), ended: Some(last.since) });
    };
    let run = newest_first.map_while(held).take_while(|before| same(&before.value, &now.value));
    let mut before: Vec<_> = run.collect();
    before.reverse();
    Some(LastTenure { held: now, before, ended: None })
}

pub(super) struct StateReader<'a> {
    pub(super) workspace: &'a Workspace,
    pub(super) revision: Revision,
    instant: Instant,
    view: &'a View,
}

impl<'a> StateReader<'a> {
    fn about(&self) -> WorkspaceState {
        let (plan, rbac) = (self.view.plan(), self.view.rbac());
        let existence = last_tenure(&self.workspace.alive, self.revision, |alive| alive.then_some(()), |(), ()| true);
        let description = self.workspace.description.as_deref().filter(|_| existence.is_some());
        WorkspaceState {
            id: self.workspace.id,
            name: description.map(|description| description.name.clone()),
            kind: description.map(|description| description.kind),
            plan: plan.value,
            plan_since: plan.since,
            rbac: rbac.value,
            rbac_since: rbac.since,
            created: existence.as_ref().map(|existence| existence.held.since),
            deleted: existence.and_then(|existence| existence.ended),
        }
    }

    /// Returns whether something is live that has perhaps an end and perhaps an expiry.
    pub(super) fn is_live(&self, ended: Option<Revision>, expires_at: Option<Instant>) -> bool {
        self.view.exists() && ended.is_none() && expires_at.is_none_or(|end| self.instant < end)
    }

    fn members(&self) -> impl Iterator<Item = WithLiveness<MemberState>> {
        self.workspace.registry.users().filter_map(|(user, facts)| {
            let LastTenure { held, before, ended } =
                last_tenure(facts.roles()?, self.revision, |role| *role, |_, _| true)?;
            let before =
                before.into_iter().map(|before| RoleBefore { role: before.value, since: before.since }).collect();
            let member = MemberState { user: user.clone(), role: held.value, since: held.since, before, ended };
            Some((self.is_live(ended, None), member))
        })
    }

    fn service_users(&self) -> impl Iterator<Item = WithLiveness<ServiceUserState>> {
        self.workspace.registry.service_users().filter_map(|(id, facts)| {
            let (alive, name) = facts.service_user()?;
            let alive = last_tenure(alive, self.revision, |alive| alive.then_some(()), |(), ()| true)?;
            let (since, ended) = (alive.held.since, alive.ended);
            let service_user = ServiceUserState { id, name: name.clone(), since, ended };
            Some((self.is_live(ended, None), service_user))
        })
    }

    fn environments(&self) -> impl Iterator<Item = WithLiveness<EnvironmentState>> {
        self.workspace.registry.environments().filter_map(|(id, facts)| {
            let environment = self.environment(id, facts)?;
            Some((self.is_live(environment.ended, None), environment))
        })
    }

    fn environment(&self, id: EnvironmentId, facts: &EnvironmentFacts) -> Option<EnvironmentState> {
        let there = |restriction: &RestrictionState| (*restriction != RestrictionState::Ended).then_some(*restriction);
        let both_restricted =
            |before: &RestrictionState, now: &RestrictionState| default_role(*before).and(default_role(*now)).is_some();
        let LastTenure { held, before, ended } =
            last_tenure(&facts.restriction, self.revision, there, both_restricted)?;
        let before = before.iter().filter_map(|before| {
            Some(DefaultRoleBefore { default_role: default_role(before.value)?, since: before.since })
        });
        let name = facts.name.at(self.revision)?;
        Some(EnvironmentState {
            id,
            name: name.value.clone(),
            named: name.since,
            created: facts.restriction.iter().next()?.since,
            default_role: default_role(held.value),
            since: held.since,
            before: before.collect(),
            grants: self.grants(facts).filter(|(live, _)| *live).map(|(_, grant)| grant).collect(),
            ended,
        })
    }

    fn grants(&self, facts: &'a EnvironmentFacts) -> impl Iterator<Item = WithLiveness<GrantState>> {
        self.workspace.registry.granted(facts).into_iter().filter_map(|holder| {
            let grant = self.grant(&holder.principal, holder.grants.get(facts.dense_id)?)?;
            Some((self.is_live(grant.ended, grant.expires_at), grant))
        })
    }

    fn grant(&self, principal: &Principal, timeline: &Timeline<Option<Grant>>) -> Option<GrantState> {
        let LastTenure { held, before, ended } =
            last_tenure(timeline, self.revision, |grant| *grant, |before, now| before.role == now.role)?;
        let before = before.into_iter();
        Some(GrantState {
            principal: principal.clone(),
            role: held.value.role,
            expires_at: held.value.expires_at,
            since: held.since,
            before: before
                .map(|before| GrantBefore { expires_at: before.value.expires_at, since: before.since })
                .collect(),
            ended,
        })
    }

    fn former_grants(&self) -> Vec<FormerGrant> {
        let ended = |facts: &EnvironmentFacts| {
            facts.restriction.at(self.revision).is_none_or(|restriction| restriction.value == RestrictionState::Ended)
        };
        let environments = self.workspace.registry.environments().filter(|(_, facts)| !ended(facts));
        let grants = environments.flat_map(|(id, facts)| self.grants(facts).map(move |found| (id, found)));
        let former = grants.filter(|(_, (live, _))| !live);
        former.map(|(environment, (_, grant))| FormerGrant { environment, grant }).collect()
    }

    fn former_names(&self) -> Vec<FormerName> {
        let names = self.workspace.registry.environment_names.all().into_iter();
        names.flat_map(|(key, timeline)| self.former_owners(key, timeline)).collect()
    }

    fn former_owners(&self, key: &str, timeline: &Timeline<Option<DenseId>>) -> Vec<FormerName> {
        let entries: Vec<_> = timeline.iter().take_while(|entry| entry.since <= self.revision).collect();
        let former = entries.windows(2).filter_map(|pair| match pair {
            [owner, next] if owner.value != next.value => {
                let (name, environment) = (key.parse().ok()?, self.workspace.registry.environment_id(owner.value?)?);
                Some(FormerName { name, environment, since: owner.since, until: next.since })
            }
            _ => None,
        });
        former.collect()
    }

    /// Returns the end of a credential up to the view's revision, and whether it is live.
    fn credential<T>(&self, credential: &Credential<T>) -> Option<WithLiveness<Option<Revision>>> {
        let ended = credential.ended.filter(|ended| *ended <= self.revision);
        (credential.issued <= self.revision).then_some((self.is_live(ended, credential.expires_at), ended))
    }

    fn tokens(&self) -> impl Iterator<Item = WithLiveness<TokenState>> {
        self.workspace.tokens.iter().filter_map(|(id, credential)| {
            let (live, ended) = self.credential(credential)?;
            let Credential { terms, issued, issued_at, issued_by, expires_at, .. } = credential.as_ref();
            let token = TokenState {
                id: *id,
                holder: terms.holder.clone(),
                sha256: terms.sha256,
                issued_by: issued_by.clone(),
                issued_at: *issued_at,
                issued: *issued,
                expires_at: *expires_at,
                ended,
            };
            Some((live, token))
        })
    }

    fn proxy_tokens(&self) -> impl Iterator<Item = WithLiveness<ProxyTokenState>> {
        self.workspace.proxy_tokens.iter().filter_map(|(id, credential)| {
            let (live, ended) = self.credential(credential)?;
            let Credential { terms: (terms, scope), issued, issued_at, issued_by, expires_at, .. } =
                credential.as_ref();
            let scope = scope.at(self.revision)?;
            let token = ProxyTokenState {
                id: *id,
                scope: scope.value.as_deref().cloned(),
                since: scope.since,
                sha256: terms.sha256,
                issued_by: issued_by.clone(),
                issued_at: *issued_at,
                issued: *issued,
                expires_at: *expires_at,
                ended,
            };
            Some((live, token))
        })
    }

    fn access_keys(&self) -> impl Iterator<Item = WithLiveness<AccessKeyState>> {
        self.workspace.access_keys.iter().filter_map(|(id, credential)| {
            let (live, ended) = self.credential(credential)?;
            let Credential { terms, issued, issued_at, issued_by, expires_at, .. } = credential.as_ref();
            let key = AccessKeyState {
                id: *id,
                role: terms.role,
                label: terms.label.clone(),
                sha256: terms.sha256,
                issued_by: issued_by.clone(),
                issued_at: *issued_at,
                issued: *issued,
                expires_at: *expires_at,
                ended,
            };
            Some((live, key))
        })
    }

    fn times(&self, state: &PermissionState) -> BTreeMap<Revision, Instant> {
        let mut named = BTreeSet::new();
        state.name_revisions(&mut named);
        named.into_iter().filter_map(|revision| Some((revision, self.workspace.time_of(revision)?))).collect()
    }
}

/// Returns the default role, if an environment is restricted.
const fn default_role(restriction: RestrictionState) -> Option<EnvironmentRole> {
    match restriction {
        RestrictionState::Restricted(role) => Some(role),
        RestrictionState::Unrestricted | RestrictionState::Ended => None,
    }
}

/// Lists the revisions in a state that have no time beside them.
impl PermissionState {
    fn name_revisions(&self, named: &mut BTreeSet<Revision>) {
        let about = &self.workspace;
        named.extend([about.plan_since, about.rbac_since].into_iter().chain(about.created).chain(about.deleted));
        for member in self.members.iter().chain(&self.past.members) {
            named.extend(member.before.iter().map(|before| before.since).chain([member.since]).chain(member.ended));
        }
        for service_user in self.service_users.iter().chain(&self.past.service_users) {
            named.extend(service_user.ended.into_iter().chain([service_user.since]));
        }
        for environment in self.environments.iter().chain(&self.past.environments) {
            environment.name_revisions(named);
        }
        for former in &self.past.grants {
            former.grant.name_revisions(named);
        }
        named.extend(self.past.environment_names.iter().flat_map(|former| [former.since, former.until]));
        named.extend(self.credential_revisions());
        named.extend(self.resource_revisions());
    }

    fn credential_revisions(&self) -> impl Iterator<Item = Revision> {
        let tokens = self.past.tokens.iter().filter_map(|token| token.ended);
        let keys = self.past.access_keys.iter().filter_map(|key| key.ended);
        let proxy_tokens = self.proxy_tokens.iter().chain(&self.past.proxy_tokens);
        tokens.chain(keys).chain(proxy_tokens.flat_map(|token| token.ended.into_iter().chain([token.since])))
    }
}

impl EnvironmentState {
    fn name_revisions(&self, named: &mut BTreeSet<Revision>) {
        named.extend([self.named, self.created, self.since].into_iter().chain(self.ended));
        named.extend(self.before.iter().map(|before| before.since));
        for grant in &self.grants {
            grant.name_revisions(named);
        }
    }
}

impl GrantState {
    fn name_revisions(&self, named: &mut BTreeSet<Revision>) {
        named.extend(self.before.iter().map(|before| before.since).chain([self.since]).chain(self.ended));
    }
}
