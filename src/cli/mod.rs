//! The command line: one program for servers, imports, replays and clients.
//!
//! Client commands know only the HTTP API, never the data behind it. Results go to stdout, everything else to stderr.
//! The exit code is 0 on success, 1 if `check` is denied or `verify` finds a flaw, and 2 on an error.

mod args;
mod audit;
mod backup;
mod causes;
mod check;
mod client;
mod credential;
mod credentials;
mod demo;
mod diff;
mod entity_columns;
mod environment;
mod evidence;
mod export;
mod failure;
mod follow;
mod gantt;
mod history;
mod import;
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
mod time_args;
mod verdict;
mod verify;
mod what_if;
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

/// The exit code of an error.
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

Exit codes: 0 done or allowed, 1 denied (`check`) or flawed (`verify`), 2 an error, reported on stderr.";

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
        /// The shell
        shell: Shell,
    },
    #[command(flatten)]
    Client(Box<ClientCommand>),
}

/// The commands for a running server.
#[derive(Debug, Subcommand)]
enum ClientCommand {
    /// Check whether SUBJECT may do ACTION to RESOURCE. Exits with 0 if allowed, 1 if denied, 2 on an error
    Check(WithSession<CheckArgs>),
    /// Show who has access to an environment, now, at an instant or over a span, and why
    Who(WithSession<WhoArgs>),
    /// Show the environments that a principal has access to, now, at an instant or over a span, and why
    Reach(WithSession<ReachArgs>),
    /// Show the access gained and lost between two instants, and the events behind it
    Diff(WithSession<DiffArgs>),
    /// Show the live credentials, now or at an instant, and the permissions of each
    Credentials(WithSession<CredentialsArgs>),
    /// Show the access that a change would give and take, before it is made
    WhatIf(WithSession<WhatIfArgs>),
    /// Write reports for an audit, as a table, a page to print, CSV or JSON
    Report(WithSession<ReportArgs>),
    /// Show the events in order: each change, its actor and its reason
    Events(WithSession<EventsArgs>),
    /// Show who read the audit: their questions, and the number of rows they received
    Reads(WithSession<ReadsArgs>),
    Evidence(WithSession<EvidenceArgs>),
    /// Workspaces: the tenants of the instance
    Workspace(GroupWithSession<WorkspaceCommand>),
    /// Members: people in the workspace, each with a workspace role
    Member(GroupWithSession<MemberCommand>),
    /// Environments: isolated parts of the workspace, open to every principal unless restricted
    Environment(GroupWithSession<EnvironmentCommand>),
    /// Grants: roles of single principals in restricted environments
    Grant(GroupWithSession<GrantCommand>),
    /// Resource types: the actions on resources, and the role that each requires
    ResourceType(GroupWithSession<ResourceTypeCommand>),
    /// Resources: the environment of each, so that a question may name just the resource
    Resource(GroupWithSession<ResourceCommand>),
    /// Service users: programmatic identities of the workspace
    ServiceUser(GroupWithSession<ServiceUserCommand>),
    /// API tokens: each authenticates a member or a service user
    Token(GroupWithSession<TokenCommand>),
    /// Proxy tokens: each authorises requests to web functions
    ProxyToken(GroupWithSession<ProxyTokenCommand>),
    /// Access keys: credentials that read but never change anything
    AccessKey(GroupWithSession<AccessKeyCommand>),
    /// Role-based access control: whether restrictions, grants and scopes are enforced
    Rbac(GroupWithSession<RbacCommand>),
}

// No doc comments here: help shows those of the variants above.
#[derive(Debug, Args)]
struct WithSession<T: Args> {
    #[command(flatten)]
    args: T,
    #[command(flatten)]
    session: SessionArgs,
}

#[derive(Debug, Args)]
struct GroupWithSession<T: Subcommand> {
    #[command(subcommand)]
    command: T,
    #[command(flatten)]
    session: SessionArgs,
}

/// Runs the command of the process's arguments, and returns the exit code.
pub fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Failing to print help is not an error.
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
            Self::Client(command) => command.run(Session::open),
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

impl ClientCommand {
    /// Runs the command in the session that `open` makes.
    fn run(self, open: impl Fn(SessionArgs) -> Result<Session, Failure>) -> Result<ExitCode, Failure> {
        let open: Open<'_> = &open;
        match self {
            Self::Check(WithSession { args, session }) => {
                run_without_html(open, session, |session| check::check(session, &args))
            }
            Self::Who(WithSession { args, session }) => {
                run_without_html(open, session, |session| done(audit::who(session, &args)))
            }
            Self::Reach(WithSession { args, session }) => {
                run_without_html(open, session, |session| done(audit::reach(session, &args)))
            }
            Self::Diff(WithSession { args, session }) => {
                run_without_html(open, session, |session| done(diff::diff(session, &args)))
            }
            Self::Credentials(WithSession { args, session }) => {
                run_without_html(open, session, |session| done(credentials::credentials(session, &args)))
            }
            Self::WhatIf(WithSession { args, session }) => {
                run_without_html(open, session, |session| done(what_if::what_if(session, &args)))
            }
            Self::Report(WithSession { args, session }) => {
                run_in_session(open, session, |session| done(report::report(session, &args)))
            }
            Self::Events(WithSession { args, session }) => {
                run_without_html(open, session, |session| done(audit::events(session, &args)))
            }
            Self::Reads(WithSession { args, session }) => {
                run_without_html(open, session, |session| done(reads::reads(session, &args)))
            }
            Self::Evidence(WithSession { args, session }) => {
                run_without_html(open, session, |session| done(evidence::evidence(session, &args)))
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

impl<T: Subcommand> GroupWithSession<T> {
    fn run(self, open: Open<'_>, run: fn(&mut Session, T) -> Result<(), Failure>) -> Result<ExitCode, Failure> {
        run_without_html(open, self.session, |session| done(run(session, self.command)))
    }
}

/// Runs a command in a session, as [`run_in_session`] does, and refuses the output `html`.
fn run_without_html(
    open: Open<'_>,
    session: SessionArgs,
    run: impl FnOnce(&mut Session) -> Result<ExitCode, Failure>,
) -> Result<ExitCode, Failure> {
    session.output.check_common()?;
    run_in_session(open, session, run)
}

fn run_in_session(
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
