//! The `OpenAPI` 3.1 document, made from the table of routes and the shapes that the handlers read and write.

use axum::http::Method;
use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};
use utoipa::openapi::path::{
    HttpMethod, Operation, OperationBuilder, Parameter, ParameterBuilder, ParameterIn, PathItem,
};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{
    ComponentsBuilder, Content, InfoBuilder, ObjectBuilder, OpenApiBuilder, PathsBuilder, Ref, Required,
    ResponseBuilder, Server, Type,
};

use super::live::EVENT_STREAM;
use super::problem::ProblemBody;
use super::routes::{Gives, Kind, Route, SchemaOf, Who, table};
use crate::domain::command::Command;

/// What can go wrong with any request that needs a credential, by status.
const PROBLEMS: &[(&str, &str)] = &[
    ("400", "malformed JSON or a wrong type"),
    ("401", "no live credential"),
    ("403", "a live credential without the authority"),
    ("406", "none of the forms in `Accept` is one of this answer's"),
    ("404", "something named does not exist, or the caller has no part in it"),
    ("408", "the body took too long to arrive"),
    ("409", "a rule of the workspace says no"),
    ("412", "`If-Match` is not the newest revision"),
    ("413", "the body is too large"),
    ("422", "a value, field or parameter is not accepted"),
    ("429", "too many follow it: try again later"),
    ("500", "the log of the workspace cannot be read"),
    ("503", "not durable, or not there yet: try again"),
];

/// The document; `base_url` is where the server is reached.
pub fn document(base_url: &str) -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    let mut generator = settings.into_generator();
    let problem = reference(&generator.subschema_for::<ProblemBody<'static>>());
    let paths = table().into_iter().fold(PathsBuilder::new(), |paths, route| {
        let operations =
            methods(&route).into_iter().map(|method| (method, operation(&route, &mut generator, &problem)));
        operations.fold(paths, |paths, (method, operation)| paths.path(route.path, PathItem::new(method, operation)))
    });
    add_commands(&mut generator);
    let info = InfoBuilder::new()
        .title("Tenure")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some("Who had access to what, when, why, and who decided."));
    let document = OpenApiBuilder::new()
        .info(info)
        .servers(Some([Server::new(base_url)]))
        .paths(paths)
        .components(Some(security_schemes()))
        .build();
    let mut document = json!(document);
    let schemas: Map<String, Value> = generator.take_definitions(true).into_iter().collect();
    if let Some(components) = document.get_mut("components").and_then(Value::as_object_mut) {
        components.insert("schemas".to_owned(), Value::Object(schemas));
    }
    document
}

fn security_schemes() -> utoipa::openapi::Components {
    let bearer =
        Http::builder().scheme(HttpAuthScheme::Bearer).description(Some("`ID.SECRET` of a credential")).build();
    let basic = Http::builder().scheme(HttpAuthScheme::Basic).description(Some("the id and the secret")).build();
    ComponentsBuilder::new()
        .security_scheme("bearer", SecurityScheme::Http(bearer))
        .security_scheme("basic", SecurityScheme::Http(basic))
        .build()
}

fn methods(route: &Route) -> Vec<HttpMethod> {
    match route.method.as_ref() {
        None => vec![HttpMethod::Get, HttpMethod::Post],
        Some(&Method::POST) => vec![HttpMethod::Post],
        Some(&Method::PUT) => vec![HttpMethod::Put],
        Some(&Method::PATCH) => vec![HttpMethod::Patch],
        Some(&Method::DELETE) => vec![HttpMethod::Delete],
        Some(_) => vec![HttpMethod::Get],
    }
}

fn reference(schema: &schemars::Schema) -> Ref {
    Ref::new(schema.get("$ref").and_then(Value::as_str).unwrap_or_default())
}

fn operation(route: &Route, generator: &mut SchemaGenerator, problem: &Ref) -> Operation {
    let gives = match route.gives {
        Gives::Nothing => None,
        Gives::Shape(schema) => Some(reference(&schema(generator))),
        Gives::Change(entities) => Some(change_schema(entities, generator)),
    };
    let success = ResponseBuilder::new().description(match route.kind {
        Kind::Write => "the change is durable",
        Kind::Log(_) | Kind::Feed => "the events; with `Accept: text/event-stream` as they come",
        Kind::Plain | Kind::Read | Kind::List(_) | Kind::Journal(_) | Kind::Decide | Kind::Foresee => "the answer",
    });
    let success = gives
        .into_iter()
        .fold(success, |response, schema| response.content("application/json", Content::new(Some(schema))));
    let success = if matches!(route.kind, Kind::Log(_) | Kind::Feed) {
        let messages = ObjectBuilder::new().schema_type(Type::String);
        success.content(EVENT_STREAM, Content::new(Some(messages)))
    } else {
        success
    };
    let mut operation = OperationBuilder::new()
        .summary(Some(route.summary))
        .tag(tag(route.path))
        .parameters(Some(parameters(route)))
        .response(route.status.to_string(), success.build());
    if route.status == 201 {
        let again = ResponseBuilder::new().description("nothing had to be made, but perhaps something changed");
        operation = operation.response("200", again.build());
    }
    if matches!(route.kind, Kind::Log(_)) {
        let over = ResponseBuilder::new().description("a live stream that could show nothing more: do not ask again");
        operation = operation.response("204", over.build());
    }
    if let Some(schema) = route.body {
        let content = Content::new(Some(reference(&schema(generator))));
        let body =
            RequestBodyBuilder::new().content("application/json", content).required(Some(Required::True)).build();
        operation = operation.request_body(Some(body));
    }
    if route.who == Who::Anyone { operation.build() } else { guarded(operation, problem).build() }
}

/// An operation that needs a credential, with what can go wrong.
fn guarded(mut operation: OperationBuilder, problem: &Ref) -> OperationBuilder {
    for (status, description) in PROBLEMS {
        let content = Content::new(Some(problem.clone()));
        let response = ResponseBuilder::new().description(*description).content("application/problem+json", content);
        operation = operation.response(*status, response.build());
    }
    let none: [&str; 0] = [];
    let securities = [SecurityRequirement::new("bearer", none), SecurityRequirement::new("basic", none)];
    operation.securities(Some(securities))
}

fn tag(path: &str) -> String {
    let part =
        path.trim_start_matches("/v1/workspaces").split('/').find(|part| !part.is_empty() && !part.starts_with('{'));
    part.filter(|_| path.starts_with("/v1")).map_or_else(
        || if path.starts_with("/v1") { "workspaces".to_owned() } else { "operations".to_owned() },
        ToOwned::to_owned,
    )
}

fn parameters(route: &Route) -> Vec<Parameter> {
    let named = route.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let in_path = named.map(|name| parameter(name, ParameterIn::Path, Required::True));
    let reads: &[&str] = &["at", "revision", "at_least"];
    let pages: &[&str] = &["limit", "cursor"];
    let (first, second, third): (&[&str], &[&str], &[&str]) = match route.kind {
        Kind::Plain => (&[], &[], &[]),
        Kind::Read => (reads, &[], &[]),
        Kind::List(filters) | Kind::Log(filters) => (reads, pages, filters),
        Kind::Journal(filters) => (&[], pages, filters),
        Kind::Feed => (pages, &[], &[]),
        Kind::Decide => (reads, &["explain"], &[]),
        Kind::Foresee | Kind::Write => (&["reason"], &[], &[]),
    };
    let in_query =
        first.iter().chain(second).chain(third).map(|name| parameter(name, ParameterIn::Query, Required::False));
    let headers: &[&str] = match (route.kind, route.who) {
        (Kind::Write, _) => &["Idempotency-Key", "If-Match"],
        (Kind::Log(_) | Kind::Feed, _) => &["Last-Event-ID"],
        (_, Who::ProxyTokens) => &["Tenure-Key", "Tenure-Secret"],
        _ => &[],
    };
    let in_header = headers.iter().map(|name| parameter(name, ParameterIn::Header, Required::False));
    in_path.chain(in_query).chain(in_header).collect()
}

fn parameter(name: &str, place: ParameterIn, required: Required) -> Parameter {
    let schema_type = match name {
        "limit" | "after" | "revision" | "at_least" => Type::Integer,
        "explain" => Type::Boolean,
        _ => Type::String,
    };
    ParameterBuilder::new()
        .name(name)
        .description(meaning(name))
        .parameter_in(place)
        .required(required)
        .schema(Some(ObjectBuilder::new().schema_type(schema_type)))
        .build()
}

/// What each parameter says, wherever it stands.
const MEANINGS: &[(&str, &str)] = &[
    ("ws", "the workspace, by name or id"),
    ("user", "a member's user id"),
    ("svc", "a service user, by name or id"),
    ("env", "an environment, by name (in any case) or id"),
    ("principal", "`user:ID`, `service_user:NAME` or `service_user:svc_…`"),
    ("tok", "an API token's id"),
    ("prx", "a proxy token's id"),
    ("key", "an access key's id"),
    ("id", "a resource's id, percent-encoded"),
    ("at", "as of when: an RFC 3339 instant or a revision; now if left out"),
    ("revision", "beside an instant in `at`: the revision, so that both name one view for ever; alone it is refused"),
    ("at_least", "answer only from a state at this revision or later"),
    ("limit", "the most rows of the page, 1 to 1,000; 100 if left out"),
    ("cursor", "the `next` of the page before, of the same question"),
    ("explain", "`true` adds the rule and the events that the answer rests on; to a search, its view"),
    ("reason", "why, in up to 1,000 characters: a ticket, an approval; it stands in the events"),
    ("Idempotency-Key", "the request is done once under this key; sent again, it gets the first answer"),
    ("If-Match", "a revision in quotes: do it only while that is the newest one"),
    ("Last-Event-ID", "of a live stream: the `id` of the last message that was seen, to go on after it"),
    ("Tenure-Key", "the proxy token's id; `Authorization: Bearer ID.SECRET` does too"),
    ("Tenure-Secret", "the proxy token's secret"),
    ("after", "only events after this revision"),
    ("type", "a resource type by name, or an event type with its version or without; in a list, only what is of it"),
    ("subject", "only events about this, as in their `subject`"),
    ("actor", "only by this actor: `operator`, `system`, `user:ID`, `service_user:NAME`; of reads, `key_…` too"),
    ("credential", "only what was done with this: an API token's id, or `operator`"),
    ("environment", "only what is about this environment, by name or id"),
    ("role", "only this role"),
    ("from", "only what was at or after this RFC 3339 instant"),
    ("until", "only what was before this RFC 3339 instant; a live stream ends there"),
];

fn meaning(name: &str) -> Option<&'static str> {
    MEANINGS.iter().find(|(known, _)| *known == name).map(|(_, meaning)| *meaning)
}

/// The shape of an answer to a change, under a name made of the kinds in it.
fn change_schema(entities: &[(&str, SchemaOf)], generator: &mut SchemaGenerator) -> Ref {
    let mut properties = Map::new();
    properties.insert("revision".to_owned(), json!({"type": "integer", "minimum": 0}));
    properties.insert("events".to_owned(), json!({"type": "array", "items": {"type": "object"}}));
    for (kind, schema) in entities {
        properties.insert((*kind).to_owned(), schema(generator).to_value());
    }
    let name = entities.iter().map(|(kind, _)| *kind).chain(["change"]).collect::<Vec<_>>().join("_");
    let schema = json!({"type": "object", "properties": properties, "required": ["revision", "events"]});
    generator.definitions_mut().insert(name.clone(), schema);
    Ref::from_schema_name(name)
}

/// Says what a command of a batch may be.
fn add_commands(generator: &mut SchemaGenerator) {
    let mut kinds = Vec::new();
    for (name, schema) in Command::schemas(generator) {
        let mut schema = schema.to_value();
        let properties = schema.as_object_mut().map(|schema| schema.entry("properties").or_insert(json!({})));
        if let Some(properties) = properties.and_then(Value::as_object_mut) {
            properties.insert("type".to_owned(), json!({"const": name}));
        }
        kinds.push(schema);
    }
    let body = generator.definitions_mut().get_mut("CommandsBody");
    if let Some(items) = body.and_then(|body| body.pointer_mut("/properties/commands/items")) {
        *items = json!({"oneOf": kinds});
    }
}
