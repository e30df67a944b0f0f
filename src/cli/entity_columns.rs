//! The columns of each kind of entity that the server returns.

use serde_json::{Value, json};

use super::output::{Format, OutputColumn, OutputRows, cell_text, columns};
use super::session::event_name;
use super::what_if::change_words;

/// The columns of one kind of entity.
#[derive(Debug)]
pub(super) struct EntityColumns {
    /// The field of the entity in the response to a change.
    pub(super) name: &'static str,
    /// The columns of a table.
    pub(super) table: &'static [OutputColumn],
    /// The columns of CSV: every field, with the server's names.
    pub(super) csv: &'static [OutputColumn],
}

pub(super) const WORKSPACE: EntityColumns = EntityColumns {
    name: "workspace",
    table: &columns!["NAME" = "name", "KIND" = "kind", "PLAN" = "plan", "RBAC" = "rbac_word", "ID" = "id"],
    csv: &columns!["" = "id", "" = "name", "" = "kind", "" = "plan", "" = "rbac"],
};

pub(super) const MEMBER: EntityColumns = EntityColumns {
    name: "member",
    table: &columns!["USER" = "user", "ROLE" = "role", "NAME" = "name", "E-MAIL" = "email", "SINCE" = "since"],
    csv: &columns!["" = "user", "" = "role", "" = "name", "" = "email", "" = "since"],
};

pub(super) const PROFILE: EntityColumns = EntityColumns {
    name: "profile",
    table: &columns!["NAME" = "name", "E-MAIL" = "email"],
    csv: &columns!["" = "name", "" = "email"],
};

pub(super) const SERVICE_USER: EntityColumns = EntityColumns {
    name: "service_user",
    table: &columns!["NAME" = "name", "CREATED" = "created_at", "BY" = "created_by", "ID" = "id"],
    csv: &columns!["" = "id", "" = "name", "" = "created_at", "" = "created_by"],
};

pub(super) const TOKEN: EntityColumns = EntityColumns {
    name: "token",
    table: &columns![
        "ID" = "id",
        "HOLDER" = "holder_word",
        "CREATED" = "created_at",
        "BY" = "issued_by",
        "EXPIRES" = "expires_at",
        "LAST USED" = "last_used_at",
    ],
    csv: &columns![
        "" = "id",
        "" = "holder",
        "" = "holder_name",
        "" = "issued_by",
        "" = "created_at",
        "" = "expires_at",
        "" = "last_used_at",
    ],
};

pub(super) const ENVIRONMENT: EntityColumns = EntityColumns {
    name: "environment",
    table: &columns!["NAME" = "name", "ACCESS" = "restricted_word", "DEFAULT ROLE" = "default_role", "ID" = "id"],
    csv: &columns!["" = "id", "" = "name", "" = "restricted", "" = "default_role"],
};

pub(super) const GRANT: EntityColumns = EntityColumns {
    name: "grant",
    table: &columns![
        "PRINCIPAL" = "principal_word",
        "ENVIRONMENT" = "environment_name",
        "ROLE" = "role",
        "EXPIRES" = "expires_at",
        "SINCE" = "since",
    ],
    csv: &columns![
        "" = "environment",
        "" = "environment_name",
        "" = "principal",
        "" = "principal_name",
        "" = "role",
        "" = "expires_at",
        "" = "since",
    ],
};

pub(super) const PROXY_TOKEN: EntityColumns = EntityColumns {
    name: "proxy_token",
    table: &columns!["ID" = "id", "SCOPE" = "scope", "ENVIRONMENTS" = "environment_names", "EXPIRES" = "expires_at"],
    csv: &columns!["" = "id", "" = "scope", "" = "environments", "" = "environment_names", "" = "expires_at",],
};

pub(super) const ACCESS_KEY: EntityColumns = EntityColumns {
    name: "access_key",
    table: &columns!["ID" = "id", "ROLE" = "role", "LABEL" = "label", "EXPIRES" = "expires_at"],
    csv: &columns!["" = "id", "" = "role", "" = "label", "" = "expires_at"],
};

pub(super) const RESOURCE_TYPE: EntityColumns = EntityColumns {
    name: "resource_type",
    table: &columns!["NAME" = "name", "ACTIONS" = "actions_word", "BUILT IN" = "built_in_word", "SINCE" = "since"],
    csv: &columns!["" = "name", "" = "built_in", "" = "actions", "" = "since"],
};

pub(super) const RESOURCE: EntityColumns = EntityColumns {
    name: "resource",
    table: &columns!["TYPE" = "type", "ID" = "id", "ENVIRONMENT" = "environment_name", "SINCE" = "since"],
    csv: &columns!["" = "type", "" = "id", "" = "environment", "" = "environment_name", "" = "since"],
};

pub(super) const EVENT: EntityColumns = EntityColumns {
    name: "event",
    table: &columns![
        "REVISION" = "revision",
        "TIME" = "time",
        "EVENT" = "event_word",
        "SUBJECT" = "subject",
        "WHAT" = "data_word",
        "ACTOR" = "actor",
        "REASON" = "reason",
    ],
    csv: &columns![
        "" = "revision",
        "" = "time",
        "" = "type",
        "" = "subject",
        "" = "actor",
        "" = "credential",
        "" = "reason",
        "" = "data",
        "" = "id",
        "" = "command",
        "" = "recordedtime",
    ],
};

/// One recorded read of the audit.
pub(super) const READ: EntityColumns = EntityColumns {
    name: "read",
    table: &columns!["TIME" = "at", "WHO" = "actor", "WHAT" = "question_word", "FORM" = "format", "ROWS" = "rows"],
    csv: &columns![
        "" = "at",
        "" = "actor",
        "" = "credential",
        "" = "question",
        "" = "query",
        "" = "format",
        "" = "revision",
        "" = "view_at",
        "" = "rows",
        "" = "request_id",
        "" = "id",
    ],
};

/// The access to one environment, by principal.
pub(super) const WHO: EntityColumns = EntityColumns {
    name: "access",
    table: &columns!["PRINCIPAL" = "principal_word", "ROLE" = "role", "RULE" = "rule", "SINCE" = "since"],
    csv: ACCESS_CSV,
};

/// The access of one principal, by environment.
pub(super) const REACH: EntityColumns = EntityColumns {
    name: "access",
    table: &columns!["ENVIRONMENT" = "environment_name", "ROLE" = "role", "RULE" = "rule", "SINCE" = "since"],
    csv: ACCESS_CSV,
};

const ACCESS_CSV: &[OutputColumn] = &columns![
    "" = "principal",
    "" = "principal_name",
    "" = "environment",
    "" = "environment_name",
    "" = "role",
    "" = "rule",
    "" = "since",
];

/// A role that a simulated change would alter.
pub(super) const CHANGE: EntityColumns = EntityColumns {
    name: "change",
    table: &columns![
        "ENVIRONMENT" = "environment_name",
        "PRINCIPAL" = "principal_word",
        "NOW" = "before_word",
        "THEN" = "after_word",
    ],
    csv: &columns![
        "" = "principal",
        "" = "principal_name",
        "" = "environment",
        "" = "environment_name",
        "" = "before",
        "" = "after",
    ],
};

impl EntityColumns {
    /// Returns the rows of entities, with the columns of the output format.
    pub(super) fn rows(&self, format: Format, items: &[Value]) -> OutputRows {
        if format == Format::Table {
            OutputRows::of(self.table, &items.iter().map(in_words).collect::<Vec<_>>())
        } else {
            OutputRows::of(self.csv, items)
        }
    }
}

/// Adds readable forms of some fields to an entity.
fn in_words(item: &Value) -> Value {
    let mut item = item.clone();
    let Some(fields) = item.as_object() else { return item };
    let mut words: Vec<(&str, String)> = Vec::new();
    for (field, name_field, word) in
        [("principal", "principal_name", "principal_word"), ("holder", "holder_name", "holder_word")]
    {
        if fields.contains_key(field) {
            words.push((word, named(&cell_text(&item, field), &cell_text(&item, name_field))));
        }
    }
    words.extend(fields.get("rbac").map(|on| ("rbac_word", if *on == json!(true) { "on" } else { "off" }.to_owned())));
    let restricted = |on: &Value| if *on == json!(true) { "restricted" } else { "unrestricted" };
    words.extend(fields.get("restricted").map(|on| ("restricted_word", restricted(on).to_owned())));
    words.extend(fields.get("type").map(|_| ("event_word", event_name(&cell_text(&item, "type")))));
    words.extend(fields.get("question").map(|_| ("question_word", question_with_params(&item))));
    let yes = |on: &Value| if *on == json!(true) { "yes" } else { "no" };
    words.extend(fields.get("built_in").map(|built_in| ("built_in_word", yes(built_in).to_owned())));
    words.extend(fields.get("actions").map(|actions| ("actions_word", summary(actions))));
    if fields.contains_key("before") && fields.contains_key("after") {
        words.extend(change_words(&item));
    }
    words.extend(fields.get("data").map(|data| ("data_word", summary(data))));
    if let Some(fields) = item.as_object_mut() {
        fields.extend(words.into_iter().map(|(name, word)| (name.to_owned(), Value::String(word))));
    }
    item
}

/// Returns a principal with its name in place of the id, such as `service_user:ci`.
pub(super) fn named(principal: &str, name: &str) -> String {
    match principal.split_once(':') {
        Some((kind, _)) if !name.is_empty() => format!("{kind}:{name}"),
        _ => principal.to_owned(),
    }
}

/// Joins the fields of an event's data in one line, without hashes.
fn summary(data: &Value) -> String {
    let fields = data.as_object().into_iter().flatten().filter(|(name, _)| name.as_str() != "sha256");
    fields.map(|(name, _)| format!("{name}={}", cell_text(data, name))).collect::<Vec<_>>().join(" ")
}

/// Returns the question of a read with its parameters. Cursors are left out: only the server can read them.
fn question_with_params(read: &Value) -> String {
    let query = cell_text(read, "query");
    let params = form_urlencoded::parse(query.as_bytes()).map(|(name, value)| {
        let value = if name == "cursor" { "…" } else { value.as_ref() };
        format!(" {name}={value}")
    });
    cell_text(read, "question") + &params.collect::<String>()
}
