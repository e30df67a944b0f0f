//! Every route, in one table: what it is called, who may ask, what it takes and gives, and who answers.
//!
//! The router and the `OpenAPI` document are both made from this table, and the tests go through it: a route that is not here
//! does not exist, and one that is has to be refused to everyone who may not ask.

mod credentials;
mod log;
mod people;
mod questions;
mod resources;
mod rows;

use std::sync::Arc;

use axum::Router;
use axum::http::Method;
use axum::routing::{MethodFilter, MethodRouter, on};
use schemars::{JsonSchema, Schema, SchemaGenerator};

use super::App;
use super::cross_site::{self, Guard};
use super::response::Page;
use crate::log::journal::AnswerForm;

/// Who may ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// Anyone, without a credential.
    Anyone,
    /// The operator.
    Operator,
    /// An owner, or the operator.
    Owners,
    /// An owner, a manager, or the operator.
    Administrators,
    /// As administrators, or an `auditor` key.
    Auditors,
    /// Any principal, about itself or what it has access to; auditors about everything.
    Principals,
    /// As principals, or an `evaluator` key.
    Evaluators,
    /// A proxy token.
    ProxyTokens,
}

/// What kind of request it is, by which the parameters that it takes are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Takes no parameter.
    Plain,
    /// Asks about a view.
    Read,
    /// Lists what is in a view, with more filters.
    List(&'static [&'static str]),
    /// Lists what is kept beside the log, with these filters: not of a view, but as it is now.
    Journal(&'static [&'static str]),
    /// Lists the log of a workspace, with more filters, or follows it.
    Log(&'static [&'static str]),
    /// Lists the feed of the instance, or follows it.
    Feed,
    /// Gives a report, in one of its forms, with these filters.
    Report(&'static [&'static str]),
    /// Decides in a view.
    Decide,
    /// Compares two sizes of a log.
    Consistency,
    /// Asks what commands would change.
    Simulate,
    /// Makes a change.
    Write,
}

/// Makes the schema of a shape.
pub type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

/// What an answer holds.
#[derive(Clone, Copy)]
pub enum ResponseContent {
    /// Nothing.
    Nothing,
    /// Text of a media type.
    Text(&'static str),
    /// Bytes of a media type.
    Bytes(&'static str),
    /// A JSON object that has a description of its own.
    Object,
    /// A shape.
    Shape(SchemaOf),
    /// `{revision, events}`, these entities, each under its kind, and the checkpoint that the change is durable with.
    Change(&'static [(&'static str, SchemaOf)]),
}

/// A route.
pub struct Route {
    /// The method; none for all of them.
    pub method: Option<Method>,
    /// The path, with its parameters in braces; one that begins with `*` takes all that is left.
    pub path: &'static str,
    /// What it does, in a sentence.
    pub summary: &'static str,
    /// Who may ask.
    pub who: Who,
    /// What kind of request it is.
    pub kind: Kind,
    /// The parameters that it takes beside those of its kind.
    pub parameters: &'static [&'static str],
    /// The shape of the body, if it takes one.
    pub body: Option<SchemaOf>,
    /// The status of success.
    pub status: u16,
    /// What the answer holds.
    pub content: ResponseContent,
    /// The forms that the answer can be asked for in, by `Accept`; one if it makes no difference.
    pub forms: &'static [AnswerForm],
    handler: Handler,
}

type Handler = MethodRouter<Arc<App>>;

fn of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

impl Route {
    fn new(method: Option<Method>, path: &'static str, summary: &'static str, who: Who, handler: Handler) -> Self {
        let read = method.as_ref().is_none_or(|method| method == Method::GET);
        let (kind, content) =
            if read { (Kind::Read, ResponseContent::Nothing) } else { (Kind::Write, ResponseContent::Change(&[])) };
        let status = if method == Some(Method::POST) { 201 } else { 200 };
        let (parameters, forms) = (&[], &[AnswerForm::Json]);
        Self { method, path, summary, who, kind, parameters, body: None, status, content, forms, handler }
    }

    fn kind(self, kind: Kind) -> Self {
        Self { kind, ..self }
    }

    fn with_parameters(self, parameters: &'static [&'static str]) -> Self {
        Self { parameters, ..self }
    }

    fn accepts<T: JsonSchema>(self) -> Self {
        Self { body: Some(of::<T>), ..self }
    }

    fn returns<T: JsonSchema>(self) -> Self {
        Self { content: ResponseContent::Shape(of::<T>), ..self }
    }

    fn lists<T: JsonSchema>(self) -> Self {
        Self { kind: Kind::List(&[]), content: ResponseContent::Shape(of::<Page<T>>), ..self }
    }

    fn changes(self, entities: &'static [(&'static str, SchemaOf)]) -> Self {
        Self { content: ResponseContent::Change(entities), ..self }
    }

    fn text(self, media_type: &'static str) -> Self {
        Self { content: ResponseContent::Text(media_type), ..self }
    }

    fn bytes(self, media_type: &'static str) -> Self {
        Self { content: ResponseContent::Bytes(media_type), ..self }
    }

    fn object(self) -> Self {
        Self { content: ResponseContent::Object, ..self }
    }

    fn forms(self, forms: &'static [AnswerForm]) -> Self {
        Self { forms, ..self }
    }

    fn status(self, status: u16) -> Self {
        Self { status, ..self }
    }
}

macro_rules! verbs {
    ($($name:ident = $verb:ident;)*) => {$(
        fn $name<H, T>(path: &'static str, summary: &'static str, who: Who, handler: H) -> Route
        where
            H: axum::handler::Handler<T, Arc<App>>,
            T: 'static,
        {
            Route::new(Some(Method::$verb), path, summary, who, on(MethodFilter::$verb, handler))
        }
    )*};
}
verbs! { get = GET; post = POST; put = PUT; patch = PATCH; delete = DELETE; }

/// Every route.
pub fn table() -> Vec<Route> {
    let rows = [
        rows::operations(),
        rows::workspaces(),
        people::rows(),
        rows::environments(),
        resources::rows(),
        credentials::rows(),
        questions::decisions(),
        questions::rows(),
        log::rows(),
    ];
    rows.into_iter().flatten().collect()
}

/// The router of every route, each behind its guard; `base_url` is where the server is reached.
pub fn router(base_url: &str) -> Router<Arc<App>> {
    let origin: Arc<str> = guard::origin(base_url).into();
    table().into_iter().fold(Router::new(), |router, route| {
        let guard = Guard::of(&route, &origin);
        let Route { path, handler, .. } = route;
        router.route(path, guard.into_iter().fold(handler, |handler, guard| handler.route_layer(guard)))
    })
}
