//! Rows of the table: operations, workspaces, environments and their grants.

use super::Who::{Administrators, Anyone, Operator, Owners, Principals};
use super::{Kind, Route, SchemaOf, delete, get, of, patch, post, put};
use crate::domain::command::{ChangePlan, CreateEnvironment, CreateWorkspace};
use crate::http::entity::{EnvironmentEntity, GrantEntity, TokenEntity, WorkspaceEntity};
use crate::http::handlers::{commands, environments, grants, operations, workspaces};

const WORKSPACE: &[(&str, SchemaOf)] = &[("workspace", of::<WorkspaceEntity>)];
const NEW_WORKSPACE: &[(&str, SchemaOf)] = &[("workspace", of::<WorkspaceEntity>), ("token", of::<TokenEntity>)];
const ENVIRONMENT: &[(&str, SchemaOf)] = &[("environment", of::<EnvironmentEntity>)];
const GRANT: &[(&str, SchemaOf)] = &[("grant", of::<GrantEntity>)];

pub(super) fn operations() -> Vec<Route> {
    vec![
        get("/healthz", "Says that the process lives", Anyone, operations::healthz)
            .kind(Kind::Plain)
            .text("text/plain"),
        get("/readyz", "Says whether changes are taken and the store can be read", Anyone, operations::readyz)
            .kind(Kind::Plain)
            .text("text/plain"),
        get("/metrics", "Gives the metrics, in the text format of Prometheus", Anyone, operations::metrics)
            .kind(Kind::Plain)
            .text("text/plain"),
        get("/openapi.json", "Describes this API", Anyone, operations::openapi_json).kind(Kind::Plain).object(),
    ]
}

pub(super) fn workspaces() -> Vec<Route> {
    let all = "/v1/workspaces";
    let one = "/v1/workspaces/{ws}";
    let plan = "/v1/workspaces/{ws}/plan";
    let rbac = "/v1/workspaces/{ws}/rbac";
    let commands = "/v1/workspaces/{ws}/commands";
    vec![
        get(all, "Lists the workspaces that the caller has a part in", Principals, workspaces::list)
            .lists::<WorkspaceEntity>(),
        post(all, "Makes a workspace", Operator, workspaces::create)
            .accepts::<CreateWorkspace>()
            .changes(NEW_WORKSPACE),
        get(one, "Shows a workspace", Principals, workspaces::show).returns::<WorkspaceEntity>(),
        delete(one, "Deletes a workspace", Owners, workspaces::delete),
        put(plan, "Subscribes a workspace to another plan", Operator, workspaces::set_plan)
            .accepts::<ChangePlan>()
            .changes(WORKSPACE),
        put(rbac, "Turns RBAC on or off", Administrators, workspaces::set_rbac)
            .accepts::<workspaces::RbacBody>()
            .changes(WORKSPACE),
        post(commands, "Does a batch of commands, all or nothing", Administrators, commands::submit)
            .accepts::<commands::CommandsBody>()
            .status(200),
    ]
}

pub(super) fn environments() -> Vec<Route> {
    let all = "/v1/workspaces/{ws}/environments";
    let one = "/v1/workspaces/{ws}/environments/{env}";
    let grants = "/v1/workspaces/{ws}/environments/{env}/grants";
    let grant = "/v1/workspaces/{ws}/environments/{env}/grants/{principal}";
    vec![
        get(all, "Lists environments", Principals, environments::list).lists::<EnvironmentEntity>(),
        post(all, "Makes an environment", Administrators, environments::create)
            .accepts::<CreateEnvironment>()
            .changes(ENVIRONMENT),
        get(one, "Shows an environment", Principals, environments::show).returns::<EnvironmentEntity>(),
        patch(one, "Changes an environment", Administrators, environments::update)
            .accepts::<environments::EnvironmentBody>()
            .changes(ENVIRONMENT),
        delete(one, "Ends an environment", Administrators, environments::delete),
        get(grants, "Lists the grants in an environment", Principals, grants::list).lists::<GrantEntity>(),
        get(grant, "Shows a principal's grant", Principals, grants::show).returns::<GrantEntity>(),
        put(grant, "Gives a grant", Administrators, grants::set).accepts::<grants::GrantBody>().changes(GRANT),
        delete(grant, "Takes a grant back", Administrators, grants::revoke),
    ]
}
