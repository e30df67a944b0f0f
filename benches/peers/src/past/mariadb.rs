//! System-versioned tables in MariaDB, on a Unix socket: the database keeps the history itself and is queried `AS OF`.

use std::path::Path;

use mysql::prelude::Queryable as _;
use mysql::{Conn, OptsBuilder, Statement};

use super::{QuestionRow, SpanRow, Spans, environments, grants, presences, question_rows, span_rows};
use crate::history::{FOREVER_MICROS, History, PastQuestion, SpanQuestion};
use crate::ours::TenureRow;
use crate::peer::{Outcome, Peer};

/// The key of a system-versioned table ends with the end of the row's period.
const TABLES: &str = "
SET time_zone = '+00:00';
CREATE DATABASE IF NOT EXISTS peers CHARACTER SET ascii COLLATE ascii_bin;
USE peers;
DROP TABLE IF EXISTS environments, presences, grants;
CREATE TABLE environments (name varchar(64) PRIMARY KEY, restricted boolean NOT NULL);
CREATE TABLE presences (
    principal varchar(64) PRIMARY KEY, standing smallint NOT NULL,
    valid_from timestamp(6) GENERATED ALWAYS AS ROW START, valid_until timestamp(6) GENERATED ALWAYS AS ROW END,
    PERIOD FOR SYSTEM_TIME (valid_from, valid_until)
) WITH SYSTEM VERSIONING;
CREATE TABLE grants (
    environment varchar(64), principal varchar(64), standing smallint NOT NULL,
    valid_from timestamp(6) GENERATED ALWAYS AS ROW START, valid_until timestamp(6) GENERATED ALWAYS AS ROW END,
    PERIOD FOR SYSTEM_TIME (valid_from, valid_until),
    PRIMARY KEY (environment, principal)
) WITH SYSTEM VERSIONING;
SET system_versioning_insert_history = ON";
const CHECK: &str = "
SELECT EXISTS (
    SELECT 1 FROM presences FOR SYSTEM_TIME AS OF ? p JOIN environments e
    WHERE p.principal = ? AND e.name = ? AND (
        NOT e.restricted OR p.standing = 2 OR EXISTS (
            SELECT 1 FROM grants FOR SYSTEM_TIME AS OF ? g
            WHERE g.environment = ? AND g.principal = ? AND g.standing >= ?
        )
    )
)";
const SPAN: &str = "
SELECT principal, standing, CAST(UNIX_TIMESTAMP(valid_from) * 1000000 AS signed), CAST(UNIX_TIMESTAMP(valid_until) * 1000000 AS signed)
FROM grants FOR SYSTEM_TIME FROM ? TO ? WHERE environment = ?
UNION ALL
SELECT principal, standing, CAST(UNIX_TIMESTAMP(valid_from) * 1000000 AS signed), CAST(UNIX_TIMESTAMP(valid_until) * 1000000 AS signed)
FROM presences FOR SYSTEM_TIME FROM ? TO ? WHERE standing = 2";
/// The greatest timestamp means "no end".
const END: &str = "2038-01-19 03:14:07.999999";
const ROWS_A_STATEMENT: usize = 1_000;

/// The tables, and the questions.
pub struct MariaDb {
    connection: Conn,
    check: Statement,
    span: Statement,
    questions: Vec<QuestionRow>,
    spans: Vec<SpanRow>,
}

fn timestamp(micros: i64) -> String {
    if micros == FOREVER_MICROS {
        return END.to_owned();
    }
    let text = tenure::domain::model::time::Instant::from_micros(micros).to_string();
    text.replace('T', " ").trim_end_matches('Z').to_owned()
}

impl MariaDb {
    /// Fills the tables.
    ///
    /// # Errors
    /// MariaDB reports an error.
    pub fn new(socket: &Path, history: &History, questions: &[PastQuestion], spans: &[SpanQuestion]) -> Outcome<Self> {
        let socket = socket.to_str().ok_or("the socket's path is no text")?;
        let mut connection = Conn::new(OptsBuilder::new().socket(Some(socket)).user(Some("root")))?;
        for statement in TABLES.split(";\n") {
            connection.query_drop(statement)?;
        }
        fill(&mut connection, history)?;
        let (check, span) = (connection.prep(CHECK)?, connection.prep(SPAN)?);
        let (questions, spans) = (question_rows(history, questions), span_rows(history, spans));
        Ok(Self { connection, check, span, questions, spans })
    }
}

fn fill(connection: &mut Conn, history: &History) -> Outcome<()> {
    let places = environments(history).into_iter().map(|(name, restricted)| format!("('{name}', {restricted})"));
    insert(connection, "environments (name, restricted)", places)?;
    let people = presences(history).map(|(principal, rank, from, until)| {
        format!("('{principal}', {rank}, '{}', '{}')", timestamp(from), timestamp(until))
    });
    insert(connection, "presences (principal, standing, valid_from, valid_until)", people)?;
    let given = grants(history).map(|(environment, principal, rank, from, until)| {
        format!("('{environment}', '{principal}', {rank}, '{}', '{}')", timestamp(from), timestamp(until))
    });
    insert(connection, "grants (environment, principal, standing, valid_from, valid_until)", given)?;
    Ok(connection.query_drop("ANALYZE TABLE environments, presences, grants")?)
}

fn insert(connection: &mut Conn, table: &str, rows: impl Iterator<Item = String>) -> Outcome<()> {
    connection.query_drop("START TRANSACTION")?;
    let mut rows = rows.peekable();
    while rows.peek().is_some() {
        let some: Vec<String> = rows.by_ref().take(ROWS_A_STATEMENT).collect();
        connection.query_drop(format!("INSERT INTO {table} VALUES {}", some.join(", ")))?;
    }
    Ok(connection.query_drop("COMMIT")?)
}

impl Peer for MariaDb {
    fn name(&self) -> String {
        "system-versioned table in MariaDB".to_owned()
    }

    fn decide(&mut self, question: usize) -> Outcome<bool> {
        let (principal, environment, rank, at) = &self.questions[question];
        let at = timestamp(*at);
        let words = (&at, principal, environment, &at, environment, principal, rank);
        let found: Option<bool> = self.connection.exec_first(&self.check, words)?;
        Ok(found.ok_or("MariaDB gave no row")?)
    }
}

impl Spans for MariaDb {
    fn held(&mut self, span: usize) -> Outcome<Vec<TenureRow>> {
        let (environment, from, until) = &self.spans[span];
        let (from, until) = (timestamp(*from), timestamp(*until));
        Ok(self.connection.exec(&self.span, (&from, &until, environment, &from, &until))?)
    }
}
