//! `audit/tenures`: who had access to what at any time of a span, from when until when.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;

use super::{ListName, ListQuery, PairQuery, QueryContext, Selection, SpanHeading};
use crate::domain::model::role::EnvironmentRole;
use crate::domain::model::time::{Instant, Span};
use crate::query::error::QueryError;
use crate::query::pairs::Pairs;
use crate::query::parameters::{Parameters, value};
use crate::query::tenure::{SOURCE_PAIRS_MAX, Tenures};

/// The query of the list, as its answer repeats it.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct TenuresQuery {
    /// Environments and principals.
    #[serde(flatten)]
    pub pairs: PairQuery,
    /// Only this role.
    pub role: Option<EnvironmentRole>,
}

/// The query of the list with its span.
#[derive(Debug, Clone)]
pub struct TenureListQuery {
    query: TenuresQuery,
    from: Option<Instant>,
    until: Option<Instant>,
    span: Span,
}

impl ListQuery for TenureListQuery {
    type Heading = SpanHeading<TenuresQuery>;
    type Rows = Tenures;

    const NAME: ListName = ListName::Tenures;
    const PARAMETERS: &'static [&'static str] = &["environment", "principal", "role", "from", "until"];

    fn parse(parameters: &mut impl Parameters) -> Result<Self, QueryError> {
        let query = TenuresQuery { pairs: PairQuery::parse(parameters), role: value(parameters, "role")? };
        let (from, until) = (value(parameters, "from")?, value(parameters, "until")?);
        let span = Span::new(from, until).map_err(QueryError::reversed_span)?;
        Ok(Self { query, from, until, span })
    }

    fn run(self, context: &QueryContext) -> Result<(Self::Heading, Tenures), QueryError> {
        let Self { query, from, until, span } = self;
        let view = &context.view;
        let Selection { environments, principals } = query.pairs.within(context, &span)?;
        let environments = environments.unwrap_or_else(|| view.environments_of_all_time().collect());
        let principals = principals.unwrap_or_else(|| view.principals_of_all_time().collect());
        let pairs = Pairs::all(environments, principals);
        let is_of_everyone = query.pairs.principal.is_none() && pairs.len() <= SOURCE_PAIRS_MAX;
        let tenures = Tenures::new(view.clone(), span, query.role, pairs);
        let tenures = match context.tenures.as_ref().filter(|_| is_of_everyone) {
            Some(source) => tenures.from_source(Arc::clone(source)),
            None => tenures,
        };
        Ok((SpanHeading::of(view, from, until, query), tenures))
    }
}
