//! The HTTP client of a server: sends requests and reads answers.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use monitor_wire::{Problem, is_loopback, retry_after};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue, LOCATION, RETRY_AFTER};
use reqwest::{Method, RequestBuilder, Response};
use serde::Deserialize;
use tokio::time::{Instant, timeout, timeout_at};
use url::Url;

use crate::call::Call;
use crate::error::Error;
use crate::settings::{InvalidSetting, Settings, Token};

/// Maximum number of bytes read of a refusal, or of the answer to a batch. Our server sends no longer answers.
const LONGEST_REFUSAL: usize = 64 << 10;
/// Maximum wait for the answer to a batch. The batch should be sent again afterwards; the server counts its events once.
const BATCH_TIMEOUT: Duration = Duration::from_secs(30);

/// A client of a single server.
///
/// Its methods create [`Call`]s, one for each route of the API. Clones share the connections, which are opened by the first request.
///
/// The client needs a `tokio` runtime with time and I/O. Use it only on the runtime on which it was first used.
///
/// # Examples
///
/// ```no_run
/// # async fn example() -> Result<(), monitor_api::Error> {
/// let client = monitor_api::Client::from_env()?;
/// println!("{} events", client.status().await?.events);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    settings: Settings,
    /// Address without user name and password, for messages.
    shown: Arc<Url>,
    /// Created by the first request. This takes milliseconds, and many programs end earlier.
    http: OnceLock<reqwest::Client>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Client").field(&self.0.shown.as_str()).finish()
    }
}

/// Unevaluated answer to a batch. Returned by [`Client::post_batch`].
///
/// # Examples
///
/// ```no_run
/// # async fn example(client: monitor_api::Client) -> Result<(), monitor_api::Error> {
/// let answer = client.post_batch(b"{}".to_vec(), "identity").await?;
/// if answer.status != 200 {
///     eprintln!("{}; again after {:?}", String::from_utf8_lossy(&answer.body), answer.retry_after);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchAnswer {
    /// The HTTP status.
    pub status: u16,
    /// Wait before the batch should be sent again, if the answer specifies it. At most a minute.
    pub retry_after: Option<Duration>,
    /// The body, or its first part.
    pub body: Vec<u8>,
}

impl Client {
    /// Creates a client with these settings. It connects with the first request.
    ///
    /// # Examples
    ///
    /// ```
    /// use monitor_api::{Client, Settings};
    ///
    /// let client = Client::new(Settings::new("http://127.0.0.1:60010")?);
    /// assert_eq!(client.url().as_str(), "http://127.0.0.1:60010/");
    /// # Ok::<(), monitor_api::InvalidSetting>(())
    /// ```
    pub fn new(settings: Settings) -> Self {
        let mut shown = settings.url.clone();
        // An http URL accepts a user name and a password, so neither call fails.
        let _ = (shown.set_username(""), shown.set_password(None));
        Self(Arc::new(Inner { settings, shown: Arc::new(shown), http: OnceLock::new() }))
    }

    /// Creates a client with the [settings of the environment](Settings::from_env).
    ///
    /// # Errors
    ///
    /// Returns an error if an environment variable is invalid.
    ///
    /// # Examples
    ///
    /// ```
    /// use monitor_api::Client;
    ///
    /// let client = Client::from_env()?;
    /// println!("{}", client.url());
    /// # Ok::<(), monitor_api::InvalidSetting>(())
    /// ```
    pub fn from_env() -> Result<Self, InvalidSetting> {
        Ok(Self::new(Settings::from_env()?))
    }

    /// Returns a client of the same server that uses this token.
    ///
    /// # Examples
    ///
    /// ```
    /// use monitor_api::{Client, Token};
    ///
    /// let client = Client::from_env()?;
    /// let other = client.with_token(Token::new("another-token")?);
    /// assert_eq!(other.url(), client.url());
    /// # Ok::<(), monitor_api::InvalidSetting>(())
    /// ```
    #[must_use]
    pub fn with_token(&self, token: Token) -> Self {
        Self::new(self.settings().clone().token(token))
    }

    /// Returns the server's address, without user name and password.
    ///
    /// # Examples
    ///
    /// ```
    /// use monitor_api::{Client, Settings};
    ///
    /// let client = Client::new(Settings::new("https://ada:secret@monitor.example.com")?);
    /// assert_eq!(client.url().as_str(), "https://monitor.example.com/");
    /// # Ok::<(), monitor_api::InvalidSetting>(())
    /// ```
    pub fn url(&self) -> &Url {
        &self.0.shown
    }

    /// Creates a call of any route, for routes without a method of this client.
    ///
    /// Each part of `path` becomes one segment of the URL's path, with special characters escaped. Sending the call fails if a part is
    /// empty, `.` or `..`.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(client: monitor_api::Client) -> Result<(), monitor_api::Error> {
    /// let health: serde_json::Value = client.call(monitor_api::Method::GET, &["healthz"]).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn call<T>(&self, method: Method, path: &[&str]) -> Call<T> {
        Call::new(self.clone(), method, path)
    }

    /// Sends a batch of events that is already encoded as JSON and compressed with `content_encoding`, such as `gzip`.
    ///
    /// Returns any answer, including a refusal, for the caller to evaluate. To send a [`Batch`](monitor_wire::Batch), use
    /// [`events`](Self::events).
    ///
    /// # Errors
    ///
    /// Returns an error if the server can't be reached, or no complete answer arrives within 30 s.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(client: monitor_api::Client) -> Result<(), monitor_api::Error> {
    /// // `batch.json.gz` contains a batch, as the specification of the wire format describes it.
    /// let batch = std::fs::read("batch.json.gz").expect("a readable file");
    /// let answer = client.post_batch(batch, "gzip").await?;
    /// println!("status {}", answer.status);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn post_batch(&self, body: Vec<u8>, content_encoding: &str) -> Result<BatchAnswer, Error> {
        let request = self.request(Method::POST, self.address(&["api", "v1", "events"])?)?;
        let request = request.header("content-type", "application/json").header("content-encoding", content_encoding).body(body);
        let answer = async {
            let mut response = request.send().await.map_err(|error| self.failed(error))?;
            let (status, retry_after) = (response.status().as_u16(), wait_of(response.headers()));
            let mut body = Vec::new();
            while body.len() < LONGEST_REFUSAL
                && let Some(chunk) = response.chunk().await.map_err(|error| self.broken(error))?
            {
                body.extend_from_slice(&chunk[..chunk.len().min(LONGEST_REFUSAL - body.len())]);
            }
            Ok(BatchAnswer { status, retry_after, body })
        };
        timeout(BATCH_TIMEOUT, answer).await.unwrap_or_else(|_| Err(self.silent(BATCH_TIMEOUT)))
    }

    /// Returns the server's address, for an error.
    pub(crate) fn shown(&self) -> Arc<Url> {
        self.0.shown.clone()
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.0.settings
    }

    /// Returns the URL of a path below the server's address.
    pub(crate) fn address(&self, path: &[impl AsRef<str>]) -> Result<Url, Error> {
        // URLs can't contain these as a segment, so the request would have another path.
        if let Some(part) = path.iter().map(AsRef::as_ref).find(|part| matches!(*part, "" | "." | "..")) {
            return Err(InvalidSetting { name: format!("{part:?}"), why: "nothing has this name".to_owned() }.into());
        }
        let mut url = self.settings().url.clone();
        url.path_segments_mut().expect("an http URL has a path").pop_if_empty().extend(path);
        Ok(url)
    }

    pub(crate) fn request(&self, method: Method, url: Url) -> Result<RequestBuilder, Error> {
        Ok(self.http()?.request(method, url))
    }

    fn http(&self) -> Result<&reqwest::Client, Error> {
        if let Some(http) = self.0.http.get() {
            return Ok(http);
        }
        let http = self.build()?;
        Ok(self.0.http.get_or_init(|| http))
    }

    fn build(&self) -> Result<reqwest::Client, Error> {
        let settings = self.settings();
        let mut http = reqwest::Client::builder()
            .connect_timeout(settings.connect_timeout)
            .resolve_to_addrs("localhost", &monitor_http::LOCALHOST)
            .tcp_keepalive(Duration::from_secs(30))
            .redirect(reqwest::redirect::Policy::none());
        if settings.url.host_str().is_some_and(is_loopback) {
            // Don't use a proxy for the local machine.
            http = http.no_proxy();
        }
        #[cfg(feature = "tls")]
        if settings.url.scheme() == "http" {
            // No certificate is needed for http, so don't read any.
            http = http.tls_certs_only([]);
        } else if let Some(path) = &settings.certificate_file {
            http = http.tls_backend_preconfigured(monitor_http::pinned(path.clone()));
        } else if let Some(pem) = &settings.authority_pem {
            let certificates = reqwest::Certificate::from_pem_bundle(pem).unwrap_or_default();
            if certificates.is_empty() {
                let why = "expected one or more certificates as PEM, which begin with -----BEGIN CERTIFICATE-----".to_owned();
                return Err(InvalidSetting { name: "the authority".to_owned(), why }.into());
            }
            http = http.tls_certs_only(certificates);
        } else {
            http = http.tls_certs_merge(monitor_http::built_in_roots().filter_map(|root| reqwest::Certificate::from_der(root).ok()));
        }
        if let Some(token) = &settings.token {
            let mut value = HeaderValue::try_from(format!("Bearer {}", token.as_str())).expect("a token is of printable characters");
            value.set_sensitive(true);
            http = http.default_headers([(AUTHORIZATION, value)].into_iter().collect());
        }
        http.build().map_err(|error| self.unreachable(error))
    }

    /// Returns the response to a request, or an error if the server refuses it.
    pub(crate) async fn answer(&self, request: RequestBuilder, patience: Duration) -> Result<Response, Error> {
        let sent = timeout(patience, request.send()).await.map_err(|_| self.silent(patience))?;
        let response = sent.map_err(|error| self.failed(error))?;
        if response.status().is_success() {
            return Ok(response);
        }
        let headers = response.headers();
        let location = headers.get(LOCATION).filter(|_| response.status().is_redirection());
        let location = location.map(|location| String::from_utf8_lossy(location.as_bytes()).into_owned());
        let (status, retry_after) = (response.status().as_u16(), wait_of(headers));
        let foreign = |location| Error::Foreign { url: self.shown(), status, location, retry_after };
        match self.body(response, LONGEST_REFUSAL).await {
            Ok(body) => Err(read_problem(status, &body)
                .map_or_else(|| foreign(location), |problem| Error::Refused { problem: Box::new(problem), retry_after })),
            Err(Error::Oversized { .. }) => Err(foreign(location)),
            Err(error) => Err(error),
        }
    }

    /// Reads the body of a response, up to `limit_bytes`.
    pub(crate) async fn body(&self, mut response: Response, limit_bytes: usize) -> Result<Vec<u8>, Error> {
        let oversized = || Error::Oversized { url: self.shown(), limit_bytes };
        let length = response.content_length().unwrap_or(0);
        if length > limit_bytes as u64 {
            return Err(oversized());
        }
        let mut body = Vec::with_capacity((length as usize).min(1 << 20));
        while let Some(chunk) = self.chunk(&mut response).await? {
            if chunk.as_ref().len() > limit_bytes - body.len() {
                return Err(oversized());
            }
            body.extend_from_slice(chunk.as_ref());
        }
        Ok(body)
    }

    /// Reads the next chunk of a body.
    pub(crate) async fn chunk(&self, response: &mut Response) -> Result<Option<impl AsRef<[u8]> + use<>>, Error> {
        let silence = self.settings().silence_timeout;
        let chunk = timeout_at(Instant::now() + silence, response.chunk()).await.map_err(|_| self.silent(silence))?;
        chunk.map_err(|error| self.broken(error))
    }

    pub(crate) fn silent(&self, waited: Duration) -> Error {
        Error::Silent { url: self.shown(), waited }
    }

    fn failed(&self, error: reqwest::Error) -> Error {
        if error.is_connect() { self.unreachable(error) } else { self.broken(error) }
    }

    fn unreachable(&self, error: reqwest::Error) -> Error {
        Error::Unreachable { url: self.shown(), source: error.without_url().into() }
    }

    pub(crate) fn broken(&self, error: reqwest::Error) -> Error {
        Error::Broken { url: self.shown(), source: error.without_url().into() }
    }
}

fn wait_of(headers: &HeaderMap) -> Option<Duration> {
    retry_after(headers.get(RETRY_AFTER)?.to_str().ok()?)
}

/// Parses the server's error: a problem document, or OTLP's `google.rpc.Status`.
fn read_problem(status: u16, body: &[u8]) -> Option<Problem> {
    #[derive(Deserialize)]
    struct RpcStatus {
        message: String,
    }
    let of_otlp = || {
        let RpcStatus { message } = serde_json::from_slice(body).ok()?;
        let problem_type = "about:blank".to_owned();
        Some(Problem {
            problem_type,
            title: String::new(),
            status,
            detail: message,
            parameter: None,
            event_number: None,
            server_time_us: None,
        })
    };
    // Use the status of the response instead of the status in the body, because a proxy may have changed it.
    serde_json::from_slice(body).ok().map(|problem| Problem { status, ..problem }).or_else(of_otlp)
}
