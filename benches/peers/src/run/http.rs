//! Evaluations over HTTP: Tenure's server beside a bare handler and Cerbos, with the same client.

use serde_json::{Value as Json, json};
use tenure::domain::model::time::Instant;

use super::now::describe;
use super::{Run, Stored};
use crate::cerbos;
use crate::history::{History, PastQuestion};
use crate::load::{Connection, HttpPeer, request};
use crate::measure::middle;
use crate::ours::{self, Past};
use crate::peer::{Outcome, Peer as _, agree};
use crate::server::{Server, credential};
use crate::table::{Bar, Value, thousands};
use crate::workload::{BEGINNING_MICROS, QUESTIONS, Question, Workspace};

const CONNECTIONS: usize = 16;
const BATCH: usize = 50;
const NOW: &str = "evaluation over HTTP, 16 connections";

/// The time that a question refers to.
#[derive(Debug, Clone, Copy)]
enum When {
    Now,
    /// At its own instant.
    Then,
}

impl Run {
    /// Measures evaluations over HTTP.
    pub(super) fn http(&mut self) -> Outcome<()> {
        let expected = self.tenure_now()?.answers();
        let (server, _) = Server::tenure(&self.usual()?.data)?;
        let keys = self.keys(&server)?;
        let now = self.evaluations(&keys, "");
        let mut tenure = HttpPeer::new("Tenure over HTTP", server.address, now.clone())?;
        agree(&mut tenure, &expected, |place| describe(&self.workspaces, &self.questions[place]))?;
        let at = Instant::from_micros(BEGINNING_MICROS + 1);
        let mut earlier = HttpPeer::new(
            "Tenure over HTTP, in the past",
            server.address,
            self.evaluations(&keys, &format!("?at={at}")),
        )?;
        agree(&mut earlier, &expected, |place| describe(&self.workspaces, &self.questions[place]))?;
        let bare_server = Server::bare()?;
        let bare = HttpPeer::new("bare axum handler", bare_server.address, now)?;
        let cerbos = self.cerbos(&expected)?;
        let mut peers = vec![&tenure, &earlier, &bare];
        peers.extend(cerbos.as_ref().map(|(asked, _)| asked));
        let rates = self.rates(&peers)?;
        self.table.beside(NOW, rates[0], "bare axum handler", rates[2], Bar::Ratio(0.85));
        if let Some(theirs) = rates.get(3) {
            self.table.beside(NOW, rates[0], "Cerbos over AuthZEN", *theirs, Bar::Ratio(10.0));
        }
        self.table.beside("the same in the past", rates[1], "the same now", rates[0], Bar::Ratio(0.95));
        self.batches(&server, &keys, &expected, rates[0])?;
        drop(server);
        self.long_history()
    }

    /// Measures the same in the long history: each question at its own instant, beside the same questions now.
    fn long_history(&mut self) -> Outcome<()> {
        let Stored { data, ids } = self.long()?;
        let questions = self.history.questions(QUESTIONS);
        let mut past = Past::new(ours::load(&data, ids[0])?, &self.history, &questions);
        let expected_now = past.now().answers();
        let expected = (0..QUESTIONS).map(|place| past.decide(place)).collect::<Outcome<Vec<_>>>()?;
        drop(past);
        let (server, _) = Server::tenure(&data)?;
        let key = key(&server, &self.history.workspace.name)?;
        let requests =
            |when| questions.iter().map(|question| past_evaluation(&self.history, &key, question, when)).collect();
        let mut earlier = HttpPeer::new("Tenure over HTTP, in the long history", server.address, requests(When::Then))?;
        agree(&mut earlier, &expected, |place| format!("{:?}", questions[place]))?;
        let mut now = HttpPeer::new("Tenure over HTTP, in the long history now", server.address, requests(When::Now))?;
        agree(&mut now, &expected_now, |place| format!("{:?}", questions[place]))?;
        let rates = self.rates(&[&earlier, &now])?;
        let what = format!("{NOW}, each at a random instant of {} changes", thousands(self.history.changes.len()));
        self.table.beside(&what, rates[0], "the same now", rates[1], Bar::Ratio(0.95));
        Ok(())
    }

    /// Issues an evaluator's key for each workspace.
    fn keys(&self, server: &Server) -> Outcome<Vec<String>> {
        self.workspaces.iter().map(|workspace| key(server, &workspace.name)).collect()
    }

    fn evaluation(&self, question: &Question) -> Json {
        let environment = &self.workspaces[question.workspace].environments[question.environment].name;
        evaluation(question.kind, &question.principal, question.action, environment)
    }

    fn evaluations(&self, keys: &[String], query: &str) -> Vec<Vec<u8>> {
        let one = |question: &Question| {
            let workspace = &self.workspaces[question.workspace].name;
            let path = format!("/v1/workspaces/{workspace}/access/v1/evaluation{query}");
            request("POST", &path, Some(&keys[question.workspace]), Some(&self.evaluation(question)))
        };
        self.questions.iter().map(one).collect()
    }

    fn cerbos(&mut self, expected: &[bool]) -> Outcome<Option<(HttpPeer, Server)>> {
        let Some(program) = self.options.path("cerbos") else {
            self.table.skip("Cerbos", "its program was not found (`--cerbos`)");
            return Ok(None);
        };
        cerbos::write_policies(self.folder.path())?;
        let server = Server::cerbos(&program, self.folder.path())?;
        let requests = cerbos::requests(&self.workspaces, &self.questions);
        let mut asked = HttpPeer::new("Cerbos over AuthZEN", server.address, requests)?;
        agree(&mut asked, expected, |place| describe(&self.workspaces, &self.questions[place]))?;
        Ok(Some((asked, server)))
    }

    /// Returns the median rate of each server, measured in turn.
    fn rates(&self, peers: &[&HttpPeer]) -> Outcome<Vec<Value>> {
        let mut rates = vec![Vec::new(); peers.len()];
        for _ in 0..self.rounds {
            for (peer, rates) in peers.iter().zip(&mut rates) {
                rates.push(peer.rate(CONNECTIONS, self.time)?);
            }
        }
        Ok(rates.into_iter().map(|rates| Value::PerSecond(middle(rates))).collect())
    }

    /// Returns a request of fifty evaluations of a workspace.
    fn batches(&mut self, server: &Server, keys: &[String], expected: &[bool], single: Value) -> Outcome<()> {
        let mut connection = Connection::open(server.address)?;
        let mut requests = Vec::new();
        for (place, workspace) in self.workspaces.iter().enumerate() {
            let about = (0..self.questions.len()).filter(|asked| self.questions[*asked].workspace == place);
            let asked: Vec<usize> = about.collect::<Vec<_>>().into_iter().cycle().take(BATCH).collect();
            let evaluations: Vec<Json> = asked.iter().map(|asked| self.evaluation(&self.questions[*asked])).collect();
            let path = format!("/v1/workspaces/{}/access/v1/evaluations", workspace.name);
            let request = request("POST", &path, Some(&keys[place]), Some(&json!({"evaluations": evaluations})));
            let expected: Vec<bool> = asked.iter().map(|asked| expected[*asked]).collect();
            answers_are(connection.ask(&request)?.1, &expected)?;
            requests.push(request);
        }
        let asked = HttpPeer::new("batches", server.address, requests)?;
        let rates = (0..self.rounds).map(|_| asked.rate(CONNECTIONS, self.time)).collect::<Outcome<_>>()?;
        let decisions = Value::PerSecond(50.0 * middle(rates));
        let bar = Bar::AtLeast(Value::PerSecond(300_000.0));
        self.table.beside("50 evaluations in one request: decisions", decisions, "one in a request", single, bar);
        Ok(())
    }
}

/// Checks every decision in the response.
fn answers_are(text: &str, expected: &[bool]) -> Outcome<()> {
    let answer: Json = serde_json::from_str(text)?;
    let decided = answer["evaluations"].as_array().ok_or("the answer has no evaluations")?;
    let decided: Vec<bool> = decided.iter().map(|one| one["decision"] == true).collect();
    if decided != expected {
        return Err(format!("evaluations in one request differ from single ones: {text}").into());
    }
    Ok(())
}

/// Issues an evaluator's key for a workspace.
fn key(server: &Server, workspace: &str) -> Outcome<String> {
    let issue = json!({"role": "evaluator", "label": "load"});
    let made = server.call("POST", &format!("/v1/workspaces/{workspace}/access-keys"), Some(&issue))?;
    credential(&made, "access_key")
}

fn evaluation(kind: &str, principal: &str, action: &str, environment: &str) -> Json {
    json!({
        "subject": {"type": kind, "id": principal},
        "action": {"name": action},
        "resource": {"type": "environment", "id": environment},
    })
}

/// Returns a question about the long history as a request, at its instant or now.
fn past_evaluation(history: &History, key: &str, question: &PastQuestion, when: When) -> Vec<u8> {
    let Workspace { name, principals, environments } = &history.workspace;
    let (principal, environment) = (&principals[question.principal], &environments[question.environment].name);
    let at = match when {
        When::Now => String::new(),
        When::Then => format!("?at={}", Instant::from_micros(question.at)),
    };
    let asked = evaluation(principal.kind(), &principal.name, question.action, environment);
    request("POST", &format!("/v1/workspaces/{name}/access/v1/evaluation{at}"), Some(key), Some(&asked))
}
