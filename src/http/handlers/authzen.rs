//! What the endpoints of the `OpenID` `AuthZEN` Authorization API 1.0 have in common: the entities that questions are made of (§5), how
//! a body is read, and who may ask about whom.
//!
//! As the standard says, a field that is not of it is ignored, and whatever is wrong with a body is 400. `null` is no object and no
//! text: whoever means nothing leaves the field out.

use std::fmt;

use schemars::JsonSchema;
use serde::de::{DeserializeOwned, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::audit::search::Asker;
use crate::domain::access::{Resource, Subject};
use crate::domain::object::object;
use crate::domain::principal::Principal;
use crate::domain::view::View;
use crate::http::body::SMALL_BODY_BYTES;
use crate::http::cross_site::is_json;
use crate::http::problem::Problem;
use crate::http::request::{ReadAccess, WorkspaceRequest};

/// An entity of a question: a subject or a resource (§5.1, §5.2).
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
    #[serde(default, deserialize_with = "text_if_any", skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
}

/// A text, or nothing where something else stands.
fn text_if_any<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    deserializer.deserialize_any(TextIfAny)
}

/// Keeps nothing of what is no text, however large it is.
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
    /// More about it.
    #[serde(default, deserialize_with = "object", skip_serializing)]
    pub properties: IgnoredObject,
}

/// An object that no rule looks at: a context (§5.4), or properties.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Unread")]
pub struct IgnoredObject {}

impl EntityBody {
    /// The entity as a subject.
    pub fn subject(&self) -> Subject {
        Subject::new(&self.kind, &self.id)
    }

    /// The entity as a resource.
    pub fn resource(&self) -> Resource {
        Resource::new(&self.kind, &self.id, self.properties.environment.as_deref())
    }
}

/// Reads an object that may be left out, but not be `null`.
///
/// # Errors
/// It is none, or not of this shape.
pub fn object_given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    object(deserializer).map(Some)
}

/// Makes sure that a body says that it is JSON.
///
/// # Errors
/// 400 where it does not.
pub fn check_content_type(request: &WorkspaceRequest) -> Result<(), Problem> {
    if is_json(request.headers()) {
        return Ok(());
    }
    Err(Problem::malformed("`Content-Type` must be `application/json`"))
}

/// As [`read_question`]; a large one is read beside the threads that decide single checks.
///
/// # Errors
/// As [`read_question`], or there is no room for it.
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

/// Reads one question without going by way of a value: this is asked before every deploy and every secret.
///
/// # Errors
/// 400 where the body is none; `kind` says of what.
pub fn read_question<T: DeserializeOwned>(request: &WorkspaceRequest, kind: &str) -> Result<T, Problem> {
    read_object(request.body_bytes(), kind)
}

/// Reads an object of this shape.
///
/// # Errors
/// 400 where the text is none; `kind` says of what.
pub fn read_object<'a, T: Deserialize<'a>>(text: &'a [u8], kind: &str) -> Result<T, Problem> {
    let read = || {
        let mut reader = serde_json::Deserializer::from_slice(text);
        let body = object(&mut reader)?;
        reader.end()?;
        Ok(body)
    };
    read().map_err(|error: serde_json::Error| Problem::malformed(format!("the body is no {kind}: {error}")))
}

/// What whoever asks may be told of.
pub fn asker(request: &WorkspaceRequest) -> Asker {
    match &request.access {
        ReadAccess::All | ReadAccess::DecisionsOnly => Asker::Everything,
        ReadAccess::Own(principal) => Asker::Oneself { principal: principal.clone(), now: request.now() },
    }
}

/// Makes sure that the asker may ask about a subject: a principal about itself; who may read the audit, and an `evaluator` key,
/// about anyone.
///
/// # Errors
/// `forbidden`.
pub fn check_may_ask(asker: &Asker, view: &View, subject: &EntityBody) -> Result<(), Problem> {
    let Asker::Oneself { principal, .. } = asker else { return Ok(()) };
    let oneself = match (principal, subject.kind.as_str()) {
        (Principal::User(user), "user") => user.as_str() == subject.id,
        (Principal::ServiceUser(id), "service_user") => {
            subject.id.parse() == Ok(*id) || view.service_user_name(*id).is_some_and(|name| name.as_str() == subject.id)
        }
        _ => false,
    };
    if oneself { Ok(()) } else { Err(Problem::forbidden("you may ask for decisions about yourself only")) }
}
