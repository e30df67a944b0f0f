//! The log as those who check it read it: checkpoints, tiles and bundles (C2SP `tlog-tiles`), receipts (C2SP `tlog-proof`) and
//! consistency proofs (RFC 6962 §2.1.2).
//!
//! A bundle gives events away, so it is recorded who got it, as for any answer of the audit. Checkpoints, hashes and proofs say
//! nothing of what an event holds, and are not recorded: so following a log with a monitor leaves no trace of its own. The key
//! to check with is not served here: whoever doubts the server must have it from elsewhere.

use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderValue, Response};
use schemars::JsonSchema;
use serde::Serialize;

use super::HandlerResult;
use crate::domain::id::EventId;
use crate::domain::time::Revision;
use crate::http::journal;
use crate::http::params::Params;
use crate::http::problem::Problem;
use crate::http::request::WorkspaceRequest;
use crate::http::response;
use crate::log::journal::AnswerForm;
use crate::log::published::stored_key_chain;
use crate::proof::tile::{Tile, TileKind};
use crate::service::proofs::Growth;

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const BYTES: HeaderValue = HeaderValue::from_static("application/octet-stream");
/// For what never changes: a year, in the cache of whoever has the credential that it takes to read it.
const KEEP: HeaderValue = HeaderValue::from_static("private, max-age=31536000, immutable");

/// That a log only grew.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ConsistencyBody {
    /// The earlier size.
    pub from: u64,
    /// The later size.
    pub to: u64,
    /// The root at the earlier size, in base64.
    pub from_root: String,
    /// The root at the later size, in base64.
    pub to_root: String,
    /// The proof (RFC 6962 §2.1.2), each hash in base64; empty where the sizes are the same.
    pub proof: Vec<String>,
}

impl From<Growth> for ConsistencyBody {
    fn from(Growth { from, to, proof }: Growth) -> Self {
        Self {
            from: from.size,
            to: to.size,
            from_root: from.root.to_string(),
            to_root: to.root.to_string(),
            proof: proof.iter().map(ToString::to_string).collect(),
        }
    }
}

/// Signs the durable head of the log.
pub async fn checkpoint(mut request: WorkspaceRequest) -> HandlerResult {
    request.reads_all()?;
    std::mem::take(&mut request.params).finish()?;
    let checkpoint = request.app.service.checkpoint(request.root.id()).await?;
    let checkpoint = checkpoint.ok_or_else(|| Problem::not_found("workspace", request.path("ws")))?;
    Ok(uncached(TEXT, checkpoint.note().to_owned()))
}

/// Gives the records of which key of the logs followed which; none where there was one key only.
pub async fn keys(mut request: WorkspaceRequest) -> HandlerResult {
    request.reads_all()?;
    std::mem::take(&mut request.params).finish()?;
    Ok(uncached(TEXT, request.app.service.reading(stored_key_chain).await?))
}

/// Gives a tile of hashes, or a bundle of entries.
pub async fn tile(mut request: WorkspaceRequest) -> HandlerResult {
    request.reads_all()?;
    std::mem::take(&mut request.params).finish()?;
    let path = format!("tile/{}", request.path("tile"));
    let not_found = || Problem::not_found("tile", &path);
    let tile: Tile = path.parse().map_err(|_| not_found())?;
    request.permit()?;
    let bytes = request.app.service.tile(request.root.id(), tile).await?.ok_or_else(not_found)?;
    if tile.kind == TileKind::Entries {
        let rows = usize::try_from(tile.width).unwrap_or(usize::MAX);
        journal::record(&request, &request.now(), AnswerForm::EntryBundle, rows).await?;
    }
    let mut response = uncached(BYTES, bytes);
    if tile.is_full() {
        response.headers_mut().insert(CACHE_CONTROL, KEEP);
    }
    Ok(response)
}

/// Gives the receipt of an event.
pub async fn proof(mut request: WorkspaceRequest) -> HandlerResult {
    request.reads_all()?;
    std::mem::take(&mut request.params).finish()?;
    let not_found = || Problem::not_found("event", request.path("ref"));
    let revision = revision(&request).await?.ok_or_else(not_found)?;
    let receipt = request.app.service.receipt(request.root.id(), revision).await?.ok_or_else(not_found)?;
    Ok(uncached(TEXT, receipt.to_string()))
}

/// The revision that a path names, by its number or by its event's id; none if there is no such event.
async fn revision(request: &WorkspaceRequest) -> Result<Option<Revision>, Problem> {
    let named = request.path("ref");
    if let Ok(revision) = named.parse() {
        return Ok(Some(revision));
    }
    let Ok(id) = named.parse::<EventId>() else { return Ok(None) };
    let root = request.root.clone();
    let found = move || {
        let mut events = root.events(Revision::ZERO, root.head());
        events.find(|event| event.id == id).map(|event| event.revision)
    };
    Ok(request.permit()?.run_whole(&request.app.service, found).await?)
}

/// Proves that the log only grew.
pub async fn consistency(mut request: WorkspaceRequest) -> HandlerResult {
    request.reads_all()?;
    let (from, to) = sizes(&mut request.params)?;
    let workspace = request.root.id();
    let size = request.app.service.tree(workspace).await?.map_or(0, |tree| tree.size);
    let to = to.unwrap_or(size);
    if to > size {
        return Err(Problem::invalid(format!("`to`: the log has {size} events, not `{to}`")));
    }
    if !(1..=to).contains(&from) {
        return Err(Problem::invalid(format!("`from`: `{from}` is not from 1 to `to`, {to}")));
    }
    let growth = request.app.service.growth(workspace, from, to).await?;
    let body = response::to_json(&ConsistencyBody::from(growth))?;
    Ok(response::json(axum::http::StatusCode::OK, body))
}

fn sizes(params: &mut Params) -> Result<(u64, Option<u64>), Problem> {
    let (from, to): (Option<Revision>, Option<Revision>) = (params.value("from")?, params.value("to")?);
    std::mem::take(params).finish()?;
    let from = from.ok_or_else(|| Problem::invalid("`from`: say from which size on, such as `1`"))?;
    Ok((from.0, to.map(|to| to.0)))
}

fn uncached(content_type: HeaderValue, body: impl Into<Body>) -> Response<Body> {
    let mut response = Response::new(body.into());
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response::set_no_store(response.headers_mut());
    response
}
