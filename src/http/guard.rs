//! The guard of every route. A row of the route table names the callers that the route admits. The type of the handler's request says what
//! the handler may do.
//!
//! The guard reads the request to its end, authenticates it, finds the workspace, authorises the caller, and parses the path, the query
//! and the body. A handler receives values, so it cannot forget a check. All of it rests on one instant: the clock and the facts are read
//! together, once, after the request is complete.
//!
//! Changes are the exception: the writer authorises their commands at the revision at which it writes them. The guard only refuses access
//! keys, which change nothing.

use std::future::Future;
use std::ops::Deref;
use std::sync::Arc;

use axum::extract::Request;
use serde::de::DeserializeOwned;

use super::App;
use super::change::{change, entities};
use super::cross_site::is_json;
use super::handlers::HandlerResult;
use super::input::{Input, Reads};
use super::params::Params;
use super::problem::Problem;
use super::request::{AuthenticatedRequest, ReadAccess, WorkspaceRequest};
use crate::domain::model::command::Command;
use crate::domain::model::name::Reason;
use crate::domain::model::principal::{Caller, Principal};
use crate::domain::model::role::AccessKeyRole;

/// The callers that a route admits.
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

/// The callers of a route, as a type: a row whose handler takes another kind of request does not compile.
pub trait Callers: Copy + Send + Sync + 'static {
    /// The callers, for the `OpenAPI` document and the tests.
    const WHO: Who;
}

macro_rules! callers {
    ($($(#[doc = $doc:literal])+ $name:ident;)*) => {$(
        $(#[doc = $doc])+
        #[derive(Debug, Clone, Copy)]
        pub struct $name;

        impl Callers for $name {
            const WHO: Who = Who::$name;
        }
    )*};
}

callers! {
    /// The operator.
    Operator;
    /// An owner, or the operator.
    Owners;
    /// An owner, a manager, or the operator.
    Administrators;
    /// As administrators, or an `auditor` key.
    Auditors;
    /// Any principal, about itself or what it has access to; auditors about everything.
    Principals;
    /// As principals, or an `evaluator` key.
    Evaluators;
}

/// A request that a handler receives.
pub trait GuardedRequest: Sized + Send + 'static {
    /// Returns the request beneath.
    fn authenticated(&self) -> &AuthenticatedRequest;

    /// Returns the request beneath.
    fn authenticated_mut(&mut self) -> &mut AuthenticatedRequest;

    /// Reads the parameters that all requests of its kind have, and refuses the rest.
    ///
    /// # Errors
    /// The request does not take a parameter (422).
    fn finish(&mut self, params: Params) -> Result<(), Problem> {
        params.finish()
    }
}

/// A request that some callers may make.
pub trait Admit<C: Callers>: GuardedRequest {
    /// Authorises the caller.
    ///
    /// # Errors
    /// The workspace does not exist for the caller (404), or the caller lacks the authority (403).
    fn admit(request: AuthenticatedRequest) -> impl Future<Output = Result<Self, Problem>> + Send;
}

/// A request to read everything in a workspace. It is proof that the caller may.
pub struct AuditRequest(WorkspaceRequest);

/// A request to read what concerns a principal, or everything.
pub struct PrincipalRequest {
    request: WorkspaceRequest,
    /// The one principal that the caller may read about; none if it may read about all.
    pub only: Option<Principal>,
}

/// A request for decisions. The body is JSON.
pub struct EvaluatorRequest(WorkspaceRequest);

/// A request to change a workspace. The writer authorises its commands.
pub struct ChangeRequest(pub WorkspaceRequest);

/// A request for a change whose workspace the handler finds: it is not there yet, or not any more.
pub struct UnscopedChange(pub AuthenticatedRequest);

impl GuardedRequest for AuthenticatedRequest {
    fn authenticated(&self) -> &AuthenticatedRequest {
        self
    }

    fn authenticated_mut(&mut self) -> &mut AuthenticatedRequest {
        self
    }
}

/// Makes a request of a workspace one that a handler receives.
macro_rules! in_workspace {
    ($($name:ident . $field:tt { $($finish:tt)* })*) => {$(
        impl Deref for $name {
            type Target = WorkspaceRequest;

            fn deref(&self) -> &WorkspaceRequest {
                &self.$field
            }
        }

        impl GuardedRequest for $name {
            fn authenticated(&self) -> &AuthenticatedRequest {
                &self.$field.request
            }

            fn authenticated_mut(&mut self) -> &mut AuthenticatedRequest {
                &mut self.$field.request
            }

            $($finish)*
        }
    )*};
}

in_workspace! {
    AuditRequest.0 {}
    PrincipalRequest.request {}
    EvaluatorRequest.0 {}
    ChangeRequest.0 {
        fn finish(&mut self, params: Params) -> Result<(), Problem> {
            self.0.request.reason = reason(params)?;
            Ok(())
        }
    }
}

impl GuardedRequest for UnscopedChange {
    fn authenticated(&self) -> &AuthenticatedRequest {
        &self.0
    }

    fn authenticated_mut(&mut self) -> &mut AuthenticatedRequest {
        &mut self.0
    }

    fn finish(&mut self, params: Params) -> Result<(), Problem> {
        self.0.reason = reason(params)?;
        Ok(())
    }
}

/// Reads the only parameter that every change has.
fn reason(mut params: Params) -> Result<Option<Reason>, Problem> {
    let reason = params.reason()?;
    if params.text("at").is_some() {
        return Err(Problem::invalid("`at`: the past cannot be changed; leave it out"));
    }
    params.finish().map(|()| reason)
}

fn evaluator_refused() -> Problem {
    Problem::forbidden("an `evaluator` key asks for decisions and reads nothing else")
}

fn check_operator(request: &AuthenticatedRequest) -> Result<(), Problem> {
    if request.caller == Caller::Operator { Ok(()) } else { Err(Problem::forbidden("only the operator may do this")) }
}

impl Admit<Operator> for AuthenticatedRequest {
    async fn admit(request: AuthenticatedRequest) -> Result<Self, Problem> {
        check_operator(&request).map(|()| request)
    }
}

impl Admit<Principals> for AuthenticatedRequest {
    async fn admit(request: AuthenticatedRequest) -> Result<Self, Problem> {
        match request.caller {
            Caller::AccessKey { role: AccessKeyRole::Evaluator, .. } => Err(evaluator_refused()),
            _ => Ok(request),
        }
    }
}

impl Admit<Operator> for UnscopedChange {
    async fn admit(request: AuthenticatedRequest) -> Result<Self, Problem> {
        check_operator(&request).map(|()| Self(request))
    }
}

impl Admit<Owners> for UnscopedChange {
    /// Admits everyone: a caller with no part in the workspace hears that it does not exist, and the writer authorises the others.
    async fn admit(request: AuthenticatedRequest) -> Result<Self, Problem> {
        Ok(Self(request))
    }
}

impl Admit<Auditors> for AuditRequest {
    async fn admit(request: AuthenticatedRequest) -> Result<Self, Problem> {
        let request = request.in_workspace().await?;
        if request.access == ReadAccess::All {
            return Ok(Self(request));
        }
        Err(Problem::forbidden("only an owner, a manager, the operator or an `auditor` key may read this"))
    }
}

impl Admit<Principals> for PrincipalRequest {
    async fn admit(request: AuthenticatedRequest) -> Result<Self, Problem> {
        let request = request.in_workspace().await?;
        let only = match &request.access {
            ReadAccess::All => None,
            ReadAccess::Own(principal) => Some(principal.clone()),
            ReadAccess::DecisionsOnly => return Err(evaluator_refused()),
        };
        Ok(Self { request, only })
    }
}

impl Admit<Evaluators> for EvaluatorRequest {
    /// Admits all who have a part in the workspace. The standard wants 400 where the body is of another media type (`AuthZEN` §10.1).
    async fn admit(request: AuthenticatedRequest) -> Result<Self, Problem> {
        let request = request.in_workspace().await?;
        if is_json(request.headers()) {
            return Ok(Self(request));
        }
        Err(Problem::malformed("`Content-Type` must be `application/json`"))
    }
}

impl<C: Callers> Admit<C> for ChangeRequest {
    async fn admit(request: AuthenticatedRequest) -> Result<Self, Problem> {
        let request = request.in_workspace().await?;
        check_no_access_key(&request).map(|()| Self(request))
    }
}

fn check_no_access_key(request: &AuthenticatedRequest) -> Result<(), Problem> {
    match request.caller {
        Caller::AccessKey { .. } => Err(Problem::forbidden("an access key asks and never changes")),
        _ => Ok(()),
    }
}

/// A handler of a route for some callers. It is a function of a request, a path and an input to a response, or of a path and an input to a
/// command.
pub trait RouteHandler<C: Callers, Marker>: Clone + Send + Sync + 'static {
    /// Returns the values that the handler reads from a request.
    fn reads() -> Reads;

    /// Guards a request and answers it.
    fn respond(self, request: Request, app: Arc<App>) -> impl Future<Output = HandlerResult> + Send;
}

/// Reads the path and the input of an admitted request.
fn read_values<R: GuardedRequest, P: DeserializeOwned, I: Input<R>>(request: &mut R) -> Result<(P, I), Problem> {
    let mut params = std::mem::take(&mut request.authenticated_mut().params);
    let path = request.authenticated().read_path()?;
    let input = I::read(&mut params, request)?;
    request.finish(params)?;
    Ok((path, input))
}

impl<C, R, P, I, F, Fut> RouteHandler<C, fn(R, P, I)> for F
where
    C: Callers,
    R: Admit<C>,
    P: DeserializeOwned + Send,
    I: Input<R>,
    F: Fn(R, P, I) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = HandlerResult> + Send,
{
    fn reads() -> Reads {
        Reads::of::<R, P, I>()
    }

    async fn respond(self, request: Request, app: Arc<App>) -> HandlerResult {
        let mut request = R::admit(AuthenticatedRequest::read(request, &app).await?).await?;
        let (path, input) = read_values(&mut request)?;
        self(request, path, input).await
    }
}

impl<C, P, I, F> RouteHandler<C, fn(P, I)> for F
where
    C: Callers,
    P: DeserializeOwned + Send,
    I: Input<ChangeRequest>,
    F: Fn(P, I) -> Command + Clone + Send + Sync + 'static,
{
    fn reads() -> Reads {
        Reads::of::<ChangeRequest, P, I>()
    }

    async fn respond(self, request: Request, app: Arc<App>) -> HandlerResult {
        let authenticated = AuthenticatedRequest::read(request, &app).await?;
        let mut request = <ChangeRequest as Admit<C>>::admit(authenticated).await?;
        let (path, input) = read_values(&mut request)?;
        change(request.0, vec![self(path, input)], entities).await
    }
}
