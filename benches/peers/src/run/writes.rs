//! Durable changes: one at a time, by 64 callers, over HTTP and in process.

use serde_json::json;
use tenure::domain::model::time::Instant;

use super::Run;
use crate::durable::submissions::{FAR_MICROS, PLACE};
use crate::durable::{CALLERS, cqrs, disk, inserts, rows, submissions};
use crate::load::{alone, rate, request};
use crate::measure::middle;
use crate::ours;
use crate::peer::Outcome;
use crate::server::{Server, credential};
use crate::table::{Bar, Value};
use crate::workload::Workspace;

const HTTP: &str = "durable changes over HTTP, 64 connections, one workspace";

/// The figures of several rounds. The loads take turns, so that noise on the machine affects all of them.
#[derive(Default)]
struct Rounds {
    alone: Vec<f64>,
    disk: Vec<f64>,
    together: Vec<f64>,
    postgres: Vec<f64>,
    cqrs: Vec<f64>,
}

impl Run {
    /// Measures durable changes.
    pub(super) fn writes(&mut self) -> Outcome<()> {
        let Rounds { alone, disk, together, postgres, cqrs } = self.over_http()?;
        let (alone, disk_nanos, together) =
            (Value::Nanos(middle(alone)), middle(disk), Value::PerSecond(middle(together)));
        let one = "one durable change at a time, over one connection";
        self.table.beside(one, alone, "the disk's append + fdatasync", Value::Nanos(disk_nanos), Bar::Ratio(0.5));
        // The bar is lower on a disk that syncs less than 5,000 times a second.
        let least = 12_000.0 * (1e9 / disk_nanos / 5_000.0).min(1.0);
        self.table.alone(HTTP, together, Bar::AtLeast(Value::PerSecond(least)));
        if postgres.is_empty() {
            self.table.skip("PostgreSQL's INSERTs", "no server was started (`--postgres`)");
        } else {
            let name = "tokio-postgres, one INSERT a transaction, 64 connections";
            self.table.beside(HTTP, together, name, Value::PerSecond(middle(postgres)), Bar::Ratio(1.2));
        }
        let name = "cqrs-es on SQLite, synchronous=FULL, 64 callers";
        self.table.beside(HTTP, together, name, Value::PerSecond(middle(cqrs)), Bar::Ratio(5.0));
        self.in_process()
    }

    /// Measures changes at 1 and at 64 connections, the disk's time, and the peers at 64.
    fn over_http(&self) -> Outcome<Rounds> {
        let data = self.folder.path().join("changed");
        ours::store(&data, [self.workspaces[0].lines()])?;
        let (server, _) = Server::tenure(&data)?;
        let owner = self.owners_token(&server)?;
        let mut rounds = Rounds::default();
        let workspace = self.workspaces[0].name.as_str();
        for round in 0..self.rounds {
            let next = |connection, sent| change((workspace, &owner), 2 * round, connection, sent);
            rounds.alone.push(alone(server.address, self.time, &next)?);
            rounds.disk.push(disk::append_and_sync()?);
            let next = |connection, sent| change((workspace, &owner), 2 * round + 1, connection, sent);
            rounds.together.push(rate(server.address, CALLERS, self.time, &next)?);
            if let Some(parameters) = self.options.text("postgres") {
                rounds.postgres.push(inserts::rate(&self.runtime, parameters, self.time)?);
            }
            rounds.cqrs.push(cqrs::rate(&self.runtime, self.time)?);
        }
        Ok(rounds)
    }

    /// Issues a token of the first workspace's owner, who makes the changes.
    fn owners_token(&self, server: &Server) -> Outcome<String> {
        let Workspace { name, principals, .. } = &self.workspaces[0];
        let path = format!("/v1/workspaces/{name}/members/{}/tokens", principals[0].name);
        let made = server.call("POST", &path, Some(&json!({})))?;
        credential(&made, "token")
    }

    fn in_process(&mut self) -> Outcome<()> {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for round in 0..self.rounds {
            let data = self.folder.path().join(format!("submitted{round}"));
            let ids = ours::store(&data, [self.workspaces[0].lines()])?;
            ours.push(submissions::rate(&self.runtime, &data, ids[0], self.time)?);
            theirs.push(rows::rate(&data)?);
        }
        let what = "durable changes in process, 64 callers, one workspace";
        let (ours, theirs) = (Value::PerSecond(middle(ours)), Value::PerSecond(middle(theirs)));
        self.table.beside(what, ours, "the same rows in bare SQLite, 100 a transaction", theirs, Bar::Ratio(0.8));
        Ok(())
    }
}

/// Returns a change of a grant's end; no two are equal, in any round.
fn change((workspace, credential): (&str, &str), round: usize, connection: usize, sent: usize) -> Vec<u8> {
    let (environment, first) = PLACE;
    let micros = i64::try_from(round * 100_000_000 + sent).unwrap_or_default();
    let principal = first + connection;
    let path = format!("/v1/workspaces/{workspace}/environments/{environment}/grants/user:m{principal:04}");
    let body = json!({"role": "contributor", "expires_at": Instant::from_micros(FAR_MICROS + micros)});
    request("PUT", &path, Some(credential), Some(&body))
}
