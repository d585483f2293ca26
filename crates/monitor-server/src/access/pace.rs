//! How often a client or an account may do something: an even pace, and a burst before it. What is remembered is bounded.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// So many clients are told apart; in a crowd beyond that the new ones share one pace.
const MAX_CLIENTS: usize = 10_000;

/// Counts by client (GCRA: one time is kept of each, when its burst would be whole again).
#[derive(Debug)]
pub(crate) struct Pace<K> {
    period: Duration,
    burst: Duration,
    /// The key `None` stands for all that came when there was no more room.
    clients: Mutex<HashMap<Option<K>, Instant>>,
}

impl<K: Eq + Hash> Pace<K> {
    /// `burst` at once, then one every `period`.
    pub(crate) fn new(period: Duration, burst: u32) -> Self {
        Self { period, burst: period * burst, clients: Mutex::default() }
    }

    /// Counts one; how long to wait if it is too many.
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

    /// Takes one back that was counted.
    pub(crate) fn forgive(&self, client: K) {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(whole) = clients.get_mut(&Some(client)) {
            *whole = whole.checked_sub(self.period).unwrap_or(*whole);
        }
    }
}

/// Whom an address stands for: whoever has an IPv6 address has 2⁶⁴ of them.
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
    fn addresses_of_one_network_are_one_client() {
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
    fn a_crowd_is_remembered_within_bounds() {
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
