//! One file per subcommand.

pub(crate) mod logs;
pub(crate) mod roots;
pub(crate) mod server;
pub(crate) mod spool;
pub(crate) mod status;
pub(crate) mod tree;
