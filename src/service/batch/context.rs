//! The sources that a batch decides with, and the caller's share of the disk reserve.

use std::sync::Arc;

use crate::clock::Reading;
use crate::domain::model::principal::{Caller, Principal};
use crate::domain::model::role::WorkspaceRole;
use crate::domain::model::time::Instant;
use crate::domain::state::view::View;
use crate::domain::state::workspace::Workspace;
use crate::log::Store;
use crate::service::fair_queue::Ticket;
use crate::service::id_generator::IdGenerator;
use crate::service::reserve_shares::ReserveShares;
use crate::service::submission::SubmitError;

/// The sources that a batch decides with.
pub(in crate::service) struct DecisionContext<'a> {
    pub(in crate::service) log: &'a dyn Store,
    pub(in crate::service) ids: &'a dyn IdGenerator,
    pub(in crate::service) clock: Reading,
    pub(in crate::service) shares: &'a ReserveShares,
    /// The most live credentials that one person may have issued; 0 for no limit.
    pub(in crate::service) issued_max: usize,
}

impl DecisionContext<'_> {
    /// Returns the bytes that a caller may still write from the disk reserve; none if the disk has room, or there is no limit.
    ///
    /// # Errors
    /// `ShareUsed` if less than `bytes` are left.
    pub(super) fn share(
        &self,
        root: &Arc<Workspace>,
        caller: &Caller,
        ticket: Ticket,
        bytes: u64,
    ) -> Result<Option<u64>, SubmitError> {
        if !self.log.is_short_of_room() {
            return Ok(None);
        }
        let reserve = self.log.reserve_bytes();
        let left = self.shares.left(reserve, ticket, is_owner(root, caller, self.clock.decision_time));
        left.map(|left| left.checked_sub(bytes).ok_or(SubmitError::ShareUsed)).transpose()
    }
}

fn is_owner(root: &Arc<Workspace>, caller: &Caller, now: Instant) -> bool {
    let Caller::Principal { principal: Principal::User(user), .. } = caller else { return false };
    View::now(Arc::clone(root), now).member(user).is_some_and(|role| role.value == WorkspaceRole::Owner)
}
