//! The command line: one program that serves, imports, replays, and asks a running server.
//!
//! Commands that ask a server know only its HTTP API, never the data behind it. Output for others to read goes to stdout,
//! everything else to stderr; the exit code is 0, 1 where `check` is denied or `verify` finds something wrong, or 2 where something is wrong.

mod args;
mod audit;
mod backup;
mod bars;
mod causes;
mod check;
mod client;
mod credential;
mod credentials;
mod demo;
mod diff;
mod environment;
mod evidence;
mod export;
mod failure;
mod follow;
mod history;
mod import;
mod kind;
mod layout;
mod log_key;
mod log_keys;
mod names;
mod output;
mod rbac;
mod reads;
mod replay;
mod report;
mod resource;
mod serve;
mod served;
mod session;
mod tenures;
mod verdict;
mod verify;
mod what_if;
mod when;
mod workspace;

use std::process::ExitCode;

pub use verify::verify_folder;

use clap::{Args, CommandFactory, Parser, Subcommand};
use clap_complete::Shell;

use audit::{EventsArgs, ReachArgs, WhoArgs};
use check::CheckArgs;
use credential::{AccessKeyCommand, ProxyTokenCommand, TokenCommand};
use credentials::CredentialsArgs;
use diff::DiffArgs;
use environment::{EnvironmentCommand, GrantCommand};
use evidence::EvidenceArgs;
use failure::Failure;
use output::{Format, Output, remark};
use rbac::RbacCommand;
use reads::ReadsArgs;
use report::ReportArgs;
use resource::{ResourceCommand, ResourceTypeCommand};
use session::{Session, SessionArgs};
use what_if::WhatIfArgs;
use workspace::{MemberCommand, ServiceUserCommand, WorkspaceCommand};

/// The exit code where something is wrong.
const FAILED: u8 = 2;

const ABOUT: &str = "\
Event-sourced access management: who had access to what, when, why, and who decided.

A server keeps workspaces. In each there are members, service users and environments; every change is an event that \
is never altered, so any question can be asked about now or about any instant before.";

const FIRST_STEPS: &str = "\
First steps:
  tenure demo                                        a sample company, and a tour of questions
  tenure serve --data ./data                         a server of your own
  export TENURE_TOKEN_ID=operator TENURE_TOKEN_SECRET=\"$(cat ./data/operator.secret)\"
  tenure workspace create acme --owner alice
  tenure environment list
  tenure check user:alice deploy main --explain

Exit codes: 0 done or allowed, 1 denied (`check`) or flawed (`verify`), 2 something is wrong, said on stderr.";

#[derive(Debug, Parser)]
#[command(name = "tenure", version, about = ABOUT, after_help = FIRST_STEPS, max_term_width = 120)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::ServeArgs),
    Demo(demo::DemoArgs),
    Import(import::ImportArgs),
    Replay(replay::ReplayArgs),
    Backup(backup::BackupArgs),
    Key(log_key::KeyArgs),
    Export(export::ExportArgs),
    Verify(verify::VerifyArgs),
    /// Write a completion script for a shell to stdout
    #[command(after_help = "Example:\n  source <(tenure completions bash)")]
    Completions {
        /// Which shell
        shell: Shell,
    },
    #[command(flatten)]
    Ask(Box<Ask>),
}

/// What is asked of a running server.
#[derive(Debug, Subcommand)]
enum Ask {
    /// May SUBJECT do ACTION to RESOURCE? Exits with 0 if allowed, 1 if denied, 2 if it cannot be said
    Check(About<CheckArgs>),
    /// Who has access to an environment, or had it then or at any time of a span, and why
    Who(About<WhoArgs>),
    /// What a principal has access to, or had then or at any time of a span, and why
    Reach(About<ReachArgs>),
    /// Who gained and lost what between two instants, and by which events
    Diff(About<DiffArgs>),
    /// What credentials are live, or were then, and what each can do
    Credentials(About<CredentialsArgs>),
    /// Who would gain and lose what by a change, before it is made
    WhatIf(About<WhatIfArgs>),
    /// Reports for an audit, as a table, a page to print, CSV or JSON
    Report(About<ReportArgs>),
    /// What happened, in order: every change, who made it and why
    Events(About<EventsArgs>),
    /// Who read the audit: what they asked, and how much they were given
    Reads(About<ReadsArgs>),
    Evidence(About<EvidenceArgs>),
    /// Workspaces: the tenants of the instance
    Workspace(In<WorkspaceCommand>),
    /// Members: people in the workspace, each with a workspace role
    Member(In<MemberCommand>),
    /// Environments: isolated parts of the workspace, open to all in it unless restricted
    Environment(In<EnvironmentCommand>),
    /// Grants: roles of one's own in restricted environments
    Grant(In<GrantCommand>),
    /// Resource types: what can be done to resources, and which role it takes
    ResourceType(In<ResourceTypeCommand>),
    /// Resources: which environment each lives in, so that a question may name just the resource
    Resource(In<ResourceCommand>),
    /// Service users: programmatic identities of the workspace
    ServiceUser(In<ServiceUserCommand>),
    /// API tokens: each authenticates a member or a service user
    Token(In<TokenCommand>),
    /// Proxy tokens: each lets requests through to web functions
    ProxyToken(In<ProxyTokenCommand>),
    /// Access keys: credentials that ask but never change anything
    AccessKey(In<AccessKeyCommand>),
    /// Role-based access control: whether restrictions, grants and scopes are enforced
    Rbac(In<RbacCommand>),
}

// What these two are for stands with each variant above, where help shows it.
#[derive(Debug, Args)]
struct About<T: Args> {
    #[command(flatten)]
    args: T,
    #[command(flatten)]
    session: SessionArgs,
}

#[derive(Debug, Args)]
struct In<T: Subcommand> {
    #[command(subcommand)]
    command: T,
    #[command(flatten)]
    session: SessionArgs,
}

/// Does what the arguments say; the exit code says how it went.
pub fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help that nobody reads is no failure.
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(FAILED) } else { ExitCode::SUCCESS };
        }
    };
    cli.command.run().unwrap_or_else(|failure| report(&failure))
}

fn report(failure: &Failure) -> ExitCode {
    if matches!(failure, Failure::Closed) {
        return ExitCode::SUCCESS;
    }
    remark(&format!("error: {failure}"));
    if let Some(advice) = failure.advice() {
        remark(advice);
    }
    ExitCode::from(FAILED)
}

impl Command {
    fn run(self) -> Result<ExitCode, Failure> {
        match self {
            Self::Serve(args) => done(serve::serve(args)),
            Self::Demo(args) => done(demo::demo(&args)),
            Self::Import(args) => done(import::import(&args)),
            Self::Replay(args) => done(replay::replay(&args)),
            Self::Backup(args) => done(backup::backup(&args)),
            Self::Key(args) => done(log_key::key(&args)),
            Self::Export(args) => done(export::export(&args)),
            Self::Verify(args) => verify::verify(&args),
            Self::Completions { shell } => done(completions(shell)),
            Self::Ask(ask) => ask.run(Session::open),
        }
    }
}

fn done(result: Result<(), Failure>) -> Result<ExitCode, Failure> {
    result.map(|()| ExitCode::SUCCESS)
}

fn completions(shell: Shell) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "tenure", &mut script);
    let mut out = Output::stdout(Format::Table);
    out.bytes(&script)?;
    out.flush()
}

type Open<'a> = &'a dyn Fn(SessionArgs) -> Result<Session, Failure>;

impl Ask {
    /// Asks in the session that `open` makes of the arguments.
    fn run(self, open: impl Fn(SessionArgs) -> Result<Session, Failure>) -> Result<ExitCode, Failure> {
        let open: Open<'_> = &open;
        match self {
            Self::Check(About { args, session }) => within(open, session, |session| check::check(session, &args)),
            Self::Who(About { args, session }) => within(open, session, |session| done(audit::who(session, &args))),
            Self::Reach(About { args, session }) => within(open, session, |session| done(audit::reach(session, &args))),
            Self::Diff(About { args, session }) => within(open, session, |session| done(diff::diff(session, &args))),
            Self::Credentials(About { args, session }) => {
                within(open, session, |session| done(credentials::credentials(session, &args)))
            }
            Self::WhatIf(About { args, session }) => {
                within(open, session, |session| done(what_if::what_if(session, &args)))
            }
            Self::Report(About { args, session }) => {
                answer(open, session, |session| done(report::report(session, &args)))
            }
            Self::Events(About { args, session }) => {
                within(open, session, |session| done(audit::events(session, &args)))
            }
            Self::Reads(About { args, session }) => within(open, session, |session| done(reads::reads(session, &args))),
            Self::Evidence(About { args, session }) => {
                within(open, session, |session| done(evidence::evidence(session, &args)))
            }
            Self::Workspace(group) => group.run(open, workspace::workspace),
            Self::Member(group) => group.run(open, workspace::member),
            Self::ServiceUser(group) => group.run(open, workspace::service_user),
            Self::Environment(group) => group.run(open, environment::environment),
            Self::Grant(group) => group.run(open, environment::grant),
            Self::ResourceType(group) => group.run(open, resource::resource_type),
            Self::Resource(group) => group.run(open, resource::resource),
            Self::Token(group) => group.run(open, credential::token),
            Self::ProxyToken(group) => group.run(open, credential::proxy_token),
            Self::AccessKey(group) => group.run(open, credential::access_key),
            Self::Rbac(group) => group.run(open, rbac::rbac),
        }
    }
}

impl<T: Subcommand> In<T> {
    fn run(self, open: Open<'_>, run: fn(&mut Session, T) -> Result<(), Failure>) -> Result<ExitCode, Failure> {
        within(open, self.session, |session| done(run(session, self.command)))
    }
}

/// As [`answer`], for what has no page to print.
fn within(
    open: Open<'_>,
    session: SessionArgs,
    run: impl FnOnce(&mut Session) -> Result<ExitCode, Failure>,
) -> Result<ExitCode, Failure> {
    session.output.check_common()?;
    answer(open, session, run)
}

fn answer(
    open: Open<'_>,
    session: SessionArgs,
    run: impl FnOnce(&mut Session) -> Result<ExitCode, Failure>,
) -> Result<ExitCode, Failure> {
    let mut session = open(session)?;
    let code = run(&mut session)?;
    session.out.flush()?;
    Ok(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }
}
