//! The address of a broker, as Celery's setting `broker_url` has it.

use std::fmt;
use std::path::PathBuf;

use percent_encoding::percent_decode_str;
use url::Url;

const AMQP_PORT: u16 = 5672;
const AMQPS_PORT: u16 = 5671;
const REDIS_PORT: u16 = 6379;
const SENTINEL_PORT: u16 = 26379;
const SENTINEL: &str = "sentinel://";
/// Celery has this name in `broker_transport_options`.
const MASTER_NAME: &str = "master_name";
/// User and password of a new RabbitMQ server, which accepts them only on its own machine. They are no secret.
const GUEST: &str = "guest";

/// The address of a broker, with the credentials for it. `Display` and `Debug` show no password.
///
/// # Examples
///
/// ```
/// use monitor_celery::Broker;
///
/// let broker: Broker = "amqp://shop:s3cret@mq.example.com/orders".parse()?;
/// assert_eq!(broker.to_string(), "amqp://shop@mq.example.com:5672/orders");
/// # Ok::<(), monitor_celery::InvalidBroker>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Broker {
    pub(crate) place: Place,
    pub(crate) user: Option<String>,
    pub(crate) password: Option<String>,
    /// Password of the Sentinels themselves.
    pub(crate) sentinel_password: Option<String>,
}

/// Location of a broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    Amqp {
        is_tls: bool,
        host: String,
        port: u16,
        vhost: String,
    },
    Redis {
        is_tls: bool,
        host: String,
        port: u16,
        db: i64,
    },
    RedisSocket {
        path: PathBuf,
        db: i64,
    },
    /// Redis, whose address Sentinels know by its name.
    Sentinels {
        hosts: Vec<(String, u16)>,
        master: String,
        db: i64,
    },
}

/// A text that is no address of a supported broker. The message names the mistake and contains no password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidBroker(String);

impl Broker {
    /// Returns true if the address contains a password, which other users of the machine could read in the list of processes. `guest` is the default
    /// of RabbitMQ and no secret.
    #[must_use]
    pub fn has_secret(&self) -> bool {
        self.password.as_deref().is_some_and(|password| password != GUEST)
    }

    /// Returns true if it is Redis.
    #[must_use]
    pub fn is_redis(&self) -> bool {
        !matches!(self.place, Place::Amqp { .. })
    }

    /// Returns the same broker with this password.
    #[must_use]
    pub fn with_password(mut self, password: String) -> Self {
        self.password = Some(password);
        self
    }

    /// Returns true if Sentinels know the address of the server.
    #[must_use]
    pub fn has_sentinels(&self) -> bool {
        matches!(self.place, Place::Sentinels { .. })
    }

    /// Returns the same broker with this password of its Sentinels.
    #[must_use]
    pub fn with_sentinel_password(mut self, password: String) -> Self {
        self.sentinel_password = Some(password);
        self
    }

    /// User name for AMQP.
    pub(crate) fn amqp_user(&self) -> &str {
        self.user.as_deref().unwrap_or(GUEST)
    }

    /// Password for AMQP.
    pub(crate) fn amqp_password(&self) -> &str {
        self.password.as_deref().unwrap_or(GUEST)
    }
}

impl std::str::FromStr for Broker {
    type Err = InvalidBroker;

    fn from_str(text: &str) -> Result<Self, InvalidBroker> {
        let wrong = |why: &str| {
            InvalidBroker(format!("this is no address of a broker: {why}; expected one like amqp://user@host/vhost or redis://host/0"))
        };
        if text.get(..SENTINEL.len()).is_some_and(|start| start.eq_ignore_ascii_case(SENTINEL)) {
            return sentinels(text).map_err(|why| wrong(&why));
        }
        let (scheme, _) = text.split_once("://").ok_or_else(|| wrong("it has no `://`"))?;
        let scheme = scheme.to_ascii_lowercase();
        if !matches!(scheme.as_str(), "amqp" | "pyamqp" | "amqps" | "redis" | "rediss" | "redis+socket" | "redis+unix" | "socket" | "unix")
        {
            let shown: String = scheme.chars().take(20).collect();
            return Err(InvalidBroker(format!(
                "the transport `{shown}` is not supported: RabbitMQ (amqp://, amqps://) and Redis (redis://, rediss://, redis+socket://, \
                 sentinel://) are"
            )));
        }
        let url = Url::parse(text).map_err(|error| wrong(&error.to_string()))?;
        let decoded = |text: &str| decoded(text).map_err(|why| wrong(&why));
        let user = Some(url.username()).filter(|user| !user.is_empty()).map(decoded).transpose()?;
        let password = url.password().map(decoded).transpose()?;
        let host = || url.host_str().filter(|host| !host.is_empty()).unwrap_or("localhost").to_owned();
        let place = match scheme.as_str() {
            "amqp" | "pyamqp" | "amqps" => {
                let is_tls = scheme == "amqps";
                let port = url.port().unwrap_or(if is_tls { AMQPS_PORT } else { AMQP_PORT });
                // As in Celery, `amqp://host`, `amqp://host/` and `amqp://host//` all mean the virtual host `/`.
                let vhost = decoded(url.path().strip_prefix('/').unwrap_or_default())?;
                let vhost = if vhost.is_empty() { "/".to_owned() } else { vhost };
                Place::Amqp { is_tls, host: host(), port, vhost }
            }
            "redis" | "rediss" => {
                let db = database(url.path()).map_err(|why| wrong(&why))?;
                Place::Redis { is_tls: scheme == "rediss", host: host(), port: url.port().unwrap_or(REDIS_PORT), db }
            }
            _ => {
                let path = decoded(url.path())?;
                if path.is_empty() {
                    return Err(wrong("it has no path of a socket"));
                }
                let db = url.query_pairs().find(|(name, _)| name == "virtual_host").map(|(_, db)| db.trim_matches('/').to_owned());
                let db = db.map_or(Ok(0), |db| db.parse()).map_err(|_| wrong("`virtual_host` is the number of a database of Redis"))?;
                Place::RedisSocket { path: path.into(), db }
            }
        };
        Ok(Self { place, user, password, sentinel_password: None })
    }
}

fn decoded(text: &str) -> Result<String, String> {
    percent_decode_str(text).decode_utf8().map(std::borrow::Cow::into_owned).map_err(|_| "it is not UTF-8".to_owned())
}

fn database(path: &str) -> Result<i64, String> {
    match path.trim_matches('/') {
        "" => Ok(0),
        db => db.parse().ok().filter(|db| *db >= 0).ok_or_else(|| "the database of Redis is a number".to_owned()),
    }
}

/// Reads the addresses of Sentinels, as Celery has them: `sentinel://host:26379;sentinel://host2:26379/0`. User and password are those of Redis.
fn sentinels(text: &str) -> Result<Broker, String> {
    let (mut hosts, mut user, mut password, mut db, mut master) = (Vec::new(), None, None, 0, None);
    for part in text.split(';').filter(|part| !part.is_empty()) {
        let url = Url::parse(part).map_err(|error| error.to_string())?;
        if url.scheme() != "sentinel" {
            return Err("all addresses after the first one start with sentinel://, too".to_owned());
        }
        let host = url.host_str().filter(|host| !host.is_empty()).unwrap_or("localhost");
        hosts.push((host.to_owned(), url.port().unwrap_or(SENTINEL_PORT)));
        user = user.or(Some(decoded(url.username())?).filter(|user| !user.is_empty()));
        password = password.or(url.password().map(decoded).transpose()?);
        db = db.max(database(url.path())?);
        master = master.or(url.query_pairs().find(|(name, _)| name == MASTER_NAME).map(|(_, name)| name.into_owned()));
    }
    let master = master.filter(|name| !name.is_empty()).ok_or_else(|| {
        format!("Sentinels know Redis by a name: add ?{MASTER_NAME}=NAME with the `{MASTER_NAME}` of Celery's `broker_transport_options`")
    })?;
    Ok(Broker { place: Place::Sentinels { hosts, master, db }, user, password, sentinel_password: None })
}

impl fmt::Display for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let user = self.user.as_ref().map(|user| format!("{user}@")).unwrap_or_default();
        match &self.place {
            Place::Amqp { is_tls, host, port, vhost } => {
                let vhost = if vhost == "/" { "" } else { vhost };
                write!(f, "{}://{user}{host}:{port}/{vhost}", if *is_tls { "amqps" } else { "amqp" })
            }
            Place::Redis { is_tls, host, port, db } => write!(f, "{}://{user}{host}:{port}/{db}", if *is_tls { "rediss" } else { "redis" }),
            Place::Sentinels { hosts, master, db } => {
                let addresses: Vec<_> = hosts.iter().map(|(host, port)| format!("{SENTINEL}{user}{host}:{port}")).collect();
                write!(f, "{}/{db}?{MASTER_NAME}={master}", addresses.join(";"))
            }
            Place::RedisSocket { path, db } => write!(f, "redis+socket://{}?virtual_host={db}", path.display()),
        }
    }
}

impl fmt::Debug for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Broker").field(&self.to_string()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_celery_reads_them() {
        for (text, shown) in [
            ("amqp://", "amqp://localhost:5672/"),
            ("amqp://mq", "amqp://mq:5672/"),
            ("amqp://mq/", "amqp://mq:5672/"),
            ("amqp://mq//", "amqp://mq:5672/"),
            ("amqp://mq/%2f", "amqp://mq:5672/"),
            ("pyamqp://shop:a%40b@mq:1/orders", "amqp://shop@mq:1/orders"),
            ("amqps://mq/orders", "amqps://mq:5671/orders"),
            ("AMQP://mq", "amqp://mq:5672/"),
            ("amqp://[::1]/", "amqp://[::1]:5672/"),
            ("redis://", "redis://localhost:6379/0"),
            ("redis://:s3cret@cache:1/2", "redis://cache:1/2"),
            ("rediss://cache", "rediss://cache:6379/0"),
            ("redis+socket:///tmp/r.sock?virtual_host=3", "redis+socket:///tmp/r.sock?virtual_host=3"),
            ("redis+unix:///tmp/r.sock", "redis+socket:///tmp/r.sock?virtual_host=0"),
            ("sentinel://a?master_name=shop", "sentinel://a:26379/0?master_name=shop"),
            (
                "sentinel://:s3cret@a:1;sentinel://:s3cret@[::1]:2;sentinel://c/3?master_name=shop",
                "sentinel://a:1;sentinel://[::1]:2;sentinel://c:26379/3?master_name=shop",
            ),
        ] {
            assert_eq!(text.parse::<Broker>().map(|broker| broker.to_string()).as_deref(), Ok(shown), "{text}");
        }
        let broker: Broker = "amqp://shop:a%40b@mq".parse().unwrap();
        assert_eq!((broker.amqp_user(), broker.amqp_password(), broker.has_secret()), ("shop", "a@b", true));
        assert!(!format!("{broker:?}").contains("a@b") && !format!("{broker:?}").contains("a%40b"));
        let guest: Broker = "amqp://guest:guest@mq".parse().unwrap();
        assert!(!guest.has_secret() && guest.with_password("x".to_owned()).has_secret());
    }

    #[test]
    fn other_addresses_are_refused_with_the_reason() {
        for (text, words) in [
            ("", "it has no `://`"),
            ("localhost:5672", "it has no `://`"),
            ("sqs://key:s3cret@", "the transport `sqs` is not supported: RabbitMQ"),
            ("sentinel://a;sentinel://:s3cret@b", "add ?master_name=NAME"),
            ("sentinel://a?master_name=", "add ?master_name=NAME"),
            ("sentinel://a;redis://b/0?master_name=shop", "start with sentinel://"),
            ("sentinel://a/x?master_name=shop", "the database of Redis is a number"),
            ("sentinel://a:port?master_name=shop", "invalid port"),
            ("memory://", "`memory`"),
            ("amqp://mq:port/", "invalid port"),
            ("redis://cache/orders", "the database of Redis is a number"),
            ("redis://cache/-1", "the database of Redis is a number"),
            ("redis+socket://?virtual_host=a", "socket"),
            ("amqp://%ff:s3cret@mq", "not UTF-8"),
        ] {
            let error = text.parse::<Broker>().expect_err(text).to_string();
            assert!(error.contains(words) && !error.contains("s3cret"), "{text}: {error}");
        }
    }
}
