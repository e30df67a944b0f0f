//! `audit/diff`: differences in access between two instants.

use super::{ListName, ListQuery, PairQuery, QueryContext, Selection, SpanHeading};
use crate::domain::model::principal::Principal;
use crate::domain::model::time::{Instant, Span};
use crate::domain::state::view::View;
use crate::query::diff::Diff;
use crate::query::error::QueryError;
use crate::query::parameters::{Parameters, value};

/// The query of the list with its two instants.
#[derive(Debug, Clone)]
pub struct DiffListQuery {
    query: PairQuery,
    from: Instant,
    span: Span,
}

impl ListQuery for DiffListQuery {
    type Heading = SpanHeading<PairQuery>;
    type Rows = Diff;

    const NAME: ListName = ListName::Diff;
    const PARAMETERS: &'static [&'static str] = &["environment", "principal", "from", "until"];
    const IS_LONG: bool = true;

    fn parse(parameters: &mut impl Parameters) -> Result<Self, QueryError> {
        let query = PairQuery::parse(parameters);
        let from: Option<Instant> = value(parameters, "from")?;
        let needed = || QueryError::Invalid("`from`: the earlier of the two instants is needed".to_owned());
        let from = from.ok_or_else(needed)?;
        let span = Span::new(Some(from), value(parameters, "until")?).map_err(QueryError::reversed_span)?;
        Ok(Self { query, from, span })
    }

    fn run(self, context: &QueryContext) -> Result<(Self::Heading, Diff), QueryError> {
        let Self { query, from, span } = self;
        let view = &context.view;
        let until = later_instant(from, &span, view)?;
        let through = Span::new(Some(from), Some(until.next())).unwrap_or(span);
        let Selection { environments, principals } = query.within(context, &through)?;
        let has_environment = |id| environments.as_ref().is_none_or(|selected| selected.contains(&id));
        let has_principal = |one: &Principal| principals.as_ref().is_none_or(|selected| selected.contains(one));
        let diff = Diff::new(view.back_to(from), view.back_to(until), has_environment, has_principal);
        Ok((SpanHeading::of(view, Some(from), Some(until), query), diff))
    }
}

/// Returns the later instant, which is the view's by default.
fn later_instant(from: Instant, span: &Span, view: &View) -> Result<Instant, QueryError> {
    let now = view.instant();
    let until = span.until().unwrap_or(now);
    if until > now {
        let why = format!("`until`: `{until}` is later than now, {now}: leave it out to compare with now");
        return Err(QueryError::Invalid(why));
    }
    if from > until { Err(QueryError::reversed_span((from, until))) } else { Ok(until) }
}
