//! Who has access to what, and why.

use schemars::JsonSchema;
use serde::Serialize;

use super::Answered;
use crate::domain::access::{Access, access};
use crate::domain::command::{EnvironmentRef, PrincipalRef};
use crate::domain::id::{EnvironmentId, EventId, WorkspaceId};
use crate::domain::name::{EnvironmentName, Reason};
use crate::domain::principal::{Actor, Principal};
use crate::domain::role::EnvironmentRole;
use crate::domain::time::{Instant, Revision};
use crate::domain::view::{EnvironmentView, View};
use crate::http::answer::{self, Page, Paging};
use crate::http::asked::InWorkspace;
use crate::http::entity::principal_name;
use crate::http::journal;
use crate::http::problem::Problem;
use crate::log::journal::AnswerForm;

/// An event that an answer rests on. Who made it and why is told only to those who may read the audit.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Evidence {
    /// Its id.
    pub event: EventId,
    /// Its number in the log.
    pub revision: Revision,
    /// Its type.
    #[serde(rename = "type")]
    pub event_type: &'static str,
    /// When it happened.
    pub time: Instant,
    /// Who made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor: Option<Actor>,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
}

/// The events of revisions, with who made them and why if the reader may know.
pub fn evidence(view: &View, revisions: &[Revision], audits: bool) -> Vec<Evidence> {
    let events = revisions.iter().filter_map(|revision| view.event(*revision));
    events
        .map(|event| Evidence {
            event: event.id,
            revision: event.revision,
            event_type: event.data.type_name(),
            time: event.time,
            actor: audits.then(|| event.actor.clone()),
            reason: event.reason.clone().filter(|_| audits),
        })
        .collect()
}

/// A principal's access to an environment.
#[derive(Debug, Serialize, JsonSchema)]
pub struct AccessRow {
    /// Who.
    pub principal: Principal,
    /// What they are called.
    pub principal_name: String,
    /// To what.
    pub environment: EnvironmentId,
    /// What that is called.
    pub environment_name: EnvironmentName,
    /// The role, above `no_access`.
    pub role: EnvironmentRole,
    /// The stable name of the rule that gives it.
    pub rule: &'static str,
    /// Since when role and rule have held.
    pub since: Instant,
    /// The events that it rests on.
    pub evidence: Vec<Evidence>,
}

/// What a question about access asked for.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct AccessQuery {
    /// Only this environment.
    pub environment: Option<String>,
    /// Only this principal.
    pub principal: Option<String>,
}

/// A page of access, with what makes it possible to ask again.
#[derive(Debug, Serialize, JsonSchema)]
pub struct AccessBody {
    /// Whose.
    pub workspace: WorkspaceId,
    /// The revision judged at.
    pub revision: Revision,
    /// The instant judged at.
    pub at: Instant,
    /// What was asked for.
    pub query: AccessQuery,
    /// The rows.
    #[serde(flatten)]
    pub page: Page<AccessRow>,
}

/// Lists who has access to what, as of any instant.
pub async fn access_list(mut request: InWorkspace) -> Answered {
    request.reads_all()?;
    let paging = Paging::of(&mut request)?;
    let environment = request.asked.params.text("environment");
    let principal = request.asked.params.text("principal");
    std::mem::take(&mut request.asked.params).finish()?;
    let view = &paging.view;
    let now = request.now();
    let environments = environments(view, &now, environment.as_deref())?;
    let principals = principals(view, &now, principal.as_deref())?;
    let pairs = environments.iter().flat_map(|place| principals.iter().map(move |principal| (place, principal)));
    let page = paging.pick(pairs, |(place, principal)| row(view, place, principal));
    let body = AccessBody {
        workspace: view.workspace().id(),
        revision: view.revision(),
        at: view.instant(),
        query: AccessQuery { environment, principal },
        page,
    };
    journal::record(&request, view, AnswerForm::Json, body.page.items.len()).await?;
    answer::about(view, &body)
}

fn row(view: &View, place: &EnvironmentView<'_>, principal: &Principal) -> Option<AccessRow> {
    let Access { role, rule, since, evidence: revisions } = access(view, place, principal);
    (role > EnvironmentRole::NoAccess).then(|| AccessRow {
        principal: principal.clone(),
        principal_name: principal_name(view, principal),
        environment: place.id,
        environment_name: place.name.clone(),
        role,
        rule: rule.as_str(),
        since,
        evidence: evidence(view, &revisions, true),
    })
}

/// The environments that a filter names in the view: none if what it names is not there at that time, an error if it never was.
fn environments<'a>(view: &'a View, now: &View, named: Option<&str>) -> Result<Vec<EnvironmentView<'a>>, Problem> {
    let Some(named) = named else { return Ok(view.environments().collect()) };
    let reference: EnvironmentRef = named.into();
    match view.find_environment(&reference) {
        Ok(found) => Ok(vec![found]),
        Err(_) if now.environment_ever(&reference) => Ok(Vec::new()),
        Err(rejection) => Err(rejection.into()),
    }
}

fn principals(view: &View, now: &View, named: Option<&str>) -> Result<Vec<Principal>, Problem> {
    let Some(named) = named else { return Ok(view.principals().collect()) };
    let reference: PrincipalRef = named.into();
    match view.find_principal(&reference) {
        Ok(found) => Ok(vec![found]),
        Err(_) if !now.principals_ever(&reference).is_empty() => Ok(Vec::new()),
        Err(rejection) => Err(rejection.into()),
    }
}
