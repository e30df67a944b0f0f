//! Log lines that cannot be written, and threads that end unexpectedly: the first take nothing with them, the second are noticed.

use std::future::pending;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use tenure::domain::model::command::Profile;
use tenure::domain::model::principal::Caller;
use tenure::domain::model::role::WorkspaceRole;
use tenure::http::client_address::TrustedProxies;
use tenure::http::serve as serve_http;
use tenure::http::sse::Streams;
use tenure::service::SideRequest;
use tokio::net::TcpListener;

use super::every_call::found;
use super::faulty::Fault;
use super::life::{Life, open, run, verify_all};
use super::process::{Process, serve};
use crate::support::commands::add_member;
use crate::support::server::{app, send_to};

/// Changes and questions of a server that writes a log line for each, which nobody can read.
fn serves_all_the_same(server: Process) {
    server.found();
    for batch in 0..20 {
        server.add(&format!("batch{batch}"), 3).expect(200);
    }
    for probe in ["/healthz", "/readyz"] {
        server.get(probe).expect(200);
    }
    server.get("/v1/workspaces/acme/members/batch19-2").expect(200);
    server.stop();
}

#[test]
fn a_log_line_that_a_full_disk_does_not_take_is_lost_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = serve("exec \"$@\" 2>/dev/full", folder.path());
    serves_all_the_same(Process::of(command.env("TENURE_LOG", "debug")));
    verify_all(&open(folder.path()));
}

#[test]
fn a_log_line_that_nobody_reads_is_lost_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    // The end that is written to comes as standard input, since the other streams are taken.
    let mut command = serve("exec \"$@\" 2>&0 </dev/null", folder.path());
    serves_all_the_same(Process::of(command.env("TENURE_LOG", "debug").stdin(Stdio::from(writer))));
    verify_all(&open(folder.path()));
}

#[test]
fn a_thread_that_does_not_end_does_not_keep_a_service_from_stopping() {
    run(async {
        let mut life = Life::new(None, &[]);
        life.done(&[found("acme")], None).await;
        let held = life.log.hold();
        let alice = Profile { name: "Alice".parse().ok(), email: None };
        let write = SideRequest::SetProfile("alice".into(), alice);
        let (service, id) = (Arc::clone(&life.service), life.id.unwrap());
        let waiting =
            tokio::spawn(async move { service.submit_side(id, &Caller::Operator, write, (None, None)).await });
        let held = tokio::task::spawn_blocking(move || {
            held.reached();
            held
        });
        let held = held.await.unwrap();
        let said = life.service.stop_within(Duration::from_millis(1)).await.unwrap_err().to_string();
        assert!(said.starts_with("a thread of the service did not end within"), "{said}");
        drop(held);
        waiting.await.unwrap().unwrap();
        verify_all(&life.log.store);
    });
}

#[test]
fn a_thread_that_ends_unexpectedly_makes_the_server_unready_and_end_with_an_error() {
    run(async {
        let mut life = Life::new(None, &[]);
        life.done(&[found("acme")], None).await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let app = app(Arc::clone(&life.service), address, Streams::default(), TrustedProxies::default()).await;
        let serving = tokio::spawn(serve_http(Arc::new(app), listener, pending()));
        let ask = move |path| {
            let config = ureq::Agent::config_builder().http_status_as_error(false).build();
            tokio::task::spawn_blocking(move || send_to(&config.into(), address, ("GET", path), &[], None))
        };
        for probe in ["/healthz", "/readyz"] {
            ask(probe).await.unwrap().expect(200);
        }
        // The committer's client waits; no other thread may panic.
        life.log.fail_next(Fault::Panic(1));
        let alice = Profile { name: "Alice".parse().ok(), email: None };
        let write = SideRequest::SetProfile("alice".into(), alice);
        let lost = life.service.submit_side(life.id.unwrap(), &Caller::Operator, write, (None, None));
        assert!(lost.await.unwrap_err().to_string().contains("stopping"));
        let said = serving.await.unwrap().unwrap_err().to_string();
        assert_eq!(said, "its thread `writer` failed");
        assert!(!life.service.is_ready() && life.service.failed() == Some("writer"));
        let refused = life.service.submit(life.submission(vec![add_member("bob", WorkspaceRole::Member)], None)).await;
        assert!(refused.is_err());
        life.service.stop().await.unwrap();
        verify_all(&life.log.store);
    });
}
