//! Who read the audit.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::HandlerResult;
use crate::domain::model::id::{ReadId, WorkspaceId};
use crate::domain::model::time::{Instant, Revision};
use crate::domain::state::view::{At, View};
use crate::http::accept::FORMS_OF_ROWS;
use crate::http::cursor::CursorKey;
use crate::http::guard::AuditRequest;
use crate::http::input::NoPath;
use crate::http::journal;
use crate::http::paging::Page;
use crate::http::params::{LIMIT_DEFAULT, Params};
use crate::http::problem::Problem;
use crate::http::request::WorkspaceRequest;
use crate::http::rows;
use crate::log::journal::{AnswerForm, AuditReader, ReadFilter, StoredRead};

/// An answer of the audit that someone was given.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ReadRow {
    /// Its id.
    pub id: ReadId,
    /// When it was asked.
    pub at: Instant,
    /// Who asked: `operator`, `user:ID` or an access key's id.
    #[schemars(with = "String")]
    pub actor: AuditReader,
    /// The id of what they asked with: `operator`, an API token's or an access key's.
    pub credential: String,
    /// What they asked: the path below the workspace.
    pub question: String,
    /// What stood after the `?`, form-encoded.
    pub query: String,
    /// In which form they were answered.
    pub format: AnswerForm,
    /// The revision of the view that they asked.
    pub revision: Revision,
    /// The instant of the view that they asked.
    pub view_at: Instant,
    /// How many rows they were given; `null` while they are.
    pub rows: Option<u64>,
    /// The id of the request.
    pub request_id: String,
}

impl From<StoredRead> for ReadRow {
    fn from(StoredRead { record, .. }: StoredRead) -> Self {
        Self {
            id: record.id,
            at: record.at,
            credential: record.credential(),
            actor: record.reader,
            question: record.question,
            query: record.query,
            format: record.form,
            revision: record.revision,
            view_at: record.view_at,
            rows: record.rows,
            request_id: record.request,
        }
    }
}

/// The conditions as they were asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReadsQuery {
    /// Not before this instant.
    pub from: Option<Instant>,
    /// Before this instant.
    pub until: Option<Instant>,
    /// By this reader.
    pub actor: Option<String>,
}

impl ReadsQuery {
    fn of(params: &mut Params) -> Result<(Self, Option<AuditReader>), Problem> {
        let reader: Option<AuditReader> = params.value("actor")?;
        let actor = reader.as_ref().map(ToString::to_string);
        let query = Self { from: params.value("from")?, until: params.value("until")?, actor };
        match (query.from, query.until) {
            (Some(from), Some(until)) if from > until => {
                Err(Problem::invalid(format!("`from`: `{from}` is later than `until`, `{until}`")))
            }
            _ => Ok((query, reader)),
        }
    }
}

/// Of which journal a page is, with what makes it possible to ask again.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ReadsAbout {
    /// Whose.
    pub workspace: WorkspaceId,
    /// The newest revision when the first page was asked for.
    pub revision: Revision,
    /// When the first page was asked for.
    pub at: Instant,
    /// What was asked for.
    pub query: ReadsQuery,
}

/// The list that the cursors are written for.
const READS: &str = "reads";

/// The columns of the journal as a table.
const COLUMNS: &[&str] =
    &["at", "actor", "credential", "question", "query", "format", "revision", "view_at", "rows", "request_id", "id"];

/// What a cursor holds: the question it belongs to, what there was when the first page was asked for, and how far it is.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct ReadsCursor {
    workspace: WorkspaceId,
    query: ReadsQuery,
    revision: Revision,
    instant: i64,
    newest: u64,
    after: u64,
}

impl ReadsCursor {
    /// Where a page begins: where the cursor says, or at the oldest read of all that there are now.
    async fn of(request: &WorkspaceRequest, query: ReadsQuery, cursor: Option<String>) -> Result<Self, Problem> {
        let workspace = request.root.id();
        if let Some(cursor) = cursor {
            let position: Option<Self> = request.app.cursors.open(READS, &cursor);
            return position.filter(|position| position.workspace == workspace && position.query == query).ok_or_else(
                || {
                    Problem::invalid(
                        "`cursor`: this is not the `next` of a page of the same question; ask again without it",
                    )
                },
            );
        }
        let newest = request.app.service.reading(move |log| log.newest_read(workspace)).await?;
        let now = request.now();
        let (revision, instant) = (now.revision(), now.instant().micros());
        Ok(Self { workspace, query, revision, instant, newest, after: 0 })
    }

    fn view(&self, request: &WorkspaceRequest) -> Result<View, Problem> {
        request.view_at(At::Both(self.revision, Instant::from_micros(self.instant)))
    }

    fn filter(&self, reader: Option<AuditReader>) -> ReadFilter {
        let ReadsQuery { from, until, .. } = self.query;
        ReadFilter { after: self.after, until_sequence: self.newest, from, until, reader }
    }

    fn cursor(&self, key: &CursorKey, after: u64) -> String {
        key.seal(READS, &Self { after, ..self.clone() })
    }
}

/// Lists who read the audit, a page at a time in every form. That this was read is recorded too, for the next one who asks.
pub async fn list(request: AuditRequest, _: NoPath, mut params: Params) -> HandlerResult {
    let form = AnswerForm::negotiate(request.headers(), FORMS_OF_ROWS)?;
    request.permit()?;
    let limit = params.limit()?.unwrap_or(LIMIT_DEFAULT);
    let cursor = params.text("cursor");
    let (query, reader) = ReadsQuery::of(&mut params)?;
    params.finish()?;
    let position = ReadsCursor::of(&request, query, cursor).await?;
    let view = position.view(&request)?;
    let page = page(&request, &position, reader, limit).await?;
    journal::record(&request, &view, form, page.items.len()).await?;
    let ReadsCursor { workspace, revision, query, .. } = position;
    rows::page_response(form, COLUMNS, &view, ReadsAbout { workspace, revision, at: view.instant(), query }, page)
}

async fn page(
    request: &WorkspaceRequest,
    position: &ReadsCursor,
    reader: Option<AuditReader>,
    limit: usize,
) -> Result<Page<ReadRow>, Problem> {
    let (workspace, filter) = (position.workspace, position.filter(reader));
    let found = request.app.service.reading(move |log| log.reads(workspace, &filter, limit.saturating_add(1)));
    let mut found = found.await?;
    let more = found.len() > limit;
    found.truncate(limit);
    let next = found.last().filter(|_| more).map(|last| position.cursor(&request.app.cursors, last.sequence));
    Ok(Page { items: found.into_iter().map(ReadRow::from).collect(), next })
}
