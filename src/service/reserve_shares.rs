//! Shares of the disk reserve: while a disk has no room but its reserve, each holder of credentials may write only a part of that.
//!
//! A change that only removes access is accepted then, and needs room. Without shares, one holder could use up the room that the owners,
//! other workspaces and expiries need. Only the operator and the service itself have no share. The bytes are counted in memory, from
//! the moment at which only the reserve was left.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::fair_queue::{Holder, Ticket};
use crate::domain::model::id::WorkspaceId;

/// The divisors of the reserve: for one holder, for all holders of a workspace without its owners, for a whole workspace, and for all
/// workspaces together.
const HOLDER_PART: u64 = 32;
const WORKSPACE_PART: u64 = 16;
const OWNERS_PART: u64 = 8;
const ALL_PART: u64 = 2;

/// The approximate bytes that the store writes for an event or a record beside its own bytes: indexes, hashes and parts of pages.
pub(super) const ROW_BYTES: u64 = 512;

/// The bytes that were written from the reserve.
#[derive(Debug, Default)]
struct Taken {
    holders: HashMap<Ticket, u64>,
    workspaces: HashMap<WorkspaceId, u64>,
    all: u64,
}

/// The shares of the reserve.
#[derive(Debug, Default)]
pub(super) struct ReserveShares(Mutex<Taken>);

/// Returns the ticket of a holder without the cost of its job.
const fn holder_of(ticket: Ticket) -> Ticket {
    Ticket { commands: 0, ..ticket }
}

impl ReserveShares {
    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the bytes that a holder may still write from a reserve of `reserve` bytes; none if it has no limit.
    pub(super) fn left(&self, reserve: u64, ticket: Ticket, is_owner: bool) -> Option<u64> {
        let Holder::Other(_) = ticket.holder else { return None };
        let taken = self.lock();
        let of_holder = taken.holders.get(&holder_of(ticket)).copied().unwrap_or_default();
        let of_workspace = taken.workspaces.get(&ticket.workspace).copied().unwrap_or_default();
        let of_all = (reserve / ALL_PART).saturating_sub(taken.all);
        let own = if is_owner {
            (reserve / OWNERS_PART).saturating_sub(of_workspace)
        } else {
            let of_others = (reserve / WORKSPACE_PART).saturating_sub(of_workspace);
            (reserve / HOLDER_PART).saturating_sub(of_holder).min(of_others)
        };
        Some(own.min(of_all))
    }

    /// Charges a holder for bytes.
    pub(super) fn charge(&self, ticket: Ticket, bytes: u64) {
        let Holder::Other(_) = ticket.holder else { return };
        let mut taken = self.lock();
        let Taken { holders, workspaces, all } = &mut *taken;
        for counted in
            [holders.entry(holder_of(ticket)).or_default(), workspaces.entry(ticket.workspace).or_default(), all]
        {
            *counted = counted.saturating_add(bytes);
        }
    }

    /// Forgets what was taken: the disk has room again.
    pub(super) fn clear(&self) {
        *self.lock() = Taken::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RESERVE: u64 = 64 << 20;

    fn ticket(workspace: u128, holder: u64, commands: usize) -> Ticket {
        let workspace = WorkspaceId::from_uuid(uuid::Uuid::from_u128(workspace));
        Ticket { workspace, holder: Holder::Other(holder), commands }
    }

    /// Takes pieces of 64 KiB until the share is used up, and returns the bytes.
    fn take_all(shares: &ReserveShares, ticket: Ticket, is_owner: bool) -> u64 {
        let piece = 64 << 10;
        let is_left = || shares.left(RESERVE, ticket, is_owner).is_some_and(|left| left >= piece);
        let take = || is_left().then(|| shares.charge(ticket, piece));
        std::iter::repeat_with(take).map_while(|taken| taken).map(|()| piece).sum()
    }

    #[test]
    fn no_holder_and_no_workspace_uses_up_the_room_of_the_others() {
        let shares = ReserveShares::default();
        assert_eq!(take_all(&shares, ticket(1, 1, 1), false), RESERVE / 32);
        assert_eq!(take_all(&shares, ticket(1, 1, 7), false), 0, "whatever the cost of its jobs");
        let others: u64 = (2..50).map(|holder| take_all(&shares, ticket(1, holder, 1), false)).sum();
        assert_eq!(others, RESERVE / 32, "all holders of a workspace have twice as much as one");
        assert_eq!(
            take_all(&shares, ticket(1, 99, 1), true),
            RESERVE / 16,
            "the owner has the rest of the workspace's share"
        );
        assert_eq!(take_all(&shares, ticket(2, 1, 1), false), RESERVE / 32, "another workspace");
        let all: u64 = (3..100).map(|workspace| take_all(&shares, ticket(workspace, 1, 1), true)).sum();
        assert_eq!(all, RESERVE / 2 - RESERVE / 8 - RESERVE / 32, "half stays for expiries and the operator");
        let operator = Ticket { holder: Holder::Operator, ..ticket(1, 0, 1) };
        assert_eq!(shares.left(RESERVE, operator, false), None);
        shares.clear();
        assert_eq!(shares.left(RESERVE, ticket(1, 1, 1), false), Some(RESERVE / 32));
    }
}
