//! Parsing and formatting of the values of settings.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::IpNet;
use monitor_jobs::JobRule;
use monitor_store::retention::{self, Rule};
use url::Url;

use super::celery::{CeleryCluster, read_celery, show_celery};
use super::job_callbacks::{read_job_callbacks, show_job_callbacks};
use super::job_rules::{read_job_rules, show_job_rules};
use super::{Loopback, Mcp, StartAgent};
use crate::commands::AllowedCommands;
use crate::forward::{OtlpFilter, OtlpHeaders};
use crate::jobs::CallbackTarget;
use crate::oidc::{self, RolesOfGroups};

/// Type of a value in the settings file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// String.
    Text,
    /// String that may contain a secret. Errors do not quote it.
    Secret,
    /// Whole number, or a string with a unit.
    Number,
    /// `true` or `false`.
    Switch,
    /// Array of inline tables.
    Tables,
}

/// Parser and formatter for the values of a type.
pub(super) struct Kind<T> {
    pub placeholder: &'static str,
    pub form: Form,
    pub read: fn(&str) -> Result<T, String>,
    /// Returns an empty string for an unset value.
    pub show: fn(&T) -> String,
}

pub(super) const ADDRESS: Kind<SocketAddr> = Kind {
    placeholder: "ADDRESS:PORT",
    form: Form::Text,
    read: |text| {
        let digits = text.strip_prefix("localhost:").map(|port| format!("127.0.0.1:{port}"));
        let address = digits.as_deref().unwrap_or(text).parse();
        address.map_err(|_| "expected an address and a port, like 127.0.0.1:60010 or [::1]:60010".to_owned())
    },
    show: ToString::to_string,
};

pub(super) const SOME_ADDRESS: Kind<Option<SocketAddr>> = Kind {
    placeholder: "ADDRESS:PORT",
    form: Form::Text,
    read: |text| (ADDRESS.read)(text).map(Some),
    show: |address| address.map(|address| address.to_string()).unwrap_or_default(),
};

pub(super) const FOLDER: Kind<PathBuf> = Kind {
    placeholder: "DIR",
    form: Form::Text,
    read: |text| if text.is_empty() { Err("expected a folder".to_owned()) } else { Ok(text.into()) },
    show: |path| path.display().to_string(),
};

pub(super) const FILE: Kind<Option<PathBuf>> = Kind {
    placeholder: "FILE",
    form: Form::Text,
    read: |text| if text.is_empty() { Err("expected a file".to_owned()) } else { Ok(Some(text.into())) },
    show: |path| path.as_deref().map(|path: &Path| path.display().to_string()).unwrap_or_default(),
};

pub(super) const SPOOL: Kind<Option<PathBuf>> = Kind {
    placeholder: "DIR",
    form: Form::Text,
    read: |text| Ok(monitor_spool::dir_of(Some(text.as_ref()))),
    show: |path| path.as_deref().map_or("off".to_owned(), |path: &Path| path.display().to_string()),
};

pub(super) const ORIGIN: Kind<Option<Url>> = Kind {
    placeholder: "URL",
    form: Form::Text,
    read: |text| {
        let url: Url = text.parse().map_err(|error| format!("{error}; expected a URL like https://monitor.example.com"))?;
        let is_origin = matches!(url.scheme(), "http" | "https") && url.has_host() && url.path() == "/" && url.query().is_none();
        if is_origin { Ok(Some(url)) } else { Err("expected a URL without a path, like https://monitor.example.com".to_owned()) }
    },
    show: |url| url.as_ref().map(ToString::to_string).unwrap_or_default(),
};

pub(super) const ISSUER: Kind<Option<String>> = Kind {
    placeholder: "URL",
    form: Form::Text,
    read: |text| {
        let url: Url = text.parse().map_err(|error| format!("{error}; expected a URL like https://login.example.com"))?;
        if url.query().is_some() || url.fragment().is_some() || !url.username().is_empty() || url.password().is_some() {
            return Err("expected a URL without a query and a password, like https://login.example.com".to_owned());
        }
        // The text is kept as written, because it is compared with the issuer that the provider reports.
        if oidc::is_safe(&url) { Ok(Some(text.to_owned())) } else { Err("expected https, or http on loopback".to_owned()) }
    },
    show: |issuer| issuer.clone().unwrap_or_default(),
};

pub(super) const CLIENT: Kind<Option<String>> = Kind {
    placeholder: "ID",
    form: Form::Text,
    read: |text| if text.trim().is_empty() { Err("expected the id of a client".to_owned()) } else { Ok(Some(text.trim().to_owned())) },
    show: |client| client.clone().unwrap_or_default(),
};

pub(super) const SCOPES: Kind<Vec<String>> = Kind {
    placeholder: "SCOPES",
    form: Form::Text,
    read: |text| {
        let scopes: Vec<_> = text.split([' ', ',']).filter(|scope| !scope.is_empty()).map(str::to_owned).collect();
        let is_scope = |scope: &String| scope.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\'));
        let is_right = !scopes.is_empty() && scopes.iter().all(is_scope);
        if is_right { Ok(scopes) } else { Err("expected words between spaces, like openid profile email groups".to_owned()) }
    },
    show: |scopes| scopes.join(" "),
};

pub(super) const CLAIM: Kind<String> = Kind {
    placeholder: "CLAIM",
    form: Form::Text,
    read: |text| if text.trim().is_empty() { Err("expected the name of a claim".to_owned()) } else { Ok(text.trim().to_owned()) },
    show: Clone::clone,
};

pub(super) const ROLES: Kind<RolesOfGroups> =
    Kind { placeholder: "ROLES", form: Form::Text, read: RolesOfGroups::read, show: ToString::to_string };

pub(super) const RECEIVER: Kind<Option<Url>> = Kind {
    placeholder: "URL",
    form: Form::Secret,
    read: |text| {
        let url: Url = text.parse().map_err(|error| format!("{error}; expected a URL like http://collector.example.com:4318"))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err("expected a URL without a name and a password: those belong into otlp-headers".to_owned());
        }
        let is_plain = matches!(url.scheme(), "http" | "https") && url.has_host() && url.query().is_none() && url.fragment().is_none();
        if is_plain {
            Ok(Some(url))
        } else {
            Err("expected a URL of http or https without a query, like http://collector.example.com:4318".to_owned())
        }
    },
    show: |url| url.as_ref().map(ToString::to_string).unwrap_or_default(),
};

pub(super) const HEADERS: Kind<OtlpHeaders> =
    Kind { placeholder: "HEADERS", form: Form::Secret, read: OtlpHeaders::read, show: OtlpHeaders::show };

pub(super) const FILTER: Kind<OtlpFilter> =
    Kind { placeholder: "CONDITIONS", form: Form::Text, read: OtlpFilter::read, show: OtlpFilter::show };

pub(super) const NETWORKS: Kind<Vec<IpNet>> = Kind {
    placeholder: "NETWORKS",
    form: Form::Text,
    read: |text| {
        let expected = |part: &str| format!("{part:?}: expected addresses and networks between commas, like 127.0.0.1,10.0.0.0/8,fd00::/8");
        let network = |part: &str| part.parse().or_else(|_| part.parse().map(IpAddr::into)).map_err(|_| expected(part));
        text.split(',').map(|part| network(part.trim())).collect()
    },
    show: |networks| networks.iter().map(ToString::to_string).collect::<Vec<_>>().join(","),
};

pub(super) const LOOPBACK: Kind<Loopback> = Kind {
    placeholder: "WHO",
    form: Form::Text,
    read: |text| match text {
        "open" => Ok(Loopback::Open),
        "token" => Ok(Loopback::Token),
        _ => Err("expected open or token".to_owned()),
    },
    show: |loopback| match loopback {
        Loopback::Open => "open".to_owned(),
        Loopback::Token => "token".to_owned(),
    },
};

pub(super) const COMMANDS: Kind<AllowedCommands> =
    Kind { placeholder: "METHODS", form: Form::Text, read: AllowedCommands::read, show: ToString::to_string };

pub(super) const MCP: Kind<Mcp> = Kind {
    placeholder: "TOOLS",
    form: Form::Text,
    read: |text| match text {
        "off" => Ok(Mcp::Off),
        "read" => Ok(Mcp::Read),
        "operate" => Ok(Mcp::Operate),
        _ => Err("expected off, read or operate".to_owned()),
    },
    show: |tools| match tools {
        Mcp::Off => "off".to_owned(),
        Mcp::Read => "read".to_owned(),
        Mcp::Operate => "operate".to_owned(),
    },
};

pub(super) const AGENT: Kind<StartAgent> = Kind {
    placeholder: "WHEN",
    form: Form::Text,
    read: |text| match text {
        "auto" => Ok(StartAgent::Auto),
        "on" => Ok(StartAgent::On),
        "off" => Ok(StartAgent::Off),
        _ => Err("expected auto, on or off".to_owned()),
    },
    show: |agent| match agent {
        StartAgent::Auto => "auto".to_owned(),
        StartAgent::On => "on".to_owned(),
        StartAgent::Off => "off".to_owned(),
    },
};

pub(super) const SWITCH: Kind<bool> = Kind {
    placeholder: "BOOL",
    form: Form::Switch,
    read: |text| match text.to_ascii_lowercase().as_str() {
        "1" | "true" | "on" | "yes" => Ok(true),
        "0" | "false" | "off" | "no" => Ok(false),
        _ => Err("expected true or false".to_owned()),
    },
    show: ToString::to_string,
};

pub(super) const COUNT: Kind<usize> = Kind {
    placeholder: "N",
    form: Form::Number,
    read: |text| {
        let number = text.replace('_', "").parse().ok().filter(|number| *number > 0);
        number.ok_or_else(|| "expected a whole number from 1 on".to_owned())
    },
    show: ToString::to_string,
};

const UNITS: [(&str, u32); 3] = [("KiB", 10), ("MiB", 20), ("GiB", 30)];

pub(super) const BYTES: Kind<usize> = Kind {
    placeholder: "BYTES",
    form: Form::Number,
    read: |text| {
        let bytes = monitor_spool::bytes(text).and_then(|bytes| usize::try_from(bytes).ok()).filter(|bytes| *bytes > 0);
        bytes.ok_or_else(|| "expected a number of bytes from 1 on, like 4096, 64MiB or 1GiB".to_owned())
    },
    show: |bytes| match UNITS.iter().rev().find(|(_, shift)| *bytes > 0 && bytes % (1 << shift) == 0) {
        Some((unit, shift)) => format!("{}{unit}", bytes >> shift),
        None => bytes.to_string(),
    },
};

/// Bytes. `None` means the server's default, 0 means off.
pub(super) const FREE_BYTES: Kind<Option<u64>> = Kind {
    placeholder: "BYTES",
    form: Form::Number,
    read: |text| if text == "off" { Ok(Some(0)) } else { (SOME_BYTES.read)(text) },
    show: |bytes| if *bytes == Some(0) { "off".to_owned() } else { (SOME_BYTES.show)(bytes) },
};

pub(super) const DURATION: Kind<Duration> = Kind {
    placeholder: "DURATION",
    form: Form::Text,
    read: |text| monitor_duration::read_positive(text).map_err(|expected| expected.to_string()),
    show: |duration| monitor_duration::write(*duration),
};

/// Declares a setting that can be `off`, which is also its default.
macro_rules! optional {
    ($name:ident: $type:ty = $kind:ident as $inner:ty) => {
        pub(super) const $name: Kind<Option<$type>> = Kind {
            placeholder: $kind.placeholder,
            form: $kind.form,
            read: |text| match text {
                "off" => Ok(None),
                text => Ok(Some(<$type>::try_from(($kind.read)(text)?).expect("as wide"))),
            },
            show: |value| value.map(|value| ($kind.show)(&<$inner>::try_from(value).expect("as wide"))).unwrap_or_default(),
        };
    };
}

optional!(SOME_DURATION: Duration = DURATION as Duration);
optional!(SOME_COUNT: u64 = COUNT as usize);
optional!(SOME_BYTES: u64 = BYTES as usize);

pub(super) const RULES: Kind<Vec<Rule>> =
    Kind { placeholder: "RULES", form: Form::Tables, read: retention::read_rules, show: |rules| retention::show_rules(rules) };

pub(super) const JOB_RULES: Kind<Vec<JobRule>> =
    Kind { placeholder: "RULES", form: Form::Tables, read: read_job_rules, show: |rules| show_job_rules(rules) };

pub(super) const CELERY: Kind<Vec<CeleryCluster>> =
    Kind { placeholder: "CLUSTERS", form: Form::Tables, read: read_celery, show: |clusters| show_celery(clusters) };

pub(super) const JOB_CALLBACKS: Kind<Vec<CallbackTarget>> =
    Kind { placeholder: "ADDRESSES", form: Form::Tables, read: read_job_callbacks, show: |targets| show_job_callbacks(targets) };

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn displayed_values_can_be_parsed_again() {
        for text in ["1ms", "999ms", "10s", "1m30s", "5m", "12h", "7d"] {
            let duration = (DURATION.read)(text).unwrap();
            assert_eq!((DURATION.show)(&duration), text);
        }
        for text in ["1", "1023", "1KiB", "1025", "64MiB", "3GiB"] {
            assert_eq!((BYTES.show)(&(BYTES.read)(text).unwrap()), text);
        }
        assert_eq!((BYTES.read)("64MiB"), Ok(64 << 20));
        assert_eq!((BYTES.read)("1 GiB"), Ok(1 << 30));
        assert_eq!((COUNT.read)("10_000"), Ok(10_000));
        for text in ["127.0.0.1/32", "10.0.0.0/8,fd00::/8"] {
            assert_eq!((NETWORKS.show)(&(NETWORKS.read)(text).unwrap()), text);
        }
        assert_eq!((NETWORKS.show)(&(NETWORKS.read)("127.0.0.1, ::1").unwrap()), "127.0.0.1/32,::1/128");
        assert_eq!((ADDRESS.read)("localhost:1"), Ok("127.0.0.1:1".parse().unwrap()));
    }

    #[test]
    fn errors_of_invalid_values_contain_the_expected_form() {
        for text in ["", "collector:4318", "4318", "grpc://a:4317", "http://a/?b", "http://a/#b", "http://"] {
            assert!((RECEIVER.read)(text).unwrap_err().contains("http://collector.example.com:4318"), "{text}");
        }
        assert!((RECEIVER.read)("http://me:hush@a").is_err_and(|why| !why.contains("hush") && why.contains("otlp-headers")));
        for text in ["", "10", "0s", "36501d"] {
            assert!((DURATION.read)(text).unwrap_err().contains("expected a duration"), "{text}");
        }
        for text in ["", "0", "-1", "MiB", "1.5MiB", "1xib", "99999999999GiB"] {
            assert!((BYTES.read)(text).unwrap_err().contains("64MiB"), "{text}");
        }
        for text in ["", "0", "-1", "1k"] {
            assert!((COUNT.read)(text).is_err(), "{text}");
        }
        assert!((SWITCH.read)("perhaps").is_err());
        assert!((LOOPBACK.read)("closed").is_err());
        assert!((AGENT.read)("true").is_err());
        for text in ["", "localhost", "10.0.0.0/33", "10.0.0.1,", "::1/129", "10.0.0.0-10.0.0.9"] {
            assert!((NETWORKS.read)(text).unwrap_err().contains("10.0.0.0/8"), "{text}");
        }
    }
}
