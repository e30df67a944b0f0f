//! Each call of the log fails once, for every call of a service's life. Acknowledged changes stay, each command is
//! stored whole or not at all, a repeated request takes effect once, and the service recovers by itself.

use std::io::Cursor;

use tenure::domain::model::command::{Command, Profile};
use tenure::domain::model::id::{ReadId, UserId};
use tenure::domain::model::principal::Caller;
use tenure::domain::model::role::{AccessKeyRole, EnvironmentRole, Plan, WorkspaceKind, WorkspaceRole};
use tenure::domain::model::time::Revision;
use tenure::log::journal::{AnswerForm, AuditReader, ReadFilter, ReadRecord};
use tenure::log::{Directories, EventLog, LogError, ReadJournal, Store};
use tenure::service::SideRequest;
use tenure::service::import::{ImportError, import};
use tenure::service::submission::{Submission, SubmitError, SubmitOutcome};

use super::faulty::Fault;
use super::life::{Life, hour, run, twice};
use crate::support::commands::{
    add_member, create_restricted, create_service_user, create_workspace, delete_environment, enable_rbac, grant,
    grant_until, issue_access_key, remove_member, set_grant,
};

const HISTORY: &str = concat!(
    r#"{"time":"2024-01-01T00:00:00Z","actor":"operator","workspace":{"name":"old","kind":"shared","plan":"team","owner":{"user":"olga"}},"commands":[{"type":"rbac.enable"}]}"#,
    "\n",
    r#"{"time":"2024-02-01T00:00:00Z","actor":"user:olga","commands":[{"type":"member.add","user":"bob","role":"member"},{"type":"environment.create","name":"prod","restricted":true}]}"#,
    "\n",
);

pub(crate) fn found(name: &str) -> Command {
    create_workspace(name, WorkspaceKind::Shared, Plan::Team, "alice")
}

/// The roles of people, and their ends.
fn staffed() -> Vec<Command> {
    let grants = [
        grant_until("user:bob", EnvironmentRole::Contributor, hour(2)),
        grant("service_user:ci-bot", EnvironmentRole::Contributor),
    ];
    vec![
        enable_rbac(),
        add_member("bob", WorkspaceRole::Member),
        create_service_user("ci-bot"),
        create_restricted("prod", EnvironmentRole::NoAccess, grants),
    ]
}

/// Runs everything that uses the log; returns the types of its events, and whether the fault occurred.
async fn live(fault: Option<Fault>, then: &[&'static str]) -> (Vec<&'static str>, bool) {
    let mut life = Life::new(fault, then);
    life.done(&[found("acme")], Some("found")).await;
    life.done(&staffed(), Some("staff")).await;
    let again = life.insist(&staffed(), Some("staff")).await.unwrap();
    assert!(matches!(again, SubmitOutcome::Repeated(_)), "{again:?}");
    life.restart().await;
    change_as_alice(&mut life).await;
    life.done(&[issue_access_key(AccessKeyRole::Auditor)], None).await;
    refuse(&mut life).await;
    keep_records(&life).await;
    life.clock.set(hour(3));
    life.run_maintenance().await;
    life.done(&[set_grant("prod", "user:bob", EnvironmentRole::Viewer)], Some("viewer")).await;
    life.done(&[delete_environment("prod"), remove_member("bob")], Some("end")).await;
    bring_in_the_past(&life);
    read_as_an_auditor(&life).await;
    let struck = life.log.struck();
    (life.end().await, struck)
}

/// Makes a change with the first token, which is looked up, proved and recorded as used.
async fn change_as_alice(life: &mut Life) {
    let alice = life.credentials[0].clone();
    let proved = twice(async || life.service.authenticate(&alice).await).await.unwrap();
    let commands = [set_grant("prod", "service_user:ci-bot", EnvironmentRole::Viewer)];
    let by_alice = |life: &Life| {
        let asked = life.submission(commands.to_vec(), None);
        Submission { caller: proved.caller.clone(), ..asked }
    };
    if life.submit(by_alice(life)).await.is_err() {
        life.submit(by_alice(life)).await.unwrap();
    }
    life.run_maintenance().await;
    let used = life.log.store.last_used(&[alice.id.parse().unwrap()]).unwrap();
    assert_eq!(used, [Some(hour(0))], "a use that could not be recorded at first is recorded later");
}

/// A rule's refusal is still one, and leaves nothing.
async fn refuse(life: &mut Life) {
    let commands = [create_service_user("other"), add_member("bob", WorkspaceRole::Member)];
    let refused = life.insist(&commands, Some("refused")).await.unwrap_err();
    assert!(matches!(&refused, SubmitError::Refused(why) if why.index == 1), "{refused}");
}

fn log_error(error: SubmitError) -> LogError {
    match error {
        SubmitError::Log(error) => error,
        other => panic!("{other}"),
    }
}

/// The writes beside the log.
async fn keep_records(life: &Life) {
    let (id, bob): (_, UserId) = (life.id.unwrap(), "bob".parse().unwrap());
    let profile = Profile { name: "Bob".parse().ok(), email: None };
    let keep = || SideRequest::SetProfile("bob".into(), profile.clone());
    let by = &Caller::Operator;
    twice(async || life.service.submit_side(id, by, keep(), (None, None)).await.map_err(log_error)).await;
    let read = ReadRecord {
        id: ReadId::from_uuid(uuid::Uuid::from_u128(1)),
        workspace: id,
        at: hour(1),
        reader: AuditReader::Operator,
        token: None,
        request: "request".to_owned(),
        question: "audit/access".to_owned(),
        query: String::new(),
        form: AnswerForm::Json,
        revision: Revision(1),
        view_at: hour(1),
        rows: None,
    };
    twice(async || life.service.record_read(read.clone(), by).await.map_err(log_error)).await;
    assert_eq!(life.log.store.profiles(id, &[bob]).unwrap(), [profile]);
    let all = ReadFilter { after: 0, until_sequence: u64::MAX, from: None, until: None, reader: None };
    let recorded = life.log.store.reads(id, &all, 10).unwrap();
    assert_eq!(recorded.len(), 1, "recorded once");
}

/// Imports a history whole or not at all, and checks that the error tells which, or that it is unknown.
fn bring_in_the_past(life: &Life) {
    let ask = || import(life.log.as_ref(), life.ids.as_ref(), life.clock.as_ref(), Cursor::new(HISTORY));
    let is_there = || life.log.store.workspace_named("old").unwrap();
    match ask() {
        Ok(_) => {}
        Err(ImportError::Log(LogError::Unavailable(why))) => {
            assert_eq!(is_there(), None, "not imported, and yet there: {why}");
            ask().unwrap();
        }
        Err(ImportError::Log(LogError::OutcomeUnknown(why))) => {
            assert!(why.contains("look whether"), "{why}");
            let there = is_there();
            // As the next process does, which opens the folder.
            life.log.reopen().unwrap();
            let again = ask();
            assert_eq!(there.is_some(), matches!(again, Err(ImportError::Exists(_))), "{again:?}");
        }
        Err(other) => panic!("{other}"),
    }
    assert_eq!(life.log.store.head(is_there().unwrap()).unwrap(), Some(Revision(8)));
}

/// A question about the log's tree is answered as it would have been, or not at all.
async fn read_as_an_auditor(life: &Life) {
    let (id, service) = (life.id.unwrap(), &life.service);
    let size = life.log.store.head(id).unwrap().unwrap().0;
    let checkpoint = twice(async || service.checkpoint(id).await).await.unwrap();
    assert_eq!(checkpoint.tree().size, size);
    twice(async || service.receipt(id, Revision(3)).await).await.unwrap();
    assert_eq!(twice(async || service.consistency(id, 2, size).await).await.to, *checkpoint.tree());
    let named = twice(async || service.find_workspace("acme").await).await;
    assert_eq!(named, Some(id));
}

/// Lives as long as there is a call that can fail in this way; gives how many there were.
fn live_with_each(fault: impl Fn(usize) -> Fault, then: &[&'static str]) -> usize {
    let (undisturbed, _) = run(live(None, &[]));
    for n in 1.. {
        let (types, struck) = run(live(Some(fault(n)), then));
        assert_eq!(types, undisturbed, "{:?}", fault(n));
        if !struck {
            return n - 1;
        }
    }
    unreachable!()
}

#[test]
fn whichever_call_fails_nothing_is_lost_or_done_twice_and_the_service_goes_on() {
    let calls = live_with_each(Fault::Call, &[]);
    assert!(calls >= 35, "the life makes as many calls: {calls}");
}

#[test]
fn a_commit_of_unknown_outcome_that_was_not_stored_is_not_there_and_can_be_asked_again() {
    assert!(live_with_each(Fault::NotStored, &[]) >= 12);
}

#[test]
fn a_commit_of_unknown_outcome_that_was_stored_is_found_and_acknowledged() {
    assert!(live_with_each(Fault::Stored, &[]) >= 12);
}

#[test]
fn an_outcome_is_looked_up_until_the_log_can_be_read_again() {
    let then = ["reopen", "reopen", "read", "tree"];
    let (undisturbed, _) = run(live(None, &[]));
    assert_eq!(run(live(Some(Fault::Stored(2)), &then)), (undisturbed.clone(), true));
    assert_eq!(run(live(Some(Fault::NotStored(2)), &then[..3])), (undisturbed, true));
}

#[test]
fn an_import_whose_outcome_cannot_be_looked_up_says_so() {
    for fault in [Fault::Stored(1), Fault::NotStored(1)] {
        for then in ["reopen", "read"] {
            let life = run(async { Life::new(Some(fault), &[then]) });
            bring_in_the_past(&life);
            assert!(life.log.struck(), "{fault:?} {then}");
            run(life.service.stop()).unwrap();
        }
    }
}
