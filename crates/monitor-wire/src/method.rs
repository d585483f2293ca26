//! Methods of workers and agents: what the server's routes demand for them.

use std::fmt;

/// Scope that a client needs to send a method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MethodScope {
    /// For methods that change nothing.
    Read,
    /// For methods that change what is recorded or how a worker works.
    Operate,
    /// For everything else.
    Admin,
}

impl MethodScope {
    /// Returns the scope's name, as tokens and the API have it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Operate => "operate",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for MethodScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
