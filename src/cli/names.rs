//! Names in place of ids, for people: of the environments and service users that events are about.

use std::collections::HashMap;

use serde_json::Value;

use super::client::Query;
use super::output::{Format, cell_text};
use super::session::{Session, items};

/// Events by the names of what they are about, as far as those are known: from what is there now, and from the events themselves.
/// Programs get the events as they are.
pub(super) fn by_name(session: &mut Session, mut list: Value) -> Value {
    if session.out.format != Format::Table || items(&list).is_empty() {
        return list;
    }
    let mut names = known(session, "environments");
    names.extend(known(session, "service-users"));
    names.extend(items(&list).iter().filter_map(|event| {
        let name = event.pointer("/data/name").and_then(Value::as_str)?;
        Some((cell_text(event, "subject"), name.to_owned()))
    }));
    for event in list.get_mut("items").and_then(Value::as_array_mut).into_iter().flatten() {
        rename(event, &names);
        drop_own_name(event);
    }
    list
}

/// What is called by its name needs not say it twice.
fn drop_own_name(event: &mut Value) {
    let subject = cell_text(event, "subject");
    if let Some(data) = event.get_mut("data").and_then(Value::as_object_mut)
        && data.get("name").is_some_and(|name| *name == subject)
    {
        data.shift_remove("name");
    }
}

/// The names of what is there now; none if they may not be read.
fn known(session: &mut Session, kind: &str) -> HashMap<String, String> {
    let found = session.get_all(&[kind], &Query::default()).unwrap_or_default();
    items(&found).iter().map(|item| (cell_text(item, "id"), cell_text(item, "name"))).collect()
}

/// Puts names in place of the ids that texts are, or that stand behind a colon.
fn rename(value: &mut Value, names: &HashMap<String, String>) {
    match value {
        Value::String(text) => {
            let (kind, id) = text.rsplit_once(':').map_or(("", text.as_str()), |(kind, id)| (kind, id));
            if let Some(name) = names.get(id) {
                *text = if kind.is_empty() { name.clone() } else { format!("{kind}:{name}") };
            }
        }
        Value::Array(values) => values.iter_mut().for_each(|value| rename(value, names)),
        Value::Object(fields) => fields.values_mut().for_each(|value| rename(value, names)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_id_is_named_wherever_it_stands() {
        let names = [("env_1", "prod"), ("svc_1", "ci")].map(|(id, name)| (id.to_owned(), name.to_owned()));
        let mut event = json!({ "subject": "env_1", "reason": "about env_1", "revision": 7,
            "data": { "principal": "service_user:svc_1", "environments": ["env_1", "env_2"], "expires_at": null } });
        rename(&mut event, &names.into());
        let expected = json!({ "subject": "prod", "reason": "about env_1", "revision": 7,
            "data": { "principal": "service_user:ci", "environments": ["prod", "env_2"], "expires_at": null } });
        assert_eq!(event, expected);
    }
}
