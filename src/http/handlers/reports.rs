//! The reports.

use axum::body::Body;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::http::{HeaderValue, Response, StatusCode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::HandlerResult;
use crate::domain::state::view::View;
use crate::http::accept::FORMS_OF_REPORTS;
use crate::http::guard::AuditRequest;
use crate::http::input::{NoInput, NoPath};
use crate::http::journal;
use crate::http::params::Params;
use crate::http::problem::Problem;
use crate::http::request::RequestedView;
use crate::http::response;
use crate::log::journal::AnswerForm;
use crate::query::credentials::Credentials;
use crate::query::report::body::{ReportHeading, ReportQuery};
use crate::query::report::catalogue::{ReportMetadata, ReportName, UnknownReport};
use crate::query::report::request::{ReportRequest, Uses, last_changes};
use crate::query::report::{Report, report};

/// The content security policy of a report's page: the one in the page itself, and the part that only a header can set.
const PAGE_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
);

/// The path of a report.
#[derive(Debug, Deserialize)]
pub struct ReportPath {
    name: String,
}

/// The catalogue of reports.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ReportsBody {
    /// The reports, in the order in which auditors read them.
    pub items: Vec<ReportMetadata>,
}

/// Lists the reports. The list says nothing about the workspace, so it is not recorded as a read of the audit.
pub async fn list(_: AuditRequest, _: NoPath, _: NoInput) -> HandlerResult {
    let items = ReportName::ALL.iter().map(|name| name.metadata()).collect();
    Ok(response::json(StatusCode::OK, response::to_json(&ReportsBody { items })?))
}

/// Returns a report in full.
pub async fn give(request: AuditRequest, path: ReportPath, mut params: Params) -> HandlerResult {
    let name: ReportName = path.name.parse().map_err(|unknown| not_found(&unknown))?;
    let form = AnswerForm::negotiate(request.headers(), FORMS_OF_REPORTS)?;
    let RequestedView { view, pinned } = request.view(&mut params)?;
    name.check_pinned(pinned)?;
    let (query, period) = ReportQuery::parse(name, &mut params)?;
    params.finish()?;
    let heading = ReportHeading::new(name, &view, period, query);
    let mut report_request = ReportRequest::of(&heading, period, view.clone(), &request.now())?;
    if !pinned && name.shows_uses() {
        report_request.uses = Some(uses(&request, view.clone()).await?);
    }
    let make = move || report(name, &report_request).map(|made| WrittenReport::of(&made, &heading, form));
    let permit = request.permit()?;
    let made = permit.run_whole(&request.app.service, make).await?;
    let written = made.map_err(|too_large| name.refuse(too_large))??;
    permit.cover(written.bytes.len())?;
    journal::record(&request, &view, form, written.rows).await?;
    Ok(written.response(&view, form))
}

fn not_found(unknown: &UnknownReport) -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "not_found", unknown.to_string())
}

/// Returns when each live credential was last used: the recorded use, or the newest change made with it, whichever is later.
async fn uses(request: &AuditRequest, view: View) -> Result<Uses, Problem> {
    let (service, permit) = (&request.app.service, request.permit()?);
    let live = move || (Credentials::new(view.clone()).all().to_vec(), last_changes(&view));
    let (credentials, changes) = permit.run_whole(service, live).await?;
    let used = service.last_used(credentials.clone()).await?;
    let newest = credentials.into_iter().zip(used).filter_map(|(credential, used)| {
        let change = changes.get(&credential).copied();
        Some((credential, used.max(change)?))
    });
    Ok(newest.collect())
}

/// A report in the requested form.
struct WrittenReport {
    bytes: Vec<u8>,
    rows: usize,
    /// The `Content-Disposition` (RFC 6266), which names the file for a browser.
    disposition: Option<String>,
}

impl WrittenReport {
    fn of(made: &Report, heading: &ReportHeading, form: AnswerForm) -> Result<Self, Problem> {
        let (bytes, disposition) = match form {
            AnswerForm::Csv => (made.csv(), Some(format!("attachment; filename=\"{}\"", heading.file_name("csv")))),
            AnswerForm::Html => {
                let inline = format!("inline; filename=\"{}\"", heading.file_name("html"));
                (made.html(heading).into_bytes(), Some(inline))
            }
            _ => (response::to_json(&made.body(heading))?, None),
        };
        Ok(Self { bytes, rows: made.rows.len(), disposition })
    }

    fn response(self, view: &View, form: AnswerForm) -> Response<Body> {
        let mut response = Response::new(Body::from(self.bytes));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, form.content_type());
        response::set_no_store(headers);
        response::set_view(headers, view);
        if let Some(Ok(disposition)) = self.disposition.map(HeaderValue::try_from) {
            headers.insert(CONTENT_DISPOSITION, disposition);
        }
        if form == AnswerForm::Html {
            response::set_page_policy(headers, PAGE_POLICY);
        }
        response
    }
}
