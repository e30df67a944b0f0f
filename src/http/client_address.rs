//! The address of a request's client: the peer of the connection or, behind a trusted proxy, the address that the proxy reports.
//!
//! Anyone can send `X-Forwarded-For`, so only the hops at its end that trusted proxies wrote are used.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName};
use ipnet::IpNet;

use super::connection::RequestContext;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED: HeaderName = HeaderName::from_static("forwarded");

/// The proxies whose reports of the client's address are used; none by default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrustedProxies(Vec<IpNet>);

/// A text that names no network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no network: give addresses or networks, separated by commas, such as `127.0.0.1,10.0.0.0/8,fd00::/8`"
)]
pub struct NotANetwork(String);

/// Parses a network (RFC 4632 §3.1, RFC 4291 §2.3), or an address as the network of this one address.
fn network(text: &str) -> Result<IpNet, NotANetwork> {
    let refuse = |_| NotANetwork(text.escape_debug().to_string());
    text.parse().or_else(|_| text.parse().map(|address: IpAddr| address.into())).map_err(refuse)
}

impl FromStr for TrustedProxies {
    type Err = NotANetwork;

    fn from_str(text: &str) -> Result<Self, NotANetwork> {
        let named = text.split(',').map(str::trim).filter(|text| !text.is_empty());
        Ok(Self(named.map(network).collect::<Result<_, _>>()?))
    }
}

impl TrustedProxies {
    /// Returns whether an address is that of a trusted proxy.
    pub fn trust(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address))
    }

    /// Returns the client's address: the nearest one that is not a trusted proxy.
    pub fn client(&self, parts: &Parts) -> IpAddr {
        let peer = parts
            .extensions
            .get::<RequestContext>()
            .map_or(IpAddr::from([0, 0, 0, 0]), |context| context.connection.peer);
        let peer = peer.to_canonical();
        if !self.trust(peer) {
            return peer;
        }
        let said = (forwarded_for(&parts.headers), forwarded(&parts.headers));
        match said {
            (Some(hops), None) | (None, Some(hops)) => self.nearest(peer, &hops),
            (Some(hops), Some(others)) => {
                let client = self.nearest(peer, &hops);
                // A proxy writes one of the two headers and passes on the client's other one.
                if client == self.nearest(peer, &others) { client } else { peer }
            }
            (None, None) => peer,
        }
    }

    /// Walks the hops back towards the client, up to the first one that is not trusted.
    fn nearest(&self, peer: IpAddr, hops: &[Option<IpAddr>]) -> IpAddr {
        let mut nearest = peer;
        for hop in hops.iter().rev() {
            let Some(hop) = hop else { break };
            nearest = *hop;
            if !self.trust(nearest) {
                break;
            }
        }
        nearest
    }
}

/// Returns the address to count under: for IPv6 its /64, since one host has all of it.
pub fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6((address.to_bits() & !u128::from(u64::MAX)).into()),
    }
}

/// Returns the hops of all lines of a header; none without the header.
fn hops(headers: &HeaderMap, name: &HeaderName, read: fn(&str) -> Option<IpAddr>) -> Option<Vec<Option<IpAddr>>> {
    let lines = headers.get_all(name).iter();
    let hops: Vec<_> = lines.flat_map(|line| line.to_str().unwrap_or_default().split(',').map(read)).collect();
    (!hops.is_empty()).then_some(hops)
}

fn forwarded_for(headers: &HeaderMap) -> Option<Vec<Option<IpAddr>>> {
    hops(headers, &X_FORWARDED_FOR, address)
}

/// Returns the `for` of each element (RFC 7239 §4). An element with a quoted comma or semicolon is an unknown hop.
fn forwarded(headers: &HeaderMap) -> Option<Vec<Option<IpAddr>>> {
    hops(headers, &FORWARDED, |element| {
        let pairs = element.split(';').filter_map(|pair| pair.trim().split_once('='));
        let (_, node) = pairs.into_iter().find(|(name, _)| name.eq_ignore_ascii_case("for"))?;
        address(node.trim_matches('"'))
    })
}

/// Parses an address with an optional port; IPv6 may be in brackets.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse().or_else(|_| text.parse::<SocketAddr>().map(|address| address.ip()));
    address.ok().map(|address| address.to_canonical())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]
mod tests {
    use axum::http::Request;

    use super::*;
    use crate::http::budget::PermitSlot;
    use crate::http::connection::{Connection, ConnectionTimer, RequestId};

    /// Returns the client's address of a request from a peer, with these trusted proxies.
    fn client(trusted: &str, peer: &str, headers: &[(&str, &str)]) -> String {
        let trusted: TrustedProxies = trusted.parse().unwrap();
        let request = headers.iter().fold(Request::new(()), |mut request, (name, value)| {
            let name: HeaderName = name.parse().unwrap();
            request.headers_mut().append(name, value.parse().unwrap());
            request
        });
        let (mut parts, ()) = request.into_parts();
        let timer = ConnectionTimer::default();
        let connection = Connection { peer: peer.parse().unwrap(), timer, permit: PermitSlot::default() };
        parts.extensions.insert(RequestContext { connection, id: RequestId::Made([b'0'; 32]) });
        trusted.client(&parts).to_string()
    }

    #[test]
    fn the_headers_of_an_untrusted_peer_are_ignored() {
        let says = [("x-forwarded-for", "198.51.100.7"), ("forwarded", "for=198.51.100.7")];
        assert_eq!(client("", "192.0.2.1", &says), "192.0.2.1");
        assert_eq!(client("10.0.0.0/8", "192.0.2.1", &says), "192.0.2.1");
        assert_eq!(client("192.0.2.1", "192.0.2.1", &says), "198.51.100.7");
        assert_eq!(client("192.0.2.1", "::ffff:192.0.2.1", &says), "198.51.100.7");
    }

    #[test]
    fn the_nearest_untrusted_address_is_the_clients() {
        for (line, expected) in [
            ("198.51.100.7", "198.51.100.7"),
            ("203.0.113.9, 198.51.100.7", "198.51.100.7"),
            ("203.0.113.9, 198.51.100.7, 10.1.2.3", "198.51.100.7"),
            ("203.0.113.9,10.1.2.3:443 ,10.0.0.9", "203.0.113.9"),
            ("10.9.9.9, 10.1.2.3", "10.9.9.9"),
            ("203.0.113.9, unknown", "10.0.0.1"),
            ("203.0.113.9, nonsense, 10.1.2.3", "10.1.2.3"),
            ("[2001:db8::7]:443", "2001:db8::7"),
            ("2001:db8::7", "2001:db8::7"),
            ("", "10.0.0.1"),
        ] {
            assert_eq!(client("10.0.0.0/8", "10.0.0.1", &[("x-forwarded-for", line)]), expected, "{line}");
        }
        let lines = [("x-forwarded-for", "203.0.113.9"), ("x-forwarded-for", "198.51.100.7")];
        assert_eq!(client("10.0.0.0/8", "10.0.0.1", &lines), "198.51.100.7");
    }

    #[test]
    fn the_standard_header_is_read_too() {
        for (line, expected) in [
            ("for=198.51.100.7", "198.51.100.7"),
            ("for=203.0.113.9, proto=https;For=\"[2001:db8::7]:4711\";by=10.0.0.1", "2001:db8::7"),
            ("for=\"198.51.100.7:80\", for=10.1.1.1", "198.51.100.7"),
            ("for=_hidden", "10.0.0.1"),
            ("proto=https", "10.0.0.1"),
        ] {
            assert_eq!(client("10.0.0.0/8", "10.0.0.1", &[("forwarded", line)]), expected, "{line}");
        }
    }

    #[test]
    fn two_headers_that_differ_are_ignored() {
        let both = |one, other| client("10.0.0.0/8", "10.0.0.1", &[("x-forwarded-for", one), ("forwarded", other)]);
        assert_eq!(both("198.51.100.7", "for=198.51.100.7"), "198.51.100.7");
        assert_eq!(both("198.51.100.7", "for=203.0.113.9"), "10.0.0.1");
    }

    #[test]
    fn a_network_is_an_address_and_perhaps_a_length() {
        for (network, within, beyond) in [
            ("192.0.2.0/24", "192.0.2.255", "192.0.3.0"),
            ("192.0.2.77/24", "192.0.2.0", "192.0.3.0"),
            ("192.0.2.1", "192.0.2.1", "192.0.2.2"),
            ("2001:db8::/32", "2001:db8:ffff::1", "2001:db9::"),
            ("0.0.0.0/0", "255.1.2.3", "::1"),
        ] {
            let trusted: TrustedProxies = network.parse().unwrap();
            assert!(trusted.trust(within.parse().unwrap()), "{network}: {within}");
            assert!(!trusted.trust(beyond.parse().unwrap()), "{network}: {beyond}");
        }
        for wrong in ["10.0.0.0/33", "::/129", "10.0.0/8", "example.com", "10.0.0.0/", "10.0.0.0/8;::1"] {
            assert_eq!(wrong.parse::<TrustedProxies>(), Err(NotANetwork(wrong.to_owned())), "{wrong}");
        }
        assert_eq!("".parse::<TrustedProxies>(), Ok(TrustedProxies::default()));
    }
}
