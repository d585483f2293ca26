//! What all HTTP clients of the server share: how they trust its certificate, and the words of errors.
#![forbid(unsafe_code)]

mod causes;
#[cfg(feature = "tls")]
mod pin;

pub use causes::{certificate_hint, with_causes};
#[cfg(feature = "tls")]
pub use pin::pinned;
