//! The tour: questions about the sample company, each with its command and its answer.

use std::path::PathBuf;

use clap::Parser;

use super::story::{Story, WORKSPACE};
use crate::cli::client::Client;
use crate::cli::failure::Failure;
use crate::cli::output::{Format, Output};
use crate::cli::session::Session;
use crate::cli::{Cli, Command};
use crate::config::OPERATOR_SECRET_FILE;
use crate::domain::model::time::Instant;
use crate::service::id_generator::Secret;

/// A tour of the running demo.
pub(super) struct Tour {
    /// The address of the demo's server.
    pub(super) url: String,
    /// The operator's secret.
    pub(super) operator: Secret,
    /// The data folder.
    pub(super) folder: PathBuf,
    /// The facts that the questions refer to.
    pub(super) story: Story,
}

fn date(instant: Instant) -> String {
    instant.to_string().chars().take("2026-03-01".len()).collect()
}

/// Formats an instant to the minute.
fn minute(instant: Instant) -> String {
    format!("{}:00Z", instant.to_string().chars().take("2026-03-01T09:30".len()).collect::<String>())
}

impl Tour {
    /// Runs every question, then prints how to continue.
    pub(super) fn tour(&self) -> Result<(), Failure> {
        let mut out = Output::stdout(Format::Table);
        out.heading("Acme: a year of changes, as a server has them.")?;
        for (question, command) in self.questions() {
            out.line("")?;
            out.heading(&question)?;
            out.line(&format!("$ tenure {command}"))?;
            out.flush()?;
            self.ask(&command)?;
        }
        self.say_how_to_go_on(&mut out)?;
        out.flush()
    }

    fn questions(&self) -> Vec<(String, String)> {
        let Story { on_call, night, before_leaving, leaked } = &self.story;
        let (on_call, night, before_leaving) = (date(*on_call), minute(*night), date(*before_leaving));
        let questions = [
            ("Who can deploy to prod now? Contributors can.".to_owned(), "who prod".to_owned()),
            (format!("Who could on {on_call}?"), format!("who prod --at {on_call}")),
            ("Why could dev, then?".to_owned(), format!("check user:dev deploy prod --at {on_call} --explain")),
            ("And why not now?".to_owned(), "check user:dev deploy prod --explain".to_owned()),
            ("Who could at any time since then?".to_owned(), format!("who prod --from {on_call}")),
            (
                "A token of ben's leaked. Who was in payments the night it was used?".to_owned(),
                format!("who payments --at {night}"),
            ),
            ("What became of that token?".to_owned(), format!("events --subject {leaked}")),
            (
                "Farid left. What could he reach the day before?".to_owned(),
                format!("reach user:farid --at {before_leaving}"),
            ),
            ("And who would lose what if chloe left too?".to_owned(), "what-if --remove-member chloe".to_owned()),
        ];
        questions.into()
    }

    /// Runs a command as the command line would, against the demo's server.
    fn ask(&self, command: &str) -> Result<(), Failure> {
        let words = ["tenure"].into_iter().chain(command.split(' ')).chain(["--output", "table"]);
        let cli = Cli::try_parse_from(words).map_err(|error| Failure::usage(error.to_string()))?;
        let Command::Client(command) = cli.command else {
            return Err(Failure::usage(format!("`{command}` asks nothing")));
        };
        command.run(|args| {
            let client = Client::new(&self.url, "operator", &self.operator);
            Ok(Session::new(client, Some(WORKSPACE.to_owned()), Output::stdout(args.output)))
        })?;
        Ok(())
    }

    fn say_how_to_go_on(&self, out: &mut Output) -> Result<(), Failure> {
        let secret = self.folder.join(OPERATOR_SECRET_FILE);
        out.line("")?;
        out.heading(&format!(
            "It is served on {} until you press Ctrl-C. To ask yourself, in another terminal:",
            self.url
        ))?;
        out.line(&format!("  export TENURE_URL={}", self.url))?;
        out.line(&format!("  export TENURE_TOKEN_ID=operator TENURE_TOKEN_SECRET=\"$(cat {})\"", secret.display()))?;
        out.line(&format!("  tenure diff --from {}", date(self.story.before_leaving)))?;
        for command in [
            "events --limit 10",
            "credentials",
            "check user:farid deploy prod --explain",
            "check task:staging read secret:db-password@prod --explain",
            "grant set prod user:dev contributor --reason OPS-130",
            "rbac disable",
        ] {
            out.line(&format!("  tenure {command}"))?;
        }
        out.line(&format!("The HTTP API is explained in a browser: {}/docs", self.url))
    }
}
