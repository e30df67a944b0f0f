//! What-if: the change of effective access that commands would make.
//!
//! The commands go through the same `decide` as a real change, against facts that are dropped afterwards. New entities get placeholder ids
//! at the end of the id space, where no real id lies. No secret is made.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use super::AuditQuery;
use super::diff::{Diff, RoleDifference};
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

/// The number of environments in which checking one token costs as much as resolving one role.
const ENVIRONMENTS_PER_WEIGHT: usize = 8;

/// The workspace before and after simulated commands.
pub struct SimulationResult {
    /// The workspace before them.
    pub before: View,
    /// The workspace after them.
    pub after: View,
    /// The events that would be appended, with placeholder ids.
    pub events: Vec<Arc<Event>>,
}

/// A proxy token that would be accepted in more environments.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct WidenedRow {
    /// The proxy token.
    pub proxy_token: ProxyTokenId,
    /// The environments that would accept it and do not now.
    pub environments: Vec<EnvironmentId>,
    /// Their names, in the same order.
    pub environment_names: Vec<EnvironmentName>,
}

/// The numbers of roles in an environment that would change.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Tally {
    /// Principals whose role would be higher, or their first.
    pub gain: usize,
    /// Principals whose role would be lower, or gone.
    pub lose: usize,
}

/// A generator of ids at the end of the id space, where no real id lies.
struct PlaceholderIds(u128);

impl Default for PlaceholderIds {
    fn default() -> Self {
        Self(u128::MAX << 32)
    }
}

impl PlaceholderIds {
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

impl EventSink for PlaceholderIds {
    fn next_event_id(&mut self) -> EventId {
        EventId::from_uuid(self.uuid())
    }
}

/// Simulates commands at the instant `clock`.
///
/// # Errors
/// The rejection of the first command that would be refused.
pub fn simulate(
    workspace: &Arc<Workspace>,
    caller: &Caller,
    commands: Vec<Command>,
    reason: Option<Reason>,
    clock: Instant,
) -> Result<SimulationResult, Refused> {
    let mut ids = PlaceholderIds::default();
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
        expire_at(&mut expired, instant, usize::MAX, &metadata, &mut ids)
            .map_err(|rejection| Refused { index: 0, rejection })?;
        metadata.time = metadata.time.next();
    }
    let time = judged(metadata.time);
    metadata = EventMetadata { actor: caller.actor(), credential: caller.credential(), reason, ..metadata };
    let commands: Vec<_> = commands.into_iter().map(|command| (command, ids.generated())).collect();
    let mut then = Arc::clone(&expired);
    let Decided { events, .. } = decide_all_at(&mut then, time, caller, &commands, &metadata, &mut ids)?;
    Ok(SimulationResult { before: View::now(expired, time), after: View::now(then, time), events })
}

impl SimulationResult {
    /// Returns the effective roles that would change.
    pub fn diff(&self) -> Diff {
        Diff::new(self.before.clone(), self.after.clone(), |_| true, |_| true)
    }
}

/// The proxy tokens that would be accepted in more environments.
pub struct Widened {
    before: View,
    after: View,
    tokens: Vec<ProxyTokenId>,
    environments: usize,
}

impl Widened {
    /// Selects the tokens of a simulation.
    pub fn of(simulated: &SimulationResult) -> Self {
        let (before, after) = (simulated.before.clone(), simulated.after.clone());
        let tokens = after.proxy_tokens().map(|token| token.id).collect();
        let environments = after.environments().count();
        Self { before, after, tokens, environments }
    }

    /// Checks whether a token would be accepted in more environments.
    pub fn is_widened(&self, candidate: usize) -> bool {
        let Some(id) = self.tokens.get(candidate) else { return false };
        let Some(after) = self.after.proxy_token(*id) else { return false };
        let before = self.before.proxy_token(*id);
        self.after.environments().any(|environment| self.opens(before, &after, environment.id))
    }

    fn row(&self, id: ProxyTokenId) -> Option<WidenedRow> {
        let (before, after) = (self.before.proxy_token(id), self.after.proxy_token(id)?);
        let more: Vec<_> =
            self.after.environments().filter(|environment| self.opens(before, &after, environment.id)).collect();
        (!more.is_empty()).then(|| WidenedRow {
            proxy_token: id,
            environments: more.iter().map(|environment| environment.id).collect(),
            environment_names: more.iter().map(|environment| environment.name.clone()).collect(),
        })
    }

    /// Checks whether an environment would accept a token and does not now.
    fn opens(
        &self,
        before: Option<ProxyTokenView<'_>>,
        after: &ProxyTokenView<'_>,
        environment: EnvironmentId,
    ) -> bool {
        let is_accepted = |token: ProxyTokenView<'_>| accepts(&self.before, &token, environment).allowed;
        let accepted = before.filter(|_| self.before.environment(environment).is_some()).is_some_and(is_accepted);
        !accepted && accepts(&self.after, after, environment).allowed
    }
}

impl AuditQuery for Widened {
    type Row = WidenedRow;

    const COLUMNS: &'static [&'static str] = &["proxy_token", "environment_names"];

    fn candidates(&self) -> usize {
        self.tokens.len()
    }

    /// Returns the cost of one token, which is checked in each environment.
    fn weight(&self) -> usize {
        self.environments / ENVIRONMENTS_PER_WEIGHT
    }

    fn bytes(&self) -> usize {
        self.tokens.len().saturating_mul(size_of::<ProxyTokenId>())
    }

    fn rows(&self, candidate: usize) -> Vec<WidenedRow> {
        self.tokens.get(candidate).and_then(|id| self.row(*id)).into_iter().collect()
    }
}

impl Tally {
    /// Adds the numbers of another tally.
    pub const fn add(&mut self, other: &Self) {
        self.gain = self.gain.saturating_add(other.gain);
        self.lose = self.lose.saturating_add(other.lose);
    }

    /// Counts a change.
    pub fn count(&mut self, change: &RoleDifference) {
        if change.after > change.before { self.gain += 1 } else { self.lose += 1 }
    }
}
