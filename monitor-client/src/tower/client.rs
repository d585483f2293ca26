//! The client side.

use std::fmt::Display;
use std::pin::Pin;
use std::task::{self, Poll, ready};

use http::{HeaderMap, Method, Request, Response, Uri, header};
use http_body::Body as HttpBody;
use monitor_core::Process;
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use super::server::method_of;
use super::{Body, Call};
use crate::ContextExt;

/// A layer that records every outgoing request as a process and sends its ids as `traceparent`, so that the server's processes become
/// children of the request.
///
/// The process is named `GET api.example.org`, or by service and method for a gRPC call, and has the fields `http.method` and
/// `server.address`. It ends when the response's head arrives, or with the trailers for a gRPC call. It fails if the status
/// is 400 or above, as OpenTelemetry specifies for clients, if the gRPC status is not 0, or if an error occurs. It is
/// cancelled if the request is dropped.
///
/// # Examples
///
/// ```
/// use monitor_client::tower::ClientLayer;
/// use tower_layer::Layer;
///
/// # struct HttpClient;
/// let client = ClientLayer::new().layer(HttpClient);
/// ```
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct ClientLayer;

impl ClientLayer {
    /// Creates a layer for any client.
    ///
    /// # Examples
    ///
    /// ```
    /// let layer = monitor_client::tower::ClientLayer::new();
    /// # drop(layer);
    /// ```
    pub fn new() -> Self {
        Self
    }
}

impl<S> Layer<S> for ClientLayer {
    type Service = Client<S>;

    fn layer(&self, inner: S) -> Client<S> {
        Client { inner }
    }
}

/// Service that records its requests as processes. Created by [`ClientLayer`].
///
/// # Examples
///
/// ```
/// use monitor_client::tower::{Client, ClientLayer};
/// use tower_layer::Layer;
///
/// # struct HttpClient;
/// let client: Client<HttpClient> = ClientLayer::new().layer(HttpClient);
/// ```
#[derive(Debug, Clone)]
pub struct Client<S> {
    inner: S,
}

/// Begins the process of a request and adds its ids to the headers. `host` and `path` are the parts of its URL.
pub(crate) fn begin(method: &Method, host: Option<&str>, path: &str, headers: &mut HeaderMap) -> Call {
    let method = method_of(method);
    let name = match host {
        _ if is_grpc(headers) => path.trim_start_matches('/').to_owned(),
        Some(host) => format!("{method} {host}"),
        None => method.clone().into_owned(),
    };
    let mut builder = Process::builder(name).nowhere().field("http.method", &*method);
    if let Some(host) = host {
        builder = builder.field("server.address", host);
    }
    let call = Call::begin(builder);
    if let Some(context) = call.context() {
        context.inject(headers);
    }
    call
}

fn is_grpc(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"))
}

/// Returns the host of the URL, or else of the `Host` header.
fn host_of<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> Option<&'a str> {
    uri.host().or_else(|| {
        let host = headers.get(header::HOST)?.to_str().ok()?;
        Some(host.rsplit_once(':').map_or(host, |(name, port)| if port.ends_with(']') { host } else { name }))
    })
}

impl<S, B, R> Service<Request<B>> for Client<S>
where
    S: Service<Request<B>, Response = Response<R>, Error: Display>,
    R: HttpBody,
{
    type Response = Response<Body<R>>;
    type Error = S::Error;
    type Future = ClientFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut task::Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        if !crate::enabled() {
            return ClientFuture { inner: Some(self.inner.call(request)), call: Call::default() };
        }
        let (method, uri) = (request.method().clone(), request.uri().clone());
        let host = host_of(&uri, request.headers()).map(str::to_owned);
        let mut call = begin(&method, host.as_deref(), uri.path(), request.headers_mut());
        let inner = call.within(|| self.inner.call(request));
        ClientFuture { inner: Some(inner), call }
    }
}

pin_project! {
    /// Future of the response. Created by [`Client`].
    ///
    /// # Examples
    ///
    /// ```
    /// use std::convert::Infallible;
    /// use http::{Request, Response};
    /// use monitor_client::tower::{ClientFuture, ClientLayer};
    /// use tower_layer::Layer;
    /// use tower_service::Service;
    ///
    /// # #[derive(Clone)]
    /// # struct HttpClient;
    /// # impl Service<Request<String>> for HttpClient {
    /// #     type Response = Response<String>;
    /// #     type Error = Infallible;
    /// #     type Future = std::future::Ready<Result<Response<String>, Infallible>>;
    /// #     fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Infallible>> { std::task::Poll::Ready(Ok(())) }
    /// #     fn call(&mut self, _: Request<String>) -> Self::Future { std::future::ready(Ok(Response::new("hello".to_owned()))) }
    /// # }
    /// let mut client = ClientLayer::new().layer(HttpClient);
    /// let answer: ClientFuture<_> = client.call(Request::new(String::new()));
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// assert!(answer.await.unwrap().status().is_success());
    /// # });
    /// ```
    #[derive(Debug)]
    pub struct ClientFuture<F> {
        #[pin]
        inner: Option<F>,
        call: Call,
    }

    impl<F> PinnedDrop for ClientFuture<F> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            this.call.within(|| this.inner.set(None));
        }
    }
}

impl<F, R, E> Future for ClientFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
    R: HttpBody,
    E: Display,
{
    type Output = Result<Response<Body<R>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let inner = this.inner.as_mut().as_pin_mut().expect("it is there until this is dropped");
        let answered = ready!(this.call.within(|| inner.poll(cx)));
        let mut call = std::mem::take(this.call);
        Poll::Ready(match answered {
            Ok(response) => {
                call.status(response.status(), 400);
                call.grpc_status(response.headers());
                if !is_grpc(response.headers()) || response.headers().contains_key("grpc-status") {
                    // End the process now, because the caller may never read the body.
                    call.end();
                }
                Ok(response.map(|body| Body::new(body, call, None)))
            }
            Err(error) => {
                call.fail(&error);
                Err(error)
            }
        })
    }
}
