//! Tenure's durable changes in process: 64 callers of one workspace, each of which waits for its response.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tenure::clock::SystemClock;
use tenure::domain::model::command::{Command, GrantExpiry, SetGrant};
use tenure::domain::model::id::WorkspaceId;
use tenure::domain::model::principal::Caller;
use tenure::domain::model::role::EnvironmentRole;
use tenure::domain::model::time::Instant;
use tenure::log::sqlite::SqliteLog;
use tenure::proof::checkpoint::Signer;
use tenure::proof::note::{LogKey, Origin};
use tenure::service::id_generator::{RandomIdGenerator, Secret};
use tenure::service::submission::Submission;
use tenure::service::{Quotas, Service, Settings};
use tokio::runtime::Runtime;

use super::CALLERS;
use crate::ours::OPERATOR_SECRET;
use crate::peer::Outcome;

/// 2100-01-01T00:00:00Z: grants in this measurement end long after it, each at a different microsecond.
pub const FAR_MICROS: i64 = 4_102_444_800_000_000;
/// The environment, and the index of the first member who may receive a grant in it.
pub const PLACE: (&str, usize) = ("env8", 5);

/// Returns the changes per second. Each change sets another end for the grant of the caller's own member, so that none
/// equals the one before.
///
/// # Errors
/// A change was refused, or could not be made durable.
pub fn rate(runtime: &Runtime, data: &Path, workspace: WorkspaceId, time: Duration) -> Outcome<f64> {
    let settings = Settings {
        log: Arc::new(SqliteLog::open(data)?),
        clock: Arc::new(SystemClock),
        ids: Arc::new(RandomIdGenerator),
        operator: Secret::new(OPERATOR_SECRET),
        signer: Signer { key: LogKey::from_seed(&[7; 32]), instance: Origin::default() },
        clock_settle: Duration::from_mins(1),
        cache_bytes: 1 << 30,
        quotas: Quotas::default(),
    };
    let service = runtime.block_on(async { Service::start(settings) })?;
    let submitting = Arc::clone(&service);
    let rate = super::rate(runtime, CALLERS, time, move |caller, did| {
        let service = Arc::clone(&submitting);
        async move { Ok(service.submit(change(workspace, caller, did)).await.map(drop)?) }
    });
    runtime.block_on(service.stop()).unwrap();
    rate
}

fn change(workspace: WorkspaceId, caller: usize, did: usize) -> Submission {
    let end = FAR_MICROS + i64::try_from(did).unwrap_or_default();
    let (environment, first) = PLACE;
    let command = Command::SetGrant(SetGrant {
        environment: environment.into(),
        principal: format!("user:m{:04}", first + caller).into(),
        role: EnvironmentRole::Contributor,
        expires_at: GrantExpiry::At(Instant::from_micros(end)),
    });
    Submission {
        workspace: Some(workspace),
        caller: Caller::Operator,
        commands: vec![command],
        reason: None,
        expected: None,
        idempotency: None,
        bytes: None,
    }
}
