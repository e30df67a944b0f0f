//! Rows of the table: operations, workspaces, environments and their grants.

use super::{Route, SchemaOf, delete, get, patch, post, put, schema_of};
use crate::http::entity::{EnvironmentEntity, GrantEntity, TokenEntity, WorkspaceEntity};
use crate::http::guard::{Administrators, Operator, Owners, Principals};
use crate::http::handlers::{commands, environments, grants, operations, workspaces};

const WORKSPACE: &[(&str, SchemaOf)] = &[("workspace", schema_of::<WorkspaceEntity>)];
const NEW_WORKSPACE: &[(&str, SchemaOf)] =
    &[("workspace", schema_of::<WorkspaceEntity>), ("token", schema_of::<TokenEntity>)];
const ENVIRONMENT: &[(&str, SchemaOf)] = &[("environment", schema_of::<EnvironmentEntity>)];
const GRANT: &[(&str, SchemaOf)] = &[("grant", schema_of::<GrantEntity>)];

pub(super) fn operations() -> Vec<Route> {
    let ready = "Says whether changes are taken and the store can be read";
    let metrics = "Gives the metrics, in the text format of Prometheus";
    vec![
        Route::open("/healthz", "Says that the process lives", operations::healthz).text("text/plain"),
        Route::open("/readyz", ready, operations::readyz).text("text/plain"),
        Route::open("/metrics", metrics, operations::metrics).text("text/plain"),
        Route::open("/openapi.json", "Describes this API", operations::openapi_json).object(),
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
        post(all, "Makes a workspace", Operator, workspaces::create).changes(NEW_WORKSPACE),
        get(one, "Shows a workspace", Principals, workspaces::show).returns::<WorkspaceEntity>(),
        delete(one, "Deletes a workspace", Owners, workspaces::delete),
        put(plan, "Subscribes a workspace to another plan", Operator, workspaces::set_plan).changes(WORKSPACE),
        put(rbac, "Turns RBAC on or off", Administrators, workspaces::set_rbac).changes(WORKSPACE),
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
        post(all, "Makes an environment", Administrators, environments::create).changes(ENVIRONMENT),
        get(one, "Shows an environment", Principals, environments::show).returns::<EnvironmentEntity>(),
        patch(one, "Changes an environment", Administrators, environments::update).changes(ENVIRONMENT),
        delete(one, "Ends an environment", Administrators, environments::delete),
        get(grants, "Lists the grants in an environment", Principals, grants::list).lists::<GrantEntity>(),
        get(grant, "Shows a principal's grant", Principals, grants::show).returns::<GrantEntity>(),
        put(grant, "Gives a grant", Administrators, grants::set).changes(GRANT),
        delete(grant, "Takes a grant back", Administrators, grants::revoke),
    ]
}
