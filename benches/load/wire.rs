//! HTTP over a raw socket, for misbehaving clients.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::Duration;

use socket2::{Domain, Socket, Type};

/// The longest wait of a client.
const PATIENCE: Duration = Duration::from_secs(30);

/// Opens a connection, optionally from another address of the loopback network.
pub fn connect(address: SocketAddr, from: Option<IpAddr>) -> Option<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).ok()?;
    if let Some(from) = from {
        socket.bind(&SocketAddr::from((from, 0)).into()).ok()?;
    }
    socket.connect_timeout(&address.into(), PATIENCE).ok()?;
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    stream.set_write_timeout(Some(PATIENCE)).ok()?;
    stream.set_nodelay(true).ok()?;
    Some(stream)
}

/// Opens a connection with a small receive buffer.
pub fn connect_narrow(address: SocketAddr) -> Option<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).ok()?;
    socket.set_recv_buffer_size(4_096).ok()?;
    socket.connect_timeout(&address.into(), PATIENCE).ok()?;
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    stream.set_write_timeout(Some(PATIENCE)).ok()?;
    Some(stream)
}

pub fn request(method: &str, path: &str, credential: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {credential}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// Sends a request and reads the whole response; returns its status. A connection that broke off returns none from then
/// on.
pub fn ask(connection: &mut Option<TcpStream>, request: &[u8]) -> Option<u16> {
    let stream = connection.as_mut()?;
    let answered = stream.write_all(request).ok().and_then(|()| read(stream));
    if answered.is_none_or(|(_, is_last)| is_last) {
        *connection = None;
    }
    answered.map(|(status, _)| status)
}

/// Returns the status of a response, and whether the connection closes after it.
fn read(stream: &mut TcpStream) -> Option<(u16, bool)> {
    let (mut bytes, mut buffer) = (Vec::new(), vec![0; 64 * 1_024]);
    let head = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
        more(stream, &mut buffer, &mut bytes)?;
    };
    let text = String::from_utf8_lossy(&bytes[..head]).to_ascii_lowercase();
    let header = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let status: u16 = text.get(9..12)?.parse().ok()?;
    let is_last = header("connection:") == Some("close");
    if let Some(len) = header("content-length:") {
        let len: usize = len.parse().ok()?;
        while bytes.len() < head + len {
            more(stream, &mut buffer, &mut bytes)?;
        }
    } else if header("transfer-encoding:").is_some() {
        while !bytes.ends_with(b"\r\n0\r\n\r\n") {
            more(stream, &mut buffer, &mut bytes)?;
            // Only the end matters.
            bytes.drain(..bytes.len().saturating_sub(8));
        }
    }
    Some((status, is_last))
}

fn more(stream: &mut TcpStream, buffer: &mut [u8], bytes: &mut Vec<u8>) -> Option<()> {
    let len = stream.read(buffer).ok().filter(|len| *len > 0)?;
    bytes.extend_from_slice(&buffer[..len]);
    Some(())
}
