//! Attributes that show a running program as one live tree.

pub use monitor_macros::*;

#[doc(hidden)]
pub mod __private {
    pub use monitor_core::*;
}
