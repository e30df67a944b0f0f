//! A request whose caller is known: what every handler begins with.
//!
//! The order is always the same: the body is read, then the credential is judged, then the form of the parameters, then the workspace
//! and whether the caller has a part in it, then what is asked. So nobody without a credential learns of anything, and a workspace that the
//! caller has no part in is answered like one that never was. Authority and facts are those of one instant, after the request is
//! complete: the handler takes neither a second time.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, RawPathParams, Request};
use axum::http::header::{AUTHORIZATION, IF_MATCH};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use super::App;
use super::body::{BodyReservation, drain};
use super::budget::Permit;
use super::connection::{ConnectionTimer, RequestContext};
use super::if_match;
use super::params::Params;
use super::problem::Problem;
use crate::domain::command::ShapeError;
use crate::domain::id::WorkspaceId;
use crate::domain::json;
use crate::domain::principal::{Caller, Principal};
use crate::domain::role::AccessKeyRole;
use crate::domain::time::{Instant, Revision};
use crate::domain::view::{At, View};
use crate::domain::workspace::Workspace;
use crate::service::mint::Secret;
use crate::service::submission::Expected;
use crate::service::{Authenticated, Facts, Presented};

/// The longest idempotency key, in bytes.
pub const IDEMPOTENCY_KEY_BYTES_MAX: usize = 256;

/// A request of a caller who proved who they are.
pub struct AuthenticatedRequest {
    /// The server.
    pub app: Arc<App>,
    /// Who asks.
    pub caller: Caller,
    /// The workspace that the caller's credential belongs to, as it was judged on; none for the operator.
    pub home: Option<Arc<Workspace>>,
    /// The parameters after the `?` that nobody has asked for yet.
    pub params: Params,
    /// The instant that the request is answered as of: the clock, read together with the facts once the request was complete.
    pub received: Instant,
    path: RawPathParams,
    parts: Parts,
    body: Bytes,
    /// The place of a large body, which is free for others once the request is done with.
    _reservation: Option<BodyReservation>,
}

/// A request about a workspace that the caller has a part in.
pub struct WorkspaceRequest {
    /// The request.
    pub request: AuthenticatedRequest,
    /// The newest facts of the workspace.
    pub root: Arc<Workspace>,
    /// What the caller may read in it.
    pub access: ReadAccess,
}

/// What a caller may read in a workspace, judged now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReadAccess {
    /// Everything: an owner, a manager, the operator, an `auditor` key.
    All,
    /// Decisions about anyone: an `evaluator` key.
    DecisionsOnly,
    /// The workspace, itself, and the environments that it has access to.
    Own(Principal),
}

/// The credential that a request presents: `Bearer ID.SECRET`, or HTTP Basic (RFC 7617).
pub fn presented(headers: &HeaderMap) -> Option<Presented> {
    let (scheme, value) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    let split = |text: &str, by: char| {
        text.split_once(by).map(|(id, secret)| Presented { id: id.to_owned(), secret: Secret::new(secret) })
    };
    if scheme.eq_ignore_ascii_case("bearer") {
        return split(value.trim(), '.');
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = zeroize::Zeroizing::new(STANDARD.decode(value.trim()).ok()?);
    split(std::str::from_utf8(&decoded).ok()?, ':')
}

/// The decoded parameters of the path.
///
/// # Errors
/// The path is not UTF-8.
pub async fn path_params(parts: &mut Parts) -> Result<RawPathParams, Problem> {
    let params = RawPathParams::from_request_parts(parts, &()).await;
    params.map_err(|_| Problem::malformed("the path is not UTF-8"))
}

/// A parameter of a path; empty if there is no such one.
pub fn path_value<'a>(path: &'a RawPathParams, name: &str) -> &'a str {
    path.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value)
}

impl Deref for WorkspaceRequest {
    type Target = AuthenticatedRequest;

    fn deref(&self) -> &AuthenticatedRequest {
        &self.request
    }
}

impl DerefMut for WorkspaceRequest {
    fn deref_mut(&mut self) -> &mut AuthenticatedRequest {
        &mut self.request
    }
}

impl FromRequest<Arc<App>> for AuthenticatedRequest {
    type Rejection = Problem;

    /// Reads the request to its end, and only then judges the credential: what is answered rests on facts that are no older than the
    /// complete request. One without any credential is refused at once.
    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, Problem> {
        let (mut parts, body) = request.into_parts();
        let timer = ConnectionTimer::of(&parts.extensions);
        let Some(presented) = presented(&parts.headers) else {
            drain(body, &timer).await;
            return Err(Problem::unauthenticated());
        };
        let (body, reservation) = app.bodies.read(body, &timer, || app.trusted_proxies.client(&parts)).await?;
        let Some(authenticated) = app.service.authenticate(&presented).await? else {
            app.count_failure(&presented, &parts)?;
            return Err(Problem::unauthenticated());
        };
        let Authenticated { caller, root: home, now: received } = authenticated;
        let path = path_params(&mut parts).await?;
        let params = Params::parse(parts.uri.query())?;
        Ok(Self { app: Arc::clone(app), caller, home, params, received, path, parts, body, _reservation: reservation })
    }
}

impl FromRequest<Arc<App>> for WorkspaceRequest {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, Problem> {
        let request = AuthenticatedRequest::from_request(request, app).await?;
        let facts = request.find_workspace().await?;
        request.within(facts)
    }
}

/// The workspace of a name or id, if it is the caller's own or the caller is the operator.
async fn find(app: &App, home: Option<Facts>, named: &str) -> Result<Facts, Problem> {
    let not_found = || Problem::not_found("workspace", named);
    let Some(home) = home else {
        let id = app.service.find_workspace(named).await?.ok_or_else(not_found)?;
        return app.service.facts(id).await?.ok_or_else(not_found);
    };
    let view = View::now(Arc::clone(&home.root), home.now);
    let by_name = view.description().is_some_and(|description| description.name.as_str() == named);
    if by_name || named.parse() == Ok(home.root.id()) { Ok(home) } else { Err(not_found()) }
}

/// What a caller may read in a workspace, judged on these facts, `now`.
///
/// # Errors
/// The caller is none that asks over HTTP.
pub fn read_access(caller: &Caller, root: &Arc<Workspace>, now: Instant) -> Result<ReadAccess, Problem> {
    match caller {
        Caller::Operator | Caller::AccessKey { role: AccessKeyRole::Auditor, .. } => Ok(ReadAccess::All),
        Caller::AccessKey { role: AccessKeyRole::Evaluator, .. } => Ok(ReadAccess::DecisionsOnly),
        Caller::Principal { principal, .. } => {
            let view = View::now(Arc::clone(root), now);
            let administers = match principal {
                Principal::User(user) => view.member(user).is_some_and(|role| role.value.administers()),
                Principal::ServiceUser(_) => false,
            };
            Ok(if administers { ReadAccess::All } else { ReadAccess::Own(principal.clone()) })
        }
        Caller::Vouched(_) | Caller::Supposed(_) => Err(Problem::unauthenticated()),
    }
}

impl AuthenticatedRequest {
    /// The newest facts of the workspace that the path names, and the instant that they are looked at.
    ///
    /// # Errors
    /// The caller has no part in such a workspace.
    pub async fn find_workspace(&self) -> Result<Facts, Problem> {
        let home = self.home.clone().map(|root| Facts { root, now: self.received });
        find(&self.app, home, self.path("ws")).await
    }

    /// The request, as one about a workspace that the caller has a part in.
    ///
    /// # Errors
    /// The caller is none that asks over HTTP.
    pub fn within(self, Facts { root, now }: Facts) -> Result<WorkspaceRequest, Problem> {
        let access = read_access(&self.caller, &root, now)?;
        Ok(WorkspaceRequest { request: Self { received: now, ..self }, root, access })
    }

    /// A parameter of the path; empty if the route has no such one.
    pub fn path(&self, name: &str) -> &str {
        path_value(&self.path, name)
    }

    /// The request's id, for log lines.
    pub fn request_id(&self) -> &str {
        self.parts.extensions.get::<RequestContext>().map(|context| context.id.as_str()).unwrap_or_default()
    }

    /// The request's headers.
    pub const fn headers(&self) -> &HeaderMap {
        &self.parts.headers
    }

    /// The request's path, as it was sent.
    pub fn uri_path(&self) -> &str {
        self.parts.uri.path()
    }

    /// What stands after the `?`, as it was sent; empty if nothing does.
    pub fn uri_query(&self) -> &str {
        self.parts.uri.query().unwrap_or_default()
    }

    /// The body's bytes.
    pub const fn body_bytes(&self) -> &Bytes {
        &self.body
    }

    /// How many bytes the request has, as far as a change is made of them: its path, its parameters and its body.
    pub fn bytes_len(&self) -> usize {
        let target = self.parts.uri.path().len() + self.parts.uri.query().map_or(0, str::len);
        target.saturating_add(self.body.len())
    }

    /// The body, in a given shape.
    ///
    /// # Errors
    /// It is no JSON or of the wrong type (400), or has a wrong value or an unknown field (422).
    pub fn body<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        Ok(ShapeError::read(self.json()?)?)
    }

    /// The permit of this request, taken now if it has none yet. The answer holds it until it is written.
    ///
    /// # Errors
    /// 429 if the caller, the workspace or the instance has no room for it.
    pub fn permit(&self) -> Result<Permit, Problem> {
        self.permit_or(|| self.app.budgets.permit(self.account(), self.body.len()))
    }

    /// As [`Self::permit`], whatever the budgets say: for an answer that cannot be refused any more.
    ///
    /// # Errors
    /// None.
    pub fn permit_anyway(&self) -> Result<Permit, Problem> {
        self.permit_or(|| Ok(self.app.budgets.permit_anyway(self.account(), self.body.len())))
    }

    fn account(&self) -> Option<(WorkspaceId, String)> {
        self.home.as_ref().map(|home| (home.id(), self.holder()))
    }

    fn permit_or(&self, take: impl FnOnce() -> Result<Permit, Problem>) -> Result<Permit, Problem> {
        match self.parts.extensions.get::<RequestContext>() {
            Some(context) => context.connection.permit.get_or(take),
            None => take(),
        }
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// It is none, or holds too many values.
    pub fn json(&self) -> Result<serde_json::Value, Problem> {
        Ok(json::parse_bounded(&self.body, None)?)
    }

    /// Makes sure that there is no body, or an empty object.
    ///
    /// # Errors
    /// There is one.
    pub fn no_body(&self) -> Result<(), Problem> {
        let body = self.body.trim_ascii();
        if body.is_empty() || body == b"{}" { Ok(()) } else { Err(Problem::invalid("this request takes no body")) }
    }

    /// The revisions of which `If-Match` expects one to be the newest (RFC 9110 §13.1.1); none for `*`, or without the header.
    ///
    /// # Errors
    /// The header is neither `*` nor a list of entity tags.
    pub fn expected(&self) -> Result<Option<Expected>, Problem> {
        if_match::expected(&self.parts.headers)
    }

    /// The key under which this request is done once.
    ///
    /// # Errors
    /// The header is empty, too long, or not printable ASCII.
    pub fn idempotency_key(&self) -> Result<Option<String>, Problem> {
        let Some(value) = self.parts.headers.get("idempotency-key") else { return Ok(None) };
        let key = value.to_str().unwrap_or_default();
        if (1..=IDEMPOTENCY_KEY_BYTES_MAX).contains(&key.len()) {
            return Ok(Some(key.to_owned()));
        }
        Err(Problem::invalid(format!(
            "`Idempotency-Key` is 1 to {IDEMPOTENCY_KEY_BYTES_MAX} printable ASCII characters"
        )))
    }

    /// SHA-256 over all that makes this request the same as another: method, path, query, `If-Match` and body.
    pub fn fingerprint(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        let if_match: Vec<_> = self.parts.headers.get_all(IF_MATCH).iter().map(HeaderValue::as_bytes).collect();
        let if_match = if_match.join(&b", "[..]);
        let target = self.parts.uri.path_and_query().map(ToString::to_string).unwrap_or_default();
        for part in [self.parts.method.as_str().as_bytes(), target.as_bytes(), &if_match, &self.body] {
            hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            hash.update(part);
        }
        hash.finalize().into()
    }

    /// Who holds the caller's credential, as text.
    pub fn holder(&self) -> String {
        match &self.caller {
            Caller::AccessKey { key, .. } => key.to_string(),
            caller => caller.actor().to_string(),
        }
    }
}

impl WorkspaceRequest {
    /// Takes `at`, `revision` and `at_least` out of the parameters: the view that the request is about, and whether it is
    /// pinned, so that what moves outside the log has no place in the answer.
    ///
    /// # Errors
    /// They are not accepted, or the workspace is not at `at_least` yet.
    pub fn view(&mut self) -> Result<(View, bool), Problem> {
        let at = self.request.params.at()?;
        let at_least: Option<Revision> = self.request.params.value("at_least")?;
        if at_least.is_some_and(|at_least| at_least > self.root.head()) {
            let detail = format!("the newest revision is {}: try again in a moment", self.root.head());
            return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "not_there_yet", detail));
        }
        Ok((self.view_at(at)?, at != At::Now))
    }

    /// The workspace as it stood.
    ///
    /// # Errors
    /// `at` is later than now.
    pub fn view_at(&self, at: At) -> Result<View, Problem> {
        Ok(View::new(Arc::clone(&self.root), at, self.request.received)?)
    }

    /// The workspace now, by which authority is judged.
    pub fn now(&self) -> View {
        View::now(Arc::clone(&self.root), self.request.received)
    }

    /// Makes a page of a list, where it holds up no single check: it may look through a hundred thousand things.
    ///
    /// # Errors
    /// There is no room for one more list, or the server is stopping.
    pub async fn listing<T>(&self, make: impl FnOnce() -> T) -> Result<T, Problem> {
        Ok(self.request.permit()?.run_here(&self.request.app.service, make).await?)
    }

    /// Makes sure that the caller may read everything.
    ///
    /// # Errors
    /// `forbidden`.
    pub fn reads_all(&self) -> Result<(), Problem> {
        if self.access == ReadAccess::All {
            return Ok(());
        }
        Err(Problem::forbidden("only an owner, a manager, the operator or an `auditor` key may read this"))
    }

    /// The one principal that the caller may read about; none if all of them.
    ///
    /// # Errors
    /// `forbidden` for an `evaluator` key, which asks for decisions only.
    pub fn only(&self) -> Result<Option<&Principal>, Problem> {
        match &self.access {
            ReadAccess::All => Ok(None),
            ReadAccess::Own(principal) => Ok(Some(principal)),
            ReadAccess::DecisionsOnly => {
                Err(Problem::forbidden("an `evaluator` key asks for decisions and reads nothing else"))
            }
        }
    }
}
