//! Addresses of names. `localhost` is always this machine (RFC 6761), also on a system without `/etc/hosts`.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};

/// Addresses of `localhost`, for an HTTP client's table of known names. The port of a request replaces the port 0.
pub const LOCALHOST: [SocketAddr; 2] =
    [SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0), SocketAddr::new(IpAddr::V6(Ipv6Addr::LOCALHOST), 0)];

/// Returns the addresses of the host of a URL. An IPv6 address may be in brackets. Blocks while a name is resolved.
///
/// # Errors
/// If the name can't be resolved.
pub fn addresses(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    if host.eq_ignore_ascii_case("localhost") {
        return Ok(LOCALHOST.map(|address| SocketAddr::new(address.ip(), port)).to_vec());
    }
    Ok((host.trim_matches(['[', ']']), port).to_socket_addrs()?.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_of_urls_have_addresses() {
        for (host, expected) in [("localhost", "127.0.0.1:80 [::1]:80"), ("10.0.0.1", "10.0.0.1:80"), ("[fd00::1]", "[fd00::1]:80")] {
            let found: Vec<_> = addresses(host, 80).unwrap().iter().map(ToString::to_string).collect();
            assert_eq!(found.join(" "), expected);
        }
    }
}
