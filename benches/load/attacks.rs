//! Attacks from within a workspace, each with a credential that its holder legitimately has.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpStream};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use serde_json::{Value, json};

use crate::running::Workspace;
use crate::{option, wire};

const PATH: &str = "/v1/workspaces/umbrella";
const CONNECTIONS: usize = 64;
/// The size of the workspace, for attacks that need a large one.
const MEMBERS: usize = 1_000;
const ENVIRONMENTS: usize = 300;

/// An attack: its name, and the function that starts it and returns the connections that it holds open.
pub struct Attack {
    pub name: &'static str,
    pub is_large: bool,
    pub begin: fn(&Attacked, &AtomicBool) -> Vec<TcpStream>,
}

pub const ALL: &[Attack] = &[
    Attack { name: "none", is_large: false, begin: |_, _| Vec::new() },
    Attack { name: "200 unread answers to 10,000 explained evaluations, by a member", is_large: false, begin: unread },
    Attack { name: "bodies of 2 MiB of broken items over 64 connections, by a member", is_large: false, begin: broken },
    Attack { name: "12 what-ifs of `rbac.disable` at a time, by a manager", is_large: true, begin: what_ifs },
    Attack {
        name: "999 commands and a forbidden one over 64 connections, by a manager",
        is_large: false,
        begin: forbidden,
    },
    Attack {
        name: "999 commands over 64 connections, by a member, who may do none",
        is_large: false,
        begin: powerless,
    },
    Attack {
        name: "1,000 `token.issue` with a reason of 4 KB over 64 connections, by a manager",
        is_large: true,
        begin: tokens,
    },
    Attack { name: "recorded reads over 64 connections, by an auditor", is_large: false, begin: reads },
    Attack { name: "a flood of connections from one address", is_large: false, begin: connections },
];

/// The attacked workspace and the attackers' credentials.
pub struct Attacked {
    address: SocketAddr,
    member: String,
    manager: String,
    auditor: String,
    /// The number of responses by status; 0 counts requests without a response.
    statuses: Mutex<BTreeMap<u16, usize>>,
}

impl Attacked {
    /// Creates the workspace beside the neighbour's.
    pub fn make(neighbour: &Workspace, is_large: bool) -> Self {
        let url = neighbour.url.clone();
        let mut place = Workspace { url, owner: crate::running::operator(), past: String::new() };
        let owner = json!({"name": "umbrella", "kind": "shared", "plan": "team", "owner": {"user": "olga"}});
        place.owner = credential(&place.send("POST", "/v1/workspaces", &owner).1, "token");
        place.send("PUT", &format!("{PATH}/rbac"), &json!({"enabled": true}));
        place.send("POST", &format!("{PATH}/environments"), &json!({"name": "prod", "restricted": true}));
        let [member, manager] = [("bob", "member"), ("mark", "manager")].map(|(user, role)| {
            place.send("POST", &format!("{PATH}/members"), &json!({"user": user, "role": role}));
            credential(&place.send("POST", &format!("{PATH}/members/{user}/tokens"), &json!({})).1, "token")
        });
        let key = json!({"role": "auditor", "label": "auditor"});
        let auditor = credential(&place.send("POST", &format!("{PATH}/access-keys"), &key).1, "access_key");
        if is_large {
            let members = (0..MEMBERS).map(|number| add(&format!("u{number}")));
            let make =
                |number: usize| json!({"type": "environment.create", "name": format!("e{number}"), "restricted": true});
            let bot = |number: usize| json!({"type": "service_user.create", "name": format!("s{number}")});
            for commands in
                [members.collect::<Vec<_>>(), (0..MEMBERS).map(bot).collect(), (0..ENVIRONMENTS).map(make).collect()]
            {
                place.send("POST", &format!("{PATH}/commands"), &json!({"commands": commands}));
            }
        }
        Self { address: place.address(), member, manager, auditor, statuses: Mutex::default() }
    }

    /// Returns the number of responses by status.
    pub fn answers(&self) -> String {
        let statuses = self.statuses.lock().unwrap();
        let all = statuses.iter().map(|(status, count)| match status {
            0 => format!("{count} × nothing"),
            status => format!("{count} × {status}"),
        });
        all.collect::<Vec<_>>().join(", ")
    }

    fn count(&self, status: Option<u16>) {
        *self.statuses.lock().unwrap().entry(status.unwrap_or(0)).or_default() += 1;
    }

    /// Sends requests over these connections until `stop` is set; `request` makes each from a running number.
    fn repeat(&self, connections: usize, stop: &AtomicBool, request: impl Fn(u32) -> Vec<u8> + Sync) -> Vec<TcpStream> {
        let number = AtomicU32::new(0);
        std::thread::scope(|scope| {
            for _ in 0..connections {
                scope.spawn(|| {
                    let mut connection = None;
                    while !stop.load(Ordering::Relaxed) {
                        if connection.is_none() {
                            connection = wire::connect(self.address, None);
                        }
                        let request = request(number.fetch_add(1, Ordering::Relaxed));
                        self.count(wire::ask(&mut connection, &request));
                    }
                });
            }
        });
        Vec::new()
    }
}

fn credential(answer: &Value, kind: &str) -> String {
    let part = |name: &str| answer[kind][name].as_str().unwrap();
    format!("{}.{}", part("id"), part("secret"))
}

fn add(user: &str) -> Value {
    json!({"type": "member.add", "user": user, "role": "member"})
}

fn unread(attacked: &Attacked, _: &AtomicBool) -> Vec<TcpStream> {
    let question = json!({
        "subject": {"type": "user", "id": "bob"}, "action": {"name": "deploy"},
        "resource": {"type": "environment", "id": "prod"},
    });
    let body = json!({"evaluations": vec![question; 10_000]}).to_string();
    let path = format!("{PATH}/access/v1/evaluations?explain=true");
    let request = wire::request("POST", &path, &attacked.member, body.as_bytes());
    let mut all = Vec::new();
    std::thread::scope(|scope| {
        let asking: Vec<_> = (0..200)
            .map(|_| {
                scope.spawn(|| {
                    let mut stream = wire::connect_narrow(attacked.address)?;
                    let _ = std::io::Write::write_all(&mut stream, &request);
                    let mut start = [0; 12];
                    let read = std::io::Read::read_exact(&mut stream, &mut start);
                    attacked.count(read.ok().and_then(|()| std::str::from_utf8(&start[9..]).ok()?.parse().ok()));
                    Some(stream)
                })
            })
            .collect();
        all.extend(asking.into_iter().filter_map(|asking| asking.join().unwrap()));
    });
    all
}

fn broken(attacked: &Attacked, stop: &AtomicBool) -> Vec<TcpStream> {
    let lists = [
        format!(r#"{{"evaluations":[{}0]}}"#, "0,".repeat(1_000_000)),
        format!(r#"{{"evaluations":[{}{{}}]}}"#, r#"{"subject":7,"x":"\u0061"},"#.repeat(9_999)),
        format!(r#"{{"evaluations":[{}{{}}]}}"#, format!(r#"{{"subject":"{}"}},"#, "x".repeat(180)).repeat(9_999)),
    ];
    let path = format!("{PATH}/access/v1/evaluations");
    let requests = lists.map(|list| wire::request("POST", &path, &attacked.member, list.as_bytes()));
    attacked.repeat(CONNECTIONS, stop, |number| requests[usize::try_from(number).unwrap() % requests.len()].clone())
}

fn what_ifs(attacked: &Attacked, stop: &AtomicBool) -> Vec<TcpStream> {
    let body = json!({"commands": [{"type": "rbac.disable"}]}).to_string();
    let path = format!("{PATH}/audit/what-if");
    attacked.repeat(12, stop, |_| wire::request("POST", &path, &attacked.manager, body.as_bytes()))
}

fn batch(credential: &str, query: &str, commands: &[Value]) -> Vec<u8> {
    let body = json!({"commands": commands}).to_string();
    wire::request("POST", &format!("{PATH}/commands{query}"), credential, body.as_bytes())
}

fn forbidden(attacked: &Attacked, stop: &AtomicBool) -> Vec<TcpStream> {
    let mut commands: Vec<_> = (0..999).map(|number| add(&format!("new{number}"))).collect();
    commands.push(json!({"type": "member.add", "user": "another", "role": "owner"}));
    let request = batch(&attacked.manager, "", &commands);
    attacked.repeat(CONNECTIONS, stop, |_| request.clone())
}

fn powerless(attacked: &Attacked, stop: &AtomicBool) -> Vec<TcpStream> {
    let commands: Vec<_> = (0..999).map(|number| add(&format!("new{number}"))).collect();
    let request = batch(&attacked.member, "", &commands);
    attacked.repeat(CONNECTIONS, stop, |_| request.clone())
}

/// Issues a token to each of a thousand service users, with a reason of 1,000 characters of four bytes.
fn tokens(attacked: &Attacked, stop: &AtomicBool) -> Vec<TcpStream> {
    let issue = |number: usize| json!({"type": "token.issue", "service_user": format!("s{number}")});
    let commands: Vec<_> = (0..MEMBERS).map(issue).collect();
    let query = format!("?reason={}", "%F0%9D%92%B3".repeat(1_000));
    let request = batch(&attacked.manager, &query, &commands);
    attacked.repeat(CONNECTIONS, stop, |_| request.clone())
}

fn reads(attacked: &Attacked, stop: &AtomicBool) -> Vec<TcpStream> {
    let path = |number: u32| {
        format!("{PATH}/audit/access?limit=1&principal=user:bob&environment=prod&at_least={}", number % 5)
    };
    attacked.repeat(CONNECTIONS, stop, |number| wire::request("GET", &path(number), &attacked.auditor, b""))
}

fn connections(attacked: &Attacked, stop: &AtomicBool) -> Vec<TcpStream> {
    let wanted = usize::try_from(option("--flood", 10_500)).unwrap();
    let mut all = Vec::new();
    // The server closes a connection over the limit; try another one at once.
    for _ in 0..wanted {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        all.extend(wire::connect(attacked.address, None));
        attacked.count(None);
    }
    all
}
