//! Layers for HTTP and gRPC servers and clients: axum, tonic, hyper and all other crates based on tower's services.
//!
//! ```
//! use axum::{Router, routing::get};
//! use monitor_client::tower::ServerLayer;
//!
//! let app: Router = Router::new().route("/users/{id}", get(|| async { "Ada" })).layer(ServerLayer::new());
//! ```
//!
//! If nothing is recorded, requests pass through unchanged.

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
