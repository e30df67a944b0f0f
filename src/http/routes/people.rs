//! Rows of the table: members, their profiles, service users.

use super::{Route, SchemaOf, delete, get, patch, post, put, schema_of};
use crate::domain::model::command::Profile;
use crate::http::entity::{MemberEntity, ServiceUserEntity, TokenEntity};
use crate::http::guard::{Administrators, Principals};
use crate::http::handlers::{members, service_users};

const MEMBER: &[(&str, SchemaOf)] = &[("member", schema_of::<MemberEntity>)];
const SERVICE_USER: &[(&str, SchemaOf)] =
    &[("service_user", schema_of::<ServiceUserEntity>), ("token", schema_of::<TokenEntity>)];

pub(super) fn rows() -> Vec<Route> {
    [member_rows(), profile_rows(), service_user_rows()].into_iter().flatten().collect()
}

fn member_rows() -> Vec<Route> {
    let all = "/v1/workspaces/{ws}/members";
    let one = "/v1/workspaces/{ws}/members/{user}";
    vec![
        get(all, "Lists members", Principals, members::list).lists::<MemberEntity>(),
        post(all, "Makes a person a member", Administrators, members::add).changes(MEMBER),
        get(one, "Shows a member", Principals, members::show).returns::<MemberEntity>(),
        patch(one, "Gives a member another role", Administrators, members::change_role).changes(MEMBER),
        delete(one, "Ends a membership: anyone's, or one's own", Principals, members::remove),
    ]
}

fn profile_rows() -> Vec<Route> {
    let profile = "/v1/workspaces/{ws}/members/{user}/profile";
    vec![
        get(profile, "Shows a person's profile", Principals, members::show_profile).returns::<Profile>(),
        put(profile, "Replaces a person's profile", Principals, members::set_profile).returns::<Profile>(),
        delete(profile, "Erases a person's profile", Principals, members::erase_profile).returns::<Profile>(),
    ]
}

fn service_user_rows() -> Vec<Route> {
    let all = "/v1/workspaces/{ws}/service-users";
    let one = "/v1/workspaces/{ws}/service-users/{svc}";
    vec![
        get(all, "Lists service users", Principals, service_users::list).lists::<ServiceUserEntity>(),
        post(all, "Makes a service user with its first token", Administrators, service_users::create)
            .changes(SERVICE_USER),
        get(one, "Shows a service user", Principals, service_users::show).returns::<ServiceUserEntity>(),
        delete(one, "Ends a service user", Administrators, service_users::delete),
    ]
}
