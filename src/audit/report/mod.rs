//! Reports: the questions that auditors ask by name, each answered in full, from one view.
//!
//! Pure: the same view, question and uses give the same rows and the same bytes for ever. Knows nothing of how a report is asked for or
//! sent; [`body`] says what it is as JSON, [`page`] as a page to read and print.

pub mod access;
pub mod body;
pub mod catalogue;
pub mod changes;
pub mod chart;
pub mod credentials;
pub mod held;
pub mod page;
pub mod people;
pub mod stint;
pub mod svg;
pub mod table;
pub mod window;

use std::collections::BTreeMap;
use std::sync::Arc;

use super::credentials::AnyCredential;
use crate::domain::model::event::Event;
use crate::domain::model::id::EnvironmentId;
use crate::domain::model::principal::Principal;
use crate::domain::model::time::{Instant, Revision, Span};
use crate::domain::state::view::View;
use catalogue::ReportName;
use chart::Chart;
use table::{Column, Row};

/// The most rows of a report.
pub const ROWS_MAX: usize = 100_000;
/// The most pairs of a principal and an environment that a report looks at.
pub const PAIRS_MAX: usize = 1_000_000;
/// The days that a credential may be unused, or a grant last, if nobody says.
pub const DAYS_DEFAULT: u32 = 90;
/// The most days that can be asked about: a hundred years.
pub const DAYS_MAX: u32 = 36_500;

const DAY_MICROS: i64 = 86_400_000_000;
const MINUTE_MICROS: i64 = 60_000_000;

/// When each credential was last used: it moves outside the log, so that nobody knows it of the past.
pub type Uses = BTreeMap<AnyCredential, Instant>;

/// What a report is asked about.
#[derive(Debug, Clone)]
pub struct Asked {
    /// What is known: the instant of a report about one, the newest instant that counts of a report about a period.
    pub view: View,
    /// The period.
    pub span: Span,
    /// How many days are too many.
    pub days: u32,
    /// Only these environments.
    pub environments: Option<Vec<EnvironmentId>>,
    /// Only these principals.
    pub principals: Option<Vec<Principal>>,
    /// When credentials were used; none for a view of the past.
    pub uses: Option<Uses>,
}

impl Asked {
    fn asks_environment(&self, environment: EnvironmentId) -> bool {
        self.environments.as_ref().is_none_or(|asked| asked.contains(&environment))
    }

    fn asks_principal(&self, principal: &Principal) -> bool {
        self.principals.as_ref().is_none_or(|asked| asked.contains(principal))
    }

    fn principals(&self) -> Vec<Principal> {
        self.view.principals().filter(|principal| self.asks_principal(principal)).collect()
    }

    fn environments(&self) -> Vec<EnvironmentId> {
        self.view.environments().map(|place| place.id).filter(|id| self.asks_environment(*id)).collect()
    }

    /// Every event of the period, in order.
    fn events(&self) -> impl Iterator<Item = Arc<Event>> {
        let before = Instant::from_micros(self.span.from().micros().saturating_sub(1));
        let workspace = self.view.workspace();
        let events = workspace.events(workspace.revision_at(before), self.view.revision());
        events.take_while(|event| self.span.until().is_none_or(|until| event.time < until))
    }

    /// Whether the event of a revision, if there is one, happened in the period.
    fn happened(&self, revision: Option<Revision>) -> bool {
        revision.is_some_and(|revision| self.span.contains(self.view.time_of(revision)))
    }
}

/// Why a report cannot be given in full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TooLarge {
    /// It has too many rows.
    #[error("more than 100,000 rows")]
    Rows,
    /// It would have to look at too much.
    #[error("more than 1,000,000 pairs of a principal and an environment to look at")]
    Pairs,
}

/// A report, made.
#[derive(Debug, Clone)]
pub struct Report {
    /// Which.
    pub name: ReportName,
    /// Its columns.
    pub columns: &'static [Column],
    /// Its rows, in order.
    pub rows: Vec<Row>,
    /// Its rows as bars on a time axis, as far as they fit.
    pub chart: Chart,
}

/// What has been found so far.
#[derive(Debug, Default)]
struct Found {
    rows: Vec<Row>,
    chart: Chart,
    pairs: usize,
}

impl Found {
    fn add(&mut self, row: impl Into<Row>) -> Result<(), TooLarge> {
        if self.rows.len() >= ROWS_MAX {
            return Err(TooLarge::Rows);
        }
        self.rows.push(row.into());
        Ok(())
    }

    /// Counts a pair of a principal and an environment that is looked at.
    fn look(&mut self) -> Result<(), TooLarge> {
        self.pairs += 1;
        if self.pairs > PAIRS_MAX { Err(TooLarge::Pairs) } else { Ok(()) }
    }
}

type Make = fn(&Asked, &mut Found) -> Result<(), TooLarge>;

const fn maker(name: ReportName) -> (&'static [Column], Make) {
    match name {
        ReportName::Roster => (access::RosterRow::COLUMNS, access::roster),
        ReportName::Privileged => (access::PrivilegedRow::COLUMNS, access::privileged),
        ReportName::Changes => (changes::ChangeRow::COLUMNS, changes::changes),
        ReportName::Joiners => (people::JoinerRow::COLUMNS, people::joiners),
        ReportName::Leavers => (people::LeaverRow::COLUMNS, people::leavers),
        ReportName::Movers => (people::MoverRow::COLUMNS, people::movers),
        ReportName::ServiceUsers => (credentials::ServiceUserRow::COLUMNS, credentials::service_users),
        ReportName::Dormant => (credentials::DormantRow::COLUMNS, credentials::dormant),
        ReportName::Orphans => (credentials::OrphanRow::COLUMNS, credentials::orphans),
        ReportName::OutsideWindow => (window::WindowRow::COLUMNS, window::outside_window),
    }
}

/// The columns of a report.
pub const fn columns(name: ReportName) -> &'static [Column] {
    maker(name).0
}

/// Makes a report.
///
/// # Errors
/// It would be too large.
pub fn report(name: ReportName, asked: &Asked) -> Result<Report, TooLarge> {
    let (columns, make) = maker(name);
    let mut found = Found::default();
    make(asked, &mut found)?;
    let Found { rows, chart, .. } = found;
    Ok(Report { name, columns, rows, chart })
}

/// The whole days between two instants; 0 if the second is the earlier.
fn days_between(from: Instant, until: Instant) -> i64 {
    until.micros().saturating_sub(from.micros()).max(0) / DAY_MICROS
}

/// The minutes from one instant to another, negative if the second is the earlier; a part of one counts as a whole one, so that
/// no second is hidden.
fn minutes_between(from: Instant, until: Instant) -> i64 {
    let micros = until.micros().saturating_sub(from.micros());
    let whole = micros.abs().div_euclid(MINUTE_MICROS) + i64::from(micros.rem_euclid(MINUTE_MICROS) != 0);
    whole * micros.signum()
}

/// The instant this many days after another.
fn days_after(instant: Instant, days: u32) -> Instant {
    Instant::from_micros(instant.micros().saturating_add(i64::from(days).saturating_mul(DAY_MICROS)))
}
