//! Addresses that requests may be sent to. A name is resolved for each connection, and the resolved addresses decide, so a name that changes its
//! address later can't bypass the check.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// Resolver that omits addresses which aren't public.
pub(super) struct Public;

impl Resolve for Public {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            Ok(Box::new(public_of(name.as_str(), found)?.into_iter()) as Addrs)
        })
    }
}

/// Returns the public addresses among those that a name resolves to.
fn public_of(name: &str, found: impl Iterator<Item = SocketAddr>) -> Result<Vec<SocketAddr>, String> {
    let public: Vec<SocketAddr> = found.filter(|address| is_public(address.ip())).collect();
    if public.is_empty() { Err(refused(name)) } else { Ok(public) }
}

/// Returns the error for a host that requests may not be sent to.
pub(super) fn refused(host: &str) -> String {
    format!("{host} is an address of this machine or of a private network, which is reached only with `private = true`")
}

/// True if an address belongs to the public internet.
pub(super) fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => is_public_v6(ip),
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    let is_special = match (a, b) {
        // This network, private, loopback, multicast, reserved and broadcast.
        (0 | 10 | 127 | 224.., _) | (169, 254) | (192, 168) => true,
        (172, b) => (16..32).contains(&b),
        // Shared address space of providers, in which a cloud may have its metadata service.
        (100, b) => (64..128).contains(&b),
        (192, 0) => c == 0 || c == 2,
        (192, 88) => c == 99,
        (198, b) => b == 18 || b == 19 || (b == 51 && c == 100),
        (203, 0) => c == 113,
        // Metadata service of a cloud.
        (168, 63) => ip == Ipv4Addr::new(168, 63, 129, 16),
        _ => false,
    };
    !is_special
}

fn is_public_v6(ip: Ipv6Addr) -> bool {
    if let Some(ip) = embedded(ip) {
        return is_public_v4(ip);
    }
    let [a, b, ..] = ip.segments();
    // Only addresses within 2000::/3 are assigned to the internet. The tunnels, documentation and benchmark ranges in it are excluded.
    a & 0xe000 == 0x2000 && !(a == 0x2001 && (b < 0x200 || b == 0xdb8)) && a != 0x3fff
}

/// Returns the IPv4 address that is embedded in an IPv6 address.
fn embedded(ip: Ipv6Addr) -> Option<Ipv4Addr> {
    let of = |high: u16, low: u16| Some(Ipv4Addr::from(u32::from(high) << 16 | u32::from(low)));
    match ip.segments() {
        [0, 0, 0, 0, 0, 0xffff | 0, high, low] | [0, 0, 0, 0, 0xffff, 0, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            of(high, low)
        }
        [0x2002, high, low, ..] => of(high, low),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_name_is_checked_by_its_resolved_addresses_each_time() {
        let ask = |found: &[&str]| public_of("evil.example", found.iter().map(|ip| SocketAddr::new(ip.parse().unwrap(), 80)));
        assert_eq!(ask(&["1.1.1.1"]).unwrap().len(), 1);
        for found in [&["127.0.0.1"][..], &["169.254.169.254", "::1"], &[]] {
            assert!(ask(found).unwrap_err().contains("private = true"), "{found:?}");
        }
        assert_eq!(ask(&["10.0.0.1", "1.1.1.1"]).unwrap(), ["1.1.1.1:80".parse().unwrap()], "no connection goes to the other one");
    }

    #[test]
    fn only_addresses_of_the_whole_internet_are_public() {
        for ip in [
            "127.0.0.1",
            "127.9.9.9",
            "0.0.0.0",
            "10.1.2.3",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.0.1",
            "169.254.169.254",
            "100.64.0.1",
            "100.100.100.200",
            "168.63.129.16",
            "192.0.0.192",
            "192.0.2.1",
            "198.18.0.1",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::127.0.0.1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::1",
            "2002:7f00:1::",
            "2001::1",
            "2001:db8::1",
            "3fff::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "5f00::1",
        ] {
            assert!(!is_public(ip.parse().unwrap()), "{ip}");
        }
        for ip in [
            "1.1.1.1",
            "172.15.0.1",
            "172.32.0.1",
            "100.63.0.1",
            "100.128.0.1",
            "192.0.1.1",
            "168.63.129.17",
            "2606:4700::1111",
            "2400:3200::1",
            "::ffff:1.1.1.1",
            "64:ff9b::101:101",
            "2002:101:101::",
        ] {
            assert!(is_public(ip.parse().unwrap()), "{ip}");
        }
    }
}
