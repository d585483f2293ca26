//! One file per subcommand.

pub(crate) mod logs;
pub(crate) mod roots;
#[cfg(target_os = "linux")]
pub(crate) mod run;
#[cfg(target_os = "linux")]
pub(crate) mod runs;
pub(crate) mod server;
pub(crate) mod spool;
pub(crate) mod status;
pub(crate) mod tree;
