//! Starts, first questions, replay and memory.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use serde_json::json;
use tenure::domain::model::id::WorkspaceId;
use tenure::log::SnapshotStore as _;
use tenure::log::sqlite::SqliteLog;

use super::{Run, Stored};
use crate::chance::Chance;
use crate::history::History;
use crate::measure::middle;
use crate::ours;
use crate::peer::Outcome;
use crate::server::Server;
use crate::table::{Bar, Value, thousands};
use crate::workload::{Size, Workspace};

/// The size of a workspace whose first hundred events create it, enable RBAC, and add people, service users (two events
/// each) and environments.
const HUNDRED: Size = Size { members: 54, service_users: 20, environments: 2, restricted: 0, grants: 0 };
const MANY: usize = 10_000;
const COLD_EVENTS: usize = 100_000;

fn nanos(started: Instant) -> f64 {
    started.elapsed().as_secs_f64() * 1e9
}

impl Run {
    /// Measures starts, first questions, replay and memory.
    pub(super) fn starts(&mut self) -> Outcome<()> {
        self.start_with_many()?;
        self.cold()?;
        self.replayed_in_full()
    }

    fn start_with_many(&mut self) -> Outcome<()> {
        let data = self.folder.path().join("many");
        let many = self.options.number("workspaces", MANY)?;
        let make = |place| Workspace::make(format!("many{place:05}"), HUNDRED, &mut Chance::new(1)).lines();
        ours::store(&data, (0..many).map(make))?;
        let mut times = Vec::new();
        for _ in 0..self.rounds {
            let (server, took) = Server::tenure(&data)?;
            times.push(took.as_secs_f64() * 1e9);
            server.stop()?;
        }
        let what = format!("start with {} workspaces of 100 events: until ready", thousands(many));
        self.table.alone(&what, Value::Nanos(middle(times)), Bar::AtMost(Value::Nanos(5e8)));
        Ok(())
    }

    /// Measures the first question after a start: in turn without a snapshot, and with the snapshot of the server
    /// before.
    fn cold(&mut self) -> Outcome<()> {
        let data = self.folder.path().join("cold");
        let id = ours::store(&data, [History::make("cold", COLD_EVENTS, 5).lines])?[0];
        let what = "first question to a cold workspace of 100,000 events";
        let (mut without, mut with) = (Vec::new(), Vec::new());
        for _ in 0..self.rounds {
            SqliteLog::open(&data)?.forget_snapshot(id)?;
            without.push(first_question(&data)?);
            SqliteLog::open(&data)?.snapshot(id)?.ok_or("the server left no snapshot")?;
            with.push(first_question(&data)?);
        }
        let (without, with) = (Value::Nanos(middle(without)), Value::Nanos(middle(with)));
        self.table.alone(&format!("{what}, without a snapshot"), without, Bar::AtMost(Value::Nanos(4e8)));
        let bar = Bar::AtMost(Value::Nanos(6e7));
        self.table.beside(&format!("{what}, with a snapshot"), with, "without one", without, bar);
        Ok(())
    }

    fn replayed_in_full(&mut self) -> Outcome<()> {
        let Stored { data, ids } = self.long()?;
        let id = ids[0];
        let (mut rates, mut sizes) = (Vec::new(), Vec::new());
        for _ in 0..self.rounds {
            let started = Instant::now();
            let root = ours::load(&data, id)?;
            let events = f64::from(u32::try_from(root.head().0)?);
            rates.push(events * 1e9 / nanos(started));
            sizes.push(grown_in_a_process(&data, id)? / events);
        }
        let what = "full replay of the long history: events";
        self.table.alone(what, Value::PerSecond(middle(rates)), Bar::AtLeast(Value::PerSecond(500_000.0)));
        let what = "memory for an event of loaded history";
        self.table.alone(what, Value::Bytes(middle(sizes)), Bar::AtMost(Value::Bytes(150.0)));
        Ok(())
    }
}

/// Starts a server, sends it one question, and stops it; returns the response time, in nanoseconds.
fn first_question(data: &Path) -> Outcome<f64> {
    let (server, _) = Server::tenure(data)?;
    let question = json!({
        "subject": {"type": "user", "id": "m0007"}, "action": {"name": "deploy"},
        "resource": {"type": "environment", "id": "env7"},
    });
    let started = Instant::now();
    server.call("POST", "/v1/workspaces/cold/access/v1/evaluation", Some(&question))?;
    let took = nanos(started);
    server.stop()?;
    Ok(took)
}

/// Returns the growth of a separate process that loads a workspace, in bytes.
fn grown_in_a_process(data: &Path, id: WorkspaceId) -> Outcome<f64> {
    let program = std::env::current_exe()?;
    let said = Command::new(program).arg("memory").arg(data).arg(id.to_string()).output()?;
    if !said.status.success() {
        return Err(String::from_utf8_lossy(&said.stderr).into());
    }
    Ok(String::from_utf8(said.stdout)?.trim().parse()?)
}

/// Loads a workspace and returns the growth of this process's anonymous memory, in bytes.
///
/// # Errors
/// The log or the memory figures cannot be read.
pub fn measure_memory(data: &Path, id: &str) -> Outcome<()> {
    let before = own_bytes()?;
    let root = ours::load(data, id.parse().map_err(|_| format!("`{id}` is no workspace's id"))?)?;
    println!("{}", own_bytes()?.saturating_sub(before));
    drop(root);
    Ok(())
}

/// Returns the anonymous memory of this process, in bytes, resident or swapped out.
fn own_bytes() -> Outcome<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).ok_or("the system does not say")?;
        Outcome::Ok(line.trim().trim_end_matches("kB").trim().parse::<u64>()? * 1_024)
    };
    Ok(field("RssAnon:")? + field("VmSwap:")?)
}
