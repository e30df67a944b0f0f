//! Rows of the table: decisions, and the audit.

use super::{PAGE_OF_VIEW, Route, RouteKind, get, post};
use crate::http::accept::{FORMS_OF_REPORTS, FORMS_OF_ROWS};
use crate::http::guard::{Auditors, Evaluators, Operator};
use crate::http::handlers::audit::what_if::WhatIfBody;
use crate::http::handlers::commands::CommandsBody;
use crate::http::handlers::{
    audit, decisions, evaluations, events, feed, metadata, proxy_auth, reads, reports, searches,
};
use crate::http::rows::RowsBody;
use crate::query::credentials::CredentialRow;
use crate::query::diff::DiffRow;
use crate::query::events::EventsQuery;
use crate::query::list::{CredentialsQuery, ListHeading, PairQuery, SpanHeading, TenuresQuery};
use crate::query::report::body::ReportBody;
use crate::query::roster::AccessRow;
use crate::query::search::{FoundAction, FoundEntity};
use crate::query::tenure::TenureRow;

const REPORT_PARAMETERS: &[&str] = &["at", "revision", "at_least", "from", "until", "environment", "principal", "days"];

/// Returns the routes of a workspace as a policy decision point.
pub(super) fn decisions() -> Vec<Route> {
    let evaluation = "/v1/workspaces/{ws}/access/v1/evaluation";
    let evaluations = "/v1/workspaces/{ws}/access/v1/evaluations";
    let subject = "/v1/workspaces/{ws}/access/v1/search/subject";
    let resource = "/v1/workspaces/{ws}/access/v1/search/resource";
    let action = "/v1/workspaces/{ws}/access/v1/search/action";
    let metadata = "/.well-known/authzen-configuration/v1/workspaces/{ws}";
    let asks_one = "Answers whether a subject may do an action on a resource";
    vec![
        Route::open(metadata, "Describes a workspace as an AuthZEN policy decision point", metadata::show)
            .returns::<metadata::MetadataBody>(),
        post(evaluation, asks_one, Evaluators, decisions::evaluation)
            .kind(RouteKind::Decide)
            .status(200)
            .accepts::<decisions::EvaluationBody>()
            .returns::<decisions::DecisionBody>(),
        post(evaluations, "Answers many such questions at once", Evaluators, evaluations::evaluations)
            .kind(RouteKind::Decide)
            .status(200)
            .accepts::<evaluations::EvaluationsBody>()
            .returns::<evaluations::EvaluationsResponse>(),
        post(subject, "Finds who may do an action on a resource", Evaluators, searches::subjects)
            .kind(RouteKind::Decide)
            .status(200)
            .accepts::<searches::SubjectSearchBody>()
            .returns::<searches::FoundBody<FoundEntity>>(),
        post(resource, "Finds what a subject may do an action on", Evaluators, searches::resources)
            .kind(RouteKind::Decide)
            .status(200)
            .accepts::<searches::ResourceSearchBody>()
            .returns::<searches::FoundBody<FoundEntity>>(),
        post(action, "Finds what a subject may do on a resource", Evaluators, searches::actions)
            .kind(RouteKind::Decide)
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
        Route::for_proxies(proxy, asks_proxy, proxy_auth::ask).with_parameters(&["accepted"]).status(204),
        get("/v1/workspaces/{ws}/events", "Lists the log, or follows it", Auditors, events::list)
            .kind(RouteKind::Log)
            .with_parameters(PAGE_OF_VIEW)
            .with_parameters(EventsQuery::PARAMETERS)
            .returns::<RowsBody<ListHeading<EventsQuery>, serde_json::Value>>()
            .forms(events::FORMS),
        get("/v1/events", "Lists the events of all workspaces, or follows them", Operator, feed::list)
            .kind(RouteKind::Feed)
            .returns::<feed::FeedBody>()
            .forms(feed::FORMS),
        get("/v1/workspaces/{ws}/audit/access", "Lists who has access to what, and why", Auditors, audit::access_list)
            .returns::<RowsBody<ListHeading<PairQuery>, AccessRow>>()
            .forms(FORMS_OF_ROWS),
        get(tenures, "Lists who had access to what, from when until when", Auditors, audit::tenures)
            .returns::<RowsBody<SpanHeading<TenuresQuery>, TenureRow>>()
            .forms(FORMS_OF_ROWS),
        get("/v1/workspaces/{ws}/audit/diff", "Compares access at two instants", Auditors, audit::diff)
            .returns::<RowsBody<SpanHeading<PairQuery>, DiffRow>>()
            .forms(FORMS_OF_ROWS),
        get(credentials, "Lists the credentials that were live", Auditors, audit::credentials)
            .returns::<RowsBody<ListHeading<CredentialsQuery>, CredentialRow>>()
            .forms(FORMS_OF_ROWS),
        post(what_if, "Says what commands would change, and changes nothing", Auditors, audit::what_if::what_if)
            .kind(RouteKind::Simulate)
            .status(200)
            .accepts::<CommandsBody>()
            .returns::<WhatIfBody>()
            .forms(FORMS_OF_ROWS),
        get("/v1/workspaces/{ws}/audit/reads", "Lists who read the audit", Auditors, reads::list)
            .returns::<RowsBody<reads::ReadsAbout, reads::ReadRow>>()
            .forms(FORMS_OF_ROWS),
        get("/v1/workspaces/{ws}/reports", "Lists the reports that can be asked for", Auditors, reports::list)
            .returns::<reports::ReportsBody>(),
        get(
            "/v1/workspaces/{ws}/reports/{name}",
            "Gives a report that auditors ask for by name",
            Auditors,
            reports::give,
        )
        .with_parameters(REPORT_PARAMETERS)
        .returns::<ReportBody<'static>>()
        .forms(FORMS_OF_REPORTS),
    ]
}
