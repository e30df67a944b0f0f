//! The journal of the reads of the audit.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::HandlerResult;
use crate::domain::model::id::{ReadId, WorkspaceId};
use crate::domain::model::time::{Instant, Revision};
use crate::domain::state::view::{At, View};
use crate::http::accept::FORMS_OF_ROWS;
use crate::http::cursor::CursorKey;
use crate::http::guard::AuditRequest;
use crate::http::input::{Input, NoPath};
use crate::http::journal;
use crate::http::paging::Page;
use crate::http::params::{LIMIT_DEFAULT, Params};
use crate::http::problem::Problem;
use crate::http::request::WorkspaceRequest;
use crate::http::rows;
use crate::log::journal::{AnswerForm, AuditReader, ReadFilter, StoredRead};

/// A recorded read of the audit.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ReadRow {
    /// Its id.
    pub id: ReadId,
    /// The instant of the request.
    pub at: Instant,
    /// The reader: `operator`, `user:ID` or an access key's id.
    #[schemars(with = "String")]
    pub actor: AuditReader,
    /// The id of the reader's credential: `operator`, an API token's or an access key's.
    pub credential: String,
    /// The path of the request below the workspace.
    pub question: String,
    /// The parameters of the request, form-encoded.
    pub query: String,
    /// The form of the response.
    pub format: AnswerForm,
    /// The revision of the view.
    pub revision: Revision,
    /// The instant of the view.
    pub view_at: Instant,
    /// The number of rows in the response; `null` until it is complete.
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

/// The conditions as given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReadsQuery {
    /// Only reads at or after this instant.
    pub from: Option<Instant>,
    /// Only reads before this instant.
    pub until: Option<Instant>,
    /// Only reads by this reader.
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

/// The heading of a page of the journal.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ReadsAbout {
    /// The workspace.
    pub workspace: WorkspaceId,
    /// The newest revision at the time of the first page.
    pub revision: Revision,
    /// The instant of the first page.
    pub at: Instant,
    /// The conditions.
    pub query: ReadsQuery,
}

/// The name of the list in its cursors.
const READS: &str = "reads";

/// The columns of the journal as a table.
const COLUMNS: &[&str] =
    &["at", "actor", "credential", "question", "query", "format", "revision", "view_at", "rows", "request_id", "id"];

/// The content of a cursor: the query, the end of the journal at the first page, and the position.
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
    /// Returns the position at which a page begins: the cursor's, or the oldest read.
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

/// The page of the journal that a request asks for.
pub struct ReadsPaging {
    form: AnswerForm,
    limit: usize,
    cursor: Option<String>,
    query: ReadsQuery,
    reader: Option<AuditReader>,
}

impl Input<AuditRequest> for ReadsPaging {
    fn names() -> Vec<&'static str> {
        vec!["limit", "cursor", "from", "until", "actor"]
    }

    fn read(params: &mut Params, request: &AuditRequest) -> Result<Self, Problem> {
        let form = AnswerForm::negotiate(request.headers(), FORMS_OF_ROWS)?;
        request.permit()?;
        let limit = params.limit()?.unwrap_or(LIMIT_DEFAULT);
        let cursor = params.text("cursor");
        let (query, reader) = ReadsQuery::of(params)?;
        Ok(Self { form, limit, cursor, query, reader })
    }
}

/// Lists the reads of the audit, a page at a time in every form. This read is recorded too.
pub async fn list(request: AuditRequest, _: NoPath, paging: ReadsPaging) -> HandlerResult {
    let ReadsPaging { form, limit, cursor, query, reader } = paging;
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
