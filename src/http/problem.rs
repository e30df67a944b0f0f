//! Errors for clients: RFC 9457 problem details with a stable `code`.

use std::time::Duration;

use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONNECTION, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, Response, StatusCode};
use axum::response::IntoResponse;
use schemars::JsonSchema;
use serde::Serialize;

use crate::clock::ClockError;
use crate::domain::model::json::NotRead;
use crate::domain::model::rejection::Rejection;
use crate::domain::model::shape::ShapeError;
use crate::domain::rules::decide::Refused;
use crate::log::LogError;
use crate::query::error::QueryError;
use crate::service::submission::SubmitError;

/// The longest detail, in characters: it may quote a text of the request, which may be long.
const DETAIL_CHARS_MAX: usize = 1_000;

/// A refusal or failure: its status, its stable code and a sentence for the client. It never holds a secret.
#[derive(Debug, Clone)]
pub struct Problem {
    status: StatusCode,
    code: &'static str,
    detail: String,
    /// The time to wait before a retry, if it is known.
    retry_after: Option<Duration>,
}

/// The body of a problem (RFC 9457 §3).
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Problem")]
pub struct ProblemBody<'a> {
    /// `urn:tenure:problem:` and the code.
    #[serde(rename = "type")]
    problem_type: String,
    /// The code, in words.
    title: String,
    /// The HTTP status.
    status: u16,
    /// A sentence that names the cause.
    detail: &'a str,
    /// The stable name of the refusal.
    code: &'a str,
}

/// The authentication schemes, one header each: browsers read only the first one.
const CHALLENGES: [HeaderValue; 2] = [
    HeaderValue::from_static("Basic realm=\"tenure\", charset=\"UTF-8\""),
    HeaderValue::from_static("Bearer realm=\"tenure\""),
];

impl Problem {
    /// Returns a problem of a status and code.
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        let mut detail = detail.into();
        if let Some((end, _)) = detail.char_indices().nth(DETAIL_CHARS_MAX) {
            detail.truncate(end);
            detail.push('…');
        }
        Self { status, code, detail, retry_after: None }
    }

    /// Adds the time to wait before a retry.
    #[must_use]
    pub fn retry_after(self, wait: Duration) -> Self {
        Self { retry_after: Some(wait), ..self }
    }

    /// Returns the problem of a value that is not accepted (422).
    pub fn invalid(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", detail)
    }

    /// Returns the problem of a request over a limit (422).
    pub fn too_large(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "too_large", detail)
    }

    /// Returns the problem of a body or parameter that cannot be parsed (400).
    pub fn malformed(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "malformed", detail)
    }

    /// Returns the problem of a request without a live credential (401).
    pub fn unauthenticated() -> Self {
        let detail =
            "present a live credential: `Authorization: Bearer ID.SECRET`, or HTTP Basic with the id and the secret";
        Self::new(StatusCode::UNAUTHORIZED, "unauthenticated", detail)
    }

    /// Returns the problem of a live credential without the authority (403).
    pub fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", detail)
    }

    /// Returns the problem of a name that does not exist for the caller (404).
    pub fn not_found(kind: &'static str, name: &str) -> Self {
        Rejection::not_found(kind, name).into()
    }

    /// Returns whether it is the server's fault.
    pub fn is_fault(&self) -> bool {
        self.status.is_server_error()
    }

    /// Returns the status.
    pub const fn status(&self) -> StatusCode {
        self.status
    }

    /// Returns the sentence that names the cause.
    pub fn detail(&self) -> &str {
        &self.detail
    }
}

impl From<Rejection> for Problem {
    fn from(rejection: Rejection) -> Self {
        let status = match &rejection {
            Rejection::Unauthenticated => StatusCode::UNAUTHORIZED,
            Rejection::Forbidden(_) => StatusCode::FORBIDDEN,
            Rejection::NotFound { .. } => StatusCode::NOT_FOUND,
            Rejection::Invalid { .. } | Rejection::TooLarge { .. } | Rejection::WritesTooMuch { .. } => {
                StatusCode::UNPROCESSABLE_ENTITY
            }
            Rejection::AlreadyExists { .. }
            | Rejection::LastOwner(_)
            | Rejection::OwnerProtected(_)
            | Rejection::RbacDisabled(_)
            | Rejection::PlanRequired(_)
            | Rejection::PersonalWorkspace(_)
            | Rejection::EnvironmentUnrestricted(_)
            | Rejection::ExpiryRequired { .. }
            | Rejection::RoleImplied(_)
            | Rejection::TokenNotScoped(_) => StatusCode::CONFLICT,
        };
        Self::new(status, rejection.code(), rejection.to_string())
    }
}

impl Problem {
    /// Returns the refusal of a command, with its index if the batch has several commands.
    pub fn refused(refused: Refused, commands_len: usize) -> Self {
        let index = refused.index;
        let problem = Self::from(refused.rejection);
        if commands_len <= 1 {
            problem
        } else {
            Self { detail: format!("commands[{index}]: {}", problem.detail), ..problem }
        }
    }

    /// Returns the problem of a submission of this many commands that failed.
    pub fn submission(error: SubmitError, commands_len: usize) -> Self {
        let detail = error.to_string();
        match error {
            SubmitError::Refused(refused) => Self::refused(refused, commands_len),
            SubmitError::RevisionConflict(_) => Self::new(StatusCode::PRECONDITION_FAILED, "revision_conflict", detail),
            SubmitError::KeyReused => Self::new(StatusCode::UNPROCESSABLE_ENTITY, "idempotency_key_reused", detail),
            SubmitError::UnknownWorkspace => Self::new(StatusCode::NOT_FOUND, "not_found", detail),
            SubmitError::Log(error) => error.into(),
            SubmitError::ShareUsed => Self::new(StatusCode::INSUFFICIENT_STORAGE, "insufficient_storage", detail),
            SubmitError::Crowded => Self::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", detail),
            SubmitError::TooFast(wait) => {
                Self::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", detail).retry_after(wait)
            }
            SubmitError::Overloaded => Self::new(StatusCode::SERVICE_UNAVAILABLE, "overloaded", detail),
        }
    }
}

impl From<QueryError> for Problem {
    fn from(error: QueryError) -> Self {
        match error {
            QueryError::NotFound(rejection) => rejection.into(),
            QueryError::Invalid(detail) => Self::invalid(detail),
            QueryError::TooLarge(detail) => Self::too_large(detail),
        }
    }
}

impl From<LogError> for Problem {
    fn from(error: LogError) -> Self {
        let detail = error.to_string();
        match error {
            LogError::Unreadable { .. } | LogError::Misindexed(_) => {
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "unreadable", detail)
            }
            LogError::NoRoom => Self::new(StatusCode::INSUFFICIENT_STORAGE, "insufficient_storage", detail),
            LogError::Clock(error) => error.into(),
            LogError::Unavailable(_) | LogError::OutcomeUnknown(_) | LogError::Locked(_) => {
                tracing::warn!(%error, "the log is unavailable");
                Self::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "unavailable",
                    "the log is unavailable for the moment: try again",
                )
            }
        }
    }
}

impl From<NotRead> for Problem {
    fn from(error: NotRead) -> Self {
        let detail = error.to_string();
        match error {
            NotRead::Json(_) => Self::malformed(detail),
            NotRead::TooManyValues | NotRead::LongList(_) => Self::too_large(detail),
        }
    }
}

impl From<ClockError> for Problem {
    fn from(error: ClockError) -> Self {
        let detail = error.to_string();
        match error {
            ClockError::Unsettled(wait) => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "clock_unsettled", detail).retry_after(wait)
            }
            ClockError::Impossible(_) => Self::new(StatusCode::SERVICE_UNAVAILABLE, "clock_wrong", detail),
        }
    }
}

impl From<ShapeError> for Problem {
    fn from(error: ShapeError) -> Self {
        let detail = error.to_string();
        if error.wrong_type { Self::malformed(detail) } else { Self::invalid(detail) }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response<Body> {
        let body = ProblemBody {
            problem_type: format!("urn:tenure:problem:{}", self.code),
            title: self.code.replace('_', " "),
            status: self.status.as_u16(),
            detail: &self.detail,
            code: self.code,
        };
        let mut response = Response::new(Body::from(serde_json::to_vec(&body).unwrap_or_default()));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        match self.status {
            StatusCode::UNAUTHORIZED => {
                for challenge in CHALLENGES {
                    headers.append(WWW_AUTHENTICATE, challenge);
                }
            }
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => {
                // Whole seconds (RFC 9110 §10.2.3), rounded up so that the retry is not too early.
                let wait = self.retry_after.unwrap_or(Duration::from_secs(1));
                let seconds = wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0));
                drop(headers.insert(RETRY_AFTER, HeaderValue::from(seconds)));
            }
            // The rest of the body is not read, so the connection cannot be reused.
            StatusCode::PAYLOAD_TOO_LARGE | StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => {
                drop(headers.insert(CONNECTION, HeaderValue::from_static("close")));
            }
            _ => {}
        }
        response
    }
}
