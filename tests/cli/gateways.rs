//! The gateways of `examples/` as processes, with other ports, in front of a small application and beside a running
//! Tenure.
//!
//! If nginx or Caddy is missing, the test installs Debian's package where it can. A gateway that cannot be installed is
//! skipped, and the test says so. Envoy runs only if it is installed.

mod running;

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use serde_json::json;
use tenure::clock::SystemClock;

use running::{Application, Gateway, is_available};

use crate::support::acme::{Acme, id};
use crate::support::server::{Reply, Server};

/// A token of `prod` and one of `test`, and a gateway that protects an application of `prod`.
struct Stage {
    acme: Acme,
    gateway: Gateway,
    application: Application,
    token: String,
    other_token: String,
}

impl Stage {
    fn start(example: &str, command: fn(&Path, &Path) -> Command) -> Self {
        let acme = Acme::on(Server::behind("127.0.0.1", Arc::new(SystemClock)));
        acme.rbac(true);
        acme.restricted("prod", "viewer");
        acme.restricted("test", "viewer");
        let token = acme.proxy_token(Some(&["prod"]));
        let other_token = acme.proxy_token(Some(&["test"]));
        let application = Application::start();
        let gateway = Gateway::start(example, acme.server.address, application.address, command);
        Self { acme, gateway, application, token, other_token }
    }

    /// Calls the application through the gateway.
    fn call(&self, headers: &[(&str, &str)]) -> Reply {
        self.gateway.call("GET", "/reports/2026?page=2", headers, None)
    }

    fn with(&self, token: &str) -> Reply {
        let (id, secret) = token.split_once('.').unwrap();
        self.call(&[("tenure-key", id), ("tenure-secret", secret)])
    }

    /// Asserts that a call was refused, and that the application did not see it.
    #[track_caller]
    fn refused(&self, reply: Reply, status: u16) -> Reply {
        let seen = self.application.take_seen();
        assert!(seen.is_empty(), "the application was reached: {seen:?}");
        reply.expect(status)
    }

    /// Asserts that the application was reached, and that it saw the token's id but no secret.
    #[track_caller]
    fn reached(&self, reply: Reply) {
        let reply = reply.expect(200);
        assert_eq!(reply.text, "the application's answer");
        let seen = self.application.take_seen();
        let [seen] = seen.as_slice() else { panic!("reached {} times", seen.len()) };
        assert_eq!(seen.header("tenure-token"), [id(&self.token)]);
        for name in ["tenure-key", "tenure-secret", "authorization"] {
            assert_eq!(seen.header(name), Vec::<&str>::new(), "{name}");
        }
        let secret = self.token.split_once('.').unwrap().1;
        assert!(!format!("{seen:?}").contains(secret));
    }

    fn rescope(&self, environment: &str) {
        let scope = format!("proxy-tokens/{}/environments", id(&self.token));
        self.acme.put(&scope, &json!({"environments": [environment]})).expect(200);
    }

    fn only_a_live_token_of_the_environment_is_accepted(&self) {
        let challenged = self.refused(self.call(&[]), 401);
        let challenges = challenged.headers.iter().filter(|(name, _)| name == "www-authenticate");
        let schemes: Vec<&str> = challenges.filter_map(|(_, value)| value.split(' ').next()).collect();
        assert!(schemes.contains(&"Basic") || schemes.contains(&"Bearer"), "{schemes:?}");
        self.refused(self.with(&self.acme.alice), 401);
        self.refused(self.with("prx_01m83dj683efcspd8kghwr8sga.wrong"), 401);
        self.refused(self.with(&self.other_token), 403);
        self.reached(self.with(&self.token));
        let bearer = format!("Bearer {}", self.token);
        self.reached(self.call(&[("authorization", &bearer)]));
    }

    fn a_callers_forged_headers_do_not_reach_the_application(&self) {
        let (id, secret) = self.token.split_once('.').unwrap();
        let bearer = format!("Bearer {}", self.token);
        let claims = [
            ("tenure-key", id),
            ("tenure-secret", secret),
            ("authorization", bearer.as_str()),
            ("tenure-token", "prx_forged"),
        ];
        self.reached(self.call(&claims));
        self.refused(self.call(&[("tenure-token", id)]), 401);
    }

    fn a_request_arrives_as_it_was_sent(&self) {
        let (id, secret) = self.token.split_once('.').unwrap();
        let headers = [("tenure-key", id), ("tenure-secret", secret)];
        self.gateway.call("POST", "/orders/%41?x=1&y=2", &headers, Some(b"a body")).expect(200);
        let seen = self.application.take_seen();
        assert_eq!((seen[0].method.as_str(), seen[0].body.as_str()), ("POST", "a body"));
        assert!(seen[0].target.ends_with("?x=1&y=2"), "{}", seen[0].target);
    }

    fn a_change_takes_effect_with_the_next_request(&self) {
        self.reached(self.with(&self.token));
        self.rescope("test");
        self.refused(self.with(&self.token), 403);
        self.rescope("prod");
        self.reached(self.with(&self.token));
        self.acme.delete(&format!("proxy-tokens/{}", id(&self.other_token))).expect(200);
        self.refused(self.with(&self.other_token), 401);
    }

    fn guessing_is_limited_and_the_right_secret_passes(&self) {
        let guess = format!("{}.guess", id(&self.token));
        for claimed in 0..10 {
            let claimed = format!("192.0.2.{claimed}");
            let (id, secret) = guess.split_once('.').unwrap();
            let headers = [("tenure-key", id), ("tenure-secret", secret), ("x-forwarded-for", claimed.as_str())];
            self.refused(self.call(&headers), 401);
        }
        let limited = self.refused(self.with(&guess), 429);
        let seconds: u64 = limited.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=6).contains(&seconds), "{seconds}");
        self.reached(self.with(&self.token));
    }

    /// Stops Tenure, so the gateway has nothing to ask.
    fn every_request_is_refused_while_tenure_is_down(self) {
        let Self { acme, gateway, application, token, .. } = self;
        drop(acme);
        let (id, secret) = token.split_once('.').unwrap();
        let reply = gateway.call("GET", "/", &[("tenure-key", id), ("tenure-secret", secret)], None);
        assert!([502, 503].contains(&reply.status), "{}", reply.status);
        assert_eq!(application.take_seen().len(), 0);
    }
}

fn protects(example: &str, command: fn(&Path, &Path) -> Command) {
    let stage = Stage::start(example, command);
    stage.only_a_live_token_of_the_environment_is_accepted();
    stage.a_callers_forged_headers_do_not_reach_the_application();
    stage.a_request_arrives_as_it_was_sent();
    stage.a_change_takes_effect_with_the_next_request();
    stage.guessing_is_limited_and_the_right_secret_passes();
    stage.every_request_is_refused_while_tenure_is_down();
}

#[test]
fn nginx_refuses_every_request_that_tenure_refuses() {
    if !is_available("nginx", &["-v"], Some("nginx-light")) {
        return;
    }
    protects("nginx/nginx.conf", |folder, config| {
        let mut nginx = Command::new("nginx");
        nginx.arg("-p").arg(folder).arg("-c").arg(config).args(["-e", "stderr", "-g", "daemon off;"]);
        nginx
    });
}

#[test]
fn caddy_refuses_every_request_that_tenure_refuses() {
    if !is_available("caddy", &["version"], Some("caddy")) {
        return;
    }
    protects("caddy/Caddyfile", |folder, config| {
        let mut caddy = Command::new("caddy");
        caddy.env("HOME", folder).env("XDG_DATA_HOME", folder).env("XDG_CONFIG_HOME", folder);
        caddy.args(["run", "--adapter", "caddyfile", "--config"]).arg(config);
        caddy
    });
}

#[test]
fn envoy_refuses_every_request_that_tenure_refuses() {
    if !is_available("envoy", &["--version"], None) {
        return;
    }
    protects("envoy/envoy.yaml", |_, config| {
        let mut envoy = Command::new("envoy");
        envoy.args(["--log-level", "warning", "--concurrency", "1", "--use-dynamic-base-id", "-c"]).arg(config);
        envoy
    });
}
