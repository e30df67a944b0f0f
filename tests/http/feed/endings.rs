//! The ends of a live stream of a workspace.

use super::*;

/// The stream of a manager, who has seen everything, and their token.
fn listening(acme: &Acme) -> (Listener, String) {
    let mark = acme.member("mark", "manager");
    let mut listener = follow(acme, "", &mark).opened();
    listener.revisions(usize::try_from(acme.head()).unwrap());
    (listener, mark)
}

#[test]
fn a_stream_ends_with_its_token_before_anything_later_is_sent() {
    let acme = Acme::new();
    let (mut listener, mark) = listening(&acme);
    let other = acme.post("members/mark/tokens", &Value::Null).expect(201).credential("token");
    assert_eq!(listener.event().unwrap().event.as_deref(), Some("token.issued.v1"));
    let mut others = follow(&acme, &format!("?after={}", acme.head()), &other).opened();
    acme.delete(&format!("tokens/{}", id(&mark))).expect(200);
    acme.environment("dev");
    assert_eq!(listener.message(), None);
    assert_eq!(follow(&acme, "", &mark).status, 401);
    assert_eq!(others.event().unwrap().event.as_deref(), Some("token.revoked.v1"), "the holder's other one goes on");
}

#[test]
fn a_stream_ends_when_its_reader_is_demoted_or_removed() {
    for demoted in [true, false] {
        let acme = Acme::new();
        let (mut listener, _) = listening(&acme);
        if demoted {
            acme.patch("members/mark", &json!({"role": "member"})).expect(200);
        } else {
            acme.delete("members/mark").expect(200);
        }
        acme.environment("dev");
        assert_eq!(listener.message(), None);
    }
}

#[test]
fn a_stream_ends_with_its_access_key() {
    let acme = Acme::new();
    let key = acme.access_key("auditor");
    let mut listener = follow(&acme, &format!("?after={}", acme.head()), &key).opened();
    acme.environment("dev");
    assert_eq!(listener.revisions(1), [acme.head()]);
    acme.delete(&format!("access-keys/{}", id(&key))).expect(200);
    assert_eq!(listener.message(), None);
}

#[test]
fn an_expiry_ends_a_stream_at_its_instant_without_an_event() {
    let acme = Acme::new();
    let end = tenure::domain::model::time::Instant::from_micros(SystemClock.now().micros() + 1_500_000);
    let body = json!({"role": "auditor", "label": "x", "expires_at": end.to_string()});
    let key = acme.post("access-keys", &body).expect(201).credential("access_key");
    let workspace = workspace_id(&acme);
    acme.delete("").expect(200);
    let begun = Instant::now();
    let target = format!("/v1/workspaces/{workspace}/events");
    let mut listener = acme.server.stream(&target, &key, &[]).opened();
    let mut last = None;
    while let Some(message) = listener.message() {
        last = message.event;
    }
    assert_eq!(last.as_deref(), Some("workspace.deleted.v1"), "nothing follows it");
    assert!(SystemClock.now() >= end && begun.elapsed() < AT_ONCE);
}

#[test]
fn an_expiry_by_an_adjusted_clock_ends_a_stream_by_the_next_heartbeat() {
    let clock = TestClock::start();
    let acme = Acme::on(Server::beating_every(SOON, clock.clone()));
    let body = json!({"expires_at": "2026-03-02T00:00:00Z"});
    let token = acme.post("members/alice/tokens", &body).expect(201).credential("token");
    let mut listener = follow(&acme, "?type=rbac.disabled", &token).opened();
    assert_eq!(listener.message().unwrap().comment.as_deref(), Some("heartbeat"));
    clock.set("2026-03-02T00:00:00Z");
    while listener.message().is_some() {}
}

#[test]
fn streams_of_a_deleted_workspace_continue_for_its_auditors() {
    let acme = Acme::new();
    let key = acme.access_key("auditor");
    let workspace = workspace_id(&acme);
    let after = format!("?after={}", acme.head());
    let mut owners = follow(&acme, &after, &acme.alice).opened();
    let mut auditors = follow(&acme, &after, &key).opened();
    let mut operators = follow(&acme, &after, OPERATOR).opened();
    acme.delete("").expect(200);
    assert_eq!(owners.message(), None);
    for listener in [&mut auditors, &mut operators] {
        assert_eq!(listener.event().unwrap().event.as_deref(), Some("workspace.deleted.v1"));
    }
    let taken_back = format!("/v1/workspaces/{workspace}/access-keys/{}", id(&key));
    let begun = Instant::now();
    acme.server.delete(&taken_back, OPERATOR).expect(200);
    assert_eq!(auditors.message(), None);
    assert!(begun.elapsed() < AT_ONCE, "it did not wait for a heartbeat");
    drop(acme);
    assert_eq!(operators.message(), None);
}
