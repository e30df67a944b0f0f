//! A change on its way to the writer, and its dry run on the published facts.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::command_time::CommandTime;
use crate::clock::Reading;
use crate::domain::model::command::Command;
use crate::domain::model::id::GeneratedIds;
use crate::domain::model::name::Reason;
use crate::domain::model::principal::{Actor, Caller, Principal};
use crate::domain::model::rejection::Rejection;
use crate::domain::model::time::{Instant, Revision};
use crate::domain::rules::decide::{EventMetadata, Refused, authorize_all, decide_all_at, expire_at, last_due};
use crate::domain::state::view::View;
use crate::domain::state::workspace::Workspace;
use crate::service::cache::WorkspaceEntry;
use crate::service::event_encoder::{Allowance, EventEncoder};
use crate::service::fair_queue::Ticket;
use crate::service::id_generator::{IdGenerator, Secret, command_id};
use crate::service::submission::{Expected, IdempotencyKey, Submission, SubmitError, SubmitOutcome};

/// A submission on its way to the writer, with everything that the decision needs.
pub(in crate::service) struct ChangeJob {
    pub(in crate::service) entry: Arc<WorkspaceEntry>,
    pub(in crate::service) ticket: Ticket,
    pub(in crate::service) request: CommandRequest,
    pub(in crate::service) reply: oneshot::Sender<Result<SubmitOutcome, SubmitError>>,
}

/// A change without its workspace and the channel of its reply.
pub(in crate::service) struct CommandRequest {
    pub(in crate::service) caller: Caller,
    pub(in crate::service) commands: Vec<(Command, GeneratedIds)>,
    pub(in crate::service) secrets: Vec<Option<Secret>>,
    pub(in crate::service) reason: Option<Reason>,
    pub(in crate::service) expected: Option<Expected>,
    pub(in crate::service) idempotency: Option<IdempotencyKey>,
    pub(in crate::service) bytes: Option<usize>,
}

impl ChangeJob {
    pub(in crate::service) fn new(
        submission: Submission,
        (entry, ticket): (Arc<WorkspaceEntry>, Ticket),
        fresh: Vec<(GeneratedIds, Option<Secret>)>,
        reply: oneshot::Sender<Result<SubmitOutcome, SubmitError>>,
    ) -> Self {
        let Submission { caller, commands, reason, expected, idempotency, bytes, .. } = submission;
        let (fresh, secrets): (Vec<_>, Vec<_>) = fresh.into_iter().unzip();
        let commands = commands.into_iter().zip(fresh).collect();
        let request = CommandRequest { caller, commands, secrets, reason, expected, idempotency, bytes };
        Self { entry, ticket, request, reply }
    }

    /// Returns whether `head` is none of the revisions that the caller expects.
    pub(in crate::service) fn expects_another_head(&self, head: Revision) -> bool {
        Expected::check(self.request.expected.as_ref(), head).is_err()
    }

    /// Decides the change on published facts as a batch would, and drops the result.
    pub(in crate::service) fn dry_run(
        &self,
        mut root: Arc<Workspace>,
        ids: &dyn IdGenerator,
        clock: &Reading,
    ) -> Result<(), SubmitError> {
        let refused = |rejection| SubmitError::Refused(Refused { index: 0, rejection });
        let mut next = CommandTime::next(&root, clock);
        while let Some(end) = last_due(&root, next.decision_time, usize::MAX) {
            let stamp = stamp_of_system(ids, next.event_time.max(end));
            expire_at(&mut root, next.decision_time, usize::MAX, &stamp, &mut EventEncoder::new(ids))
                .map_err(refused)?;
            next = CommandTime::next(&root, clock);
        }
        let CommandRequest { caller, commands, reason, idempotency, bytes, .. } = &self.request;
        let stamp = stamp(caller, reason.as_ref(), ids, next.event_time);
        let mut stored = EventEncoder::within(ids, allowance(*bytes, commands, idempotency.as_ref()));
        let decided = decide_all_at(&mut root, next.decision_time, caller, commands, &stamp, &mut stored);
        decided.map(|_| ()).map_err(SubmitError::Refused)
    }
}

pub(super) fn stamp(caller: &Caller, reason: Option<&Reason>, ids: &dyn IdGenerator, time: Instant) -> EventMetadata {
    EventMetadata {
        command: command_id(ids),
        time,
        recorded: None,
        actor: caller.actor(),
        credential: caller.credential(),
        reason: reason.cloned(),
    }
}

pub(super) fn stamp_of_system(ids: &dyn IdGenerator, time: Instant) -> EventMetadata {
    let (command, actor) = (command_id(ids), Actor::System);
    EventMetadata { command, time, recorded: None, actor, credential: None, reason: None }
}

/// Checks that the caller has issued fewer than `max` live credentials, with those of the request; 0 for no limit.
///
/// # Errors
/// The first command that exceeds it is refused. A caller without authority gets that refusal instead.
pub(super) fn check_issued(
    root: &Arc<Workspace>,
    now: Instant,
    request: &CommandRequest,
    max: usize,
) -> Result<(), SubmitError> {
    let Caller::Principal { principal: Principal::User(user), .. } = &request.caller else { return Ok(()) };
    let mut made = request.commands.iter().enumerate().filter(|(_, (command, _))| command.makes_credential());
    let Some((index, _)) = made.nth(max.saturating_sub(root.issued_len(user))).filter(|_| max > 0) else {
        return Ok(());
    };
    let commands = request.commands.iter().map(|(command, _)| command);
    authorize_all(&View::now(Arc::clone(root), now), &request.caller, commands).map_err(SubmitError::Refused)?;
    let rejection = Rejection::TooLarge { what: "live tokens and keys that one person issued", max };
    Err(SubmitError::Refused(Refused { index, rejection }))
}

/// Returns the bytes of events that a request may write: its allowance less its writes beside events.
pub(super) fn allowance(
    bytes: Option<usize>,
    commands: &[(Command, GeneratedIds)],
    idempotency: Option<&IdempotencyKey>,
) -> Option<Allowance> {
    let profile = |(command, _): &(Command, GeneratedIds)| command.profile().map_or(0, |(_, profile)| profile.bytes());
    let profiles: usize = commands.iter().map(profile).sum();
    let records = idempotency.map_or(0, |key| key.record_bytes(commands.len()));
    Some(Allowance::of_request(bytes?, profiles.saturating_add(records), commands.len() == 1))
}
