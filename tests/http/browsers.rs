//! Cross-site requests of browsers, and the security headers of pages.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};
use tenure::http::routes::{Route, RouteKind, table};

use crate::support::acme::{Acme, path};
use crate::support::server::{Reply, Server};

/// Returns the method and a path of every route whose requests can change something or have a body.
fn guarded() -> Vec<(Route, String)> {
    let all = table().into_iter().filter(|route| route.method.as_ref().is_some_and(|method| method != "GET"));
    all.map(|route| {
        let segments = route.path.split('/').map(|part| match part {
            "{ws}" => "acme",
            "{principal}" => "user:alice",
            part if part.starts_with('{') => "alice",
            part => part,
        });
        let target = segments.collect::<Vec<_>>().join("/");
        (route, target)
    })
    .collect()
}

fn send(acme: &Acme, (route, target): &(Route, String), headers: &[(&str, &str)], body: Option<&[u8]>) -> Reply {
    let authorization = format!("Bearer {}", acme.alice);
    let all: Vec<_> =
        std::iter::once(("authorization", authorization.as_str())).chain(headers.iter().copied()).collect();
    acme.server.send(route.method.as_ref().unwrap().as_str(), target, &all, body)
}

#[test]
fn a_cross_site_request_is_refused_on_every_route_that_changes_something() {
    let acme = Acme::new();
    let (head, address) = (acme.head(), acme.server.address);
    let strange = [
        ("sec-fetch-site", "cross-site".to_owned()),
        ("sec-fetch-site", "same-site".to_owned()),
        ("sec-fetch-site", "Same-Origin".to_owned()),
        ("sec-fetch-site", String::new()),
        ("origin", "null".to_owned()),
        ("origin", "https://evil.example".to_owned()),
        ("origin", format!("https://{address}")),
        ("origin", format!("http://{}:1", address.ip())),
        ("origin", format!("http://{address}/")),
        ("origin", format!("http://{address}.evil.example")),
        ("origin", format!("http://localhost:{}", address.port())),
    ];
    let routes = guarded();
    assert!(routes.len() > 30);
    for route in &routes {
        for (name, value) in &strange {
            for body in [None, Some(b"{}".as_slice())] {
                let headers = [(*name, value.as_str()), ("content-type", "application/json")];
                let reply = send(&acme, route, &headers, body);
                assert_eq!((reply.status, reply.code()), (403, "cross_site"), "{} {name}: {value}", route.1);
            }
        }
        let both = [("sec-fetch-site", "same-origin"), ("origin", "https://evil.example")];
        send(&acme, route, &both, None).refused(403, "cross_site");
    }
    assert_eq!(acme.head(), head);
}

#[test]
fn a_request_of_the_servers_own_pages_or_of_no_page_is_accepted() {
    let acme = Acme::new();
    let own = format!("http://{}", acme.server.address);
    for (number, headers) in [
        vec![],
        vec![("sec-fetch-site", "same-origin")],
        vec![("sec-fetch-site", "none")],
        vec![("origin", own.as_str())],
        vec![("sec-fetch-site", "same-origin"), ("origin", &own)],
    ]
    .into_iter()
    .enumerate()
    {
        let authorization = format!("Bearer {}", acme.alice);
        let first = [("authorization", authorization.as_str()), ("content-type", "application/json")];
        let headers: Vec<_> = first.into_iter().chain(headers).collect();
        let body = serde_json::to_vec(&json!({"name": format!("e{number}")})).unwrap();
        acme.server.send("POST", &path("environments"), &headers, Some(&body)).expect(201);
        acme.server.send("DELETE", &path(&format!("environments/e{number}")), &headers, None).expect(200);
    }
}

#[test]
fn a_request_that_only_reads_may_come_from_any_site() {
    let acme = Acme::without_rbac(std::sync::Arc::new(tenure::clock::SystemClock));
    let token = acme.proxy_token(None);
    let elsewhere = [("sec-fetch-site", "cross-site"), ("origin", "https://app.example")];
    for (method, target, credential, status) in [
        ("GET", path(""), &acme.alice, 200),
        ("GET", path("events"), &acme.alice, 200),
        ("GET", path("proxy-auth/main"), &token, 204),
        ("POST", path("proxy-auth/main"), &token, 204),
        ("DELETE", path("proxy-auth/main"), &token, 204),
    ] {
        let authorization = format!("Bearer {credential}");
        let headers: Vec<_> = std::iter::once(("authorization", authorization.as_str())).chain(elsewhere).collect();
        acme.server.send(method, &target, &headers, None).expect(status);
    }
    let (key, secret) = token.split_once('.').unwrap();
    let form =
        [("tenure-key", key), ("tenure-secret", secret), ("content-type", "text/plain"), ("content-encoding", "br")];
    acme.server.send("POST", &path("proxy-auth/main"), &form, Some(b"a=b")).expect(204);
}

#[test]
fn every_body_must_be_json() {
    let acme = Acme::new();
    let head = acme.head();
    for route in &guarded() {
        let is_decision = route.0.kind == RouteKind::Decide;
        for wrong in [
            vec![],
            vec!["text/plain"],
            vec!["application/x-www-form-urlencoded"],
            vec!["multipart/form-data; boundary=x"],
            vec!["application/jsonp"],
            vec!["text/json"],
            vec!["application/json", "text/plain"],
            vec![""],
        ] {
            let headers: Vec<_> = wrong.iter().map(|value| ("content-type", *value)).collect();
            let expected = if is_decision { (400, "malformed") } else { (415, "unsupported_media_type") };
            let reply = send(&acme, route, &headers, Some(b"{\"a\":1}"));
            assert_eq!((reply.status, reply.code()), expected, "{} {wrong:?}", route.1);
        }
        for right in ["application/json", "APPLICATION/JSON", "application/json; charset=utf-8"] {
            let reply = send(&acme, route, &[("content-type", right)], Some(b"{\"nothing_that_is_known\":1}"));
            assert!(
                ![415, 403].contains(&reply.status) || reply.code() == "forbidden",
                "{} {right}: {}",
                route.1,
                reply.text
            );
        }
        for encoding in ["gzip", "br", "identity, gzip", "x"] {
            let headers = [("content-type", "application/json"), ("content-encoding", encoding)];
            send(&acme, route, &headers, Some(b"{}")).refused(415, "unsupported_media_type");
        }
        let headers = [("content-type", "application/json"), ("content-encoding", "Identity")];
        assert_ne!(send(&acme, route, &headers, Some(b"{\"nothing_that_is_known\":1}")).status, 415, "{}", route.1);
    }
    assert_eq!(acme.head(), head);
    let authorization = format!("Bearer {}", acme.alice);
    let untyped = [("authorization", authorization.as_str())];
    acme.server.send("POST", &path("members/alice/tokens"), &untyped, None).expect(201);
}

#[test]
fn every_page_has_a_policy_that_forbids_framing() {
    let acme = Acme::new();
    let authorization = format!("Bearer {}", acme.alice);
    let html = ("accept", "text/html");
    let report = acme.server.send("GET", &path("reports/roster"), &[("authorization", &authorization), html], None);
    let docs = acme.server.send("GET", "/docs/", &[html], None);
    for page in [report.expect(200), docs.expect(200)] {
        assert!(page.header("content-type").unwrap().starts_with("text/html"));
        let policy = page.header("content-security-policy").unwrap();
        assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{policy}");
        assert!(!policy.contains("script-src 'self' 'unsafe-inline'"), "{policy}");
        assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
    }
}

mod a_real_browser {
    use super::*;

    const NAMES: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

    /// Returns the browser's command; none without one. `tests/domain/reports/browser.rs` says how to install it.
    #[expect(clippy::print_stderr, reason = "says why nothing is tried")]
    fn browser() -> Option<&'static str> {
        let runs = |name: &&str| {
            Command::new(name).arg("--version").stdout(Stdio::null()).status().is_ok_and(|status| status.success())
        };
        let found = NAMES.into_iter().find(runs);
        if found.is_none() {
            eprintln!("skipped: no browser; `apt-get install chromium` gives one");
        }
        found
    }

    fn visit(browser: &str, url: &str) -> Output {
        let profile = tempfile::tempdir().unwrap();
        let output = Command::new("timeout")
            .args(["120", browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"])
            .args(["--enable-logging=stderr", "--v=0", "--no-first-run", "--disable-background-networking"])
            .args(["--virtual-time-budget=15000", "--dump-dom"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg(url)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output
    }

    /// Serves one page, as a site of its own.
    fn site(page: String) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = BufReader::new(stream.unwrap());
                let mut line = String::new();
                while stream.read_line(&mut line).is_ok_and(|read| read > 2) {
                    line.clear();
                }
                let head = "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\nconnection: close";
                let _ = write!(stream.get_mut(), "{head}\r\ncontent-length: {}\r\n\r\n{page}", page.len());
                let _ = stream.get_mut().flush();
                let _ = stream.into_inner().shutdown(std::net::Shutdown::Write);
            }
        });
        address
    }

    #[test]
    fn a_form_of_another_site_changes_nothing() {
        let Some(browser) = browser() else { return };
        let acme = Acme::new();
        let (id, secret) = acme.alice.split_once('.').unwrap();
        let target = format!("http://{id}:{secret}@{}{}", acme.server.address, path("members"));
        // A text form can hold JSON, for a server that does not check the type.
        let body = json!({"user": "mallory", "role": "owner", "name": "="}).to_string();
        let (name, value) = body.split_once('=').unwrap();
        for enctype in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"] {
            let page = format!(
                "<!doctype html><form method=post enctype='{enctype}' action='{target}'>\
                 <input name='{name}' value='{value}'></form><script>document.forms[0].submit()</script>"
            );
            let from = site(page);
            let seen = visit(browser, &format!("http://localhost:{}/", from.port()));
            let seen = String::from_utf8_lossy(&seen.stdout).into_owned();
            assert!(seen.contains("cross_site"), "{enctype}: the browser has sent it: {seen}");
        }
        acme.get("members/mallory").refused(404, "not_found");
    }

    #[test]
    fn the_documentation_pages_follow_their_policy() {
        let Some(browser) = browser() else { return };
        let server = Server::start();
        let drawn = visit(browser, &format!("http://{}/docs/", server.address));
        let complaints = String::from_utf8_lossy(&drawn.stderr).into_owned();
        assert!(!complaints.contains("Content Security Policy"), "{complaints}");
        let page = String::from_utf8_lossy(&drawn.stdout).into_owned();
        assert!(page.contains("opblock") && page.contains("Makes a workspace"), "{}", &page[..page.len().min(2_000)]);
    }
}

#[test]
fn a_challenge_names_basic_first_for_browsers() {
    let server = Server::start();
    let reply = server.send("GET", "/v1/workspaces", &[], None).refused(401, "unauthenticated");
    let lines: Vec<_> = reply.headers.iter().filter(|(name, _)| name == "www-authenticate").collect();
    assert_eq!(lines.len(), 2);
    assert!(lines[0].1.starts_with("Basic realm=\"tenure\"") && lines[1].1 == "Bearer realm=\"tenure\"");
    assert_eq!(reply.json["code"], Value::from("unauthenticated"));
}
