//! A client of Process Monitor's HTTP API: typed calls, pages, errors with the server's explanation, and the event stream,
//! which resumes after an interruption.
//!
//! ```no_run
//! use monitor_api::{Client, StreamItem};
//!
//! # async fn example() -> Result<(), monitor_api::Error> {
//! let client = Client::from_env()?; // MONITOR_SERVER_URL, MONITOR_TOKEN
//!
//! // Calls are awaited; lists have pages.
//! let failed = client.roots().states(["failed"]).limit(20).await?;
//! for root in &failed.roots {
//!     println!("{}", root.title);
//! }
//!
//! // From here on, without gap or repeat.
//! let mut stream = client.stream().types(["process-ended"]).after(failed.as_of).open();
//! loop {
//!     match stream.next().await? {
//!         StreamItem::Event { message, .. } => println!("{}", message.event.type_name()),
//!         StreamItem::Gap { .. } => println!("some of it is not known any more: load anew"),
//!         _ => {}
//!     }
//! }
//! # }
//! ```
//!
//! The answers are the types of [`monitor_wire`]. Times are in Unix microseconds, durations in nanoseconds and sizes in bytes, as
//! the names of the fields indicate. Redirections are not followed, no proxy is used for the local machine, and answers are
//! limited in time and size ([`Settings`]).
//!
//! Features: `tls` enables https addresses. `stream` enables [`Client::stream`] and the calls of agents ([`Client::agent_book`],
//! [`Client::channel`], [`Client::job_orders`]). Both are on by default.
#![forbid(unsafe_code)]

#[cfg(feature = "stream")]
mod agent_jobs;
mod batch;
mod call;
mod calls;
#[cfg(feature = "stream")]
mod channel;
mod client;
mod error;
mod jobs;
mod queue;
mod settings;
#[cfg(feature = "stream")]
mod stream;

pub use call::{Call, Download, Page, Pages};
pub use calls::{ExportFormat, Order, RootKey};
#[cfg(feature = "stream")]
pub use channel::Channel;
pub use client::{BatchAnswer, Client};
pub use error::Error;
pub use monitor_wire as wire;
pub use reqwest::Method;
pub use settings::{DEFAULT_URL, InvalidSetting, Settings, Token, server_url};
#[cfg(feature = "stream")]
pub use stream::{EventStream, StreamItem, StreamRequest};
