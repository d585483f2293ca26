//! Shared by all HTTP clients of the server: trust in its certificate, addresses of this machine, and messages of errors.
#![forbid(unsafe_code)]

mod causes;
mod names;
#[cfg(feature = "tls")]
mod pin;
mod roots;

pub use causes::{certificate_hint, with_causes};
pub use names::{LOCALHOST, addresses};
#[cfg(feature = "tls")]
pub use pin::pinned;
pub use roots::built_in_roots;
