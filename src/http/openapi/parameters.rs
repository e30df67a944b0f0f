//! The parameters of requests: those of each route, their descriptions and their schemas.

use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{KnownFormat, SchemaFormat};
use utoipa::openapi::{Object, ObjectBuilder, Required, Type};

use crate::http::params::LIMIT_MAX;
use crate::http::request::IDEMPOTENCY_KEY_BYTES_MAX;
use crate::http::routes::{Route, RouteKind};

/// Returns the parameters of a route, in the order of the document.
pub(super) fn parameters(route: &Route) -> Vec<Parameter> {
    let named = route.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let named = named.map(|name| name.trim_start_matches('*'));
    let in_path = named.map(|name| parameter(name, ParameterIn::Path, Required::True));
    let in_query = match route.kind {
        RouteKind::Consistency => sizes(),
        RouteKind::Simulate | RouteKind::Write => named_in_query(["reason"].iter().chain(&route.reads.query)),
        _ => named_in_query(route.reads.query.iter()),
    };
    let headers: &[&str] = match route.kind {
        RouteKind::Write => &["Idempotency-Key", "If-Match"],
        RouteKind::Log | RouteKind::Feed => &["Last-Event-ID"],
        _ => &[],
    };
    let in_header = headers.iter().map(|name| parameter(name, ParameterIn::Header, Required::False));
    in_path.chain(in_query).chain(in_header).collect()
}

fn named_in_query<'a>(names: impl Iterator<Item = &'a &'static str>) -> Vec<Parameter> {
    names.map(|name| parameter(name, ParameterIn::Query, Required::False)).collect()
}

/// Returns the two sizes of a consistency proof. In all other routes `from` is an instant.
fn sizes() -> Vec<Parameter> {
    let size = |name: &str, meaning: &str, required| {
        let values = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1));
        let size = ParameterBuilder::new().name(name).description(Some(meaning)).required(required);
        size.parameter_in(ParameterIn::Query).schema(Some(values)).build()
    };
    vec![
        size("from", "the earlier size: how many events the log had", Required::True),
        size("to", "the later size; the newest one if left out", Required::False),
    ]
}

fn parameter(name: &str, location: ParameterIn, required: Required) -> Parameter {
    ParameterBuilder::new()
        .name(name)
        .description(description(name))
        .parameter_in(location)
        .required(required)
        .schema(Some(values(name)))
        .build()
}

/// The pattern of an instant (RFC 3339).
const INSTANT: &str =
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})";

/// The pattern of a revision where an instant is allowed too: no bare number from 1970 to 2100, which looks like a year.
const REVISION: &str = r"r[0-9]{1,15}|[0-9]{1,3}|[01][0-8][0-9]{2}|19[0-6][0-9]|210[1-9]|21[1-9][0-9]|2[2-9][0-9]{2}|[3-9][0-9]{3}|[1-9][0-9]{4,14}";

/// Returns the schema of a parameter's values.
fn values(name: &str) -> Object {
    let text = ObjectBuilder::new().schema_type(Type::String);
    let number = ObjectBuilder::new().schema_type(Type::Integer);
    let values = match name {
        "limit" => number.minimum(Some(1)).maximum(Some(LIMIT_MAX)),
        "after" | "revision" | "at_least" => number.minimum(Some(0)),
        "days" => number.minimum(Some(1)).maximum(Some(36_500)),
        "explain" | "revoke_issued" => ObjectBuilder::new().schema_type(Type::Boolean),
        "at" => text.pattern(Some(format!("^({REVISION}|{INSTANT})$"))),
        "from" | "until" => text.format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime))),
        "reason" => text.max_length(Some(1_000)),
        "Idempotency-Key" => text.pattern(Some(r"^[\t -~]+$")).max_length(Some(IDEMPOTENCY_KEY_BYTES_MAX)),
        "If-Match" => text.pattern(Some("^(\\*|\"[0-9]{1,15}\")$")),
        _ => text,
    };
    values.build()
}

/// The description of each parameter, the same in all routes.
const DESCRIPTIONS: &[(&str, &str)] = &[
    ("ws", "the workspace, by name or id"),
    ("user", "a member's user id"),
    ("svc", "a service user, by name or id"),
    ("env", "an environment, by name (in any case) or id"),
    ("principal", "`user:ID`, `service_user:NAME` or `service_user:svc_…`"),
    ("tok", "an API token's id"),
    ("prx", "a proxy token's id"),
    ("key", "an access key's id"),
    ("id", "a resource's id, percent-encoded"),
    (
        "tile",
        "which tile or bundle, as in `0/x001/234`, `1/000.p/17` or `entries/005`: its slashes as they are, or escaped",
    ),
    ("ref", "a revision, or an event's id"),
    ("at", "as of when: an RFC 3339 instant or a revision, such as `r17`; now if left out"),
    ("revision", "beside an instant in `at`: the revision, so that both name one view for ever; alone it is refused"),
    ("at_least", "answer only from a state at this revision or later"),
    ("limit", "the most rows of the page, 1 to 1,000; 100 if left out"),
    ("cursor", "the `next` of the page before, of the same question"),
    ("explain", "`true` adds the rule and the events that the answer rests on; to a search, its view"),
    ("reason", "why, in up to 1,000 characters: a ticket, an approval; it stands in the events"),
    (
        "revoke_issued",
        "`true` also revokes each API token, proxy token and access key that the member issued and that lives",
    ),
    ("issued_by", "only what this actor issued: `operator`, `user:ID`"),
    ("Idempotency-Key", "the request is done once under this key; sent again, it gets the first answer"),
    ("If-Match", "a revision in quotes: do it only while that is the newest one"),
    ("Last-Event-ID", "of a live stream: the `id` of the last message that was seen, to go on after it"),
    ("accepted", "`200` makes a yes a 200, which Envoy needs; it is a 204 else"),
    ("after", "only events after this revision"),
    ("type", "a resource type by name, or an event type with its version or without; in a list, only what is of it"),
    ("subject", "only events about this, as in their `subject`"),
    ("actor", "only by this actor: `operator`, `system`, `user:ID`, `service_user:NAME`; of reads, `key_…` too"),
    ("credential", "only what was done with this: an API token's id, or `operator`"),
    ("environment", "only what is about this environment, by name or id"),
    ("role", "only this role"),
    ("name", "a report's name, as `GET /v1/workspaces/{ws}/reports` lists them with the parameters that each takes"),
    ("days", "how many days are too many, 1 to 36,500; 90 if left out"),
    ("from", "only what was at or after this RFC 3339 instant"),
    ("until", "only what was before this RFC 3339 instant; a live stream ends there"),
];

fn description(name: &str) -> Option<&'static str> {
    DESCRIPTIONS.iter().find(|(known, _)| *known == name).map(|(_, description)| *description)
}
