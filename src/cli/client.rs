//! The HTTP client behind every command that asks a server.

use std::borrow::Cow;
use std::net::IpAddr;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use ureq::http::{Method, Request, Response, StatusCode, Uri, request};
use ureq::{Body, BodyReader};
use zeroize::Zeroizing;

use super::failure::Failure;
use crate::http::response::escaped;
use crate::service::id_generator::Secret;

/// The timeout of a whole response. The longest questions cover years of a large workspace.
const ANSWER_TIMEOUT: Duration = Duration::from_mins(2);
/// The maximum silence of a live stream: several of its heartbeats.
const SILENCE_TIMEOUT: Duration = Duration::from_mins(1);
/// The timeout of a connection attempt.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The largest response that is read, in bytes.
pub(super) const ANSWER_BYTES_MAX: u64 = 256 * 1_024 * 1_024;

/// The query string of a request.
#[derive(Debug, Clone, Default)]
pub(super) struct Query(Vec<(Cow<'static, str>, String)>);

impl Query {
    /// Adds a parameter, if there is a value for it.
    pub(super) fn with(mut self, name: &'static str, value: Option<impl ToString>) -> Self {
        self.0.extend(value.map(|value| (name.into(), value.to_string())));
        self
    }

    /// Makes a query of names and values.
    pub(super) fn of(pairs: impl IntoIterator<Item = (String, String)>) -> Self {
        Self(pairs.into_iter().map(|(name, value)| (name.into(), value)).collect())
    }

    /// Returns the names and values.
    pub(super) fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_ref(), value.as_str()))
    }

    fn append_to(&self, url: &mut String) {
        for (index, (name, value)) in self.0.iter().enumerate() {
            url.push(if index == 0 { '?' } else { '&' });
            url.push_str(name);
            url.push('=');
            url.push_str(&escaped(value));
        }
    }
}

/// A connection to a server, with a credential.
#[derive(Clone)]
pub(super) struct Client {
    agent: ureq::Agent,
    url: String,
    authorization: Zeroizing<String>,
}

impl Client {
    /// Makes a client for the server at `url`, with a credential.
    pub(super) fn new(url: &str, id: &str, secret: &Secret) -> Self {
        let url = url.trim_end_matches('/').to_owned();
        let mut config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_global(Some(ANSWER_TIMEOUT))
            .user_agent(concat!("tenure/", env!("CARGO_PKG_VERSION")));
        if is_loopback(&url) {
            config = config.proxy(None);
        }
        let pair = Zeroizing::new(format!("{id}:{}", secret.expose()));
        let authorization = Zeroizing::new(format!("Basic {}", STANDARD.encode(pair.as_bytes())));
        Self { agent: config.build().into(), url, authorization }
    }

    fn request(&self, method: Method, path: &str, query: &Query) -> request::Builder {
        let mut url = format!("{}{path}", self.url);
        query.append_to(&mut url);
        Request::builder().method(method).uri(url).header("authorization", self.authorization.as_str())
    }

    /// Opens a live stream after the message with the id `last`. Returns none if the stream has ended for good.
    ///
    /// # Errors
    /// The server refused, or cannot be reached.
    pub(super) fn follow(
        &self,
        path: &str,
        query: &Query,
        last: Option<&str>,
    ) -> Result<Option<BodyReader<'static>>, Failure> {
        let request = self.request(Method::GET, path, query).header("accept", "text/event-stream");
        let request = last.into_iter().fold(request, |request, last| request.header("last-event-id", last));
        let request = request.body(()).map_err(|error| self.no_request(&error))?;
        let request = self.agent.configure_request(request).timeout_global(None);
        let request = request.timeout_recv_response(Some(ANSWER_TIMEOUT)).timeout_per_read(Some(SILENCE_TIMEOUT));
        let mut response = self.agent.run(request.build()).map_err(|error| self.no_response(&error))?;
        match response.status() {
            StatusCode::OK => Ok(Some(response.into_body().into_reader())),
            StatusCode::NO_CONTENT => Ok(None),
            status => {
                let text = response.body_mut().read_to_string().unwrap_or_default();
                Err(refused(status.as_u16(), &serde_json::from_str(&text).unwrap_or_default()))
            }
        }
    }

    /// Sends a request and returns the JSON of the response.
    ///
    /// # Errors
    /// The server refused, cannot be reached, or did not answer in JSON.
    pub(super) fn send(
        &self,
        method: Method,
        path: &str,
        query: &Query,
        body: Option<&Value>,
    ) -> Result<Value, Failure> {
        let mut response = self.exchange(method, path, query, None, body)?;
        let text = response.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_string();
        let text = text.map_err(|error| self.no_response(&error))?;
        let status = response.status();
        match serde_json::from_str(&text) {
            Ok(response) if status.is_success() => Ok(response),
            Err(_) if status.is_success() && text.is_empty() => Ok(Value::Null),
            response if !status.is_success() => Err(refused(status.as_u16(), &response.unwrap_or_default())),
            _ => Err(Failure::server(format!("`{}` did not answer in JSON: is it a tenure server?", self.url))),
        }
    }

    /// Requests a response in any media type, without parsing it.
    ///
    /// # Errors
    /// The server refused, or cannot be reached.
    pub(super) fn open(&self, path: &str, query: &Query, accept: &str) -> Result<Response<Body>, Failure> {
        let mut response = self.exchange(Method::GET, path, query, Some(accept), None)?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let text = response.body_mut().read_to_string().unwrap_or_default();
        Err(refused(status.as_u16(), &serde_json::from_str(&text).unwrap_or_default()))
    }

    fn exchange(
        &self,
        method: Method,
        path: &str,
        query: &Query,
        accept: Option<&str>,
        body: Option<&Value>,
    ) -> Result<Response<Body>, Failure> {
        let mut request = self.request(method, path, query);
        if let Some(accept) = accept {
            request = request.header("accept", accept);
        }
        let sent = match body {
            None => request.body(()).map(|request| self.agent.run(request)),
            Some(body) => {
                let request = request.header("content-type", "application/json");
                request.body(body.to_string()).map(|request| self.agent.run(request))
            }
        };
        sent.map_err(|error| self.no_request(&error))?.map_err(|error| self.no_response(&error))
    }

    fn no_request(&self, error: &ureq::http::Error) -> Failure {
        Failure::usage(format!(
            "cannot ask `{}`: {error}: give the server's address, such as `http://127.0.0.1:8321`",
            self.url
        ))
    }

    fn no_response(&self, error: &ureq::Error) -> Failure {
        let why = match error {
            ureq::Error::Io(error) => error.to_string(),
            error => error.to_string(),
        };
        Failure::server(format!(
            "no answer from `{}`: {why}: is the server running there? (TENURE_URL, --url)",
            self.url
        ))
    }
}

fn refused(status: u16, response: &Value) -> Failure {
    let code = response.get("code").and_then(Value::as_str).unwrap_or_default().to_owned();
    let detail = match response.get("detail") {
        Some(Value::String(detail)) => detail.clone(),
        _ => format!("the server answered with status {status}"),
    };
    Failure::Refused { status, code, detail }
}

/// Returns whether a server runs on this machine, where a proxy for other machines cannot reach it.
fn is_loopback(url: &str) -> bool {
    let uri: Option<Uri> = url.parse().ok();
    let host = uri.as_ref().and_then(Uri::host).unwrap_or_default();
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let is_address = bare.parse().is_ok_and(|address: IpAddr| address.to_canonical().is_loopback());
    is_address || host.eq_ignore_ascii_case("localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_localhost_and_loopback_addresses_bypass_the_proxy() {
        for url in [
            "http://localhost:8321",
            "http://LOCALHOST/x",
            "http://127.0.0.1:8321",
            "http://127.9.8.7",
            "http://[::1]:8321",
            "http://user@127.0.0.1:8321",
            "127.0.0.1:8321",
        ] {
            assert!(is_loopback(url), "{url}");
        }
        for url in [
            "http://127.evil.com",
            "http://127.0.0.1.evil.com:8321",
            "http://localhost.evil.com",
            "http://127.0.0.1@evil.com",
            "http://[2001:db8::1]:8321",
            "https://tenure.example",
            "",
        ] {
            assert!(!is_loopback(url), "{url}");
        }
    }
}
