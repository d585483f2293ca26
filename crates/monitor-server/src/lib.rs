//! The server: ingest, store, API and live stream.
//!
//! A batch passes from `http` through [`ingest`] to the [store](monitor_store). After the commit, its changes are passed to [`live`]. The
//! API and the stream only read.

pub mod access;
mod adopt;
pub mod alerts;
mod all_duties;
mod clock;
mod commands;
mod config;
mod doctor;
mod duties;
mod export;
mod forward;
#[doc(hidden)]
pub mod fuzz;
mod heartbeats;
mod html;
mod http;
pub mod ingest;
mod jobs;
pub mod live;
mod oidc;
pub mod otlp;
mod outgoing;
mod overdue;
pub mod report;
mod retention;
mod schemas;
mod server;
#[cfg(target_os = "linux")]
mod watchdog;

pub use clock::Clock;
pub use commands::AllowedCommands;
pub use config::{CeleryCluster, Config, File, FileError, Form, Loopback, Mcp, SETTINGS, Setting, StartAgent};
pub use duties::Duty;
pub use forward::{OtlpFilter, OtlpHeaders, TargetError};
pub use http::TlsError;
pub use jobs::CallbackTarget;
pub use oidc::{OidcError, RolesOfGroups};
pub use schemas::schemas;
pub use server::{ServeError, Server};
