//! Audit questions on the command line: reports, what-if, and access over a span of time as a chart.

use std::fs;
use std::io::Write;
use std::process::Stdio;

use crate::support::program::{Credential, RunOutput, Server, program, run};

const HISTORY: &str = concat!(
    r#"{"time":"2024-01-01T00:00:00Z","actor":"operator","workspace":{"name":"acme","kind":"shared","plan":"team","owner":{"user":"alice"}},"commands":[{"type":"rbac.enable"}]}"#,
    "\n",
    r#"{"time":"2024-02-01T00:00:00Z","actor":"user:alice","reason":"HR-7","commands":[{"type":"member.add","user":"bob","role":"member"},{"type":"member.add","user":"eve","role":"member"},{"type":"service_user.create","name":"ci"},{"type":"environment.create","name":"prod","restricted":true}]}"#,
    "\n",
    r#"{"time":"2024-03-01T00:00:00Z","actor":"user:alice","reason":"=OPS-1","commands":[{"type":"grant.set","environment":"prod","principal":"user:bob","role":"contributor"},{"type":"grant.set","environment":"prod","principal":"user:eve","role":"contributor","expires_at":"2024-03-11T00:00:00Z"}]}"#,
    "\n",
    r#"{"time":"2024-04-01T00:00:00Z","actor":"user:alice","reason":"HR-9","commands":[{"type":"member.remove","user":"bob"}]}"#,
    "\n",
);

/// A server with the history.
fn recorded() -> Server {
    let folder = tempfile::tempdir().unwrap();
    let history = folder.path().join("acme.jsonl");
    fs::write(&history, HISTORY).unwrap();
    run(program().args(["import", "--data"]).arg(folder.path().join("data")).arg(history)).ok();
    Server::on(folder)
}

fn in_locale(server: &Server, locale: &str, args: &str) -> RunOutput {
    let mut command = server.program(&server.operator());
    for name in ["LC_CTYPE", "LANG"] {
        command.env_remove(name);
    }
    run(command.env("LC_ALL", locale).args(args.split(' ')))
}

fn with_stdin(server: &Server, who: &Credential, args: &[&str], text: &str) -> RunOutput {
    let mut child = server.program(who).args(args).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    RunOutput { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

#[test]
fn a_span_is_shown_as_a_chart_and_a_list_of_causes() {
    let server = recorded();
    let shown = in_locale(&server, "C.UTF-8", "who prod --from 2024-01-01 --until 2024-05-01").ok();
    let lines: Vec<&str> = shown.lines().collect();
    assert_eq!(lines[0].split_whitespace().collect::<Vec<_>>(), ["2024-01-01", "2024-02-09", "2024-03-20"]);
    let bar = |name: &str| {
        let line = lines.iter().find(|line| line.starts_with(name)).unwrap();
        let (_, bar) = line.split_once("  ").unwrap();
        let count = |glyph: char| bar.chars().filter(|c| *c == glyph).count();
        (count('▒'), count('█'), bar.ends_with('▶'))
    };
    // The 121 days have 82 characters: the 29 days of February have 19 of their own, and share one with March.
    assert_eq!((bar("user:alice"), bar("user:bob"), bar("user:eve")), ((0, 61, true), (19, 22, false), (53, 8, true)));
    assert!(lines.contains(&"█ contributor   ▒ viewer   ▶ goes on"), "{shown}");
    let list = "user:bob
  2024-02-01 00:00:00Z  viewer       default_role    environment.restricted by user:alice: HR-7
  2024-03-01 00:00:00Z  contributor  grant           grant.added by user:alice: =OPS-1
  2024-04-01 00:00:00Z  ended        -               member.removed by user:alice: HR-9
user:eve
  2024-02-01 00:00:00Z  viewer       default_role    environment.restricted by user:alice: HR-7
  2024-03-01 00:00:00Z  contributor  grant           grant.added by user:alice: =OPS-1
  2024-03-11 00:00:00Z  viewer       default_role    the grant expired, as user:alice had set: =OPS-1
";
    assert!(shown.contains(list), "{shown}");
    let ascii = in_locale(&server, "C", "who prod --from 2024-01-01 --until 2024-05-01").ok();
    assert!(
        ascii.is_ascii() && ascii.contains("====####") && ascii.contains("# contributor   = viewer   > goes on"),
        "{ascii}"
    );
}

#[test]
fn a_span_is_given_by_dates_or_revisions_and_filtered_by_role() {
    let server = recorded();
    let ask = |args: &str| server.ask(&server.operator(), args);
    let names = |shown: &str| -> Vec<String> {
        let headings =
            shown.split("\n\n").nth(1).unwrap().lines().filter(|line| line.contains(':') && !line.starts_with("  "));
        headings.filter(|line| !line.starts_with("as of")).map(str::to_owned).collect()
    };
    let contributors = ask("who prod --from 2024-02-01 --until 2024-05-01 --role contributor").ok();
    assert_eq!(names(&contributors), ["user:alice", "user:bob", "user:eve"]);
    let events = ask("events --type member.removed -o json").json();
    let removal = events["items"][0]["revision"].as_u64().unwrap();
    let after = ask(&format!("who prod --from {removal}")).ok();
    assert_eq!(names(&after), ["user:alice", "user:eve", "service_user:ci"]);
    let reach = ask("reach user:bob --until 2024-05-01").ok();
    assert_eq!(reach.lines().filter(|line| ["main", "prod"].contains(line)).count(), 2, "{reach}");
    assert_eq!(
        ask("who prod --until 2024-01-15").ok().lines().next(),
        Some("there was no access at any time of the span")
    );
    assert!(ask("who prod --role viewer").failed().contains("go with `--from` or `--until`"));
    assert_eq!(ask("who prod --from 2024-01-01 --at 2024-01-01").code, Some(2));
    assert!(ask("who prod --from 9999").failed().contains("past the newest one"));
    assert!(ask("who nowhere --from 2024-01-01").failed().contains("there is no environment `nowhere`"));
    let json = ask("who prod --from 2024-01-01 -o json").json();
    assert_eq!(json["items"].as_array().unwrap().len(), 7);
    assert_eq!(json["query"]["environment"], "prod");
}

#[test]
fn json_and_csv_are_the_servers_own_and_safe_in_a_spreadsheet() {
    let server = recorded();
    let csv = |args: &str| server.ask(&server.operator(), &format!("{args} -o csv")).ok();
    let spans = csv("who prod --from 2024-01-01");
    assert!(
        spans.starts_with("principal,principal_name,environment,environment_name,role,rule,from,until,"),
        "{spans}"
    );
    assert!(spans.contains(",'=OPS-1,") && spans.contains(",2024-03-11T00:00:00.000000Z,"), "{spans}");
    assert_eq!(spans.lines().count(), 1 + 7);
    let diff = csv("diff --from 2024-02-15 --until 2024-03-05");
    assert!(diff.starts_with("principal,") && diff.lines().count() == 3, "{diff}");
    let credentials = csv("credentials");
    assert!(credentials.starts_with("kind,id,holder,") && credentials.lines().count() == 3, "{credentials}");
    let would = csv("what-if --remove-member eve");
    let header = "principal,principal_name,environment,environment_name,before,after\n";
    assert!(would.starts_with(header) && would.contains(",prod,viewer,\n"), "{would}");
    let page = server.ask(&server.operator(), "who prod -o html").failed();
    assert!(page.contains("only `tenure report` supports the output `html`"), "{page}");
}

#[test]
fn a_diff_shows_access_gained_and_lost_with_the_events() {
    let server = recorded();
    let ask = |args: &str| server.ask(&server.operator(), args);
    let shown = ask("diff --from 2024-02-15 --until 2024-04-15 --environment prod").ok();
    let expected = "user:bob lost viewer in prod
  2024-03-01 00:00:00Z  grant.added by user:alice: =OPS-1
  2024-04-01 00:00:00Z  grant.revoked by user:alice: HR-9
  2024-04-01 00:00:00Z  member.removed by user:alice: HR-9
prod: 0 gained, 1 lost
from 2024-02-15 00:00:00Z until 2024-04-15 00:00:00Z
";
    assert_eq!(shown, expected);
    let gained = ask("diff --from 5 --until 2024-02-15 --principal user:bob").ok();
    assert!(
        gained.contains("user:bob gained contributor in main\n") && gained.contains("gained viewer in prod\n"),
        "{gained}"
    );
    assert!(ask("diff --from 2024-06-01").ok().starts_with("nobody's access is another one\n"));
    assert!(ask("diff --from 2024-06-01 --until 2024-05-01").failed().contains("later than"));
}

#[test]
fn a_removal_is_simulated_then_made_then_explained() {
    let server = recorded();
    let operator = server.operator();
    let ask = |args: &str| server.ask(&operator, args);
    let before = ask("events --all -o json").json()["items"].as_array().unwrap().len();
    let would = ask("what-if --remove-member user:eve --delete-service-user ci").ok();
    let expected = "main: 2 would lose\nprod: 2 would lose\n\
        would append: member.removed, token.revoked, service_user.deleted\nnothing was changed\n";
    assert!(would.ends_with(expected), "{would}");
    assert!(
        would.lines().any(|line| line.split_whitespace().eq(["prod", "user:eve", "viewer", "no", "access"])),
        "{would}"
    );
    assert_eq!(ask("events --all -o json").json()["items"].as_array().unwrap().len(), before);
    ask("member remove eve --reason HR-12").ok();
    let explained = ask("check user:eve read prod --explain");
    assert_eq!(explained.code, Some(1));
    for part in [
        "denied\n  the user was removed from the workspace at ",
        " by operator\n  there is no role, and viewer is required\nrule not_a_member, as of ",
        "member.removed by operator: HR-12\n",
    ] {
        assert!(explained.out.contains(part), "{part}\n{}", explained.out);
    }
    let then = ask("check user:eve deploy prod --at 2024-03-20 --explain").out;
    let expired = "the principal's grant of contributor in `prod` expired at 2024-03-11 00:00:00Z, so the default role, viewer, decides\n  \
        that grant was given at 2024-03-01 00:00:00Z by user:alice\n";
    assert!(then.contains(expired), "{then}");
}

#[test]
fn what_if_takes_flags_together_files_and_stdin() {
    let server = recorded();
    let operator = server.operator();
    let ask = |args: &str| server.ask(&operator, args);
    let all = "what-if --restrict main --default-role no_access --grant user:eve@main=viewer --change-role eve=manager \
               --unrestrict prod --delete-environment main --disable-rbac -o json";
    let types = |said: RunOutput| -> Vec<String> {
        let json = said.json();
        let events = json["events"].as_array().unwrap();
        events.iter().map(|event| event["type"].as_str().unwrap().trim_end_matches(".v1").to_owned()).collect()
    };
    let expected = [
        "environment.restricted",
        "grant.added",
        "grant.revoked",
        "member.role_changed",
        "environment.unrestricted",
        "environment.deleted",
        "rbac.disabled",
    ];
    assert_eq!(types(ask(&all.split_whitespace().collect::<Vec<_>>().join(" "))), expected);
    let lines = "{\"type\":\"rbac.disable\"}\n{\"type\":\"rbac.enable\"}\n";
    let said = with_stdin(&server, &operator, &["what-if", "-"], lines).ok();
    let unchanged = "nobody's access to an environment would change\nwould append: rbac.disabled, rbac.enabled\nnothing was changed\n";
    assert_eq!(said, unchanged);
    let file = server.folder().join("commands.json");
    fs::write(&file, r#"{"commands":[{"type":"environment.unrestrict","environment":"prod"}]}"#).unwrap();
    let opened = server.run(&operator, &["what-if", file.to_str().unwrap()]).ok();
    assert!(opened.contains("prod: 2 would gain\n"), "{opened}");
    fs::write(&file, r#"{"commands":[],"reason":"x"}"#).unwrap();
    assert!(server.run(&operator, &["what-if", file.to_str().unwrap()]).failed().contains("stand alone"));
}

#[test]
fn what_if_reports_the_servers_refusal() {
    let server = recorded();
    let ask = |args: &str| server.ask(&server.operator(), args);
    let refused = ask("what-if --remove-member alice");
    assert_eq!(refused.out, "");
    assert!(refused.failed().contains("`alice` is the last owner"));
    assert!(ask("what-if --revoke-grant user:bob@prod").failed().contains("there is no"));
    assert!(ask("what-if").failed().contains("name the commands"));
    assert_eq!(ask("what-if --grant user:bob=viewer").code, Some(2));
    assert_eq!(ask("what-if --default-role viewer").code, Some(2));
}

#[test]
fn credentials_are_grouped_by_their_permissions() {
    let server = recorded();
    let operator = server.operator();
    server
        .run(&operator, &["access-key", "issue", "yearly audit", "--role", "auditor", "--expires-at", "2099-01-01"])
        .ok();
    let now = server.ask(&operator, "credentials").ok();
    for part in [
        "API tokens of user:alice, an owner\n  tok_",
        "made 2024-01-01 00:00:00Z by operator, never expires\n",
        "API tokens of service_user:ci\n",
        "access keys of auditors, who read everything\n  key_",
        "yearly audit: made ",
        " by operator, expires 2099-01-01 00:00:00Z\n",
    ] {
        assert!(now.contains(part), "{part}\n{now}");
    }
    let then = server.ask(&operator, "credentials --at 2024-01-15").ok();
    assert!(!then.contains("service_user:ci") && !then.contains("access keys"), "{then}");
}

#[test]
fn a_report_is_shown_written_and_refused_by_name() {
    let server = Server::start();
    let alice = server.found();
    server.ask(&alice, "member add bob --reason HR-12").ok();
    let table = server.ask(&alice, "report roster").ok();
    assert!(table.contains("user:bob") && table.contains("HR-12"), "{table}");
    let csv = server.ask(&alice, "report joiners -o csv").ok();
    assert!(csv.lines().nth(2).is_some_and(|line| line.contains("bob") && line.contains("HR-12")), "{csv}");
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("roster.html");
    assert_eq!(server.run(&alice, &["report", "roster", "--out", page.to_str().unwrap()]).code, Some(0));
    let page = fs::read_to_string(page).unwrap();
    assert!(page.starts_with("<!doctype html>") && page.contains("<svg") && page.contains("HR-12"), "{page}");
    assert!(server.ask(&alice, "report").ok().contains("outside-window"));
    let refused = server.ask(&alice, "report payroll");
    assert_eq!(refused.code, Some(2));
    assert!(refused.err.contains("payroll"), "{}", refused.err);
}
