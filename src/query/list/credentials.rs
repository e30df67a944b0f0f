//! `audit/credentials`: the live credentials.

use schemars::JsonSchema;
use serde::Serialize;

use super::{ListHeading, ListName, ListQuery, QueryContext, known_actor};
use crate::domain::model::principal::Actor;
use crate::query::credentials::Credentials;
use crate::query::error::QueryError;
use crate::query::parameters::Parameters;

/// The query of the list, as its answer repeats it.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct CredentialsQuery {
    /// Only credentials that this actor issued.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issued_by: Option<Actor>,
}

/// The query of the list, with the issuer's name as given.
#[derive(Debug, Clone)]
pub struct CredentialListQuery {
    issuer: Option<String>,
}

impl ListQuery for CredentialListQuery {
    type Heading = ListHeading<CredentialsQuery>;
    type Rows = Credentials;

    const NAME: ListName = ListName::Credentials;
    const PARAMETERS: &'static [&'static str] = &["issued_by"];

    fn parse(parameters: &mut impl Parameters) -> Result<Self, QueryError> {
        Ok(Self { issuer: parameters.take("issued_by") })
    }

    fn run(self, context: &QueryContext) -> Result<(Self::Heading, Credentials), QueryError> {
        let issued_by = self.issuer.map(|issuer| known_actor(&context.now, &issuer)).transpose()?;
        let credentials = Credentials::issued_by(context.view.clone(), issued_by.as_ref());
        let credentials = credentials.with_last_uses(context.last_uses.clone());
        Ok((ListHeading::of(&context.view, CredentialsQuery { issued_by }), credentials))
    }
}
