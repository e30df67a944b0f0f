//! Membership periods: from when until when a principal was in the workspace, and its workspace roles meanwhile.

use std::collections::BTreeMap;

use crate::domain::model::event::Event;
use crate::domain::model::fact::Fact;
use crate::domain::model::principal::Principal;
use crate::domain::model::role::WorkspaceRole;
use crate::domain::model::time::{Instant, Revision};
use crate::domain::state::timeline::Since;
use crate::domain::state::view::View;

/// One uninterrupted membership of a person, or the lifetime of a service user.
#[derive(Debug, Clone)]
pub(super) struct MembershipPeriod {
    /// The principal.
    pub principal: Principal,
    /// The event that began it.
    pub joined: Revision,
    /// The event that ended it.
    pub left: Option<Revision>,
    /// The event that began the principal's next one.
    pub next: Option<Revision>,
    /// Whether the principal had one before.
    pub is_return: bool,
    /// A member's workspace roles, each from the event that gave it.
    pub roles: Vec<Since<WorkspaceRole>>,
}

impl MembershipPeriod {
    fn begun(principal: Principal, joined: Revision, role: Option<WorkspaceRole>) -> Self {
        let roles = role.map(|value| Since { since: joined, value }).into_iter().collect();
        Self { principal, joined, left: None, next: None, is_return: false, roles }
    }

    /// Returns the last workspace role.
    pub(super) fn last_role(&self) -> Option<WorkspaceRole> {
        self.roles.last().map(|role| role.value)
    }

    /// Checks whether access that began at `from` belongs to this period.
    pub(super) fn holds(&self, view: &View, from: Instant) -> bool {
        view.time_of(self.joined) <= from && self.next.is_none_or(|next| from < view.time_of(next))
    }
}

/// The membership periods of each principal, in order.
type MembershipPeriods = BTreeMap<Principal, Vec<MembershipPeriod>>;

/// Returns the periods up to the view that `is_requested` accepts, in the order in which they began.
pub(super) fn membership_periods(
    view: &View,
    is_requested: impl Fn(&MembershipPeriod) -> bool,
) -> Vec<MembershipPeriod> {
    let mut all = MembershipPeriods::new();
    view.workspace().events(Revision::ZERO, view.revision()).for_each(|event| note(&mut all, &event));
    let mut found: Vec<MembershipPeriod> = all.into_values().flatten().filter(is_requested).collect();
    found.sort_by_key(|membership| membership.joined);
    found
}

fn note(all: &mut MembershipPeriods, event: &Event) {
    let at = event.revision;
    match event.data.fact() {
        Fact::Member(user, Some(role)) => set_role(all, Principal::User(user.clone()), at, role),
        Fact::Member(user, None) => end(all, &Principal::User(user.clone()), at),
        Fact::ServiceUser(id, Some(_)) => begin(all, Principal::ServiceUser(id), at, None),
        Fact::ServiceUser(id, None) => end(all, &Principal::ServiceUser(id), at),
        Fact::Workspace(_)
        | Fact::Plan
        | Fact::Rbac
        | Fact::Token(..)
        | Fact::Environment(..)
        | Fact::EnvironmentName(..)
        | Fact::Restriction(_)
        | Fact::Grant(..)
        | Fact::ProxyToken(..)
        | Fact::ProxyTokenScope(..)
        | Fact::AccessKey(..)
        | Fact::ResourceType
        | Fact::Placement { .. }
        | Fact::Detail(_) => {}
    }
}

/// Sets the role of a member, who may be new.
fn set_role(all: &mut MembershipPeriods, principal: Principal, at: Revision, role: WorkspaceRole) {
    let last = all.get_mut(&principal).and_then(|periods| periods.last_mut());
    match last.filter(|period| period.left.is_none()) {
        Some(period) => period.roles.push(Since { since: at, value: role }),
        None => begin(all, principal, at, Some(role)),
    }
}

fn begin(all: &mut MembershipPeriods, principal: Principal, at: Revision, role: Option<WorkspaceRole>) {
    let before = all.entry(principal.clone()).or_default();
    let mut membership = MembershipPeriod::begun(principal, at, role);
    if let Some(last) = before.last_mut() {
        last.next = Some(at);
        membership.is_return = true;
    }
    before.push(membership);
}

fn end(all: &mut MembershipPeriods, principal: &Principal, at: Revision) {
    if let Some(period) = all.get_mut(principal).and_then(|periods| periods.last_mut()) {
        period.left = Some(at);
    }
}
