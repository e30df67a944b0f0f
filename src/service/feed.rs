//! Following a workspace, or all of them: a notification of each newer root.
//!
//! A follower is only notified; it loads the root when it wants it, and drops it again. So a slow follower delays nobody, and an idle one
//! keeps only the workspace's entry in memory. The reader checks its right to go on on each root that it reads
//! ([`Service::credential_state`]).

use std::sync::Arc;

use tokio::sync::watch;

use super::cache::{EntryState, WorkspaceEntry};
use super::{INSTANCE, Service, live_caller};
use crate::domain::model::id::WorkspaceId;
use crate::domain::model::principal::Caller;
use crate::domain::model::time::Instant;
use crate::domain::state::workspace::Workspace;
use crate::log::{CredentialId, LogError, StoredEvent};

/// The most followers of one workspace.
pub const FOLLOWERS_MAX: usize = 2_000;
/// The most followers of the whole instance. Each reads the store itself.
pub const INSTANCE_FOLLOWERS_MAX: usize = 100;

/// The reason why a follower is refused.
#[derive(Debug, thiserror::Error)]
pub enum SubscribeError {
    /// It has the most followers already.
    #[error("{0} follow it already, and no more may: try again later")]
    Crowded(usize),
    /// There is no such workspace.
    #[error("there is no such workspace")]
    Unknown,
    /// The log cannot be read.
    #[error(transparent)]
    Log(#[from] LogError),
}

/// A follower of one workspace.
pub struct Follower {
    entry: Arc<WorkspaceEntry>,
    updates: watch::Receiver<EntryState>,
}

impl Follower {
    /// Returns the newest durable facts, and marks them as seen; none once the entry is evicted. Then the workspace must be followed
    /// anew.
    pub fn root(&mut self) -> Option<Arc<Workspace>> {
        let state = *self.updates.borrow_and_update();
        self.entry.root().filter(|_| state == EntryState::Current)
    }

    /// Waits until there may be newer facts than those seen.
    pub async fn changed(&mut self) {
        // This fails only without the entry, which `self` holds.
        let _ = self.updates.changed().await;
    }
}

/// A follower of the whole instance.
pub struct InstanceFollower {
    service: Arc<Service>,
    updates: watch::Receiver<()>,
}

impl InstanceFollower {
    /// Returns up to `limit` durable events of all workspaces after a position of the feed.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn read(&mut self, after: u64, limit: usize) -> Result<Vec<StoredEvent>, LogError> {
        self.updates.mark_unchanged();
        self.service.reading(move |log| log.feed(after, limit)).await
    }

    /// Waits until there may be newer events than those read.
    pub async fn changed(&mut self) {
        // This fails only without the service, which `self` holds.
        let _ = self.updates.changed().await;
    }
}

/// The state of a credential that was proved before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CredentialState {
    /// It is live, until it is revoked or until this instant.
    Live(Option<Instant>),
    /// It was revoked, or has expired.
    Ended,
}

impl Service {
    /// Follows a workspace, also a deleted one.
    ///
    /// # Errors
    /// It never existed, too many follow it, or its log cannot be read.
    pub async fn follow(&self, workspace: WorkspaceId) -> Result<Follower, SubscribeError> {
        let entry = self.entry(workspace).await?.ok_or(SubscribeError::Unknown)?;
        if entry.subscribers_len() >= FOLLOWERS_MAX {
            return Err(SubscribeError::Crowded(FOLLOWERS_MAX));
        }
        Ok(Follower { updates: entry.subscribe(), entry })
    }

    /// Follows the whole instance.
    ///
    /// # Errors
    /// Too many follow it.
    pub fn follow_all(self: &Arc<Self>) -> Result<InstanceFollower, SubscribeError> {
        if self.workspaces.subscribers_len() >= INSTANCE_FOLLOWERS_MAX {
            return Err(SubscribeError::Crowded(INSTANCE_FOLLOWERS_MAX));
        }
        Ok(InstanceFollower { service: Arc::clone(self), updates: self.workspaces.subscribe() })
    }

    /// Returns the state of a caller's credential now, on the given facts of its workspace. Records the use of a live one.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn credential_state(&self, caller: &Caller, root: &Arc<Workspace>) -> Result<CredentialState, LogError> {
        let id = match caller {
            Caller::Operator => return Ok(CredentialState::Live(None)),
            Caller::Principal { token, .. } => CredentialId::Token(*token),
            Caller::AccessKey { key, .. } => CredentialId::AccessKey(*key),
            Caller::ImportedActor(_) | Caller::SimulatedUser(_) => return Ok(CredentialState::Ended),
        };
        let entry = self.credential(id, None).await?.filter(|entry| entry.row.workspace == root.id());
        let now = self.now();
        let live = entry.and_then(|entry| live_caller(&entry, Arc::clone(root), now).map(|live| (entry, live)));
        let Some((entry, (_, end))) = live else { return Ok(CredentialState::Ended) };
        self.directory.record_use(&entry, self.clock.newest());
        Ok(CredentialState::Live(end))
    }

    /// Waits until every change that was decided before this call is published. Later appends have later times.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn flush(&self) -> Result<(), LogError> {
        self.write(INSTANCE, Vec::new()).await
    }
}
