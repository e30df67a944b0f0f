//! Batches whose commit fails: each client gets its own outcome, and later batches continue.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Waker};

use tenure::domain::model::command::{Command, Profile};
use tenure::domain::model::principal::Caller;
use tenure::domain::model::role::{EnvironmentRole, WorkspaceRole};
use tenure::domain::model::time::Revision;
use tenure::log::{EventLog, LogError};
use tenure::service::submission::{SubmitError, SubmitOutcome};
use tenure::service::{Service, SideRequest};
use tokio::task::JoinHandle;

use super::every_call::found;
use super::faulty::Fault;
use super::life::{Life, Outcome, run};
use crate::support::commands::{add_member, create_restricted, enable_rbac, grant, revoke_grant, set_grant};

type Waiting<T = ClientOutcome> = Pin<Box<dyn Future<Output = T>>>;

/// The outcome that a client sees.
#[derive(Debug, PartialEq, Eq)]
enum ClientOutcome {
    Done,
    Kept,
    Refused,
    TryAgain,
}

impl From<Outcome> for ClientOutcome {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Ok(SubmitOutcome::Done(_)) => Self::Done,
            Ok(SubmitOutcome::Repeated(_)) => Self::Kept,
            Err(SubmitError::Refused(_)) => Self::Refused,
            Err(SubmitError::Log(LogError::Unavailable(why))) if why.contains("try again") => Self::TryAgain,
            Err(other) => panic!("{other}"),
        }
    }
}

/// Enqueues a request at the busy writer.
fn enqueue<T>(ask: impl Future<Output = T> + 'static) -> Waiting<T> {
    let mut waiting: Waiting<T> = Box::pin(ask);
    assert!(waiting.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending(), "the writer is busy");
    waiting
}

fn change(life: &Life, commands: Vec<Command>, key: Option<&str>) -> Waiting {
    let (service, submission) = (Arc::clone(&life.service), life.submission(commands, key));
    enqueue(async move { service.submit(submission).await.into() })
}

/// Submits a change on another thread, which commits it inline and is blocked.
fn elsewhere(life: &Life, commands: Vec<Command>) -> JoinHandle<ClientOutcome> {
    let (service, submission) = (Arc::clone(&life.service), life.submission(commands, None));
    tokio::spawn(async move { service.submit(submission).await.into() })
}

async fn change_now(life: &Life, commands: Vec<Command>, key: &str) -> ClientOutcome {
    life.service.submit(life.submission(commands, Some(key))).await.into()
}

fn making(life: &Life, name: &str) -> Waiting {
    let (service, mut submission) = (Arc::clone(&life.service), life.submission(vec![found(name)], None));
    submission.workspace = None;
    enqueue(async move { service.submit(submission).await.into() })
}

fn naming(life: &Life, user: &str) -> Waiting {
    let (service, id, user): (Arc<Service>, _, _) = (Arc::clone(&life.service), life.id.unwrap(), user.into());
    let profile = Profile { name: "Bob".parse().ok(), email: None };
    enqueue(async move {
        let write = SideRequest::SetProfile(user, profile);
        match service.submit_side(id, &Caller::Operator, write, (None, None)).await {
            Ok(_) => ClientOutcome::Done,
            Err(SubmitError::Log(LogError::Unavailable(why))) if why.contains("try again") => ClientOutcome::TryAgain,
            Err(other) => panic!("{other}"),
        }
    })
}

/// Enqueues dependent changes of two workspaces, and a write beside the log.
fn enqueue_all(life: &Life) -> Vec<Waiting> {
    let bob = || vec![add_member("bob", WorkspaceRole::Member)];
    let prod = create_restricted("prod", EnvironmentRole::Viewer, [grant("user:bob", EnvironmentRole::Contributor)]);
    vec![
        change(life, bob(), Some("bob")),
        change(life, bob(), Some("bob")),
        change(life, vec![prod], None),
        change(life, bob(), None),
        making(life, "umbrella"),
        making(life, "umbrella"),
        naming(life, "bob"),
    ]
}

/// Commits all of them in one batch, which may fail, and returns the outcome of each.
async fn in_one_commit(life: &mut Life, fault: Option<Fault>) -> Vec<ClientOutcome> {
    let held = life.log.hold();
    let busy = naming(life, "alice");
    held.reached();
    let waiting = enqueue_all(life);
    if let Some(fault) = fault {
        // The blocked append is not counted yet.
        life.log.fail_next(fault);
    }
    drop(held);
    assert_eq!(busy.await, ClientOutcome::Done);
    let mut told = Vec::new();
    for waiting in waiting {
        told.push(waiting.await);
    }
    life.agrees().await;
    told
}

/// Returns the revision and the grant of `bob` in `prod` after a change, from its reply.
fn granting(life: &Life, command: Command) -> Waiting<(Revision, Option<EnvironmentRole>)> {
    let (service, submission) = (Arc::clone(&life.service), life.submission(vec![command], None));
    enqueue(async move {
        let SubmitOutcome::Done(accepted) = service.submit(submission).await.unwrap() else {
            panic!("it was never asked")
        };
        let view = accepted.view;
        let prod = view.find_environment(&"prod".into()).unwrap();
        let bob = view.find_principal(&"user:bob".into()).unwrap();
        (view.revision(), view.grant(&prod, &bob).map(|grant| grant.value.role))
    })
}

#[test]
fn each_reply_of_a_batch_shows_the_state_after_its_own_change() {
    use EnvironmentRole::{Contributor, Viewer};
    run(async {
        let mut life = Life::new(None, &[]);
        let prod = create_restricted("prod", EnvironmentRole::NoAccess, []);
        life.done(&[found("acme"), enable_rbac()], None).await;
        life.done(&[add_member("bob", WorkspaceRole::Member), prod], None).await;
        let head = life.served().await.head();
        let held = life.log.hold();
        let busy = naming(&life, "alice");
        held.reached();
        let changes = [set_grant("prod", "user:bob", Viewer), set_grant("prod", "user:bob", Contributor)];
        let revoked = revoke_grant("prod", "user:bob");
        let waiting: Vec<_> = changes.into_iter().chain([revoked]).map(|change| granting(&life, change)).collect();
        drop(held);
        busy.await;
        for (waiting, (revision, role)) in
            waiting.into_iter().zip([(1, Some(Viewer)), (2, Some(Contributor)), (3, None)])
        {
            assert_eq!(waiting.await, (Revision(head.0 + revision), role));
        }
        life.agrees().await;
    });
}

#[test]
fn changes_of_a_batch_share_its_outcome_and_can_be_repeated() {
    use ClientOutcome::{Done, Kept, Refused, TryAgain};
    let all_done = [Done, Kept, Done, Refused, Done, Refused, Done];
    let nothing_done = [TryAgain, TryAgain, TryAgain, TryAgain, TryAgain, TryAgain, TryAgain];
    // Only events can be found in the log: a write beside it, or a lost race for a name, must be tried again.
    let found_done = [Done, Kept, Done, Refused, Done, TryAgain, TryAgain];
    let asked_again = [Kept, Kept, Refused, Refused, Refused, Refused, Done];
    for (fault, told, again) in [
        (None, &all_done, &asked_again),
        (Some(Fault::NotStored(2)), &nothing_done, &all_done),
        (Some(Fault::Stored(2)), &found_done, &asked_again),
    ] {
        run(async {
            let mut life = Life::new(None, &[]);
            life.done(&[found("acme"), enable_rbac()], None).await;
            let head = life.served().await.head();
            assert_eq!(in_one_commit(&mut life, fault).await, told, "{fault:?}");
            let there = life.served().await.head() > head;
            assert_eq!(there, *told != nothing_done, "{fault:?}");
            assert_eq!(in_one_commit(&mut life, None).await, again, "{fault:?}");
            assert_eq!(life.served().await.head(), Revision(head.0 + 4), "{fault:?}: each is done once");
            life.end().await;
        });
    }
}

#[test]
fn a_refused_commit_refuses_all_changes_of_its_batch() {
    run(async {
        let mut life = Life::new(None, &[]);
        life.done(&[found("acme"), enable_rbac()], None).await;
        let before = life.stored();
        let held = life.log.hold();
        let busy = naming(&life, "alice");
        held.reached();
        let waiting = enqueue_all(&life);
        life.log.break_calls(&["append"]);
        drop(held);
        assert_eq!(busy.await, ClientOutcome::TryAgain);
        for waiting in waiting {
            assert_eq!(waiting.await, ClientOutcome::TryAgain);
        }
        assert_eq!(life.stored(), before);
        life.log.break_calls(&[]);
        life.agrees().await;
        assert_eq!(in_one_commit(&mut life, None).await[0], ClientOutcome::Done);
        life.end().await;
    });
}

#[test]
fn changes_decided_during_a_commit_share_its_outcome() {
    use ClientOutcome::{Done, Kept, Refused, TryAgain};
    for (fault, told, again) in
        [(None, Done, Kept), (Some(Fault::NotStored(1)), TryAgain, Done), (Some(Fault::Stored(1)), Done, Kept)]
    {
        run(async {
            let mut life = Life::new(None, &[]);
            life.done(&[found("acme"), enable_rbac()], None).await;
            let held = life.log.hold();
            let first = elsewhere(&life, vec![add_member("bob", WorkspaceRole::Member)]);
            held.reached();
            let (users, before) = ((0..12).map(|number| format!("user{number}")), life.log.keys());
            let join = |user: String| change(&life, vec![add_member(&user, WorkspaceRole::Member)], Some(&user));
            // Refused only if the change that it was decided on is committed.
            let twice = join("bob".to_owned());
            let waiting: Vec<_> = users.clone().map(join).collect();
            // Enough for the first ones to be decided before the commit ends.
            while life.log.keys() < before + 8 {
                tokio::task::yield_now().await;
            }
            if let Some(fault) = fault {
                life.log.fail_next(fault);
            }
            drop(held);
            assert_eq!(first.await.unwrap(), told, "{fault:?}");
            assert_eq!(twice.await, if told == Done { Refused } else { TryAgain }, "{fault:?}");
            for (place, waiting) in waiting.into_iter().enumerate() {
                let found = waiting.await;
                // Changes that are decided after that depend on nothing that was lost.
                assert!(found == told || (place >= 7 && found == Done), "{fault:?}: {place} was told {found:?}");
            }
            life.agrees().await;
            for user in users.take(7) {
                let asked = change_now(&life, vec![add_member(&user, WorkspaceRole::Member)], &user).await;
                assert_eq!(asked, again, "{fault:?}: {user}");
            }
            life.agrees().await;
            life.end().await;
        });
    }
}

/// A change is enqueued before the outcome of another is unknown, and decided after that, while readers load the workspace.
#[test]
fn changes_acknowledged_after_an_unknown_outcome_are_visible_to_all_readers() {
    run(async {
        let mut life = Life::new(None, &[]);
        life.done(&[found("acme")], None).await;
        let held = life.log.hold();
        let lost = elsewhere(&life, vec![add_member("bob", WorkspaceRole::Member)]);
        held.reached();
        let waiting = change(&life, vec![add_member("chloe", WorkspaceRole::Member)], None);
        life.log.fail_next(Fault::NotStored(1));
        let held_again = life.log.hold();
        drop(held);
        assert_eq!(lost.await.unwrap(), ClientOutcome::TryAgain);
        let loaded = life.served().await.head();
        assert_eq!(loaded, life.log.store.head(life.id.unwrap()).unwrap().unwrap());
        drop(held_again);
        assert!(matches!(waiting.await, ClientOutcome::Done | ClientOutcome::TryAgain));
        life.agrees().await;
        life.done(&[add_member("dev", WorkspaceRole::Member)], None).await;
        life.end().await;
    });
}
