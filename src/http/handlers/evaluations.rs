//! Many decisions in one request (`AuthZEN` §7).
//!
//! A small batch is answered where it arrives. A large one, and one that is to be explained, is answered in pieces beside the threads
//! that decide single checks, and each piece only when the connection takes it. Such an answer holds the request and one piece.

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
    ActionBody, EntityBody, IgnoredObject, Properties, check_content_type, object_given, read_object, read_question,
};
use super::decisions::{Authorizer, BrokenQuestion, ContextBody, DecisionBody, EvaluationBody};
use crate::domain::command::ShapeError;
use crate::domain::json;
use crate::domain::object::{object, objects};
use crate::domain::parsed::given;
use crate::http::budget::Permit;
use crate::http::problem::Problem;
use crate::http::request::WorkspaceRequest;
use crate::http::response;
use crate::log::LogError;
use crate::service::Service;

/// The most evaluations of one request.
pub const EVALUATIONS_MAX: usize = 10_000;
/// What a body that is none is said to be none of.
const KIND: &str = "evaluations request";
/// The most evaluations, and the largest body, of a batch that is answered where it arrives.
const INLINE_MAX: usize = 100;
const INLINE_BYTES_MAX: usize = 32 * 1_024;

/// About how large a piece of an answer is, in bytes, and how many evaluations it has at most.
const PIECE_BYTES: usize = 64 * 1_024;
const PIECE_MAX: usize = 256;
/// The longest message about a broken question, in characters.
const MESSAGE_CHARS_MAX: usize = 200;

/// The most bytes of each member that the evaluations of a request have in common.
const DEFAULT_BYTES_MAX: usize = 4_096;

/// An entity that may leave out what another one says instead.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct PartialEntity {
    /// What kind of thing.
    #[serde(rename = "type", default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub kind: Option<String>,
    /// Which.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub id: Option<String>,
    /// More about it.
    #[serde(default, deserialize_with = "object")]
    pub properties: Properties,
}

/// One question of many. What it leaves out is said on top: a whole member, or the `type` or the `id` of an entity that has the
/// other.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct ItemBody {
    /// Who.
    #[serde(default, deserialize_with = "object_given", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "PartialEntity")]
    pub subject: Option<PartialEntity>,
    /// Does what.
    #[serde(default, deserialize_with = "object_given", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "ActionBody")]
    pub action: Option<ActionBody>,
    /// To what.
    #[serde(default, deserialize_with = "object_given", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "PartialEntity")]
    pub resource: Option<PartialEntity>,
    /// In which circumstances; no rule looks at them.
    #[serde(default, deserialize_with = "object", skip_serializing)]
    pub context: IgnoredObject,
}

/// Many questions, with what they have in common on top (`AuthZEN` §7).
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct EvaluationsBody {
    /// Who, where a question does not say.
    #[serde(default, deserialize_with = "object_given", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "PartialEntity")]
    pub subject: Option<PartialEntity>,
    /// Does what, where a question does not say.
    #[serde(default, deserialize_with = "object_given", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "ActionBody")]
    pub action: Option<ActionBody>,
    /// To what, where a question does not say.
    #[serde(default, deserialize_with = "object_given", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "PartialEntity")]
    pub resource: Option<PartialEntity>,
    /// In which circumstances; no rule looks at them.
    #[serde(default, deserialize_with = "object", skip_serializing)]
    pub context: IgnoredObject,
    /// The questions; none of them: the one on top.
    #[serde(default, deserialize_with = "objects")]
    pub evaluations: Vec<ItemBody>,
    /// How they are answered.
    #[serde(default, deserialize_with = "object")]
    pub options: OptionsBody,
}

/// How many questions are answered.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct OptionsBody {
    /// Whether all are answered, or only until one decides.
    #[serde(default)]
    pub evaluations_semantic: Semantic,
}

/// When to stop answering (`AuthZEN` §7.1.2).
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

/// What a request for many decisions is answered with: if it holds no `evaluations`, it is one question (`AuthZEN` §7.1).
#[derive(Debug, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum EvaluationsResponse {
    /// The answers to many questions.
    Many(DecisionsBody),
    /// The answer to one.
    One(DecisionBody),
}

impl Semantic {
    /// Whether an answer is the last one.
    const fn ends_at(self, answer: &DecisionBody) -> bool {
        match self {
            Self::ExecuteAll => false,
            Self::DenyOnFirstDeny => !answer.decision,
            Self::PermitOnFirstPermit => answer.decision,
        }
    }
}

/// Answers many questions.
pub async fn evaluations(mut request: WorkspaceRequest) -> HandlerResult {
    check_content_type(&request)?;
    let explain = request.params.flag("explain")?;
    let (view, _) = request.view()?;
    std::mem::take(&mut request.params).finish()?;
    let authorizer = Authorizer::of(&request, view, explain);
    match read_small(&request, &authorizer) {
        Some(body) => respond_inline(&authorizer, body),
        None => respond_in_pieces(&request, authorizer).await,
    }
}

/// A small batch with nothing wrong in it, as they nearly all are. A name that [`json::check`] refuses is written with a `$` or an
/// escape, so a body with one of those is none.
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
    let mut answers = Vec::with_capacity(evaluations.len());
    for item in evaluations {
        let answer = evaluate_item(authorizer, Ok(item), &common);
        let is_last = options.evaluations_semantic.ends_at(&answer);
        answers.push(answer);
        if is_last {
            break;
        }
    }
    response::for_view(authorizer.view(), &DecisionsBody { evaluations: answers })
}

/// Answers the one question that a request without `evaluations` is.
fn respond_to_common(authorizer: &Authorizer, common: &ItemBody) -> HandlerResult {
    response::for_view(authorizer.view(), &authorizer.authorize(ItemBody::default().completed(common)?)?)
}

/// The answer to a question; what is wrong with one is said in its place.
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

/// A batch whose questions are not read yet: where each stands in the body is all that is known.
struct Outline {
    common: ItemBody,
    semantic: Semantic,
    body: Bytes,
    items: Vec<Range<usize>>,
}

/// As [`EvaluationsBody`], with its questions as they are written.
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
    evaluations: Written<'a>,
    #[serde(default, deserialize_with = "object")]
    options: OptionsBody,
}

/// A list as it is written: its first items, and how many there are. Those beyond the limit are counted and not kept.
#[derive(Default)]
struct Written<'a> {
    items: Vec<&'a RawValue>,
    len: usize,
}

impl<'de: 'a, 'a> Deserialize<'de> for Written<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(WrittenVisitor)
    }
}

struct WrittenVisitor;

impl<'de> Visitor<'de> for WrittenVisitor {
    type Value = Written<'de>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Written<'de>, A::Error> {
        let mut items = Vec::new();
        while items.len() < EVALUATIONS_MAX {
            let Some(item) = list.next_element()? else {
                let len = items.len();
                return Ok(Written { items, len });
            };
            items.push(item);
        }
        let mut len = items.len();
        while list.next_element::<IgnoredAny>()?.is_some() {
            len = len.saturating_add(1);
        }
        Ok(Written { items, len })
    }
}

impl Outline {
    fn read(body: Bytes) -> Result<Self, Problem> {
        if is_suspect(&body) {
            json::check(&body).map_err(|error| Problem::malformed(format!("the body is no JSON: {error}")))?;
        }
        let outline: OutlineBody<'_> = read_object(&body, KIND)?;
        let OutlineBody { subject, action, resource, context, evaluations: Written { items, len }, options } = outline;
        if len > EVALUATIONS_MAX {
            let detail = format!("`evaluations`: there are {len}, and at most {EVALUATIONS_MAX} are accepted");
            return Err(Problem::too_large(detail));
        }
        let start = body.as_ptr().addr();
        let place = |item: &RawValue| {
            let first = item.get().as_ptr().addr().saturating_sub(start);
            first..first.saturating_add(item.get().len())
        };
        let items: Vec<_> = items.into_iter().map(place).collect();
        let common = ItemBody { subject, action, resource, context };
        if !items.is_empty() {
            common.check_size()?;
        }
        Ok(Self { common, semantic: options.evaluations_semantic, body, items })
    }

    /// A question, read in its place.
    fn item(&self, place: &Range<usize>) -> Result<ItemBody, Problem> {
        let text = self.body.get(place.clone()).unwrap_or_default();
        read_object(text, "question").or_else(|_| {
            let value = json::parse(text).map_err(|error| Problem::malformed(error.to_string()))?;
            ShapeError::read(value).map_err(|error| Problem::malformed(error.to_string()))
        })
    }

    /// How much memory it takes beside the body, in bytes, and the piece of the answer that is on its way.
    const fn bytes(&self) -> usize {
        self.items.len().saturating_mul(size_of::<Range<usize>>()).saturating_add(2 * PIECE_BYTES)
    }
}

/// An answer that is made in pieces, and how far it is.
struct Answering {
    authorizer: Authorizer,
    outline: Outline,
    answered: usize,
    is_over: bool,
}

impl Answering {
    /// The next piece of the answer.
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
        let Some(place) = outline.items.get(*index) else { return };
        let answer = evaluate_item(authorizer, outline.item(place), &outline.common);
        if *index > 0 {
            text.push(b',');
        }
        text.extend(response::to_json(&answer).unwrap_or_default());
        *index = index.saturating_add(1);
        self.is_over = self.answered == outline.items.len() || outline.semantic.ends_at(&answer);
        if self.is_over {
            text.extend_from_slice(b"]}");
        }
    }

    /// The next piece, made in the pool.
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
    let answering = Answering { authorizer, outline, answered: 0, is_over: false };
    let (answering, first) = answering.next(&service, &permit).await?;
    let mut response = if answering.is_over {
        response::json(StatusCode::OK, first)
    } else {
        streamed(first, answering, service, permit)
    };
    response::set_view(response.headers_mut(), &view);
    Ok(response)
}

/// An answer that goes on after its first piece. Where a piece cannot be made, the connection breaks off.
fn streamed(first: Vec<u8>, answering: Answering, service: Arc<Service>, permit: Permit) -> Response<Body> {
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
    /// The question, with what it leaves out taken from what the questions have in common.
    fn completed(self, common: &Self) -> Result<EvaluationBody, Problem> {
        let action = self.action.or_else(|| common.action.clone());
        Ok(EvaluationBody {
            subject: completed("subject", self.subject, common.subject.as_ref())?,
            action: action.ok_or_else(|| missing("action"))?,
            resource: completed("resource", self.resource, common.resource.as_ref())?,
            context: IgnoredObject {},
        })
    }

    /// What the questions of a batch have in common is copied to each, so it has to be small.
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

fn missing(place: &str) -> Problem {
    Problem::malformed(format!("missing field `{place}`"))
}

/// An entity, from its own words and those that stand in for them: for all of it, or for its `type` or its `id` alone.
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
