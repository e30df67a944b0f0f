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
use crate::service::mint::Secret;

/// How long a whole answer may take. The longest questions go over years of a big workspace.
const ANSWER_TIMEOUT: Duration = Duration::from_mins(2);
/// How long a live stream may be silent: several of its heartbeats.
const SILENCE_TIMEOUT: Duration = Duration::from_mins(1);
/// How long it may take to reach the server.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The largest answer that is read, in bytes.
pub(super) const ANSWER_BYTES_MAX: u64 = 256 * 1_024 * 1_024;

/// What follows the `?` of a request.
#[derive(Debug, Clone, Default)]
pub(super) struct Query(Vec<(Cow<'static, str>, String)>);

impl Query {
    /// The same with one more parameter, if there is a value for it.
    pub(super) fn with(mut self, name: &'static str, value: Option<impl ToString>) -> Self {
        self.0.extend(value.map(|value| (name.into(), value.to_string())));
        self
    }

    /// A query of these names and values.
    pub(super) fn of(pairs: impl IntoIterator<Item = (String, String)>) -> Self {
        Self(pairs.into_iter().map(|(name, value)| (name.into(), value)).collect())
    }

    /// The names and values.
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

/// A server, and who asks it.
#[derive(Clone)]
pub(super) struct Client {
    agent: ureq::Agent,
    url: String,
    authorization: Zeroizing<String>,
}

impl Client {
    /// Asks the server at `url` as the holder of a credential.
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

    /// Asks for a live stream, from after the message of an id on; none if nothing more can come.
    ///
    /// # Errors
    /// The server said no, or cannot be reached.
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
        let mut answer = self.agent.run(request.build()).map_err(|error| self.no_answer(&error))?;
        match answer.status() {
            StatusCode::OK => Ok(Some(answer.into_body().into_reader())),
            StatusCode::NO_CONTENT => Ok(None),
            status => {
                let said = answer.body_mut().read_to_string().unwrap_or_default();
                Err(refused(status.as_u16(), &serde_json::from_str(&said).unwrap_or_default()))
            }
        }
    }

    /// Asks, and gives the answer.
    ///
    /// # Errors
    /// The server said no, cannot be reached, or did not answer in JSON.
    pub(super) fn send(
        &self,
        method: Method,
        path: &str,
        query: &Query,
        body: Option<&Value>,
    ) -> Result<Value, Failure> {
        let mut answer = self.exchange(method, path, query, None, body)?;
        let text = answer.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_string();
        let text = text.map_err(|error| self.no_answer(&error))?;
        let status = answer.status();
        match serde_json::from_str(&text) {
            Ok(answer) if status.is_success() => Ok(answer),
            Err(_) if status.is_success() && text.is_empty() => Ok(Value::Null),
            answer if !status.is_success() => Err(refused(status.as_u16(), &answer.unwrap_or_default())),
            _ => Err(Failure::server(format!("`{}` did not answer in JSON: is it a tenure server?", self.url))),
        }
    }

    /// Asks for an answer in a form of which nothing has to be understood.
    ///
    /// # Errors
    /// The server said no, or cannot be reached.
    pub(super) fn open(&self, path: &str, query: &Query, accept: &str) -> Result<Response<Body>, Failure> {
        let mut answer = self.exchange(Method::GET, path, query, Some(accept), None)?;
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        let text = answer.body_mut().read_to_string().unwrap_or_default();
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
        sent.map_err(|error| self.no_request(&error))?.map_err(|error| self.no_answer(&error))
    }

    fn no_request(&self, error: &ureq::http::Error) -> Failure {
        Failure::usage(format!(
            "cannot ask `{}`: {error}: give the server's address, such as `http://127.0.0.1:8321`",
            self.url
        ))
    }

    fn no_answer(&self, error: &ureq::Error) -> Failure {
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

fn refused(status: u16, answer: &Value) -> Failure {
    let code = answer.get("code").and_then(Value::as_str).unwrap_or_default().to_owned();
    let detail = match answer.get("detail") {
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
