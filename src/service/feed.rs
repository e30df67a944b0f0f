//! Following what is appended: word of each newer root of a workspace, and of each append to the instance.
//!
//! A follower is only told that there is something newer; it takes the root itself when it wants it, and lets it go again. So one
//! that is slow holds up nobody, and one that is idle keeps nothing but the workspace's slot. Whether a follower may go on
//! reading is judged by whoever reads, on the very root that is read ([`Service::standing`]).

use std::sync::Arc;

use tokio::sync::watch;

use super::cache::{Place, Slot};
use super::{INSTANCE, Service, live_caller};
use crate::domain::model::id::WorkspaceId;
use crate::domain::model::principal::Caller;
use crate::domain::model::time::Instant;
use crate::domain::state::workspace::Workspace;
use crate::log::{CredentialId, LogError, StoredEvent};

/// How many may follow one workspace at a time.
pub const FOLLOWERS_MAX: usize = 2_000;
/// How many may follow the whole instance at a time; each reads the store for itself.
pub const INSTANCE_FOLLOWERS_MAX: usize = 100;

/// Why something cannot be followed.
#[derive(Debug, thiserror::Error)]
pub enum NotFollowed {
    /// As many follow it as may.
    #[error("{0} follow it already, and no more may: try again later")]
    Crowded(usize),
    /// There is no such workspace.
    #[error("there is no such workspace")]
    Unknown,
    /// The log cannot be read.
    #[error(transparent)]
    Log(#[from] LogError),
}

/// Follows one workspace.
pub struct Follower {
    slot: Arc<Slot>,
    news: watch::Receiver<Place>,
}

impl Follower {
    /// The newest durable facts, which count as seen from now on; none once they are published elsewhere, so that the
    /// workspace has to be followed anew.
    pub fn root(&mut self) -> Option<Arc<Workspace>> {
        let place = *self.news.borrow_and_update();
        self.slot.root().filter(|_| place == Place::Current)
    }

    /// Done when there may be something newer than what was seen.
    pub async fn changed(&mut self) {
        // The slot, which this holds, is what would have to go away for this to fail.
        let _ = self.news.changed().await;
    }
}

/// Follows the whole instance.
pub struct InstanceFollower {
    service: Arc<Service>,
    news: watch::Receiver<()>,
}

impl InstanceFollower {
    /// Up to `limit` events of all workspaces after a position of the feed, as they are durable now.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn read(&mut self, after: u64, limit: usize) -> Result<Vec<StoredEvent>, LogError> {
        self.news.mark_unchanged();
        self.service.reading(move |log| log.feed(after, limit)).await
    }

    /// Done when there may be something newer than what was read.
    pub async fn changed(&mut self) {
        // The service, which this holds, is what would have to go away for this to fail.
        let _ = self.news.changed().await;
    }
}

/// How a credential stands that was proved before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It is good, unless something takes it back, for ever or until an instant.
    Good(Option<Instant>),
    /// It is worth nothing any more.
    Ended,
}

impl Service {
    /// Follows a workspace, also a deleted one.
    ///
    /// # Errors
    /// It never was, too many follow it, or its log cannot be read.
    pub async fn follow(&self, workspace: WorkspaceId) -> Result<Follower, NotFollowed> {
        let slot = self.slot(workspace).await?.ok_or(NotFollowed::Unknown)?;
        if slot.listeners_len() >= FOLLOWERS_MAX {
            return Err(NotFollowed::Crowded(FOLLOWERS_MAX));
        }
        Ok(Follower { news: slot.listen(), slot })
    }

    /// Follows the whole instance.
    ///
    /// # Errors
    /// Too many follow it.
    pub fn follow_all(self: &Arc<Self>) -> Result<InstanceFollower, NotFollowed> {
        if self.workspaces.listeners_len() >= INSTANCE_FOLLOWERS_MAX {
            return Err(NotFollowed::Crowded(INSTANCE_FOLLOWERS_MAX));
        }
        Ok(InstanceFollower { service: Arc::clone(self), news: self.workspaces.listen() })
    }

    /// How the credential of a caller stands now, judged on these facts of the workspace that it is used in. To go on with it is
    /// to use it.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn standing(&self, caller: &Caller, root: &Arc<Workspace>) -> Result<Standing, LogError> {
        let id = match caller {
            Caller::Operator => return Ok(Standing::Good(None)),
            Caller::Principal { token, .. } => CredentialId::Token(*token),
            Caller::AccessKey { key, .. } => CredentialId::AccessKey(*key),
            Caller::ImportedActor(_) | Caller::SimulatedUser(_) => return Ok(Standing::Ended),
        };
        let entry = self.credential(id, None).await?.filter(|entry| entry.row.workspace == root.id());
        let now = self.now();
        let live = entry.and_then(|entry| live_caller(&entry, Arc::clone(root), now).map(|live| (entry, live)));
        let Some((entry, (_, end))) = live else { return Ok(Standing::Ended) };
        self.directory.note_use(&entry, self.clock.newest());
        Ok(Standing::Good(end))
    }

    /// Waits until all that was judged before this is published: what is appended after it is later than now.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn settled(&self) -> Result<(), LogError> {
        self.write(INSTANCE, Vec::new()).await
    }
}
