//! `tenure who`, `tenure reach` and `tenure events`: who had access to what, and what happened.

use clap::Args;
use serde_json::Value;

use super::args::AtArgs;
use super::client::Query;
use super::entity_columns::{EVENT, REACH, WHO};
use super::failure::Failure;
use super::follow::follow;
use super::names::EntityNames;
use super::output::{Format, cell_text, remark};
use super::session::{Session, has_more, items};
use super::tenures::{self, RowLabel, SpanArgs};
use super::time_args::PointInTime;

const ACCESS: [&str; 2] = ["audit", "access"];

#[derive(Debug, Args)]
pub(super) struct WhoArgs {
    /// The environment, by name or id
    environment: String,
    #[command(flatten)]
    at: AtArgs,
    #[command(flatten)]
    span: SpanArgs,
}

#[derive(Debug, Args)]
pub(super) struct ReachArgs {
    /// `user:ID` or `service_user:NAME`
    principal: String,
    #[command(flatten)]
    at: AtArgs,
    #[command(flatten)]
    span: SpanArgs,
}

#[derive(Debug, Args)]
pub(super) struct EventsArgs {
    /// Only events of this type, such as `grant.added`
    #[arg(long = "type", value_name = "TYPE")]
    event_type: Option<String>,
    /// Only events about this: an id, or `user:ID`
    #[arg(long)]
    subject: Option<String>,
    /// Only changes by this actor: `operator`, `system`, `user:ID` or `service_user:NAME`
    #[arg(long)]
    actor: Option<String>,
    /// Only changes made with this credential: an API token's id, or `operator`
    #[arg(long, value_name = "ID")]
    credential: Option<String>,
    /// Only events about this environment, by name or id
    #[arg(long, value_name = "ENV")]
    environment: Option<String>,
    /// Only events about this principal: `user:ID` or `service_user:NAME`
    #[arg(long)]
    principal: Option<String>,
    /// Only events after this revision
    #[arg(long, value_name = "REVISION")]
    after: Option<u64>,
    /// Only events at or after this: an instant, or a date (its midnight in UTC)
    #[arg(long, value_name = "WHEN")]
    from: Option<PointInTime>,
    /// Only events before this: an instant, or a date (its midnight in UTC)
    #[arg(long, value_name = "WHEN")]
    until: Option<PointInTime>,
    /// The number of events to show, oldest first
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: usize,
    /// Show all events
    #[arg(long, conflicts_with = "limit")]
    all: bool,
    /// Show all events, then new ones as they happen, until Ctrl-C; with JSON, one event a line
    #[arg(long, short, conflicts_with_all = ["limit", "all"])]
    follow: bool,
}

impl WhoArgs {
    /// Returns the path of the list and the query.
    pub(super) fn question(&self, session: &mut Session) -> Result<([&'static str; 2], Query), Failure> {
        let query = self.at.query().with("environment", Some(&self.environment));
        question(session, query, &self.span)
    }
}

impl ReachArgs {
    /// Returns the path of the list and the query.
    pub(super) fn question(&self, session: &mut Session) -> Result<([&'static str; 2], Query), Failure> {
        let query = self.at.query().with("principal", Some(&self.principal));
        question(session, query, &self.span)
    }
}

fn question(session: &mut Session, query: Query, span: &SpanArgs) -> Result<([&'static str; 2], Query), Failure> {
    if span.is_given()? { Ok((tenures::TENURES, span.query(session, query)?)) } else { Ok((ACCESS, query)) }
}

pub(super) fn who(session: &mut Session, args: &WhoArgs) -> Result<(), Failure> {
    let query = args.at.query().with("environment", Some(&args.environment));
    if args.span.is_given()? {
        let list = tenures::show(session, query, &args.span, RowLabel::ByPrincipal)?;
        return show_view(session, &list);
    }
    let list = session.get_all(&ACCESS, &query)?;
    let there = !items(&list).is_empty() || session.get(&["environments", &args.environment], &args.at.query()).is_ok();
    let nobody = if there { "nobody has access to it" } else { "no environment of that name or id was there then" };
    session.show_list(&list, &WHO, nobody)?;
    show_view(session, &list)
}

pub(super) fn reach(session: &mut Session, args: &ReachArgs) -> Result<(), Failure> {
    let query = args.at.query().with("principal", Some(&args.principal));
    if args.span.is_given()? {
        let list = tenures::show(session, query, &args.span, RowLabel::ByEnvironment)?;
        return show_view(session, &list);
    }
    let list = session.get_all(&ACCESS, &query)?;
    session.show_list(&list, &REACH, "there is nothing that they have access to")?;
    show_view(session, &list)
}

/// Prints the instant and the revision of the view, so that the question can be repeated.
pub(super) fn show_view(session: &mut Session, list: &Value) -> Result<(), Failure> {
    if session.out.format != Format::Table || list.get("revision").is_none() {
        return Ok(());
    }
    let (revision, at) = (cell_text(list, "revision"), cell_text(list, "at"));
    session.out.words(&format!("as of {at}, revision {revision}"))
}

pub(super) fn events(session: &mut Session, args: &EventsArgs) -> Result<(), Failure> {
    let query = Query::default()
        .with("type", args.event_type.as_ref())
        .with("subject", args.subject.as_ref())
        .with("actor", args.actor.as_ref())
        .with("credential", args.credential.as_ref())
        .with("environment", args.environment.as_ref())
        .with("principal", args.principal.as_ref())
        .with("after", args.after)
        .with("from", args.from)
        .with("until", args.until);
    if args.follow {
        return follow(session, query);
    }
    let path = session.path(&["events"])?;
    let enough = if args.all { usize::MAX } else { args.limit.max(1) };
    let list = session.get_pages(&path, &query, enough)?;
    show_events(session, &list)?;
    session.out.flush()?;
    if has_more(&list) {
        let shown = items(&list).len();
        remark(&format!("the first {shown} are shown: use `--all`, or a larger `--limit`, for more"));
    }
    Ok(())
}

/// Shows a list of events; tables have names in place of ids.
fn show_events(session: &mut Session, list: &Value) -> Result<(), Failure> {
    let nothing = "nothing of the kind happened";
    if session.out.format != Format::Table || items(list).is_empty() {
        return session.show_list(list, &EVENT, nothing);
    }
    let mut names = EntityNames::default();
    for event in items(list) {
        names.learn(event);
    }
    let names = names.overlaid_with(EntityNames::of(session));
    let events: Vec<Value> = items(list).iter().map(|event| names.put(event)).collect();
    let rows = EVENT.rows(session.out.format, &events);
    session.out.list(list, &rows, nothing)
}
