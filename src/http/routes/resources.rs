//! Rows of the table: resource types, and where resources live.

use super::{Route, SchemaOf, delete, get, post, put, schema_of};
use crate::http::entity::{ResourceEntity, ResourceTypeEntity};
use crate::http::guard::{Administrators, Principals};
use crate::http::handlers::resources;

const RESOURCE_TYPE: &[(&str, SchemaOf)] = &[("resource_type", schema_of::<ResourceTypeEntity>)];
const RESOURCE: &[(&str, SchemaOf)] = &[("resource", schema_of::<ResourceEntity>)];

pub(super) fn rows() -> Vec<Route> {
    let types = "/v1/workspaces/{ws}/resource-types";
    let one_type = "/v1/workspaces/{ws}/resource-types/{type}";
    let all = "/v1/workspaces/{ws}/resources";
    let one = "/v1/workspaces/{ws}/resources/{type}/{id}";
    let defines = "Defines a resource type, or gives one that was defined other actions";
    vec![
        get(
            types,
            "Lists resource types: the built-in ones, then the workspace's own",
            Principals,
            resources::list_types,
        )
        .lists::<ResourceTypeEntity>(),
        post(types, defines, Administrators, resources::define_type).changes(RESOURCE_TYPE),
        get(one_type, "Shows a resource type", Principals, resources::show_type).returns::<ResourceTypeEntity>(),
        get(all, "Lists where resources live", Principals, resources::list).lists::<ResourceEntity>(),
        get(one, "Shows where a resource lives", Principals, resources::show).returns::<ResourceEntity>(),
        put(one, "Places a resource in an environment, or moves it there", Administrators, resources::place)
            .changes(RESOURCE)
            .status(201),
        delete(one, "Takes the placement of a resource back", Administrators, resources::remove),
    ]
}
