//! Many changes in one commit that fails: each is told what became of it, and those who waited behind it go on.

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

type Waiting<T = Told> = Pin<Box<dyn Future<Output = T>>>;

/// What one who waited was told.
#[derive(Debug, PartialEq, Eq)]
enum Told {
    Done,
    Kept,
    Refused,
    TryAgain,
}

impl From<Outcome> for Told {
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

/// Hands something to the writer, who is busy.
fn enqueue<T>(ask: impl Future<Output = T> + 'static) -> Waiting<T> {
    let mut waiting: Waiting<T> = Box::pin(ask);
    assert!(waiting.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending(), "the writer is busy");
    waiting
}

fn change(life: &Life, commands: Vec<Command>, key: Option<&str>) -> Waiting {
    let (service, submission) = (Arc::clone(&life.service), life.submission(commands, key));
    enqueue(async move { service.submit(submission).await.into() })
}

/// A change by another thread: where nobody is busy, whoever hands it in commits it, and is held.
fn elsewhere(life: &Life, commands: Vec<Command>) -> JoinHandle<Told> {
    let (service, submission) = (Arc::clone(&life.service), life.submission(commands, None));
    tokio::spawn(async move { service.submit(submission).await.into() })
}

async fn change_now(life: &Life, commands: Vec<Command>, key: &str) -> Told {
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
            Ok(_) => Told::Done,
            Err(SubmitError::Log(LogError::Unavailable(why))) if why.contains("try again") => Told::TryAgain,
            Err(other) => panic!("{other}"),
        }
    })
}

/// Changes that rest on each other, of two workspaces, and what goes beside them.
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

/// Lets all of them wait for one commit, which may fail; gives what each is told.
async fn in_one_commit(life: &mut Life, fault: Option<Fault>) -> Vec<Told> {
    let held = life.log.hold();
    let busy = naming(life, "alice");
    held.reached();
    let waiting = enqueue_all(life);
    if let Some(fault) = fault {
        // The one that is held has not counted yet.
        life.log.fail_next(fault);
    }
    drop(held);
    assert_eq!(busy.await, Told::Done);
    let mut told = Vec::new();
    for waiting in waiting {
        told.push(waiting.await);
    }
    life.agrees().await;
    told
}

/// What a change leaves the grant of `bob` in `prod` as, by its answer.
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
fn each_of_those_that_share_a_commit_is_told_what_its_own_change_left() {
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
fn changes_that_share_a_commit_share_its_fate_and_can_be_asked_again() {
    use Told::{Done, Kept, Refused, TryAgain};
    let all_done = [Done, Kept, Done, Refused, Done, Refused, Done];
    let nothing_done = [TryAgain, TryAgain, TryAgain, TryAgain, TryAgain, TryAgain, TryAgain];
    // Only commands can be looked up: who wrote beside the log, or lost a race for a name, is told to try again.
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
fn a_commit_that_is_refused_by_the_store_refuses_all_who_rest_on_it() {
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
        assert_eq!(busy.await, Told::TryAgain);
        for waiting in waiting {
            assert_eq!(waiting.await, Told::TryAgain);
        }
        assert_eq!(life.stored(), before);
        life.log.break_calls(&[]);
        life.agrees().await;
        assert_eq!(in_one_commit(&mut life, None).await[0], Told::Done);
        life.end().await;
    });
}

#[test]
fn what_is_judged_while_a_commit_is_under_way_shares_its_fate() {
    use Told::{Done, Kept, Refused, TryAgain};
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
            // Refused only if what it was judged on came to be.
            let twice = join("bob".to_owned());
            let waiting: Vec<_> = users.clone().map(join).collect();
            // So many that the first of them, at least, are judged before the commit is done.
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
                // Those that are judged only after that rest on nothing that was lost.
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

/// A change that was handed in before the outcome of another was unknown, and is judged after it, while readers load the workspace.
#[test]
fn what_is_acknowledged_after_an_unknown_outcome_is_seen_by_all_who_ask_then() {
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
        assert_eq!(lost.await.unwrap(), Told::TryAgain);
        let loaded = life.served().await.head();
        assert_eq!(loaded, life.log.store.head(life.id.unwrap()).unwrap().unwrap());
        drop(held_again);
        assert!(matches!(waiting.await, Told::Done | Told::TryAgain));
        life.agrees().await;
        life.done(&[add_member("dev", WorkspaceRole::Member)], None).await;
        life.end().await;
    });
}
