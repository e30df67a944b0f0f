//! Rows of the table: decisions, and the audit.

use axum::routing::any;

use super::Who::{Anyone, Auditors, Evaluators, Operator, ProxyTokens};
use super::{Kind, Route, get, post};
use crate::audit::credentials::CredentialRow;
use crate::audit::diff::DiffRow;
use crate::audit::report::body::ReportBody;
use crate::audit::roster::AccessRow;
use crate::audit::search::{FoundAction, FoundEntity};
use crate::audit::tenure::TenureRow;
use crate::http::accept::{FORMS_OF_REPORTS, FORMS_OF_ROWS};
use crate::http::handlers::audit::what_if::WhatIfBody;
use crate::http::handlers::audit::{About, AboutSpan, CredentialsQuery, PairQuery, TenuresQuery};
use crate::http::handlers::commands::CommandsBody;
use crate::http::handlers::{
    audit, decisions, evaluations, events, feed, metadata, proxy_auth, reads, reports, searches,
};
use crate::http::rows::RowsBody;

const EVENT_FILTERS: &[&str] =
    &["after", "type", "subject", "actor", "credential", "environment", "principal", "from", "until"];

const REPORT_FILTERS: &[&str] = &["from", "until", "environment", "principal", "days"];

/// What a workspace answers as a policy decision point, to enforcement points.
pub(super) fn decisions() -> Vec<Route> {
    let evaluation = "/v1/workspaces/{ws}/access/v1/evaluation";
    let evaluations = "/v1/workspaces/{ws}/access/v1/evaluations";
    let subject = "/v1/workspaces/{ws}/access/v1/search/subject";
    let resource = "/v1/workspaces/{ws}/access/v1/search/resource";
    let action = "/v1/workspaces/{ws}/access/v1/search/action";
    let metadata = "/.well-known/authzen-configuration/v1/workspaces/{ws}";
    let asks_one = "Answers whether a subject may do an action on a resource";
    vec![
        get(metadata, "Describes a workspace as an AuthZEN policy decision point", Anyone, metadata::show)
            .kind(Kind::Plain)
            .returns::<metadata::MetadataBody>(),
        post(evaluation, asks_one, Evaluators, decisions::evaluation)
            .kind(Kind::Decide)
            .status(200)
            .accepts::<decisions::EvaluationBody>()
            .returns::<decisions::DecisionBody>(),
        post(evaluations, "Answers many such questions at once", Evaluators, evaluations::evaluations)
            .kind(Kind::Decide)
            .status(200)
            .accepts::<evaluations::EvaluationsBody>()
            .returns::<evaluations::EvaluationsResponse>(),
        post(subject, "Finds who may do an action on a resource", Evaluators, searches::subjects)
            .kind(Kind::Decide)
            .status(200)
            .accepts::<searches::SubjectSearchBody>()
            .returns::<searches::FoundBody<FoundEntity>>(),
        post(resource, "Finds what a subject may do an action on", Evaluators, searches::resources)
            .kind(Kind::Decide)
            .status(200)
            .accepts::<searches::ResourceSearchBody>()
            .returns::<searches::FoundBody<FoundEntity>>(),
        post(action, "Finds what a subject may do on a resource", Evaluators, searches::actions)
            .kind(Kind::Decide)
            .status(200)
            .accepts::<searches::ActionSearchBody>()
            .returns::<searches::FoundBody<FoundAction>>(),
    ]
}

pub(super) fn rows() -> Vec<Route> {
    let tenures = "/v1/workspaces/{ws}/audit/tenures";
    let credentials = "/v1/workspaces/{ws}/audit/credentials";
    let what_if = "/v1/workspaces/{ws}/audit/what-if";
    let proxy = "/v1/workspaces/{ws}/proxy-auth/{env}";
    let asks_proxy = "Answers a reverse proxy whether a web function may be called";
    vec![
        Route::new(None, proxy, asks_proxy, ProxyTokens, any(proxy_auth::ask)).kind(Kind::Plain).status(204),
        get("/v1/workspaces/{ws}/events", "Lists the log, or follows it", Auditors, events::list)
            .kind(Kind::Log(EVENT_FILTERS))
            .returns::<RowsBody<events::EventsAbout, serde_json::Value>>()
            .forms(events::FORMS),
        get("/v1/events", "Lists the events of all workspaces, or follows them", Operator, feed::list)
            .kind(Kind::Feed)
            .returns::<feed::FeedBody>()
            .forms(feed::FORMS),
        get("/v1/workspaces/{ws}/audit/access", "Lists who has access to what, and why", Auditors, audit::access_list)
            .kind(Kind::List(&["environment", "principal"]))
            .returns::<RowsBody<About<PairQuery>, AccessRow>>()
            .forms(FORMS_OF_ROWS),
        get(tenures, "Lists who had access to what, from when until when", Auditors, audit::tenures)
            .kind(Kind::List(&["environment", "principal", "role", "from", "until"]))
            .returns::<RowsBody<AboutSpan<TenuresQuery>, TenureRow>>()
            .forms(FORMS_OF_ROWS),
        get("/v1/workspaces/{ws}/audit/diff", "Compares access at two instants", Auditors, audit::diff)
            .kind(Kind::List(&["environment", "principal", "from", "until"]))
            .returns::<RowsBody<AboutSpan<PairQuery>, DiffRow>>()
            .forms(FORMS_OF_ROWS),
        get(credentials, "Lists the credentials that were live", Auditors, audit::credentials)
            .kind(Kind::List(&["issued_by"]))
            .returns::<RowsBody<About<CredentialsQuery>, CredentialRow>>()
            .forms(FORMS_OF_ROWS),
        post(what_if, "Says what commands would change, and changes nothing", Auditors, audit::what_if::what_if)
            .kind(Kind::Simulate)
            .status(200)
            .accepts::<CommandsBody>()
            .returns::<WhatIfBody>()
            .forms(FORMS_OF_ROWS),
        get("/v1/workspaces/{ws}/audit/reads", "Lists who read the audit", Auditors, reads::list)
            .kind(Kind::Journal(&["from", "until", "actor"]))
            .returns::<RowsBody<reads::ReadsAbout, reads::ReadRow>>()
            .forms(FORMS_OF_ROWS),
        get("/v1/workspaces/{ws}/reports", "Lists the reports that can be asked for", Auditors, reports::list)
            .kind(Kind::Plain)
            .returns::<reports::ReportsBody>(),
        get(
            "/v1/workspaces/{ws}/reports/{name}",
            "Gives a report that auditors ask for by name",
            Auditors,
            reports::give,
        )
        .kind(Kind::Report(REPORT_FILTERS))
        .returns::<ReportBody<'static>>()
        .forms(FORMS_OF_REPORTS),
    ]
}
