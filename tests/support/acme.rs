//! A workspace `acme` on a running server, with short methods that change it and query it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use serde_json::{Value, json};
use tenure::clock::{Clock, SystemClock};
use tenure::domain::model::time::Instant;

use crate::support::server::{OPERATOR, Reply, Server};

/// A clock that a test sets by hand.
pub struct TestClock(AtomicI64);

impl TestClock {
    /// Returns a clock at the start of March 2026, UTC.
    pub fn start() -> Arc<Self> {
        let march: Instant = "2026-03-01T00:00:00Z".parse().unwrap();
        Arc::new(Self(AtomicI64::new(march.micros())))
    }

    pub fn set(&self, instant: &str) {
        self.0.store(instant.parse::<Instant>().unwrap().micros(), Ordering::SeqCst);
    }

    /// Advances the clock by this many microseconds.
    pub fn pass(&self, micros: i64) {
        self.0.fetch_add(micros, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Instant {
        Instant::from_micros(self.0.load(Ordering::SeqCst))
    }
}

/// A shared workspace on the plan `team`, RBAC on, owned by alice.
pub struct Acme {
    pub server: Server,
    pub alice: String,
}

/// Returns the path of a resource in the workspace.
pub fn path(rest: &str) -> String {
    let slash = if rest.is_empty() || rest.starts_with('?') { "" } else { "/" };
    format!("/v1/workspaces/acme{slash}{rest}")
}

pub fn workspace_body(name: &str, kind: &str, plan: &str, owner: &str) -> Value {
    json!({"name": name, "kind": kind, "plan": plan, "owner": {"user": owner}})
}

/// Returns the body of a check: the subject is written `TYPE:ID`, the resource `TYPE@ENVIRONMENT` or `workspace`.
pub fn question(subject: &str, action: &str, resource: &str) -> Value {
    let (kind, id) = subject.split_once(':').unwrap();
    let resource = match resource.split_once('@') {
        Some(("environment", environment)) => json!({"type": "environment", "id": environment}),
        Some((kind, environment)) => json!({"type": kind, "id": "one", "properties": {"environment": environment}}),
        None => json!({"type": "workspace", "id": "acme"}),
    };
    json!({"subject": {"type": kind, "id": id}, "action": {"name": action}, "resource": resource})
}

impl Acme {
    pub fn new() -> Self {
        let acme = Self::without_rbac(Arc::new(SystemClock));
        acme.rbac(true);
        acme
    }

    pub fn with_clock(clock: Arc<dyn Clock>) -> Self {
        let acme = Self::without_rbac(clock);
        acme.rbac(true);
        acme
    }

    pub fn without_rbac(clock: Arc<dyn Clock>) -> Self {
        Self::on(Server::with_clock(clock))
    }

    /// Creates the workspace on a new server.
    pub fn on(server: Server) -> Self {
        let made = server.post("/v1/workspaces", OPERATOR, &workspace_body("acme", "shared", "team", "alice"));
        let alice = made.expect(201).credential("token");
        Self { server, alice }
    }

    pub fn restart(self) -> Self {
        let Self { server, alice } = self;
        Self { server: server.restart(), alice }
    }

    pub fn call(&self, method: &str, rest: &str, credential: &str, body: &Value) -> Reply {
        self.server.call(method, &path(rest), credential, body)
    }

    pub fn get(&self, rest: &str) -> Reply {
        self.call("GET", rest, &self.alice, &Value::Null)
    }

    pub fn post(&self, rest: &str, body: &Value) -> Reply {
        self.call("POST", rest, &self.alice, body)
    }

    pub fn put(&self, rest: &str, body: &Value) -> Reply {
        self.call("PUT", rest, &self.alice, body)
    }

    pub fn patch(&self, rest: &str, body: &Value) -> Reply {
        self.call("PATCH", rest, &self.alice, body)
    }

    pub fn delete(&self, rest: &str) -> Reply {
        self.call("DELETE", rest, &self.alice, &Value::Null)
    }

    pub fn rbac(&self, enabled: bool) {
        self.put("rbac", &json!({"enabled": enabled})).expect(200);
    }

    /// Adds a member and returns their credential.
    pub fn member(&self, user: &str, role: &str) -> String {
        self.post("members", &json!({"user": user, "role": role})).expect(201);
        self.post(&format!("members/{user}/tokens"), &Value::Null).expect(201).credential("token")
    }

    /// Creates a service user and returns its credential.
    pub fn service_user(&self, name: &str) -> String {
        self.post("service-users", &json!({"name": name})).expect(201).credential("token")
    }

    /// Creates an unrestricted environment and returns its id.
    pub fn environment(&self, name: &str) -> String {
        self.made("environments", &json!({"name": name}), "environment")
    }

    /// Creates a restricted environment and returns its id.
    pub fn restricted(&self, name: &str, default_role: &str) -> String {
        let body = json!({"name": name, "restricted": true, "default_role": default_role});
        self.made("environments", &body, "environment")
    }

    /// Posts a body and returns the id of the new entity.
    #[track_caller]
    pub fn made(&self, rest: &str, body: &Value, kind: &str) -> String {
        self.post(rest, body).expect(201).json[kind]["id"].as_str().unwrap().to_owned()
    }

    pub fn grant(&self, environment: &str, principal: &str, role: &str) {
        self.put(&format!("environments/{environment}/grants/{principal}"), &json!({"role": role})).expect(200);
    }

    /// Creates a proxy token and returns its credential.
    pub fn proxy_token(&self, environments: Option<&[&str]>) -> String {
        let body = environments.map_or(json!({}), |environments| json!({"environments": environments}));
        self.post("proxy-tokens", &body).expect(201).credential("proxy_token")
    }

    /// Issues an access key and returns its credential.
    pub fn access_key(&self, role: &str) -> String {
        self.post("access-keys", &json!({"role": role, "label": "test"})).expect(201).credential("access_key")
    }

    /// Sends a check with this credential and asks for the explanation.
    pub fn ask_as(&self, credential: &str, rest: &str, question: &Value) -> Reply {
        self.call("POST", &format!("access/v1/evaluation{rest}"), credential, question)
    }

    #[track_caller]
    pub fn explained(&self, subject: &str, action: &str, resource: &str) -> Value {
        self.ask_as(&self.alice, "?explain=true", &question(subject, action, resource)).expect(200).json
    }

    #[track_caller]
    pub fn allows(&self, subject: &str, action: &str, resource: &str) -> bool {
        let answer = self.ask_as(&self.alice, "", &question(subject, action, resource)).expect(200);
        answer.json["decision"].as_bool().unwrap()
    }

    /// Returns the decision at an instant of the past.
    #[track_caller]
    pub fn allowed_at(&self, at: &str, subject: &str, action: &str, resource: &str) -> bool {
        let answer = self.ask_as(&self.alice, &format!("?at={at}"), &question(subject, action, resource)).expect(200);
        answer.json["decision"].as_bool().unwrap()
    }

    /// Returns the effective role of a principal in an environment.
    #[track_caller]
    pub fn role(&self, subject: &str, environment: &str) -> String {
        let answer = self.explained(subject, "read", &format!("environment@{environment}"));
        answer["context"]["role"].as_str().unwrap_or("none").to_owned()
    }

    /// Authenticates a proxy token as a reverse proxy does.
    pub fn proxy(&self, environment: &str, credential: &str) -> Reply {
        self.server.get(&path(&format!("proxy-auth/{environment}")), credential)
    }

    /// Returns the head revision.
    #[track_caller]
    pub fn head(&self) -> u64 {
        let answer = self.server.get(&path(""), OPERATOR).expect(200);
        answer.header("etag").unwrap().trim_matches('"').parse().unwrap()
    }

    /// Returns every event of the workspace.
    #[track_caller]
    pub fn events(&self) -> Vec<Value> {
        let answer = self.server.get(&path("events?limit=1000"), OPERATOR).expect(200);
        answer.json["items"].as_array().unwrap().clone()
    }
}

/// Returns the types of the events that a change appended, without their versions.
pub fn types(reply: &Reply) -> Vec<String> {
    let events = reply.json["events"].as_array().unwrap();
    events.iter().map(|event| event["type"].as_str().unwrap().trim_end_matches(".v1").to_owned()).collect()
}

/// Returns the id part of a credential.
pub fn id(credential: &str) -> &str {
    credential.split_once('.').unwrap().0
}
