//! The stored form of each event type as JSON Schema (draft 2020-12), for programs that read the log without this crate.
//!
//! A schema accepts the output of [`codec::encode`](super::codec::encode) and as little else as the language can express: the fields
//! of the envelope, no others, and no null. Only the codec checks that revisions follow each other, or that no name begins like an id.

use schemars::transform::{RecursiveTransform, Transform};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use crate::domain::model::event::{EventData, EventSchema};
use crate::domain::model::id::{CommandId, EventId, WorkspaceId};
use crate::domain::model::name::Reason;
use crate::domain::model::principal::{Actor, ActorCredential};

/// The fields that every stored event has.
const REQUIRED: [&str; 10] =
    ["specversion", "id", "source", "type", "subject", "time", "revision", "actor", "command", "data"];
const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

/// Returns the schemas of whole stored events, by stored name, in the order of the catalogue.
pub fn event_schemas() -> Vec<(&'static str, Value)> {
    EventData::schemas().into_iter().map(|schema| (schema.type_name, event_schema(schema))).collect()
}

fn event_schema(schema: EventSchema) -> Value {
    let EventSchema { type_name, sentence, subject, mut data } = schema;
    RecursiveTransform(forbid_null).transform(&mut data);
    for name in ["$schema", "title"] {
        data.remove(name);
    }
    let definitions = data.remove("$defs").map(with_stored_instants);
    let whole = json!({
        "$schema": DIALECT,
        "title": type_name,
        "description": sentence,
        "type": "object",
        "properties": properties(type_name, subject.to_value(), data.as_value()),
        "required": REQUIRED,
        "additionalProperties": false,
    });
    match (whole, definitions) {
        (Value::Object(mut whole), Some(definitions)) => {
            whole.insert("$defs".to_owned(), definitions);
            Value::Object(whole)
        }
        (whole, _) => whole,
    }
}

fn with_stored_instants(mut definitions: Value) -> Value {
    if let Some(instant) = definitions.get_mut("Instant") {
        *instant = stored_instant();
    }
    definitions
}

fn properties(type_name: &str, subject: Value, data: &Value) -> Value {
    json!({
        "specversion": {"const": "1.0"},
        "id": described("The event's own id.", text::<EventId>()),
        "source": described("The workspace whose log it stands in.", source()),
        "type": {"const": type_name},
        "subject": described("What it is about.", subject),
        "time": described("When it happened.", stored_instant()),
        "recordedtime": described("When it was recorded, where that was later: an imported event.", stored_instant()),
        "revision": {"description": "Its number in that log.", "type": "integer", "minimum": 1},
        "actor": described("Who made the change.", text::<Actor>()),
        "credential": described("What they proved themselves with.", text::<ActorCredential>()),
        "command": described("The command that it came from.", text::<CommandId>()),
        "reason": described("Why, in the actor's words.", text::<Reason>()),
        "data": data,
    })
}

fn text<T: JsonSchema>() -> Value {
    T::json_schema(&mut SchemaGenerator::default()).to_value()
}

fn source() -> Value {
    let id = text::<WorkspaceId>();
    let pattern = id.get("pattern").and_then(Value::as_str).unwrap_or_default().trim_start_matches('^');
    json!({"type": "string", "pattern": format!("^/workspaces/{pattern}")})
}

/// Returns the schema of the only form of an instant: in UTC, with six digits of a second.
fn stored_instant() -> Value {
    json!({
        "type": "string",
        "format": "date-time",
        "pattern": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z$",
    })
}

fn described(description: &str, schema: Value) -> Value {
    let mut described = Map::from_iter([("description".to_owned(), description.into())]);
    if let Value::Object(schema) = schema {
        described.extend(schema);
    }
    Value::Object(described)
}

/// Removes null as a choice: absent fields are left out.
fn forbid_null(schema: &mut Schema) {
    let Some(fields) = schema.as_object_mut() else { return };
    if let Some(Value::Array(types)) = fields.get_mut("type") {
        types.retain(|name| name != "null");
        if let [name] = types.as_slice() {
            let name = name.clone();
            fields.insert("type".to_owned(), name);
        }
    }
    if let Some(Value::Array(choices)) = fields.get_mut("anyOf") {
        choices.retain(|choice| *choice != json!({"type": "null"}));
        if let [Value::Object(choice)] = choices.as_slice() {
            let choice = choice.clone();
            fields.shift_remove("anyOf");
            fields.extend(choice);
        }
    }
}
