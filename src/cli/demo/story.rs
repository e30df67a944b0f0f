//! The year of a sample company, made by commands through the service's writer.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::clock::ScriptedClock;
use crate::cli::failure::Failure;
use crate::clock::{Clock, SystemClock};
use crate::domain::model::command::Command;
use crate::domain::model::event::EventData;
use crate::domain::model::id::{TokenId, WorkspaceId};
use crate::domain::model::name::Reason;
use crate::domain::model::principal::{Caller, Principal};
use crate::domain::model::shape::ShapeError;
use crate::domain::model::time::Instant;
use crate::service::Service;
use crate::service::submission::{Accepted, Submission, SubmitOutcome};

const MINUTE: i64 = 60 * 1_000_000;
const DAY: i64 = 24 * 60 * MINUTE;

/// The workspace of the story.
pub(super) const WORKSPACE: &str = "acme";
/// The day, counted back from today, on which the person on call got access to production for two weeks.
const ON_CALL_DAYS: i64 = 180;
/// The day, counted back from today, on which a leaked token was used and then revoked.
const LEAK_DAYS: i64 = 90;
/// The day, counted back from today, on which someone left.
const LEAVING_DAYS: i64 = 60;

/// The facts of the story that the tour's questions refer to.
#[derive(Debug)]
pub(super) struct Story {
    /// An instant at which the person on call had access.
    pub(super) on_call: Instant,
    /// An instant at which somebody else used the leaked token.
    pub(super) night: Instant,
    /// The day before someone left.
    pub(super) before_leaving: Instant,
    /// The token that leaked.
    pub(super) leaked: String,
}

/// One change of the scenario: its time, actor, reason and commands, and a name for the token that it issues.
struct Chapter {
    days_ago: i64,
    minute_of_day: i64,
    actor: &'static str,
    reason: &'static str,
    commands: Value,
    makes: Option<&'static str>,
}

fn chapter(days_ago: i64, time: (i64, i64), actor: &'static str, reason: &'static str, commands: Value) -> Chapter {
    Chapter { days_ago, minute_of_day: time.0 * 60 + time.1, actor, reason, commands, makes: None }
}

impl Chapter {
    const fn makes(mut self, name: &'static str) -> Self {
        self.makes = Some(name);
        self
    }
}

/// The scenario: a year of commands that ends the day before today.
pub(super) struct Scenario<'a> {
    clock: &'a ScriptedClock,
    today: i64,
    tokens: HashMap<&'static str, (Principal, TokenId)>,
}

impl<'a> Scenario<'a> {
    /// Makes a scenario that ends the day before today.
    pub(super) fn new(clock: &'a ScriptedClock) -> Self {
        let now = SystemClock.now().micros();
        Self { clock, today: now - now.rem_euclid(DAY), tokens: HashMap::new() }
    }

    /// Submits every command, and returns the facts that the tour needs.
    pub(super) async fn play(mut self, service: &Service) -> Result<Story, Failure> {
        let workspace = self.found(service).await?;
        for chapter in [first_months(self.today), middle(self.today), last_months(self.today)].into_iter().flatten() {
            self.play_chapter(service, Some(workspace), chapter).await?;
        }
        let leaked = self.tokens.get("ben-laptop").map(|(_, token)| token.to_string()).unwrap_or_default();
        Ok(Story {
            on_call: self.instant(ON_CALL_DAYS - 6, 0),
            night: self.instant(LEAK_DAYS, 4 * 60),
            before_leaving: self.instant(LEAVING_DAYS + 1, 0),
            leaked,
        })
    }

    fn instant(&self, days_ago: i64, minute_of_day: i64) -> Instant {
        Instant::from_micros(self.today - days_ago * DAY + minute_of_day * MINUTE)
    }

    /// Creates the workspace as the operator, with the owner's token.
    async fn found(&mut self, service: &Service) -> Result<WorkspaceId, Failure> {
        let owner = json!({ "user": "alice", "name": "Alice Ito", "email": "alice@acme.example" });
        let made = json!({ "name": WORKSPACE, "kind": "shared", "plan": "team", "owner": owner });
        let command = ShapeError::read(made).map(Command::CreateWorkspace).map_err(broken)?;
        self.clock.set(self.instant(365, 9 * 60));
        let accepted = submit(service, None, Caller::Operator, vec![command], "contract C-2211").await?;
        self.remember("alice", &accepted);
        Ok(accepted.view.workspace().id())
    }

    async fn play_chapter(
        &mut self,
        service: &Service,
        workspace: Option<WorkspaceId>,
        chapter: Chapter,
    ) -> Result<(), Failure> {
        self.clock.set(self.instant(chapter.days_ago, chapter.minute_of_day));
        let caller = match self.tokens.get(chapter.actor) {
            Some((principal, token)) => Caller::Principal { principal: principal.clone(), token: *token },
            None => Caller::Operator,
        };
        let commands = self.commands(chapter.commands)?;
        let accepted = submit(service, workspace, caller, commands, chapter.reason).await?;
        if let Some(name) = chapter.makes {
            self.remember(name, &accepted);
        }
        Ok(())
    }

    /// Reads the commands, and replaces `$NAME` by the id of the token with that name.
    fn commands(&self, commands: Value) -> Result<Vec<Command>, Failure> {
        let Value::Array(commands) = commands else { return Ok(Vec::new()) };
        let mut read = Vec::new();
        for mut command in commands {
            let name = command.get("token").and_then(Value::as_str).and_then(|token| token.strip_prefix('$'));
            if let Some((_, token)) = name.and_then(|name| self.tokens.get(name)) {
                let token = json!(token);
                command.as_object_mut().map(|fields| fields.insert("token".to_owned(), token));
            }
            read.push(Command::from_value(command).map_err(broken)?);
        }
        Ok(read)
    }

    fn remember(&mut self, name: &'static str, accepted: &Accepted) {
        let issued = accepted.decided.events.iter().find_map(|event| match &event.data {
            EventData::TokenIssued(id, terms) => Some((terms.holder.clone(), *id)),
            _ => None,
        });
        self.tokens.extend(issued.map(|token| (name, token)));
    }
}

fn broken(error: impl std::fmt::Display) -> Failure {
    Failure::usage(format!("the sample company cannot be set up: {error}"))
}

async fn submit(
    service: &Service,
    workspace: Option<WorkspaceId>,
    caller: Caller,
    commands: Vec<Command>,
    reason: &str,
) -> Result<Accepted, Failure> {
    let reason: Reason = reason.parse()?;
    let reason = (!reason.as_str().is_empty()).then_some(reason);
    let submission = Submission { workspace, caller, commands, reason, expected: None, idempotency: None, bytes: None };
    match service.submit(submission).await.map_err(broken)? {
        SubmitOutcome::Done(accepted) => Ok(*accepted),
        SubmitOutcome::Repeated(_) => Err(broken("it exists already")),
    }
}

fn hire(user: &str, name: &str, role: &str) -> Value {
    let email = format!("{user}@acme.example");
    json!({ "type": "member.add", "user": user, "role": role, "name": name, "email": email })
}

fn give(environment: &str, principal: &str, role: &str) -> Value {
    json!({ "type": "grant.set", "environment": environment, "principal": principal, "role": role })
}

/// Returns the first months: the company is small, and production is restricted from its creation.
fn first_months(today: i64) -> Vec<Chapter> {
    let on_call_end = Instant::from_micros(today - (ON_CALL_DAYS - 14) * DAY + 8 * 60 * MINUTE);
    vec![
        chapter(365, (9, 30), "alice", "contract C-2211", json!([{ "type": "rbac.enable" }])),
        chapter(
            364,
            (10, 0),
            "alice",
            "HR-1: the first team",
            json!([
                hire("ben", "Ben Achebe", "manager"),
                hire("chloe", "Chloe Martin", "member"),
                hire("dev", "Dev Rao", "member"),
            ]),
        ),
        chapter(364, (10, 5), "alice", "a first token for ben", json!([{ "type": "token.issue", "user": "ben" }]))
            .makes("ben"),
        chapter(
            350,
            (14, 0),
            "ben",
            "OPS-3: environments",
            json!([
                { "type": "service_user.create", "name": "deploy-bot" },
                { "type": "environment.create", "name": "staging" },
                { "type": "environment.create", "name": "prod", "restricted": true,
                  "grants": [{ "principal": "service_user:deploy-bot", "role": "contributor" }] },
            ]),
        ),
        chapter(
            330,
            (9, 15),
            "ben",
            "HR-4: two hires",
            json!([hire("erin", "Erin Walsh", "member"), hire("farid", "Farid Haddad", "member"),]),
        ),
        chapter(
            300,
            (11, 0),
            "ben",
            "OPS-12: chloe and farid run production",
            json!([give("prod", "user:chloe", "contributor"), give("prod", "user:farid", "contributor"),]),
        ),
        chapter(
            ON_CALL_DAYS,
            (8, 0),
            "ben",
            "OPS-77: dev is on call for two weeks",
            json!([
                { "type": "grant.set", "environment": "prod", "principal": "user:dev", "role": "contributor",
                  "expires_at": on_call_end },
            ]),
        ),
        // No command: at this time the grant of the person on call expires.
        chapter(ON_CALL_DAYS - 14, (8, 1), "operator", "", json!([])),
    ]
}

/// Returns the middle of the year: a larger plan, a private environment, a promotion.
fn middle(_today: i64) -> Vec<Chapter> {
    vec![
        chapter(160, (15, 0), "operator", "contract C-2307", json!([{ "type": "plan.change", "plan": "enterprise" }])),
        chapter(
            155,
            (16, 20),
            "alice",
            "SEC-31: card data is private",
            json!([
                { "type": "environment.create", "name": "payments", "restricted": true, "default_role": "no_access",
                  "grants": [{ "principal": "user:erin", "role": "contributor" },
                             { "principal": "service_user:deploy-bot", "role": "contributor" }] },
            ]),
        ),
        chapter(
            130,
            (9, 0),
            "alice",
            "HR-19: chloe leads the platform team",
            json!([
                { "type": "member.change_role", "user": "chloe", "role": "manager" },
            ]),
        ),
        chapter(121, (12, 0), "ben", "a token for ben's laptop", json!([{ "type": "token.issue", "user": "ben" }]))
            .makes("ben-laptop"),
    ]
}

/// Returns the last months: a token leaks and is revoked, someone leaves, auditors come.
fn last_months(today: i64) -> Vec<Chapter> {
    let review_end = Instant::from_micros(today + 20 * DAY);
    vec![
        chapter(
            LEAK_DAYS,
            (3, 12),
            "ben-laptop",
            "",
            json!([{ "type": "member.add", "user": "temp-4711", "role": "member" }, give("payments", "user:temp-4711", "contributor"),]),
        ),
        chapter(
            LEAK_DAYS,
            (8, 40),
            "alice",
            "INC-9: ben's laptop token was in a public build log",
            json!([
                { "type": "token.revoke", "token": "$ben-laptop" }, { "type": "member.remove", "user": "temp-4711" },
            ]),
        ),
        chapter(
            LEAVING_DAYS,
            (17, 0),
            "alice",
            "HR-27: farid leaves",
            json!([
                { "type": "member.remove", "user": "farid" },
            ]),
        ),
        chapter(
            40,
            (10, 0),
            "alice",
            "OPS-102: the checkout page",
            json!([
                { "type": "proxy_token.create", "environments": ["prod"] },
            ]),
        ),
        chapter(
            30,
            (10, 0),
            "alice",
            "AUD-1: yearly audit",
            json!([
                { "type": "access_key.issue", "role": "auditor", "label": "yearly audit" },
            ]),
        ),
        chapter(
            10,
            (13, 0),
            "alice",
            "OPS-118: erin reviews production until the release",
            json!([
                { "type": "grant.set", "environment": "prod", "principal": "user:erin", "role": "contributor",
                  "expires_at": review_end },
            ]),
        ),
    ]
}
