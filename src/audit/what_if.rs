//! What if: the change in effective access that commands would make, without appending anything.
//!
//! The commands are judged by the same `decide` that would judge them, against facts that are dropped afterwards. Ids that
//! would be made are stood for by the last ones of all, which no real id is; there is no secret.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use super::Question;
use super::diff::{Change, Diff};
use crate::domain::model::command::Command;
use crate::domain::model::credential::SecretDigest;
use crate::domain::model::event::Event;
use crate::domain::model::id::{CommandId, EnvironmentId, EventId, GeneratedIds, ProxyTokenId};
use crate::domain::model::name::{EnvironmentName, Reason};
use crate::domain::model::principal::{Actor, Caller};
use crate::domain::model::time::Instant;
use crate::domain::rules::authorize::accepts;
use crate::domain::rules::decide::{Decided, EventMetadata, EventSink, Refused, decide_all_at, expire_at};
use crate::domain::state::view::{ProxyTokenView, View};
use crate::domain::state::workspace::Workspace;

/// In how many environments a token is tried for the work of judging one principal in one.
const PLACES_OF_A_WEIGHT: usize = 8;

/// The workspace as it is and as it would be.
pub struct Foreseen {
    /// As it is.
    pub before: View,
    /// As it would be.
    pub after: View,
    /// What would be appended, under ids that stand for others.
    pub events: Vec<Arc<Event>>,
}

/// A proxy token that would be accepted in more environments.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct WidenedRow {
    /// Which.
    pub proxy_token: ProxyTokenId,
    /// In which environments it would be accepted and is not now.
    pub environments: Vec<EnvironmentId>,
    /// What those are called, in the same order.
    pub environment_names: Vec<EnvironmentName>,
}

/// How many roles in an environment would be other ones.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Tally {
    /// Principals whose role would be a higher one, or their first.
    pub gain: usize,
    /// Principals whose role would be a lower one, or none.
    pub lose: usize,
}

/// Ids at the far end of all ids: none that was ever made is there.
struct Counted(u128);

impl Default for Counted {
    fn default() -> Self {
        Self(u128::MAX << 32)
    }
}

impl Counted {
    fn uuid(&mut self) -> Uuid {
        self.0 = self.0.saturating_add(1);
        Uuid::from_u128(self.0)
    }

    fn generated(&mut self) -> GeneratedIds {
        GeneratedIds {
            entity: self.uuid(),
            environment: self.uuid(),
            token: self.uuid(),
            digest: SecretDigest([0; 32]),
        }
    }
}

impl EventSink for Counted {
    fn next_event_id(&mut self) -> EventId {
        EventId::from_uuid(self.uuid())
    }
}

/// Judges commands as they would be judged now, `clock` being now.
///
/// # Errors
/// The first command that would be refused.
pub fn foresee(
    workspace: &Arc<Workspace>,
    caller: &Caller,
    commands: Vec<Command>,
    reason: Option<Reason>,
    clock: Instant,
) -> Result<Foreseen, Refused> {
    let mut counted = Counted::default();
    let mut metadata = EventMetadata {
        command: CommandId::from_uuid(Uuid::nil()),
        time: clock.max(workspace.head_time().next()),
        recorded: None,
        actor: Actor::System,
        credential: None,
        reason: None,
    };
    let mut expired = Arc::clone(workspace);
    let is_ahead = workspace.is_ahead_of(clock);
    let judged = |time: Instant| if is_ahead { clock } else { time };
    while expired.next_expiry().is_some_and(|end| end <= judged(metadata.time)) {
        let instant = judged(metadata.time);
        expire_at(&mut expired, instant, &metadata, &mut counted)
            .map_err(|rejection| Refused { index: 0, rejection })?;
        metadata.time = metadata.time.next();
    }
    let time = judged(metadata.time);
    metadata = EventMetadata { actor: caller.actor(), credential: caller.credential(), reason, ..metadata };
    let commands: Vec<_> = commands.into_iter().map(|command| (command, counted.generated())).collect();
    let mut then = Arc::clone(&expired);
    let Decided { events, .. } = decide_all_at(&mut then, time, caller, &commands, &metadata, &mut counted)?;
    Ok(Foreseen { before: View::now(expired, time), after: View::now(then, time), events })
}

impl Foreseen {
    /// What would be another effective role.
    pub fn diff(&self) -> Diff {
        Diff::new(self.before.clone(), self.after.clone(), |_| true, |_| true)
    }
}

/// Which proxy tokens would be accepted in more environments.
pub struct Widened {
    before: View,
    after: View,
    tokens: Vec<ProxyTokenId>,
    environments: usize,
}

impl Widened {
    /// Of what is foreseen.
    pub fn of(foreseen: &Foreseen) -> Self {
        let (before, after) = (foreseen.before.clone(), foreseen.after.clone());
        let tokens = after.proxy_tokens().map(|token| token.id).collect();
        let environments = after.environments().count();
        Self { before, after, tokens, environments }
    }

    /// Whether a token would be accepted in more environments.
    pub fn is_widened(&self, candidate: usize) -> bool {
        let Some(id) = self.tokens.get(candidate) else { return false };
        let Some(after) = self.after.proxy_token(*id) else { return false };
        let before = self.before.proxy_token(*id);
        self.after.environments().any(|place| self.opens(before, &after, place.id))
    }

    /// How much memory its lists take, in bytes.
    pub const fn bytes(&self) -> usize {
        self.tokens.len().saturating_mul(size_of::<ProxyTokenId>())
    }

    fn row(&self, id: ProxyTokenId) -> Option<WidenedRow> {
        let (before, after) = (self.before.proxy_token(id), self.after.proxy_token(id)?);
        let more: Vec<_> = self.after.environments().filter(|place| self.opens(before, &after, place.id)).collect();
        (!more.is_empty()).then(|| WidenedRow {
            proxy_token: id,
            environments: more.iter().map(|place| place.id).collect(),
            environment_names: more.iter().map(|place| place.name.clone()).collect(),
        })
    }

    /// Whether a token would be accepted in an environment, and is not now.
    fn opens(&self, before: Option<ProxyTokenView<'_>>, after: &ProxyTokenView<'_>, place: EnvironmentId) -> bool {
        let is_accepted = |token: ProxyTokenView<'_>| accepts(&self.before, &token, place).allowed;
        let accepted = before.filter(|_| self.before.environment(place).is_some()).is_some_and(is_accepted);
        !accepted && accepts(&self.after, after, place).allowed
    }
}

impl Question for Widened {
    type Row = WidenedRow;

    const COLUMNS: &'static [&'static str] = &["proxy_token", "environment_names"];

    fn candidates(&self) -> usize {
        self.tokens.len()
    }

    /// Each token is tried in each environment, which is less work than judging a principal.
    fn weight(&self) -> usize {
        self.environments / PLACES_OF_A_WEIGHT
    }

    fn rows(&self, candidate: usize) -> Vec<WidenedRow> {
        self.tokens.get(candidate).and_then(|id| self.row(*id)).into_iter().collect()
    }
}

impl Tally {
    /// Counts what another one counted.
    pub const fn add(&mut self, other: &Self) {
        self.gain = self.gain.saturating_add(other.gain);
        self.lose = self.lose.saturating_add(other.lose);
    }

    /// Counts a change.
    pub fn count(&mut self, change: &Change) {
        if change.after > change.before { self.gain += 1 } else { self.lose += 1 }
    }
}
