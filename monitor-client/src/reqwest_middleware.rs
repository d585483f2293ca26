//! A middleware for reqwest.

use http::Extensions;
use reqwest::{Request, Response};
use reqwest_middleware::{Error, Next};

use crate::InCurrent;
use crate::tower::begin;

/// Makes a process of every request and sends its ids along as `traceparent`, as [`ClientLayer`](crate::tower::ClientLayer) does. A retry
/// further in is part of one process; one further out makes several.
///
/// ```
/// use monitor_client::reqwest_middleware::Middleware;
///
/// let client = reqwest_middleware::ClientBuilder::new(reqwest::Client::new()).with(Middleware).build();
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct Middleware;

#[async_trait::async_trait]
impl reqwest_middleware::Middleware for Middleware {
    async fn handle(&self, mut request: Request, extensions: &mut Extensions, next: Next<'_>) -> reqwest_middleware::Result<Response> {
        if !crate::enabled() {
            return next.run(request, extensions).await;
        }
        let (method, url) = (request.method().clone(), request.url().clone());
        let mut call = begin(&method, url.host_str(), url.path(), request.headers_mut());
        let answered = next.run(request, extensions).in_context(call.context()).await;
        match &answered {
            Ok(response) => {
                call.status(response.status(), 400);
                call.end();
            }
            Err(error) => call.fail(words(error)),
        }
        answered
    }
}

/// An error's words. Those of reqwest's own hold the URL, in which there may be a password: its causes are told instead.
fn words(error: &Error) -> String {
    let Error::Reqwest(error) = error else { return error.to_string() };
    let what = match () {
        () if error.is_timeout() => "the request timed out",
        () if error.is_connect() => "there was no connection",
        () => "the request failed",
    };
    std::iter::once(what.to_owned()).chain(monitor_core::span::chain(error)).collect::<Vec<_>>().join(": ")
}
