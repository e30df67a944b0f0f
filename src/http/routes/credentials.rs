//! Rows of the table: API tokens, proxy tokens, access keys.

use super::{Route, SchemaOf, delete, get, post, put, schema_of};
use crate::http::entity::{AccessKeyEntity, ProxyTokenEntity, TokenEntity};
use crate::http::guard::{Administrators, Auditors, Principals};
use crate::http::handlers::{access_keys, proxy_tokens, tokens};

const TOKEN: &[(&str, SchemaOf)] = &[("token", schema_of::<TokenEntity>)];
const PROXY_TOKEN: &[(&str, SchemaOf)] = &[("proxy_token", schema_of::<ProxyTokenEntity>)];
const ACCESS_KEY: &[(&str, SchemaOf)] = &[("access_key", schema_of::<AccessKeyEntity>)];

pub(super) fn rows() -> Vec<Route> {
    [token_rows(), proxy_token_rows(), access_key_rows()].into_iter().flatten().collect()
}

fn token_rows() -> Vec<Route> {
    let of_member = "/v1/workspaces/{ws}/members/{user}/tokens";
    let of_service_user = "/v1/workspaces/{ws}/service-users/{svc}/tokens";
    let all = "/v1/workspaces/{ws}/tokens";
    let one = "/v1/workspaces/{ws}/tokens/{tok}";
    vec![
        post(of_member, "Issues a token for a member", Principals, tokens::issue_for_member).changes(TOKEN),
        post(of_service_user, "Issues a token for a service user", Administrators, tokens::issue_for_service_user)
            .changes(TOKEN),
        get(all, "Lists API tokens", Principals, tokens::list).lists::<TokenEntity>(),
        get(one, "Shows an API token", Principals, tokens::show).returns::<TokenEntity>(),
        delete(one, "Takes an API token back", Principals, tokens::revoke),
    ]
}

fn proxy_token_rows() -> Vec<Route> {
    let all = "/v1/workspaces/{ws}/proxy-tokens";
    let one = "/v1/workspaces/{ws}/proxy-tokens/{prx}";
    let scope = "/v1/workspaces/{ws}/proxy-tokens/{prx}/environments";
    let rescopes = "Makes a scoped proxy token valid for other environments";
    vec![
        get(all, "Lists proxy tokens", Auditors, proxy_tokens::list).lists::<ProxyTokenEntity>(),
        post(all, "Makes a proxy token", Administrators, proxy_tokens::create).changes(PROXY_TOKEN),
        get(one, "Shows a proxy token", Auditors, proxy_tokens::show).returns::<ProxyTokenEntity>(),
        put(scope, rescopes, Administrators, proxy_tokens::set_environments).changes(PROXY_TOKEN),
        delete(one, "Takes a proxy token back", Administrators, proxy_tokens::revoke),
    ]
}

fn access_key_rows() -> Vec<Route> {
    let all = "/v1/workspaces/{ws}/access-keys";
    let one = "/v1/workspaces/{ws}/access-keys/{key}";
    vec![
        get(all, "Lists access keys", Auditors, access_keys::list).lists::<AccessKeyEntity>(),
        post(all, "Makes an access key", Administrators, access_keys::issue).changes(ACCESS_KEY),
        get(one, "Shows an access key", Auditors, access_keys::show).returns::<AccessKeyEntity>(),
        delete(one, "Takes an access key back", Administrators, access_keys::revoke),
    ]
}
