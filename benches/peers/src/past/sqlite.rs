//! Interval tables in SQLite, in this process: on disk, entirely in the page cache.

use rusqlite::{Connection, params};
use tempfile::TempDir;

use super::{QuestionRow, SpanRow, Spans, environments, grants, presences, question_rows, span_rows};
use crate::history::{History, PastQuestion, SpanQuestion};
use crate::ours::TenureRow;
use crate::peer::{Outcome, Peer};

const TABLES: &str = "
PRAGMA journal_mode = WAL;
PRAGMA synchronous = OFF;
PRAGMA cache_size = -524288;
PRAGMA mmap_size = 1073741824;
CREATE TABLE environments (name TEXT PRIMARY KEY, restricted INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE presences (
    principal TEXT, rank INTEGER NOT NULL, valid_from INTEGER NOT NULL, valid_until INTEGER NOT NULL,
    PRIMARY KEY (principal, valid_from)
) WITHOUT ROWID;
CREATE TABLE grants (
    id INTEGER PRIMARY KEY,
    environment TEXT NOT NULL, principal TEXT NOT NULL, rank INTEGER NOT NULL,
    valid_from INTEGER NOT NULL, valid_until INTEGER NOT NULL
);
";
const INDICES: &str = "
CREATE INDEX grants_of_principals ON grants (environment, principal, valid_from DESC, valid_until, rank);
CREATE INDEX grants_by_end ON grants (environment, valid_until, valid_from, principal, rank);
CREATE INDEX managers ON presences (rank, valid_until, valid_from, principal);
CREATE VIRTUAL TABLE spans USING rtree (id, environment_from, environment_until, valid_from, valid_until);
INSERT INTO spans SELECT id, (SELECT rowid FROM places WHERE name = environment),
    (SELECT rowid FROM places WHERE name = environment), valid_from / 1000000, min(valid_until / 1000000, 4000000000)
    FROM grants;
ANALYZE;
";
/// Only the newest grant that began by then can apply.
const CHECK: &str = "
SELECT EXISTS (
    SELECT 1 FROM presences p JOIN environments e ON e.name = ?2
    WHERE p.principal = ?1 AND p.valid_from <= ?4 AND p.valid_until > ?4 AND (
        NOT e.restricted OR p.rank = 2 OR (
            SELECT g.valid_until > ?4 AND g.rank >= ?3 FROM grants g
            WHERE g.environment = ?2 AND g.principal = ?1 AND g.valid_from <= ?4
            ORDER BY g.valid_from DESC LIMIT 1
        )
    )
)";
const MANAGERS: &str = "
UNION ALL
SELECT principal, rank, valid_from, valid_until FROM presences
WHERE rank = 2 AND valid_until > ?2 AND valid_from < ?3";
const SPAN_BY_END: &str = "
SELECT principal, rank, valid_from, valid_until FROM grants
WHERE environment = ?1 AND valid_until > ?2 AND valid_from < ?3";
/// The R*Tree stores single-precision numbers, rounded outwards: it finds slightly too much, and the rows decide.
const SPAN_BY_TREE: &str = "
SELECT g.principal, g.rank, g.valid_from, g.valid_until
FROM spans s CROSS JOIN grants g ON g.id = s.id
WHERE s.environment_from <= (SELECT rowid FROM places WHERE name = ?1)
  AND s.environment_until >= (SELECT rowid FROM places WHERE name = ?1)
  AND s.valid_until >= ?2 / 1000000 AND s.valid_from <= ?3 / 1000000
  AND g.environment = ?1 AND g.valid_until > ?2 AND g.valid_from < ?3";

/// The index that finds spans.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Index {
    /// A covering B-tree over environment and end.
    BTree,
    /// SQLite's R*Tree.
    RTree,
}

/// The tables, and the questions.
pub struct Sqlite {
    connection: Connection,
    questions: Vec<QuestionRow>,
    spans: Vec<SpanRow>,
    /// The index that finds spans.
    pub index: Index,
    _folder: TempDir,
}

impl Sqlite {
    /// Fills the tables.
    ///
    /// # Errors
    /// SQLite reports an error.
    pub fn new(history: &History, questions: &[PastQuestion], spans: &[SpanQuestion]) -> Outcome<Self> {
        let folder = tempfile::tempdir()?;
        let mut connection = Connection::open(folder.path().join("history.db"))?;
        connection.execute_batch(TABLES)?;
        fill(&mut connection, history)?;
        connection.execute_batch(
            "CREATE TABLE places (name TEXT UNIQUE NOT NULL); INSERT INTO places SELECT name FROM environments;",
        )?;
        connection.execute_batch(INDICES)?;
        let (questions, spans) = (question_rows(history, questions), span_rows(history, spans));
        Ok(Self { connection, questions, spans, index: Index::BTree, _folder: folder })
    }
}

fn fill(connection: &mut Connection, history: &History) -> Outcome<()> {
    let all = connection.transaction()?;
    insert(&all, history)?;
    Ok(all.commit()?)
}

fn insert(all: &Connection, history: &History) -> Outcome<()> {
    let mut insert = all.prepare("INSERT INTO environments VALUES (?1, ?2)")?;
    for environment in environments(history) {
        insert.execute(params![environment.0, environment.1])?;
    }
    let mut insert = all.prepare("INSERT INTO presences VALUES (?1, ?2, ?3, ?4)")?;
    for presence in presences(history) {
        insert.execute(presence)?;
    }
    let mut insert = all.prepare("INSERT INTO grants VALUES (NULL, ?1, ?2, ?3, ?4, ?5)")?;
    for grant in grants(history) {
        insert.execute(grant)?;
    }
    Ok(())
}

impl Peer for Sqlite {
    fn name(&self) -> String {
        "interval table in SQLite".to_owned()
    }

    fn decide(&mut self, question: usize) -> Outcome<bool> {
        let (principal, environment, rank, at) = &self.questions[question];
        let mut check = self.connection.prepare_cached(CHECK)?;
        Ok(check.query_row(params![principal, environment, rank, at], |row| row.get(0))?)
    }
}

impl Spans for Sqlite {
    fn held(&mut self, span: usize) -> Outcome<Vec<TenureRow>> {
        let (environment, from, until) = &self.spans[span];
        let grants = if self.index == Index::BTree { SPAN_BY_END } else { SPAN_BY_TREE };
        let mut held = self.connection.prepare_cached(&format!("{grants}{MANAGERS}"))?;
        let rows = held.query_map(params![environment, from, until], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}
