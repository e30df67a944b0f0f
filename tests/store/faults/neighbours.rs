//! Many changes of one holder at the writer: each of them waits behind its own, and nobody else does.

use std::sync::Arc;

use tenure::domain::model::command::Command;
use tenure::domain::model::principal::Caller;
use tenure::domain::model::role::{Plan, WorkspaceRole};
use tenure::service::submission::{Submission, SubmitError, SubmitOutcome};
use tokio::task::JoinHandle;

use super::every_call::found;
use super::life::{Life, Outcome, run};
use crate::support::commands::{add_member, change_plan, issue_token};

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
