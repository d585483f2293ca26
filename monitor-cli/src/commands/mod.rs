//! One file per subcommand.

pub(crate) mod backup;
pub(crate) mod check;
pub(crate) mod restore;
pub(crate) mod roots;
pub(crate) mod server;
pub(crate) mod spool;
pub(crate) mod status;
pub(crate) mod tree;
