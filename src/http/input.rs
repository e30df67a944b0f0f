//! The values that handlers receive: the guard reads them from a request's path, query and body.

use std::ops::Deref;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::guard::GuardedRequest;
use super::paging::{Paging, SearchPaging};
use super::params::{Params, field_names};
use super::problem::Problem;
use super::request::{RequestedView, WorkspaceRequest};

/// Makes the schema of a shape.
pub type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

/// Returns the schema of a type, as a reference to its definition.
pub fn schema_of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

/// A value that the guard reads from a request's query or body, or from both: then it is a tuple of inputs.
pub trait Input<R>: Sized + Send {
    /// Returns the names of the parameters that it reads.
    fn names() -> Vec<&'static str> {
        Vec::new()
    }

    /// Returns the shape of the body that it reads.
    fn body() -> Option<SchemaOf> {
        None
    }

    /// Reads it, and takes its parameters out of the query.
    ///
    /// # Errors
    /// The request holds no such value (400, 422).
    fn read(params: &mut Params, request: &R) -> Result<Self, Problem>;
}

/// The path of a route that names nothing but its workspace.
#[derive(Debug, Deserialize)]
pub struct NoPath {}

/// Nothing: neither a parameter nor a body.
pub struct NoInput;

/// The parameters that the fields of a struct name.
pub struct QueryParams<T>(pub T);

/// A JSON body of this shape.
pub struct Json<T>(pub T);

/// A JSON body of this shape, or none.
pub struct OptionalJson<T>(pub Option<T>);

/// A body that is empty, or an empty object.
pub struct NoBody;

impl<R> Input<R> for NoInput {
    fn read(_: &mut Params, _: &R) -> Result<Self, Problem> {
        Ok(Self)
    }
}

impl<R> Input<R> for Params {
    /// Leaves the parsing to the handler: what a report takes depends on its name.
    fn read(params: &mut Params, _: &R) -> Result<Self, Problem> {
        Ok(std::mem::take(params))
    }
}

impl<R, T: DeserializeOwned + Send> Input<R> for QueryParams<T> {
    fn names() -> Vec<&'static str> {
        field_names::<T>().to_vec()
    }

    fn read(params: &mut Params, _: &R) -> Result<Self, Problem> {
        params.read().map(Self)
    }
}

impl<R: Deref<Target = WorkspaceRequest>> Input<R> for RequestedView {
    fn names() -> Vec<&'static str> {
        vec!["at", "revision", "at_least"]
    }

    fn read(params: &mut Params, request: &R) -> Result<Self, Problem> {
        request.view(params)
    }
}

impl<R: Deref<Target = WorkspaceRequest>> Input<R> for Paging {
    fn names() -> Vec<&'static str> {
        vec!["at", "revision", "at_least", "limit", "cursor"]
    }

    fn read(params: &mut Params, request: &R) -> Result<Self, Problem> {
        Self::of(request, params)
    }
}

impl<R: Deref<Target = WorkspaceRequest>> Input<R> for SearchPaging {
    fn names() -> Vec<&'static str> {
        vec!["at", "revision", "at_least"]
    }

    fn read(params: &mut Params, request: &R) -> Result<Self, Problem> {
        Self::of(request, params)
    }
}

impl<R: GuardedRequest, T: DeserializeOwned + JsonSchema + Send> Input<R> for Json<T> {
    fn body() -> Option<SchemaOf> {
        Some(schema_of::<T>)
    }

    fn read(_: &mut Params, request: &R) -> Result<Self, Problem> {
        request.authenticated().body().map(Self)
    }
}

impl<R: GuardedRequest, T: DeserializeOwned + JsonSchema + Send> Input<R> for OptionalJson<T> {
    fn body() -> Option<SchemaOf> {
        Some(schema_of::<T>)
    }

    fn read(_: &mut Params, request: &R) -> Result<Self, Problem> {
        let request = request.authenticated();
        if request.body_bytes().is_empty() { Ok(Self(None)) } else { request.body().map(Some).map(Self) }
    }
}

impl<R: GuardedRequest> Input<R> for NoBody {
    fn read(_: &mut Params, request: &R) -> Result<Self, Problem> {
        request.authenticated().no_body().map(|()| Self)
    }
}

impl<R, A: Input<R>, B: Input<R>> Input<R> for (A, B) {
    fn names() -> Vec<&'static str> {
        A::names().into_iter().chain(B::names()).collect()
    }

    fn body() -> Option<SchemaOf> {
        A::body().or_else(B::body)
    }

    fn read(params: &mut Params, request: &R) -> Result<Self, Problem> {
        Ok((A::read(params, request)?, B::read(params, request)?))
    }
}

/// The values that a handler reads from a request, for the `OpenAPI` document.
#[derive(Default)]
pub struct Reads {
    /// The parameters of the path.
    pub path: &'static [&'static str],
    /// The parameters of the query.
    pub query: Vec<&'static str>,
    /// The shape of the body.
    pub body: Option<SchemaOf>,
}

impl Reads {
    /// Returns the values that a handler of a path and an input reads.
    pub fn of<R, P: DeserializeOwned, I: Input<R>>() -> Self {
        Self { path: field_names::<P>(), query: I::names(), body: I::body() }
    }
}
