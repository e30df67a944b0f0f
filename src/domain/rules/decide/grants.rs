//! Commands about grants, and the grants that other commands make or end.

use std::collections::BTreeSet;

use super::{CommandResult, GRANTS_MAX, check_expiry};
use crate::domain::model::command::{GrantExpiry, GrantSpec, RevokeGrant, SetGrant};
use crate::domain::model::event::{EventData, GrantEnd, GrantTerms};
use crate::domain::model::id::EnvironmentId;
use crate::domain::model::principal::{Caller, Principal};
use crate::domain::model::rejection::Rejection;
use crate::domain::model::role::EnvironmentRole;
use crate::domain::state::timeline::Since;
use crate::domain::state::view::{EnvironmentView, View};
use crate::domain::state::workspace::Grant;

/// A requested grant of a known principal.
pub(super) struct Given {
    principal: Principal,
    role: EnvironmentRole,
    expiry: GrantExpiry,
}

impl Given {
    fn new(caller: &Caller, principal: Principal, role: EnvironmentRole, expiry: GrantExpiry) -> Self {
        // When the imported change was made, the field could be left out to give a grant without an end.
        let vouched = matches!(caller, Caller::ImportedActor(_)) && expiry.is_unspecified();
        Self { principal, role, expiry: if vouched { GrantExpiry::Never } else { expiry } }
    }

    const fn grant(&self) -> Grant {
        Grant { role: self.role, expires_at: self.expiry.instant() }
    }
}

pub(super) fn set(view: &View, caller: &Caller, command: &SetGrant) -> CommandResult {
    let environment = view.find_environment(&command.environment)?;
    let principal = view.find_principal(&command.principal)?;
    check_rbac(view, "enable it before giving grants")?;
    if environment.default_role().is_none() {
        return Err(Rejection::EnvironmentUnrestricted(environment.name.to_string()));
    }
    let given = [Given::new(caller, principal, command.role, command.expires_at)];
    check_all(view, Some(&environment), &given)?;
    Ok(give_all(view, environment.id, Some(&environment), &given))
}

pub(super) fn revoke(view: &View, command: &RevokeGrant) -> CommandResult {
    let environment = view.find_environment(&command.environment)?;
    let principal = view.find_principal(&command.principal)?;
    let held = view.grant(&environment, &principal);
    held.ok_or_else(|| Rejection::not_found("grant", &format!("{} in {}", command.principal, command.environment)))?;
    Ok(vec![revoked(environment.id, principal)])
}

/// Finds the principals of the grants for an environment.
pub(super) fn find_all(view: &View, caller: &Caller, specs: &[GrantSpec]) -> Result<Vec<Given>, Rejection> {
    let given = |spec: &GrantSpec| {
        let principal = view.find_principal(&spec.principal)?;
        Ok(Given::new(caller, principal, spec.role, spec.expires_at))
    };
    specs.iter().map(given).collect()
}

/// Checks the grants for an environment, which may be new.
pub(super) fn check_all(
    view: &View,
    environment: Option<&EnvironmentView<'_>>,
    given: &[Given],
) -> Result<(), Rejection> {
    let mut seen = BTreeSet::new();
    for given in given {
        let principal = &given.principal;
        check_not_implied(view, principal)?;
        check_expiry(view, given.expiry.instant())?;
        if !seen.insert(principal) {
            return Err(Rejection::Invalid { field: "grants", why: format!("`{principal}` is named twice") });
        }
        check_end_is_given(view, environment, given)?;
    }
    let added = given.iter().filter(|given| held(view, environment, &given.principal).is_none()).count();
    if added + environment.map_or(0, View::grants_len) > GRANTS_MAX {
        return Err(Rejection::TooLarge { what: "grants an environment", max: GRANTS_MAX });
    }
    Ok(())
}

/// Refuses to replace a grant that has an end, if the command does not say when the new one ends.
fn check_end_is_given(view: &View, environment: Option<&EnvironmentView<'_>>, given: &Given) -> Result<(), Rejection> {
    let (Some(environment), GrantExpiry::Unspecified) = (environment, given.expiry) else { return Ok(()) };
    match view.grant(environment, &given.principal).and_then(|held| held.value.expires_at) {
        None => Ok(()),
        Some(end) => {
            let (principal, environment) = (given.principal.to_string(), environment.name.to_string());
            Err(Rejection::ExpiryRequired { principal, environment, end })
        }
    }
}

/// Returns the events that give grants in an environment. Grants of other principals stay.
pub(super) fn give_all(
    view: &View,
    id: EnvironmentId,
    environment: Option<&EnvironmentView<'_>>,
    given: &[Given],
) -> Vec<EventData> {
    let give = |given: &Given| {
        let (principal, grant) = (&given.principal, given.grant());
        let terms = GrantTerms { principal: principal.clone(), role: grant.role, expires_at: grant.expires_at };
        match held(view, environment, principal) {
            Some(held) if held.value == grant => None,
            Some(_) => Some(EventData::GrantChanged(id, terms)),
            None => Some(EventData::GrantAdded(id, terms)),
        }
    };
    given.iter().filter_map(give).collect()
}

fn held(view: &View, environment: Option<&EnvironmentView<'_>>, principal: &Principal) -> Option<Since<Grant>> {
    view.grant(environment?, principal)
}

/// Returns an event that revokes each grant of a principal.
pub(super) fn revoke_all_of(view: &View, principal: &Principal) -> Vec<EventData> {
    view.granted(principal).into_iter().map(|environment| revoked(environment, principal.clone())).collect()
}

/// Returns an event that revokes each grant in an environment.
pub(super) fn revoke_all_in(view: &View, environment: &EnvironmentView<'_>) -> Vec<EventData> {
    view.grants(environment).map(|(principal, _)| revoked(environment.id, principal.clone())).collect()
}

fn revoked(environment: EnvironmentId, principal: Principal) -> EventData {
    EventData::GrantRevoked(environment, GrantEnd { principal })
}

pub(super) fn check_rbac(view: &View, why: &'static str) -> Result<(), Rejection> {
    if view.rbac().value { Ok(()) } else { Err(Rejection::RbacDisabled(why)) }
}

fn check_not_implied(view: &View, principal: &Principal) -> Result<(), Rejection> {
    match principal {
        Principal::User(user) if view.member(user).is_some_and(|role| role.value.administers()) => {
            Err(Rejection::RoleImplied(user.to_string()))
        }
        Principal::User(_) | Principal::ServiceUser(_) => Ok(()),
    }
}
