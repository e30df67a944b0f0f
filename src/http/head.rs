//! Checks of the head of every request.

use axum::body::Body;
use axum::http::header::HOST;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode, Version};

use super::problem::Problem;

/// The headers that may occur once only: a proxy could have read the other one.
const SINGLE: &[&str] = &["host", "authorization", "tenure-key", "tenure-secret", "idempotency-key"];

/// The largest head of a request, in bytes.
pub const HEAD_BYTES_MAX: usize = 32 * 1_024;

/// Checks that the head is not too large, names its host (RFC 9112 §3.2), and repeats no header of [`SINGLE`].
///
/// # Errors
/// 431 or 400.
pub fn check(request: &Request<Body>) -> Result<(), Problem> {
    let headers = request.headers();
    // The reader's own limit is only approximate: it may have read somewhat more.
    if head_len(request) > HEAD_BYTES_MAX {
        let detail =
            format!("the head of the request is larger than {HEAD_BYTES_MAX} bytes: send fewer or shorter headers");
        return Err(Problem::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "head_too_large", detail));
    }
    if request.version() == Version::HTTP_11 && !headers.contains_key(HOST) {
        return Err(Problem::malformed("a request of HTTP/1.1 names its host: send one `Host` header"));
    }
    // Hardly any request repeats a header: then nothing needs a check.
    if headers.len() == headers.keys_len() { Ok(()) } else { check_single(headers) }
}

/// Returns the bytes of the head as clients usually write it.
fn head_len(request: &Request<Body>) -> usize {
    let target = request.uri().path_and_query().map_or(1, |target| target.as_str().len());
    let first = request.method().as_str().len() + target + "  HTTP/1.1\r\n\r\n".len();
    let line = |(name, value): (&HeaderName, &HeaderValue)| name.as_str().len() + value.len() + ": \r\n".len();
    first + request.headers().iter().map(line).sum::<usize>()
}

fn check_single(headers: &HeaderMap) -> Result<(), Problem> {
    match SINGLE.iter().find(|name| headers.get_all(**name).iter().nth(1).is_some()) {
        None => Ok(()),
        Some(name) => Err(Problem::malformed(format!("the header `{name}` is there twice: send one"))),
    }
}
