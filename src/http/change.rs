//! Changes: from a request to commands, and from the appended events to a response.
//!
//! The response is made from the commands and the view right after them alone. So a retry gets the same response, but for secrets, which
//! are shown once.

use axum::body::{Body, HttpBody};
use axum::http::{Response, StatusCode};
use serde::{Serialize, Serializer};
use serde_json::value::{RawValue, to_raw_value};

use super::body::SMALL_BODY_BYTES;
use super::budget::SMALL_ANSWER_BYTES;
use super::entity::{self, ShownSecret};
use super::idempotency::{accepted_of, unreadable};
use super::problem::Problem;
use super::request::{AuthenticatedRequest, WorkspaceRequest};
use super::response::{self, NamedCheckpoint};
use crate::domain::model::command::{Command, EnvironmentRef, PlaceResource, PrincipalRef};
use crate::domain::model::event::EventData;
use crate::domain::model::id::{UserId, WorkspaceId};
use crate::domain::model::principal::Caller;
use crate::domain::model::time::{Instant, Revision};
use crate::domain::state::view::View;
use crate::log::{RecordPlace, RecordScope};
use crate::proof::frontier::TreeHead;
use crate::service::SideRequest;
use crate::service::id_generator::Secret;
use crate::service::submission::{Accepted, ChangeRecord, IdempotencyKey, SideOutcome, Submission, SubmitOutcome};

/// A function that makes the fields of a response beside the revision and the events.
pub type Render = fn(&Accepted, &[Command], SecretVisibility) -> Fields;

/// The fields of a response in their order, as JSON.
#[derive(Debug, Default)]
pub struct Fields(Vec<(&'static str, Box<RawValue>)>);

impl Fields {
    fn get(&self, name: &str) -> Option<&RawValue> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, value)| &**value)
    }

    /// Sets a field. A field that exists keeps its position.
    fn set(&mut self, name: &'static str, value: Option<Box<RawValue>>) {
        let Some(value) = value else { return };
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => *known = value,
            None => self.0.push((name, value)),
        }
    }
}

impl Serialize for Fields {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

/// The capacity for the parts of a response around its events and entities, in bytes.
const AROUND_BYTES: usize = 192;

/// Whether a response may show secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecretVisibility {
    /// This is the only response that does.
    Shown,
    /// An earlier response showed them.
    Withheld,
}

/// A response without its checkpoint, which is the newest one each time.
#[derive(Debug)]
struct RenderedChange {
    status: StatusCode,
    location: Option<String>,
    revision: Revision,
    instant: Instant,
    /// The workspace of the change.
    workspace: WorkspaceId,
    body: Vec<u8>,
}

/// Submits commands in a workspace and responds.
///
/// # Errors
/// The commands were refused or could not be made durable.
pub async fn change(
    request: WorkspaceRequest,
    commands: Vec<Command>,
    render: Render,
) -> Result<Response<Body>, Problem> {
    let workspace = Some(request.root.id());
    submit(request.request, (workspace, None), commands, render).await
}

/// Submits commands as [`change`] does, also for a new workspace. The idempotency record is stored in a second scope too, if there is one.
///
/// # Errors
/// As [`change`].
pub async fn submit(
    request: AuthenticatedRequest,
    (workspace, alias): (Option<WorkspaceId>, Option<RecordScope>),
    commands: Vec<Command>,
    render: Render,
) -> Result<Response<Body>, Problem> {
    if matches!(request.caller, Caller::AccessKey { .. }) {
        return Err(Problem::forbidden("an access key asks and never changes"));
    }
    if request.body_bytes().len() > SMALL_BODY_BYTES {
        request.permit()?;
    }
    let expected = request.expected()?;
    let idempotency = idempotency(&request, (workspace, alias))?;
    let commands_len = commands.len();
    let submitted = commands.clone();
    let (caller, reason) = (request.caller.clone(), request.reason.clone());
    let bytes = Some(request.bytes_len());
    let submission = Submission { workspace, caller, commands, reason, expected, idempotency, bytes };
    let answer = request.app.service.submit(submission).await;
    let mut is_behind = false;
    let (change, tree) = match answer.map_err(|error| Problem::submission(error, commands_len))? {
        SubmitOutcome::Done(accepted) => {
            note(&request, &accepted);
            is_behind = accepted.view.workspace().is_ahead_of(accepted.view.instant());
            (rendered(&accepted, &submitted, render, SecretVisibility::Shown)?, accepted.tree)
        }
        SubmitOutcome::Repeated(record) => (rendered_again(&request, record, &submitted, render).await?, None),
    };
    let checkpoint = checkpoint(&request, change.workspace, tree).await?;
    let mut response = respond(change, checkpoint)?;
    response::set_clock(response.headers_mut(), is_behind);
    count(&request, &response)?;
    Ok(response)
}

/// Counts an answer that is large. The change is durable, so it is given whatever the budgets say.
fn count(request: &AuthenticatedRequest, response: &Response<Body>) -> Result<(), Problem> {
    let len = usize::try_from(response.body().size_hint().lower()).unwrap_or(usize::MAX);
    if len > SMALL_ANSWER_BYTES {
        request.permit_unchecked()?.cover_unchecked(len);
    }
    Ok(())
}

/// Returns the response to an earlier request with the same key in a scope, if there is one. The caller must have the authority for it.
///
/// # Errors
/// A header is malformed, the key was used for another request there, or the store cannot be read.
pub async fn replay_response(
    request: &AuthenticatedRequest,
    scope: RecordScope,
    commands: &[Command],
    render: Render,
) -> Result<Option<Response<Body>>, Problem> {
    // A malformed request is refused whether or not there is a record, as the first one would have been.
    request.expected()?;
    let Some(key) = request.idempotency_key()? else { return Ok(None) };
    let wanted = IdempotencyKey { scope, alias: None, key, fingerprint: request.fingerprint() };
    let found = request.app.service.recorded_change(wanted, commands.len()).await;
    let Some(record) = found.map_err(|error| Problem::submission(error, 1))? else { return Ok(None) };
    let change = rendered_again(request, record, commands, render).await?;
    let checkpoint = checkpoint(request, change.workspace, None).await?;
    respond(change, checkpoint).map(Some)
}

/// Renders the response to a change again from its record.
async fn rendered_again(
    request: &AuthenticatedRequest,
    record: ChangeRecord,
    commands: &[Command],
    render: Render,
) -> Result<RenderedChange, Problem> {
    let accepted = accepted_of(request, record).await?;
    rendered(&accepted, commands, render, SecretVisibility::Withheld)
}

/// Returns the checkpoint of a response: of its commit or, if nothing was appended now, the newest one. So a retry gets the newest
/// checkpoint, and otherwise the same response.
async fn checkpoint(
    request: &AuthenticatedRequest,
    workspace: WorkspaceId,
    tree: Option<TreeHead>,
) -> Result<Option<NamedCheckpoint>, Problem> {
    let tree = match tree {
        None => request.app.service.tree(workspace).await?,
        tree => tree,
    };
    Ok(tree.map(NamedCheckpoint::from))
}

/// Logs the request of a change, for operators who search by request id. The event log has the change itself.
fn note(request: &AuthenticatedRequest, accepted: &Accepted) {
    tracing::debug!(
        request_id = request.request_id(),
        workspace = %accepted.view.workspace().id(),
        revision = %accepted.view.revision(),
        events = accepted.decided.events.len(),
        actor = %request.caller.actor(),
        "changed"
    );
}

fn idempotency(
    request: &AuthenticatedRequest,
    (workspace, alias): (Option<WorkspaceId>, Option<RecordScope>),
) -> Result<Option<IdempotencyKey>, Problem> {
    let Some(key) = request.idempotency_key()? else { return Ok(None) };
    let place = workspace.map_or(RecordPlace::Instance, RecordPlace::Workspace);
    let scope = RecordScope { place, holder: request.caller.actor() };
    Ok(Some(IdempotencyKey { scope, alias, key, fingerprint: request.fingerprint() }))
}

/// Submits a write beside the log, whose response follows from the request alone.
///
/// # Errors
/// As [`change`]. An access key makes no such write (403).
pub async fn submit_side(request: &WorkspaceRequest, write: SideRequest) -> Result<SideOutcome, Problem> {
    let WorkspaceRequest { request, root, .. } = request;
    if matches!(request.caller, Caller::AccessKey { .. }) {
        return Err(Problem::forbidden("an access key asks and never changes"));
    }
    let (expected, idempotency) = (request.expected()?, idempotency(request, (Some(root.id()), None))?);
    let done = request.app.service.submit_side(root.id(), &request.caller, write, (expected, idempotency)).await;
    done.map_err(|error| Problem::submission(error, 1))
}

fn rendered(
    accepted: &Accepted,
    commands: &[Command],
    render: Render,
    visibility: SecretVisibility,
) -> Result<RenderedChange, Problem> {
    let fields = render(accepted, commands, visibility);
    let location = location(accepted, commands);
    let status = if location.is_some() { StatusCode::CREATED } else { StatusCode::OK };
    let view = &accepted.view;
    let (workspace, revision, instant) = (view.workspace().id(), view.revision(), view.instant());
    let body = body(accepted, &fields)?;
    Ok(RenderedChange { status, location, revision, instant, workspace, body })
}

/// Returns `{revision, events, KIND…}`, with the stored bytes of the events.
fn body(accepted: &Accepted, rendered: &Fields) -> Result<Vec<u8>, Problem> {
    let rendered = response::to_json(rendered)?;
    let events = accepted.stored.join(&b","[..]);
    let mut body = Vec::with_capacity(events.len() + rendered.len() + AROUND_BYTES);
    body.extend_from_slice(b"{\"revision\":");
    body.extend_from_slice(accepted.view.revision().to_string().as_bytes());
    body.extend_from_slice(b",\"events\":[");
    body.extend(events);
    body.push(b']');
    match rendered.strip_prefix(b"{") {
        Some(kinds) if kinds != b"}" => {
            body.push(b',');
            body.extend_from_slice(kinds);
        }
        _ => body.push(b'}'),
    }
    Ok(body)
}

fn respond(change: RenderedChange, checkpoint: Option<NamedCheckpoint>) -> Result<Response<Body>, Problem> {
    let mut response = response::json(change.status, naming(change.body, checkpoint)?);
    let headers = response.headers_mut();
    response::set_change(headers, change.revision, change.instant);
    if let Some(location) = &change.location {
        response::set_location(headers, location);
    }
    Ok(response)
}

/// Appends the checkpoint as the last field of a body. It works on bytes, so that the events stay as they are stored.
fn naming(mut body: Vec<u8>, checkpoint: Option<NamedCheckpoint>) -> Result<Vec<u8>, Problem> {
    let Some(checkpoint) = checkpoint else { return Ok(body) };
    body.pop_if(|last| *last == b'}').ok_or_else(unreadable)?;
    body.extend_from_slice(b",\"checkpoint\":");
    body.extend(response::to_json(&checkpoint)?);
    body.push(b'}');
    Ok(body)
}

/// Returns the location of the new entity, if the request was one command that created one.
fn location(accepted: &Accepted, commands: &[Command]) -> Option<String> {
    let [command] = commands else { return None };
    let view = &accepted.view;
    let made = accepted.decided.events.iter().find_map(|event| match (command, &event.data) {
        (Command::CreateWorkspace(_), EventData::WorkspaceCreated(..)) => Some(String::new()),
        (Command::AddMember(_), EventData::MemberAdded(user, _)) => {
            Some(format!("/members/{}", response::escaped(user.as_str())))
        }
        (Command::CreateServiceUser(_), EventData::ServiceUserCreated(id, _)) => Some(format!("/service-users/{id}")),
        (Command::IssueToken(_), EventData::TokenIssued(id, _)) => Some(format!("/tokens/{id}")),
        (Command::CreateEnvironment(_), EventData::EnvironmentCreated(id, _)) => Some(format!("/environments/{id}")),
        (Command::CreateProxyToken(_), EventData::ProxyTokenCreated(id, _)) => Some(format!("/proxy-tokens/{id}")),
        (Command::IssueAccessKey(_), EventData::AccessKeyIssued(id, _)) => Some(format!("/access-keys/{id}")),
        (Command::DefineResourceType(_), EventData::ResourceTypeDefined(name, _)) => {
            let new = view.resource_type(name.as_str())?.defined == event.revision;
            new.then(|| format!("/resource-types/{name}"))
        }
        (Command::PlaceResource(_), EventData::ResourcePlaced(key, _)) => {
            Some(format!("/resources/{}/{}", key.resource_type, response::escaped(key.id.as_str())))
        }
        _ => None,
    });
    Some(format!("/v1/workspaces/{}{}", view.workspace().id(), made?))
}

/// Returns the entities that the commands of a request made or changed, each under its kind.
pub fn entities(accepted: &Accepted, commands: &[Command], visibility: SecretVisibility) -> Fields {
    let mut entities = Fields::default();
    for (index, command) in commands.iter().enumerate() {
        add_entities(&mut entities, accepted, index, command, visibility);
    }
    entities
}

/// Returns the entities of each command of a batch, in order; for a batch of one, under their kinds too.
pub fn results(accepted: &Accepted, commands: &[Command], visibility: SecretVisibility) -> Fields {
    let of = |(index, command)| {
        let mut entities = Fields::default();
        add_entities(&mut entities, accepted, index, command, visibility);
        entities
    };
    let results: Vec<Fields> = commands.iter().enumerate().map(of).collect();
    let mut body = if commands.len() == 1 { entities(accepted, commands, visibility) } else { Fields::default() };
    body.set("results", json(Some(results)));
    body
}

/// Returns the new workspace and its owner's first token.
pub fn new_workspace(accepted: &Accepted, commands: &[Command], visibility: SecretVisibility) -> Fields {
    let made = entities(accepted, commands, visibility);
    let mut shown = Fields::default();
    for kind in ["workspace", "token"] {
        shown.set(kind, made.get(kind).map(ToOwned::to_owned));
    }
    shown
}

/// Returns the environment that a request changed, without its grants.
pub fn only_environment(accepted: &Accepted, commands: &[Command], _: SecretVisibility) -> Fields {
    let mut shown = Fields::default();
    let changed = commands.iter().rev().find_map(|command| environment(&accepted.view, &place(command)?));
    shown.set("environment", changed);
    shown
}

/// Returns the environment that a command changes, by its name after the command.
fn place(command: &Command) -> Option<EnvironmentRef> {
    match command {
        Command::RenameEnvironment(command) => Some(command.name.as_str().into()),
        Command::RestrictEnvironment(command) => Some(command.environment.clone()),
        Command::SetDefaultRole(command) => Some(command.environment.clone()),
        Command::UnrestrictEnvironment(command) => Some(command.environment.clone()),
        Command::SetGrant(command) => Some(command.environment.clone()),
        _ => None,
    }
}

fn add_entities(
    entities: &mut Fields,
    accepted: &Accepted,
    index: usize,
    command: &Command,
    visibility: SecretVisibility,
) {
    let view = &accepted.view;
    let secret = accepted.secrets.get(index).and_then(Option::as_ref);
    let shown = shown(secret, visibility);
    for event in accepted.decided.events_of(index) {
        let (kind, entity) = made(view, &event.data, shown.as_ref());
        entities.set(kind, entity);
    }
    let (kind, entity) = changed(view, command);
    entities.set(kind, entity);
    // A profile can be erased, so no record keeps it: only the first response shows it.
    if let (Command::AddMember(_), SecretVisibility::Shown, Some((user, profile))) =
        (command, visibility, command.profile())
    {
        entities.set("member", json(entity::member(view, &user, profile)));
    }
}

fn shown(secret: Option<&Secret>, visibility: SecretVisibility) -> Option<ShownSecret> {
    secret.map(|secret| ShownSecret::new((visibility == SecretVisibility::Shown).then_some(secret)))
}

/// Returns an entity as JSON; serialization cannot fail for these types.
fn json(entity: Option<impl Serialize>) -> Option<Box<RawValue>> {
    to_raw_value(&entity?).ok()
}

/// Returns the entity that an event made, as the API shows it.
fn made(view: &View, data: &EventData, secret: Option<&ShownSecret>) -> (&'static str, Option<Box<RawValue>>) {
    match data {
        EventData::TokenIssued(id, _) => ("token", json(entity::token(view, *id, secret.cloned()))),
        EventData::ServiceUserCreated(id, _) => {
            ("service_user", json(view.service_user(*id).map(|found| entity::service_user(view, &found))))
        }
        EventData::EnvironmentCreated(id, _) => {
            ("environment", json(view.environment(*id).map(|found| entity::environment(&found))))
        }
        EventData::ProxyTokenCreated(id, _) => {
            let found = view.proxy_token(*id);
            ("proxy_token", json(found.map(|found| entity::proxy_token(view, &found, secret.cloned()))))
        }
        EventData::AccessKeyIssued(id, _) => ("access_key", json(entity::access_key(view, *id, secret.cloned()))),
        _ => ("", None),
    }
}

/// Returns the entity that a command changed, as it is after the command, also if nothing had to change.
fn changed(view: &View, command: &Command) -> (&'static str, Option<Box<RawValue>>) {
    match command {
        Command::CreateWorkspace(_) | Command::ChangePlan(_) | Command::EnableRbac(_) | Command::DisableRbac(_) => {
            ("workspace", json(entity::workspace(view)))
        }
        Command::AddMember(command) => ("member", member(view, Some(command.user.clone()))),
        Command::ChangeMemberRole(command) => ("member", member(view, command.user.0.parse().ok())),
        Command::SetGrant(command) => ("grant", grant(view, &command.environment, &command.principal)),
        Command::SetProxyTokenEnvironments(command) => {
            let found = view.find_proxy_token(&command.proxy_token).ok();
            ("proxy_token", json(found.map(|found| entity::proxy_token(view, &found, None))))
        }
        Command::DefineResourceType(command) => {
            ("resource_type", json(entity::resource_type(view, command.name.as_str())))
        }
        Command::PlaceResource(PlaceResource { resource, .. }) => {
            let found = view.placement(&resource.resource_type.0, resource.id.as_str());
            ("resource", json(found.and_then(|found| entity::resource(view, &found))))
        }
        command => ("environment", place(command).and_then(|place| environment(view, &place))),
    }
}

fn member(view: &View, user: Option<UserId>) -> Option<Box<RawValue>> {
    json(entity::member(view, &user?, crate::domain::model::command::Profile::default()))
}

fn environment(view: &View, reference: &EnvironmentRef) -> Option<Box<RawValue>> {
    json(view.find_environment(reference).ok().map(|found| entity::environment(&found)))
}

fn grant(view: &View, environment: &EnvironmentRef, principal: &PrincipalRef) -> Option<Box<RawValue>> {
    let environment = view.find_environment(environment).ok()?;
    let principal = view.find_principal(principal).ok()?;
    let grant = view.grant(&environment, &principal)?;
    json(Some(entity::grant(view, &environment, &principal, &grant)))
}
