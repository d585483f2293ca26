//! A middleware for reqwest.

use http::Extensions;
use reqwest::{Request, Response};
use reqwest_middleware::{Error, Next};

use crate::InCurrent;
use crate::tower::begin;

/// A middleware that records every request as a process and sends its ids as `traceparent`, as [`ClientLayer`](crate::tower::ClientLayer)
/// does. The attempts of a retry middleware that is added after this middleware are part of a single process. A retry middleware that is
/// added before it makes a process per attempt.
///
/// # Examples
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

/// Formats an error. The message of a reqwest error contains the URL, which may include a password, so only
/// the error's kind and causes are used.
fn words(error: &Error) -> String {
    let Error::Reqwest(error) = error else { return error.to_string() };
    let what = match () {
        () if error.is_timeout() => "the request timed out",
        () if error.is_connect() => "there was no connection",
        () => "the request failed",
    };
    std::iter::once(what.to_owned()).chain(monitor_core::span::chain(error)).collect::<Vec<_>>().join(": ")
}
