//! Shared by all HTTP clients of the server: trust in its certificate, and messages of errors.
#![forbid(unsafe_code)]

mod causes;
#[cfg(feature = "tls")]
mod pin;

pub use causes::{certificate_hint, with_causes};
#[cfg(feature = "tls")]
pub use pin::pinned;
