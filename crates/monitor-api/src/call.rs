//! One question to the server, and pages of its answers.

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

/// The first wait before a call is sent again is no longer, and no other is longer than [`LONGEST_PAUSE`].
pub(crate) const FIRST_PAUSE: Duration = Duration::from_millis(500);
pub(crate) const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// A question to the server, whose answer is a `T`. It is asked when it is awaited; what it may be narrowed by depends on `T`.
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
    json: Option<Vec<u8>>,
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
            json: self.json.clone(),
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
        Self { client, method, path, query: Vec::new(), json: None, header: None, patience, answer: PhantomData }
    }

    /// Sets a parameter of the query; the last one of a name holds.
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

    /// Sends this JSON along.
    pub fn json_body(mut self, json: impl Into<Vec<u8>>) -> Self {
        self.json = Some(json.into());
        self
    }

    /// Waits so long for the beginning of the answer. [default: the [silence timeout](crate::Settings::silence_timeout)]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Names the program that asks, in the header `User-Agent`. Characters that a header can't contain are left out.
    pub fn user_agent(self, program: &str) -> Self {
        let program: String = program.chars().filter(|c| (' '..='~').contains(c)).collect();
        self.header("user-agent", &program)
    }

    /// Sends this header along.
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
        Ok(match &self.json {
            Some(json) => request.header("content-type", "application/json").body(json.clone()),
            None => request,
        })
    }

    async fn read<A: DeserializeOwned>(&self) -> Result<A, Error> {
        let response = self.response().await?;
        let status = response.status().as_u16();
        let body = self.client.body(response, self.client.settings().max_answer_bytes).await?;
        let url = || self.client.shown();
        // 204 has none.
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
    /// Asks once.
    ///
    /// # Errors
    /// When the server can't be reached, refuses, or answers what can't be read.
    pub async fn send(self) -> Result<T, Error> {
        self.read().await
    }

    /// Asks once, for the answer as it came: with fields that this build doesn't know.
    ///
    /// # Errors
    /// As for [`Call::send`], but that any JSON can be read.
    pub async fn json(self) -> Result<Value, Error> {
        self.read().await
    }

    /// Asks again as long as the answer is [temporary](Error::is_temporary), and no sooner than the server says. `told` hears of each
    /// failure and of the wait that follows it, and may give up. For what may be done twice: an answer that is lost is no sign that nothing
    /// was done.
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
    /// As for [`Call::send`]: the first that is not temporary, or at which `told` gives up.
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

/// An answer that has a next page.
pub trait Page: DeserializeOwned {
    /// Where the next page begins, if there is one.
    fn next_cursor(&self) -> Option<&str>;
}

impl<T: Page> Call<T> {
    /// At most so many entries in a page; the server names the most that it gives.
    pub fn limit(self, entries: usize) -> Self {
        self.parameter("limit", &entries)
    }

    /// The page that begins at the `next_cursor` of another one.
    pub fn cursor(self, cursor: &str) -> Self {
        self.parameter("cursor", cursor)
    }

    /// Page after page.
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

/// Pages of a list, one after the other.
#[derive(Debug)]
pub struct Pages<T> {
    /// None after the last page.
    call: Option<Call<T>>,
    /// Where the page that is asked for next begins.
    cursor: Option<String>,
}

impl<T: Page> Pages<T> {
    /// The next page; none after the last one. After an error the same page is asked for again.
    ///
    /// # Errors
    /// As for [`Call::send`].
    pub async fn next(&mut self) -> Result<Option<T>, Error> {
        let Some(call) = &self.call else { return Ok(None) };
        let page = call.clone().send().await?;
        self.turn(page.next_cursor())?;
        Ok(Some(page))
    }

    /// The next page as it came.
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

/// An answer that is not read at once, but written somewhere as it comes.
#[derive(Debug)]
pub struct Download {
    client: Client,
    response: Response,
    length_bytes: Option<u64>,
}

impl Call<Download> {
    /// Asks for the answer, and returns when it begins to come.
    ///
    /// # Errors
    /// When the server can't be reached, or refuses.
    pub async fn open(self) -> Result<Download, Error> {
        let response = self.response().await?;
        Ok(Download { client: self.client, length_bytes: response.content_length(), response })
    }
}

impl Download {
    /// All bytes that it has, if that is known.
    pub fn length_bytes(&self) -> Option<u64> {
        self.length_bytes
    }

    /// What comes next; none at the end.
    ///
    /// # Errors
    /// When the answer breaks off before its end.
    pub async fn chunk(&mut self) -> Result<Option<impl AsRef<[u8]> + use<>>, Error> {
        self.client.chunk(&mut self.response).await
    }
}
