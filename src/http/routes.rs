//! Every route, in one table: what it is called, who may ask, what it takes and gives, and who answers.
//!
//! The router and the `OpenAPI` document are both made from this table, and the tests go through it: a route that is not here
//! does not exist, and one that is has to be refused to everyone who may not ask.

use std::sync::Arc;

use axum::Router;
use axum::http::Method;
use axum::routing::{MethodFilter, MethodRouter, any, get, on};
use schemars::{JsonSchema, Schema, SchemaGenerator};

use super::App;
use super::answer::Page;
use super::entity::{
    AccessKeyEntity, EnvironmentEntity, GrantEntity, MemberEntity, ProxyTokenEntity, ServiceUserEntity, TokenEntity,
    WorkspaceEntity,
};
use super::handlers::{
    access_keys, audit, commands, decisions, environments, events, grants, members, operations, proxy_auth,
    proxy_tokens, service_users, tokens, workspaces,
};
use crate::domain::command::{
    AddMember, ChangePlan, CreateEnvironment, CreateProxyToken, CreateServiceUser, CreateWorkspace, IssueAccessKey,
    Profile,
};

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
    /// Decides in a view.
    Decide,
    /// Makes a change.
    Write,
}

type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

/// What an answer holds.
#[derive(Clone, Copy)]
pub enum Gives {
    /// Nothing, or no JSON.
    Nothing,
    /// A shape.
    Shape(SchemaOf),
    /// `{revision, events}` and these entities, each under its kind.
    Change(&'static [(&'static str, SchemaOf)]),
}

/// A route.
pub struct Route {
    /// The method; none for all of them.
    pub method: Option<Method>,
    /// The path, with its parameters in braces.
    pub path: &'static str,
    /// What it does, in a sentence.
    pub summary: &'static str,
    /// Who may ask.
    pub who: Who,
    /// What kind of request it is.
    pub kind: Kind,
    /// The shape of the body, if it takes one.
    pub body: Option<SchemaOf>,
    /// The status of success.
    pub status: u16,
    /// What the answer holds.
    pub gives: Gives,
    handler: MethodRouter<Arc<App>>,
}

fn of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

impl Route {
    fn read(path: &'static str, summary: &'static str, who: Who, handler: MethodRouter<Arc<App>>) -> Self {
        let (method, kind, gives) = (Some(Method::GET), Kind::Read, Gives::Nothing);
        Self { method, path, summary, who, kind, body: None, status: 200, gives, handler }
    }

    fn write(
        method: Method,
        path: &'static str,
        summary: &'static str,
        who: Who,
        handler: MethodRouter<Arc<App>>,
    ) -> Self {
        let status = if method == Method::POST { 201 } else { 200 };
        let (kind, gives) = (Kind::Write, Gives::Change(&[]));
        Self { method: Some(method), path, summary, who, kind, body: None, status, gives, handler }
    }

    fn kind(self, kind: Kind) -> Self {
        Self { kind, ..self }
    }

    fn takes<T: JsonSchema>(self) -> Self {
        Self { body: Some(of::<T>), ..self }
    }

    fn gives<T: JsonSchema>(self) -> Self {
        Self { gives: Gives::Shape(of::<T>), ..self }
    }

    fn lists<T: JsonSchema>(self) -> Self {
        Self { kind: Kind::List(&[]), gives: Gives::Shape(of::<Page<T>>), ..self }
    }

    fn changes(self, entities: &'static [(&'static str, SchemaOf)]) -> Self {
        Self { gives: Gives::Change(entities), ..self }
    }

    fn status(self, status: u16) -> Self {
        Self { status, ..self }
    }
}

/// Every route.
pub fn table() -> Vec<Route> {
    [
        operations_routes(),
        workspace_routes(),
        people_routes(),
        environment_routes(),
        credential_routes(),
        question_routes(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The router of every route.
pub fn router() -> Router<Arc<App>> {
    table().into_iter().fold(Router::new(), |router, route| router.route(route.path, route.handler))
}

fn post<H, T>(handler: H) -> MethodRouter<Arc<App>>
where
    H: axum::handler::Handler<T, Arc<App>>,
    T: 'static,
{
    on(MethodFilter::POST, handler)
}

fn put<H: axum::handler::Handler<T, Arc<App>>, T: 'static>(handler: H) -> MethodRouter<Arc<App>> {
    on(MethodFilter::PUT, handler)
}

fn patch<H: axum::handler::Handler<T, Arc<App>>, T: 'static>(handler: H) -> MethodRouter<Arc<App>> {
    on(MethodFilter::PATCH, handler)
}

fn delete<H: axum::handler::Handler<T, Arc<App>>, T: 'static>(handler: H) -> MethodRouter<Arc<App>> {
    on(MethodFilter::DELETE, handler)
}

const WORKSPACE: &[(&str, SchemaOf)] = &[("workspace", of::<WorkspaceEntity>)];
const MEMBER: &[(&str, SchemaOf)] = &[("member", of::<MemberEntity>)];
const TOKEN: &[(&str, SchemaOf)] = &[("token", of::<TokenEntity>)];
const ENVIRONMENT: &[(&str, SchemaOf)] = &[("environment", of::<EnvironmentEntity>)];
const GRANT: &[(&str, SchemaOf)] = &[("grant", of::<GrantEntity>)];
const PROXY_TOKEN: &[(&str, SchemaOf)] = &[("proxy_token", of::<ProxyTokenEntity>)];
const ACCESS_KEY: &[(&str, SchemaOf)] = &[("access_key", of::<AccessKeyEntity>)];

fn operations_routes() -> Vec<Route> {
    let plain = |path, summary, handler| Route::read(path, summary, Who::Anyone, handler).kind(Kind::Plain);
    vec![
        plain("/healthz", "Says that the process lives", get(operations::healthz)),
        plain("/readyz", "Says whether changes are taken and the store can be read", get(operations::readyz)),
        plain("/metrics", "Gives the metrics, in the text format of Prometheus", get(operations::metrics)),
        plain("/openapi.json", "Describes this API", get(operations::openapi_json)),
    ]
}

fn workspace_routes() -> Vec<Route> {
    use Who::{Operator, Owners, Principals};
    let workspaces = "/v1/workspaces";
    let workspace = "/v1/workspaces/{ws}";
    vec![
        Route::read(
            workspaces,
            "Lists the workspaces that the caller has a part in",
            Principals,
            get(workspaces::list),
        )
        .lists::<WorkspaceEntity>(),
        Route::write(Method::POST, workspaces, "Makes a workspace", Operator, post(workspaces::create))
            .takes::<CreateWorkspace>()
            .changes(&[("workspace", of::<WorkspaceEntity>), ("token", of::<TokenEntity>)]),
        Route::read(workspace, "Shows a workspace", Principals, get(workspaces::show)).gives::<WorkspaceEntity>(),
        Route::write(Method::DELETE, workspace, "Deletes a workspace", Owners, delete(workspaces::delete)),
        Route::write(
            Method::PUT,
            "/v1/workspaces/{ws}/plan",
            "Subscribes a workspace to another plan",
            Operator,
            put(workspaces::set_plan),
        )
        .takes::<ChangePlan>()
        .changes(WORKSPACE),
        Route::write(
            Method::PUT,
            "/v1/workspaces/{ws}/rbac",
            "Turns RBAC on or off",
            Who::Administrators,
            put(workspaces::set_rbac),
        )
        .takes::<workspaces::RbacBody>()
        .changes(WORKSPACE),
        Route::write(
            Method::POST,
            "/v1/workspaces/{ws}/commands",
            "Does a batch of commands, all or nothing",
            Who::Administrators,
            post(commands::submit),
        )
        .takes::<commands::CommandsBody>()
        .status(200),
    ]
}

fn people_routes() -> Vec<Route> {
    use Who::{Administrators, Principals};
    let members = "/v1/workspaces/{ws}/members";
    let member = "/v1/workspaces/{ws}/members/{user}";
    let profile = "/v1/workspaces/{ws}/members/{user}/profile";
    let service_users = "/v1/workspaces/{ws}/service-users";
    vec![
        Route::read(members, "Lists members", Principals, get(members::list)).lists::<MemberEntity>(),
        Route::write(Method::POST, members, "Makes a person a member", Administrators, post(members::add))
            .takes::<AddMember>()
            .changes(MEMBER),
        Route::write(Method::PATCH, member, "Gives a member another role", Administrators, patch(members::change_role))
            .takes::<members::RoleBody>()
            .changes(MEMBER),
        Route::write(Method::DELETE, member, "Ends a membership", Administrators, delete(members::remove)),
        Route::read(profile, "Shows a person's profile", Principals, get(members::show_profile))
            .kind(Kind::Plain)
            .gives::<Profile>(),
        Route::write(Method::PUT, profile, "Replaces a person's profile", Administrators, put(members::set_profile))
            .takes::<Profile>()
            .gives::<Profile>(),
        Route::write(
            Method::DELETE,
            profile,
            "Erases a person's profile",
            Administrators,
            delete(members::erase_profile),
        )
        .gives::<Profile>(),
        Route::read(service_users, "Lists service users", Principals, get(service_users::list))
            .lists::<ServiceUserEntity>(),
        Route::write(
            Method::POST,
            service_users,
            "Makes a service user with its first token",
            Administrators,
            post(service_users::create),
        )
        .takes::<CreateServiceUser>()
        .changes(&[("service_user", of::<ServiceUserEntity>), ("token", of::<TokenEntity>)]),
        Route::write(
            Method::DELETE,
            "/v1/workspaces/{ws}/service-users/{svc}",
            "Ends a service user",
            Administrators,
            delete(service_users::delete),
        ),
    ]
}

fn environment_routes() -> Vec<Route> {
    use Who::{Administrators, Principals};
    let environments = "/v1/workspaces/{ws}/environments";
    let environment = "/v1/workspaces/{ws}/environments/{env}";
    let grants = "/v1/workspaces/{ws}/environments/{env}/grants";
    let grant = "/v1/workspaces/{ws}/environments/{env}/grants/{principal}";
    vec![
        Route::read(environments, "Lists environments", Principals, get(environments::list))
            .lists::<EnvironmentEntity>(),
        Route::write(Method::POST, environments, "Makes an environment", Administrators, post(environments::create))
            .takes::<CreateEnvironment>()
            .changes(ENVIRONMENT),
        Route::read(environment, "Shows an environment", Principals, get(environments::show))
            .gives::<EnvironmentEntity>(),
        Route::write(Method::PATCH, environment, "Changes an environment", Administrators, patch(environments::update))
            .takes::<environments::EnvironmentBody>()
            .changes(ENVIRONMENT),
        Route::write(Method::DELETE, environment, "Ends an environment", Administrators, delete(environments::delete)),
        Route::read(grants, "Lists the grants in an environment", Principals, get(grants::list)).lists::<GrantEntity>(),
        Route::write(Method::PUT, grant, "Gives a grant", Administrators, put(grants::set))
            .takes::<grants::GrantBody>()
            .changes(GRANT),
        Route::write(Method::DELETE, grant, "Takes a grant back", Administrators, delete(grants::revoke)),
    ]
}

fn credential_routes() -> Vec<Route> {
    [token_routes(), proxy_token_routes(), access_key_routes()].into_iter().flatten().collect()
}

fn token_routes() -> Vec<Route> {
    use Who::{Administrators, Principals};
    let of_member = "/v1/workspaces/{ws}/members/{user}/tokens";
    let of_service_user = "/v1/workspaces/{ws}/service-users/{svc}/tokens";
    let token = "/v1/workspaces/{ws}/tokens/{tok}";
    vec![
        Route::write(
            Method::POST,
            of_member,
            "Issues a token for a member",
            Principals,
            post(tokens::issue_for_member),
        )
        .takes::<tokens::TokenBody>()
        .changes(TOKEN),
        Route::write(
            Method::POST,
            of_service_user,
            "Issues a token for a service user",
            Administrators,
            post(tokens::issue_for_service_user),
        )
        .takes::<tokens::TokenBody>()
        .changes(TOKEN),
        Route::read("/v1/workspaces/{ws}/tokens", "Lists API tokens", Principals, get(tokens::list))
            .lists::<TokenEntity>(),
        Route::write(Method::DELETE, token, "Takes an API token back", Principals, delete(tokens::revoke)),
    ]
}

fn proxy_token_routes() -> Vec<Route> {
    use Who::{Administrators, Auditors};
    let proxy_tokens = "/v1/workspaces/{ws}/proxy-tokens";
    let scope = "/v1/workspaces/{ws}/proxy-tokens/{prx}/environments";
    let proxy_token = "/v1/workspaces/{ws}/proxy-tokens/{prx}";
    vec![
        Route::read(proxy_tokens, "Lists proxy tokens", Auditors, get(proxy_tokens::list)).lists::<ProxyTokenEntity>(),
        Route::write(Method::POST, proxy_tokens, "Makes a proxy token", Administrators, post(proxy_tokens::create))
            .takes::<CreateProxyToken>()
            .changes(PROXY_TOKEN),
        Route::write(
            Method::PUT,
            scope,
            "Makes a scoped proxy token valid for other environments",
            Administrators,
            put(proxy_tokens::set_environments),
        )
        .takes::<proxy_tokens::ScopeBody>()
        .changes(PROXY_TOKEN),
        Route::write(
            Method::DELETE,
            proxy_token,
            "Takes a proxy token back",
            Administrators,
            delete(proxy_tokens::revoke),
        ),
    ]
}

fn access_key_routes() -> Vec<Route> {
    use Who::{Administrators, Auditors};
    let access_keys = "/v1/workspaces/{ws}/access-keys";
    let access_key = "/v1/workspaces/{ws}/access-keys/{key}";
    vec![
        Route::read(access_keys, "Lists access keys", Auditors, get(access_keys::list)).lists::<AccessKeyEntity>(),
        Route::write(Method::POST, access_keys, "Makes an access key", Administrators, post(access_keys::issue))
            .takes::<IssueAccessKey>()
            .changes(ACCESS_KEY),
        Route::write(
            Method::DELETE,
            access_key,
            "Takes an access key back",
            Administrators,
            delete(access_keys::revoke),
        ),
    ]
}

fn question_routes() -> Vec<Route> {
    let decide = |path, summary, handler| {
        let route = Route::write(Method::POST, path, summary, Who::Evaluators, handler);
        route.kind(Kind::Decide).status(200)
    };
    let filters: &[&str] = &["after", "type", "subject", "actor", "environment", "principal", "from", "until"];
    let proxy_auth = "/v1/workspaces/{ws}/proxy-auth/{env}";
    vec![
        decide(
            "/v1/workspaces/{ws}/access/v1/evaluation",
            "Answers whether a subject may do an action on a resource",
            post(decisions::evaluation),
        )
        .takes::<decisions::EvaluationBody>()
        .gives::<decisions::DecisionBody>(),
        decide(
            "/v1/workspaces/{ws}/access/v1/evaluations",
            "Answers many such questions at once",
            post(decisions::evaluations),
        )
        .takes::<decisions::EvaluationsBody>()
        .gives::<decisions::DecisionsBody>(),
        Route {
            method: None,
            ..Route::read(
                proxy_auth,
                "Answers a reverse proxy whether a web function may be called",
                Who::ProxyTokens,
                any(proxy_auth::ask),
            )
            .kind(Kind::Plain)
            .status(204)
        },
        Route::read("/v1/workspaces/{ws}/events", "Lists the log", Who::Auditors, get(events::list))
            .kind(Kind::List(filters))
            .gives::<events::EventsBody>(),
        Route::read(
            "/v1/workspaces/{ws}/audit/access",
            "Lists who has access to what, and why",
            Who::Auditors,
            get(audit::access_list),
        )
        .kind(Kind::List(&["environment", "principal"]))
        .gives::<audit::AccessBody>(),
    ]
}
