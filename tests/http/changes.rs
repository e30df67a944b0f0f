//! Changes and their answers.

use serde_json::json;

use crate::server::{OPERATOR, Server};

#[test]
fn a_workspace_is_made_changed_and_asked_about() {
    let server = Server::start();
    let body = json!({"name": "acme", "kind": "shared", "plan": "team", "owner": {"user": "alice", "name": "Alice"}});
    let made = server.post("/v1/workspaces?reason=hello", OPERATOR, &body).expect(201);
    println!("{:?}\n{}", made.headers, made.text);
    let alice = made.credential("token");
    println!("{}", server.put("/v1/workspaces/acme/rbac", &alice, &json!({"enabled": true})).expect(200).text);
    let made = server
        .post("/v1/workspaces/acme/environments", &alice, &json!({"name": "prod", "restricted": true}))
        .expect(201);
    println!("{}", made.text);
    println!(
        "{}",
        server.post("/v1/workspaces/acme/members", &alice, &json!({"user": "bob", "role": "member"})).expect(201).text
    );
    let made =
        server.put("/v1/workspaces/acme/environments/prod/grants/user:bob", &alice, &json!({"role": "contributor"}));
    println!("{}", made.expect(200).text);
    for path in [
        "members",
        "environments",
        "tokens",
        "events",
        "audit/access",
        "service-users",
        "proxy-tokens",
        "access-keys",
        "environments/prod",
        "environments/prod/grants",
        "",
    ] {
        let path = format!("/v1/workspaces/acme/{path}");
        println!("{path} {}", server.get(path.trim_end_matches('/'), &alice).expect(200).text);
    }
    println!("{}", server.get("/v1/workspaces", &alice).expect(200).text);
    println!("{}", server.get("/v1/workspaces", OPERATOR).expect(200).text);
    let question = json!({"subject": {"type": "user", "id": "bob"}, "action": {"name": "deploy"}, "resource": {"type": "environment", "id": "prod"}});
    let asked = server.post("/v1/workspaces/acme/access/v1/evaluation?explain=true", &alice, &question).expect(200);
    println!("{:?} {}", asked.headers, asked.text);
    println!("{}", server.get("/openapi.json", &alice).expect(200).text.len());
    println!("{}", server.get("/docs/", &alice).expect(200).text);
}
