//! The rolls that are kept, so that who had access over a span of time is found without judging anything twice.
//!
//! They are beside the facts and bounded: the one that is asked for least goes first, and is made again when it is asked for. What is
//! found through them is exactly what [`tenures_in`] finds; where no roll can say it, that is asked. *(tests/domain/rolls.rs)*

use std::sync::Arc;

use moka::sync::Cache;

use super::roll::{Line, LogTime, Mark, Roll};
use super::tenure::{Tenure, tenures_in};
use crate::domain::model::id::{EnvironmentId, WorkspaceId};
use crate::domain::model::principal::Principal;
use crate::domain::model::role::EnvironmentRole;
use crate::domain::model::time::{Instant, Revision, Span};
use crate::domain::state::view::{At, View};

/// The most pairs that a question is worth answering through rolls: the rolls of more would push each other out.
pub const PAIRS_MAX: usize = 131_072;

/// The rolls of environments, of whatever workspace. Copies share them.
#[derive(Debug, Clone)]
pub struct Rolls {
    kept: Cache<(WorkspaceId, EnvironmentId), Arc<Roll>>,
}

impl Rolls {
    /// None yet; about so many bytes of them will be kept.
    pub fn holding(bytes: u64) -> Self {
        let weigh = |_: &_, roll: &Arc<Roll>| u32::try_from(roll.weigh()).unwrap_or(u32::MAX);
        Self { kept: Cache::builder().weigher(weigh).max_capacity(bytes).build() }
    }

    /// About how many bytes they take.
    pub fn bytes(&self) -> u64 {
        self.kept.run_pending_tasks();
        self.kept.weighted_size()
    }

    /// Tells of everyone who had access to an environment at some instant of a span, above `no_access`, each of their tenures in it: in
    /// the order of principals, then of time.
    pub fn who_had_access(
        &self,
        view: &View,
        environment: EnvironmentId,
        span: Span,
        mut tell: impl FnMut(&Principal, Tenure),
    ) {
        let Some(open) = self.open(view, environment) else {
            let everyone = view.principals_of_all_time();
            return everyone.for_each(|principal| judge_all(view, environment, &principal, span, &mut tell));
        };
        for (place, principal) in open.roll.principals().iter().enumerate() {
            match open.line(place) {
                Some(line) => line.within(open.known, span, open.time).for_each(|tenure| tell(principal, tenure)),
                None => judge_all(view, environment, principal, span, &mut tell),
            }
        }
    }

    /// The roll of an environment, at a view; none where it could not say what holds in that view.
    pub(super) fn open(&self, view: &View, environment: EnvironmentId) -> Option<OpenRoll> {
        let whole = whole(view)?;
        let mark = Mark::of(&whole, whole.revision())?;
        let roll = self.roll(&whole, mark, environment)?;
        let time = LogTime::of(&whole);
        Some(OpenRoll { rolls: self.clone(), roll, whole, time, known: view.instant() })
    }

    /// The roll of an environment, as far as the newest revision; none if it has been brought further already.
    fn roll(&self, whole: &View, mark: Mark, environment: EnvironmentId) -> Option<Arc<Roll>> {
        let kept = self.kept.get(&(whole.workspace().id(), environment));
        match kept {
            Some(kept) if kept.mark() == mark => return Some(kept),
            Some(kept) if kept.mark().revision() > mark.revision() => return None,
            _ => {}
        }
        let own = kept.filter(|kept| Mark::of(whole, kept.mark().revision()) == Some(kept.mark()));
        let brought = own.and_then(|kept| kept.brought_to(whole, mark));
        let roll = Arc::new(brought.unwrap_or_else(|| Roll::new(whole, environment, mark)));
        self.keep(whole.workspace().id(), &roll);
        Some(roll)
    }

    fn keep(&self, workspace: WorkspaceId, roll: &Arc<Roll>) {
        let key = (workspace, roll.environment());
        let is_newer = |kept: Arc<Roll>| kept.mark().revision() <= roll.mark().revision();
        if self.kept.get(&key).is_none_or(is_newer) {
            self.kept.insert(key, Arc::clone(roll));
        }
    }
}

/// The view of the newest revision at its own time, if what was held as far as another view can be told from what was held as far as this
/// one: no event of the other's time is hidden from it, and no facts begin in the middle of their log.
fn whole(view: &View) -> Option<View> {
    let workspace = view.workspace();
    let is_plain = view.revision() == workspace.revision_at(view.instant());
    let from_the_first = View::new(Arc::clone(workspace), At::Revision(Revision::ZERO), Instant::EARLIEST);
    (is_plain && from_the_first.is_ok()).then(|| View::at_head(Arc::clone(workspace)))
}

/// Tells of what a principal had, found out without a roll.
fn judge_all(
    view: &View,
    environment: EnvironmentId,
    principal: &Principal,
    span: Span,
    tell: &mut impl FnMut(&Principal, Tenure),
) {
    let found = tenures_in(view, environment, principal, span).into_iter();
    let above = found.filter(|tenure| tenure.held.role > EnvironmentRole::NoAccess);
    above.for_each(|tenure| tell(principal, tenure));
}

/// A roll, and the view that it is read at.
#[derive(Debug)]
pub(super) struct OpenRoll {
    rolls: Rolls,
    roll: Arc<Roll>,
    /// The view of the roll's revision, at its own time.
    whole: View,
    time: LogTime,
    /// The instant of the view that is asked about: what happened later is not known.
    known: Instant,
}

impl OpenRoll {
    /// The tenures above `no_access` of a principal that overlap a span, in order; none if the roll cannot say.
    pub(super) fn tenures_in(&self, principal: &Principal, span: Span) -> Option<Vec<Tenure>> {
        let line = self.line(self.roll.place_of(principal)?)?;
        Some(line.within(self.known, span, self.time).collect())
    }

    /// The line of a place, unless a grant has passed its end since and no event says so yet.
    fn line(&self, place: usize) -> Option<&Line> {
        let outgrown = || self.rolls.keep(self.whole.workspace().id(), &self.roll);
        self.roll.line(place, &self.whole, outgrown).filter(|line| line.lasts_until(self.known))
    }
}
