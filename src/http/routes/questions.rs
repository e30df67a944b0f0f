//! Rows of the table: decisions, and the audit.

use axum::routing::any;

use super::Who::{Auditors, Evaluators, Operator, ProxyTokens};
use super::{Kind, Route, get, post};
use crate::http::handlers::{audit, decisions, events, feed, proxy_auth};

const EVENT_FILTERS: &[&str] =
    &["after", "type", "subject", "actor", "credential", "environment", "principal", "from", "until"];

pub(super) fn rows() -> Vec<Route> {
    let evaluation = "/v1/workspaces/{ws}/access/v1/evaluation";
    let evaluations = "/v1/workspaces/{ws}/access/v1/evaluations";
    let proxy = "/v1/workspaces/{ws}/proxy-auth/{env}";
    let asks_proxy = "Answers a reverse proxy whether a web function may be called";
    let asks_one = "Answers whether a subject may do an action on a resource";
    vec![
        post(evaluation, asks_one, Evaluators, decisions::evaluation)
            .kind(Kind::Decide)
            .status(200)
            .takes::<decisions::EvaluationBody>()
            .gives::<decisions::DecisionBody>(),
        post(evaluations, "Answers many such questions at once", Evaluators, decisions::evaluations)
            .kind(Kind::Decide)
            .status(200)
            .takes::<decisions::EvaluationsBody>()
            .gives::<decisions::DecisionsBody>(),
        Route::new(None, proxy, asks_proxy, ProxyTokens, any(proxy_auth::ask)).kind(Kind::Plain).status(204),
        get("/v1/workspaces/{ws}/events", "Lists the log, or follows it", Auditors, events::list)
            .kind(Kind::Log(EVENT_FILTERS))
            .gives::<events::EventsBody>(),
        get("/v1/events", "Lists the events of all workspaces, or follows them", Operator, feed::list)
            .kind(Kind::Feed)
            .gives::<feed::FeedBody>(),
        get("/v1/workspaces/{ws}/audit/access", "Lists who has access to what, and why", Auditors, audit::access_list)
            .kind(Kind::List(&["environment", "principal"]))
            .gives::<audit::AccessBody>(),
    ]
}
