//! Decisions: the evaluation endpoints of the `OpenID` `AuthZEN` Authorization API 1.0.
//!
//! Unknown fields are ignored here, as the standard says. The body depends on nothing but the question and the view.

use axum::http::header::CONTENT_TYPE;
use schemars::JsonSchema;
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value, json};

use super::Answered;
use crate::audit::evidence::Evidence;
use crate::audit::reasons::{Actors, reasons};
use crate::domain::access::{Decision, Question, Resource, Subject, judge, judge_concealed};
use crate::domain::catalogue::{ENVIRONMENT, WORKSPACE};
use crate::domain::object::object;
use crate::domain::principal::Principal;
use crate::domain::time::{Instant, Revision};
use crate::domain::view::View;
use crate::http::answer;
use crate::http::asked::{InWorkspace, Reader};
use crate::http::problem::Problem;

/// The most evaluations of one request.
pub const EVALUATIONS_MAX: usize = 10_000;

/// The most bytes of each member that the evaluations of a request have in common.
const DEFAULT_BYTES_MAX: usize = 4_096;

/// An entity of a question: a subject or a resource (`AuthZEN` §5.1, §5.2).
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct EntityBody {
    /// What kind of thing.
    #[serde(rename = "type")]
    pub kind: String,
    /// Which.
    pub id: String,
    /// More about it.
    #[serde(default, deserialize_with = "object")]
    pub properties: Properties,
}

/// What is known of an entity beside its type and id; the rest of it is ignored.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct Properties {
    /// Of a resource: where it is.
    #[serde(default, deserialize_with = "text_if_any")]
    pub environment: Option<String>,
}

/// A text, or nothing where something else stands.
fn text_if_any<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Any {
        Text(String),
        Other(IgnoredAny),
    }
    Ok(match Any::deserialize(deserializer)? {
        Any::Text(text) => Some(text),
        Any::Other(_) => None,
    })
}

/// An action (`AuthZEN` §5.3).
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ActionBody {
    /// Its name in the catalogue.
    pub name: String,
}

/// One question (`AuthZEN` §6).
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct EvaluationBody {
    /// Who.
    #[serde(deserialize_with = "object")]
    pub subject: EntityBody,
    /// Does what.
    #[serde(deserialize_with = "object")]
    pub action: ActionBody,
    /// To what.
    #[serde(deserialize_with = "object")]
    pub resource: EntityBody,
}

/// Many questions, with what they have in common on top (`AuthZEN` §7).
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct EvaluationsBody {
    /// Who, where a question does not say.
    pub subject: Option<Value>,
    /// Does what, where a question does not say.
    pub action: Option<Value>,
    /// To what, where a question does not say.
    pub resource: Option<Value>,
    /// The questions; none of them: the one on top.
    #[serde(default)]
    pub evaluations: Vec<Value>,
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

/// The answer to one question (`AuthZEN` §6.2).
#[derive(Debug, Serialize, JsonSchema)]
pub struct DecisionBody {
    /// Whether it is allowed.
    pub decision: bool,
    /// Why, if that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context: Option<ContextBody>,
}

/// Why a decision is as it is.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum ContextBody {
    /// The rule, and what it rests on.
    Explained(Box<Explanation>),
    /// The question could not be answered.
    Broken {
        /// What is wrong with it.
        error: BrokenQuestion,
    },
}

/// What is wrong with a question in a batch.
#[derive(Debug, Serialize, JsonSchema)]
pub struct BrokenQuestion {
    /// The HTTP status that it would get alone.
    pub status: u16,
    /// What is wrong.
    pub message: String,
}

/// The rule that decided, and what it rests on.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Explanation {
    /// The role found.
    pub role: Option<&'static str>,
    /// The role required.
    pub required: Option<&'static str>,
    /// The stable name of the rule.
    pub rule: &'static str,
    /// The revision judged at.
    pub revision: Revision,
    /// The instant judged at.
    pub at: Instant,
    /// Why, in sentences: what decided, what made it so, and the roles.
    pub reasons: Vec<String>,
    /// The events that the answer rests on.
    pub evidence: Vec<Evidence>,
}

/// The answers to many questions (`AuthZEN` §7.2).
#[derive(Debug, Serialize, JsonSchema)]
pub struct DecisionsBody {
    /// In the order of the questions.
    pub evaluations: Vec<DecisionBody>,
}

impl EvaluationBody {
    fn question(&self) -> Question {
        let EntityBody { kind, id, properties } = &self.resource;
        let resource = if kind == WORKSPACE {
            Resource::Workspace(id.clone())
        } else {
            let named = if kind == ENVIRONMENT { Some(id) } else { properties.environment.as_ref() };
            let environment = named.map(|named| named.as_str().into());
            Resource::Within { resource_type: kind.clone(), id: id.clone(), environment }
        };
        Question {
            subject: Subject::new(&self.subject.kind, &self.subject.id),
            action: self.action.name.clone(),
            resource,
        }
    }
}

/// What one request's questions are judged with.
struct Judge<'a> {
    request: &'a InWorkspace,
    view: &'a View,
    explain: bool,
}

impl Judge<'_> {
    fn answer(&self, body: &EvaluationBody) -> Result<DecisionBody, Problem> {
        self.check_may_ask(&body.subject)?;
        let question = body.question();
        let decision = match &self.request.reader {
            Reader::Audit | Reader::Evaluator => judge(self.view, &question),
            Reader::Oneself(principal) => judge_concealed(self.view, &self.request.now(), &question, principal),
        };
        let context = self.explain.then(|| ContextBody::Explained(Box::new(self.explanation(&decision))));
        Ok(DecisionBody { decision: decision.allowed, context })
    }

    /// A principal asks about itself; who may read the audit, and an `evaluator` key, about anyone.
    fn check_may_ask(&self, subject: &EntityBody) -> Result<(), Problem> {
        let Reader::Oneself(principal) = &self.request.reader else { return Ok(()) };
        let oneself = match (principal, subject.kind.as_str()) {
            (Principal::User(user), "user") => user.as_str() == subject.id,
            (Principal::ServiceUser(id), "service_user") => {
                subject.id.parse() == Ok(*id)
                    || self.view.service_user_name(*id).is_some_and(|name| name.as_str() == subject.id)
            }
            _ => false,
        };
        if oneself { Ok(()) } else { Err(Problem::forbidden("you may ask for decisions about yourself only")) }
    }

    fn explanation(&self, decision: &Decision) -> Explanation {
        let audits = self.request.reader == Reader::Audit;
        Explanation {
            role: decision.role.map(crate::domain::access::AnyRole::as_str),
            required: decision.required.map(crate::domain::access::AnyRole::as_str),
            rule: decision.rule.as_str(),
            revision: self.view.revision(),
            at: self.view.instant(),
            reasons: reasons(self.view, decision, if audits { Actors::Named } else { Actors::Withheld }),
            evidence: shown(self.view, &decision.evidence, audits),
        }
    }
}

/// The events of revisions; who made them and why is told only to those who may read the audit.
fn shown(view: &View, revisions: &[Revision], audits: bool) -> Vec<Evidence> {
    let of = if audits { Evidence::of } else { Evidence::anonymous };
    revisions.iter().filter_map(|revision| view.event(*revision)).map(|event| of(event)).collect()
}

fn check_content_type(request: &InWorkspace) -> Result<(), Problem> {
    let content_type = request.asked.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = content_type.map(|value| value.split(';').next().unwrap_or_default().trim());
    if essence.is_some_and(|essence| essence.eq_ignore_ascii_case("application/json")) {
        return Ok(());
    }
    Err(Problem::malformed("`Content-Type` must be `application/json`"))
}

/// What is wrong with a question is always 400, as the standard says.
fn malformed(problem: &Problem) -> Problem {
    Problem::malformed(problem.detail())
}

fn parse<T: serde::de::DeserializeOwned>(value: Value) -> Result<T, Problem> {
    crate::domain::command::ShapeError::read(value).map_err(|error| malformed(&error.into()))
}

/// Reads one question without going by way of a value: this is asked before every deploy and every secret.
fn read_question(text: &[u8]) -> serde_json::Result<EvaluationBody> {
    let mut reader = serde_json::Deserializer::from_slice(text);
    let body = object(&mut reader)?;
    reader.end()?;
    Ok(body)
}

/// Answers one question.
pub async fn evaluation(mut request: InWorkspace) -> Answered {
    check_content_type(&request)?;
    let explain = request.asked.params.flag("explain")?;
    let (view, _) = request.view()?;
    std::mem::take(&mut request.asked.params).finish()?;
    let body = read_question(request.asked.body_bytes())
        .map_err(|error| Problem::malformed(format!("the body is no evaluation request: {error}")))?;
    let judge = Judge { request: &request, view: &view, explain };
    answer::about(&view, &judge.answer(&body)?)
}

/// Answers many questions.
pub async fn evaluations(mut request: InWorkspace) -> Answered {
    check_content_type(&request)?;
    let explain = request.asked.params.flag("explain")?;
    let (view, _) = request.view()?;
    std::mem::take(&mut request.asked.params).finish()?;
    let json = request.asked.json()?;
    let judge = Judge { request: &request, view: &view, explain };
    let batch: EvaluationsBody = parse(json.clone())?;
    if batch.evaluations.len() > EVALUATIONS_MAX {
        let detail =
            format!("`evaluations`: there are {}, and at most {EVALUATIONS_MAX} are accepted", batch.evaluations.len());
        return Err(Problem::too_large(detail));
    }
    if batch.evaluations.is_empty() {
        return answer::about(&view, &judge.answer(&parse(json)?)?);
    }
    let batch = EvaluationsBody {
        subject: slim(batch.subject)?,
        action: slim(batch.action)?,
        resource: slim(batch.resource)?,
        ..batch
    };
    answer::about(&view, &DecisionsBody { evaluations: answer_all(&judge, &batch) })
}

/// What the questions of a batch have in common is copied to each, so only what counts of it is kept, and that is small.
fn slim(default: Option<Value>) -> Result<Option<Value>, Problem> {
    let Some(Value::Object(mut default)) = default else { return Ok(default) };
    default.retain(|member, _| ["type", "id", "name", "properties"].contains(&member.as_str()));
    if let Some(Value::Object(properties)) = default.get_mut("properties") {
        properties.retain(|property, _| property == ENVIRONMENT);
    }
    let default = Value::Object(default);
    if default.to_string().len() > DEFAULT_BYTES_MAX {
        return Err(Problem::malformed(format!(
            "what the evaluations have in common is over {DEFAULT_BYTES_MAX} bytes"
        )));
    }
    Ok(Some(default))
}

fn answer_all(judge: &Judge<'_>, batch: &EvaluationsBody) -> Vec<DecisionBody> {
    let mut answers = Vec::new();
    for item in &batch.evaluations {
        let answer = parse::<EvaluationBody>(merged(batch, item)).and_then(|body| judge.answer(&body));
        let answer = answer.unwrap_or_else(|problem| {
            let error = BrokenQuestion { status: problem.status().as_u16(), message: problem.detail().to_owned() };
            DecisionBody { decision: false, context: Some(ContextBody::Broken { error }) }
        });
        let decides = match batch.options.evaluations_semantic {
            Semantic::ExecuteAll => false,
            Semantic::DenyOnFirstDeny => !answer.decision,
            Semantic::PermitOnFirstPermit => answer.decision,
        };
        answers.push(answer);
        if decides {
            break;
        }
    }
    answers
}

/// A question of a batch with what it leaves out taken from the top: a whole member, or the `type` or `id` of one.
fn merged(batch: &EvaluationsBody, item: &Value) -> Value {
    let Value::Object(item) = item else { return item.clone() };
    let mut merged = Map::new();
    let defaults = [("subject", &batch.subject), ("action", &batch.action), ("resource", &batch.resource)];
    for (member, default) in defaults {
        let value = match (item.get(member), default) {
            (Some(Value::Object(own)), Some(Value::Object(default))) if member != "action" => {
                Value::Object(completed(own, default))
            }
            (Some(own), _) => own.clone(),
            (None, Some(default)) => default.clone(),
            (None, None) => continue,
        };
        merged.insert(member.to_owned(), value);
    }
    json!(merged)
}

fn completed(own: &Map<String, Value>, default: &Map<String, Value>) -> Map<String, Value> {
    let mut entity = own.clone();
    for member in ["type", "id"] {
        if let (false, Some(value)) = (own.contains_key(member), default.get(member)) {
            entity.insert(member.to_owned(), value.clone());
        }
    }
    entity
}
