//! A commit batch: the changes that share one commit, decided and applied ahead of it.
//!
//! To apply a change ahead only makes a newer root of a persistent value. If the commit fails, the batch is dropped and nothing needs
//! undoing. No client gets a reply before the commit, not even a refusal: it was decided on facts that were not durable yet.
//! While a batch is committed, the next one is decided on the facts that it leaves ([`PipelinedState`]) and fails with it.
//!
//! A batch records the due expiries of a workspace before its next change, at most 256 of them. If more are due, the changes of that
//! workspace wait for the next batch, so the changes of other workspaces are committed first.

mod change;
mod command_time;
mod context;
mod expiries;
mod records;
mod side;

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::oneshot;

pub(super) use change::ChangeJob;
use change::{CommandRequest, allowance, check_issued, stamp};
pub(super) use command_time::MARKED_AHEAD_MICROS;
use command_time::{CommandTime, expiry_writes};
pub(super) use context::DecisionContext;
pub(super) use side::SideJob;
pub use side::SideRequest;

use super::cache::WorkspaceEntry;
use super::commit_queue::NextBatch;
use super::event_encoder::{EventEncoder, stored_bytes};
use super::fair_queue::Ticket;
use super::id_generator::Secret;
use super::submission::{Accepted, ChangeRecord, Expected, IdempotencyKey, SubmitError, SubmitOutcome};
use super::writer::Job;
use crate::domain::model::event::Event;
use crate::domain::model::fact::Fact;
use crate::domain::model::id::WorkspaceId;
use crate::domain::model::rejection::Rejection;
use crate::domain::model::time::{Instant, Revision};
use crate::domain::rules::decide::{Decided, Refused, authorize_all, decide_all_at};
use crate::domain::state::view::View;
use crate::domain::state::workspace::Workspace;
use crate::log::{
    Append, Appended, CredentialHolder, CredentialId, IdempotencyRecord, LogError, Outcome, RecordScope, SideWrite,
    StoredCredential,
};
use crate::proof::frontier::TreeHead;

/// The size at which a batch is full, in jobs, commands and events. It bounds how long the next batch waits.
const JOBS_MAX: usize = 1_024;
const COMMANDS_MAX: usize = 2_048;
const EVENTS_MAX: usize = 4_096;

/// The shortest time that an idempotency record is kept, in microseconds: 24 hours.
pub(super) const IDEMPOTENCY_KEPT_MICROS: i64 = 24 * 3_600 * 1_000_000;

/// A client that waits for the commit, and its reply if the part that the reply depends on is appended.
struct PendingReply {
    reply: oneshot::Sender<Result<SubmitOutcome, SubmitError>>,
    result: Result<StagedOutcome, SubmitError>,
    part: Option<usize>,
}

/// A workspace that the batch decides changes of.
struct StagedWorkspace {
    entry: Arc<WorkspaceEntry>,
    /// The facts as the batch leaves them so far. Only the first change copies them; later ones change them in place. Earlier replies are
    /// views at an earlier revision.
    root: Arc<Workspace>,
    /// The parts of the batch about this workspace.
    parts: Vec<usize>,
    /// The number of expiries that the batch records.
    expired: usize,
    /// Whether more has expired, so that its changes wait for the next batch.
    is_behind: bool,
}

/// A decided change that is not durable yet.
struct StagedChange {
    workspace: WorkspaceId,
    revision: Revision,
    instant: Instant,
    decided: Decided,
    stored: Vec<Vec<u8>>,
    secrets: Vec<Option<Secret>>,
}

impl StagedChange {
    /// Returns the outcome for the idempotency record.
    fn record(&self) -> ChangeRecord {
        let (workspace, revision, instant) = (self.workspace, self.revision, self.instant.micros());
        ChangeRecord { workspace, revision, instant, ends: self.decided.ends.clone() }
    }

    /// Returns the reply. `root` is of the workspace at this change or later.
    fn accepted(self, root: Arc<Workspace>, tree: Option<TreeHead>) -> Accepted {
        let Self { revision, instant, decided, stored, secrets, .. } = self;
        Accepted { view: View::seen_at(root, revision, instant), decided, stored, secrets, tree }
    }
}

/// A reply that is sent if its part is appended.
enum StagedOutcome {
    /// The change was decided now.
    Done(Box<StagedChange>),
    /// An earlier request with the same idempotency key made the change.
    Repeated(ChangeRecord),
    /// An earlier request with the same idempotency key made the write beside the log.
    SideWriteRepeated,
}

/// The state that a committing batch leaves to the next one.
#[derive(Default)]
struct PipelinedState {
    roots: HashMap<WorkspaceId, Arc<Workspace>>,
    records: HashMap<(RecordScope, String), IdempotencyRecord>,
    forgotten: Vec<CredentialId>,
}

/// The changes that share one commit.
#[derive(Default)]
pub(super) struct CommitBatch {
    pipelined: PipelinedState,
    workspaces: HashMap<WorkspaceId, StagedWorkspace>,
    parts: Vec<Append>,
    records: HashMap<(RecordScope, String), (IdempotencyRecord, usize)>,
    pending: Vec<PendingReply>,
    pending_sides: Vec<side::PendingSide>,
    pending_writes: Vec<(oneshot::Sender<Result<(), LogError>>, usize)>,
    forgotten: Vec<CredentialId>,
    /// The jobs that wait for the next batch, because of the expiries that this one records.
    put_off: Vec<(Ticket, Job)>,
    commands_len: usize,
    events_len: usize,
}

/// A reply, and the part that it depends on.
type Staged = (Result<StagedOutcome, SubmitError>, Option<usize>);

/// The place of a change after a batch has looked at it.
enum Decision {
    /// It is part of the batch.
    Staged(Staged),
    /// It waits for the next batch: this one records no more expiries of its workspace.
    PutOff(Box<CommandRequest>),
}

impl CommitBatch {
    /// Returns whether it must be committed before it takes more.
    pub(super) fn is_full(&self) -> bool {
        self.waiting_len() >= JOBS_MAX || self.commands_len >= COMMANDS_MAX || self.events_len >= EVENTS_MAX
    }

    /// Returns the number of clients that wait for it.
    pub(super) const fn waiting_len(&self) -> usize {
        self.pending.len() + self.pending_sides.len() + self.pending_writes.len() + self.put_off.len()
    }

    /// Returns its size. A batch that only replies, and writes nothing, has work too.
    pub(super) fn size(&self) -> NextBatch {
        let has_work = !(self.parts.is_empty() && self.pending.is_empty() && self.pending_sides.is_empty());
        NextBatch { waiting: self.waiting_len(), has_work, is_full: self.is_full() }
    }

    /// Removes the batch, to be committed, and leaves an empty one that is decided on its results.
    pub(super) fn take(&mut self) -> Self {
        let taken = std::mem::take(self);
        self.pipelined.roots = taken.workspaces.iter().map(|(id, staged)| (*id, Arc::clone(&staged.root))).collect();
        self.pipelined.forgotten.clone_from(&taken.forgotten);
        self.pipelined.records = taken.records.iter().map(|(key, (record, _))| (key.clone(), record.clone())).collect();
        taken
    }

    /// Forgets the pipelined state: the batch before this one is committed and published.
    pub(super) fn clear_pipelined(&mut self) {
        self.pipelined = PipelinedState::default();
    }

    /// Returns the parts to append.
    pub(super) fn parts(&self) -> &[Append] {
        &self.parts
    }

    /// Adds writes beside events. The reply follows the commit.
    pub(super) fn add_side_writes(
        &mut self,
        workspace: WorkspaceId,
        side_writes: Vec<SideWrite>,
        reply: oneshot::Sender<Result<(), LogError>>,
    ) {
        self.parts.push(Append { workspace, expected: Revision::ZERO, events: Vec::new(), side_writes });
        self.pending_writes.push((reply, self.parts.len() - 1));
    }

    /// Decides a change and applies it ahead, or puts it off to the next batch.
    pub(super) fn add(&mut self, change: ChangeJob, context: &DecisionContext<'_>) {
        if self.workspaces.get(&change.ticket.workspace).is_some_and(|staged| staged.is_behind) {
            return self.put_off.push((change.ticket, Job::Change(change.into())));
        }
        let ChangeJob { entry, ticket, request, reply } = change;
        let commands_len = request.commands.len();
        let (result, part) = match self.decide(&entry, ticket, request, context) {
            Ok(Decision::Staged(staged)) => staged,
            Ok(Decision::PutOff(request)) => {
                let change = ChangeJob { entry, ticket, request: *request, reply };
                return self.put_off.push((ticket, Job::Change(change.into())));
            }
            Err(error) => (Err(error), self.last_part(&entry)),
        };
        self.commands_len += commands_len;
        self.pending.push(PendingReply { reply, result, part });
    }

    fn decide(
        &mut self,
        entry: &Arc<WorkspaceEntry>,
        ticket: Ticket,
        request: CommandRequest,
        context: &DecisionContext<'_>,
    ) -> Result<Decision, SubmitError> {
        let commands_len = Some(request.commands.len());
        if let Some(staged) = self.find_record(request.idempotency.as_ref(), commands_len, context)? {
            // The caller must still have the authority to repeat the request.
            let now = View::now(Arc::clone(&self.workspace(entry)?.root), context.clock.decision_time);
            let commands = request.commands.iter().map(|(command, _)| command);
            authorize_all(&now, &request.caller, commands).map_err(SubmitError::Refused)?;
            return Ok(Decision::Staged(staged));
        }
        let Some(CommandTime { event_time, decision_time }) = self.expire(entry, context)? else {
            return Ok(Decision::PutOff(Box::new(request)));
        };
        if context.log.is_short_of_room() && !request.commands.iter().all(|(command, _)| command.takes_away()) {
            return Err(LogError::NoRoom.into());
        }
        let staged = self.workspace(entry)?;
        Expected::check(request.expected.as_ref(), staged.root.head())?;
        let stamp = stamp(&request.caller, request.reason.as_ref(), context.ids, event_time);
        let expiry_before = staged.root.next_expiry();
        let (caller, commands) = (&request.caller, &request.commands);
        check_issued(&staged.root, decision_time, &request, context.issued_max)?;
        let allowance = allowance(request.bytes, commands, request.idempotency.as_ref());
        let record_bytes = request.idempotency.as_ref().map_or(0, |key| stored_bytes(key.record_bytes(commands.len())));
        let share = context.share(&staged.root, caller, ticket, record_bytes)?;
        let mut stored = EventEncoder::within(context.ids, allowance).with_share(share);
        let decided = decide_all_at(&mut staged.root, decision_time, caller, commands, &stamp, &mut stored);
        let decided = decided.map_err(|refused| {
            if stored.is_over_share { SubmitError::ShareUsed } else { SubmitError::Refused(refused) }
        })?;
        if share.is_some() && !decided.events.is_empty() {
            let events = stored.bytes.iter().map(|event| stored_bytes(event.len())).sum::<u64>();
            context.shares.charge(ticket, events.saturating_add(record_bytes));
        }
        let change = staged_change(&staged.root, decided, stored.bytes, &request, decision_time);
        let root = Arc::clone(&staged.root);
        Ok(Decision::Staged(self.stage(&root, change, request, expiry_before, context)))
    }

    /// Returns a workspace as the batch leaves it so far.
    fn workspace(&mut self, entry: &Arc<WorkspaceEntry>) -> Result<&mut StagedWorkspace, SubmitError> {
        // Publishing to an evicted entry would be invisible to readers.
        if entry.is_evicted() {
            return Err(LogError::Unavailable("the workspace is loaded anew: try again".to_owned()).into());
        }
        let published = entry.root().ok_or(SubmitError::UnknownWorkspace)?;
        let id = published.id();
        let Self { workspaces, pipelined, .. } = self;
        Ok(workspaces.entry(id).or_insert_with(|| {
            let root = pipelined.roots.get(&id).map_or(published, Arc::clone);
            StagedWorkspace { entry: Arc::clone(entry), root, parts: Vec::new(), expired: 0, is_behind: false }
        }))
    }

    /// Returns the last part of the batch about a workspace. Replies about the workspace depend on it.
    fn last_part(&self, entry: &Arc<WorkspaceEntry>) -> Option<usize> {
        self.workspaces.get(&entry.root()?.id())?.parts.last().copied()
    }

    /// Adds a decided change with its writes beside events, and returns its reply. If the disk has only its reserve, a change without
    /// events writes nothing: to repeat it is harmless.
    fn stage(
        &mut self,
        root: &Arc<Workspace>,
        change: StagedChange,
        request: CommandRequest,
        expiry_before: Option<Instant>,
        context: &DecisionContext<'_>,
    ) -> Staged {
        let is_kept = !(change.decided.events.is_empty() && context.log.is_short_of_room());
        let mut writes: Vec<SideWrite> =
            change.decided.events.iter().filter_map(|event| directory_write(event)).collect();
        let profiles = request.commands.iter().filter_map(|(command, _)| command.profile());
        writes.extend(profiles.map(|(user, profile)| SideWrite::SetProfile(user, profile)));
        if let Some(IdempotencyKey { scope, alias, key, fingerprint }) = request.idempotency.filter(|_| is_kept) {
            let response = change.record().to_bytes();
            for scope in std::iter::once(scope).chain(alias) {
                let (response, at) = (response.clone(), change.instant);
                let record = IdempotencyRecord { response, at, scope, key: key.clone(), fingerprint };
                self.records.insert((record.scope.clone(), record.key.clone()), (record.clone(), self.parts.len()));
                writes.push(SideWrite::KeepIdempotencyRecord(record));
            }
        }
        let is_written = !(change.decided.events.is_empty() && writes.is_empty());
        // Only an earlier next expiry is written. When the stored one passes, the next is computed anew.
        let expiry = root.next_expiry();
        if expiry.is_some_and(|end| expiry_before.is_none_or(|before| end < before)) {
            writes.extend(expiry_writes(expiry, &context.clock));
        }
        if is_written {
            self.push(root.id(), root.head(), change.stored.clone(), writes);
        }
        let part = self.workspaces.get(&root.id()).and_then(|staged| staged.parts.last().copied());
        (Ok(StagedOutcome::Done(Box::new(change))), part)
    }

    /// Adds a part that leaves a workspace at revision `head`.
    fn push(&mut self, workspace: WorkspaceId, head: Revision, events: Vec<Vec<u8>>, side_writes: Vec<SideWrite>) {
        let appended = u64::try_from(events.len()).unwrap_or(u64::MAX);
        let expected = Revision(head.0.saturating_sub(appended));
        self.events_len += events.len();
        if let Some(staged) = self.workspaces.get_mut(&workspace) {
            staged.parts.push(self.parts.len());
        }
        self.parts.push(Append { workspace, expected, events, side_writes });
    }

    /// Removes and returns the jobs that wait for the next batch.
    pub(super) fn take_put_off(&mut self) -> Vec<(Ticket, Job)> {
        std::mem::take(&mut self.put_off)
    }

    /// Publishes the appended parts, then replies to all clients. A workspace with a part that was not appended is passed to `evict`.
    pub(super) fn complete(
        self,
        appended: &Appended,
        publish: impl Fn(&Arc<WorkspaceEntry>, Arc<Workspace>, Option<TreeHead>),
        evict: impl Fn(WorkspaceId),
    ) {
        let Appended { outcomes, trees } = appended;
        let is_appended = |part: &usize| outcomes.get(*part) == Some(&Outcome::Appended);
        for (id, staged) in self.workspaces.iter().filter(|(_, staged)| !staged.parts.is_empty()) {
            if staged.parts.iter().all(is_appended) {
                publish(&staged.entry, Arc::clone(&staged.root), trees.get(id).copied());
            } else {
                evict(*id);
            }
        }
        for PendingReply { reply, result, part } in self.pending {
            let outcome = part.and_then(|part| outcomes.get(part)).unwrap_or(&Outcome::Appended);
            let tree = part.and_then(|part| trees.get(&self.parts.get(part)?.workspace)).copied();
            let respond = |staged| match staged {
                StagedOutcome::Repeated(change) => Ok(SubmitOutcome::Repeated(change)),
                // Only a write beside the log gets this, and it is no change.
                StagedOutcome::SideWriteRepeated => Err(SubmitError::KeyReused),
                StagedOutcome::Done(change) => {
                    let staged = self.workspaces.get(&change.workspace).ok_or(SubmitError::UnknownWorkspace)?;
                    Ok(SubmitOutcome::Done(Box::new(change.accepted(Arc::clone(&staged.root), tree))))
                }
            };
            // The client may have gone away; the change stays.
            let _ = reply.send(match outcome {
                Outcome::Appended => result.and_then(respond),
                Outcome::NameTaken => Err(name_taken(&result)),
                Outcome::Conflict => {
                    Err(LogError::Unavailable("another writer changed the workspace: try again".to_owned()).into())
                }
                // The workspace is evicted, so the next request loads it and gets the exact damage.
                Outcome::Damaged => {
                    Err(LogError::Unavailable("the workspace's log is damaged: restore it".to_owned()).into())
                }
            });
        }
        self.pending_sides.into_iter().for_each(|side| side.complete(outcomes));
        for (reply, part) in self.pending_writes {
            let unavailable = || LogError::Unavailable("what was asked could not be written: try again".to_owned());
            let _ = reply.send(if is_appended(&part) { Ok(()) } else { Err(unavailable()) });
        }
    }

    /// Refuses all clients. A batch that may have been written nevertheless is still completed once that is known.
    pub(super) fn fail(&mut self, why: &dyn Fn() -> LogError) {
        for pending in self.pending.drain(..) {
            let _ = pending.reply.send(Err(why().into()));
        }
        self.pending_sides.drain(..).for_each(|side| side.fail(why()));
        for (reply, _) in self.pending_writes.drain(..) {
            let _ = reply.send(Err(why()));
        }
        self.put_off.drain(..).for_each(|(_, job)| job.refuse(why()));
    }
}

fn name_taken(result: &Result<StagedOutcome, SubmitError>) -> SubmitError {
    let name = match result {
        Ok(StagedOutcome::Done(change)) => change.decided.events.iter().find_map(|event| {
            if let Fact::Workspace(name) = event.data.fact() { name.map(ToString::to_string) } else { None }
        }),
        _ => None,
    };
    let rejection = Rejection::AlreadyExists { kind: "workspace", name: name.unwrap_or_default() };
    SubmitError::Refused(Refused { index: 0, rejection })
}

fn staged_change(
    root: &Workspace,
    decided: Decided,
    stored: Vec<Vec<u8>>,
    request: &CommandRequest,
    instant: Instant,
) -> StagedChange {
    let made_credential = |index| decided.events_of(index).iter().any(|event| event.data.fact().is_new_credential());
    let secrets = request.secrets.iter().enumerate();
    let secrets = secrets.map(|(index, secret)| secret.clone().filter(|_| made_credential(index))).collect();
    StagedChange { workspace: root.id(), revision: root.head(), instant, decided, stored, secrets }
}

/// Returns the write to the directories that an event causes, in the same commit.
pub(super) fn directory_write(event: &Event) -> Option<SideWrite> {
    let add = |id, sha256, holder| {
        Some(SideWrite::AddCredential(StoredCredential { id, workspace: event.workspace, sha256, holder }))
    };
    match event.data.fact() {
        Fact::Workspace(Some(name)) => Some(SideWrite::ClaimName(name.clone())),
        Fact::Workspace(None) => Some(SideWrite::ReleaseName),
        Fact::Token(id, holder, Some(terms)) => {
            add(CredentialId::Token(id), terms.sha256, CredentialHolder::Principal(holder.clone()))
        }
        Fact::ProxyToken(id, Some(terms)) => {
            add(CredentialId::ProxyToken(id), terms.sha256, CredentialHolder::ProxyToken)
        }
        Fact::AccessKey(id, Some(terms)) => {
            add(CredentialId::AccessKey(id), terms.sha256, CredentialHolder::AccessKey(terms.role))
        }
        // The row of a credential stays when it ends: its end is a fact of the workspace.
        Fact::Token(..)
        | Fact::ProxyToken(..)
        | Fact::AccessKey(..)
        | Fact::Plan
        | Fact::Rbac
        | Fact::Member(..)
        | Fact::ServiceUser(..)
        | Fact::Environment(..)
        | Fact::EnvironmentName(..)
        | Fact::Restriction(_)
        | Fact::Grant(..)
        | Fact::ProxyTokenScope(..)
        | Fact::ResourceType
        | Fact::Placement { .. }
        | Fact::Detail(_) => None,
    }
}
