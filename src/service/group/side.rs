//! Writes beside the log: profiles, the journal, and the keys of deleted workspaces. Each is judged in the writer, on the facts of the
//! head that it is written at, and committed with whatever else waits.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::{Group, Judge, Verdict};
use crate::domain::model::command::{Profile, UserRef};
use crate::domain::model::id::AccessKeyId;
use crate::domain::model::principal::Caller;
use crate::domain::model::rejection::Rejection;
use crate::domain::model::time::{Instant, Revision};
use crate::domain::rules::decide::{Refused, authorize_audit, authorize_profile};
use crate::domain::state::view::View;
use crate::domain::state::workspace::Workspace;
use crate::log::journal::ReadRecord;
use crate::log::{Append, CredentialId, KeptAnswer, LogError, Note, Outcome};
use crate::service::before_its_end;
use crate::service::cache::Slot;
use crate::service::submission::{Expected, Repeatable, SideAnswer, SubmitError};

/// A write beside the log.
#[derive(Debug, Clone)]
pub enum SideWrite {
    /// Replaces a person's profile, or erases it with an empty one.
    SetProfile(UserRef, Profile),
    /// Ends an access key of a deleted workspace, whose log takes no more events.
    ForgetAccessKey(AccessKeyId),
    /// Records a read of the audit, which is answered after that.
    RecordRead(Box<ReadRecord>),
}

/// A write beside the log on its way to the writer.
pub(in crate::service) struct Side {
    pub(in crate::service) slot: Arc<Slot>,
    pub(in crate::service) caller: Caller,
    pub(in crate::service) write: SideWrite,
    pub(in crate::service) expected: Option<Expected>,
    pub(in crate::service) repeatable: Option<Repeatable>,
    pub(in crate::service) reply: oneshot::Sender<Result<SideAnswer, SubmitError>>,
}

/// A write beside the log that waits for the commit.
pub(super) struct WaitingSide {
    reply: oneshot::Sender<Result<SideAnswer, SubmitError>>,
    result: Result<SideAnswer, SubmitError>,
    /// The part that the answer rests on.
    part: Option<usize>,
}

impl WaitingSide {
    /// Answers once it is known what became of the parts.
    pub(super) fn settle(self, outcomes: &[Outcome]) {
        let outcome = self.part.and_then(|part| outcomes.get(part)).unwrap_or(&Outcome::Appended);
        let unavailable = || LogError::Unavailable("what was asked could not be written: try again".to_owned());
        // Whoever asked may have gone away; what was written stands all the same.
        let _ = self.reply.send(match outcome {
            Outcome::Appended => self.result,
            Outcome::Conflict | Outcome::NameTaken | Outcome::Damaged => Err(unavailable().into()),
        });
    }

    /// Answers that nothing could be made durable.
    pub(super) fn fail(self, why: LogError) {
        let _ = self.reply.send(Err(why.into()));
    }
}

impl Group {
    /// Judges a write beside the log at the head, and adds it.
    pub(in crate::service) fn add_side(&mut self, side: Side, judge: &Judge<'_>) {
        let Side { slot, caller, write, expected, repeatable, reply } = side;
        let judged = self.judge_side(&slot, &caller, write, (expected, repeatable), judge);
        let (result, part) = match judged {
            Ok((answer, part)) => (Ok(answer), part),
            Err(error) => (Err(error), self.rests_on(&slot)),
        };
        self.sides.push(WaitingSide { reply, result, part });
    }

    fn judge_side(
        &mut self,
        slot: &Arc<Slot>,
        caller: &Caller,
        write: SideWrite,
        (expected, repeatable): (Option<Expected>, Option<Repeatable>),
        judge: &Judge<'_>,
    ) -> Result<(SideAnswer, Option<usize>), SubmitError> {
        let root = Arc::clone(&self.head(slot)?.root);
        let head = root.head();
        self.authorize_side(&root, caller, &write, judge).map_err(refused)?;
        if let Some((verdict, part)) = self.answered_before(repeatable.as_ref().map(Repeatable::known_by), judge)? {
            let kept = match verdict? {
                Verdict::Kept(bytes) => Some(bytes),
                Verdict::Done(_) => None,
            };
            return Ok((SideAnswer { head, kept }, part));
        }
        Expected::check(expected.as_ref(), head)?;
        let note = self.note_of(&root, write, judge)?;
        if judge.log.is_short_of_room() && !note.takes_away() {
            return Err(LogError::NoRoom.into());
        }
        let kept = repeatable.map(|repeatable| repeatable.kept(judge.clock.time));
        let part = self.push_notes(root.id(), note, kept);
        Ok((SideAnswer { head, kept: None }, Some(part)))
    }

    fn authorize_side(
        &self,
        root: &Arc<Workspace>,
        caller: &Caller,
        write: &SideWrite,
        judge: &Judge<'_>,
    ) -> Result<(), Rejection> {
        let now = View::now(Arc::clone(root), judge.clock.judged);
        match write {
            SideWrite::SetProfile(user, _) => authorize_profile(&now, caller, &user.0).map(|_| ()),
            SideWrite::ForgetAccessKey(_) if *caller == Caller::Operator => Ok(()),
            SideWrite::ForgetAccessKey(_) => Err(Rejection::Forbidden("only the operator may do this")),
            SideWrite::RecordRead(_) => match caller {
                Caller::AccessKey { key, .. } if !now.exists() => self.authorize_after_end(root, caller, *key, judge),
                _ => authorize_audit(&now, caller),
            },
        }
    }

    /// Checks that a key that was live when its workspace ended was not taken back since.
    fn authorize_after_end(
        &self,
        root: &Arc<Workspace>,
        caller: &Caller,
        key: AccessKeyId,
        judge: &Judge<'_>,
    ) -> Result<(), Rejection> {
        let id = CredentialId::AccessKey(key);
        let is_forgotten = self.forgotten.contains(&id) || self.ahead.forgotten.contains(&id);
        let is_known = !is_forgotten && matches!(judge.log.credential(id), Ok(Some(_)));
        let view = before_its_end(Arc::clone(root), judge.clock.judged).filter(|_| is_known);
        authorize_audit(&view.ok_or(Rejection::Unauthenticated)?, caller)
    }

    /// What is written, once all that could speak against it was judged.
    fn note_of(&mut self, root: &Arc<Workspace>, write: SideWrite, judge: &Judge<'_>) -> Result<Note, SubmitError> {
        match write {
            SideWrite::SetProfile(user, profile) => {
                let user = user.0.parse().map_err(|_| refused(Rejection::not_found("member", &user.0)))?;
                Ok(if profile.is_empty() { Note::EraseProfile(user) } else { Note::SetProfile(user, profile) })
            }
            SideWrite::ForgetAccessKey(key) => {
                let id = CredentialId::AccessKey(key);
                let row = judge.log.credential(id)?.filter(|row| row.workspace == root.id());
                if row.is_none() || self.forgotten.contains(&id) || self.ahead.forgotten.contains(&id) {
                    return Err(refused(Rejection::not_found("access key", &key.to_string())));
                }
                self.forgotten.push(id);
                Ok(Note::ForgetCredential(id))
            }
            SideWrite::RecordRead(read) => Ok(Note::RecordRead(read)),
        }
    }

    /// Adds a part without events; gives its place.
    fn push_notes(
        &mut self,
        workspace: crate::domain::model::id::WorkspaceId,
        note: Note,
        kept: Option<KeptAnswer>,
    ) -> usize {
        let part = self.parts.len();
        if let Some(kept) = &kept {
            self.kept.insert((kept.scope.clone(), kept.key.clone()), (kept.clone(), part));
        }
        let notes = std::iter::once(note).chain(kept.map(Note::KeepAnswer)).collect();
        self.parts.push(Append { workspace, expected: Revision::ZERO, events: Vec::new(), notes });
        part
    }
}

fn refused(rejection: Rejection) -> SubmitError {
    SubmitError::Refused(Refused { index: 0, rejection })
}

impl Repeatable {
    fn kept(self, at: Instant) -> KeptAnswer {
        let Self { scope, key, fingerprint, answer } = self;
        KeptAnswer { scope, key, fingerprint, at, answer }
    }
}
