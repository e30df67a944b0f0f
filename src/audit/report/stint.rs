//! Stints: from when until when someone was in the workspace, and the roles that they had meanwhile.

use std::collections::BTreeMap;

use crate::domain::model::event::{Event, EventData};
use crate::domain::model::principal::Principal;
use crate::domain::model::role::WorkspaceRole;
use crate::domain::model::time::{Instant, Revision};
use crate::domain::state::timeline::Since;
use crate::domain::state::view::View;

/// One unbroken membership of a person, or the life of a service user.
#[derive(Debug, Clone)]
pub(super) struct Stint {
    /// Whose.
    pub principal: Principal,
    /// The event that began it.
    pub joined: Revision,
    /// The event that ended it.
    pub left: Option<Revision>,
    /// The event that began their next one.
    pub next: Option<Revision>,
    /// Whether they had one before.
    pub is_return: bool,
    /// A member's workspace roles, each from the event that gave it.
    pub roles: Vec<Since<WorkspaceRole>>,
}

impl Stint {
    fn begun(principal: Principal, joined: Revision, role: Option<WorkspaceRole>) -> Self {
        let roles = role.map(|value| Since { since: joined, value }).into_iter().collect();
        Self { principal, joined, left: None, next: None, is_return: false, roles }
    }

    /// The role that it ended with, or that holds.
    pub(super) fn last_role(&self) -> Option<WorkspaceRole> {
        self.roles.last().map(|role| role.value)
    }

    /// Whether access that began at an instant was had by this stint.
    pub(super) fn holds(&self, view: &View, from: Instant) -> bool {
        view.time_of(self.joined) <= from && self.next.is_none_or(|next| from < view.time_of(next))
    }
}

/// Everyone's stints, each person's in order.
type Stints = BTreeMap<Principal, Vec<Stint>>;

/// Every stint that a condition holds for, as far as the view reaches, in the order in which they began.
pub(super) fn stints(view: &View, asked_for: impl Fn(&Stint) -> bool) -> Vec<Stint> {
    let mut all = Stints::new();
    view.workspace().events(Revision::ZERO, view.revision()).for_each(|event| note(&mut all, &event));
    let mut found: Vec<Stint> = all.into_values().flatten().filter(asked_for).collect();
    found.sort_by_key(|stint| stint.joined);
    found
}

fn note(all: &mut Stints, event: &Event) {
    let at = event.revision;
    match &event.data {
        EventData::MemberAdded(user, member) => begin(all, Principal::User(user.clone()), at, Some(member.role)),
        EventData::ServiceUserCreated(id, _) => begin(all, Principal::ServiceUser(*id), at, None),
        EventData::MemberRoleChanged(user, member) => {
            let role = Since { since: at, value: member.role };
            with_last(all, &Principal::User(user.clone()), |stint| stint.roles.push(role));
        }
        EventData::MemberRemoved(user, _) => {
            with_last(all, &Principal::User(user.clone()), |stint| stint.left = Some(at));
        }
        EventData::ServiceUserDeleted(id, _) => {
            with_last(all, &Principal::ServiceUser(*id), |stint| stint.left = Some(at));
        }
        _ => {}
    }
}

fn begin(all: &mut Stints, principal: Principal, at: Revision, role: Option<WorkspaceRole>) {
    let before = all.entry(principal.clone()).or_default();
    let mut stint = Stint::begun(principal, at, role);
    if let Some(last) = before.last_mut() {
        last.next = Some(at);
        stint.is_return = true;
    }
    before.push(stint);
}

fn with_last(all: &mut Stints, principal: &Principal, change: impl FnOnce(&mut Stint)) {
    if let Some(stint) = all.get_mut(principal).and_then(|stints| stints.last_mut()) {
        change(stint);
    }
}
