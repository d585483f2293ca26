//! Recognition of host names and addresses that always refer to this machine.

use std::net::IpAddr;

/// Returns true if `host` always refers to this machine: `localhost`, an address in 127.0.0.0/8, or `::1`. `host` is written as in a URL or a
/// `Host` header, without a port. A name that only looks similar is resolved by DNS and may belong to any machine.
///
/// ```
/// assert!(monitor_wire::is_loopback("127.0.0.1") && monitor_wire::is_loopback("[::1]"));
/// assert!(!monitor_wire::is_loopback("127.evil.example"));
/// ```
pub fn is_loopback(host: &str) -> bool {
    let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    host.eq_ignore_ascii_case("localhost") || address.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_s_own_names_are_loopback() {
        for host in ["localhost", "LocalHost", "127.0.0.1", "127.255.255.254", "::1", "[::1]", "[::ffff:127.0.0.1]"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in [
            "",
            "[",
            "127.evil.example",
            "127.0.0.1.evil.example",
            "127.",
            "127.0.0.1:80",
            "localhost.evil.example",
            "localhosts",
            "evil.localhost.example",
            "128.0.0.1",
            "0.0.0.0",
            "::",
            "[::1].evil.example",
            "10.0.0.1",
        ] {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
