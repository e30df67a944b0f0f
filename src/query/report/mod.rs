//! Reports: named queries of auditors, each answered in full from one view.
//!
//! Pure: the same view, request and uses give the same rows and the same bytes. [`body`] writes a report as JSON and CSV, [`page`] as an
//! HTML page to read and print.

pub mod access;
pub mod body;
pub mod catalogue;
pub mod changes;
pub mod chart;
pub mod credentials;
pub mod held;
pub mod membership;
pub mod page;
pub mod people;
pub mod request;
pub mod svg;
pub mod table;
pub mod window;

use crate::domain::model::time::Instant;
use catalogue::ReportName;
use chart::Chart;
use request::ReportRequest;
use table::{ReportColumn, ReportRow};

/// The most rows of a report.
pub const ROWS_MAX: usize = 100_000;
/// The most pairs of a principal and an environment that a report examines.
pub const PAIRS_MAX: usize = 1_000_000;
/// The default limit in days, for an unused credential and for the length of a grant.
pub const DAYS_DEFAULT: u32 = 90;
/// The longest limit in days: a hundred years.
pub const DAYS_MAX: u32 = 36_500;

const DAY_MICROS: i64 = 86_400_000_000;
const MINUTE_MICROS: i64 = 60_000_000;

/// The limit that a report would exceed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TooLarge {
    /// The limit of rows.
    #[error("more than 100,000 rows")]
    Rows,
    /// The limit of examined pairs.
    #[error("more than 1,000,000 pairs of a principal and an environment to look at")]
    Pairs,
}

/// A finished report.
#[derive(Debug, Clone)]
pub struct Report {
    /// Its name.
    pub name: ReportName,
    /// Its columns.
    pub columns: &'static [ReportColumn],
    /// Its rows, in order.
    pub rows: Vec<ReportRow>,
    /// Its rows as bars on a time axis, as many as fit.
    pub chart: Chart,
}

/// The rows and bars of an unfinished report.
#[derive(Debug, Default)]
struct ReportBuilder {
    rows: Vec<ReportRow>,
    chart: Chart,
    pairs: usize,
}

impl ReportBuilder {
    fn add(&mut self, row: impl Into<ReportRow>) -> Result<(), TooLarge> {
        if self.rows.len() >= ROWS_MAX {
            return Err(TooLarge::Rows);
        }
        self.rows.push(row.into());
        Ok(())
    }

    /// Counts one examined pair of a principal and an environment.
    fn count_pair(&mut self) -> Result<(), TooLarge> {
        self.pairs += 1;
        if self.pairs > PAIRS_MAX { Err(TooLarge::Pairs) } else { Ok(()) }
    }
}

type Make = fn(&ReportRequest, &mut ReportBuilder) -> Result<(), TooLarge>;

const fn maker(name: ReportName) -> (&'static [ReportColumn], Make) {
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

/// Returns the columns of a report.
pub const fn columns(name: ReportName) -> &'static [ReportColumn] {
    maker(name).0
}

/// Makes a report.
///
/// # Errors
/// The limit that it would exceed.
pub fn report(name: ReportName, request: &ReportRequest) -> Result<Report, TooLarge> {
    let (columns, make) = maker(name);
    let mut builder = ReportBuilder::default();
    make(request, &mut builder)?;
    let ReportBuilder { rows, chart, .. } = builder;
    Ok(Report { name, columns, rows, chart })
}

/// Returns the whole days between two instants; 0 if the second is the earlier.
fn days_between(from: Instant, until: Instant) -> i64 {
    until.micros().saturating_sub(from.micros()).max(0) / DAY_MICROS
}

/// Returns the minutes from one instant to another, negative if the second is the earlier. A part of a minute counts as a whole one, so
/// no second is hidden.
fn minutes_between(from: Instant, until: Instant) -> i64 {
    let micros = until.micros().saturating_sub(from.micros());
    let whole = micros.abs().div_euclid(MINUTE_MICROS) + i64::from(micros.rem_euclid(MINUTE_MICROS) != 0);
    whole * micros.signum()
}

/// Returns the instant `days` days after another.
fn days_after(instant: Instant, days: u32) -> Instant {
    Instant::from_micros(instant.micros().saturating_add(i64::from(days).saturating_mul(DAY_MICROS)))
}
