//! Checks of `Host` and `Origin`. Loopback does not separate the users of a machine, and a page of another site must not act on behalf of
//! its visitor.
//!
//! An attacker who owns a name can make it resolve to any address (DNS rebinding), so a request is answered only if its `Host` is one of
//! the machine's own names: a loopback name with any port, the address of `--listen`, or the host of `--public-url`. A server that listens
//! on all addresses also accepts every numeric address, because numeric addresses can't be rebound.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::uri::Authority;
use http::{HeaderMap, HeaderName, Uri, header};
use monitor_wire::is_loopback;
use url::Url;

use super::App;
use super::problem::ApiError;

/// Names that the server answers to.
#[derive(Debug, Clone)]
pub(super) struct Guard {
    listen: SocketAddr,
    public_url: Option<Url>,
    is_tls: bool,
}

/// Passes a request on if its `Host` and `Origin` are allowed. Otherwise the error names the setting to change.
pub(super) async fn check(State(app): State<App>, request: Request, next: Next) -> Response {
    match app.guard.check(request.uri(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(error) => error.into_response(),
    }
}

impl Guard {
    pub(super) fn new(listen: SocketAddr, public_url: Option<Url>, is_tls: bool) -> Self {
        Self { listen, public_url, is_tls }
    }

    /// Checks the headers `Host` and `Origin` of a request.
    pub(super) fn check(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), ApiError> {
        let named = single(headers, &header::HOST).map_err(|detail| ApiError::Host { detail })?;
        let named = named.map(|host| Authority::from_str(host).map_err(|_| self.bad_host(host))).transpose()?;
        let Some(host) = uri.authority().cloned().or(named.clone()) else {
            return Err(ApiError::Host { detail: "the request names no Host: send one, as HTTP/1.1 does".to_owned() });
        };
        for host in [Some(&host), named.as_ref()].into_iter().flatten() {
            if !self.answers_to(host) {
                return Err(self.bad_host(host.as_str()));
            }
        }
        match single(headers, &header::ORIGIN).map_err(|detail| ApiError::Origin { detail })? {
            Some(origin) if !self.trusts(origin, &host) => Err(ApiError::Origin {
                detail: format!(
                    "pages of {origin:?} may not use this server, only its own: if that is this server's address, start it with `--public-url {origin}`"
                ),
            }),
            _ => Ok(()),
        }
    }

    /// Accepts only requests of this server's own pages, by `Origin`. Browsers send a host's cookies to all of its ports.
    pub(super) fn check_same(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), ApiError> {
        let host =
            uri.authority().map(http::uri::Authority::as_str).or_else(|| headers.get(header::HOST)?.to_str().ok()).unwrap_or_default();
        let origin = headers.get(header::ORIGIN).and_then(|origin| origin.to_str().ok());
        let is_same = |origin: &str| {
            let authority = origin.split_once("://").map(|(_, authority)| authority).unwrap_or_default();
            let is_public = self.public_url.as_ref().is_some_and(|url| url.origin().ascii_serialization() == origin);
            is_public || (!authority.is_empty() && authority.eq_ignore_ascii_case(host))
        };
        match origin {
            Some(origin) if is_same(origin) => Ok(()),
            _ => Err(ApiError::Origin {
                detail: format!(
                    "what a login changes must come from this server's own page, with its `Origin`; this came from {origin:?}: programs use \
                     a token instead (`monitor token create`)"
                ),
            }),
        }
    }

    fn bad_host(&self, host: &str) -> ApiError {
        let listen = self.listen;
        let address = if listen.ip().is_unspecified() { format!("any IP address, port {}", listen.port()) } else { listen.to_string() };
        let public = self.public_url.as_ref().map(|url| format!(", {url}")).unwrap_or_default();
        let scheme = if self.is_tls { "https" } else { "http" };
        ApiError::Host {
            detail: format!(
                "this server does not answer to the Host {host:?}, only to localhost, {address}{public}: to reach it by another name, start it \
                 with `--public-url {scheme}://NAME:PORT`"
            ),
        }
    }

    fn answers_to(&self, host: &Authority) -> bool {
        if host.as_str().contains('@') {
            return false;
        }
        let name = host.host();
        is_loopback(name) || self.listens_on(name) || self.public_url.as_ref().is_some_and(|url| is_authority_of(url, host))
    }

    /// True if `name` is a numeric address that `--listen` covers.
    fn listens_on(&self, name: &str) -> bool {
        let listen = self.listen.ip();
        address(name).is_some_and(|ip| ip == listen || (listen.is_unspecified() && !ip.is_unspecified()))
    }

    fn trusts(&self, origin: &str, host: &Authority) -> bool {
        let Some((scheme @ ("http" | "https"), authority)) = origin.split_once("://") else { return false };
        let Ok(authority) = Authority::from_str(authority) else { return false };
        if authority.as_str().contains('@') {
            return false;
        }
        let is_public = self.public_url.as_ref().is_some_and(|url| url.scheme() == scheme && is_authority_of(url, &authority));
        let is_same =
            (scheme == "https") == self.is_tls && self.listens_on(host.host()) && authority.as_str().eq_ignore_ascii_case(host.as_str());
        is_public || is_loopback(authority.host()) || is_same
    }
}

/// Returns the value of a header that may occur only once.
fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, String> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(format!("the request has several `{name}` headers: send one"));
    }
    value.to_str().map(Some).map_err(|_| format!("the header `{name}` is not ASCII"))
}

fn address(name: &str) -> Option<IpAddr> {
    let name = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    name.parse().ok()
}

/// True if `authority` is the host and port of the URL. Without a port, it means the default port of the scheme.
fn is_authority_of(url: &Url, authority: &Authority) -> bool {
    let port = authority.port_u16().or(url.port_or_known_default().filter(|_| url.port().is_none()));
    url.host_str().is_some_and(|host| host.eq_ignore_ascii_case(authority.host())) && port == url.port_or_known_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(listen: &str, public_url: Option<&str>, host: &str, origin: Option<&str>) -> u16 {
        let guard = Guard::new(listen.parse().unwrap(), public_url.map(|url| url.parse().unwrap()), false);
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, host.parse().unwrap());
        if let Some(origin) = origin {
            headers.insert(header::ORIGIN, origin.parse().unwrap());
        }
        match guard.check(&Uri::from_static("/tasks"), &headers) {
            Ok(()) => 200,
            Err(error) => error.into_response().status().as_u16(),
        }
    }

    #[test]
    fn only_requests_with_a_host_name_of_this_machine_are_answered() {
        let local = "127.0.0.1:60010";
        let public = Some("https://monitor.example.com");
        for (listen, public_url, host, expected) in [
            (local, None, "localhost", 200),
            (local, None, "LocalHost:1", 200),
            (local, None, "127.0.0.1:60010", 200),
            (local, None, "127.9.9.9", 200),
            (local, None, "[::1]:60010", 200),
            (local, None, "[::ffff:127.0.0.1]", 200),
            (local, None, "localhost.evil.example", 421),
            (local, None, "evil.example:60010", 421),
            (local, None, "user@localhost", 421),
            (local, None, "192.0.2.1", 421),
            (local, None, "", 421),
            (local, None, "monitor.example.com", 421),
            (local, public, "monitor.example.com", 200),
            (local, public, "Monitor.Example.com:443", 200),
            (local, public, "monitor.example.com:80", 421),
            (local, Some("http://build:8080"), "build:8080", 200),
            (local, Some("http://build:8080"), "build", 421),
            ("192.0.2.1:60010", None, "192.0.2.1:60010", 200),
            ("192.0.2.1:60010", None, "192.0.2.2:60010", 421),
            ("0.0.0.0:60010", None, "192.0.2.2:60010", 200),
            ("0.0.0.0:60010", None, "[2001:db8::1]", 200),
            ("0.0.0.0:60010", None, "evil.example", 421),
        ] {
            assert_eq!(verdict(listen, public_url, host, None), expected, "{listen} {public_url:?} {host}");
        }
    }

    #[test]
    fn the_answer_to_a_refused_host_lists_the_accepted_names() {
        for (listen, is_tls, expected) in [
            ("0.0.0.0:60010", true, ["localhost, any IP address, port 60010:", "`--public-url https://NAME:PORT`"]),
            ("192.0.2.1:60010", false, ["localhost, 192.0.2.1:60010:", "`--public-url http://NAME:PORT`"]),
        ] {
            let ApiError::Host { detail } = Guard::new(listen.parse().unwrap(), None, is_tls).bad_host("evil.example") else {
                unreachable!()
            };
            assert!(expected.iter().all(|words| detail.contains(words)), "{detail}");
        }
    }

    #[test]
    fn only_the_server_s_own_pages_are_trusted() {
        let public = Some("https://monitor.example.com");
        for (public_url, origin, expected) in [
            (None, "http://localhost:60010", 200),
            (None, "http://127.0.0.1:5173", 200),
            (None, "https://[::1]", 200),
            (None, "null", 403),
            (None, "http://evil.example", 403),
            (None, "http://localhost.evil.example", 403),
            (None, "http://localhost@evil.example", 403),
            (None, "file://localhost", 403),
            (None, "https://monitor.example.com", 403),
            (public, "https://monitor.example.com", 200),
            (public, "http://monitor.example.com", 403),
        ] {
            assert_eq!(verdict("127.0.0.1:60010", public_url, "localhost:60010", Some(origin)), expected, "{public_url:?} {origin}");
        }
        let listen = "0.0.0.0:60010";
        assert_eq!(verdict(listen, None, "192.0.2.1:60010", Some("http://192.0.2.1:60010")), 200);
        assert_eq!(verdict(listen, None, "192.0.2.1:60010", Some("http://192.0.2.9:60010")), 403);
    }
}
