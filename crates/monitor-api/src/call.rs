//! A request to the server, the pages of a list, and downloads.

use std::fmt;
use std::future::IntoFuture;
use std::marker::PhantomData;
use std::ops::ControlFlow;
use std::pin::Pin;
use std::time::Duration;

use monitor_wire::Backoff;
use reqwest::{Method, RequestBuilder, Response};
use serde::de::{DeserializeOwned, Error as _};
use serde_json::Value;

use crate::client::Client;
use crate::error::Error;

/// Maximum pause before the first retry of a call. Later pauses are longer, up to [`LONGEST_PAUSE`].
pub(crate) const FIRST_PAUSE: Duration = Duration::from_millis(500);
pub(crate) const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// A request to the server with an answer of type `T`.
///
/// The request is sent when the call is awaited, or by [`send`](Self::send). The type `T` determines the available parameters. A clone is
/// an independent request.
///
/// # Examples
///
/// ```no_run
/// # async fn example(client: monitor_api::Client) -> Result<(), monitor_api::Error> {
/// let page = client.roots().states(["failed"]).limit(10).await?;
/// # Ok(())
/// # }
/// ```
#[must_use = "it is asked when it is awaited"]
pub struct Call<T> {
    client: Client,
    method: Method,
    path: Vec<String>,
    query: Vec<(&'static str, String)>,
    /// Content type and bytes of the body.
    body: Option<(&'static str, Vec<u8>)>,
    header: Option<(&'static str, String)>,
    patience: Duration,
    answer: PhantomData<fn() -> T>,
}

impl<T> fmt::Debug for Call<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {:?}", self.method, self.path.join("/"), self.query)
    }
}

impl<T> Clone for Call<T> {
    fn clone(&self) -> Self {
        Self {
            client: self.client.clone(),
            method: self.method.clone(),
            path: self.path.clone(),
            query: self.query.clone(),
            body: self.body.clone(),
            header: self.header.clone(),
            patience: self.patience,
            answer: PhantomData,
        }
    }
}

impl<T> Call<T> {
    pub(crate) fn new(client: Client, method: Method, path: &[&str]) -> Self {
        let path = path.iter().map(|part| (*part).to_owned()).collect();
        let patience = client.settings().silence_timeout;
        Self { client, method, path, query: Vec::new(), body: None, header: None, patience, answer: PhantomData }
    }

    /// Sets a query parameter, for parameters without a method of their own. If the same parameter is set again, the last value is used.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(client: monitor_api::Client) -> Result<(), monitor_api::Error> {
    /// let page = client.roots().parameter("name", "nightly build").await?;
    /// println!("{} runs", page.roots.len());
    /// # Ok(())
    /// # }
    /// ```
    pub fn parameter(mut self, name: &'static str, value: &(impl ToString + ?Sized)) -> Self {
        self.query.retain(|(known, _)| *known != name);
        self.query.push((name, value.to_string()));
        self
    }

    /// Adds a value of a parameter that may be given several times.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(client: monitor_api::Client) -> Result<(), monitor_api::Error> {
    /// use monitor_api::ExportFormat;
    ///
    /// let report = client.export(2106, ExportFormat::Html).add_parameter("redact", "email").add_parameter("redact", "host");
    /// println!("{:?} bytes", report.open().await?.length_bytes());
    /// # Ok(())
    /// # }
    /// ```
    pub fn add_parameter(mut self, name: &'static str, value: &(impl ToString + ?Sized)) -> Self {
        self.query.push((name, value.to_string()));
        self
    }

    /// Sets the JSON body.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(client: monitor_api::Client) -> Result<(), monitor_api::Error> {
    /// use monitor_api::wire::Command;
    ///
    /// let ping = client.call::<Command>(monitor_api::Method::POST, &["api", "v1", "commands"]).json_body(r#"{"method": "ping"}"#);
    /// println!("{} workers", ping.await?.lines.len());
    /// # Ok(())
    /// # }
    /// ```
    pub fn json_body(mut self, json: impl Into<Vec<u8>>) -> Self {
        self.body = Some(("application/json", json.into()));
        self
    }

    /// Sets a body of plain bytes.
    #[cfg(feature = "stream")]
    pub(crate) fn bytes_body(mut self, bytes: Vec<u8>) -> Self {
        self.body = Some(("application/octet-stream", bytes));
        self
    }

    /// Sets the maximum wait for the beginning of the answer. [default: the [silence timeout](crate::Settings::silence_timeout)]
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(client: monitor_api::Client) -> Result<(), monitor_api::Error> {
    /// use std::time::Duration;
    ///
    /// let status = client.status().patience(Duration::from_secs(2)).await?;
    /// println!("{} events", status.events);
    /// # Ok(())
    /// # }
    /// ```
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Sets the name of the requesting program in the header `User-Agent`. Characters that a header can't contain are removed.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(client: monitor_api::Client) -> Result<(), monitor_api::Error> {
    /// let status = client.status().user_agent("price-dashboard/1.2").await?;
    /// println!("{} events", status.events);
    /// # Ok(())
    /// # }
    /// ```
    pub fn user_agent(self, program: &str) -> Self {
        let program: String = program.chars().filter(|c| (' '..='~').contains(c)).collect();
        self.header("user-agent", &program)
    }

    /// Sets a header.
    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.header = Some((name, value.to_owned()));
        self
    }

    pub(crate) async fn response(&self) -> Result<Response, Error> {
        self.client.answer(self.request()?, self.patience).await
    }

    fn request(&self) -> Result<RequestBuilder, Error> {
        let mut url = self.client.address(&self.path)?;
        if !self.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&self.query);
        }
        let request = self.client.request(self.method.clone(), url)?;
        let request = self.header.iter().fold(request, |request, (name, value)| request.header(*name, value));
        Ok(match &self.body {
            Some((kind, bytes)) => request.header("content-type", *kind).body(bytes.clone()),
            None => request,
        })
    }

    async fn read<A: DeserializeOwned>(&self) -> Result<A, Error> {
        let response = self.response().await?;
        let status = response.status().as_u16();
        let body = self.client.body(response, self.client.settings().max_answer_bytes).await?;
        let url = || self.client.shown();
        // An answer with status 204 has no body.
        serde_json::from_slice(if body.is_empty() { b"null" } else { &body }).map_err(|error| {
            if error.is_data() && !body.is_empty() {
                Error::Unreadable { url: url(), source: error.into() }
            } else {
                Error::Foreign { url: url(), status, location: None, retry_after: None }
            }
        })
    }
}

impl<T: DeserializeOwned> Call<T> {
    /// Sends the request once.
    ///
    /// # Errors
    ///
    /// Returns an error if the server can't be reached, refuses the request, or sends an answer that can't be parsed.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(client: monitor_api::Client) -> Result<(), monitor_api::Error> {
    /// let status = client.status().send().await?;
    /// println!("{} events", status.events);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn send(self) -> Result<T, Error> {
        self.read().await
    }

    /// Sends the request once and returns the JSON of the answer, including fields that this version of the client does not know.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`Call::send`], except that any JSON is accepted.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(client: monitor_api::Client) -> Result<(), monitor_api::Error> {
    /// let status = client.status().json().await?;
    /// println!("{status:#}");
    /// # Ok(())
    /// # }
    /// ```
    pub async fn json(self) -> Result<Value, Error> {
        self.read().await
    }

    /// Sends the request, and sends it again after each [temporary](Error::is_temporary) error.
    ///
    /// The pauses increase up to ten seconds, and are at least as long as the server specifies. `told` is called with each error and the
    /// pause that follows it, and can stop the retries. Use this method only for requests that may be executed twice: if an answer is lost,
    /// the server may have executed the request.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`Call::send`]: the first error that is not temporary, or after which `told` stops the retries.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(client: monitor_api::Client) -> Result<(), monitor_api::Error> {
    /// use std::ops::ControlFlow;
    ///
    /// let mut tries = 0;
    /// let status = client.status().send_again(|error, pause| {
    ///     tries += 1;
    ///     eprintln!("{error}; again in {pause:?}");
    ///     if tries < 5 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    /// });
    /// println!("{} events", status.await?.events);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn send_again(self, mut told: impl FnMut(&Error, Duration) -> ControlFlow<()>) -> Result<T, Error> {
        let mut backoff = Backoff::default();
        loop {
            let error = match self.read().await {
                Err(error) if error.is_temporary() => error,
                other => return other,
            };
            let pause = backoff.next(FIRST_PAUSE, LONGEST_PAUSE).max(error.retry_after().unwrap_or_default());
            if told(&error, pause).is_break() {
                return Err(error);
            }
            tokio::time::sleep(pause).await;
        }
    }
}

impl<T: DeserializeOwned + 'static> IntoFuture for Call<T> {
    type Output = Result<T, Error>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.send())
    }
}

/// An answer that is one page of a list.
///
/// Calls with such an answer have the methods [`limit`](Call::limit), [`cursor`](Call::cursor) and [`pages`](Call::pages).
///
/// # Examples
///
/// ```no_run
/// # async fn example(client: monitor_api::Client) -> Result<(), monitor_api::Error> {
/// use monitor_api::Page as _;
///
/// let page = client.workers().limit(10).await?;
/// println!("{}", if page.next_cursor().is_some() { "there are more" } else { "these are all" });
/// # Ok(())
/// # }
/// ```
pub trait Page: DeserializeOwned {
    /// Returns the cursor of the next page. `None` on the last page.
    fn next_cursor(&self) -> Option<&str>;
}

impl<T: Page> Call<T> {
    /// Sets the maximum number of entries in a page. The server has an upper limit.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(client: monitor_api::Client) -> Result<(), monitor_api::Error> {
    /// let newest = client.roots().limit(1).await?;
    /// println!("{:?}", newest.roots.first());
    /// # Ok(())
    /// # }
    /// ```
    pub fn limit(self, entries: usize) -> Self {
        self.parameter("limit", &entries)
    }

    /// Requests the page at the `next_cursor` of another page.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(client: monitor_api::Client) -> Result<(), monitor_api::Error> {
    /// let first = client.roots().limit(10).await?;
    /// if let Some(cursor) = &first.next_cursor {
    ///     let second = client.roots().limit(10).cursor(cursor).await?;
    ///     println!("{} more", second.roots.len());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn cursor(self, cursor: &str) -> Self {
        self.parameter("cursor", cursor)
    }

    /// Returns the pages one after the other.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(client: monitor_api::Client) -> Result<(), monitor_api::Error> {
    /// let mut pages = client.workers().pages();
    /// while let Some(page) = pages.next().await? {
    ///     page.workers.iter().for_each(|worker| println!("{}", worker.program));
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn pages(self) -> Pages<T> {
        Pages { call: Some(self), cursor: None }
    }
}

/// The pages of a list, one after the other. Created by [`Call::pages`].
///
/// # Examples
///
/// ```no_run
/// # async fn example(client: monitor_api::Client) -> Result<(), monitor_api::Error> {
/// let mut pages = client.roots().states(["failed"]).pages();
/// while let Some(page) = pages.next().await? {
///     println!("{} runs", page.roots.len());
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Pages<T> {
    /// Request for the next page. `None` after the last page.
    call: Option<Call<T>>,
    /// Cursor of the next page.
    cursor: Option<String>,
}

impl<T: Page> Pages<T> {
    /// Requests the next page. `None` after the last page. After an error, the same page is requested again.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`Call::send`].
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(client: monitor_api::Client) -> Result<(), monitor_api::Error> {
    /// let mut pages = client.workers().pages();
    /// while let Some(page) = pages.next().await? {
    ///     println!("{} workers", page.workers.len());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn next(&mut self) -> Result<Option<T>, Error> {
        let Some(call) = &self.call else { return Ok(None) };
        let page = call.clone().send().await?;
        self.turn(page.next_cursor())?;
        Ok(Some(page))
    }

    /// Requests the next page and returns its JSON.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`Call::json`].
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(client: monitor_api::Client) -> Result<(), monitor_api::Error> {
    /// let mut pages = client.workers().pages();
    /// while let Some(page) = pages.next_json().await? {
    ///     println!("{}", page["workers"]);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn next_json(&mut self) -> Result<Option<Value>, Error> {
        let Some(call) = &self.call else { return Ok(None) };
        let page = call.clone().json().await?;
        self.turn(page.get("next_cursor").and_then(Value::as_str))?;
        Ok(Some(page))
    }

    fn turn(&mut self, next: Option<&str>) -> Result<(), Error> {
        let Some(call) = self.call.take() else { return Ok(()) };
        let Some(next) = next else { return Ok(()) };
        if self.cursor.as_deref() == Some(next) {
            let source = serde_json::Error::custom("a page has itself for its next page").into();
            return Err(Error::Unreadable { url: call.client.shown(), source });
        }
        self.call = Some(call.cursor(next));
        self.cursor = Some(next.to_owned());
        Ok(())
    }
}

/// An answer that is read in chunks as it arrives, such as an export or a backup.
///
/// # Examples
///
/// ```no_run
/// # async fn example(client: monitor_api::Client) -> Result<(), monitor_api::Error> {
/// use monitor_api::ExportFormat;
///
/// let mut download = client.export(2106, ExportFormat::Json).open().await?;
/// let mut bytes = Vec::new();
/// while let Some(chunk) = download.chunk().await? {
///     bytes.extend_from_slice(chunk.as_ref());
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Download {
    client: Client,
    response: Response,
    length_bytes: Option<u64>,
}

impl Call<Download> {
    /// Sends the request and returns when the answer begins.
    ///
    /// # Errors
    ///
    /// Returns an error if the server can't be reached, or refuses the request.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(client: monitor_api::Client) -> Result<(), monitor_api::Error> {
    /// let backup = client.backup().open().await?;
    /// println!("{:?} bytes", backup.length_bytes());
    /// # Ok(())
    /// # }
    /// ```
    pub async fn open(self) -> Result<Download, Error> {
        let response = self.response().await?;
        Ok(Download { client: self.client, length_bytes: response.content_length(), response })
    }
}

impl Download {
    /// Returns the total number of bytes, if it is known.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(client: monitor_api::Client) -> Result<(), monitor_api::Error> {
    /// let backup = client.backup().open().await?;
    /// println!("{:?} bytes", backup.length_bytes());
    /// # Ok(())
    /// # }
    /// ```
    pub fn length_bytes(&self) -> Option<u64> {
        self.length_bytes
    }

    /// Returns the next chunk. `None` at the end.
    ///
    /// # Errors
    ///
    /// Returns an error if the connection breaks before the end of the answer.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(client: monitor_api::Client) -> Result<(), monitor_api::Error> {
    /// let mut backup = client.backup().open().await?;
    /// let mut size = 0;
    /// while let Some(chunk) = backup.chunk().await? {
    ///     size += chunk.as_ref().len();
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn chunk(&mut self) -> Result<Option<impl AsRef<[u8]> + use<>>, Error> {
        self.client.chunk(&mut self.response).await
    }
}
