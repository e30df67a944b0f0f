//! Every route refuses callers without the authority. The route table is the list of routes to test.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};
use tenure::http::routes::{RouteKind, Who, table};

use crate::support::acme::{Acme, TestClock, id, workspace_body};
use crate::support::server::{OPERATOR, Server};

/// The method and path of every route, so that a new or a missing one fails.
const GOLDEN: &[&str] = &[
    "ANY /v1/workspaces/{ws}/proxy-auth/{env}",
    "DELETE /v1/workspaces/{ws}",
    "DELETE /v1/workspaces/{ws}/access-keys/{key}",
    "DELETE /v1/workspaces/{ws}/environments/{env}",
    "DELETE /v1/workspaces/{ws}/environments/{env}/grants/{principal}",
    "DELETE /v1/workspaces/{ws}/members/{user}",
    "DELETE /v1/workspaces/{ws}/members/{user}/profile",
    "DELETE /v1/workspaces/{ws}/proxy-tokens/{prx}",
    "DELETE /v1/workspaces/{ws}/resources/{type}/{id}",
    "DELETE /v1/workspaces/{ws}/service-users/{svc}",
    "DELETE /v1/workspaces/{ws}/tokens/{tok}",
    "GET /.well-known/authzen-configuration/v1/workspaces/{ws}",
    "GET /healthz",
    "GET /metrics",
    "GET /openapi.json",
    "GET /readyz",
    "GET /v1/events",
    "GET /v1/workspaces",
    "GET /v1/workspaces/{ws}",
    "GET /v1/workspaces/{ws}/access-keys",
    "GET /v1/workspaces/{ws}/access-keys/{key}",
    "GET /v1/workspaces/{ws}/audit/access",
    "GET /v1/workspaces/{ws}/audit/credentials",
    "GET /v1/workspaces/{ws}/audit/diff",
    "GET /v1/workspaces/{ws}/audit/tenures",
    "GET /v1/workspaces/{ws}/audit/reads",
    "GET /v1/workspaces/{ws}/environments",
    "GET /v1/workspaces/{ws}/environments/{env}",
    "GET /v1/workspaces/{ws}/environments/{env}/grants",
    "GET /v1/workspaces/{ws}/environments/{env}/grants/{principal}",
    "GET /v1/workspaces/{ws}/events",
    "GET /v1/workspaces/{ws}/log/checkpoint",
    "GET /v1/workspaces/{ws}/log/consistency",
    "GET /v1/workspaces/{ws}/log/keys",
    "GET /v1/workspaces/{ws}/log/proof/{ref}",
    "GET /v1/workspaces/{ws}/log/tile/{*tile}",
    "GET /v1/workspaces/{ws}/members",
    "GET /v1/workspaces/{ws}/members/{user}",
    "GET /v1/workspaces/{ws}/members/{user}/profile",
    "GET /v1/workspaces/{ws}/proxy-tokens",
    "GET /v1/workspaces/{ws}/proxy-tokens/{prx}",
    "GET /v1/workspaces/{ws}/resource-types",
    "GET /v1/workspaces/{ws}/resource-types/{type}",
    "GET /v1/workspaces/{ws}/resources",
    "GET /v1/workspaces/{ws}/resources/{type}/{id}",
    "GET /v1/workspaces/{ws}/reports",
    "GET /v1/workspaces/{ws}/reports/{name}",
    "GET /v1/workspaces/{ws}/service-users",
    "GET /v1/workspaces/{ws}/service-users/{svc}",
    "GET /v1/workspaces/{ws}/tokens",
    "GET /v1/workspaces/{ws}/tokens/{tok}",
    "PATCH /v1/workspaces/{ws}/environments/{env}",
    "PATCH /v1/workspaces/{ws}/members/{user}",
    "POST /v1/workspaces",
    "POST /v1/workspaces/{ws}/access-keys",
    "POST /v1/workspaces/{ws}/access/v1/evaluation",
    "POST /v1/workspaces/{ws}/access/v1/evaluations",
    "POST /v1/workspaces/{ws}/access/v1/search/action",
    "POST /v1/workspaces/{ws}/access/v1/search/resource",
    "POST /v1/workspaces/{ws}/access/v1/search/subject",
    "POST /v1/workspaces/{ws}/audit/what-if",
    "POST /v1/workspaces/{ws}/commands",
    "POST /v1/workspaces/{ws}/environments",
    "POST /v1/workspaces/{ws}/members",
    "POST /v1/workspaces/{ws}/members/{user}/tokens",
    "POST /v1/workspaces/{ws}/proxy-tokens",
    "POST /v1/workspaces/{ws}/resource-types",
    "POST /v1/workspaces/{ws}/service-users",
    "POST /v1/workspaces/{ws}/service-users/{svc}/tokens",
    "PUT /v1/workspaces/{ws}/environments/{env}/grants/{principal}",
    "PUT /v1/workspaces/{ws}/members/{user}/profile",
    "PUT /v1/workspaces/{ws}/plan",
    "PUT /v1/workspaces/{ws}/proxy-tokens/{prx}/environments",
    "PUT /v1/workspaces/{ws}/rbac",
    "PUT /v1/workspaces/{ws}/resources/{type}/{id}",
];

/// A request for a route that an authorized caller would get done.
struct Asking {
    name: String,
    method: &'static str,
    path: String,
    body: Value,
    who: Who,
    kind: RouteKind,
}

/// A workspace, and a credential of each kind of caller.
struct Stage {
    acme: Acme,
    clock: Arc<TestClock>,
    manager: String,
    /// A member that no request is about.
    max: String,
    service_user: String,
    evaluator: String,
    auditor: String,
    proxy_token: String,
    other_owner: String,
    other_proxy_token: String,
    mia: String,
}

fn stage() -> Stage {
    let clock = TestClock::start();
    let acme = Acme::with_clock(clock.clone());
    acme.restricted("prod", "viewer");
    let other = acme.server.post("/v1/workspaces", OPERATOR, &workspace_body("other", "shared", "team", "olga"));
    let other_owner = other.expect(201).credential("token");
    let made = acme.server.post("/v1/workspaces/other/proxy-tokens", &other_owner, &Value::Null);
    let stage = Stage {
        manager: acme.member("mark", "manager"),
        max: acme.member("max", "member"),
        mia: acme.member("mia", "member"),
        service_user: acme.service_user("ci"),
        evaluator: acme.access_key("evaluator"),
        auditor: acme.access_key("auditor"),
        proxy_token: acme.proxy_token(Some(&["prod"])),
        other_proxy_token: made.expect(201).credential("proxy_token"),
        other_owner,
        clock,
        acme,
    };
    stage.acme.grant("prod", "user:mia", "contributor");
    stage.acme.post("resource-types", &json!({"name": "gpu", "actions": {"read": "viewer"}})).expect(201);
    stage.acme.restricted("vault", "no_access");
    stage.acme.put("resources/gpu/a100", &json!({"environment": "vault"})).expect(201);
    stage
}

/// Returns a body for a route. A route that is missing here has no refusal test.
fn body(name: &str) -> Value {
    let question = crate::support::acme::question("user:mia", "read", "app@prod");
    let (_, path) = name.split_once(' ').unwrap();
    match name.split_once("{ws}").map_or(path, |(_, rest)| rest) {
        _ if name.starts_with("GET ") || name.starts_with("DELETE ") || name.starts_with("ANY ") => Value::Null,
        "/v1/workspaces" => workspace_body("third", "shared", "team", "theo"),
        "/plan" => json!({"plan": "starter"}),
        "/rbac" => json!({"enabled": false}),
        "/commands" | "/audit/what-if" => json!({"commands": [{"type": "rbac.disable"}]}),
        "/members" => json!({"user": "nina", "role": "member"}),
        "/members/{user}" => json!({"role": "manager"}),
        "/members/{user}/profile" => json!({"name": "Mia"}),
        "/members/{user}/tokens" | "/service-users/{svc}/tokens" => json!({}),
        "/service-users" => json!({"name": "bot"}),
        "/environments" => json!({"name": "dev"}),
        "/environments/{env}" => json!({"restricted": false}),
        "/environments/{env}/grants/{principal}" => json!({"role": "viewer"}),
        "/proxy-tokens" => json!({"environments": ["prod"]}),
        "/proxy-tokens/{prx}/environments" => json!({"environments": []}),
        "/resource-types" => json!({"name": "gpu", "actions": {"read": "contributor"}}),
        "/resources/{type}/{id}" => json!({"environment": "main"}),
        "/access-keys" => json!({"role": "auditor", "label": "x"}),
        path if path.starts_with("/access/v1/") => question,
        _ => panic!("{name} has no refusal test"),
    }
}

impl Stage {
    /// Returns a request for every route that needs a credential.
    fn askings(&self) -> Vec<Asking> {
        let routes = table().into_iter().filter(|route| route.who != Who::Anyone);
        routes
            .map(|route| {
                let method = route.method.as_ref().map_or("ANY", |method| known_method(method.as_str()));
                let name = format!("{method} {}", route.path);
                let method = if method == "ANY" { "GET" } else { method };
                let path = self.filled(route.path);
                Asking { body: body(&name), name, method, path, who: route.who, kind: route.kind }
            })
            .collect()
    }

    fn filled(&self, path: &str) -> String {
        let proxy_token = id(&self.proxy_token);
        let values = [
            ("{ws}", "acme"),
            ("{env}", "prod"),
            ("{user}", "mia"),
            ("{svc}", "ci"),
            ("{tok}", id(&self.mia)),
            ("{prx}", proxy_token),
            ("{key}", id(&self.auditor)),
            ("{name}", "roster"),
            ("{principal}", "user:mia"),
            ("{type}", "gpu"),
            ("{id}", "a100"),
            ("{ref}", "1"),
            ("{*tile}", "entries/000.p/1"),
        ];
        let path = values.iter().fold(path.to_owned(), |path, (name, value)| path.replace(name, value));
        assert!(!path.contains('{'), "{path} has a parameter that the test does not know");
        path
    }

    /// Returns the status of a response, a minute after the last one, so that the rate limit is never reached.
    fn status(&self, asking: &Asking, credential: &str) -> u16 {
        self.clock.pass(60_000_000);
        self.acme.server.call(asking.method, &asking.path, credential, &asking.body).status
    }

    /// Returns everything that a request could have changed.
    fn state(&self) -> Vec<String> {
        let paths = ["", "/acme/events?limit=1000", "/other/events?limit=1000", "/acme/members"];
        let text = |path: &str| {
            let reply = self.acme.server.get(&format!("/v1/workspaces{path}"), OPERATOR).expect(200);
            reply.json["items"].to_string()
        };
        paths.into_iter().map(text).collect()
    }

    /// Returns the callers without the authority, and the status for each.
    fn refused(&self, asking: &Asking) -> Vec<(&'static str, &str, u16)> {
        let owner = ("owner", self.acme.alice.as_str(), 403);
        let manager = ("manager", self.manager.as_str(), 403);
        let member = ("member", self.max.as_str(), 403);
        let service_user = ("service user", self.service_user.as_str(), 403);
        let evaluator = ("evaluator", self.evaluator.as_str(), 403);
        let auditor = ("auditor", self.auditor.as_str(), 403);
        let mut refused = match asking.who {
            Who::Anyone => vec![],
            Who::Operator => vec![owner, manager, member, service_user, evaluator, auditor],
            Who::Owners => vec![manager, member, service_user, evaluator, auditor],
            Who::Administrators => vec![member, service_user, evaluator, auditor],
            Who::Auditors => vec![member, service_user, evaluator],
            // A principal that searches for subjects finds itself, or nobody: see `authzen::search_subject`.
            Who::Evaluators if asking.name.ends_with("/search/subject") => {
                vec![("another workspace's owner", self.other_owner.as_str(), 404)]
            }
            Who::Evaluators => vec![member, service_user],
            Who::Principals if asking.kind == RouteKind::Write => vec![member, service_user, evaluator, auditor],
            Who::Principals => vec![evaluator],
            Who::ProxyTokens => vec![
                ("owner", self.acme.alice.as_str(), 401),
                ("evaluator", self.evaluator.as_str(), 401),
                ("another workspace's", self.other_proxy_token.as_str(), 403),
            ],
        };
        refused.extend(self.others_things(&asking.name));
        refused
    }

    /// Returns the callers from which another principal's things are hidden.
    fn others_things(&self, name: &str) -> Vec<(&'static str, &str, u16)> {
        let (member, service_user) = (self.max.as_str(), self.service_user.as_str());
        match name {
            "GET /v1/workspaces/{ws}/members/{user}"
            | "GET /v1/workspaces/{ws}/tokens/{tok}"
            | "GET /v1/workspaces/{ws}/environments/{env}/grants/{principal}" => {
                vec![("another member", member, 404), ("service user", service_user, 404)]
            }
            "GET /v1/workspaces/{ws}/resources/{type}/{id}" => {
                vec![("member without access", member, 404), ("service user without access", service_user, 404)]
            }
            "GET /v1/workspaces/{ws}/service-users/{svc}" => vec![("another member", member, 404)],
            "GET /v1/workspaces/{ws}/members/{user}/profile" => {
                vec![("another member", member, 403), ("service user", service_user, 403)]
            }
            _ => vec![],
        }
    }
}

fn known_method(method: &str) -> &'static str {
    let known = ["GET", "POST", "PUT", "PATCH", "DELETE"];
    known.into_iter().find(|known| *known == method).unwrap()
}

/// Returns the credential with one letter of its secret changed.
fn garbled(credential: &str) -> String {
    let (id, secret) = credential.split_once('.').unwrap();
    let first = if secret.starts_with('A') { 'B' } else { 'A' };
    format!("{id}.{first}{}", &secret[1..])
}

#[test]
fn without_a_credential_every_route_answers_401_with_a_challenge() {
    let stage = stage();
    let before = stage.state();
    for asking in stage.askings() {
        let bytes = serde_json::to_vec(&asking.body).unwrap();
        let headers = [("content-type", "application/json")];
        let body = (!asking.body.is_null()).then_some(bytes.as_slice());
        let reply = stage.acme.server.send(asking.method, &asking.path, &headers, body);
        assert_eq!((reply.status, reply.code()), (401, "unauthenticated"), "{}", asking.name);
        let challenges: Vec<&str> = reply
            .headers
            .iter()
            .filter(|(name, _)| name == "www-authenticate")
            .map(|(_, value)| value.split(' ').next().unwrap())
            .collect();
        assert_eq!(challenges, ["Basic", "Bearer"], "{}", asking.name);
    }
    assert_eq!(stage.state(), before, "nothing was changed");
}

#[test]
fn one_wrong_letter_in_the_secret_is_401() {
    let stage = stage();
    let before = stage.state();
    for asking in stage.askings() {
        for credential in [OPERATOR, &stage.acme.alice, &stage.evaluator, &stage.auditor, &stage.proxy_token] {
            assert_eq!(stage.status(&asking, &garbled(credential)), 401, "{}: {}", asking.name, id(credential));
        }
    }
    assert_eq!(stage.state(), before, "nothing was changed");
}

#[test]
fn to_another_workspaces_owner_the_workspace_does_not_exist() {
    let stage = stage();
    let before = stage.state();
    for asking in stage.askings() {
        let expected = match asking.name.as_str() {
            "GET /v1/workspaces" => 200,
            "POST /v1/workspaces" | "GET /v1/events" => 403,
            _ if asking.who == Who::ProxyTokens => 401,
            _ => 404,
        };
        assert_eq!(stage.status(&asking, &stage.other_owner), expected, "{}", asking.name);
    }
    assert_eq!(stage.state(), before, "nothing was changed");
}

#[test]
fn an_unknown_workspace_looks_like_another_tenants() {
    let stage = stage();
    let theirs = stage.acme.server.get("/v1/workspaces/other/members", &stage.acme.alice).refused(404, "not_found");
    let none = stage.acme.server.get("/v1/workspaces/wrong/members", &stage.acme.alice).refused(404, "not_found");
    assert_eq!(theirs.text.replace("other", "wrong"), none.text);
}

#[test]
fn too_little_authority_is_refused_on_every_route() {
    let stage = stage();
    let before = stage.state();
    for asking in stage.askings() {
        let refused = stage.refused(&asking);
        assert!(!refused.is_empty(), "{} is refused to nobody", asking.name);
        for (who, credential, status) in refused {
            assert_eq!(stage.status(&asking, credential), status, "{} by {who}", asking.name);
        }
    }
    assert_eq!(stage.state(), before, "nothing was changed");
}

#[test]
fn a_proxy_token_works_for_proxy_auth_only() {
    let stage = stage();
    for asking in stage.askings().iter().filter(|asking| asking.who != Who::ProxyTokens) {
        assert_eq!(stage.status(asking, &stage.proxy_token), 401, "{}", asking.name);
    }
}

#[test]
fn the_table_has_exactly_these_routes() {
    let name = |route: &tenure::http::routes::Route| {
        format!("{} {}", route.method.as_ref().map_or("ANY", |method| method.as_str()), route.path)
    };
    let routes: BTreeSet<String> = table().iter().map(name).collect();
    let golden: BTreeSet<String> = GOLDEN.iter().map(ToString::to_string).collect();
    assert_eq!(routes, golden);
    assert_eq!(table().len(), GOLDEN.len(), "no route is there twice");
}

#[test]
fn every_parameter_that_a_handler_reads_of_its_path_is_in_the_path_of_the_route() {
    for route in table() {
        for name in route.reads.path {
            let (plain, rest) = (format!("{{{name}}}"), format!("{{*{name}}}"));
            assert!(route.path.contains(&plain) || route.path.contains(&rest), "{} has no `{name}`", route.path);
        }
    }
}

#[test]
fn the_openapi_document_describes_exactly_these_routes() {
    let server = Server::start();
    let document = server.send("GET", "/openapi.json", &[], None).expect(200).json;
    let mut described = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        described.extend(methods.as_object().unwrap().keys().map(|method| format!("{} {path}", method.to_uppercase())));
    }
    let expand = |name: &str| match name.split_once(' ').unwrap() {
        ("ANY", path) => {
            let methods = ["GET", "POST", "PUT", "DELETE", "OPTIONS", "HEAD", "PATCH", "TRACE"];
            methods.iter().map(|method| format!("{method} {path}")).collect()
        }
        _ => vec![name.to_owned()],
    };
    // The document cannot say that a parameter takes the rest of the path.
    let golden: BTreeSet<String> = GOLDEN.iter().flat_map(|name| expand(&name.replace("{*", "{"))).collect();
    assert_eq!(described, golden);
}
