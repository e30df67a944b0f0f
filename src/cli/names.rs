//! The names of environments and service users, and the reasons of commands, for tables of events. Events contain only
//! ids, and only a command's first event has a long reason.

use std::collections::HashMap;

use serde_json::Value;

use super::args::AtArgs;
use super::output::cell_text;
use super::session::{Session, event_name, items};

/// Names by entity id, and reasons by command id.
#[derive(Debug, Default)]
pub(super) struct EntityNames {
    names: HashMap<String, String>,
    reasons: HashMap<String, Value>,
}

impl EntityNames {
    /// Requests the current names; none if they cannot be read, as in a deleted workspace.
    pub(super) fn of(session: &mut Session) -> Self {
        let mut names = HashMap::new();
        for list in ["environments", "service-users"] {
            let Ok(list) = session.get_all(&[list], &AtArgs::default().query()) else { continue };
            names.extend(items(&list).iter().map(|item| (cell_text(item, "id"), cell_text(item, "name"))));
        }
        Self { names, ..Self::default() }
    }

    /// Merges two sets of names; those of `better` win.
    pub(super) fn overlaid_with(mut self, better: Self) -> Self {
        self.names.extend(better.names);
        self.reasons.extend(better.reasons);
        self
    }

    /// Records the name and the reason in an event.
    pub(super) fn learn(&mut self, event: &Value) {
        let name = event.get("data").map(|data| cell_text(data, "name")).unwrap_or_default();
        let subject = cell_text(event, "subject");
        if let Some(reason) = event.get("reason") {
            self.reasons.entry(cell_text(event, "command")).or_insert_with(|| reason.clone());
        }
        match event_name(&cell_text(event, "type")).as_str() {
            "environment.renamed" => drop(self.names.insert(subject, name)),
            // A later name may be known already.
            "environment.created" | "service_user.created" => drop(self.names.entry(subject).or_insert(name)),
            _ => {}
        }
    }

    /// Replaces ids by names in an event, and adds the reason of its command if it has none.
    pub(super) fn put(&self, event: &Value) -> Value {
        let mut event = event.clone();
        if let (Some(reason), Some(event)) = (self.reasons.get(&cell_text(&event, "command")), event.as_object_mut()) {
            event.entry("reason").or_insert_with(|| reason.clone());
        }
        for field in ["subject", "actor", "data"] {
            if let Some(value) = event.get_mut(field) {
                self.put_in(value);
            }
        }
        event
    }

    fn put_in(&self, value: &mut Value) {
        match value {
            Value::String(text) => self.put_in_text(text),
            Value::Array(values) => values.iter_mut().for_each(|value| self.put_in(value)),
            Value::Object(fields) => fields.values_mut().for_each(|value| self.put_in(value)),
            _ => {}
        }
    }

    fn put_in_text(&self, text: &mut String) {
        let (kind, id) = text.split_once(':').map_or(("", text.as_str()), |(kind, id)| (kind, id));
        // A user's id may look like an entity's id, and has no other name.
        if kind == "user" {
            return;
        }
        if let Some(name) = self.names.get(id) {
            *text = if kind.is_empty() { name.clone() } else { format!("{kind}:{name}") };
        }
    }
}
