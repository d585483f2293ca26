//! A response body that ends the process of its request with its last byte.

use std::fmt::Display;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http_body::{Body as HttpBody, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::Call;

pin_project! {
    /// Response body that ends the process of its request with the last byte, with the trailers, or when it is dropped.
    ///
    /// # Examples
    ///
    /// ```
    /// use axum::{Router, response::Response, routing::get};
    /// use monitor_client::tower::{Body, ServerLayer};
    /// use tower_layer::Layer;
    /// use tower_service::Service;
    ///
    /// let mut service = ServerLayer::new().layer(Router::<()>::new().route("/", get(|| async { "hello" })));
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let answer: Response<Body<axum::body::Body>> = service.call(http::Request::new(axum::body::Body::empty())).await.unwrap();
    /// assert!(answer.status().is_success());
    /// # });
    /// ```
    #[derive(Debug, Default)]
    pub struct Body<B> {
        #[pin]
        inner: B,
        call: Call,
        // Number of bytes left in the body, if it is known. The server may stop polling after the last byte.
        left: Option<u64>,
    }
}

impl<B: HttpBody> Body<B> {
    /// Wraps a body of `length` bytes, if the length is known.
    pub(super) fn new(inner: B, mut call: Call, length: Option<u64>) -> Self {
        let left = length.or_else(|| inner.size_hint().exact());
        if inner.is_end_stream() {
            call.end();
        }
        Self { inner, call, left }
    }
}

impl<B> HttpBody for Body<B>
where
    B: HttpBody<Error: Display>,
{
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let mut this = self.project();
        let inner = this.inner.as_mut();
        let polled = ready!(this.call.within(|| inner.poll_frame(cx)));
        match &polled {
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref()
                    && let Some(left) = this.left
                {
                    *left = left.saturating_sub(bytes::Buf::remaining(data) as u64);
                }
                if let Some(trailers) = frame.trailers_ref() {
                    this.call.grpc_status(trailers);
                }
                if frame.is_trailers() || *this.left == Some(0) || this.inner.is_end_stream() {
                    this.call.end();
                }
            }
            Some(Err(error)) => this.call.fail(error),
            None => this.call.end(),
        }
        Poll::Ready(polled)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
