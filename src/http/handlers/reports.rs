//! The reports, as they are asked for over HTTP.

use axum::body::Body;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::http::{HeaderValue, Response, StatusCode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::HandlerResult;
use super::audit::presented;
use crate::audit::credentials::{AnyCredential, Credentials};
use crate::audit::report::body::{Heading, Period, ReportQuery};
use crate::audit::report::catalogue::{Parameter, ReportCard, ReportName, When};
use crate::audit::report::{Asked, DAYS_DEFAULT, DAYS_MAX, Report, TooLarge, Uses, report};
use crate::domain::model::command::{EnvironmentRef, PrincipalRef};
use crate::domain::model::principal::ActorCredential;
use crate::domain::model::time::{Instant, Revision, Span};
use crate::domain::state::view::View;
use crate::http::accept::FORMS_OF_REPORTS;
use crate::http::guard::AuditRequest;
use crate::http::input::{NoInput, NoPath};
use crate::http::journal;
use crate::http::params::Params;
use crate::http::problem::Problem;
use crate::http::request::{RequestedView, WorkspaceRequest};
use crate::http::response;
use crate::log::journal::AnswerForm;

/// What a report's page may do: as it says of itself, and what only a header can say. It runs nothing and loads nothing.
const PAGE_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
);

/// The path of a report.
#[derive(Debug, Deserialize)]
pub struct ReportPath {
    name: String,
}

/// Every report that can be asked for.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ReportsBody {
    /// The reports, in the order in which auditors go through them.
    pub items: Vec<ReportCard>,
}

/// Lists the reports. It says nothing of the workspace, so it is no reading of the audit.
pub async fn list(_: AuditRequest, _: NoPath, _: NoInput) -> HandlerResult {
    let items = ReportName::ALL.iter().map(|name| name.card()).collect();
    Ok(response::json(StatusCode::OK, response::to_json(&ReportsBody { items })?))
}

/// Gives a report in full.
pub async fn give(request: AuditRequest, path: ReportPath, mut params: Params) -> HandlerResult {
    let name = name(&path)?;
    let form = AnswerForm::negotiate(request.headers(), FORMS_OF_REPORTS)?;
    let RequestedView { view, pinned } = view(&request, &mut params, name)?;
    let (query, period) = query(params, name)?;
    let heading = Heading::new(name, &view, period, query);
    let mut asked = asked(&request, &heading, view.clone(), period)?;
    if !pinned && matches!(name, ReportName::ServiceUsers | ReportName::Dormant) {
        asked.uses = Some(uses(&request, view.clone()).await?);
    }
    let make = move || report(name, &asked).map(|made| Written::of(&made, &heading, form));
    let permit = request.permit()?;
    let made = permit.run_whole(&request.app.service, make).await?;
    let written = made.map_err(|too_large| refuse(name, too_large))??;
    permit.cover(written.bytes.len())?;
    journal::record(&request, &view, form, written.rows).await?;
    Ok(written.answer(&view, form))
}

fn name(path: &ReportPath) -> Result<ReportName, Problem> {
    let name = path.name.parse();
    name.map_err(|unknown: crate::audit::report::catalogue::UnknownReport| {
        Problem::new(StatusCode::NOT_FOUND, "not_found", unknown.to_string())
    })
}

/// The view that a report is of, and whether the caller named it.
fn view(request: &AuditRequest, params: &mut Params, name: ReportName) -> Result<RequestedView, Problem> {
    let requested = request.view(params)?;
    if requested.pinned && name.card().when == When::Now {
        return Err(Problem::invalid(format!(
            "`at`: the report `{name}` is about now only, since uses of credentials are not in the log and nobody \
             knows when they were last used as of another instant; leave it out"
        )));
    }
    Ok(requested)
}

/// What a report is asked with; what it cannot be asked with is left, and so refused.
fn query(mut params: Params, name: ReportName) -> Result<(ReportQuery, Period), Problem> {
    let mut query = ReportQuery::default();
    if name.takes(Parameter::Environment) {
        query.environment = params.text("environment");
    }
    if name.takes(Parameter::Principal) {
        query.principal = params.text("principal");
    }
    if name.takes(Parameter::Days) {
        query.days = Some(days(&mut params)?);
    }
    let mut period = Period::default();
    if name.card().when == When::Period {
        period = Period { from: params.value("from")?, until: params.value("until")? };
    }
    params.finish()?;
    Ok((query, period))
}

fn days(params: &mut Params) -> Result<u32, Problem> {
    let days: u32 = params.value("days")?.unwrap_or(DAYS_DEFAULT);
    if (1..=DAYS_MAX).contains(&days) {
        return Ok(days);
    }
    Err(Problem::invalid(format!("`days`: `{days}` is not from 1 to {DAYS_MAX}")))
}

/// What is asked, with names looked up: a period's in all that is known, an instant's as of that instant.
fn asked(request: &WorkspaceRequest, heading: &Heading, view: View, period: Period) -> Result<Asked, Problem> {
    let ReportQuery { environment, principal, days } = &heading.query;
    let span = Span::new(period.from, period.until)
        .map_err(|(from, until)| Problem::invalid(format!("`from`: `{from}` is later than `until`, `{until}`")))?;
    let environment = environment.as_deref().map(EnvironmentRef::from);
    let principal = principal.as_deref().map(PrincipalRef::from);
    check_ever(&request.now(), environment.as_ref(), principal.as_ref())?;
    let instant = view.instant();
    let named_in = match heading.period {
        Some(_) => span,
        None => Span::new(Some(instant), Some(instant.next())).unwrap_or(span),
    };
    Ok(Asked {
        environments: environment.map(|named| view.environments_within(&named, &named_in)),
        principals: principal.map(|named| view.principals_ever(&named)),
        days: days.unwrap_or(DAYS_DEFAULT),
        uses: None,
        view,
        span,
    })
}

/// Makes sure that what filters name is there or once was.
fn check_ever(
    now: &View,
    environment: Option<&EnvironmentRef>,
    principal: Option<&PrincipalRef>,
) -> Result<(), Problem> {
    if let Some(named) = environment.filter(|named| !now.environment_ever(named)) {
        return Err(Problem::not_found("environment", &named.0));
    }
    match principal.filter(|named| now.principals_ever(named).is_empty()) {
        Some(named) => Err(Problem::not_found("principal", &named.0)),
        None => Ok(()),
    }
}

/// When each live credential was last used: as it was noted, or for a change that the log has, which may have been recorded
/// elsewhere.
async fn uses(request: &WorkspaceRequest, view: View) -> Result<Uses, Problem> {
    let (service, permit) = (&request.app.service, request.permit()?);
    let (credentials, acts) =
        permit.run_whole(service, move || (Credentials::new(view.clone()).all().to_vec(), last_acts(&view))).await?;
    let ids = credentials.iter().copied().map(presented).collect();
    let used = service.last_used(ids).await?;
    let last = |(credential, used): (AnyCredential, Option<Instant>)| {
        let act = acts.get(&credential).copied();
        Some((credential, used.max(act)?))
    };
    Ok(credentials.into_iter().zip(used).filter_map(last).collect())
}

/// When each API token last made a change.
fn last_acts(view: &View) -> Uses {
    let events = view.workspace().events(Revision::ZERO, view.revision());
    let acts = events.filter_map(|event| match event.credential? {
        ActorCredential::Token(token) => Some((AnyCredential::Token(token), event.time)),
        ActorCredential::Operator => None,
    });
    acts.collect()
}

fn refuse(name: ReportName, too_large: TooLarge) -> Problem {
    let card = name.card();
    let period: &[&str] = if card.when == When::Period { &["from", "until"] } else { &[] };
    let filters = period.iter().copied().chain(card.parameters.iter().map(|parameter| parameter.as_str()));
    let filters: Vec<String> = filters.map(|filter| format!("`{filter}`")).collect();
    let detail = format!("the report `{name}` has {too_large}: narrow it with {}", filters.join(", "));
    Problem::too_large(detail)
}

/// A report in the form that was asked for.
struct Written {
    bytes: Vec<u8>,
    rows: usize,
    /// What a browser is to call the file that it makes of the report.
    disposition: Option<String>,
}

impl Written {
    fn of(made: &Report, heading: &Heading, form: AnswerForm) -> Result<Self, Problem> {
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

    fn answer(self, view: &View, form: AnswerForm) -> Response<Body> {
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
