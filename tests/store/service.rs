//! The service against the naive model: random histories through the writer and the store, with restarts in between.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed};
use tenure::clock::Clock;
use tenure::domain::model::command::Command;
use tenure::domain::model::event::Event;
use tenure::domain::model::id::WorkspaceId;
use tenure::domain::model::principal::Caller;
use tenure::domain::model::role::WorkspaceKind;
use tenure::domain::model::time::{Instant, Revision};
use tenure::log::sqlite::SqliteLog;
use tenure::proof::checkpoint::Signer;
use tenure::proof::note::LogKey;
use tenure::service::id_generator::{RandomIdGenerator, Secret};
use tenure::service::submission::{Submission, SubmitError, SubmitOutcome};
use tenure::service::{Quotas, Service, Settings};

use crate::support::model::generate::{History, Known, Mix, Step, histories};
use crate::support::model::{predict, types};
use crate::support::verify::verify_store;
use crate::support::{START, after};

const EVERYTHING: Mix = Mix {
    prepared: true,
    kind: WorkspaceKind::Shared,
    workspace: 2,
    members: 5,
    environments: 5,
    grants: 6,
    credentials: 5,
    proxy_tokens: 4,
    resources: 3,
};

/// A clock that tests set.
#[derive(Debug)]
struct SettableClock(AtomicI64);

impl Clock for SettableClock {
    fn now(&self) -> Instant {
        Instant::from_micros(self.0.load(Ordering::Acquire))
    }
}

fn start(folder: &Path, clock: &Arc<SettableClock>) -> (Arc<Service>, Arc<SqliteLog>) {
    let log = Arc::new(SqliteLog::open(folder).unwrap());
    let settings = Settings {
        log: log.clone(),
        clock: clock.clone(),
        ids: Arc::new(RandomIdGenerator),
        operator: Secret::new("0123456789abcdef0123456789abcdef"),
        clock_settle: std::time::Duration::from_mins(1),
        cache_bytes: 1 << 20,
        quotas: Quotas::default(),
        signer: Signer { key: LogKey::from_seed(&[7; 32]), instance: "tenure.test".parse().unwrap() },
    };
    (Service::start(settings).unwrap(), log)
}

async fn events(service: &Service, id: WorkspaceId) -> Vec<Arc<Event>> {
    let root = service.workspace(id).await.unwrap().unwrap();
    root.events(Revision::ZERO, root.head()).collect()
}

async fn submit(
    service: &Service,
    workspace: Option<WorkspaceId>,
    caller: &Caller,
    commands: &[Command],
) -> Result<SubmitOutcome, SubmitError> {
    let (caller, commands) = (caller.clone(), commands.to_vec());
    service
        .submit(Submission {
            workspace,
            caller,
            commands,
            reason: None,
            expected: None,
            idempotency: None,
            bytes: None,
        })
        .await
}

/// Lives through a history; stops the service and starts it anew on the same folder every few steps.
async fn follow(history: &History, restart_every: usize) {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(SettableClock(AtomicI64::new(START.micros())));
    let (mut service, mut log) = start(folder.path(), &clock);
    let made = submit(&service, None, &Caller::Operator, &[history.start()]).await.unwrap();
    let SubmitOutcome::Done(made) = made else { panic!("{made:?}") };
    let id = made.view.workspace().id();
    let mut latest = START;
    for (index, step) in history.steps.iter().enumerate() {
        if index % restart_every == restart_every - 1 {
            service.stop().await.unwrap();
            drop((service, log));
            (service, log) = start(folder.path(), &clock);
        }
        clock.0.store(after(clock.now(), step.clock).micros(), Ordering::Release);
        latest = latest.max(clock.now());
        take(&service, id, latest, step).await;
    }
    service.stop().await.unwrap();
    verify_store(log.as_ref()).unwrap();
}

/// Runs one step, and compares its outcome with the model's.
async fn take(service: &Service, id: WorkspaceId, clock: Instant, step: &Step) {
    let before = events(service, id).await;
    let known = Known::of(id, &before, clock.max(before.last().unwrap().time));
    let (caller, commands) = step.resolve(&known, clock);
    let predicted = predict(id, &before, clock, &caller, &commands);
    let outcome = submit(service, Some(id), &caller, &commands).await;
    let expected = predicted.outcome.as_ref().map(|events| types(events.iter().flatten())).map_err(|error| *error);
    let found = match &outcome {
        Ok(SubmitOutcome::Done(done)) => Ok(types(done.decided.events.iter().map(|event| &event.data))),
        Err(SubmitError::Refused(refused)) => Err((refused.index, refused.rejection.code())),
        other => panic!("{other:?}"),
    };
    assert_eq!(found, expected, "{caller:?} asked for {commands:#?}");
    let appended = predicted.expired.iter().flatten().count() + expected.map_or(0, |types| types.len());
    assert_eq!(events(service, id).await.len(), before.len() + appended, "{caller:?} asked for {commands:#?}");
}

proptest! {
    #![proptest_config(Config { cases: 24, failure_persistence: None, rng_seed: RngSeed::Fixed(11), ..Config::default() })]

    #[test]
    fn random_histories_through_the_writer_and_restarts_follow_the_model(
        history in histories(EVERYTHING, 20..40),
        restart_every in 5_usize..15,
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        runtime.block_on(follow(&history, restart_every));
    }
}
