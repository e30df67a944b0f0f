//! PostgreSQL: one INSERT per transaction over 64 connections, with the default `synchronous_commit` and `fsync` on.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Runtime;

use super::CALLERS;
use crate::past::postgres::connect;
use crate::peer::Outcome;

const TABLE: &str = "
DROP TABLE IF EXISTS log;
CREATE TABLE log (workspace bigint, revision bigint, event jsonb NOT NULL, PRIMARY KEY (workspace, revision))";

/// An event with the same content and length as Tenure's.
const EVENT: &str = r#"{"specversion":"1.0","id":"evt_01k0d2m2y7f9zt3wq1f5w6c8ha","source":"/workspaces/ws_01k0d2m2y7f9zt3wq1f5w6c8hb","type":"grant.changed.v1","subject":"env_01k0d2m2y7f9zt3wq1f5w6c8hc","time":"2026-03-01T09:30:00.000000Z","revision":17,"actor":"operator","command":"cmd_01k0d2m2y7f9zt3wq1f5w6c8hd","data":{"principal":"user:m0005","role":"contributor","expires_at":"2100-01-01T00:00:00.000000Z"}}"#;

/// Returns the inserts per second.
///
/// # Errors
/// PostgreSQL reports an error.
pub fn rate(runtime: &Runtime, parameters: &str, time: Duration) -> Outcome<f64> {
    let sessions = runtime.block_on(async {
        connect(parameters).await?.batch_execute(TABLE).await?;
        let mut sessions = Vec::new();
        for _ in 0..CALLERS {
            let client = connect(parameters).await?;
            let insert = client.prepare("INSERT INTO log VALUES ($1, $2, $3::text::jsonb)").await?;
            sessions.push((client, insert));
        }
        Outcome::Ok(Arc::new(sessions))
    })?;
    super::rate(runtime, CALLERS, time, move |caller, did| {
        let sessions = Arc::clone(&sessions);
        async move {
            let (client, insert) = &sessions[caller];
            let (workspace, revision) = (i64::try_from(caller)?, i64::try_from(did)?);
            client.execute(insert, &[&workspace, &revision, &EVENT]).await?;
            Ok(())
        }
    })
}
