//! Ids of identity providers, credentials issued by removed members, and grants with an expiry.

use crate::support::program::{Credential, Server, program, run};

/// Makes a workspace with RBAC and a restricted environment `prod`.
fn company(server: &Server) -> Credential {
    let alice = server.found();
    for args in ["rbac enable", "environment create --restricted prod", "service-user create ci"] {
        server.ask(&alice, args).ok();
    }
    alice
}

#[test]
fn ids_of_identity_providers_work_in_every_command() {
    let server = Server::start();
    let alice = company(&server);
    let key = server.folder().join("acme.vkey");
    std::fs::write(&key, run(program().args(["key", "--data"]).arg(server.data())).ok()).unwrap();
    for (number, user) in ["auth0|5f7c8ec7", "repo:acme/app:ref:refs/heads/main", "https://id.example/~o'neil=1@x"]
        .into_iter()
        .enumerate()
    {
        let ok = |args: &[&str]| server.run(&alice, args).ok();
        let principal = format!("user:{user}");
        assert!(ok(&["member", "add", user, "--reason", "HR-1"]).contains("member.added"));
        assert!(ok(&["member", "list"]).contains(user));
        assert!(ok(&["grant", "set", "prod", &principal, "contributor"]).contains("grant.added"));
        assert!(ok(&["grant", "list", "prod"]).contains(&principal));
        assert_eq!(ok(&["check", &principal, "deploy", "prod"]), "allowed\n");
        assert!(ok(&["who", "prod"]).contains(&principal));
        assert!(ok(&["reach", &principal]).contains("contributor"));
        assert!(ok(&["events", "--subject", &principal]).contains("member.added"));
        assert!(ok(&["events", "--principal", &principal, "--all"]).contains("grant.added"));
        let grant = format!("{principal}@prod=viewer");
        assert!(ok(&["what-if", "--grant", &grant]).contains("prod: 1 would lose"));
        assert!(ok(&["what-if", "--change-role", &format!("{user}=manager")]).contains("member.role_changed"));
        assert!(ok(&["what-if", "--remove-member", user]).contains("member.removed"));
        assert!(ok(&["member", "profile", user, "--name", "Someone"]).contains("Someone"));
        assert!(ok(&["token", "issue", "--user", user]).contains("token.issued"));
        let out = server.folder().join(format!("evidence-{number}"));
        let asked = ["--with-log", "reach", &principal, "--from", "2000-01-01", "--until", "2999-01-01"];
        let mut evidence = server.program(&alice);
        evidence.args(["evidence", "--out"]).arg(&out).arg("--key").arg(&key).args(asked);
        run(&mut evidence).ok();
        let verified = run(program().arg("verify").arg(&out).arg("--key").arg(&key)).ok();
        assert!(verified.contains(&format!("principal={principal}").replace('\'', "\\'")), "{verified}");
        assert!(verified.contains("derived: the log gives this answer"), "{verified}");
        assert!(ok(&["grant", "revoke", "prod", &principal]).contains("grant.revoked"));
        assert!(ok(&["member", "remove", user]).contains("member.removed"));
    }
    for name in ["key_rotator", "_ci", "-ci"] {
        assert!(server.run(&alice, &["service-user", "create", "--", name]).ok().contains("service_user.created"));
        assert!(server.run(&alice, &["reach", &format!("service_user:{name}")]).ok().contains("viewer"));
        assert!(server.run(&alice, &["service-user", "delete", "--", name]).ok().contains("service_user.deleted"));
    }
}

#[test]
fn an_imported_history_names_people_and_programs_as_identity_providers_do() {
    let server = Server::start();
    let alice = server.found();
    let (data, file) = (server.folder().join("other"), server.folder().join("history.jsonl"));
    let lines = [
        r#"{"time":"2020-01-01T00:00:00Z","actor":"operator","workspace":{"name":"old","kind":"shared","plan":"team","owner":{"user":"auth0|1"}},"commands":[{"type":"rbac.enable"},{"type":"environment.create","name":"prod","restricted":true},{"type":"service_user.create","name":"key_rotator"}]}"#,
        r#"{"time":"2020-01-02T00:00:00Z","actor":"user:auth0|1","commands":[{"type":"member.add","user":"repo:a/b:ref","role":"member"},{"type":"grant.set","environment":"prod","principal":"user:repo:a/b:ref","role":"contributor","expires_at":"2030-01-01T00:00:00Z"}]}"#,
        r#"{"time":"2020-01-03T00:00:00Z","actor":"user:auth0|1","commands":[{"type":"grant.set","environment":"prod","principal":"user:repo:a/b:ref","role":"viewer"}]}"#,
    ];
    std::fs::write(&file, lines.join("\n")).unwrap();
    let import = |text: &str| {
        std::fs::write(&file, text).unwrap();
        run(program().args(["import", "--data"]).arg(&data).arg(&file))
    };
    let hidden = lines[0].replace("\"operator\",", "\"operator\",\"reason\":\"a\u{200b}b\",");
    assert!(import(&hidden).failed().contains("a reason is at most"), "a history is given, not stored");
    let many = (0..51).map(|_| r#"{"type":"token.issue","user":"auth0|1"}"#).collect::<Vec<_>>().join(",");
    let many =
        format!("{}\n{{\"time\":\"2020-01-02T00:00:00Z\",\"actor\":\"operator\",\"commands\":[{many}]}}", lines[0]);
    assert!(import(&many).failed().contains("50 live API tokens a principal"), "{many}");
    assert!(import(&lines.join("\n")).out.contains("old"), "a recorded grant without an end is one");
    assert!(server.ask(&alice, "member list").ok().contains("alice"));
}

/// Adds a manager, mark, who issued a token for `ci`, a proxy token and an access key.
fn issuer(server: &Server) -> Credential {
    let alice = company(server);
    server.ask(&alice, "member add mark --role manager").ok();
    let mark = Credential::of(&server.ask(&alice, "token issue --user mark -o json").json()["token"]);
    for args in ["token issue --service-user ci", "proxy-token create -e prod", "access-key issue audit --role auditor"]
    {
        server.ask(&mark, args).ok();
    }
    server.ask(&mark, "token issue --user mark").ok();
    alice
}

#[test]
fn removing_a_member_reports_the_credentials_they_issued() {
    let server = Server::start();
    let alice = issuer(&server);
    let listed = server.ask(&alice, "credentials --issued-by user:mark").ok();
    assert_eq!(listed.matches(" by user:mark").count(), 4, "{listed}");
    assert_eq!(server.ask(&alice, "credentials --issued-by user:mark -o csv").ok().lines().count(), 5);
    let foreseen = server.ask(&alice, "what-if --remove-member mark --revoke-issued").ok();
    assert!(
        foreseen.contains("3 token.revoked, proxy_token.revoked, access_key.revoked, member.removed"),
        "{foreseen}"
    );
    let foreseen = server.ask(&alice, "what-if --remove-member mark").ok();
    assert!(foreseen.contains("would append: 2 token.revoked, member.removed"), "{foreseen}");
    assert!(server.ask(&alice, "what-if --enable-rbac --revoke-issued").err.contains("--remove-member"));
    let removed = server.ask(&alice, "member remove mark");
    assert_eq!(removed.code, Some(0));
    assert!(removed.out.contains(": token.revoked, token.revoked, member.removed"), "{}", removed.out);
    for part in ["`mark` issued 3 live credentials", "`tenure credentials --issued-by user:mark`", "`--revoke-issued`"]
    {
        assert!(removed.err.contains(part), "{part}: {}", removed.err);
    }
    assert_eq!(server.ask(&alice, "credentials --issued-by user:mark").ok().matches(" by user:mark").count(), 3);
}

#[test]
fn a_member_is_removed_with_the_credentials_they_issued() {
    let server = Server::start();
    let alice = issuer(&server);
    let removed = server.ask(&alice, "member remove mark --revoke-issued --reason HR-31").ok();
    assert!(removed.contains("proxy_token.revoked, access_key.revoked, member.removed"), "{removed}");
    assert!(server.ask(&alice, "credentials --issued-by user:mark").ok().contains("there was no live credential"));
    assert_eq!(server.ask(&alice, "events --type access_key.revoked --all").ok().matches("HR-31").count(), 1);
    server.ask(&alice, "member add bob").ok();
    assert!(
        server.ask(&alice, "member remove bob").ok().contains("member.removed"),
        "who issued nothing leaves nothing"
    );
}

#[test]
fn the_expiry_of_a_grant_is_removed_only_by_no_expiry() {
    let server = Server::start();
    let alice = company(&server);
    server.ask(&alice, "member add bob").ok();
    server.ask(&alice, "grant set prod user:bob contributor --expires-at 2099-12-31").ok();
    let refused = server.ask(&alice, "grant set prod user:bob viewer").failed();
    for part in ["2099-12-31", "`--expires-at INSTANT`", "`--no-expiry`"] {
        assert!(refused.contains(part), "{part}: {refused}");
    }
    let restricted = server.ask(&alice, "environment restrict prod --grant user:bob=viewer").failed();
    assert!(restricted.contains("ends at 2099-12-31"), "{restricted}");
    assert!(server.ask(&alice, "what-if --grant user:bob@prod=viewer").failed().contains("ends at 2099-12-31"));
    let both = server.ask(&alice, "grant set prod user:bob viewer --no-expiry --expires-at 2099-12-31");
    assert_eq!(both.code, Some(2));
    assert!(server.ask(&alice, "grant set prod user:bob viewer --no-expiry").ok().contains("grant.changed"));
    assert!(server.ask(&alice, "grant set prod user:bob contributor").ok().contains("grant.changed"));
}
