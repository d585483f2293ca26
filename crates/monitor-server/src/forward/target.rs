//! Receiver of forwarded spans, and checks of its settings.

use std::net::{IpAddr, SocketAddr, UdpSocket};

use url::Url;

use super::{OtlpFilter, OtlpHeaders};
use crate::config::Config;

/// Receiver of the spans.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(super) url: Url,
    pub(super) headers: OtlpHeaders,
    pub(super) filter: OtlpFilter,
}

/// Error in the settings for forwarding.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum TargetError {
    /// The endpoint is this server itself.
    #[error("otlp-endpoint: {url} is this server itself, which would receive its own spans: name another receiver, or leave it out")]
    Loop {
        /// URL of the endpoint.
        url: Url,
    },
    /// The log of events is off, so spans can't be read from it.
    #[error(
        "otlp-endpoint: the sent spans are read from the log of events, and `stream-keep-bytes` is `off`: set it, or leave out `otlp-endpoint`"
    )]
    NoLog,
    /// A setting has no effect without an endpoint.
    #[error("{setting} is set and otlp-endpoint is not: name the receiver, or leave it out")]
    NoEndpoint {
        /// Name of the setting.
        setting: &'static str,
    },
    /// A header has no value.
    #[error("{0}")]
    Header(String),
}

impl Target {
    /// Returns the configured receiver, if any. Blocks while its name is resolved.
    ///
    /// # Errors
    /// Returns an error if the settings are invalid.
    pub(crate) fn of(config: &Config) -> Result<Option<Self>, TargetError> {
        let (headers, filter) = (config.otlp_headers.clone(), config.otlp_filter.clone());
        let Some(endpoint) = &config.otlp_endpoint else {
            let set = [("otlp-headers", !headers.show().is_empty()), ("otlp-filter", !filter.show().is_empty())];
            return set.into_iter().find(|(_, is_set)| *is_set).map_or(Ok(None), |(setting, _)| Err(TargetError::NoEndpoint { setting }));
        };
        if is_self(endpoint, config) {
            return Err(TargetError::Loop { url: endpoint.clone() });
        }
        if config.keeps_events().bytes == 0 {
            return Err(TargetError::NoLog);
        }
        headers.values().map_err(TargetError::Header)?;
        Ok(Some(Self { url: traces(endpoint), headers, filter }))
    }
}

/// Returns the URL for spans at an endpoint.
fn traces(endpoint: &Url) -> Url {
    let mut url = endpoint.clone();
    url.set_path(&monitor_otlp::traces_path(endpoint.path()));
    url
}

/// True if the server would send to itself: under its public URL, or an address of this machine that it listens on.
fn is_self(endpoint: &Url, config: &Config) -> bool {
    if config.public_url.as_ref().is_some_and(|public| public.origin() == endpoint.origin()) {
        return true;
    }
    let (Some(host), Some(port)) = (endpoint.host_str(), endpoint.port_or_known_default()) else { return false };
    if port != config.listen.port() {
        return false;
    }
    // A name that can't be resolved now is reported by the duty later.
    monitor_http::addresses(host, port).is_ok_and(|addresses| addresses.into_iter().any(|address| reaches(address, config.listen.ip())))
}

/// True if a connection to the address reaches a listener on `listen`.
fn reaches(address: SocketAddr, listen: IpAddr) -> bool {
    let (to, listen) = (address.ip().to_canonical(), listen.to_canonical());
    let is_here = || to.is_unspecified() || UdpSocket::bind((to, 0)).is_ok();
    to == listen || (listen.is_unspecified() && is_here()) || (to.is_unspecified() && listen.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(listen: &str, endpoint: &str) -> Config {
        Config { listen: listen.parse().unwrap(), otlp_endpoint: Some(endpoint.parse().unwrap()), ..Config::new("data") }
    }

    #[test]
    fn spans_are_sent_to_a_path_below_the_endpoint() {
        for (endpoint, url) in [
            ("http://a:4318", "http://a:4318/v1/traces"),
            ("http://a:4318/", "http://a:4318/v1/traces"),
            ("https://a/otlp/", "https://a/otlp/v1/traces"),
            ("https://a/otlp/v1/traces", "https://a/otlp/v1/traces"),
        ] {
            assert_eq!(traces(&endpoint.parse().unwrap()).as_str(), url);
        }
    }

    #[test]
    fn an_endpoint_that_is_the_server_itself_is_detected() {
        for (listen, endpoint) in [
            ("127.0.0.1:60010", "http://127.0.0.1:60010"),
            ("127.0.0.1:60010", "http://localhost:60010/v1/traces"),
            ("0.0.0.0:60010", "http://127.0.0.1:60010"),
            ("[::1]:60010", "http://[::1]:60010"),
            ("0.0.0.0:60010", "http://0.0.0.0:60010"),
            ("127.0.0.1:60010", "http://0.0.0.0:60010"),
            ("0.0.0.0:80", "http://127.0.0.1"),
        ] {
            let error = Target::of(&with(listen, endpoint)).unwrap_err();
            assert!(error.to_string().contains("is this server itself"), "{listen} {endpoint}: {error}");
        }
        let public = Config {
            public_url: Some("https://monitor.example.com".parse().unwrap()),
            ..with("127.0.0.1:1", "https://monitor.example.com/v1/traces")
        };
        assert!(matches!(Target::of(&public), Err(TargetError::Loop { .. })));
        for (listen, endpoint) in [
            ("127.0.0.1:60010", "http://127.0.0.1:4318"),
            ("127.0.0.1:60010", "http://127.0.0.2:60010"),
            ("0.0.0.0:60010", "http://192.0.2.1:60010"),
        ] {
            assert!(Target::of(&with(listen, endpoint)).unwrap().is_some(), "{listen} {endpoint}");
        }
    }

    #[test]
    fn useless_settings_are_refused() {
        assert!(Target::of(&Config::new("data")).unwrap().is_none());
        let filter = OtlpFilter::read("name=x").unwrap();
        let alone = Config { otlp_filter: filter, ..Config::new("data") };
        assert_eq!(Target::of(&alone).unwrap_err(), TargetError::NoEndpoint { setting: "otlp-filter" });
        let without_log = Config { stream_keep_bytes: Some(0), ..with("127.0.0.1:60010", "http://127.0.0.1:4318") };
        assert_eq!(Target::of(&without_log).unwrap_err(), TargetError::NoLog);
        let headers = OtlpHeaders::read("a=env:MONITOR_TEST_THAT_IS_NOT_SET").unwrap();
        let without_value = Config { otlp_headers: headers, ..with("127.0.0.1:60010", "http://127.0.0.1:4318") };
        assert!(matches!(Target::of(&without_value), Err(TargetError::Header(_))));
    }
}
