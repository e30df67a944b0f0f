//! A clock that jumps. Nothing is written until it is steady again, and access counts as expired by the old or the new
//! time. No workspace is affected for longer than the clock was wrong.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tenure::clock::{Clock, SystemClock};
use tenure::domain::model::id::WorkspaceId;
use tenure::domain::model::time::{Instant, Revision};
use tenure::log::{Append, EventLog, SideWrite};

use super::life::{open, verify_all};
use super::process::{PLAIN, Process, serve};
use crate::support::acme::{Acme, path, workspace_body};
use crate::support::program::program;
use crate::support::server::{OPERATOR, Reply, Server};

const SECOND: i64 = 1_000_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
const YEAR: i64 = 365 * DAY;

/// A clock that can be set, and one that cannot.
struct Clocks {
    now: AtomicI64,
    elapsed: AtomicI64,
}

impl Clocks {
    fn start() -> Arc<Self> {
        let noon: Instant = "2026-03-01T12:00:00Z".parse().unwrap();
        Arc::new(Self { now: AtomicI64::new(noon.micros()), elapsed: AtomicI64::new(0) })
    }

    /// Lets time pass, as both clocks see it.
    fn pass(&self, micros: i64) {
        self.now.fetch_add(micros, Ordering::SeqCst);
        self.elapsed.fetch_add(micros, Ordering::SeqCst);
    }

    /// Sets the one that can be set.
    fn jump(&self, micros: i64) {
        self.now.fetch_add(micros, Ordering::SeqCst);
    }

    /// So long after now.
    fn after(&self, micros: i64) -> String {
        Instant::from_micros(self.now.load(Ordering::SeqCst) + micros).to_string()
    }
}

impl Clock for Clocks {
    fn now(&self) -> Instant {
        Instant::from_micros(self.now.load(Ordering::SeqCst))
    }

    fn elapsed(&self) -> Duration {
        Duration::from_micros(self.elapsed.load(Ordering::SeqCst).unsigned_abs())
    }
}

/// Bob has a grant and a token, both for an hour.
fn stage() -> (Arc<Clocks>, Acme, String) {
    let clocks = Clocks::start();
    let acme = Acme::with_clock(clocks.clone());
    acme.member("bob", "member");
    acme.restricted("prod", "viewer");
    let until = clocks.after(HOUR);
    let grant = json!({"role": "contributor", "expires_at": until});
    acme.put("environments/prod/grants/user:bob", &grant).expect(200);
    let token = acme.post("members/bob/tokens", &json!({"expires_at": until})).expect(201).credential("token");
    (clocks, acme, token)
}

fn bob_deploys(acme: &Acme) -> bool {
    acme.allows("user:bob", "deploy", "app@prod")
}

fn works(acme: &Acme, credential: &str) -> bool {
    acme.call("GET", "", credential, &Value::Null).status == 200
}

fn run_maintenance(acme: &Acme) {
    acme.server.block_on(acme.server.service.run_maintenance()).unwrap();
    acme.server.block_on(acme.server.service.flush()).unwrap();
}

fn keyed(acme: &Acme, name: &str) -> Reply {
    let authorization = format!("Bearer {OPERATOR}");
    let headers = [("authorization", &*authorization), ("content-type", "application/json"), ("idempotency-key", name)];
    acme.server.send("POST", &path("environments"), &headers, Some(json!({"name": name}).to_string().as_bytes()))
}

fn ready(acme: &Acme) -> Reply {
    acme.server.send("GET", "/readyz", &[], None)
}

fn restarted(acme: Acme, clocks: &Arc<Clocks>, meanwhile: impl FnOnce(&Path)) -> Acme {
    let Acme { server, alice } = acme;
    Acme { server: server.restart_after(clocks.clone(), meanwhile), alice }
}

/// The store's clock counts from a time on, as `--accept-clock` has it.
fn reset_mark(folder: &Path, now: Instant) {
    let (workspace, side_writes) = (WorkspaceId::from_uuid(uuid::Uuid::nil()), vec![SideWrite::ResetClockMark(now)]);
    open(folder).append(&[Append { workspace, expected: Revision::ZERO, events: Vec::new(), side_writes }]).unwrap();
}

#[test]
fn a_clock_that_is_a_year_ahead_for_a_moment_leaves_nothing_behind() {
    for ahead in [YEAR, 40 * YEAR, 2 * MINUTE] {
        let (clocks, acme, token) = stage();
        keyed(&acme, "dev").expect(201);
        let head = acme.head();
        clocks.jump(ahead);
        for _ in 0..3 {
            let refused = keyed(&acme, "too-late").refused(503, "clock_unsettled");
            let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
            assert!((50..=60).contains(&wait), "{wait}");
            acme.put("rbac", &json!({"enabled": false})).refused(503, "clock_unsettled");
            acme.get("audit/access").refused(503, "clock_unsettled");
            acme.put("members/bob/profile", &json!({"name": "Bob"})).refused(503, "clock_unsettled");
            ready(&acme).refused(503, "clock_unsettled");
            assert_eq!((bob_deploys(&acme), works(&acme, &token)), (ahead < HOUR, ahead < HOUR), "{ahead}");
            assert!(works(&acme, &acme.alice), "decisions go on");
            run_maintenance(&acme);
            clocks.pass(SECOND);
        }
        clocks.jump(-ahead);
        assert_eq!(ready(&acme).status, 200);
        assert!(bob_deploys(&acme) && works(&acme, &token));
        assert_eq!(acme.head(), head, "nothing was appended");
        acme.get("audit/access").expect(200);
        let again = keyed(&acme, "dev").expect(201);
        assert_eq!(acme.head(), head, "what was asked before is still known: {}", again.text);
        let acme = restarted(acme, &clocks, |folder| verify_all(&open(folder)));
        assert!(bob_deploys(&acme) && works(&acme, &token) && ready(&acme).status == 200);
        let made = acme.post("environments", &json!({"name": "later"})).expect(201);
        assert!(made.json["events"][0]["time"].as_str().unwrap() < &*clocks.after(SECOND), "{}", made.text);
    }
}

/// The milliseconds of an id's time (RFC 9562 §5.7), as its text has them in Crockford's base 32.
fn id_millis(id: &str) -> i64 {
    let digits = "0123456789abcdefghjkmnpqrstvwxyz";
    let value = |digit: char| u128::try_from(digits.find(digit).unwrap()).unwrap();
    let id = id.rsplit('_').next().unwrap().chars().fold(0, |id, digit| id << 5 | value(digit));
    i64::try_from(id >> 80).unwrap()
}

#[test]
fn ids_have_the_settled_time_during_and_after_a_jump() {
    for jump in [YEAR, 40 * YEAR, -YEAR] {
        let (clocks, acme, _) = stage();
        let check = |name: &str| {
            let made = acme.post("environments", &json!({"name": name})).expect(201);
            let (event, now) = (&made.json["events"][0], clocks.now().micros() / 1_000);
            for id in [&event["id"], &event["command"], &made.json["environment"]["id"]] {
                assert!((id_millis(id.as_str().unwrap()) - now).abs() < 60_000, "{name}: {id}, and it is {now}");
            }
        };
        check("before");
        clocks.jump(jump);
        acme.post("environments", &json!({"name": "refused"})).refused(503, "clock_unsettled");
        acme.get("members").expect(200);
        clocks.jump(-jump);
        clocks.pass(SECOND);
        check("after");
        clocks.jump(jump);
        acme.post("environments", &json!({"name": "refused"})).refused(503, "clock_unsettled");
        clocks.pass(MINUTE);
        check("settled");
    }
}

#[test]
fn a_clock_that_jumps_back_brings_nothing_back_and_is_said_to_be_behind() {
    let (clocks, acme, token) = stage();
    clocks.pass(HOUR);
    assert!(!bob_deploys(&acme) && !works(&acme, &token));
    clocks.jump(-2 * HOUR);
    assert!(!bob_deploys(&acme) && !works(&acme, &token));
    acme.post("environments", &json!({"name": "one"})).refused(503, "clock_unsettled");
    clocks.pass(59 * SECOND);
    acme.post("environments", &json!({"name": "one"})).refused(503, "clock_unsettled");
    clocks.pass(2 * SECOND);
    acme.environment("one");
    assert!(!bob_deploys(&acme) && !works(&acme, &token), "by the newest time");
    let problem = ready(&acme).refused(503, "clock_behind");
    assert!(problem.text.contains("set the clock right"), "{}", problem.text);
    let times: Vec<_> = acme.events().iter().map(|event| event["time"].as_str().unwrap().to_owned()).collect();
    assert!(times.windows(2).all(|pair| pair[0] <= pair[1]), "{times:?}");
    let other = acme.server.post("/v1/workspaces", OPERATOR, &workspace_body("other", "shared", "team", "olga"));
    let time = other.expect(201).json["events"][0]["time"].as_str().unwrap().to_owned();
    assert!(time < clocks.after(SECOND), "another workspace has the time of the clock: {time}");
    let acme = restarted(acme, &clocks, |folder| verify_all(&open(folder)));
    ready(&acme).refused(503, "clock_behind");
    assert!(!bob_deploys(&acme) && !works(&acme, &token), "after a restart");
    clocks.pass(3 * HOUR);
    assert_eq!(ready(&acme).status, 200);
}

#[test]
fn a_clock_that_stays_ahead_is_believed_after_a_minute() {
    let (clocks, acme, token) = stage();
    clocks.jump(DAY);
    acme.post("environments", &json!({"name": "one"})).refused(503, "clock_unsettled");
    clocks.pass(MINUTE);
    acme.environment("one");
    assert!(!bob_deploys(&acme) && !works(&acme, &token));
    assert_eq!(ready(&acme).status, 200);
    let expired = acme.events().iter().filter(|event| event["type"] == "grant.expired.v1").count();
    assert_eq!(expired, 1);
}

#[test]
fn a_crash_right_after_something_expired_and_a_clock_that_is_then_behind_do_not_bring_it_back() {
    // How long it is until the end: one that is known ahead, and one that was only just given.
    for known in [true, false] {
        let clocks = Clocks::start();
        let acme = Acme::with_clock(clocks.clone());
        acme.member("bob", "member");
        acme.restricted("prod", "viewer");
        let until = clocks.after(if known { HOUR } else { 2 * SECOND });
        let grant = json!({"role": "contributor", "expires_at": until});
        acme.put("environments/prod/grants/user:bob", &grant).expect(200);
        if known {
            clocks.pass(HOUR - 3 * SECOND);
            run_maintenance(&acme);
            assert!(bob_deploys(&acme));
        }
        // As a crash before the next housekeeping leaves the store.
        let crashed = tempfile::tempdir().unwrap();
        acme.server.service.log().backup(&crashed.path().join("tenure.db")).unwrap();
        clocks.pass(3 * SECOND);
        assert!(!bob_deploys(&acme));
        clocks.jump(-MINUTE);
        let clocks = Arc::new(Clocks { now: AtomicI64::new(clocks.now().micros()), elapsed: AtomicI64::new(0) });
        let acme = Acme { server: Server::on(crashed.path(), clocks), alice: acme.alice };
        assert!(!bob_deploys(&acme), "known ahead: {known}");
    }
}

#[test]
fn a_server_under_a_clock_that_is_behind_its_store_says_so_until_the_operator_takes_the_clock_for_right() {
    let folder = tempfile::tempdir().unwrap();
    Process::start(folder.path()).stop();
    let now = SystemClock.now();
    let next_year = Instant::from_micros(now.micros() + YEAR);
    reset_mark(folder.path(), next_year);
    let server = Process::start(folder.path());
    let problem = server.get("/readyz").refused(503, "clock_behind");
    assert!(problem.text.contains(&next_year.to_string()), "{}", problem.text);
    server.found();
    let said = server.stop_and_say();
    assert!(said.contains("and this store has seen") && said.contains("--accept-clock"), "{said}");
    let server = Process::of(serve(PLAIN, folder.path()).arg("--accept-clock"));
    server.get("/readyz").expect(200);
    assert!(server.stop_and_say().contains("the clock counts from"));
    let server = Process::start(folder.path());
    server.get("/readyz").expect(200);
    server.stop();
}

/// A workspace that was written under a clock a year ahead, after which the clock, and the store's, were set right; and another one.
fn ahead() -> (Arc<Clocks>, Acme) {
    let (clocks, acme, _) = stage();
    let alice = acme.alice.clone();
    acme.server.post("/v1/workspaces", OPERATOR, &workspace_body("other", "shared", "team", "olga")).expect(201);
    clocks.jump(YEAR);
    run_maintenance(&acme);
    clocks.pass(MINUTE);
    acme.environment("made-ahead");
    clocks.jump(-YEAR);
    let now = clocks.now();
    let acme = restarted(Acme { alice, ..acme }, &clocks, |folder| reset_mark(folder, now));
    (clocks, acme)
}

#[test]
fn a_workspace_whose_newest_event_is_ahead_is_judged_by_the_clock_and_says_so() {
    let (clocks, acme) = ahead();
    assert_eq!(ready(&acme).status, 200);
    let soon = clocks.after(YEAR + DAY);
    let token = acme.post("members/bob/tokens", &json!({"expires_at": soon})).expect(201);
    let newest = acme.events().last().unwrap()["time"].as_str().unwrap().to_owned();
    assert!(newest > clocks.after(YEAR - HOUR), "times in a log never run back: {newest}");
    assert_eq!(token.header("tenure-clock"), Some("behind"));
    let token = token.credential("token");
    // Within what the newest event's time says, by the clock.
    clocks.pass(DAY);
    assert!(works(&acme, &token));
    let asked = acme.get("members").expect(200);
    assert_eq!(asked.header("tenure-clock"), Some("behind"));
    assert!(asked.header("tenure-at").unwrap() < &*clocks.after(SECOND));
    let explained = acme.explained("user:bob", "read", "environment@prod");
    assert_eq!(explained["context"]["clock"], "behind");
    let refused = acme.post("members/bob/tokens", &json!({"expires_at": clocks.after(DAY)})).refused(422, "invalid");
    assert!(refused.json["detail"].as_str().unwrap().contains("not in the future; it is 2027-"), "{}", refused.text);
    let other = acme.server.get("/v1/workspaces/other/members", OPERATOR).expect(200);
    assert_eq!(other.header("tenure-clock"), None);
    let made = acme.server.post("/v1/workspaces/other/environments", OPERATOR, &json!({"name": "dev"})).expect(201);
    assert!(made.json["events"][0]["time"].as_str().unwrap() < &*clocks.after(SECOND), "{}", made.text);
}

#[test]
fn every_question_about_a_workspace_that_is_ahead_is_answered_and_answered_the_same_again() {
    let (clocks, acme) = ahead();
    let year_ago = clocks.after(-YEAR);
    let since = format!("from={year_ago}");
    for question in [
        "audit/access?environment=prod".to_owned(),
        format!("audit/tenures?environment=prod&{since}"),
        format!("audit/diff?{since}"),
        "environments".to_owned(),
        "events".to_owned(),
    ] {
        let first = acme.get(&question).expect(200);
        let (at, revision) = (first.header("tenure-at").unwrap(), first.header("tenure-revision").unwrap());
        let mark = if question.contains('?') { '&' } else { '?' };
        clocks.pass(SECOND);
        let again = acme.get(&format!("{question}{mark}at={at}&revision={revision}")).expect(200);
        assert_eq!(again.text, first.text, "{question}");
    }
    // When they were last used moves outside the log.
    acme.get("audit/credentials").expect(200);
    let reports = acme.get("reports").expect(200);
    for report in reports.json["items"].as_array().unwrap_or_else(|| panic!("{}", reports.text)) {
        acme.get(&format!("reports/{}", report["name"].as_str().unwrap())).expect(200);
    }
    let what_if = json!({"commands": [{"type": "rbac.disable"}]});
    acme.post("audit/what-if", &what_if).expect(200);
    acme.get(&format!("members?at={year_ago}&revision=99")).refused(422, "invalid");
    // A revision of the past is not looked at under a time before it, whatever is ahead.
    let early = clocks.after(-HOUR);
    acme.get(&format!("members?at={early}&revision=5")).refused(422, "invalid");
}

#[test]
fn a_clock_that_shows_what_cannot_be_gets_a_sentence_and_nothing_breaks() {
    for wrong in [-57 * YEAR, -300 * YEAR, 9_000 * YEAR] {
        let (clocks, acme, token) = stage();
        clocks.jump(wrong);
        for credential in [OPERATOR, &acme.alice, &token] {
            for route in ["", "members", "events", "audit/access", "access/v1/evaluation"] {
                let reply = acme.call("GET", route, credential, &Value::Null);
                assert!(reply.status == 405 || reply.code() == "clock_wrong", "{route}: {}", reply.text);
            }
            let reply = acme.call("POST", "environments", credential, &json!({"name": "one"}));
            reply.refused(503, "clock_wrong");
        }
        acme.proxy("prod", &token).refused(503, "clock_wrong");
        ready(&acme).refused(503, "clock_wrong");
        assert_eq!(acme.server.send("GET", "/healthz", &[], None).status, 200);
        run_maintenance(&acme);
        clocks.jump(-wrong);
        assert!(works(&acme, &acme.alice) && bob_deploys(&acme) && works(&acme, &token));
        acme.environment("two");
    }
}

/// The program under a clock that shows another time; none where `faketime` is not there.
fn under(time: &str, shell: &str, folder: &Path) -> Option<std::process::Output> {
    let mut command = Command::new("faketime");
    command.args(["-f", time, "sh", "-c", shell, "sh"]).arg(program().get_program()).env("DATA", folder);
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("TENURE_")) {
        command.env_remove(name);
    }
    command.output().ok()
}

#[test]
fn a_server_does_not_start_under_a_clock_that_cannot_be() {
    let folder = tempfile::tempdir().unwrap();
    let serve = "exec timeout 20 \"$1\" serve --listen 127.0.0.1:0 --data \"$DATA\"";
    let Some(output) = under("@1960-01-01 00:00:00", serve, folder.path()) else {
        eprintln!("left out: there is no `faketime` here");
        return;
    };
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("a year from 1970 to 9999 is expected: set the clock"), "{said}");
}
