//! `audit/access`: who has access to what.

use super::{ListHeading, ListName, ListQuery, PairQuery, QueryContext};
use crate::domain::model::id::EnvironmentId;
use crate::domain::model::principal::Principal;
use crate::domain::state::view::View;
use crate::query::error::QueryError;
use crate::query::pairs::Pairs;
use crate::query::parameters::Parameters;
use crate::query::roster::Roster;

/// The query of the list.
#[derive(Debug, Clone)]
pub struct AccessListQuery(PairQuery);

impl ListQuery for AccessListQuery {
    type Heading = ListHeading<PairQuery>;
    type Rows = Roster;

    const NAME: ListName = ListName::Access;
    const PARAMETERS: &'static [&'static str] = &["environment", "principal"];

    fn parse(parameters: &mut impl Parameters) -> Result<Self, QueryError> {
        Ok(Self(PairQuery::parse(parameters)))
    }

    fn run(self, context: &QueryContext) -> Result<(Self::Heading, Roster), QueryError> {
        let (Self(query), view) = (self, &context.view);
        query.check(&context.now)?;
        let pairs = Pairs::all(environments(view, &query), principals(view, &query));
        Ok((ListHeading::of(view, query), Roster { view: view.clone(), pairs }))
    }
}

fn environments(view: &View, query: &PairQuery) -> Vec<EnvironmentId> {
    match query.environment.as_deref().map(|named| view.find_environment(&named.into())) {
        Some(found) => found.into_iter().map(|found| found.id).collect(),
        None => view.environments().map(|found| found.id).collect(),
    }
}

fn principals(view: &View, query: &PairQuery) -> Vec<Principal> {
    match query.principal.as_deref().map(|named| view.find_principal(&named.into())) {
        Some(found) => found.into_iter().collect(),
        None => view.principals().collect(),
    }
}
