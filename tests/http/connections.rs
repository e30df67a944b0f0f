//! Connections: each address has a limit, so that others can always connect.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, OnceLock};

use socket2::{Domain, Socket, Type};
use tenure::clock::SystemClock;
use tenure::http::App;
use tenure::http::connections::Connections;

use crate::support::server::Server;

const MOST: usize = 5;

/// Opens a connection from an address of this machine.
fn connect(server: &Server, from: &str) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let from: SocketAddr = format!("{from}:0").parse().unwrap();
    socket.bind(&from.into()).unwrap();
    socket.connect(&server.address.into()).unwrap();
    socket.into()
}

/// Returns whether a request gets a response on a connection.
fn is_answered(mut stream: &TcpStream) -> bool {
    let (mut answer, mut byte) = (Vec::new(), [0]);
    let asked = stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").is_ok();
    while asked && !answer.ends_with(b"\r\n\r\nok\n") && stream.read_exact(&mut byte).is_ok() {
        answer.extend(byte);
    }
    answer.starts_with(b"HTTP/1.1 200") && answer.ends_with(b"ok\n")
}

fn server(trusted_proxies: &str) -> Server {
    let trusted_proxies = trusted_proxies.parse().unwrap();
    let connections = Connections::of_an_address(MOST);
    Server::tuned(Arc::new(SystemClock), |app| App { connections, trusted_proxies, ..app })
}

#[test]
fn an_address_at_its_limit_gets_no_more_connections_and_others_do() {
    let server = server("");
    let mut held: Vec<TcpStream> = (0..MOST).map(|_| connect(&server, "127.0.0.2")).collect();
    assert!(held.iter().all(is_answered), "each has its place");
    for _ in 0..3 {
        assert!(!is_answered(&connect(&server, "127.0.0.2")));
    }
    assert!(is_answered(&connect(&server, "127.0.0.3")), "a health check from elsewhere gets in");
    drop(held.pop());
    let begun = std::time::Instant::now();
    while !is_answered(&connect(&server, "127.0.0.2")) {
        assert!(begun.elapsed().as_secs() < 10, "who has gone away is still counted");
    }
    assert!(held.iter().all(is_answered), "and those that were there stay");
}

#[test]
fn a_trusted_proxy_has_no_limit_of_connections() {
    let server = server("127.0.0.4");
    let held: Vec<TcpStream> = (0..3 * MOST).map(|_| connect(&server, "127.0.0.4")).collect();
    assert!(held.iter().all(is_answered));
    let others: Vec<TcpStream> = (0..MOST).map(|_| connect(&server, "127.0.0.5")).collect();
    assert!(others.iter().all(is_answered) && !is_answered(&connect(&server, "127.0.0.5")));
}

#[test]
fn the_openapi_document_is_made_once() {
    let made = OnceLock::from(axum::body::Bytes::from_static(b"{\"made\":\"before\"}"));
    let server = Server::tuned(Arc::new(SystemClock), |app| App { openapi: made, ..app });
    assert_eq!(server.send("GET", "/openapi.json", &[], None).expect(200).text, "{\"made\":\"before\"}");
    let server = Server::start();
    let [one, other] = [(), ()].map(|()| server.send("GET", "/openapi.json", &[], None).expect(200));
    assert_eq!((&one.text, one.json["openapi"].is_string()), (&other.text, true));
}
