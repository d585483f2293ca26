//! A gRPC service and its client. The messages are plain text, so no code is generated.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::uri::PathAndQuery;
use http::{Request, Response};
use monitor_client::root_task;
use monitor_client::tower::{ClientLayer, ServerLayer};
use tokio::io::AsyncReadExt;
use tonic::Status;
use tonic::body::Body;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::server::{NamedService, UnaryService};
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Endpoint, Server};
use tower_layer::Layer;
use tower_service::Service;

use crate::{MESSAGES, handle};

type Later<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// A codec for plain text.
#[derive(Clone, Copy, Default)]
struct Text;

impl Codec for Text {
    type Encode = String;
    type Decode = String;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for Text {
    type Item = String;
    type Error = Status;

    fn encode(&mut self, text: String, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        bytes::BufMut::put(buffer, text.as_bytes());
        Ok(())
    }
}

impl Decoder for Text {
    type Item = String;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<String>, Status> {
        let bytes = bytes::Buf::copy_to_bytes(buffer, bytes::Buf::remaining(buffer));
        String::from_utf8(bytes.to_vec()).map(Some).map_err(|_| Status::invalid_argument("no text"))
    }
}

/// The service, written by hand in the form that a build script would generate.
#[derive(Clone)]
struct Handler;

impl NamedService for Handler {
    const NAME: &'static str = "tests.Handler";
}

impl Service<Request<Body>> for Handler {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Later<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        Box::pin(async move { Ok(tonic::server::Grpc::new(Text).unary(Handle, request).await) })
    }
}

struct Handle;

impl UnaryService<String> for Handle {
    type Response = String;
    type Future = Later<Result<tonic::Response<String>, Status>>;

    fn call(&mut self, request: tonic::Request<String>) -> Self::Future {
        Box::pin(async move {
            let length = handle(request.get_ref()).map_err(Status::invalid_argument)?;
            Ok(tonic::Response::new(length.to_string()))
        })
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
}

/// Serves until the end of its input.
pub(crate) fn serve() {
    runtime().block_on(async {
        let incoming = TcpIncoming::bind("127.0.0.1:0".parse().expect("an address")).expect("a port");
        println!("http://{}", incoming.local_addr().expect("an address"));
        let layer = ServerLayer::new().named(|request| (request.uri.path() == "/tests.Handler/Handle").then(|| "Handler".to_owned()));
        let end = async {
            let _ = tokio::io::stdin().read(&mut [0]).await;
        };
        Server::builder().layer(layer).add_service(Handler).serve_with_incoming_shutdown(incoming, end).await.expect("it serves");
    });
}

#[root_task("calls")]
pub(crate) fn call(address: &str) {
    runtime().block_on(async {
        let channel = Endpoint::from_shared(address.to_owned()).expect("a URL").connect().await.expect("a server");
        let mut client = tonic::client::Grpc::new(ClientLayer::new().layer(channel));
        for message in MESSAGES {
            client.ready().await.expect("connected");
            let path = PathAndQuery::from_static("/tests.Handler/Handle");
            match client.unary(tonic::Request::new(message.to_owned()), path, Text).await {
                Ok(answer) => println!("{message}: {}", answer.into_inner()),
                Err(status) => println!("{message}: {}", status.message()),
            }
        }
    });
}
