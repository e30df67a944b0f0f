//! The `OpenAPI` 3.1 document, made from the table of routes and the types that the handlers read and write.

mod parameters;

use axum::http::Method;
use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};
use utoipa::openapi::path::{HttpMethod, Operation, OperationBuilder, PathItem};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{
    ComponentsBuilder, Content, InfoBuilder, ObjectBuilder, OpenApiBuilder, PathsBuilder, Ref, Required, Response,
    ResponseBuilder, Server, Type,
};

use parameters::parameters;

use super::problem::ProblemBody;
use super::response::NamedCheckpoint;
use super::routes::{ResponseContent, Route, RouteKind, SchemaOf, Who, table};
use crate::domain::model::command::Command;

/// The errors of requests with a credential, by status.
const PROBLEMS: &[(&str, &str)] = &[
    ("400", "malformed JSON or a wrong type"),
    ("401", "no live credential"),
    ("403", "a live credential without the authority, or a page of another site sent it"),
    ("406", "none of the forms in `Accept` is one of this answer's"),
    ("404", "something named does not exist, or the caller has no part in it"),
    ("408", "the body took too long to arrive"),
    ("409", "a rule of the workspace says no"),
    ("412", "`If-Match` is not the newest revision"),
    ("413", "the body is too large"),
    ("415", "the body is not `application/json`, or has an encoding"),
    ("422", "a value, field or parameter is not accepted"),
    (
        "429",
        "too many attempts to prove an id failed, too many follow it, or there is no room for one more answer: try again after `Retry-After`",
    ),
    ("500", "the log of the workspace cannot be read"),
    ("503", "not durable, or not there yet: try again"),
    ("507", "the disk has no room but what is kept for taking access away"),
];

/// All methods that the document can name.
const ANY: &[HttpMethod] = &[
    HttpMethod::Get,
    HttpMethod::Post,
    HttpMethod::Put,
    HttpMethod::Delete,
    HttpMethod::Options,
    HttpMethod::Head,
    HttpMethod::Patch,
    HttpMethod::Trace,
];

/// The errors of requests without a credential, by status.
const FAULTS: &[(&str, &str)] =
    &[("500", "the answer cannot be made"), ("503", "not to be had for the moment: try again")];

/// Returns the document of a server at `base_url`.
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
        let path = described(route.path);
        operations.fold(paths, |paths, (method, operation)| paths.path(path.clone(), PathItem::new(method, operation)))
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

/// Returns a path as the document writes it. It cannot say that a parameter takes the rest of the path: a client may send its slashes as
/// they are or percent-encoded.
fn described(path: &str) -> String {
    path.replace("{*", "{")
}

fn security_schemes() -> utoipa::openapi::Components {
    let bearer =
        Http::builder().scheme(HttpAuthScheme::Bearer).description(Some("`ID.SECRET` of a credential")).build();
    let basic = Http::builder().scheme(HttpAuthScheme::Basic).description(Some("the id and the secret")).build();
    ComponentsBuilder::new()
        .security_scheme("bearer", SecurityScheme::Http(bearer))
        .security_scheme("basic", SecurityScheme::Http(basic))
        .security_scheme("tenureKey", header("Tenure-Key", "the proxy token's id"))
        .security_scheme("tenureSecret", header("Tenure-Secret", "the proxy token's secret"))
        .build()
}

fn header(name: &str, description: &str) -> SecurityScheme {
    SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::with_description(name, description)))
}

fn methods(route: &Route) -> Vec<HttpMethod> {
    match route.method.as_ref() {
        None => ANY.to_vec(),
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
    let mut operation =
        OperationBuilder::new().summary(Some(route.summary)).tag(tag(route.path)).parameters(Some(parameters(route)));
    for (status, response) in successes(route, generator) {
        operation = operation.response(status.to_string(), response);
    }
    if let Some(schema) = route.reads.body {
        let content = Content::new(Some(reference(&schema(generator))));
        let body =
            RequestBodyBuilder::new().content("application/json", content).required(Some(Required::True)).build();
        operation = operation.request_body(Some(body));
    }
    let problems = if route.who == Who::Anyone { FAULTS } else { PROBLEMS };
    for (status, description) in problems {
        let content = Content::new(Some(problem.clone()));
        let response = ResponseBuilder::new().description(*description).content("application/problem+json", content);
        operation = operation.response(*status, response.build());
    }
    operation.securities(securities(route.who)).build()
}

/// Returns the successful responses, by status.
fn successes(route: &Route, generator: &mut SchemaGenerator) -> Vec<(u16, Response)> {
    let described = |description: &str| ResponseBuilder::new().description(description);
    let success = with_content(described(success(route)), route, generator).build();
    let mut successes = vec![(route.status, success)];
    match (route.kind, route.status) {
        (RouteKind::Write, 201) => {
            let again = described("nothing had to be made, but perhaps something changed");
            successes.push((200, with_content(again, route, generator).build()));
        }
        (RouteKind::Write, 200) if route.method == Some(Method::POST) => {
            let made = described("the change is durable, and all that was asked for is what it made");
            successes.push((201, with_content(made, route, generator).build()));
        }
        (RouteKind::Log, _) => {
            successes.push((204, described("a live stream that could show nothing more: do not ask again").build()));
        }
        _ if route.who == Who::ProxyTokens => {
            successes.push((200, described("the same, with `accepted=200`").build()));
        }
        _ => {}
    }
    successes
}

fn success(route: &Route) -> &'static str {
    match route.kind {
        _ if route.who == Who::ProxyTokens => "the call is allowed; `Tenure-Token` is the token's id",
        RouteKind::Write => "the change is durable",
        RouteKind::Log | RouteKind::Feed => "the events; with `Accept: text/event-stream` as they come",
        _ => "the answer",
    }
}

/// Adds the forms of a response. All but JSON are text to the document.
fn with_content(response: ResponseBuilder, route: &Route, generator: &mut SchemaGenerator) -> ResponseBuilder {
    let text = || Content::new(Some(ObjectBuilder::new().schema_type(Type::String)));
    let response = match route.content {
        ResponseContent::Nothing => response,
        ResponseContent::Text(media_type) => response.content(media_type, text()),
        ResponseContent::Bytes(media_type) => response.content(media_type, Content::default()),
        ResponseContent::Object => {
            response.content("application/json", Content::new(Some(ObjectBuilder::new().schema_type(Type::Object))))
        }
        ResponseContent::Shape(schema) => {
            response.content("application/json", Content::new(Some(reference(&schema(generator)))))
        }
        ResponseContent::Change(entities) => {
            response.content("application/json", Content::new(Some(change_schema(entities, generator))))
        }
    };
    route.forms.iter().map(|form| form.media_type()).fold(response, |response, form| match form {
        "application/json" => response,
        "application/cloudevents-batch+json" => {
            response.content(form, Content::new(Some(ObjectBuilder::new().schema_type(Type::Array))))
        }
        form => response.content(form, text()),
    })
}

/// Returns the alternative authentication schemes.
fn securities(who: Who) -> Option<Vec<SecurityRequirement>> {
    let none: [&str; 0] = [];
    let mut securities = vec![SecurityRequirement::new("bearer", none), SecurityRequirement::new("basic", none)];
    if who == Who::ProxyTokens {
        securities.push(SecurityRequirement::new("tenureKey", none).add("tenureSecret", none));
    }
    (who != Who::Anyone).then_some(securities)
}

fn tag(path: &str) -> String {
    let part =
        path.trim_start_matches("/v1/workspaces").split('/').find(|part| !part.is_empty() && !part.starts_with('{'));
    part.filter(|_| path.starts_with("/v1")).map_or_else(
        || if path.starts_with("/v1") { "workspaces".to_owned() } else { "operations".to_owned() },
        ToOwned::to_owned,
    )
}

/// Returns the schema of a response to a change, named after its entities.
fn change_schema(entities: &[(&str, SchemaOf)], generator: &mut SchemaGenerator) -> Ref {
    let mut properties = Map::new();
    properties.insert("revision".to_owned(), json!({"type": "integer", "minimum": 0}));
    properties.insert("events".to_owned(), json!({"type": "array", "items": {"type": "object"}}));
    for (kind, schema) in entities {
        properties.insert((*kind).to_owned(), schema(generator).to_value());
    }
    properties.insert("checkpoint".to_owned(), generator.subschema_for::<NamedCheckpoint>().to_value());
    let name = entities.iter().map(|(kind, _)| *kind).chain(["change"]).collect::<Vec<_>>().join("_");
    let required = ["revision", "events", "checkpoint"];
    let schema = json!({"type": "object", "properties": properties, "required": required});
    generator.definitions_mut().insert(name.clone(), schema);
    Ref::from_schema_name(name)
}

/// Adds the schemas of the commands of a batch.
fn add_commands(generator: &mut SchemaGenerator) {
    let mut kinds = Vec::new();
    for (name, schema) in Command::schemas(generator) {
        let mut schema = schema.to_value();
        let properties = schema.as_object_mut().map(|schema| schema.entry("properties").or_insert(json!({})));
        if let Some(properties) = properties.and_then(Value::as_object_mut) {
            properties.insert("type".to_owned(), json!({"const": name}));
        }
        let required = schema.as_object_mut().map(|schema| schema.entry("required").or_insert(json!([])));
        if let Some(required) = required.and_then(Value::as_array_mut) {
            required.push(json!("type"));
        }
        kinds.push(schema);
    }
    let body = generator.definitions_mut().get_mut("CommandsBody");
    if let Some(items) = body.and_then(|body| body.pointer_mut("/properties/commands/items")) {
        *items = json!({"oneOf": kinds});
    }
}
