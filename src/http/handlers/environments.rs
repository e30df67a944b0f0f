//! Environments.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::HandlerResult;
use crate::domain::access::held;
use crate::domain::command::{
    Command, CreateEnvironment, DeleteEnvironment, EnvironmentRef, GrantSpec, RenameEnvironment, RestrictEnvironment,
    SetDefaultRole, SetGrant, UnrestrictEnvironment,
};
use crate::domain::id::EnvironmentId;
use crate::domain::name::EnvironmentName;
use crate::domain::object::objects;
use crate::domain::role::EnvironmentRole;
use crate::http::change::{change, entities, only_environment};
use crate::http::entity;
use crate::http::problem::Problem;
use crate::http::request::WorkspaceRequest;
use crate::http::response::{self, Paging};

/// What of an environment is to be changed; what is left out stays.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("minProperties" = 1))]
pub struct EnvironmentBody {
    /// Its name.
    #[serde(default)]
    pub name: Option<EnvironmentName>,
    /// Whether it is restricted.
    #[serde(default)]
    pub restricted: Option<bool>,
    /// What it gives to those without a grant.
    #[serde(default)]
    pub default_role: Option<EnvironmentRole>,
    /// Grants to give in it; those of others stay.
    #[serde(default, deserialize_with = "objects")]
    pub grants: Vec<GrantSpec>,
}

/// Whether the caller may know of an environment: whoever reads everything may, others if they have access to it now.
pub(super) fn may_see(request: &WorkspaceRequest, environment: EnvironmentId) -> Result<bool, Problem> {
    let Some(principal) = request.only()? else { return Ok(true) };
    let now = request.now();
    let found = now.environment(environment).filter(|_| now.principal(principal).is_some());
    Ok(found.is_some_and(|found| held(&now, &found, principal).role > EnvironmentRole::NoAccess))
}

/// Lists environments: all of them, or those that the caller has access to.
pub async fn list(mut request: WorkspaceRequest) -> HandlerResult {
    let paging = Paging::of(&mut request)?;
    std::mem::take(&mut request.params).finish()?;
    request.only()?;
    let view = &paging.view;
    let page = || {
        let shown = view.environments().filter(|found| may_see(&request, found.id).unwrap_or(false));
        paging.page(shown.map(|found| entity::environment(&found)))
    };
    response::for_view(view, &request.listing(page).await?)
}

/// Shows an environment.
pub async fn show(mut request: WorkspaceRequest) -> HandlerResult {
    let (view, _) = request.view()?;
    std::mem::take(&mut request.params).finish()?;
    request.only()?;
    let named = request.path("env");
    let found = view.find_environment(&named.into())?;
    if !may_see(&request, found.id)? {
        return Err(Problem::not_found("environment", named));
    }
    response::for_view(&view, &entity::environment(&found))
}

/// Makes an environment.
pub async fn create(request: WorkspaceRequest) -> HandlerResult {
    let command: CreateEnvironment = request.body()?;
    change(request, vec![command.into()], entities).await
}

/// Changes an environment, in one batch. It is named by its id in there, since it may be given another name.
pub async fn update(request: WorkspaceRequest) -> HandlerResult {
    let body: EnvironmentBody = request.body()?;
    let named: EnvironmentRef = request.path("env").into();
    let id = request.now().find_environment(&named).ok().map(|found| found.id.to_string().into());
    let commands = commands(&id.unwrap_or(named), body);
    if commands.is_empty() {
        return Err(Problem::invalid("name at least one of `name`, `restricted`, `default_role` and `grants`"));
    }
    change(request, commands, only_environment).await
}

fn commands(environment: &EnvironmentRef, body: EnvironmentBody) -> Vec<Command> {
    let EnvironmentBody { name, restricted, default_role, grants } = body;
    let environment = || environment.clone();
    let mut commands: Vec<Command> = match (restricted, default_role) {
        (Some(true), _) => {
            return renamed(
                name,
                environment(),
                vec![RestrictEnvironment { environment: environment(), default_role, grants }.into()],
            );
        }
        (Some(false), _) => vec![UnrestrictEnvironment { environment: environment() }.into()],
        (None, _) => Vec::new(),
    };
    commands
        .extend(default_role.map(|default_role| SetDefaultRole { environment: environment(), default_role }.into()));
    commands.extend(grants.into_iter().map(|GrantSpec { principal, role, expires_at }| {
        Command::from(SetGrant { environment: environment(), principal, role, expires_at })
    }));
    renamed(name, environment(), commands)
}

fn renamed(name: Option<EnvironmentName>, environment: EnvironmentRef, mut commands: Vec<Command>) -> Vec<Command> {
    commands.extend(name.map(|name| Command::from(RenameEnvironment { environment, name })));
    commands
}

/// Ends an environment.
pub async fn delete(request: WorkspaceRequest) -> HandlerResult {
    request.no_body()?;
    let environment = request.path("env").into();
    change(request, vec![DeleteEnvironment { environment }.into()], entities).await
}
