//! Many changes of one holder at the writer: each of them waits behind its own, and nobody else does.

use std::sync::Arc;

use tenure::domain::model::command::Command;
use tenure::domain::model::id::WorkspaceId;
use tenure::domain::model::principal::Caller;
use tenure::domain::model::role::{AccessKeyRole, EnvironmentRole, Plan, WorkspaceRole};
use tenure::log::{EventLog, LogError};
use tenure::service::submission::{Submission, SubmitError, SubmitOutcome};
use tokio::task::JoinHandle;

use super::every_call::found;
use super::faulty::Fault;
use super::life::{Life, Outcome, hour, run};
use crate::support::commands::{
    add_member, change_plan, create_restricted, enable_rbac, grant_until, issue_access_key_until, issue_token,
    issue_token_until,
};

/// The requests that wait at a time, and the commands of each.
const BATCHES: usize = 20;
const BATCH: usize = 900;

/// A workspace in which alice is owner and bob is manager; gives what each of them is to the service.
async fn staffed() -> (Life, Caller, Caller) {
    let mut life = Life::new(None, &[]);
    life.done(&[found("acme")], None).await;
    life.done(&[add_member("bob", WorkspaceRole::Manager), issue_token("user:bob")], None).await;
    let (alice, bob) = (caller(&life, 0).await, caller(&life, 1).await);
    (life, alice, bob)
}

async fn caller(life: &Life, credential: usize) -> Caller {
    life.service.authenticate(&life.credentials[credential]).await.unwrap().unwrap().caller
}

fn asked(life: &Life, caller: &Caller, commands: Vec<Command>) -> JoinHandle<Outcome> {
    let submission = Submission { caller: caller.clone(), ..life.submission(commands, None) };
    let service = Arc::clone(&life.service);
    tokio::spawn(async move { service.submit(submission).await })
}

fn members(name: &str, count: usize) -> Vec<Command> {
    (0..count).map(|n| add_member(&format!("{name}-{n}"), WorkspaceRole::Member)).collect()
}

#[test]
fn a_large_request_is_refused_without_the_writer() {
    run(async {
        let (life, alice, _) = staffed().await;
        let held = life.log.hold();
        let busy = asked(&life, &alice, members("busy", 1));
        held.reached();
        for last in [change_plan(Plan::Enterprise), add_member("bob", WorkspaceRole::Member)] {
            let mut commands = members("m", 99);
            commands.push(last);
            let refused = asked(&life, &alice, commands).await.unwrap().unwrap_err();
            assert!(matches!(&refused, SubmitError::Refused(refused) if refused.index == 99), "{refused}");
        }
        drop(held);
        assert!(matches!(busy.await.unwrap(), Ok(SubmitOutcome::Done(_))));
        life.agrees().await;
    });
}

#[test]
fn the_waiting_jobs_of_a_holder_are_bounded_and_others_are_accepted() {
    run(async {
        let (life, alice, bob) = staffed().await;
        let held = life.log.hold();
        let busy = asked(&life, &Caller::Operator, members("busy", 1));
        held.reached();
        let greedy: Vec<_> = (0..BATCHES).map(|n| asked(&life, &bob, members(&format!("g{n}"), BATCH))).collect();
        // Requests beyond the limit are refused while the writer is blocked.
        while greedy.iter().filter(|asked| asked.is_finished()).count() < 3 {
            tokio::task::yield_now().await;
        }
        let modest = asked(&life, &alice, members("modest", 1));
        let operator = asked(&life, &Caller::Operator, members("operator", 1));
        drop(held);
        for asked in [busy, modest, operator] {
            assert!(matches!(asked.await.unwrap(), Ok(SubmitOutcome::Done(_))));
        }
        let (mut done, mut crowded) = (0, 0);
        for asked in greedy {
            match asked.await.unwrap() {
                Ok(SubmitOutcome::Done(_)) => done += 1,
                Err(SubmitError::Crowded) => crowded += 1,
                other => panic!("{other:?}"),
            }
        }
        assert!(done > 0 && crowded >= 3 && done + crowded == BATCHES, "{done} {crowded}");
        life.agrees().await;
    });
}

/// The number of things of each kind that expire together, and the most expiries of a commit.
const KEYS: usize = 1_000;
const GRANTS: usize = 100;
const TOKENS: usize = 40;
const EXPIRIES_MAX: usize = 256;

/// A workspace in which access keys, grants and tokens have just expired together, and another one.
async fn expired_together() -> (Life, WorkspaceId) {
    let mut life = Life::new(None, &[]);
    life.done(&[found("acme")], None).await;
    life.done(&members("m", GRANTS), None).await;
    for _ in 0..2 {
        let key = || issue_access_key_until(AccessKeyRole::Auditor, hour(1));
        life.done(&std::iter::repeat_with(key).take(KEYS / 2).collect::<Vec<_>>(), None).await;
    }
    let contributor = |n| grant_until(&format!("user:m-{n}"), EnvironmentRole::Contributor, hour(1));
    let grants: Vec<_> = (0..GRANTS).map(contributor).collect();
    life.done(&[enable_rbac(), create_restricted("prod", EnvironmentRole::Viewer, grants)], None).await;
    let tokens: Vec<_> = (0..TOKENS).map(|_| issue_token_until("user:m-0", hour(1))).collect();
    life.done(&tokens, None).await;
    let other = match life.service.submit(life.submission_for(None, vec![found("other")])).await {
        Ok(SubmitOutcome::Done(accepted)) => accepted.view.workspace().id(),
        other => panic!("{other:?}"),
    };
    life.clock.set(hour(1));
    (life, other)
}

/// The log of the instance as workspace, type and command of each event, in the order of the store.
fn feed(life: &Life) -> Vec<(WorkspaceId, String, String)> {
    let events = life.log.store.feed(0, 100_000).unwrap().into_iter().map(|stored| {
        let event: serde_json::Value = serde_json::from_slice(&stored.bytes).unwrap();
        let field = |name: &str| event[name].as_str().unwrap().to_owned();
        (stored.workspace, field("type"), field("command"))
    });
    events.collect()
}

#[test]
fn things_that_expire_together_are_recorded_in_pieces_and_the_changes_of_others_are_committed_between() {
    run(async {
        let (life, other) = expired_together().await;
        let held = life.log.hold();
        let waits = asked(&life, &Caller::Operator, members("after", 1));
        held.reached();
        // The changes of the other workspace are decided while the first piece is committed.
        let before = life.log.keys();
        let others: Vec<_> = (0..9)
            .map(|n| {
                let key = format!("k{n}");
                let submission = life.submission(members(&format!("o{n}"), 1), Some(&key));
                let (service, submission) =
                    (Arc::clone(&life.service), Submission { workspace: Some(other), ..submission });
                tokio::spawn(async move { service.submit(submission).await })
            })
            .collect();
        while life.log.keys() < before + 8 {
            tokio::task::yield_now().await;
        }
        drop(held);
        for asked in others.into_iter().chain([waits]) {
            assert!(matches!(asked.await.unwrap(), Ok(SubmitOutcome::Done(_))));
        }
        let feed = feed(&life);
        let expired: Vec<_> = feed.iter().enumerate().filter(|(_, (_, kind, _))| kind.contains(".expired.")).collect();
        assert_eq!(expired.len(), KEYS + GRANTS + TOKENS);
        for piece in expired.chunk_by(|(_, one), (_, next)| one.2 == next.2) {
            assert!(piece.len() <= EXPIRIES_MAX, "{}", piece.len());
        }
        let between = feed[expired[0].0..expired.last().unwrap().0].iter();
        assert!(between.filter(|event| event.0 == other).count() >= 8, "others are committed between the pieces");
        let after = feed.iter().rposition(|(_, kind, _)| kind == "member.added.v1").unwrap();
        assert!(after > expired.last().unwrap().0, "a change comes after what had expired before it");
        life.end().await;
    });
}

#[test]
fn maintenance_records_all_that_expired_and_a_commit_that_fails_between_is_made_up_for() {
    for fault in [None, Some(Fault::NotStored(2)), Some(Fault::Stored(2)), Some(Fault::NotStored(1))] {
        run(async {
            let (mut life, _) = expired_together().await;
            if let Some(fault) = fault {
                life.log.fail_next(fault);
                match life.service.submit(life.submission(members("refused", 1), None)).await {
                    Ok(SubmitOutcome::Done(accepted)) => life.acknowledge(&accepted),
                    Err(SubmitError::Log(LogError::Unavailable(why))) => assert!(why.contains("try again"), "{why}"),
                    other => panic!("{other:?}"),
                }
            }
            for _ in 0..2 * (KEYS + GRANTS + TOKENS) / EXPIRIES_MAX {
                life.run_maintenance().await;
            }
            let expired = feed(&life).iter().filter(|(_, kind, _)| kind.contains(".expired.")).count();
            assert_eq!(expired, KEYS + GRANTS + TOKENS, "{fault:?}");
            life.done(&members("after", 1), None).await;
            life.end().await;
        });
    }
}
