//! Interval tables in PostgreSQL, on a Unix socket, with a GiST index over the range for spans.

use std::fmt::Write as _;

use tokio::runtime::Runtime;
use tokio_postgres::{Client, NoTls, Statement};

use super::{QuestionRow, SpanRow, Spans, environments, grants, presences, question_rows, span_rows};
use crate::history::{History, PastQuestion, SpanQuestion};
use crate::ours::TenureRow;
use crate::peer::{Outcome, Peer};

const TABLES: &str = "
CREATE EXTENSION IF NOT EXISTS btree_gist;
DROP TABLE IF EXISTS environments, presences, grants;
CREATE TABLE environments (name text PRIMARY KEY, restricted boolean NOT NULL);
CREATE TABLE presences (
    principal text, rank smallint NOT NULL, valid_from bigint, valid_until bigint NOT NULL, PRIMARY KEY (principal, valid_from)
);
CREATE TABLE grants (
    environment text NOT NULL, principal text NOT NULL, rank smallint NOT NULL,
    valid_from bigint NOT NULL, valid_until bigint NOT NULL
);";
const INDICES: &str = "
CREATE INDEX ON grants (environment, principal, valid_from DESC) INCLUDE (valid_until, rank);
CREATE INDEX ON grants USING gist (environment, int8range(valid_from, valid_until));";
const CHECK: &str = "
SELECT EXISTS (
    SELECT 1 FROM presences p JOIN environments e ON e.name = $2
    WHERE p.principal = $1 AND p.valid_from <= $4 AND p.valid_until > $4 AND (
        NOT e.restricted OR p.rank = 2 OR (
            SELECT g.valid_until > $4 AND g.rank >= $3 FROM grants g
            WHERE g.environment = $2 AND g.principal = $1 AND g.valid_from <= $4
            ORDER BY g.valid_from DESC LIMIT 1
        )
    )
)";
const SPAN: &str = "
SELECT principal, rank, valid_from, valid_until FROM grants
WHERE environment = $1 AND int8range(valid_from, valid_until) && int8range($2, $3)
UNION ALL
SELECT principal, rank, valid_from, valid_until FROM presences
WHERE rank = 2 AND valid_until > $2 AND valid_from < $3";

/// The tables, and the questions.
pub struct Postgres<'a> {
    runtime: &'a Runtime,
    client: Client,
    check: Statement,
    span: Statement,
    questions: Vec<QuestionRow>,
    spans: Vec<SpanRow>,
}

/// Connects; a background task drives the connection.
///
/// # Errors
/// No server listens there, or it refuses.
pub async fn connect(parameters: &str) -> Outcome<Client> {
    let (client, connection) = tokio_postgres::connect(parameters, NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

impl<'a> Postgres<'a> {
    /// Fills the tables.
    ///
    /// # Errors
    /// PostgreSQL reports an error.
    pub fn new(
        runtime: &'a Runtime,
        parameters: &str,
        history: &History,
        questions: &[PastQuestion],
        spans: &[SpanQuestion],
    ) -> Outcome<Self> {
        let client = runtime.block_on(connect(parameters))?;
        runtime.block_on(fill(&client, history))?;
        let check = runtime.block_on(client.prepare(CHECK))?;
        let span = runtime.block_on(client.prepare(SPAN))?;
        let (questions, spans) = (question_rows(history, questions), span_rows(history, spans));
        Ok(Self { runtime, client, check, span, questions, spans })
    }
}

async fn fill(client: &Client, history: &History) -> Outcome<()> {
    client.batch_execute(TABLES).await?;
    let mut rows = String::new();
    for (name, restricted) in environments(history) {
        writeln!(rows, "{name}\t{restricted}")?;
    }
    copy(client, "environments", &rows).await?;
    rows.clear();
    for (principal, rank, from, until) in presences(history) {
        writeln!(rows, "{principal}\t{rank}\t{from}\t{until}")?;
    }
    copy(client, "presences", &rows).await?;
    rows.clear();
    for (environment, principal, rank, from, until) in grants(history) {
        writeln!(rows, "{environment}\t{principal}\t{rank}\t{from}\t{until}")?;
    }
    copy(client, "grants", &rows).await?;
    client.batch_execute(INDICES).await?;
    Ok(client.batch_execute("VACUUM ANALYZE").await?)
}

/// Splits bytes into chunks of a megabyte.
async fn copy(client: &Client, table: &str, rows: &str) -> Outcome<()> {
    let sink = client.copy_in(&format!("COPY {table} FROM STDIN")).await?;
    let mut sink = Box::pin(sink);
    for piece in rows.as_bytes().chunks(1 << 20) {
        futures_util::SinkExt::send(&mut sink, axum::body::Bytes::copy_from_slice(piece)).await?;
    }
    sink.as_mut().finish().await?;
    Ok(())
}

impl Peer for Postgres<'_> {
    fn name(&self) -> String {
        "interval table in PostgreSQL".to_owned()
    }

    fn decide(&mut self, question: usize) -> Outcome<bool> {
        let (principal, environment, rank, at) = &self.questions[question];
        let row = self.runtime.block_on(self.client.query_one(&self.check, &[principal, environment, rank, at]))?;
        Ok(row.get(0))
    }
}

impl Spans for Postgres<'_> {
    fn held(&mut self, span: usize) -> Outcome<Vec<TenureRow>> {
        let (environment, from, until) = &self.spans[span];
        let rows = self.runtime.block_on(self.client.query(&self.span, &[environment, from, until]))?;
        Ok(rows.iter().map(|row| (row.get(0), row.get(1), row.get(2), row.get(3))).collect())
    }
}
