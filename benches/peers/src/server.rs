//! Servers that the run starts as separate processes and ends by their ids.

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::load::{Connection, request};
use crate::ours::OPERATOR_SECRET;
use crate::peer::Outcome;

const START_MAX: Duration = Duration::from_mins(1);

/// A server that is ended on drop.
pub struct Server {
    child: Child,
    /// Its address.
    pub address: SocketAddr,
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns the path of a program beside this one.
fn beside(name: &str) -> Outcome<PathBuf> {
    Ok(std::env::current_exe()?.with_file_name(name))
}

/// Returns a free address on loopback.
fn free_address() -> Outcome<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

/// Repeats a request until its status is 200.
fn wait_until_ready(address: SocketAddr, path: &str) -> Outcome<()> {
    let started = Instant::now();
    while started.elapsed() < START_MAX {
        if let Ok(mut open) = Connection::open(address)
            && matches!(open.ask(&request("GET", path, None, None)), Ok((200, _)))
        {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Err(format!("nobody answered `{path}` in time").into())
}

impl Server {
    /// Starts `tenure serve` on a data folder; also returns the time from the start of the process until it was ready.
    ///
    /// # Errors
    /// It did not start.
    pub fn tenure(data: &Path) -> Outcome<(Self, Duration)> {
        let started = Instant::now();
        let mut program = Command::new(beside("tenure")?);
        program.args(["serve", "--listen", "127.0.0.1:0", "--cache-mib", "4096", "--data"]).arg(data);
        program.env("TENURE_OPERATOR_SECRET", OPERATOR_SECRET).env("TENURE_LOG", "warn").env("TENURE_CHANGE_RATE", "0");
        Ok((Self::start(program)?, started.elapsed()))
    }

    /// Starts the bare handler as a separate process.
    ///
    /// # Errors
    /// It did not start.
    pub fn bare() -> Outcome<Self> {
        let mut program = Command::new(std::env::current_exe()?);
        program.arg("bare");
        Self::start(program)
    }

    /// Starts a program that prints its address and answers `/readyz` when it is ready.
    fn start(mut program: Command) -> Outcome<Self> {
        let mut child = program.stdout(Stdio::piped()).spawn()?;
        let mut said = String::new();
        BufReader::new(child.stdout.take().ok_or("it has no output")?).read_line(&mut said)?;
        let mut server = Self { child, address: SocketAddr::from(([127, 0, 0, 1], 0)) };
        server.address = said.trim().rsplit_once("//").ok_or("it did not say where it listens")?.1.parse()?;
        wait_until_ready(server.address, "/readyz")?;
        Ok(server)
    }

    /// Sends SIGTERM, as an operator would, and waits for the end.
    ///
    /// # Errors
    /// The signal cannot be sent.
    pub fn stop(mut self) -> Outcome<()> {
        let id = self.child.id().to_string();
        Command::new("kill").args(["-TERM", &id]).status()?;
        self.child.wait()?;
        Ok(())
    }

    /// Starts the Cerbos server on a folder of policies.
    ///
    /// # Errors
    /// It did not start.
    pub fn cerbos(program: &Path, folder: &Path) -> Outcome<Self> {
        let (http, grpc) = (free_address()?, free_address()?);
        let policies = folder.join("policies");
        let config = format!(
            "server:\n  httpListenAddr: \"{http}\"\n  grpcListenAddr: \"{grpc}\"\n\
             storage:\n  driver: disk\n  disk:\n    directory: {}\n    watchForChanges: false\n\
             telemetry:\n  disabled: true\n",
            policies.display()
        );
        let file = folder.join("cerbos.yaml");
        std::fs::write(&file, config)?;
        let child = Command::new(program)
            .args(["server", "--log-level=error", "--config"])
            .arg(&file)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("cannot start `{}`: {error}", program.display()))?;
        let server = Self { child, address: http };
        wait_until_ready(http, "/_cerbos/health")?;
        Ok(server)
    }

    /// Sends one request with Tenure's operator credential.
    ///
    /// # Errors
    /// The response is not a success.
    pub fn call(&self, method: &str, path: &str, body: Option<&Value>) -> Outcome<Value> {
        let credential = format!("operator.{OPERATOR_SECRET}");
        let mut connection = Connection::open(self.address)?;
        let (status, text) = connection.ask(&request(method, path, Some(&credential), body))?;
        if !(200..300).contains(&status) {
            return Err(format!("{method} {path}: {status} {text}").into());
        }
        Ok(serde_json::from_str(text).unwrap_or_default())
    }
}

/// Returns the `ID.SECRET` of the credential in a response.
///
/// # Errors
/// The response has none.
pub fn credential(made: &Value, kind: &str) -> Outcome<String> {
    let word = |field: &str| made[kind][field].as_str().ok_or_else(|| format!("no `{field}` of a {kind} in {made}"));
    Ok(format!("{}.{}", word("id")?, word("secret")?))
}
