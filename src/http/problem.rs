//! What goes wrong, as outsiders are told: RFC 9457 problem details with a stable `code`.

use std::time::Duration;

use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONNECTION, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, Response, StatusCode};
use axum::response::IntoResponse;
use schemars::JsonSchema;
use serde::Serialize;

use crate::clock::ClockError;
use crate::domain::command::ShapeError;
use crate::domain::decide::Refused;
use crate::domain::json::NotRead;
use crate::domain::rejection::Rejection;
use crate::log::LogError;
use crate::service::submission::SubmitError;

/// The longest detail that is given, in characters: what it quotes of a request may be as long as the request.
const DETAIL_CHARS_MAX: usize = 1_000;

/// A refusal or failure, with its status, its stable code and a sentence for whoever asked. It never holds a secret.
#[derive(Debug, Clone)]
pub struct Problem {
    status: StatusCode,
    code: &'static str,
    detail: String,
    /// How long to wait before it is worth asking again, where that is known.
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
    /// What is wrong, and with what.
    detail: &'a str,
    /// The stable name of the refusal.
    code: &'a str,
}

/// The ways to prove who one is, a line each: browsers look only at the first, and know only that one.
const CHALLENGES: [HeaderValue; 2] = [
    HeaderValue::from_static("Basic realm=\"tenure\", charset=\"UTF-8\""),
    HeaderValue::from_static("Bearer realm=\"tenure\""),
];

impl Problem {
    /// A problem of a status and code.
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        let mut detail = detail.into();
        if let Some((end, _)) = detail.char_indices().nth(DETAIL_CHARS_MAX) {
            detail.truncate(end);
            detail.push('…');
        }
        Self { status, code, detail, retry_after: None }
    }

    /// The same, with how long to wait before it is worth asking again.
    #[must_use]
    pub fn retry_after(self, wait: Duration) -> Self {
        Self { retry_after: Some(wait), ..self }
    }

    /// A value that is not accepted.
    pub fn invalid(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", detail)
    }

    /// More than a limit allows.
    pub fn too_large(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "too_large", detail)
    }

    /// A body or parameter that is not of the right form at all.
    pub fn malformed(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "malformed", detail)
    }

    /// No credential, or none that is good.
    pub fn unauthenticated() -> Self {
        let detail =
            "present a live credential: `Authorization: Bearer ID.SECRET`, or HTTP Basic with the id and the secret";
        Self::new(StatusCode::UNAUTHORIZED, "unauthenticated", detail)
    }

    /// A good credential without the authority.
    pub fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", detail)
    }

    /// Something named does not exist, or the caller has no part in it.
    pub fn not_found(kind: &'static str, name: &str) -> Self {
        Rejection::not_found(kind, name).into()
    }

    /// Whether the fault is the server's.
    pub fn is_fault(&self) -> bool {
        self.status.is_server_error()
    }

    /// The status.
    pub const fn status(&self) -> StatusCode {
        self.status
    }

    /// What is wrong.
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
    /// The refusal of one command of a batch: its place is named where there are others.
    pub fn refused(refused: Refused, commands_len: usize) -> Self {
        let index = refused.index;
        let problem = Self::from(refused.rejection);
        if commands_len <= 1 {
            problem
        } else {
            Self { detail: format!("commands[{index}]: {}", problem.detail), ..problem }
        }
    }

    /// Why a submission of so many commands was not done.
    pub fn submission(error: SubmitError, commands_len: usize) -> Self {
        let detail = error.to_string();
        match error {
            SubmitError::Refused(refused) => Self::refused(refused, commands_len),
            SubmitError::RevisionConflict(_) => Self::new(StatusCode::PRECONDITION_FAILED, "revision_conflict", detail),
            SubmitError::KeyReused => Self::new(StatusCode::UNPROCESSABLE_ENTITY, "idempotency_key_reused", detail),
            SubmitError::UnknownWorkspace => Self::new(StatusCode::NOT_FOUND, "not_found", detail),
            SubmitError::Log(error) => error.into(),
            SubmitError::Crowded => Self::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", detail),
            SubmitError::TooFast(wait) => {
                Self::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", detail).retry_after(wait)
            }
            SubmitError::Overloaded => Self::new(StatusCode::SERVICE_UNAVAILABLE, "overloaded", detail),
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
                // Whole seconds (RFC 9110 §10.2.3), rounded up so that asking again then is not too early.
                let wait = self.retry_after.unwrap_or(Duration::from_secs(1));
                let seconds = wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0));
                drop(headers.insert(RETRY_AFTER, HeaderValue::from(seconds)));
            }
            // What was not read of the body is not read to its end, so nothing more can come on this connection.
            StatusCode::PAYLOAD_TOO_LARGE | StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => {
                drop(headers.insert(CONNECTION, HeaderValue::from_static("close")));
            }
            _ => {}
        }
        response
    }
}
