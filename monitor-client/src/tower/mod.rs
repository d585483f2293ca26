//! Layers for servers and clients of HTTP and gRPC: axum, tonic, hyper and all else that is made of tower's services.
//!
//! ```
//! use axum::{Router, routing::get};
//! use monitor_client::tower::ServerLayer;
//!
//! let app: Router = Router::new().route("/users/{id}", get(|| async { "Ada" })).layer(ServerLayer::new());
//! ```
//!
//! Where nothing is recorded, a request passes through untouched.

mod body;
mod call;
mod client;
mod server;

pub use body::Body;
pub(crate) use call::Call;
#[cfg(feature = "reqwest-middleware")]
pub(crate) use client::begin;
pub use client::{Client, ClientFuture, ClientLayer};
pub use server::{Server, ServerFuture, ServerLayer};
