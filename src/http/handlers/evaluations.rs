//! Many decisions in one request (`AuthZEN` §7).
//!
//! A small batch is decided on the connection's thread. A large one, or one with reasons, is decided in pieces in the pool for audits, each
//! when the connection can take it. Its response holds the request and one piece.

use std::ops::Range;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::http::{Response, StatusCode};
use futures_util::stream::{self, StreamExt};
use schemars::JsonSchema;
use serde::de::{Deserializer, IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::HandlerResult;
use super::authzen::{
    ActionBody, EntityBody, ExplainQuery, IgnoredObject, Properties, object_given, read_object, read_question,
};
use super::decisions::{Authorizer, BrokenQuestion, ContextBody, DecisionBody, EvaluationBody};
use crate::domain::model::json;
use crate::domain::model::object::{object, objects};
use crate::domain::model::parsed::given;
use crate::domain::model::shape::ShapeError;
use crate::http::budget::Permit;
use crate::http::guard::EvaluatorRequest;
use crate::http::input::{NoPath, QueryParams};
use crate::http::problem::Problem;
use crate::http::request::{RequestedView, WorkspaceRequest};
use crate::http::response;
use crate::log::LogError;
use crate::service::Service;

/// The most evaluations of one request.
pub const EVALUATIONS_MAX: usize = 10_000;
/// The name of the expected body in errors.
const KIND: &str = "evaluations request";
/// The most evaluations, and the largest body, of a batch that is decided on the connection's thread.
const INLINE_MAX: usize = 100;
const INLINE_BYTES_MAX: usize = 32 * 1_024;

/// The approximate size of a piece of a response, in bytes, and its most evaluations.
const PIECE_BYTES: usize = 64 * 1_024;
const PIECE_MAX: usize = 256;
/// The longest error message of a question, in characters.
const MESSAGE_CHARS_MAX: usize = 200;

/// The most bytes of each member that is common to the evaluations of a request.
const DEFAULT_BYTES_MAX: usize = 4_096;

/// An entity whose missing fields come from the common one.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct PartialEntity {
    /// Its type.
    #[serde(rename = "type", default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub kind: Option<String>,
    /// Its id.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub id: Option<String>,
    /// Its properties.
    #[serde(default, deserialize_with = "object")]
    pub properties: Properties,
}

/// One question of many. The common members replace a missing one, or the missing `type` or `id` of an entity.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct ItemBody {
    /// The subject.
    #[serde(default, deserialize_with = "object_given", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "PartialEntity")]
    pub subject: Option<PartialEntity>,
    /// The action.
    #[serde(default, deserialize_with = "object_given", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "ActionBody")]
    pub action: Option<ActionBody>,
    /// The resource.
    #[serde(default, deserialize_with = "object_given", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "PartialEntity")]
    pub resource: Option<PartialEntity>,
    /// The context; no rule reads it.
    #[serde(default, deserialize_with = "object", skip_serializing)]
    pub context: IgnoredObject,
}

/// Many questions, with their common members (`AuthZEN` §7).
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct EvaluationsBody {
    /// The subject of the questions that name none.
    #[serde(default, deserialize_with = "object_given", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "PartialEntity")]
    pub subject: Option<PartialEntity>,
    /// The action of the questions that name none.
    #[serde(default, deserialize_with = "object_given", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "ActionBody")]
    pub action: Option<ActionBody>,
    /// The resource of the questions that name none.
    #[serde(default, deserialize_with = "object_given", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "PartialEntity")]
    pub resource: Option<PartialEntity>,
    /// The context; no rule reads it.
    #[serde(default, deserialize_with = "object", skip_serializing)]
    pub context: IgnoredObject,
    /// The questions; if there are none, the common members are the question.
    #[serde(default, deserialize_with = "objects")]
    pub evaluations: Vec<ItemBody>,
    /// The options.
    #[serde(default, deserialize_with = "object")]
    pub options: OptionsBody,
}

/// The options of a batch.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct OptionsBody {
    /// Whether all questions are decided, or only the first ones.
    #[serde(default)]
    pub evaluations_semantic: Semantic,
}

/// When a batch ends early (`AuthZEN` §7.1.2).
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Semantic {
    /// Never.
    #[default]
    ExecuteAll,
    /// After the first denial.
    DenyOnFirstDeny,
    /// After the first permit.
    PermitOnFirstPermit,
}

/// The answers to many questions (`AuthZEN` §7.2).
#[derive(Debug, Serialize, JsonSchema)]
pub struct DecisionsBody {
    /// In the order of the questions.
    pub evaluations: Vec<DecisionBody>,
}

/// The response to a batch: without `evaluations` it is one question (`AuthZEN` §7.1).
#[derive(Debug, Serialize, JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "EvaluationsAnswer")]
pub enum EvaluationsResponse {
    /// The answers to many questions.
    Many(DecisionsBody),
    /// The answer to one.
    One(DecisionBody),
}

impl Semantic {
    /// Returns whether a decision is the last one.
    const fn ends_at(self, last: &DecisionBody) -> bool {
        match self {
            Self::ExecuteAll => false,
            Self::DenyOnFirstDeny => !last.decision,
            Self::PermitOnFirstPermit => last.decision,
        }
    }
}

/// Answers many questions.
pub async fn evaluations(
    request: EvaluatorRequest,
    _: NoPath,
    (requested, QueryParams(query)): (RequestedView, QueryParams<ExplainQuery>),
) -> HandlerResult {
    let authorizer = Authorizer::of(&request, requested.view, query.explain);
    match read_small(&request, &authorizer) {
        Some(body) => respond_inline(&authorizer, body),
        None => respond_in_pieces(&request, authorizer).await,
    }
}

/// Reads a small batch without errors, the usual case. [`json::check`] refuses some names, all spelt with a `$` or an escape, so a body
/// with either is left to the slow path.
fn read_small(request: &WorkspaceRequest, authorizer: &Authorizer) -> Option<EvaluationsBody> {
    let body = request.body_bytes();
    if authorizer.explains() || body.len() > INLINE_BYTES_MAX || is_suspect(body) {
        return None;
    }
    let body: EvaluationsBody = read_question(request, KIND).ok()?;
    (body.evaluations.len() <= INLINE_MAX).then_some(body)
}

fn is_suspect(body: &[u8]) -> bool {
    body.iter().any(|byte| matches!(byte, b'$' | b'\\'))
}

fn respond_inline(authorizer: &Authorizer, body: EvaluationsBody) -> HandlerResult {
    let EvaluationsBody { subject, action, resource, context, evaluations, options } = body;
    let common = ItemBody { subject, action, resource, context };
    if evaluations.is_empty() {
        return respond_to_common(authorizer, &common);
    }
    common.check_size()?;
    let mut decisions = Vec::with_capacity(evaluations.len());
    for item in evaluations {
        let decision = evaluate_item(authorizer, Ok(item), &common);
        let is_last = options.evaluations_semantic.ends_at(&decision);
        decisions.push(decision);
        if is_last {
            break;
        }
    }
    response::for_view(authorizer.view(), &DecisionsBody { evaluations: decisions })
}

/// Answers a request without `evaluations`: its common members are one question.
fn respond_to_common(authorizer: &Authorizer, common: &ItemBody) -> HandlerResult {
    response::for_view(authorizer.view(), &authorizer.authorize(ItemBody::default().completed(common)?)?)
}

/// Decides a question; an error takes the place of its decision.
fn evaluate_item(authorizer: &Authorizer, item: Result<ItemBody, Problem>, common: &ItemBody) -> DecisionBody {
    let body = item.and_then(|item| item.completed(common));
    body.and_then(|body| authorizer.authorize(body)).unwrap_or_else(|problem| {
        let mut message: String = problem.detail().chars().take(MESSAGE_CHARS_MAX).collect();
        if message.len() < problem.detail().len() {
            message.push('…');
        }
        let error = BrokenQuestion { status: problem.status().as_u16(), message };
        DecisionBody { decision: false, context: Some(ContextBody::Broken { error }) }
    })
}

/// A batch whose questions are not parsed yet: it has their byte ranges in the body.
struct Outline {
    common: ItemBody,
    semantic: Semantic,
    body: Bytes,
    items: Vec<Range<usize>>,
}

/// An [`EvaluationsBody`] with unparsed questions.
#[derive(Deserialize)]
struct OutlineBody<'a> {
    #[serde(default, deserialize_with = "object_given")]
    subject: Option<PartialEntity>,
    #[serde(default, deserialize_with = "object_given")]
    action: Option<ActionBody>,
    #[serde(default, deserialize_with = "object_given")]
    resource: Option<PartialEntity>,
    #[serde(default, deserialize_with = "object")]
    context: IgnoredObject,
    #[serde(default, borrow)]
    evaluations: UnparsedList<'a>,
    #[serde(default, deserialize_with = "object")]
    options: OptionsBody,
}

/// An unparsed list: its first items, and its length. Items beyond the limit are only counted.
#[derive(Default)]
struct UnparsedList<'a> {
    items: Vec<&'a RawValue>,
    len: usize,
}

impl<'de: 'a, 'a> Deserialize<'de> for UnparsedList<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(UnparsedListVisitor)
    }
}

struct UnparsedListVisitor;

impl<'de> Visitor<'de> for UnparsedListVisitor {
    type Value = UnparsedList<'de>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<UnparsedList<'de>, A::Error> {
        let mut items = Vec::new();
        while items.len() < EVALUATIONS_MAX {
            let Some(item) = list.next_element()? else {
                let len = items.len();
                return Ok(UnparsedList { items, len });
            };
            items.push(item);
        }
        let mut len = items.len();
        while list.next_element::<IgnoredAny>()?.is_some() {
            len = len.saturating_add(1);
        }
        Ok(UnparsedList { items, len })
    }
}

impl Outline {
    fn read(body: Bytes) -> Result<Self, Problem> {
        if is_suspect(&body) {
            json::check(&body).map_err(|error| Problem::malformed(format!("the body is no JSON: {error}")))?;
        }
        let outline: OutlineBody<'_> = read_object(&body, KIND)?;
        let OutlineBody { subject, action, resource, context, evaluations: UnparsedList { items, len }, options } =
            outline;
        if len > EVALUATIONS_MAX {
            let detail = format!("`evaluations`: there are {len}, and at most {EVALUATIONS_MAX} are accepted");
            return Err(Problem::too_large(detail));
        }
        let start = body.as_ptr().addr();
        let range = |item: &RawValue| {
            let first = item.get().as_ptr().addr().saturating_sub(start);
            first..first.saturating_add(item.get().len())
        };
        let items: Vec<_> = items.into_iter().map(range).collect();
        let common = ItemBody { subject, action, resource, context };
        if !items.is_empty() {
            common.check_size()?;
        }
        Ok(Self { common, semantic: options.evaluations_semantic, body, items })
    }

    /// Parses a question at its range.
    fn item(&self, range: &Range<usize>) -> Result<ItemBody, Problem> {
        let text = self.body.get(range.clone()).unwrap_or_default();
        read_object(text, "question").or_else(|_| {
            let value = json::parse(text).map_err(|error| Problem::malformed(error.to_string()))?;
            ShapeError::read(value).map_err(|error| Problem::malformed(error.to_string()))
        })
    }

    /// Returns its memory beside the body, in bytes, with the current piece of the response.
    const fn bytes(&self) -> usize {
        self.items.len().saturating_mul(size_of::<Range<usize>>()).saturating_add(2 * PIECE_BYTES)
    }
}

/// A response in pieces, and its progress.
struct BatchResponse {
    authorizer: Authorizer,
    outline: Outline,
    answered: usize,
    is_over: bool,
}

impl BatchResponse {
    /// Returns the next piece of the response.
    fn piece(&mut self) -> Vec<u8> {
        let mut text = if self.answered == 0 { b"{\"evaluations\":[".to_vec() } else { Vec::new() };
        let end = self.answered.saturating_add(PIECE_MAX);
        while !self.is_over && self.answered < end && text.len() < PIECE_BYTES {
            self.add_next(&mut text);
        }
        text
    }

    fn add_next(&mut self, text: &mut Vec<u8>) {
        let Self { authorizer, outline, answered: index, .. } = self;
        let Some(range) = outline.items.get(*index) else { return };
        let decision = evaluate_item(authorizer, outline.item(range), &outline.common);
        if *index > 0 {
            text.push(b',');
        }
        text.extend(response::to_json(&decision).unwrap_or_default());
        *index = index.saturating_add(1);
        self.is_over = self.answered == outline.items.len() || outline.semantic.ends_at(&decision);
        if self.is_over {
            text.extend_from_slice(b"]}");
        }
    }

    /// Makes the next piece in the pool for audits.
    async fn next(mut self, service: &Service, permit: &Permit) -> Result<(Self, Vec<u8>), LogError> {
        let make = move || {
            let piece = self.piece();
            (self, piece)
        };
        permit.run(service, make).await
    }
}

async fn respond_in_pieces(request: &WorkspaceRequest, authorizer: Authorizer) -> HandlerResult {
    let (permit, service) = (request.permit()?, Arc::clone(&request.app.service));
    let body = request.body_bytes().clone();
    let outline = permit.run(&service, move || Outline::read(body)).await??;
    if outline.items.is_empty() {
        return respond_to_common(&authorizer, &outline.common);
    }
    permit.grow(outline.bytes())?;
    let view = authorizer.view().clone();
    let answering = BatchResponse { authorizer, outline, answered: 0, is_over: false };
    let (answering, first) = answering.next(&service, &permit).await?;
    let mut response = if answering.is_over {
        response::json(StatusCode::OK, first)
    } else {
        streamed(first, answering, service, permit)
    };
    response::set_view(response.headers_mut(), &view);
    Ok(response)
}

/// Streams a response after its first piece. If a piece fails, the connection ends.
fn streamed(first: Vec<u8>, answering: BatchResponse, service: Arc<Service>, permit: Permit) -> Response<Body> {
    let rest = stream::try_unfold((answering, service, permit), async |(answering, service, permit)| {
        if answering.is_over {
            return Ok::<_, LogError>(None);
        }
        let (answering, piece) = answering.next(&service, &permit).await?;
        Ok(Some((Bytes::from(piece), (answering, service, permit))))
    });
    let all = stream::once(std::future::ready(Ok(Bytes::from(first)))).chain(rest);
    response::json(StatusCode::OK, Vec::new()).map(|_| Body::from_stream(all))
}

impl ItemBody {
    /// Completes the question with the common members.
    fn completed(self, common: &Self) -> Result<EvaluationBody, Problem> {
        let action = self.action.or_else(|| common.action.clone());
        Ok(EvaluationBody {
            subject: completed("subject", self.subject, common.subject.as_ref())?,
            action: action.ok_or_else(|| missing("action"))?,
            resource: completed("resource", self.resource, common.resource.as_ref())?,
            context: IgnoredObject {},
        })
    }

    /// Checks the size of the common members, since each question gets a copy.
    fn check_size(&self) -> Result<(), Problem> {
        let members = [
            ("subject", response::to_json(&self.subject)?),
            ("action", response::to_json(&self.action)?),
            ("resource", response::to_json(&self.resource)?),
        ];
        match members.iter().find(|(_, bytes)| bytes.len() > DEFAULT_BYTES_MAX) {
            None => Ok(()),
            Some((member, _)) => Err(Problem::malformed(format!(
                "`{member}`: what the evaluations have in common is over {DEFAULT_BYTES_MAX} bytes"
            ))),
        }
    }
}

fn missing(field: &str) -> Problem {
    Problem::malformed(format!("missing field `{field}`"))
}

/// Completes an entity with the common one: all of it, or its `type` or its `id` alone.
fn completed(member: &str, own: Option<PartialEntity>, common: Option<&PartialEntity>) -> Result<EntityBody, Problem> {
    let PartialEntity { kind, id, properties } = own.or_else(|| common.cloned()).ok_or_else(|| missing(member))?;
    let (common_kind, common_id) = common.map_or((None, None), |common| (common.kind.clone(), common.id.clone()));
    let (kind, id) = match (kind, id) {
        (None, Some(id)) => (common_kind, Some(id)),
        (Some(kind), None) => (Some(kind), common_id),
        both => both,
    };
    let kind = kind.ok_or_else(|| missing(&format!("{member}.type")))?;
    Ok(EntityBody { kind, id: id.ok_or_else(|| missing(&format!("{member}.id")))?, properties })
}
