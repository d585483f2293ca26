//! A client of Process Monitor's HTTP API: typed calls, lists with pages, errors that contain the server's explanation, and an event
//! stream that resumes after an interruption.
//!
//! # Examples
//!
//! A program that prints the failed runs, and then each process as it fails:
//!
//! ```no_run
//! use monitor_api::{Client, Error, StreamItem};
//!
//! #[tokio::main(flavor = "current_thread")]
//! async fn main() -> Result<(), Error> {
//!     // The server's address and the token are in MONITOR_SERVER_URL and MONITOR_TOKEN.
//!     let client = Client::from_env()?;
//!
//!     // A call is sent when it is awaited.
//!     let failed = client.roots().states(["failed"]).limit(20).await?;
//!     for run in &failed.roots {
//!         println!("{} at {:?}", run.title, run.ended_us);
//!     }
//!
//!     // Every answer contains the number of the last event that it includes. The stream continues there, so that no event is missed
//!     // and none is received twice.
//!     let mut stream = client.stream().types(["process-ended"]).after(failed.as_of).open();
//!     loop {
//!         match stream.next().await? {
//!             StreamItem::Event { message, .. } => {
//!                 if let Some(process) = message.process.filter(|process| process.error.is_some()) {
//!                     println!("{} failed", process.name);
//!                 }
//!             }
//!             StreamItem::Gap { .. } => println!("events were missed: load the list again"),
//!             StreamItem::Interrupted { error, pause } => eprintln!("{error}; next attempt in {pause:?}"),
//!             _ => {}
//!         }
//!     }
//! }
//! ```
//!
//! # Calls
//!
//! A method of [`Client`] creates a [`Call`]. Its methods set query parameters, and awaiting it sends the request. The type of the answer
//! determines the available parameters: [`Client::roots`] returns a `Call<RootsPage>`, which has [`states`](Call::states) and
//! [`containing`](Call::containing). For a route without a method of its own, use [`Client::call`].
//!
//! Lists have pages. [`Call::limit`] sets the size of a page, and [`Call::pages`] returns all pages one after the other. Large answers,
//! such as exports and backups, are a [`Download`], which is read in chunks.
//!
//! The answers are the types of [`wire`]. Times are in Unix microseconds, durations in nanoseconds and sizes in bytes, as the names of the
//! fields indicate. Unknown fields of a newer server are ignored; [`Call::json`] returns them.
//!
//! # Errors
//!
//! An [`Error`] distinguishes a server that was not reached from one that refused the request. A refusal contains the server's
//! [explanation](Error::problem). [`Error::is_temporary`] returns true if the same call may succeed later, and [`Call::send_again`] repeats
//! such calls. Redirections are not followed, no proxy is used for the local machine, and answers are limited in time and size
//! ([`Settings`]).
//!
//! # Features
//!
//! Both features are on by default:
//! - `stream` enables [`Client::stream`] and the calls of agents ([`Client::agent_book`], [`Client::channel`],
//!   [`Client::job_orders`]).
//! - `tls` enables https addresses.
#![forbid(unsafe_code)]

mod admin;
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
mod runs;
mod settings;
#[cfg(feature = "stream")]
mod stream;
mod workers;

pub use call::{Call, Download, Page, Pages};
pub use calls::RootKey;
#[cfg(feature = "stream")]
pub use channel::Channel;
pub use client::{BatchAnswer, Client};
pub use error::Error;
pub use monitor_wire as wire;
pub use reqwest::Method;
pub use runs::{ExportFormat, Order};
pub use settings::{DEFAULT_URL, InvalidSetting, Settings, Token, server_url};
#[cfg(feature = "stream")]
pub use stream::{EventStream, StreamItem, StreamRequest};
