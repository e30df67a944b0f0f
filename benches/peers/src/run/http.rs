//! Evaluations over HTTP: Tenure's server beside a bare handler and beside Cerbos, asked by the same client.

use serde_json::{Value as Json, json};

use super::Run;
use super::now::describe;
use crate::cerbos;
use crate::load::{Asked, request};
use crate::measure::middle;
use crate::peer::{Outcome, agree};
use crate::server::{Server, credential};
use crate::table::{Bar, Value};
use crate::workload::Question;

const CONNECTIONS: usize = 16;
const BATCH: usize = 50;
const NOW: &str = "evaluation over HTTP, 16 connections";

impl Run {
    /// Evaluations over HTTP.
    pub(super) fn http(&mut self) -> Outcome<()> {
        let expected = self.tenure_now()?.answers();
        let (server, _) = Server::tenure(&self.usual()?.data)?;
        let keys = self.keys(&server)?;
        let now = self.evaluations(&keys, "");
        let mut tenure = Asked::new("Tenure over HTTP", server.address, now.clone())?;
        agree(&mut tenure, &expected, |place| describe(&self.workspaces, &self.questions[place]))?;
        let at = tenure::domain::time::Instant::from_micros(crate::workload::BEGINNING_MICROS + 1);
        let mut earlier =
            Asked::new("Tenure over HTTP, in the past", server.address, self.evaluations(&keys, &format!("?at={at}")))?;
        agree(&mut earlier, &expected, |place| describe(&self.workspaces, &self.questions[place]))?;
        let bare_server = Server::bare()?;
        let bare = Asked::new("bare axum handler", bare_server.address, now)?;
        let cerbos = self.cerbos(&expected)?;
        let mut peers = vec![&tenure, &earlier, &bare];
        peers.extend(cerbos.as_ref().map(|(asked, _)| asked));
        let rates = self.rates(&peers)?;
        self.table.beside(NOW, rates[0], "bare axum handler", rates[2], Bar::Ratio(0.85));
        if let Some(theirs) = rates.get(3) {
            self.table.beside(NOW, rates[0], "Cerbos over AuthZEN", *theirs, Bar::Ratio(10.0));
        }
        self.table.beside("the same in the past", rates[1], "the same now", rates[0], Bar::Ratio(0.95));
        self.batches(&server, &keys)
    }

    /// An evaluator's key for each workspace.
    fn keys(&self, server: &Server) -> Outcome<Vec<String>> {
        let issue = json!({"role": "evaluator", "label": "load"});
        let make = |name: &str| {
            let made = server.call("POST", &format!("/v1/workspaces/{name}/access-keys"), Some(&issue))?;
            credential(&made, "access_key")
        };
        self.workspaces.iter().map(|workspace| make(&workspace.name)).collect()
    }

    fn evaluation(&self, question: &Question) -> Json {
        let environment = &self.workspaces[question.workspace].environments[question.environment].name;
        json!({
            "subject": {"type": question.kind, "id": question.principal},
            "action": {"name": question.action},
            "resource": {"type": "environment", "id": environment},
        })
    }

    fn evaluations(&self, keys: &[String], query: &str) -> Vec<Vec<u8>> {
        let one = |question: &Question| {
            let workspace = &self.workspaces[question.workspace].name;
            let path = format!("/v1/workspaces/{workspace}/access/v1/evaluation{query}");
            request("POST", &path, Some(&keys[question.workspace]), Some(&self.evaluation(question)))
        };
        self.questions.iter().map(one).collect()
    }

    fn cerbos(&mut self, expected: &[bool]) -> Outcome<Option<(Asked, Server)>> {
        let Some(program) = self.options.path("cerbos") else {
            self.table.skip("Cerbos", "its program was not found (`--cerbos`)");
            return Ok(None);
        };
        cerbos::write_policies(self.folder.path())?;
        let server = Server::cerbos(&program, self.folder.path())?;
        let requests = cerbos::requests(&self.workspaces, &self.questions);
        let mut asked = Asked::new("Cerbos over AuthZEN", server.address, requests)?;
        agree(&mut asked, expected, |place| describe(&self.workspaces, &self.questions[place]))?;
        Ok(Some((asked, server)))
    }

    /// The middle rate of each of some servers, asked in turns.
    fn rates(&self, peers: &[&Asked]) -> Outcome<Vec<Value>> {
        let mut rates = vec![Vec::new(); peers.len()];
        for _ in 0..self.rounds {
            for (peer, rates) in peers.iter().zip(&mut rates) {
                rates.push(peer.rate(CONNECTIONS, self.time)?);
            }
        }
        Ok(rates.into_iter().map(|rates| Value::PerSecond(middle(rates))).collect())
    }

    /// Fifty evaluations of a workspace in one request.
    fn batches(&mut self, server: &Server, keys: &[String]) -> Outcome<()> {
        let mut requests = Vec::new();
        for (place, workspace) in self.workspaces.iter().enumerate() {
            let about = self.questions.iter().filter(|question| question.workspace == place);
            let evaluations: Vec<Json> = about.map(|question| self.evaluation(question)).cycle().take(BATCH).collect();
            let path = format!("/v1/workspaces/{}/access/v1/evaluations", workspace.name);
            requests.push(request("POST", &path, Some(&keys[place]), Some(&json!({"evaluations": evaluations}))));
        }
        let asked = Asked::new("batches", server.address, requests)?;
        let rates = (0..self.rounds).map(|_| asked.rate(CONNECTIONS, self.time)).collect::<Outcome<_>>()?;
        let decisions = Value::PerSecond(50.0 * middle(rates));
        self.table.alone(
            "50 evaluations in one request: decisions",
            decisions,
            Bar::AtLeast(Value::PerSecond(300_000.0)),
        );
        Ok(())
    }
}
