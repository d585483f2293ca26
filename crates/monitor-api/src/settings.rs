//! Settings of a client: the server's address, the token, certificates, timeouts and limits.

use std::fmt;
use std::io::{BufRead as _, Read as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use url::Url;

/// Default address of a server: `monitor server` on this machine.
///
/// # Examples
///
/// ```
/// assert_eq!(monitor_api::server_url(monitor_api::DEFAULT_URL)?.port(), Some(60010));
/// # Ok::<(), monitor_api::InvalidSetting>(())
/// ```
pub const DEFAULT_URL: &str = "http://127.0.0.1:60010";

/// Maximum number of bytes read from a token file.
const LONGEST_TOKEN_FILE: u64 = 64 << 10;

/// A setting that can't be used, with a description of the expected value. The value of a secret is not included.
///
/// # Examples
///
/// ```
/// use monitor_api::Settings;
///
/// let get = |name: &str| (name == "MONITOR_SERVER_URL").then(|| "localhost".to_owned());
/// let invalid = Settings::read(get).unwrap_err();
/// assert_eq!(invalid.name, "MONITOR_SERVER_URL");
/// println!("{invalid}");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidSetting {
    /// Name of the setting, such as `MONITOR_TOKEN`.
    pub name: String,
    /// Description of the mistake and of the expected value.
    pub why: String,
}

impl InvalidSetting {
    fn new(name: &str, why: impl fmt::Display) -> Self {
        Self { name: name.to_owned(), why: why.to_string() }
    }
}

impl fmt::Display for InvalidSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.why)
    }
}

impl std::error::Error for InvalidSetting {}

/// An access token, as `monitor token create` prints it: printable characters without spaces. `Debug` does not show it.
///
/// # Examples
///
/// ```
/// use monitor_api::Token;
///
/// let token = Token::new("secret\n")?;
/// assert_eq!(token.as_str(), "secret");
/// assert_eq!(format!("{token:?}"), "***");
/// # Ok::<(), monitor_api::InvalidSetting>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// Parses a token. Surrounding whitespace, such as the newline at the end of a file, is removed.
    ///
    /// # Errors
    ///
    /// Returns an error if the text is empty, or contains a character that is not allowed in a token, such as a newline in its middle.
    ///
    /// # Examples
    ///
    /// ```
    /// assert!(monitor_api::Token::new("abc\n").is_ok());
    /// assert!(monitor_api::Token::new("abc\r\nX-Evil: 1").is_err());
    /// ```
    pub fn new(text: &str) -> Result<Self, InvalidSetting> {
        let text = text.trim();
        let is_one = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        is_one.then(|| Self(text.to_owned())).ok_or_else(|| {
            let why = if text.is_empty() {
                "it holds no token"
            } else {
                "it holds characters that no token has: expected printable ones, without spaces"
            };
            InvalidSetting::new("the token", why)
        })
    }

    /// Reads a token from the first line of a file.
    ///
    /// # Errors
    ///
    /// Returns an error if the file can't be read, or its first line is not a token.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use monitor_api::{Settings, Token};
    ///
    /// let token = Token::from_file("/etc/monitor/token".as_ref())?;
    /// let settings = Settings::from_env()?.token(token);
    /// # let _ = settings;
    /// # Ok::<(), monitor_api::InvalidSetting>(())
    /// ```
    pub fn from_file(path: &Path) -> Result<Self, InvalidSetting> {
        let name = path.display().to_string();
        let mut line = String::new();
        let file = std::fs::File::open(path).map_err(|error| InvalidSetting::new(&name, error))?;
        let mut reader = std::io::BufReader::new(file.take(LONGEST_TOKEN_FILE));
        reader.read_line(&mut line).map_err(|error| InvalidSetting::new(&name, error))?;
        Self::new(&line).map_err(|invalid| InvalidSetting { name: format!("the first line of {name}"), ..invalid })
    }

    /// Returns the text of the token. It is a secret: don't log it.
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(monitor_api::Token::new("secret\n")?.as_str(), "secret");
    /// # Ok::<(), monitor_api::InvalidSetting>(())
    /// ```
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Parses the address of a server.
///
/// The address of its page, as a browser shows it (`…/tasks` and everything below it), is converted to the server's address.
///
/// # Errors
///
/// Returns an error if the text is not an http or https URL with a host.
///
/// # Examples
///
/// ```
/// assert_eq!(monitor_api::server_url("https://h/below/tasks/7?tab=logs")?.as_str(), "https://h/below");
/// assert!(monitor_api::server_url("localhost:60010").is_err());
/// # Ok::<(), monitor_api::InvalidSetting>(())
/// ```
pub fn server_url(text: &str) -> Result<Url, InvalidSetting> {
    let invalid = |why: &str| InvalidSetting::new("the server's address", format!("{why}expected a URL like {DEFAULT_URL}"));
    let mut url: Url = text.trim().parse().map_err(|error| invalid(&format!("{error}; ")))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(invalid(""));
    }
    let path = base_path(url.path()).to_owned();
    url.set_path(&path);
    url.set_query(None);
    url.set_fragment(None);
    Ok(url)
}

fn base_path(path: &str) -> &str {
    let path = path.trim_end_matches('/');
    let page = path.find("/tasks/").or_else(|| path.strip_suffix("/tasks").map(str::len));
    page.map_or(path, |at| &path[..at])
}

/// Settings of a client: the server's address, the token, certificates, timeouts and limits.
///
/// # Examples
///
/// ```
/// use monitor_api::{Client, Settings, Token};
///
/// let settings = Settings::new("https://monitor.example.com")?.token(Token::new("a-token")?);
/// let client = Client::new(settings);
/// # Ok::<(), monitor_api::InvalidSetting>(())
/// ```
#[derive(Debug, Clone)]
pub struct Settings {
    pub(crate) url: Url,
    pub(crate) token: Option<Token>,
    pub(crate) authority_pem: Option<Vec<u8>>,
    pub(crate) certificate_file: Option<PathBuf>,
    pub(crate) connect_timeout: Duration,
    pub(crate) silence_timeout: Duration,
    pub(crate) max_answer_bytes: usize,
}

impl Settings {
    /// Creates settings for the server at this [address](server_url).
    ///
    /// # Errors
    ///
    /// Returns an error if the text is not an http or https URL with a host.
    ///
    /// # Examples
    ///
    /// ```
    /// use monitor_api::Settings;
    ///
    /// let settings = Settings::new("http://build-1:60010/tasks/7")?;
    /// assert_eq!(settings.url().as_str(), "http://build-1:60010/");
    /// # Ok::<(), monitor_api::InvalidSetting>(())
    /// ```
    pub fn new(url: &str) -> Result<Self, InvalidSetting> {
        Ok(Self::for_url(server_url(url)?))
    }

    /// Creates settings for a server's address that was returned by [`server_url`].
    ///
    /// # Examples
    ///
    /// ```
    /// use monitor_api::{Settings, server_url};
    ///
    /// let url = server_url("http://build-1:60010")?;
    /// let settings = Settings::for_url(url);
    /// # let _ = settings;
    /// # Ok::<(), monitor_api::InvalidSetting>(())
    /// ```
    pub fn for_url(url: Url) -> Self {
        Self {
            url,
            token: None,
            authority_pem: None,
            certificate_file: None,
            connect_timeout: Duration::from_secs(10),
            silence_timeout: Duration::from_secs(60),
            max_answer_bytes: 256 << 20,
        }
    }

    /// Reads the settings from the environment: `MONITOR_SERVER_URL` (default [`DEFAULT_URL`]), `MONITOR_TOKEN` and `MONITOR_SERVER_CERT`.
    /// Monitored programs and the command line read the same variables. An empty value counts as not set.
    ///
    /// # Errors
    ///
    /// Returns an error if a variable is invalid.
    ///
    /// # Examples
    ///
    /// ```
    /// use monitor_api::{Client, Settings};
    ///
    /// let client = Client::new(Settings::from_env()?);
    /// # let _ = client;
    /// # Ok::<(), monitor_api::InvalidSetting>(())
    /// ```
    pub fn from_env() -> Result<Self, InvalidSetting> {
        Self::read(|name| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned()))
    }

    /// Reads the settings like [`Settings::from_env`], with `get` as the source of the variables.
    ///
    /// # Errors
    ///
    /// Returns an error if a variable is invalid.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::collections::HashMap;
    ///
    /// use monitor_api::Settings;
    ///
    /// let file = HashMap::from([("MONITOR_SERVER_URL", "http://build-1:60010")]);
    /// let settings = Settings::read(|name| file.get(name).map(|value| (*value).to_owned()))?;
    /// assert_eq!(settings.url().as_str(), "http://build-1:60010/");
    /// # Ok::<(), monitor_api::InvalidSetting>(())
    /// ```
    pub fn read(get: impl Fn(&str) -> Option<String>) -> Result<Self, InvalidSetting> {
        let value = |name: &str| get(name).filter(|text| !text.trim().is_empty());
        let named = |name: &str, invalid: InvalidSetting| InvalidSetting { name: name.to_owned(), ..invalid };
        let url = value("MONITOR_SERVER_URL").unwrap_or_else(|| DEFAULT_URL.to_owned());
        let mut settings = Self::new(&url).map_err(|invalid| named("MONITOR_SERVER_URL", invalid))?;
        if let Some(text) = value("MONITOR_TOKEN") {
            settings.token = Some(Token::new(&text).map_err(|invalid| named("MONITOR_TOKEN", invalid))?);
        }
        settings.certificate_file = value("MONITOR_SERVER_CERT").map(PathBuf::from);
        Ok(settings)
    }

    /// Sets the token, which is sent with every request.
    ///
    /// # Examples
    ///
    /// ```
    /// use monitor_api::{Settings, Token};
    ///
    /// let settings = Settings::new("https://monitor.example.com")?.token(Token::new("a-token")?);
    /// # let _ = settings;
    /// # Ok::<(), monitor_api::InvalidSetting>(())
    /// ```
    #[must_use]
    pub fn token(mut self, token: Token) -> Self {
        self.token = Some(token);
        self
    }

    /// Sets the only trusted certificate authorities (PEM). By default, the authorities of the system are trusted, or those in the file
    /// that `SSL_CERT_FILE` names.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use monitor_api::Settings;
    ///
    /// let pem = std::fs::read("/etc/ssl/company.pem").expect("a readable file");
    /// let settings = Settings::new("https://monitor.example.com")?.authority(pem);
    /// # let _ = settings;
    /// # Ok::<(), monitor_api::InvalidSetting>(())
    /// ```
    #[must_use]
    pub fn authority(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.authority_pem = Some(pem.into());
        self
    }

    /// Sets the PEM file of the only trusted certificate, regardless of the host name and the authority in it.
    ///
    /// Use it for a server whose certificate file can be read on this machine. The file is read at each connection, so a renewed
    /// certificate is used without a restart.
    ///
    /// # Examples
    ///
    /// ```
    /// use monitor_api::{Settings};
    ///
    /// let settings = Settings::new("https://monitor.example.com")?.certificate_file("/etc/monitor/cert.pem");
    /// # let _ = settings;
    /// # Ok::<(), monitor_api::InvalidSetting>(())
    /// ```
    #[must_use]
    pub fn certificate_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.certificate_file = Some(path.into());
        self
    }

    /// Sets the maximum time to establish a connection. [default: 10 s]
    ///
    /// # Examples
    ///
    /// ```
    /// use monitor_api::{Settings};
    ///
    /// let settings = Settings::new("https://monitor.example.com")?.connect_timeout(std::time::Duration::from_secs(2));
    /// # let _ = settings;
    /// # Ok::<(), monitor_api::InvalidSetting>(())
    /// ```
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Sets the maximum time without new data in an answer or a stream. It must be longer than the server's
    /// `stream-heartbeat` (10 s). [default: 60 s]
    ///
    /// # Examples
    ///
    /// ```
    /// use monitor_api::{Settings};
    ///
    /// let settings = Settings::new("https://monitor.example.com")?.silence_timeout(std::time::Duration::from_secs(30));
    /// # let _ = settings;
    /// # Ok::<(), monitor_api::InvalidSetting>(())
    /// ```
    #[must_use]
    pub fn silence_timeout(mut self, timeout: Duration) -> Self {
        self.silence_timeout = timeout;
        self
    }

    /// Sets the maximum size of an answer, or of a single message of the stream. Downloads are not limited. [default: 256 MiB]
    ///
    /// # Examples
    ///
    /// ```
    /// use monitor_api::{Settings};
    ///
    /// let settings = Settings::new("https://monitor.example.com")?.max_answer_bytes(16 << 20);
    /// # let _ = settings;
    /// # Ok::<(), monitor_api::InvalidSetting>(())
    /// ```
    #[must_use]
    pub fn max_answer_bytes(mut self, bytes: usize) -> Self {
        self.max_answer_bytes = bytes;
        self
    }

    /// Returns the server's address.
    ///
    /// # Examples
    ///
    /// ```
    /// use monitor_api::Settings;
    ///
    /// assert_eq!(Settings::new("http://build-1:60010")?.url().host_str(), Some("build-1"));
    /// # Ok::<(), monitor_api::InvalidSetting>(())
    /// ```
    pub fn url(&self) -> &Url {
        &self.url
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_of_the_page_is_accepted_as_that_of_the_server() {
        for (text, expected) in [
            ("http://h:60010", "http://h:60010/"),
            (" http://h:60010/ ", "http://h:60010/"),
            ("http://h:60010/tasks", "http://h:60010/"),
            ("http://h:60010/tasks/", "http://h:60010/"),
            ("https://h/below/tasks/0199a3ce929d0e0e47360199a3ce929d?tab=logs#x", "https://h/below"),
            ("http://h:60010/taskset/", "http://h:60010/taskset"),
            ("http://h/below/?x=1#y", "http://h/below"),
        ] {
            assert_eq!(server_url(text).unwrap().as_str(), expected, "{text}");
        }
    }

    #[test]
    fn only_http_addresses_are_accepted_as_servers() {
        for bad in ["", "localhost:60010", "file:///tmp", "http://", "http://[::1", "ftp://h", "http://h:99999", "not a url"] {
            let said = server_url(bad).unwrap_err().to_string();
            assert!(said.contains(DEFAULT_URL), "{bad}: {said}");
        }
    }

    #[test]
    fn a_token_has_only_printable_characters() {
        for good in ["a", " a-b_c.~ ", "abc\n", "abc\r\n"] {
            assert_eq!(Token::new(good).unwrap().as_str(), good.trim(), "{good:?}");
        }
        for bad in ["", "\n", "a b", "a\nb", "a\r\nX-Evil: 1", "a\0", "a\u{7f}", "根"] {
            let said = Token::new(bad).unwrap_err().to_string();
            assert!(bad.trim().is_empty() || !said.contains(bad), "{said}");
        }
        assert_eq!(format!("{:?}", Settings::new(DEFAULT_URL).unwrap().token(Token::new("secret").unwrap()).token), "Some(***)");
    }

    #[test]
    fn a_file_s_first_line_is_the_token() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        for (text, expected) in
            [(&b"abc\nmore"[..], Some("abc")), (b"abc\r\n", Some("abc")), (b"", None), (b"\nabc", None), (b"\xff", None)]
        {
            std::fs::write(&path, text).unwrap();
            assert_eq!(Token::from_file(&path).ok().as_ref().map(Token::as_str), expected, "{text:?}");
        }
        std::fs::write(&path, "x".repeat(1 << 20)).unwrap();
        assert_eq!(Token::from_file(&path).unwrap().as_str().len() as u64, LONGEST_TOKEN_FILE, "what is longer is refused by the server");
        assert!(Token::from_file(&folder.path().join("absent")).is_err());
    }

    #[test]
    fn the_environment_sets_url_and_token_and_errors_name_the_variable() {
        let read = |pairs: &[(&str, &str)]| {
            Settings::read(|name| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()))
        };
        let settings = read(&[("MONITOR_SERVER_URL", " "), ("MONITOR_TOKEN", "")]).unwrap();
        assert_eq!((settings.url.as_str(), settings.token), ("http://127.0.0.1:60010/", None));
        let settings = read(&[("MONITOR_SERVER_URL", "https://h/below"), ("MONITOR_TOKEN", "abc\n")]).unwrap();
        assert_eq!((settings.url.as_str(), settings.token), ("https://h/below", Some(Token::new("abc").unwrap())));
        for (name, value) in [("MONITOR_SERVER_URL", "ftp://h"), ("MONITOR_TOKEN", "two words")] {
            let invalid = read(&[(name, value)]).unwrap_err();
            assert!(invalid.name == name && invalid.why.contains("expected"), "{invalid}");
        }
    }
}
