//! The HTTP API of Flower 2.2, for programs that were written for it.
//!
//! Each request is translated to requests of the server's own API, which [`Ask`] sends with the rights of the caller. Parameters that Flower does not know
//! are ignored, as in Flower.
#![forbid(unsafe_code)]

mod answer;
mod change;
mod counts;
mod event;
mod metrics;
mod read;
#[cfg(test)]
mod tests;

pub use answer::{Answer, Content};
pub use counts::Counts;
pub use event::event;
use percent_encoding::percent_decode_str;
use url::form_urlencoded;

use serde_json::Value;

/// Sends requests to the HTTP API of a server, as one caller.
pub trait Ask: Sync {
    /// Sends a GET, or a POST if there is a body, to a path below `/api/v1`. Returns the JSON of the answer.
    ///
    /// # Errors
    /// Returns an error if the server refuses the request.
    fn ask(&self, path: String, body: Option<Value>) -> impl Future<Output = Result<Value, Failure>> + Send;
}

/// Error of a request to the API.
#[derive(Debug, Clone)]
pub struct Failure {
    /// HTTP status of the answer.
    pub status: u16,
    /// Cause and remedy.
    pub detail: String,
}

/// A request of a program that was written for Flower.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// True for a POST, false for a GET.
    pub is_post: bool,
    /// Path, percent-encoded.
    pub path: String,
    /// Parameters of the query, and of a body that is a form.
    pub params: Vec<(String, String)>,
    /// The body of a POST.
    pub body: Vec<u8>,
}

impl Request {
    /// Creates a request. Parameters are read from the query and from the body.
    pub fn new(is_post: bool, path: &str, query: &str, body: Vec<u8>) -> Self {
        let params = form_urlencoded::parse(query.as_bytes()).into_owned().chain(form_urlencoded::parse(&body).into_owned()).collect();
        Self { is_post, path: path.to_owned(), params, body }
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.params.iter().find(|(key, value)| key == name && !value.is_empty()).map(|(_, value)| &**value)
    }

    /// Reads a number, with Flower's error for other texts. `kind` is Python's name of its type.
    fn number<T: std::str::FromStr>(&self, name: &str, kind: &str) -> Result<Option<T>, Answer> {
        let Some(text) = self.text(name) else { return Ok(None) };
        text.parse().map(Some).map_err(|_| Answer::text(400, format!("Invalid argument '{text}' of type '{kind}'")))
    }

    fn flag(&self, name: &str) -> bool {
        self.text(name).is_some_and(|text| matches!(&*text.to_ascii_lowercase(), "true" | "1" | "yes" | "on" | "y" | "t"))
    }
}

/// Answers a request. `page` is the address of the page, without a slash at its end.
pub async fn answer(api: &impl Ask, request: &Request, page: &str, counts: &Counts) -> Answer {
    let parts: Vec<String> = request.path.trim_matches('/').split('/').map(decoded).collect();
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let answered = match (request.is_post, &parts[..]) {
        (false, ["" | "tasks" | "broker"] | ["task", _]) => Ok(Answer::redirect(format!("{page}/tasks/queue"))),
        (false, ["workers" | "worker", ..]) => Ok(Answer::redirect(format!("{page}/tasks/workers"))),
        (false, ["healthcheck"]) => Ok(Answer::html(200, "OK")),
        (false, ["metrics"]) => metrics::answer(api, counts).await,
        (false, ["api", rest @ ..]) => read::answer(api, request, rest).await,
        (true, ["api", rest @ ..]) => change::answer(api, request, rest).await,
        _ => Ok(Answer::html(404, "404: Not Found")),
    };
    answered.unwrap_or_else(|refused| refused)
}

fn decoded(part: &str) -> String {
    percent_decode_str(part).decode_utf8_lossy().into_owned()
}

/// Encodes a text as a segment of a path, or as a value of a query.
fn encoded(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20")
}
