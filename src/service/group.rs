//! A group: the changes that share one commit, decided and applied ahead of it.
//!
//! What is applied ahead is only a newer root of a persistent value. If the commit fails the group is dropped, and nothing
//! needs undoing. Nobody is answered from here before the commit, the refused neither: they were judged on facts that were
//! not durable yet. While a group is committed, the next is judged on what it leaves ([`Ahead`]); whoever commits drops the next
//! with it.

mod change;
mod moment;
mod side;

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::oneshot;

pub(super) use moment::MARKED_AHEAD_MICROS;
use moment::{Moment, expiry_notes};

use super::cache::Slot;
use super::desk::Next;
use super::mint::{Mint, Secret};
pub(super) use change::Change;
use change::{allowance, stamp, stamp_of_system};
pub(super) use side::Side;
pub use side::SideWrite;

use super::recorder::StoredForms;
use super::submission::{Accepted, Answer, Expected, KnownBy, Retry, SubmitError};
use crate::clock::Reading;
use crate::domain::model::command::Command;
use crate::domain::model::event::Event;
use crate::domain::model::fact::Fact;
use crate::domain::model::id::{GeneratedIds, WorkspaceId};
use crate::domain::model::name::Reason;
use crate::domain::model::principal::Caller;
use crate::domain::model::rejection::Rejection;
use crate::domain::model::time::{Instant, Revision};
use crate::domain::rules::decide::{Decided, Refused, authorize_all, decide_all_at, expire_at, last_due};
use crate::domain::state::view::View;
use crate::domain::state::workspace::Workspace;
use crate::log::{
    Append, Appended, CredentialHolder, CredentialId, CredentialRow, EventLog, KeptAnswer, LogError, Note, Outcome,
};
use crate::proof::frontier::TreeHead;

/// How many jobs, and about how many commands and events, share a commit at most: who comes next waits for no more than that.
const JOBS_MAX: usize = 1_024;
const COMMANDS_MAX: usize = 2_048;
const EVENTS_MAX: usize = 4_096;

/// How long an answer is kept at least for a request that is sent again, in microseconds: 24 hours.
pub(super) const ANSWER_KEPT_MICROS: i64 = 24 * 3_600 * 1_000_000;

/// Whoever waits for the commit, and what they are told if the part they rest on is appended.
struct Waiting {
    reply: oneshot::Sender<Result<Answer, SubmitError>>,
    result: Result<Verdict, SubmitError>,
    part: Option<usize>,
}

/// A workspace that the group is about.
struct Head {
    slot: Arc<Slot>,
    /// Its facts, as the group leaves them so far. Once the group has changed them nobody else has them, so they are changed where
    /// they are; what was answered before is a view of them at an earlier revision.
    root: Arc<Workspace>,
    /// The parts of the group that are about it.
    parts: Vec<usize>,
}

/// What a change came to, before it is durable.
#[derive(Clone)]
struct Done {
    workspace: WorkspaceId,
    revision: Revision,
    instant: Instant,
    decided: Decided,
    stored: Vec<Vec<u8>>,
    secrets: Vec<Option<Secret>>,
}

impl Done {
    /// The answer, on facts of the workspace that reach at least as far.
    fn accepted(self, root: Arc<Workspace>, tree: Option<TreeHead>) -> Accepted {
        let Self { revision, instant, decided, stored, secrets, .. } = self;
        Accepted { view: View::seen_at(root, revision, instant), decided, stored, secrets, tree }
    }
}

/// What someone who waits is told if the part that it rests on is appended.
enum Verdict {
    /// It was done.
    Done(Box<Done>),
    /// It had been done before.
    Kept(Vec<u8>),
}

/// What a group leaves that is being committed, for the next.
#[derive(Default)]
struct Ahead {
    roots: HashMap<WorkspaceId, Arc<Workspace>>,
    kept: HashMap<(String, String), KeptAnswer>,
    /// Credentials that it forgets.
    forgotten: Vec<CredentialId>,
}

/// Changes that share one commit.
#[derive(Default)]
pub(super) struct Group {
    ahead: Ahead,
    heads: HashMap<WorkspaceId, Head>,
    parts: Vec<Append>,
    kept: HashMap<(String, String), (KeptAnswer, usize)>,
    waiting: Vec<Waiting>,
    sides: Vec<side::WaitingSide>,
    forgotten: Vec<CredentialId>,
    notes: Vec<(oneshot::Sender<Result<(), LogError>>, usize)>,
    commands_len: usize,
    events_len: usize,
}

/// What a group is judged with.
pub(super) struct Judge<'a> {
    pub(super) log: &'a dyn EventLog,
    pub(super) mint: &'a dyn Mint,
    pub(super) clock: Reading,
}

/// A change that was judged: what it says to whoever asked, and the part it rests on.
type Judged = (Result<Verdict, SubmitError>, Option<usize>);

impl Group {
    /// Whether it should be committed before it takes more.
    pub(super) fn is_full(&self) -> bool {
        self.waiting_len() >= JOBS_MAX || self.commands_len >= COMMANDS_MAX || self.events_len >= EVENTS_MAX
    }

    /// How many wait for it.
    pub(super) const fn waiting_len(&self) -> usize {
        self.waiting.len() + self.sides.len() + self.notes.len()
    }

    /// How it stands. A group that only answers, and writes nothing, is to be settled too.
    pub(super) fn standing(&self) -> Next {
        let is_begun = !(self.parts.is_empty() && self.waiting.is_empty() && self.sides.is_empty());
        Next { waiting: self.waiting_len(), is_begun, is_full: self.is_full() }
    }

    /// Takes the group out, to be committed; what stays is the next one, still empty, ahead of which it is.
    pub(super) fn take(&mut self) -> Self {
        let taken = std::mem::take(self);
        self.ahead.roots = taken.heads.iter().map(|(id, head)| (*id, Arc::clone(&head.root))).collect();
        self.ahead.forgotten.clone_from(&taken.forgotten);
        self.ahead.kept = taken.kept.iter().map(|(key, (kept, _))| (key.clone(), kept.clone())).collect();
        taken
    }

    /// Takes note that what it was judged on is durable, and published.
    pub(super) fn settled(&mut self) {
        self.ahead = Ahead::default();
    }

    /// What is to be written.
    pub(super) fn parts(&self) -> &[Append] {
        &self.parts
    }

    /// Adds what is written beside events; the answer comes with the commit.
    pub(super) fn add_notes(
        &mut self,
        workspace: WorkspaceId,
        notes: Vec<Note>,
        reply: oneshot::Sender<Result<(), LogError>>,
    ) {
        self.parts.push(Append { workspace, expected: Revision::ZERO, events: Vec::new(), notes });
        self.notes.push((reply, self.parts.len() - 1));
    }

    /// Takes note of what has expired in a workspace; where nothing has yet, of when something may.
    pub(super) fn add_expiry(&mut self, slot: &Arc<Slot>, judge: &Judge<'_>) -> Result<(), SubmitError> {
        let before = self.head(slot)?.root.head();
        self.expire(slot, judge)?;
        let root = &self.head(slot)?.root;
        if root.head() == before {
            let (workspace, notes) = (root.id(), vec![Note::NextExpiry(root.next_expiry())]);
            self.parts.push(Append { workspace, expected: Revision::ZERO, events: Vec::new(), notes });
        }
        Ok(())
    }

    /// Judges a change and applies it ahead.
    pub(super) fn add(&mut self, change: Change, judge: &Judge<'_>) {
        let Change { slot, caller, commands, secrets, reason, expected, retry, bytes, reply } = change;
        self.commands_len += commands.len();
        let asked = Asked { caller, commands, secrets, reason, expected, retry, bytes };
        let (result, part) = self.judge(&slot, asked, judge).unwrap_or_else(|error| (Err(error), self.rests_on(&slot)));
        self.waiting.push(Waiting { reply, result, part });
    }

    fn judge(&mut self, slot: &Arc<Slot>, asked: Asked, judge: &Judge<'_>) -> Result<Judged, SubmitError> {
        if let Some(judged) = self.answered_before(asked.retry.as_ref().map(Retry::known_by), judge)? {
            // Whoever asks again must still be one who may ask.
            let now = View::now(Arc::clone(&self.head(slot)?.root), judge.clock.judged);
            let commands = asked.commands.iter().map(|(command, _)| command);
            authorize_all(&now, &asked.caller, commands).map_err(SubmitError::Refused)?;
            return Ok(judged);
        }
        let Moment { time, judged } = self.expire(slot, judge)?;
        if judge.log.is_short_of_room() && !asked.commands.iter().all(|(command, _)| command.takes_away()) {
            return Err(LogError::NoRoom.into());
        }
        let head = self.head(slot)?;
        Expected::check(asked.expected.as_ref(), head.root.head())?;
        let stamp = stamp(&asked.caller, asked.reason.as_ref(), judge.mint, time);
        let expiry_before = head.root.next_expiry();
        let allowance = allowance(asked.bytes, &asked.commands, asked.retry.as_ref());
        let mut stored = StoredForms::within(judge.mint, allowance);
        let decided = decide_all_at(&mut head.root, judged, &asked.caller, &asked.commands, &stamp, &mut stored)
            .map_err(SubmitError::Refused)?;
        let done = done(&head.root, decided, stored.bytes, &asked, judged);
        let root = Arc::clone(&head.root);
        Ok(self.take_up(&root, done, asked, expiry_before, &judge.clock))
    }

    /// The head of a workspace, as the group leaves it so far.
    fn head(&mut self, slot: &Arc<Slot>) -> Result<&mut Head, SubmitError> {
        // What is published in a slot that was left is seen by nobody who asks after it.
        if slot.is_left() {
            return Err(LogError::Unavailable("the workspace is loaded anew: try again".to_owned()).into());
        }
        let published = slot.root().ok_or(SubmitError::UnknownWorkspace)?;
        let id = published.id();
        let Self { heads, ahead, .. } = self;
        Ok(heads.entry(id).or_insert_with(|| {
            let root = ahead.roots.get(&id).map_or(published, Arc::clone);
            Head { slot: Arc::clone(slot), root, parts: Vec::new() }
        }))
    }

    /// The last part of the group that what is known of a workspace rests on.
    fn rests_on(&self, slot: &Arc<Slot>) -> Option<usize> {
        self.heads.get(&slot.root()?.id())?.parts.last().copied()
    }

    /// The answer of the same request before, in this group or in the store.
    fn answered_before(&self, known_by: Option<KnownBy<'_>>, judge: &Judge<'_>) -> Result<Option<Judged>, SubmitError> {
        let Some((scopes, key, fingerprint)) = known_by else { return Ok(None) };
        for scope in scopes {
            if let Some((kept, part)) = self.kept_answer(scope, key, judge)? {
                let same = kept.fingerprint == fingerprint;
                return Ok(Some((
                    if same { Ok(Verdict::Kept(kept.answer)) } else { Err(SubmitError::KeyReused) },
                    part,
                )));
            }
        }
        Ok(None)
    }

    /// The answer that is kept under a scope and key, and the part of this group that it rests on.
    fn kept_answer(
        &self,
        scope: &str,
        key: &str,
        judge: &Judge<'_>,
    ) -> Result<Option<(KeptAnswer, Option<usize>)>, LogError> {
        let both = (scope.to_owned(), key.to_owned());
        if let Some((kept, part)) = self.kept.get(&both) {
            return Ok(Some((kept.clone(), Some(*part))));
        }
        match self.ahead.kept.get(&both) {
            Some(kept) => Ok(Some((kept.clone(), None))),
            None => Ok(judge.log.kept_answer(scope, key, Instant::EARLIEST)?.map(|kept| (kept, None))),
        }
    }

    /// Appends what has expired, until nothing has at the moment of the next command; gives that moment.
    fn expire(&mut self, slot: &Arc<Slot>, judge: &Judge<'_>) -> Result<Moment, SubmitError> {
        loop {
            let root = &mut self.head(slot)?.root;
            let moment = Moment::next(root, &judge.clock);
            let Some(end) = last_due(root, moment.judged) else { return Ok(moment) };
            // An event does not say that something has expired before it has, where the clock is behind.
            let time = moment.time.max(end);
            let stamp = stamp_of_system(judge.mint, time);
            let mut stored = StoredForms::new(judge.mint);
            let refused = |rejection| SubmitError::Refused(Refused { index: 0, rejection });
            expire_at(root, moment.judged, &stamp, &mut stored).map_err(refused)?;
            // What the store was told has come.
            let (workspace, head, notes) = (root.id(), root.head(), expiry_notes(root.next_expiry(), &judge.clock));
            self.push(workspace, head, stored.bytes, notes);
        }
    }

    /// Takes up what a change came to, with what goes beside its events; gives what it says, and the part that it rests on.
    fn take_up(
        &mut self,
        root: &Arc<Workspace>,
        done: Done,
        asked: Asked,
        expiry_before: Option<Instant>,
        clock: &Reading,
    ) -> Judged {
        let mut notes: Vec<Note> = done.decided.events.iter().filter_map(|event| directory_notes(event)).collect();
        let profiles = asked.commands.iter().filter_map(|(command, _)| command.profile());
        notes.extend(profiles.map(|(user, profile)| Note::SetProfile(user, profile)));
        if let Some(retry) = asked.retry {
            let Retry { scope, alias, key, fingerprint, keep } = retry;
            let answer = keep(&done.clone().accepted(Arc::clone(root), None));
            for scope in std::iter::once(scope).chain(alias) {
                let kept =
                    KeptAnswer { answer: answer.clone(), at: done.instant, scope, key: key.clone(), fingerprint };
                self.kept.insert((kept.scope.clone(), kept.key.clone()), (kept.clone(), self.parts.len()));
                notes.push(Note::KeepAnswer(kept));
            }
        }
        let is_written = !(done.decided.events.is_empty() && notes.is_empty());
        // The store is told of an earlier instant only: when the one that it has comes, it is looked at again.
        let expiry = root.next_expiry();
        if expiry.is_some_and(|end| expiry_before.is_none_or(|before| end < before)) {
            notes.extend(expiry_notes(expiry, clock));
        }
        if is_written {
            self.push(root.id(), root.head(), done.stored.clone(), notes);
        }
        let rests_on = self.heads.get(&root.id()).and_then(|head| head.parts.last().copied());
        (Ok(Verdict::Done(Box::new(done))), rests_on)
    }

    /// Adds a part that leads a workspace to a head.
    fn push(&mut self, workspace: WorkspaceId, head: Revision, events: Vec<Vec<u8>>, notes: Vec<Note>) {
        let appended = u64::try_from(events.len()).unwrap_or(u64::MAX);
        let expected = Revision(head.0.saturating_sub(appended));
        self.events_len += events.len();
        if let Some(head) = self.heads.get_mut(&workspace) {
            head.parts.push(self.parts.len());
        }
        self.parts.push(Append { workspace, expected, events, notes });
    }

    /// Tells everyone what became of the group, after publishing what was appended.
    pub(super) fn settle(
        self,
        appended: &Appended,
        publish: impl Fn(&Arc<Slot>, Arc<Workspace>, Option<TreeHead>),
        forget: impl Fn(WorkspaceId),
    ) {
        let Appended { outcomes, trees } = appended;
        let is_appended = |part: &usize| outcomes.get(*part) == Some(&Outcome::Appended);
        for (id, head) in self.heads.iter().filter(|(_, head)| !head.parts.is_empty()) {
            if head.parts.iter().all(is_appended) {
                publish(&head.slot, Arc::clone(&head.root), trees.get(id).copied());
            } else {
                forget(*id);
            }
        }
        for Waiting { reply, result, part } in self.waiting {
            let outcome = part.and_then(|part| outcomes.get(part)).unwrap_or(&Outcome::Appended);
            let tree = part.and_then(|part| trees.get(&self.parts.get(part)?.workspace)).copied();
            let answer = |verdict| match verdict {
                Verdict::Kept(bytes) => Ok(Answer::Kept(bytes)),
                Verdict::Done(done) => {
                    let head = self.heads.get(&done.workspace).ok_or(SubmitError::UnknownWorkspace)?;
                    Ok(Answer::Done(Box::new(done.accepted(Arc::clone(&head.root), tree))))
                }
            };
            // Whoever asked may have gone away; the change stands all the same.
            let _ = reply.send(match outcome {
                Outcome::Appended => result.and_then(answer),
                Outcome::NameTaken => Err(name_taken(&result)),
                Outcome::Conflict => {
                    Err(LogError::Unavailable("another writer changed the workspace: try again".to_owned()).into())
                }
                // The workspace is forgotten, so whoever asks again is told what is damaged.
                Outcome::Damaged => {
                    Err(LogError::Unavailable("the workspace's log is damaged: restore it".to_owned()).into())
                }
            });
        }
        self.sides.into_iter().for_each(|side| side.settle(outcomes));
        for (reply, part) in self.notes {
            let unavailable = || LogError::Unavailable("what was asked could not be written: try again".to_owned());
            let _ = reply.send(if is_appended(&part) { Ok(()) } else { Err(unavailable()) });
        }
    }

    /// Tells everyone who waits that it could not be made durable. What may have been written all the same is still settled
    /// once that is known.
    pub(super) fn fail(&mut self, why: &dyn Fn() -> LogError) {
        for waiting in self.waiting.drain(..) {
            let _ = waiting.reply.send(Err(why().into()));
        }
        self.sides.drain(..).for_each(|side| side.fail(why()));
        for (reply, _) in self.notes.drain(..) {
            let _ = reply.send(Err(why()));
        }
    }
}

/// What is asked, without where the answer goes.
struct Asked {
    caller: Caller,
    commands: Vec<(Command, GeneratedIds)>,
    secrets: Vec<Option<Secret>>,
    reason: Option<Reason>,
    expected: Option<Expected>,
    retry: Option<Retry>,
    bytes: Option<usize>,
}

fn name_taken(result: &Result<Verdict, SubmitError>) -> SubmitError {
    let name = match result {
        Ok(Verdict::Done(done)) => done.decided.events.iter().find_map(|event| {
            if let Fact::Workspace(name) = event.data.fact() { name.map(ToString::to_string) } else { None }
        }),
        _ => None,
    };
    let rejection = Rejection::AlreadyExists { kind: "workspace", name: name.unwrap_or_default() };
    SubmitError::Refused(Refused { index: 0, rejection })
}

fn done(root: &Workspace, decided: Decided, stored: Vec<Vec<u8>>, asked: &Asked, instant: Instant) -> Done {
    let made_credential = |index| decided.events_of(index).iter().any(|event| event.data.fact().is_new_credential());
    let secrets = asked.secrets.iter().enumerate();
    let secrets = secrets.map(|(index, secret)| secret.clone().filter(|_| made_credential(index))).collect();
    Done { workspace: root.id(), revision: root.head(), instant, decided, stored, secrets }
}

/// Returns what the directories record of an event, in the same commit.
pub(super) fn directory_notes(event: &Event) -> Option<Note> {
    let add = |id, sha256, holder| {
        Some(Note::AddCredential(CredentialRow { id, workspace: event.workspace, sha256, holder }))
    };
    match event.data.fact() {
        Fact::Workspace(Some(name)) => Some(Note::ClaimName(name.clone())),
        Fact::Workspace(None) => Some(Note::ReleaseName),
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
