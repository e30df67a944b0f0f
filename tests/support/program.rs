//! The built program, run to completion or as a server.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// The exit code and output of one run.
#[derive(Debug)]
pub(crate) struct RunOutput {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl RunOutput {
    /// Asserts that the run succeeded without output on stderr; returns stdout.
    #[track_caller]
    pub(crate) fn ok(self) -> String {
        assert_eq!((self.code, self.err.as_str()), (Some(0), ""), "{}", self.out);
        assert!(!self.out.contains('\u{1b}'), "colours are for terminals");
        self.out
    }

    /// Asserts that the run failed with exit code 2; returns stderr.
    #[track_caller]
    pub(crate) fn failed(self) -> String {
        assert_eq!(self.code, Some(2), "{}{}", self.out, self.err);
        assert!(self.err.starts_with("error: "), "{}", self.err);
        self.err
    }

    #[track_caller]
    pub(crate) fn json(self) -> Value {
        serde_json::from_str(&self.ok()).unwrap()
    }
}

/// Returns a command for the program, without any `TENURE_` variable.
pub(crate) fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tenure"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("TENURE_")) {
        command.env_remove(name);
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

pub(crate) fn run(command: &mut Command) -> RunOutput {
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    RunOutput { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

/// Runs the program with these arguments, separated by spaces.
pub(crate) fn tenure(args: &str) -> RunOutput {
    run(program().args(args.split(' ')))
}

/// A process that runs until a signal ends it.
pub(crate) struct Running {
    child: Child,
    pub(crate) lines: std::io::Lines<BufReader<ChildStdout>>,
}

impl Running {
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = command.stderr(Stdio::null()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    /// Sends SIGTERM, as a supervisor does; returns the exit code.
    pub(crate) fn stop(self) -> Option<i32> {
        self.signalled("-TERM")
    }

    /// Sends SIGINT, as Ctrl-C does; returns the exit code.
    pub(crate) fn interrupt(self) -> Option<i32> {
        self.signalled("-INT")
    }

    /// Waits until the process ends by itself; returns the exit code.
    pub(crate) fn ended(mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }

    fn signalled(mut self, signal: &str) -> Option<i32> {
        let signalled = Command::new("kill").args([signal, &self.child.id().to_string()]).status().unwrap();
        assert!(signalled.success());
        self.child.wait().unwrap().code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A `tenure serve` on its own folder.
pub(crate) struct Server {
    pub(crate) running: Running,
    pub(crate) url: String,
    pub(crate) operator: String,
    folder: TempDir,
}

/// The id and secret of a caller.
#[derive(Debug, Clone)]
pub(crate) struct Credential {
    pub(crate) id: String,
    pub(crate) secret: String,
}

impl Credential {
    /// Returns the credential in a JSON object.
    #[track_caller]
    pub(crate) fn of(made: &Value) -> Self {
        let text = |name: &str| made[name].as_str().unwrap().to_owned();
        Self { id: text("id"), secret: text("secret") }
    }
}

impl Server {
    pub(crate) fn start() -> Self {
        Self::on(tempfile::tempdir().unwrap())
    }

    pub(crate) fn on(folder: TempDir) -> Self {
        Self::listening(folder, "127.0.0.1:0")
    }

    /// Stops the server and starts another one on the same folder and address.
    pub(crate) fn restart(self) -> Self {
        let Self { running, url, folder, .. } = self;
        assert_eq!(running.stop(), Some(0));
        Self::listening(folder, url.strip_prefix("http://").unwrap())
    }

    fn listening(folder: TempDir, address: &str) -> Self {
        Self::with(folder, address, &[])
    }

    /// Starts a server with more arguments.
    pub(crate) fn with(folder: TempDir, address: &str, arguments: &[&str]) -> Self {
        let data = folder.path().join("data");
        let mut serve = program();
        serve.args(["serve", "--listen", address, "--data"]).arg(&data).args(arguments);
        let mut running = Running::start(&mut serve);
        let first = running.lines.next().unwrap().unwrap();
        let url = first.strip_prefix("listening on ").unwrap().to_owned();
        let operator = std::fs::read_to_string(data.join("operator.secret")).unwrap().trim().to_owned();
        Self { running, url, operator, folder }
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn operator(&self) -> Credential {
        Credential { id: "operator".to_owned(), secret: self.operator.clone() }
    }

    /// Returns a command for the program with this credential and the server's address.
    pub(crate) fn program(&self, who: &Credential) -> Command {
        let mut command = program();
        command.env("TENURE_URL", &self.url).env("TENURE_TOKEN_ID", &who.id).env("TENURE_TOKEN_SECRET", &who.secret);
        command
    }

    /// Starts the program with these arguments, separated by blanks, and leaves it running.
    pub(crate) fn running(&self, who: &Credential, args: &str) -> Running {
        Running::start(self.program(who).args(args.split(' ')))
    }

    /// Runs the program with this credential and these arguments.
    pub(crate) fn run(&self, who: &Credential, args: &[&str]) -> RunOutput {
        run(self.program(who).args(args))
    }

    /// Runs the program with this credential and arguments separated by blanks.
    pub(crate) fn ask(&self, who: &Credential, args: &str) -> RunOutput {
        self.run(who, &args.split(' ').collect::<Vec<_>>())
    }

    /// Creates the workspace `acme` and returns the credential of its owner alice.
    pub(crate) fn found(&self) -> Credential {
        let made = self.ask(&self.operator(), "workspace create acme --owner alice -o json").json();
        Credential::of(&made["token"])
    }
}
