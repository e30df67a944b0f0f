//! The log for auditors who verify it: checkpoints, tiles and bundles (C2SP `tlog-tiles`), receipts (C2SP `tlog-proof`) and
//! consistency proofs (RFC 6962 §2.1.2).
//!
//! A bundle reveals events, so the journal records its readers, as for all audit data. Checkpoints, hashes and proofs reveal nothing of an
//! event and are not recorded, so a monitor leaves no trace. The key for verification is not served here: a client that doubts the
//! server needs it from elsewhere.

use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderValue, Response};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::HandlerResult;
use crate::domain::model::id::EventId;
use crate::domain::model::time::Revision;
use crate::http::guard::AuditRequest;
use crate::http::input::{NoInput, NoPath, QueryParams};
use crate::http::journal;
use crate::http::params::from_text;
use crate::http::problem::Problem;
use crate::http::response;
use crate::log::journal::AnswerForm;
use crate::log::published::stored_key_chain;
use crate::proof::tile::{Tile, TileKind};
use crate::service::proofs::ConsistencyProof;

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const BYTES: HeaderValue = HeaderValue::from_static("application/octet-stream");
/// The caching of immutable content: a year, in private caches.
const KEEP: HeaderValue = HeaderValue::from_static("private, max-age=31536000, immutable");

/// The path of a tile or a bundle.
#[derive(Debug, Deserialize)]
pub struct TilePath {
    tile: String,
}

/// The path of an event: its revision or its id.
#[derive(Debug, Deserialize)]
pub struct EventPath {
    #[serde(rename = "ref")]
    reference: String,
}

/// The sizes that a log is compared at.
#[derive(Debug, Deserialize)]
pub struct SizesQuery {
    #[serde(default, deserialize_with = "from_text")]
    from: Option<Revision>,
    #[serde(default, deserialize_with = "from_text")]
    to: Option<Revision>,
}

/// A proof that a log only grew.
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

impl From<ConsistencyProof> for ConsistencyBody {
    fn from(ConsistencyProof { from, to, proof }: ConsistencyProof) -> Self {
        Self {
            from: from.size,
            to: to.size,
            from_root: from.root.to_string(),
            to_root: to.root.to_string(),
            proof: proof.iter().map(ToString::to_string).collect(),
        }
    }
}

/// Returns the signed checkpoint of the durable head.
pub async fn checkpoint(request: AuditRequest, _: NoPath, _: NoInput) -> HandlerResult {
    let checkpoint = request.app.service.checkpoint(request.root.id()).await?;
    let checkpoint = checkpoint.ok_or_else(|| Problem::not_found("workspace", request.path("ws")))?;
    Ok(uncached(TEXT, checkpoint.note().to_owned()))
}

/// Returns the succession of the logs' keys; empty if there was one key only.
pub async fn keys(request: AuditRequest, _: NoPath, _: NoInput) -> HandlerResult {
    Ok(uncached(TEXT, request.app.service.reading(stored_key_chain).await?))
}

/// Returns a tile of hashes, or a bundle of entries.
pub async fn tile(request: AuditRequest, path: TilePath, _: NoInput) -> HandlerResult {
    let path = format!("tile/{}", path.tile);
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

/// Returns the receipt of an event.
pub async fn proof(request: AuditRequest, path: EventPath, _: NoInput) -> HandlerResult {
    let not_found = || Problem::not_found("event", &path.reference);
    let revision = revision(&request, &path.reference).await?.ok_or_else(not_found)?;
    let receipt = request.app.service.receipt(request.root.id(), revision).await?.ok_or_else(not_found)?;
    Ok(uncached(TEXT, receipt.to_string()))
}

/// Returns the revision that a path names, by its number or by its event's id; none without such an event.
async fn revision(request: &AuditRequest, named: &str) -> Result<Option<Revision>, Problem> {
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

/// Returns a proof that the log only grew.
pub async fn consistency(
    request: AuditRequest,
    _: NoPath,
    QueryParams(query): QueryParams<SizesQuery>,
) -> HandlerResult {
    let Some(Revision(from)) = query.from else {
        return Err(Problem::invalid("`from`: say from which size on, such as `1`"));
    };
    let workspace = request.root.id();
    let size = request.app.service.tree(workspace).await?.map_or(0, |tree| tree.size);
    let to = query.to.map_or(size, |Revision(to)| to);
    if to > size {
        return Err(Problem::invalid(format!("`to`: the log has {size} events, not `{to}`")));
    }
    if !(1..=to).contains(&from) {
        return Err(Problem::invalid(format!("`from`: `{from}` is not from 1 to `to`, {to}")));
    }
    let growth = request.app.service.consistency(workspace, from, to).await?;
    let body = response::to_json(&ConsistencyBody::from(growth))?;
    Ok(response::json(axum::http::StatusCode::OK, body))
}

fn uncached(content_type: HeaderValue, body: impl Into<Body>) -> Response<Body> {
    let mut response = Response::new(body.into());
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response::set_no_store(response.headers_mut());
    response
}
