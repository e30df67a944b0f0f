//! Environments.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::HandlerResult;
use crate::domain::model::command::{
    Command, CreateEnvironment, DeleteEnvironment, EnvironmentRef, GrantSpec, RenameEnvironment, RestrictEnvironment,
    SetDefaultRole, SetGrant, UnrestrictEnvironment,
};
use crate::domain::model::id::EnvironmentId;
use crate::domain::model::name::EnvironmentName;
use crate::domain::model::object::objects;
use crate::domain::model::role::EnvironmentRole;
use crate::domain::rules::authorize::effective_role;
use crate::http::change::{change, only_environment};
use crate::http::entity;
use crate::http::guard::{ChangeRequest, PrincipalRequest};
use crate::http::input::{Json, NoBody, NoPath};
use crate::http::paging::Paging;
use crate::http::problem::Problem;
use crate::http::request::RequestedView;
use crate::http::response;

/// Changes of an environment; what is left out stays.
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
    /// Its role for principals without a grant.
    #[serde(default)]
    pub default_role: Option<EnvironmentRole>,
    /// Grants to set in it; other grants stay.
    #[serde(default, deserialize_with = "objects")]
    pub grants: Vec<GrantSpec>,
}

/// The path of an environment.
#[derive(Debug, Deserialize)]
pub struct EnvironmentPath {
    /// The environment.
    pub env: EnvironmentRef,
}

/// Returns whether the caller may know of an environment: it reads everything, or has access to the environment now.
pub(super) fn may_see(request: &PrincipalRequest, environment: EnvironmentId) -> bool {
    let Some(principal) = &request.only else { return true };
    let now = request.now();
    let found = now.environment(environment).filter(|_| now.principal(principal).is_some());
    found.is_some_and(|found| effective_role(&now, &found, principal).role > EnvironmentRole::NoAccess)
}

/// Lists all environments, or those that the caller has access to.
pub async fn list(request: PrincipalRequest, _: NoPath, paging: Paging) -> HandlerResult {
    let view = &paging.view;
    let page = || {
        let visible = view.environments().filter(|found| may_see(&request, found.id));
        paging.page(visible.map(|found| entity::environment(&found)))
    };
    response::for_view(view, &request.listing(page).await?)
}

/// Shows an environment.
pub async fn show(request: PrincipalRequest, path: EnvironmentPath, requested: RequestedView) -> HandlerResult {
    let view = &requested.view;
    let found = view.find_environment(&path.env)?;
    if !may_see(&request, found.id) {
        return Err(Problem::not_found("environment", &path.env.0));
    }
    response::for_view(view, &entity::environment(&found))
}

/// Creates an environment.
pub fn create(_: NoPath, Json(command): Json<CreateEnvironment>) -> Command {
    command.into()
}

/// Changes an environment, in one batch. The commands name it by its id, since one of them may rename it.
pub async fn update(
    ChangeRequest(request): ChangeRequest,
    EnvironmentPath { env }: EnvironmentPath,
    Json(body): Json<EnvironmentBody>,
) -> HandlerResult {
    let id = request.now().find_environment(&env).ok().map(|found| found.id.to_string().into());
    let commands = commands(&id.unwrap_or(env), body);
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

/// Deletes an environment.
pub fn delete(path: EnvironmentPath, _: NoBody) -> Command {
    DeleteEnvironment { environment: path.env }.into()
}
