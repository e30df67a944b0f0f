//! The table of all routes. A row has the path, the callers that its guard admits, the handler, and what success looks like.
//!
//! The router, the guards and the `OpenAPI` document are all made from the rows. The tests read them too: a route without a refusal test
//! fails.

mod credentials;
mod log;
mod people;
mod questions;
mod resources;
mod rows;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::handler::Handler;
use axum::http::Method;
use axum::routing::{self, MethodFilter, MethodRouter, on};
use schemars::JsonSchema;

use super::App;
use super::cross_site::{self, CrossSiteGuard};
pub use super::guard::Who;
use super::guard::{Callers, RouteHandler};
pub use super::input::SchemaOf;
use super::input::{Reads, schema_of};
use super::paging::Page;
use crate::log::journal::AnswerForm;

/// The parameters of a page of a view.
const PAGE_OF_VIEW: &[&str] = &["at", "revision", "at_least", "limit", "cursor"];

/// The purpose of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RouteKind {
    /// Reads.
    Read,
    /// Lists the log of a workspace, or follows it.
    Log,
    /// Lists the feed of the instance, or follows it.
    Feed,
    /// Decides in a view.
    Decide,
    /// Compares two sizes of a log.
    Consistency,
    /// Asks what commands would change.
    Simulate,
    /// Makes a change.
    Write,
}

/// The content of a successful response.
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
    /// A JSON value of a shape.
    Shape(SchemaOf),
    /// `{revision, events}`, these entities, each under its kind, and the checkpoint that the change is durable with.
    Change(&'static [(&'static str, SchemaOf)]),
}

/// A route.
pub struct Route {
    /// The method; none for all of them.
    pub method: Option<Method>,
    /// The path, with its parameters in braces; one that begins with `*` takes the rest of the path.
    pub path: &'static str,
    /// A sentence that says what the route does.
    pub summary: &'static str,
    /// The callers that its guard admits.
    pub who: Who,
    /// The purpose of its requests.
    pub kind: RouteKind,
    /// The values that its handler reads from a request.
    pub reads: Reads,
    /// The status of success.
    pub status: u16,
    /// The content of success.
    pub content: ResponseContent,
    /// The forms that a caller can choose from by `Accept`; one if it makes no difference.
    pub forms: &'static [AnswerForm],
    handler: MethodRouter<Arc<App>>,
}

impl Route {
    fn new(
        method: Option<Method>,
        path: &'static str,
        summary: &'static str,
        who: Who,
        reads: Reads,
        handler: MethodRouter<Arc<App>>,
    ) -> Self {
        let changes = method.as_ref().is_some_and(|method| *method != Method::GET);
        let (kind, content) = if changes {
            (RouteKind::Write, ResponseContent::Change(&[]))
        } else {
            (RouteKind::Read, ResponseContent::Nothing)
        };
        let status = if method == Some(Method::POST) { 201 } else { 200 };
        Self { method, path, summary, who, kind, reads, status, content, forms: &[AnswerForm::Json], handler }
    }

    /// Makes a row of the table that everyone may get, without a credential.
    fn open<H: Handler<T, Arc<App>>, T: 'static>(path: &'static str, summary: &'static str, handler: H) -> Self {
        Self::new(Some(Method::GET), path, summary, Who::Anyone, Reads::default(), routing::get(handler))
    }

    /// Makes a row of the table for proxies, by any method. Its handler authenticates a proxy token.
    fn for_proxies<H: Handler<T, Arc<App>>, T: 'static>(path: &'static str, summary: &'static str, handler: H) -> Self {
        Self::new(None, path, summary, Who::ProxyTokens, Reads::default(), routing::any(handler))
    }

    fn kind(self, kind: RouteKind) -> Self {
        Self { kind, ..self }
    }

    /// Names parameters of the query that the handler parses by itself.
    fn with_parameters(mut self, parameters: &[&'static str]) -> Self {
        self.reads.query.extend(parameters);
        self
    }

    /// Gives the shape of a body that the handler parses by itself.
    fn accepts<T: JsonSchema>(mut self) -> Self {
        self.reads.body = Some(schema_of::<T>);
        self
    }

    fn returns<T: JsonSchema>(self) -> Self {
        Self { content: ResponseContent::Shape(schema_of::<T>), ..self }
    }

    fn lists<T: JsonSchema>(self) -> Self {
        self.returns::<Page<T>>()
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
        /// Makes a row of the table: the callers, and the handler behind their guard.
        fn $name<C, H, M>(path: &'static str, summary: &'static str, _: C, handler: H) -> Route
        where
            C: Callers,
            H: RouteHandler<C, M>,
            M: 'static,
        {
            let guarded = move |State(app): State<Arc<App>>, request: Request| handler.respond(request, app);
            let routed = on(MethodFilter::$verb, guarded);
            Route::new(Some(Method::$verb), path, summary, C::WHO, H::reads(), routed)
        }
    )*};
}
verbs! { get = GET; post = POST; put = PUT; patch = PATCH; delete = DELETE; }

/// Returns all routes.
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

/// Returns the router of all routes of a server at `base_url`, each with its cross-site checks.
pub fn router(base_url: &str) -> Router<Arc<App>> {
    let origin: Arc<str> = cross_site::origin(base_url).into();
    table().into_iter().fold(Router::new(), |router, route| {
        let guard = CrossSiteGuard::of(&route, &origin);
        let Route { path, handler, .. } = route;
        router.route(path, guard.into_iter().fold(handler, |handler, guard| handler.route_layer(guard)))
    })
}
