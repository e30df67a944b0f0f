//! A limit on the connections of each client address, so that others, such as health checks, can always connect.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use super::client_address::network_of;

/// The default for the most connections from one address at a time.
pub const CONNECTIONS_PER_ADDRESS_DEFAULT: usize = 1_000;

/// The number of open connections of each address.
pub struct Connections {
    of_an_address: usize,
    open: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

/// A counted connection; dropping it ends the count.
pub struct CountedConnection {
    address: IpAddr,
    open: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

impl Default for Connections {
    fn default() -> Self {
        Self::of_an_address(CONNECTIONS_PER_ADDRESS_DEFAULT)
    }
}

impl Connections {
    /// Returns a limit for each address. IPv6 counts by /64, since one host has all of it.
    pub fn of_an_address(most: usize) -> Self {
        Self { of_an_address: most, open: Arc::default() }
    }

    /// Counts a connection; none if the address is at its limit.
    pub fn count(&self, peer: IpAddr) -> Option<CountedConnection> {
        let address = network_of(peer);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(address).or_default();
        if *count >= self.of_an_address {
            return None;
        }
        *count += 1;
        Some(CountedConnection { address, open: Arc::clone(&self.open) })
    }
}

impl Drop for CountedConnection {
    fn drop(&mut self) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Entry::Occupied(mut count) = open.entry(self.address) {
            *count.get_mut() = count.get().saturating_sub(1);
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_counted_apart_a_slash_64_as_one_and_none_without_connections_is_kept() {
        let connections = Connections::of_an_address(2);
        let count = |text: &str| connections.count(text.parse().unwrap());
        let held = [count("192.0.2.1"), count("::ffff:192.0.2.1"), count("2001:db8::1"), count("2001:db8::ffff:2")];
        assert!(held.iter().all(Option::is_some));
        assert!(count("192.0.2.1").is_none() && count("2001:db8::3").is_none());
        assert!(count("192.0.2.2").is_some() && count("2001:db8:0:1::1").is_some());
        drop(held);
        assert!(count("192.0.2.1").is_some());
        assert!(connections.open.lock().unwrap().is_empty());
    }
}
