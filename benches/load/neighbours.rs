//! The effect of an attack from within a workspace on its neighbours.
//!
//! Members of a workspace attack it with their own credentials, while its neighbour checks, changes and asks for the
//! health of the server. Each attack has a program of its own, so that its memory is measured alone.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::attacks::{ALL, Attack, Attacked};
use crate::running::{Program, Workspace};
use crate::table::{Table, number, time};
use crate::{Extent, option, wire};

/// The bars: a neighbour's wait, and the additional memory of the program.
const P99_MAX: f64 = 50_000.0;
const STALL_MAX: f64 = 500_000.0;
const GROWTH_MIB_MAX: f64 = 300.0;
/// The pause between two requests of a neighbour.
const PAUSE: Duration = Duration::from_millis(2);
/// The source address of health checks; the attacks use another one.
const ELSEWHERE: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));

/// The duration of each request of one kind, in microseconds.
struct Felt {
    micros: Vec<f64>,
    failed: usize,
}

impl Felt {
    fn quantile(&self, share: usize) -> f64 {
        self.micros.get(self.micros.len().saturating_sub(1) * share / 100).copied().unwrap_or(f64::INFINITY)
    }

    fn is_within(&self) -> bool {
        self.failed == 0 && self.quantile(99) <= P99_MAX && self.quantile(100) <= STALL_MAX
    }

    fn text(&self) -> String {
        let times = [50, 99, 100].map(|share| time(self.quantile(share))).join(" / ");
        if self.failed == 0 { times } else { format!("{times}; **{} failed**", self.failed) }
    }
}

/// Sends requests one by one until `stop` is set.
fn feel(stop: &AtomicBool, mut send: impl FnMut() -> bool) -> Felt {
    let mut felt = Felt { micros: Vec::new(), failed: 0 };
    while !stop.load(Ordering::Relaxed) {
        let begun = Instant::now();
        let is_answered = send();
        felt.micros.push(begun.elapsed().as_secs_f64() * 1_000_000.0);
        felt.failed += usize::from(!is_answered);
        std::thread::sleep(PAUSE);
    }
    felt.micros.sort_by(f64::total_cmp);
    felt
}

fn check(place: &Workspace, stop: &AtomicBool) -> Felt {
    let load = place.check(None);
    let mut connection = wire::connect(place.address(), None);
    let request = wire::request("POST", &load.path, &load.credential, load.body.as_bytes());
    feel(stop, || wire::ask(&mut connection, &request) == Some(200))
}

fn change(place: &Workspace, stop: &AtomicBool) -> Felt {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let mut connection = wire::connect(place.address(), None);
    feel(stop, || {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let expires_at = format!("2996-01-01T{:02}:{:02}:{:02}Z", number / 3_600, number / 60 % 60, number % 60);
        let body = json!({"role": "contributor", "expires_at": expires_at}).to_string();
        let path = "/v1/workspaces/acme/environments/env4/grants/user:user1";
        wire::ask(&mut connection, &wire::request("PUT", path, &place.owner, body.as_bytes())) == Some(200)
    })
}

/// Sends each request over a connection of its own, as a supervisor does.
fn health(address: SocketAddr, stop: &AtomicBool) -> Felt {
    let request = wire::request("GET", "/healthz", "", b"");
    feel(stop, || wire::ask(&mut wire::connect(address, Some(ELSEWHERE)), &request) == Some(200))
}

/// The neighbours' latencies, and the additional memory.
struct Measured {
    felt: [Felt; 3],
    grown: f64,
}

fn measure(program: &Program, place: &Workspace, time: Duration, attack: impl FnOnce(&AtomicBool) + Send) -> Measured {
    let (stop, before) = (AtomicBool::new(false), program.resident_mib());
    let felt = std::thread::scope(|scope| {
        let checks = scope.spawn(|| check(place, &stop));
        let changes = scope.spawn(|| change(place, &stop));
        let healths = scope.spawn(|| health(place.address(), &stop));
        let attacking = scope.spawn(|| attack(&stop));
        std::thread::sleep(time);
        stop.store(true, Ordering::Relaxed);
        attacking.join().unwrap();
        [checks, changes, healths].map(|felt| felt.join().unwrap())
    });
    Measured { felt, grown: program.most_resident_mib() - before }
}

pub fn run(extent: Extent) {
    let columns =
        ["attack", "checks", "changes", "health checks", "memory", "the attack was answered", "within the bars"];
    let mut table = Table::new("Neighbours of an attack: p50 / p99 / longest", &columns);
    let only = crate::text_option("--attack");
    for attack in ALL.iter().filter(|attack| only.as_ref().is_none_or(|only| attack.name.contains(only.as_str()))) {
        let program = Program::by_default();
        let place = Workspace::make(&program);
        let attacked = Attacked::make(&place, attack.is_large);
        let time = extent.time.max(Duration::from_secs(option("--seconds", 10)));
        let Measured { felt, grown } = measure(&program, &place, time, |stop| attack.run(&attacked, stop));
        let is_within = felt.iter().all(Felt::is_within) && grown <= GROWTH_MIB_MAX;
        let verdict = if is_within { "yes" } else { "**no**" };
        let [checks, changes, healths] = felt.each_ref().map(Felt::text);
        let memory = format!("+{} MiB", number(grown));
        table.row(&[attack.name, &checks, &changes, &healths, &memory, &attacked.answers(), verdict]);
    }
    table.print();
}

impl Attack {
    fn run(&self, attacked: &Attacked, stop: &AtomicBool) {
        let held: Vec<TcpStream> = (self.begin)(attacked, stop);
        while !stop.load(Ordering::Relaxed) {
            std::thread::sleep(PAUSE);
        }
        drop(held);
    }
}
