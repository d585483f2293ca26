//! The server side.

use std::borrow::Cow;
use std::fmt::{self, Display};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{self, Poll, ready};

use http::request::Parts;
use http::{Method, Request, Response, StatusCode, header};
use http_body::Body as HttpBody;
use monitor_core::{Context, Process};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use super::{Body, Call};
use crate::ContextExt;

type Name = Arc<dyn Fn(&Parts) -> Option<String> + Send + Sync>;

/// A layer that records every request as a process. It is named `GET /users/{id}` if axum has matched a route (feature `axum`), and
/// otherwise by the method alone. The path of the URL is never part of a name. The process is part of the run in the caller's
/// `traceparent`, or begins a run.
///
/// Its fields are `http.method`, `http.route`, `http.status_code` and `rpc.grpc.status_code`. It ends with the last byte of the
/// response. It fails if the status is 500 or above, if the gRPC status in the headers or trailers is not 0, if the service or the body
/// returns an error, or if either panics. It is cancelled if the client disconnects. If several of these layers are nested, only the
/// outermost one records the request.
///
/// # Examples
///
/// ```
/// use axum::{Router, routing::get};
/// use monitor_client::tower::ServerLayer;
///
/// let app: Router = Router::new().route("/users/{id}", get(|| async { "Ada" })).layer(ServerLayer::new());
/// ```
#[derive(Clone, Default)]
pub struct ServerLayer {
    name: Option<Name>,
}

impl ServerLayer {
    /// Creates a layer that names processes by method and route.
    ///
    /// # Examples
    ///
    /// ```
    /// let layer = monitor_client::tower::ServerLayer::new();
    /// # drop(layer);
    /// ```
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a function that names processes. If it returns `None`, the default name is used. The set of names should be small, so don't
    /// return the path of the URL: clients could choose any number of names.
    ///
    /// For tonic, whose services have a path of their own for each method:
    ///
    /// # Examples
    ///
    /// ```
    /// use monitor_client::tower::ServerLayer;
    ///
    /// let layer = ServerLayer::new().named(|request| match request.uri.path() {
    ///     method @ ("/shop.Orders/Place" | "/shop.Orders/Cancel") => Some(method[1..].to_owned()),
    ///     _ => None,
    /// });
    /// ```
    #[must_use]
    pub fn named(self, name: impl Fn(&Parts) -> Option<String> + Send + Sync + 'static) -> Self {
        Self { name: Some(Arc::new(name)) }
    }

    fn begin(&self, parts: &Parts) -> Call {
        let (method, route) = (method_of(&parts.method), route_of(parts));
        let name = self.name.as_ref().and_then(|name| name(parts));
        let name = name.unwrap_or_else(|| route.map_or_else(|| method.clone().into_owned(), |route| format!("{method} {route}")));
        let mut builder = Process::builder(name).kind("cross_process").nowhere().field("http.method", &*method);
        if let Some(route) = route {
            builder = builder.field("http.route", route);
        }
        Call::begin(match Context::extract(&parts.headers) {
            Some(caller) => builder.parent(caller),
            None => builder.root(),
        })
    }
}

impl fmt::Debug for ServerLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerLayer").finish_non_exhaustive()
    }
}

impl<S> Layer<S> for ServerLayer {
    type Service = Server<S>;

    fn layer(&self, inner: S) -> Server<S> {
        Server { inner, layer: self.clone() }
    }
}

/// Returns a standard method unchanged, and `HTTP` for all others: clients can send any number of different methods.
pub(super) fn method_of(method: &Method) -> Cow<'static, str> {
    const KNOWN: [Method; 9] = [
        Method::GET,
        Method::POST,
        Method::PUT,
        Method::PATCH,
        Method::DELETE,
        Method::HEAD,
        Method::OPTIONS,
        Method::CONNECT,
        Method::TRACE,
    ];
    if KNOWN.contains(method) { method.as_str().to_owned().into() } else { "HTTP".into() }
}

#[cfg(feature = "axum")]
fn route_of(parts: &Parts) -> Option<&str> {
    parts.extensions.get::<axum::extract::MatchedPath>().map(axum::extract::MatchedPath::as_str)
}

#[cfg(not(feature = "axum"))]
fn route_of(_: &Parts) -> Option<&str> {
    None
}

/// Service that records its requests as processes. Created by [`ServerLayer`].
///
/// # Examples
///
/// ```
/// use axum::Router;
/// use monitor_client::tower::{Server, ServerLayer};
/// use tower_layer::Layer;
///
/// let service: Server<Router> = ServerLayer::new().layer(Router::new());
/// ```
#[derive(Debug, Clone)]
pub struct Server<S> {
    inner: S,
    layer: ServerLayer,
}

/// Request extension that marks a request as recorded by an outer layer.
#[derive(Debug, Clone)]
struct Taken;

impl<S, B, R> Service<Request<B>> for Server<S>
where
    S: Service<Request<B>, Response = Response<R>, Error: Display>,
    R: HttpBody,
{
    type Response = Response<Body<R>>;
    type Error = S::Error;
    type Future = ServerFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut task::Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        if !crate::enabled() || request.extensions().get::<Taken>().is_some() {
            return ServerFuture { inner: Some(self.inner.call(request)), call: Call::default(), has_body: true };
        }
        let (mut parts, body) = request.into_parts();
        let mut call = self.layer.begin(&parts);
        parts.extensions.insert(Taken);
        let has_body = !matches!(parts.method, Method::HEAD | Method::CONNECT);
        let request = Request::from_parts(parts, body);
        let inner = call.within(|| self.inner.call(request));
        ServerFuture { inner: Some(inner), call, has_body }
    }
}

pin_project! {
    /// Future of the response. Created by [`Server`].
    ///
    /// # Examples
    ///
    /// ```
    /// use axum::{Router, body::Body, routing::get};
    /// use monitor_client::tower::{ServerFuture, ServerLayer};
    /// use tower_layer::Layer;
    /// use tower_service::Service;
    ///
    /// let mut service = ServerLayer::new().layer(Router::<()>::new().route("/", get(|| async { "hello" })));
    /// let answer: ServerFuture<_> = service.call(http::Request::new(Body::empty()));
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// assert!(answer.await.unwrap().status().is_success());
    /// # });
    /// ```
    #[derive(Debug)]
    pub struct ServerFuture<F> {
        #[pin]
        inner: Option<F>,
        call: Call,
        // False for HEAD and CONNECT: the body of their response is never polled.
        has_body: bool,
    }

    impl<F> PinnedDrop for ServerFuture<F> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            // The drop of the future belongs to the process, which is cancelled afterwards.
            this.call.within(|| this.inner.set(None));
        }
    }
}

impl<F, R, E> Future for ServerFuture<F>
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
                call.status(response.status(), 500);
                call.grpc_status(response.headers());
                if !*this.has_body || is_without_body(response.status()) {
                    call.end();
                }
                let length = response.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
                Ok(response.map(|body| Body::new(body, call, length)))
            }
            Err(error) => {
                call.fail(&error);
                Err(error)
            }
        })
    }
}

/// Returns true if the body of such a response is never polled.
fn is_without_body(status: StatusCode) -> bool {
    status.is_informational() || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
}
