//! The common parts of the `OpenID` `AuthZEN` Authorization API 1.0: the entities of a question (§5), the parsing of bodies, and the check
//! of the subject.
//!
//! As the standard says, unknown fields are ignored, and every error in a body is 400. `null` is neither an object nor a text: a client
//! leaves the field out instead.

use std::fmt;

use schemars::JsonSchema;
use serde::de::{DeserializeOwned, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::domain::model::object::object;
use crate::domain::model::principal::Principal;
use crate::domain::rules::authorize::{Resource, Subject};
use crate::domain::rules::visibility::Visibility;
use crate::domain::state::view::View;
use crate::http::body::SMALL_BODY_BYTES;
use crate::http::problem::Problem;
use crate::http::request::{ReadAccess, WorkspaceRequest};

/// An entity of a question: a subject or a resource (§5.1, §5.2).
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct EntityBody {
    /// Its type.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its id.
    pub id: String,
    /// Its properties.
    #[serde(default, deserialize_with = "object")]
    pub properties: Properties,
}

/// The properties of an entity that a rule reads; the others are ignored.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct Properties {
    /// The environment of a resource.
    #[serde(default, deserialize_with = "text_if_any", skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
}

/// Reads a text; none for a value of another type.
fn text_if_any<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    deserializer.deserialize_any(TextIfAny)
}

/// A visitor that skips values that are no text, without keeping them.
struct TextIfAny;

impl<'de> Visitor<'de> for TextIfAny {
    type Value = Option<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_str<E>(self, text: &str) -> Result<Option<String>, E> {
        Ok(Some(text.to_owned()))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Option<String>, E> {
        Ok(None)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Option<String>, E> {
        Ok(None)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Option<String>, E> {
        Ok(None)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Option<String>, E> {
        Ok(None)
    }

    fn visit_unit<E>(self) -> Result<Option<String>, E> {
        Ok(None)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Option<String>, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(None)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Option<String>, A::Error> {
        while object.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(None)
    }
}

/// An action (§5.3).
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ActionBody {
    /// Its name in the catalogue.
    pub name: String,
    /// Its properties.
    #[serde(default, deserialize_with = "object", skip_serializing)]
    pub properties: IgnoredObject,
}

/// An object that no rule reads: a context (§5.4), or properties.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Unread")]
pub struct IgnoredObject {}

impl EntityBody {
    /// Returns the entity as a subject.
    pub fn subject(&self) -> Subject {
        Subject::new(&self.kind, &self.id)
    }

    /// Returns the entity as a resource.
    pub fn resource(&self) -> Resource {
        Resource::new(&self.kind, &self.id, self.properties.environment.as_deref())
    }
}

/// Reads an object that may be left out, but not be `null`.
///
/// # Errors
/// It is no object of this shape.
pub fn object_given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    object(deserializer).map(Some)
}

/// The parameters of a question.
#[derive(Debug, Deserialize)]
pub struct ExplainQuery {
    /// Whether the response says why.
    #[serde(default)]
    pub explain: bool,
}

/// Reads a question as [`read_question`] does; a large one in the pool for audits.
///
/// # Errors
/// As [`read_question`], or 429 without room in the budgets.
pub async fn read_question_of_any_size<T: DeserializeOwned + Send + 'static>(
    request: &WorkspaceRequest,
    kind: &'static str,
) -> Result<T, Problem> {
    if request.body_bytes().len() <= SMALL_BODY_BYTES {
        return read_question(request, kind);
    }
    let (permit, body) = (request.permit()?, request.body_bytes().clone());
    permit.run(&request.app.service, move || read_object(&body, kind)).await?
}

/// Reads one question directly from the bytes, without an intermediate JSON value: this is the hot path.
///
/// # Errors
/// 400 if the body is none; `kind` names what was expected.
pub fn read_question<T: DeserializeOwned>(request: &WorkspaceRequest, kind: &str) -> Result<T, Problem> {
    read_object(request.body_bytes(), kind)
}

/// Reads an object of this shape.
///
/// # Errors
/// 400 if the text is none; `kind` names what was expected.
pub fn read_object<'a, T: Deserialize<'a>>(text: &'a [u8], kind: &str) -> Result<T, Problem> {
    let read = || {
        let mut reader = serde_json::Deserializer::from_slice(text);
        let body = object(&mut reader)?;
        reader.end()?;
        Ok(body)
    };
    read().map_err(|error: serde_json::Error| Problem::malformed(format!("the body is no {kind}: {error}")))
}

/// Returns what the caller may know of.
pub fn visibility(request: &WorkspaceRequest) -> Visibility {
    match &request.access {
        ReadAccess::All | ReadAccess::DecisionsOnly => Visibility::Everything,
        ReadAccess::Own(principal) => Visibility::Own { principal: principal.clone(), now: request.now() },
    }
}

/// Checks that the caller may ask about a subject. A principal may ask about itself; auditors and `evaluator` keys about anyone.
///
/// # Errors
/// It may not (403).
pub fn check_may_ask(visibility: &Visibility, view: &View, subject: &EntityBody) -> Result<(), Problem> {
    let Visibility::Own { principal, .. } = visibility else { return Ok(()) };
    let oneself = match (principal, subject.kind.as_str()) {
        (Principal::User(user), "user") => user.as_str() == subject.id,
        (Principal::ServiceUser(id), "service_user") => {
            subject.id.parse() == Ok(*id) || view.service_user_name(*id).is_some_and(|name| name.as_str() == subject.id)
        }
        _ => false,
    };
    if oneself { Ok(()) } else { Err(Problem::forbidden("you may ask for decisions about yourself only")) }
}
