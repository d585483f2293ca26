//! A request to the server, and the pages of its answer.

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

/// A request to the server with an answer of type `T`. It is sent when it is awaited. The type `T` determines the available parameters.
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

    /// Sets a query parameter. If the same parameter is set again, the last value is used.
    pub fn parameter(mut self, name: &'static str, value: &(impl ToString + ?Sized)) -> Self {
        self.query.retain(|(known, _)| *known != name);
        self.query.push((name, value.to_string()));
        self
    }

    /// Adds a value of a parameter that may be given several times.
    pub fn add_parameter(mut self, name: &'static str, value: &(impl ToString + ?Sized)) -> Self {
        self.query.push((name, value.to_string()));
        self
    }

    /// Sets the JSON body.
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
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Sets the name of the requesting program, in the header `User-Agent`. Characters that a header can't contain are removed.
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
    /// When the server can't be reached, refuses the request, or sends an answer that can't be parsed.
    pub async fn send(self) -> Result<T, Error> {
        self.read().await
    }

    /// Sends the request once and returns the JSON of the answer, including fields unknown to this build.
    ///
    /// # Errors
    /// As for [`Call::send`], except that any JSON is accepted.
    pub async fn json(self) -> Result<Value, Error> {
        self.read().await
    }

    /// Repeats the request as long as the error is [temporary](Error::is_temporary), and not before the time that the server specifies.
    /// `told` is called with each error and the pause that follows it, and can stop the retries. Use it for requests that may be executed
    /// twice: if an answer is lost, the request may have been executed.
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
    ///
    /// # Errors
    /// As for [`Call::send`]: the first error that is not temporary, or after which `told` stops the retries.
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

/// An answer that can have a next page.
pub trait Page: DeserializeOwned {
    /// Returns the cursor of the next page, if there is one.
    fn next_cursor(&self) -> Option<&str>;
}

impl<T: Page> Call<T> {
    /// Sets the maximum number of entries in a page. The server has an upper limit.
    pub fn limit(self, entries: usize) -> Self {
        self.parameter("limit", &entries)
    }

    /// Requests the page at the `next_cursor` of another page.
    pub fn cursor(self, cursor: &str) -> Self {
        self.parameter("cursor", cursor)
    }

    /// Returns the pages one after the other.
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

/// The pages of a list.
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
    /// As for [`Call::send`].
    pub async fn next(&mut self) -> Result<Option<T>, Error> {
        let Some(call) = &self.call else { return Ok(None) };
        let page = call.clone().send().await?;
        self.turn(page.next_cursor())?;
        Ok(Some(page))
    }

    /// Requests the next page and returns its JSON.
    ///
    /// # Errors
    /// As for [`Call::json`].
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

/// An answer that is read in chunks as it arrives.
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
    /// When the server can't be reached, or refuses the request.
    pub async fn open(self) -> Result<Download, Error> {
        let response = self.response().await?;
        Ok(Download { client: self.client, length_bytes: response.content_length(), response })
    }
}

impl Download {
    /// Returns the total number of bytes, if it is known.
    pub fn length_bytes(&self) -> Option<u64> {
        self.length_bytes
    }

    /// Returns the next chunk. `None` at the end.
    ///
    /// # Errors
    /// When the connection breaks before the end of the answer.
    pub async fn chunk(&mut self) -> Result<Option<impl AsRef<[u8]> + use<>>, Error> {
        self.client.chunk(&mut self.response).await
    }
}
