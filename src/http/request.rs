//! Authenticated requests.
//!
//! The order of checks is fixed: the body is read, the credential is authenticated, the parameters are split, the workspace is found. So
//! nobody learns anything without a credential, and a foreign workspace looks like one that never existed. Authority and facts are of one
//! instant, after the request is complete; nothing reads the clock or the facts a second time.

use std::ops::Deref;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{FromRequestParts, RawPathParams, Request};
use axum::http::header::{AUTHORIZATION, IF_MATCH};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use super::App;
use super::body::{self, drain};
use super::budget::Permit;
use super::connection::{ConnectionTimer, RequestContext};
use super::if_match;
use super::params::{Params, read_fields};
use super::problem::Problem;
use crate::domain::model::id::WorkspaceId;
use crate::domain::model::json;
use crate::domain::model::name::Reason;
use crate::domain::model::principal::{Caller, Principal};
use crate::domain::model::role::AccessKeyRole;
use crate::domain::model::shape::ShapeError;
use crate::domain::model::time::{Instant, Revision};
use crate::domain::state::view::{At, View};
use crate::domain::state::workspace::Workspace;
use crate::service::id_generator::Secret;
use crate::service::submission::Expected;
use crate::service::{Authenticated, Facts, PresentedCredential};

/// The longest idempotency key, in bytes.
pub const IDEMPOTENCY_KEY_BYTES_MAX: usize = 256;

/// A request of an authenticated caller.
pub struct AuthenticatedRequest {
    /// The server.
    pub app: Arc<App>,
    /// The caller.
    pub caller: Caller,
    /// The facts of the credential's workspace that it was authenticated on; none for the operator.
    pub home: Option<Arc<Workspace>>,
    /// The parameters of the query that nothing has read yet.
    pub params: Params,
    /// The reason of a change, if it has one.
    pub reason: Option<Reason>,
    /// The clock, read together with the facts after the request was complete: the "now" of the response.
    pub received: Instant,
    path: RawPathParams,
    parts: Parts,
    body: Bytes,
    /// The permit for the memory of a large body, held until the request is dropped.
    _memory: Option<Permit>,
}

/// A request about a workspace that the caller has a part in.
pub struct WorkspaceRequest {
    /// The request.
    pub request: AuthenticatedRequest,
    /// The newest facts of the workspace.
    pub root: Arc<Workspace>,
    /// The caller's read access in it.
    pub access: ReadAccess,
}

/// The view that a request asks about.
#[derive(Debug, Clone)]
pub struct RequestedView {
    /// The view.
    pub view: View,
    /// Whether the caller named it. The response to a pinned view never changes.
    pub pinned: bool,
}

/// The read access of a caller in a workspace, now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReadAccess {
    /// Everything: an owner, a manager, the operator, an `auditor` key.
    All,
    /// Decisions about anyone: an `evaluator` key.
    DecisionsOnly,
    /// The workspace, the caller itself, and the environments that it has access to.
    Own(Principal),
}

/// Returns the credential that a request presents: `Bearer ID.SECRET`, or HTTP Basic (RFC 7617).
pub fn presented(headers: &HeaderMap) -> Option<PresentedCredential> {
    let (scheme, value) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    let split = |text: &str, by: char| {
        text.split_once(by).map(|(id, secret)| PresentedCredential { id: id.to_owned(), secret: Secret::new(secret) })
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

/// Returns the decoded parameters of the path.
///
/// # Errors
/// The path is not UTF-8 (400).
pub async fn path_params(parts: &mut Parts) -> Result<RawPathParams, Problem> {
    let params = RawPathParams::from_request_parts(parts, &()).await;
    params.map_err(|_| Problem::malformed("the path is not UTF-8"))
}

/// Returns a parameter of a path; empty if there is none of this name.
pub fn path_value<'a>(path: &'a RawPathParams, name: &str) -> &'a str {
    path.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value)
}

impl Deref for WorkspaceRequest {
    type Target = AuthenticatedRequest;

    fn deref(&self) -> &AuthenticatedRequest {
        &self.request
    }
}

/// Finds a workspace by name or id, if it is the caller's own or the caller is the operator.
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

/// Returns the read access of a caller in a workspace, on these facts and at `now`.
///
/// # Errors
/// The caller is of a kind that cannot authenticate over HTTP (401).
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
        Caller::ImportedActor(_) | Caller::SimulatedUser(_) => Err(Problem::unauthenticated()),
    }
}

/// Returns the live caller of a request, judged now.
///
/// # Errors
/// 401 without a live credential, 429 after too many failures, or the log is unavailable.
async fn authenticate(app: &App, presented: &PresentedCredential, parts: &Parts) -> Result<Authenticated, Problem> {
    if let Some(authenticated) = app.service.authenticate(presented).await? {
        return Ok(authenticated);
    }
    app.count_failure(presented, parts)?;
    Err(Problem::unauthenticated())
}

/// Returns the holder of a caller's credential, as text.
fn holder(caller: &Caller) -> String {
    match caller {
        Caller::AccessKey { key, .. } => key.to_string(),
        Caller::Operator | Caller::Principal { .. } | Caller::ImportedActor(_) | Caller::SimulatedUser(_) => {
            caller.actor().to_string()
        }
    }
}

impl AuthenticatedRequest {
    /// Reads the request to its end, and only then authenticates it: the response rests on facts that are no older than the complete
    /// request. A request without any credential is refused at once, and so is a large body without a live one.
    ///
    /// # Errors
    /// 401 without a live credential, 429 after too many failures; the body or the parameters are not accepted; or the log is
    /// unavailable.
    pub async fn read(request: Request, app: &Arc<App>) -> Result<Self, Problem> {
        let (mut parts, body) = request.into_parts();
        let timer = ConnectionTimer::of(&parts.extensions);
        let Some(presented) = presented(&parts.headers) else {
            drain(body, &timer).await;
            return Err(Problem::unauthenticated());
        };
        let admit = async |bytes| {
            // So that a stranger takes no memory. The request is authenticated again when it is complete.
            let Authenticated { caller, root, .. } = authenticate(app, &presented, &parts).await?;
            app.bodies.permit(root.map(|root| (root.id(), holder(&caller))), bytes)
        };
        let (body, memory) = body::read(body, &timer, admit).await?;
        let Authenticated { caller, root: home, now: received } = authenticate(app, &presented, &parts).await?;
        let path = path_params(&mut parts).await?;
        let params = Params::parse(parts.uri.query())?;
        Ok(Self {
            app: Arc::clone(app),
            caller,
            home,
            params,
            reason: None,
            received,
            path,
            parts,
            body,
            _memory: memory,
        })
    }

    /// Finds the workspace that the path names.
    ///
    /// # Errors
    /// The caller has no part in such a workspace (404).
    pub async fn in_workspace(self) -> Result<WorkspaceRequest, Problem> {
        let facts = self.find_workspace().await?;
        self.within(facts)
    }

    /// Returns the newest facts of the workspace that the path names, and the instant at which they were read.
    ///
    /// # Errors
    /// The caller has no part in such a workspace (404).
    pub async fn find_workspace(&self) -> Result<Facts, Problem> {
        let home = self.home.clone().map(|root| Facts { root, now: self.received });
        find(&self.app, home, self.path("ws")).await
    }

    /// Scopes the request to a workspace.
    ///
    /// # Errors
    /// The caller is of a kind that cannot authenticate over HTTP (401).
    pub fn within(self, Facts { root, now }: Facts) -> Result<WorkspaceRequest, Problem> {
        let access = read_access(&self.caller, &root, now)?;
        Ok(WorkspaceRequest { request: Self { received: now, ..self }, root, access })
    }

    /// Returns a parameter of the path; empty if the route has no such one.
    pub fn path(&self, name: &str) -> &str {
        path_value(&self.path, name)
    }

    /// Reads the parameters of the path that the fields of a struct name.
    ///
    /// # Errors
    /// A parameter is not a value of its field's type (422).
    pub fn read_path<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        let text = |name: &str| self.path.iter().find(|(known, _)| *known == name).map(|(_, text)| text.to_owned());
        read_fields(text)
    }

    /// Returns the request's id, for log lines.
    pub fn request_id(&self) -> &str {
        self.parts.extensions.get::<RequestContext>().map(|context| context.id.as_str()).unwrap_or_default()
    }

    /// Returns the headers.
    pub const fn headers(&self) -> &HeaderMap {
        &self.parts.headers
    }

    /// Returns the path as it was sent.
    pub fn uri_path(&self) -> &str {
        self.parts.uri.path()
    }

    /// Returns the query string as it was sent; empty without one.
    pub fn uri_query(&self) -> &str {
        self.parts.uri.query().unwrap_or_default()
    }

    /// Returns the bytes of the body.
    pub const fn body_bytes(&self) -> &Bytes {
        &self.body
    }

    /// Returns the bytes that a change can come from: the path, the query and the body.
    pub fn bytes_len(&self) -> usize {
        let target = self.parts.uri.path().len() + self.parts.uri.query().map_or(0, str::len);
        target.saturating_add(self.body.len())
    }

    /// Parses the body.
    ///
    /// # Errors
    /// It is no JSON or of the wrong type (400), or has a wrong value or an unknown field (422).
    pub fn body<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        Ok(ShapeError::read(self.json()?)?)
    }

    /// Returns the permit of this request, and takes it if there is none yet. The response holds it until it is sent.
    ///
    /// # Errors
    /// The budget of the caller, the workspace or the instance has no room for it (429).
    pub fn permit(&self) -> Result<Permit, Problem> {
        self.permit_or(|| self.app.budgets.permit(self.holder_account(), self.body.len()))
    }

    /// Returns the permit as [`Self::permit`] does, without checking the budgets: for a response that can no longer be refused.
    ///
    /// # Errors
    /// None.
    pub fn permit_unchecked(&self) -> Result<Permit, Problem> {
        self.permit_or(|| Ok(self.app.budgets.permit_unchecked(self.holder_account(), self.body.len())))
    }

    /// Returns the workspace and the holder that budgets count the request for; none for the operator.
    pub fn holder_account(&self) -> Option<(WorkspaceId, String)> {
        self.home.as_ref().map(|home| (home.id(), self.holder()))
    }

    fn permit_or(&self, take: impl FnOnce() -> Result<Permit, Problem>) -> Result<Permit, Problem> {
        match self.parts.extensions.get::<RequestContext>() {
            Some(context) => context.connection.permit.get_or(take),
            None => take(),
        }
    }

    /// Parses the body as any JSON value.
    ///
    /// # Errors
    /// It is no JSON (400), or holds too many values (422).
    pub fn json(&self) -> Result<serde_json::Value, Problem> {
        Ok(json::parse_bounded(&self.body, None)?)
    }

    /// Checks that the body is empty, or an empty object.
    ///
    /// # Errors
    /// It is neither (422).
    pub fn no_body(&self) -> Result<(), Problem> {
        let body = self.body.trim_ascii();
        if body.is_empty() || body == b"{}" { Ok(()) } else { Err(Problem::invalid("this request takes no body")) }
    }

    /// Returns the revisions that `If-Match` allows to be the newest (RFC 9110 §13.1.1); none for `*` or without the header.
    ///
    /// # Errors
    /// The header is neither `*` nor a list of entity tags (422).
    pub fn expected(&self) -> Result<Option<Expected>, Problem> {
        if_match::expected(&self.parts.headers)
    }

    /// Returns the idempotency key.
    ///
    /// # Errors
    /// The header is empty, too long, or not printable ASCII (422).
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

    /// Returns the SHA-256 over the method, the path, the query, `If-Match` and the body: two requests are the same if it is.
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

    /// Returns the holder of the caller's credential, as text.
    pub fn holder(&self) -> String {
        holder(&self.caller)
    }
}

impl WorkspaceRequest {
    /// Takes `at`, `revision` and `at_least` out of the parameters, and returns the view that they name. A view that the caller named is
    /// pinned: the response shows nothing that changes outside the log.
    ///
    /// # Errors
    /// They are not accepted (422), or the workspace is not at `at_least` yet (503).
    pub fn view(&self, params: &mut Params) -> Result<RequestedView, Problem> {
        let at = params.at()?;
        let at_least: Option<Revision> = params.value("at_least")?;
        if at_least.is_some_and(|at_least| at_least > self.root.head()) {
            let detail = format!("the newest revision is {}: try again in a moment", self.root.head());
            return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "not_there_yet", detail));
        }
        Ok(RequestedView { view: self.view_at(at)?, pinned: at != At::Now })
    }

    /// Returns the view of the workspace at a revision or an instant.
    ///
    /// # Errors
    /// `at` is later than now (422).
    pub fn view_at(&self, at: At) -> Result<View, Problem> {
        Ok(View::new(Arc::clone(&self.root), at, self.request.received)?)
    }

    /// Returns the view of now, on which authority is decided.
    pub fn now(&self) -> View {
        View::now(Arc::clone(&self.root), self.request.received)
    }

    /// Makes a page of a list in the pool for audits, so that it delays no single check: it may scan a hundred thousand items.
    ///
    /// # Errors
    /// The budget has no room for one more list (429), or the server is stopping (503).
    pub async fn listing<T>(&self, make: impl FnOnce() -> T) -> Result<T, Problem> {
        Ok(self.request.permit()?.run_borrowing(&self.request.app.service, make).await?)
    }
}
