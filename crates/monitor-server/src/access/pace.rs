//! Rate limiter: a burst, then an even rate, for each client or account. The number of remembered clients is bounded.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Maximum number of clients with a rate of their own. Beyond it, new clients share one rate.
const MAX_CLIENTS: usize = 10_000;

/// Rate limiter by key. It implements GCRA: it stores one time per key, at which the key's whole burst is available again.
#[derive(Debug)]
pub(crate) struct Pace<K> {
    period: Duration,
    burst: Duration,
    /// Times by key. The key `None` counts all clients that no longer fit into the map.
    clients: Mutex<HashMap<Option<K>, Instant>>,
}

impl<K: Eq + Hash> Pace<K> {
    /// Allows `burst` events at once, then one every `period`.
    pub(crate) fn new(period: Duration, burst: u32) -> Self {
        Self { period, burst: period * burst, clients: Mutex::default() }
    }

    /// Counts an event. Returns the time to wait as an error if the limit is exceeded.
    pub(crate) fn count(&self, client: K, now: Instant) -> Result<(), Duration> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let mut client = Some(client);
        if clients.len() >= MAX_CLIENTS && !clients.contains_key(&client) {
            clients.retain(|_, whole| *whole > now);
            if clients.len() >= MAX_CLIENTS {
                client = None;
            }
        }
        let whole = clients.get(&client).copied().unwrap_or(now).max(now) + self.period;
        let wait = whole.saturating_duration_since(now).saturating_sub(self.burst);
        if wait.is_zero() {
            clients.insert(client, whole);
            return Ok(());
        }
        Err(wait)
    }

    /// Removes a counted event.
    pub(crate) fn forgive(&self, client: K) {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(whole) = clients.get_mut(&Some(client)) {
            *whole = whole.checked_sub(self.period).unwrap_or(*whole);
        }
    }
}

/// Key for rate limiting by address. IPv6 addresses are grouped by /64, because one client usually controls the whole prefix.
pub(crate) fn network(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64).into(),
        ip @ IpAddr::V4(_) => ip,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_and_then_an_even_pace_for_each_client() {
        let pace = Pace::new(Duration::from_secs(1), 3);
        let (one, other): (IpAddr, IpAddr) = ([192, 0, 2, 1].into(), [192, 0, 2, 2].into());
        let start = Instant::now();
        for _ in 0..3 {
            pace.count(one, start).unwrap();
        }
        assert_eq!(pace.count(one, start), Err(Duration::from_secs(1)));
        pace.forgive(one);
        pace.count(one, start).unwrap();
        assert_eq!(pace.count(one, start), Err(Duration::from_secs(1)));
        pace.forgive(other);
        pace.count(other, start).unwrap();
        let later = start + Duration::from_secs(1);
        pace.count(one, later).unwrap();
        pace.count(one, later).unwrap_err();
        for _ in 0..3 {
            pace.count(one, later + Duration::from_mins(1)).unwrap();
        }
    }

    #[test]
    fn addresses_in_the_same_network_count_as_the_same_client() {
        let pace = Pace::new(Duration::from_secs(1), 1);
        let start = Instant::now();
        let count = |address: &str| pace.count(network(address.parse().unwrap()), start);
        count("2001:db8::1").unwrap();
        count("2001:db8::2").unwrap_err();
        count("2001:db8:0:1::1").unwrap();
        count("::ffff:192.0.2.1").unwrap();
        count("192.0.2.1").unwrap_err();
    }

    #[test]
    fn the_number_of_remembered_clients_is_bounded() {
        let pace = Pace::new(Duration::from_secs(1), 1);
        let start = Instant::now();
        let client = |n: u32| IpAddr::from(n.to_be_bytes());
        let refused = (0..3 * MAX_CLIENTS as u32).filter(|n| pace.count(client(*n), start).is_err()).count();
        assert!(pace.clients.lock().unwrap().len() <= MAX_CLIENTS + 1);
        assert_eq!(refused, 2 * MAX_CLIENTS - 1);
        pace.count(client(u32::MAX), start + Duration::from_secs(9)).unwrap();
        assert_eq!(pace.clients.lock().unwrap().len(), 1, "who is done is forgotten when there is need");
    }
}
