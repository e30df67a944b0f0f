//! The client commands against a running server: output, prompts and exit codes.

use crate::support::program::{Credential, Server, program, run, tenure};

/// Makes a workspace with RBAC, a member bob, a service user ci, and a restricted environment `prod`.
fn company(server: &Server) -> Credential {
    let alice = server.found();
    for args in [
        "rbac enable --reason C-1",
        "member add bob --role member --reason HR-7",
        "service-user create ci",
        "environment create --restricted prod --grant service_user:ci=contributor --reason SEC-1",
    ] {
        server.ask(&alice, args).ok();
    }
    alice
}

/// Returns the lines of an output that contain a text.
fn lines<'a>(out: &'a str, holding: &str) -> Vec<&'a str> {
    out.lines().filter(|line| line.contains(holding)).collect()
}

#[test]
fn a_check_sets_the_exit_code_and_explains_the_decision() {
    let server = Server::start();
    let alice = company(&server);
    let denied = server.ask(&alice, "check user:bob deploy prod");
    let why = "denied: the principal has no grant in `prod`, so the default role, viewer, decides\n";
    assert_eq!((denied.code, denied.out.as_str(), denied.err.as_str()), (Some(1), why, ""));
    assert_eq!(server.ask(&alice, "check user:bob read_logs prod").code, Some(0));
    let set = server.ask(&alice, "grant set prod user:bob contributor --reason OPS-12 --expires-at 2099-12-31").ok();
    assert!(set.contains("2099-12-31 00:00:00Z") && set.contains("revision 12: grant.added"), "{set}");
    assert_eq!(server.ask(&alice, "check user:bob deploy prod").ok(), "allowed\n");
    let explained = server.ask(&alice, "check user:bob deploy prod --explain").ok();
    for part in [
        "allowed\n  the principal has a grant of their own in `prod`: contributor, until 2099-12-31 00:00:00Z\n",
        "\n  the grant was given at ",
        "\n  the role is contributor, and contributor is required\nrule grant, as of ",
        "grant.added by user:alice: OPS-12\n",
    ] {
        assert!(explained.contains(part), "{part}\n{explained}");
    }
    server.ask(&alice, "grant revoke prod user:bob").ok();
    let denied = server.ask(&alice, "check user:bob deploy prod --explain");
    assert_eq!(denied.code, Some(1));
    assert!(denied.out.contains("the principal's grant of contributor in `prod` was taken back at "), "{}", denied.out);
    assert!(denied.out.contains("grant.revoked by user:alice\n"), "{}", denied.out);
    assert_eq!(server.ask(&alice, "check user:bob deploy prod --at 12").code, Some(0));
    let json = server.ask(&alice, "check user:bob deploy prod --at 12 --explain -o json").json();
    assert_eq!((json["decision"].as_bool(), json["context"]["revision"].as_u64()), (Some(true), Some(12)));
    let csv = server.ask(&alice, "check user:bob deploy prod --at 12 --explain -o csv").ok();
    assert!(
        csv.starts_with("decision,role,required,rule,revision,at\nallowed,contributor,contributor,grant,12,"),
        "{csv}"
    );
}

#[test]
fn every_kind_of_subject_and_resource_can_be_checked() {
    let server = Server::start();
    let alice = company(&server);
    let token = server.ask(&alice, "proxy-token create --environment prod -o json").json();
    let token = token["proxy_token"]["id"].as_str().unwrap();
    for (question, code) in [
        ("service_user:ci deploy prod", 0),
        ("task:main use secret:db-password@prod", 1),
        ("task:prod use secret:db-password@prod", 0),
        ("user:bob write volume:models@prod", 1),
        ("user:alice manage_members workspace", 0),
        ("user:bob manage_members workspace", 1),
        ("user:alice deploy environment:prod", 0),
        ("user:nobody deploy prod", 1),
        (&format!("proxy_token:{token} call web_function:checkout@prod"), 0),
        (&format!("proxy_token:{token} call web_function:checkout@main"), 1),
    ] {
        let said = server.ask(&alice, &format!("check {question}"));
        assert_eq!((said.code, said.err.as_str()), (Some(code), ""), "{question}");
    }
}

#[test]
fn who_and_reach_answer_for_any_revision() {
    let server = Server::start();
    let alice = company(&server);
    server.ask(&alice, "grant set prod user:bob contributor").ok();
    let now = server.ask(&alice, "who prod").ok();
    assert!(lines(&now, "user:bob")[0].contains("contributor  grant"), "{now}");
    assert!(lines(&now, "service_user:ci")[0].contains("contributor  grant"), "{now}");
    assert!(lines(&now, "user:alice")[0].contains("workspace_role"), "{now}");
    assert_eq!(lines(&now, "as of ").len(), 1);
    let before = server.ask(&alice, "who prod --at 11").ok();
    assert!(lines(&before, "user:bob")[0].contains("viewer"), "{before}");
    assert!(before.contains(", revision 11"), "{before}");
    let reach = server.ask(&alice, "reach user:bob --at 11").ok();
    assert!(lines(&reach, "main")[0].contains("unrestricted"), "{reach}");
    let csv = server.ask(&alice, "who prod -o csv").ok();
    assert!(csv.starts_with("principal,principal_name,environment,environment_name,role,rule,since\n"), "{csv}");
    assert_eq!(server.ask(&alice, "reach service_user:ci -o json").json()["items"].as_array().unwrap().len(), 2);
    assert!(server.ask(&alice, "who nowhere").failed().contains("there is no environment `nowhere`"));
}

#[test]
fn events_are_filtered_and_safe_to_open_in_a_spreadsheet() {
    let server = Server::start();
    let alice = company(&server);
    server.run(&alice, &["access-key", "issue", "=1+1", "--role", "auditor", "--reason", "=cmd()"]).ok();
    let all = server.ask(&alice, "events --all").ok();
    assert_eq!(all.lines().count(), 1 + 12, "{all}");
    assert!(lines(&all, "member.added")[1].contains("HR-7"), "{all}");
    assert!(!all.contains("sha256"), "{all}");
    let first = server.ask(&alice, "events --limit 2");
    assert_eq!((first.code, first.out.lines().count()), (Some(0), 3));
    assert!(first.err.contains("the first 2 are shown"), "{}", first.err);
    let one = |filter: &str| server.ask(&alice, &format!("events --all {filter}")).ok().lines().count() - 1;
    assert_eq!((one("--type member.added"), one("--principal user:bob"), one("--environment prod")), (2, 1, 3));
    assert_eq!((one("--actor operator"), one("--after 11"), one("--subject user:bob --type member.added")), (4, 1, 1));
    assert_eq!(server.ask(&alice, "events --until 2020-01-01").ok(), "nothing of the kind happened\n");
    let keys = server.ask(&alice, "access-key list -o csv").ok();
    assert!(keys.contains(",auditor,'=1+1,"), "{keys}");
    let csv = server.ask(&alice, "events --type access_key.issued -o csv").ok();
    assert!(csv.contains(",'=cmd(),"), "{csv}");
}

#[test]
fn a_secret_is_shown_once_with_its_id_and_a_warning() {
    let server = Server::start();
    let made = server.ask(&server.operator(), "workspace create acme --owner alice").ok();
    let field = |name: &str| {
        let line = made.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().last().unwrap().to_owned()
    };
    let alice = Credential { id: field("id  ").clone(), secret: field("secret") };
    let ids: Vec<_> = made.lines().filter(|line| line.starts_with("id  ")).collect();
    let alice = Credential { id: ids.last().unwrap().split_whitespace().last().unwrap().to_owned(), ..alice };
    assert!(alice.id.starts_with("tok_"), "{made}");
    assert!(made.contains("The secret is shown only now"), "{made}");
    assert_eq!(server.ask(&alice, "check user:alice deploy main").code, Some(0));
    let again = server.ask(&alice, "token list -o json").ok();
    assert!(!again.contains(&alice.secret) && again.contains(&alice.id), "{again}");
    let csv = server.ask(&alice, "service-user create bot -o csv").ok();
    assert!(csv.starts_with("id,name,created_at,created_by,credential,secret\n"), "{csv}");
    let made: Vec<&str> = csv.lines().nth(1).unwrap().split(',').collect();
    let bot = Credential { id: made[4].to_owned(), secret: made[5].to_owned() };
    assert_eq!(server.ask(&bot, "check service_user:bot deploy main").code, Some(0));
    for command in [
        "service-user create ci",
        "token issue --user alice",
        "access-key issue audit --role auditor",
        "proxy-token create",
    ] {
        let said = server.ask(&alice, command).ok();
        assert_eq!(said.matches("secret is shown only now").count(), 1, "{said}");
        let json = server.ask(&alice, &command.replace("create ci", "create cd").replace(" audit ", " audit2 "));
        assert!(json.ok().contains("revision "));
    }
}

#[test]
fn turning_rbac_off_shows_a_preview_and_asks_first() {
    let server = Server::start();
    let alice = company(&server);
    server.ask(&alice, "environment create --restricted vault --default-role no_access").ok();
    server.ask(&alice, "proxy-token create -e prod").ok();
    let asked = server.ask(&alice, "rbac disable");
    for change in ["prod user:bob viewer", "vault user:bob no access", "vault service_user:ci no access"] {
        let change = format!("{change} contributor");
        let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(asked.out.lines().any(|line| words(line) == change), "{change}\n{}", asked.out);
    }
    for part in
        ["prod: 1 would gain\nvault: 2 would gain\n", "1 proxy token would be accepted in more", "main, vault\n"]
    {
        assert!(asked.out.contains(part), "{part}\n{}", asked.out);
    }
    assert!(
        lines(&asked.out, "alice").is_empty() && asked.out.contains("would append: rbac.disabled"),
        "{}",
        asked.out
    );
    assert!(asked.failed().contains("use `--yes`"));
    assert!(server.ask(&alice, "workspace plan starter").failed().contains("only the operator may do this"));
    let asked = server.ask(&server.operator(), "workspace plan starter");
    assert!(asked.out.contains("would append: plan.changed, rbac.disabled"), "{}", asked.out);
    assert!(asked.failed().contains("use `--yes`"), "a plan without RBAC opens as much");
    assert!(server.ask(&alice, "rbac status").ok().contains("on"));
    let json = server.ask(&alice, "rbac disable -o json");
    assert_eq!((json.out.as_str(), json.code), ("", Some(2)));
    assert!(server.ask(&alice, "rbac disable --yes --reason INC-3").ok().contains("rbac.disabled"));
    assert_eq!(server.ask(&alice, "check user:bob deploy vault").code, Some(0));
    assert!(server.ask(&alice, "rbac disable --yes").ok().contains("nothing had to change"));
}

#[test]
fn refusals_are_reported_on_stderr_in_the_servers_words() {
    let server = Server::start();
    let alice = company(&server);
    for (args, said) in [
        ("member remove alice", "`alice` is the last owner"),
        ("grant set prod user:alice viewer", "a grant would say nothing"),
        ("member add bob", "the member `bob` exists already"),
        ("environment create --restricted PROD", "exists already"),
        ("workspace plan enterprise", "only the operator may do this"),
        ("member list --at 2099-01-01", "later than now"),
        ("workspace show -w umbrella", "there is no workspace `umbrella`"),
    ] {
        let refused = server.ask(&alice, args);
        assert_eq!(refused.out, "", "{args}");
        let err = refused.failed();
        assert!(err.contains(said), "{args}\n{err}");
    }
    let wrong = Credential { secret: "wrong".to_owned(), ..alice };
    let err = server.ask(&wrong, "workspace list").failed();
    assert!(err.contains("TENURE_TOKEN_ID and TENURE_TOKEN_SECRET is unknown to this server"), "{err}");
}

#[test]
fn the_workspace_may_be_left_out_only_if_there_is_one() {
    let server = Server::start();
    let operator = server.operator();
    assert!(server.ask(&operator, "member list").failed().contains("there is no workspace yet"));
    let alice = server.found();
    assert!(server.ask(&operator, "member list").ok().contains("alice"));
    server.ask(&operator, "workspace create umbrella --owner zoe --kind personal --plan starter").ok();
    let err = server.ask(&operator, "member list").failed();
    assert!(err.contains("acme, umbrella") && err.contains("-w"), "{err}");
    assert!(server.ask(&operator, "member list -w umbrella").ok().contains("zoe"));
    assert!(server.ask(&alice, "member list").ok().contains("alice"));
}

#[test]
fn an_unreachable_server_is_reported() {
    let said = run(program().env("TENURE_TOKEN_ID", "operator").env("TENURE_TOKEN_SECRET", "secret").args([
        "workspace",
        "list",
        "--url",
        "http://127.0.0.1:1",
    ]));
    let err = said.failed();
    assert!(err.contains("http://127.0.0.1:1") && err.contains("is the server running there?"), "{err}");
    assert!(tenure("workspace list").failed().contains("set TENURE_TOKEN_ID and TENURE_TOKEN_SECRET"));
}

#[test]
fn reads_of_the_audit_are_shown_with_their_questions_and_rows() {
    let server = Server::start();
    let alice = company(&server);
    assert_eq!(server.ask(&alice, "reads").ok(), "there are no such reads of the audit\n");
    server.ask(&alice, "reach user:bob").ok();
    server.ask(&server.operator(), "events --limit 2 --type member.added").ok();
    let said = server.ask(&alice, "reads").ok();
    let columns = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let shown: Vec<_> = said.lines().map(columns).collect();
    assert_eq!(shown[0], ["TIME", "WHO", "WHAT", "FORM", "ROWS"]);
    assert_eq!(shown[1][2..], ["user:alice", "audit/reads", "limit=100", "json", "0"]);
    assert_eq!(shown[2][2..], ["user:alice", "audit/access", "principal=user:bob", "limit=1000", "json", "2"]);
    assert_eq!(shown[3][2..], ["operator", "events", "type=member.added", "limit=2", "json", "2"]);
    let csv = server.ask(&alice, "reads --actor operator --from 2000-01-01 --until 2999-01-01 -o csv").ok();
    let header = "at,actor,credential,question,query,format,revision,view_at,rows,request_id,id\n";
    assert!(csv.starts_with(header) && csv.contains(",operator,operator,events,type=member.added&limit=2,"), "{csv}");
    let part = server.ask(&alice, "reads --limit 1");
    assert!(part.out.lines().count() == 2 && part.err.contains("use `--all`"), "{part:?}");
    assert_eq!(server.ask(&alice, "reads --all -o json").json()["items"].as_array().unwrap().len(), 6);
    let wrong = server.ask(&alice, "reads --from 2026-02-01 --until 2026-01-01").failed();
    assert!(wrong.contains("is later than `until`"), "{wrong}");
    assert!(server.ask(&alice, "reads --actor bob").failed().contains("the id of an access key"));
}

#[test]
fn every_entity_can_be_created_changed_listed_and_deleted() {
    let server = Server::start();
    let alice = company(&server);
    let say = |args: &str| server.ask(&alice, args).ok();
    assert!(say("member role bob manager").contains("member.role_changed"));
    assert!(say("member list -o csv").contains("bob,manager,"));
    assert!(say("environment create dev").contains("environment.created"));
    assert!(say("environment rename dev Sandbox").contains("environment.renamed"));
    assert!(say("environment restrict sandbox --default-role no_access").contains("environment.restricted"));
    assert!(say("environment restrict sandbox --default-role viewer").contains("default_role_changed"));
    assert!(say("environment unrestrict sandbox").contains("environment.unrestricted"));
    assert!(lines(&say("environment list"), "Sandbox")[0].contains("unrestricted"));
    assert!(say("environment delete Sandbox").contains("environment.deleted"));
    assert!(say("grant list prod").contains("service_user:ci"));
    let token = server.ask(&alice, "proxy-token create -e prod --expires-at 2099-01-01 -o json").json();
    let token = Credential::of(&token["proxy_token"]).id;
    assert!(say(&format!("proxy-token scope {token} prod main")).contains("scoped"));
    assert!(say("proxy-token list").contains(&token));
    assert!(say(&format!("proxy-token revoke {token}")).contains("proxy_token.revoked"));
    let key = Credential::of(&server.ask(&alice, "access-key issue ci --role evaluator -o json").json()["access_key"]);
    assert_eq!(server.ask(&key, "check user:bob deploy prod -w acme").code, Some(0));
    assert!(server.ask(&key, "check user:bob deploy prod").failed().contains("name the workspace with `-w`"));
    assert!(say(&format!("access-key revoke {}", key.id)).contains("access_key.revoked"));
    let bob = Credential::of(&server.ask(&alice, "token issue --user bob -o json").json()["token"]);
    assert!(server.ask(&bob, "member list").ok().contains("alice"));
    assert!(say(&format!("token revoke {}", bob.id)).contains("token.revoked"));
    server.ask(&bob, "member list").failed();
    assert!(say("token issue --service-user ci").contains("token.issued"));
    assert!(say("service-user list").contains("ci"));
    assert!(say("service-user delete ci").contains("token.revoked, token.revoked, service_user.deleted"));
    let profile = ["member", "profile", "bob", "--name", "Bob Stone", "--email", "bob@acme.example"];
    assert!(server.run(&alice, &profile).ok().contains("Bob Stone"));
    assert!(say("member list").contains("Bob Stone"));
    assert!(say("member profile bob --erase").contains("erased"));
    assert!(!say("member list").contains("Bob Stone"));
    assert!(say("member remove bob").contains("member.removed"));
    assert!(server.ask(&alice, "workspace delete").failed().contains("use `--yes`"));
    assert!(say("workspace show -o csv").contains(",acme,shared,team,true"));
    assert!(say("workspace delete --yes").contains("workspace.deleted"));
}

#[test]
fn resources_are_defined_placed_checked_and_removed() {
    let server = Server::start();
    let alice = company(&server);
    let say = |args: &str| server.ask(&alice, args).ok();
    let defined = say("resource-type define gpu --action read=viewer --action reserve=contributor --reason G-1");
    assert!(defined.contains("read=viewer reserve=contributor") && defined.contains("resource_type.defined"));
    let again = say("resource-type define gpu --action read=viewer --action reserve=contributor");
    assert!(again.contains("nothing had to change"), "{again}");
    let types = say("resource-type list");
    assert!(lines(&types, "gpu")[0].contains("no") && lines(&types, "web_function")[0].contains("call=proxy_token"));
    assert!(say("resource-type list -o csv").starts_with("name,built_in,actions,since\n"));
    assert!(say("resource place gpu:rack/1 prod --reason G-2").contains("resource.placed"));
    assert!(say("resource place gpu:a@b main").contains("resource.placed"));
    assert!(lines(&say("resource list"), "rack/1")[0].contains("prod"));
    assert_eq!(say("resource list --type gpu --environment main -o csv").lines().count(), 2);
    assert_eq!(say("resource list --type secret"), "no resource is placed there\n");
    assert!(say("resource show gpu:rack/1").contains("prod"));
    assert_eq!(server.ask(&alice, "check user:bob read gpu:rack/1").code, Some(0));
    assert_eq!(server.ask(&alice, "check user:bob reserve gpu:rack/1").code, Some(1));
    assert_eq!(server.ask(&alice, "check user:bob reserve gpu:a@b@").code, Some(0));
    let elsewhere = server.ask(&alice, "check user:alice read gpu:rack/1@main");
    let why = "denied: the resource is recorded in another environment than the question names\n";
    assert_eq!((elsewhere.code, elsewhere.out.as_str()), (Some(1), why));
    assert!(say("resource place gpu:rack/1 main").contains("resource.moved"));
    assert!(say("check user:bob reserve gpu:rack/1 --explain").contains("resource.moved"));
    assert!(say("resource remove gpu:rack/1").contains("resource.removed"));
    assert_eq!(server.ask(&alice, "check user:bob read gpu:rack/1").code, Some(1));
    for (args, said) in [
        ("resource show gpu:rack/1", "there is no placed resource `gpu/rack/1`"),
        ("resource place tpu:v5 main", "there is no resource type `tpu`"),
        ("resource-type define app --action read=viewer", "the built-in resource type `app` exists already"),
        ("resource-type define tpu --action read=viewer --action read=contributor", "`read` is given twice"),
        ("resource-type define tpu --action read", "written `ACTION=ROLE`"),
        ("resource place gpu main", "written `TYPE:ID`"),
    ] {
        let err = server.ask(&alice, args).failed();
        assert!(err.contains(said), "{args}\n{err}");
    }
}
