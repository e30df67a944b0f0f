//! Checks of the head of every request.

use axum::body::Body;
use axum::http::header::{HOST, TRANSFER_ENCODING};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode, Version};

use super::problem::Problem;

/// The headers that may occur once only: a proxy could have read the other one.
const SINGLE: &[&str] = &["host", "authorization", "tenure-key", "tenure-secret", "idempotency-key"];

/// The largest head of a request, in bytes.
pub const HEAD_BYTES_MAX: usize = 32 * 1_024;

/// Checks that the head is not too large, names its host (RFC 9112 §3.2), has a known transfer coding, and repeats no header that
/// may occur only once.
///
/// # Errors
/// 431, 400 or 501.
pub fn check(request: &Request<Body>) -> Result<(), Problem> {
    let headers = request.headers();
    // The reader's own limit is only approximate: it may have read somewhat more.
    if head_len(request) > HEAD_BYTES_MAX {
        let detail =
            format!("the head of the request is larger than {HEAD_BYTES_MAX} bytes: send fewer or shorter headers");
        return Err(Problem::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "head_too_large", detail));
    }
    check_host(request)?;
    check_transfer_encoding(headers)?;
    // Hardly any request repeats a header: then nothing needs a check.
    if headers.len() == headers.keys_len() { Ok(()) } else { check_single(headers) }
}

/// Checks that a request of HTTP/1.1 names its host, and that the name is a host with or without a port.
fn check_host(request: &Request<Body>) -> Result<(), Problem> {
    match request.headers().get(HOST) {
        Some(host) if is_host(host.as_bytes()) => Ok(()),
        Some(_) => {
            Err(Problem::malformed("the header `Host` is not a host with or without a port: send `Host: NAME:PORT`"))
        }
        None if request.version() == Version::HTTP_11 => {
            Err(Problem::malformed("a request of HTTP/1.1 names its host: send one `Host` header"))
        }
        None => Ok(()),
    }
}

/// Returns whether a text is `uri-host [ ":" port ]` (RFC 9110 §7.2), which may be empty.
fn is_host(text: &[u8]) -> bool {
    text.is_empty() || (!text.contains(&b'@') && Authority::try_from(text).is_ok())
}

/// Checks that the body has no other transfer coding than `chunked` (RFC 9112 §6.1).
fn check_transfer_encoding(headers: &HeaderMap) -> Result<(), Problem> {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    if codings.all(|coding| coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked")) {
        return Ok(());
    }
    let detail = "`Transfer-Encoding` can be `chunked` only: send the body as it is";
    Err(Problem::new(StatusCode::NOT_IMPLEMENTED, "unsupported_transfer_encoding", detail))
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
