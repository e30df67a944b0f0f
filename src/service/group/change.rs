//! A change on its way to the writer, and judging it ahead on the published facts.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::moment::Moment;
use crate::clock::Reading;
use crate::domain::model::command::Command;
use crate::domain::model::id::GeneratedIds;
use crate::domain::model::name::Reason;
use crate::domain::model::principal::{Actor, Caller};
use crate::domain::model::time::{Instant, Revision};
use crate::domain::rules::decide::{EventMetadata, Refused, decide_all_at, expire_at, last_due};
use crate::domain::state::workspace::Workspace;
use crate::service::cache::Slot;
use crate::service::mint::{Mint, Secret, command_id};
use crate::service::recorder::{Allowance, StoredForms};
use crate::service::submission::{Answer, Expected, Retry, Submission, SubmitError};

/// A submission on its way to the writer, with all that judging it needs.
pub(in crate::service) struct Change {
    pub(in crate::service) slot: Arc<Slot>,
    pub(in crate::service) caller: Caller,
    pub(in crate::service) commands: Vec<(Command, GeneratedIds)>,
    pub(in crate::service) secrets: Vec<Option<Secret>>,
    pub(in crate::service) reason: Option<Reason>,
    pub(in crate::service) expected: Option<Expected>,
    pub(in crate::service) retry: Option<Retry>,
    pub(in crate::service) bytes: Option<usize>,
    pub(in crate::service) reply: oneshot::Sender<Result<Answer, SubmitError>>,
}

impl Change {
    pub(in crate::service) fn of(
        submission: Submission,
        slot: Arc<Slot>,
        fresh: Vec<(GeneratedIds, Option<Secret>)>,
        reply: oneshot::Sender<Result<Answer, SubmitError>>,
    ) -> Self {
        let Submission { caller, commands, reason, expected, retry, bytes, .. } = submission;
        let (fresh, secrets): (Vec<_>, Vec<_>) = fresh.into_iter().unzip();
        let commands = commands.into_iter().zip(fresh).collect();
        Self { slot, caller, commands, secrets, reason, expected, retry, bytes, reply }
    }

    /// Whether the caller expects another revision to be the newest one.
    pub(in crate::service) fn expects_another_head(&self, head: Revision) -> bool {
        Expected::check(self.expected.as_ref(), head).is_err()
    }

    /// Judges it on published facts as a group would, and drops what comes of it.
    pub(in crate::service) fn rehearse(
        &self,
        mut root: Arc<Workspace>,
        mint: &dyn Mint,
        clock: &Reading,
    ) -> Result<(), SubmitError> {
        let refused = |rejection| SubmitError::Refused(Refused { index: 0, rejection });
        let mut moment = Moment::next(&root, clock);
        while let Some(end) = last_due(&root, moment.judged) {
            let stamp = stamp_of_system(mint, moment.time.max(end));
            expire_at(&mut root, moment.judged, &stamp, &mut StoredForms::new(mint)).map_err(refused)?;
            moment = Moment::next(&root, clock);
        }
        let stamp = stamp(&self.caller, self.reason.as_ref(), mint, moment.time);
        let allowance = allowance(self.bytes, &self.commands, self.retry.as_ref());
        let mut stored = StoredForms::within(mint, allowance);
        let decided = decide_all_at(&mut root, moment.judged, &self.caller, &self.commands, &stamp, &mut stored);
        decided.map(|_| ()).map_err(SubmitError::Refused)
    }
}

pub(super) fn stamp(caller: &Caller, reason: Option<&Reason>, mint: &dyn Mint, time: Instant) -> EventMetadata {
    EventMetadata {
        command: command_id(mint),
        time,
        recorded: None,
        actor: caller.actor(),
        credential: caller.credential(),
        reason: reason.cloned(),
    }
}

pub(super) fn stamp_of_system(mint: &dyn Mint, time: Instant) -> EventMetadata {
    let (command, actor) = (command_id(mint), Actor::System);
    EventMetadata { command, time, recorded: None, actor, credential: None, reason: None }
}

/// How much a request may write, with what goes beside its events taken off.
pub(super) fn allowance(
    bytes: Option<usize>,
    commands: &[(Command, GeneratedIds)],
    retry: Option<&Retry>,
) -> Option<Allowance> {
    let profile = |(command, _): &(Command, GeneratedIds)| command.profile().map_or(0, |(_, profile)| profile.bytes());
    let profiles: usize = commands.iter().map(profile).sum();
    let kept = retry.map_or(0, |retry| retry.bytes(commands.len()));
    Some(Allowance::of_request(bytes?, profiles.saturating_add(kept), commands.len() == 1))
}
