//! Scopes and roles.

use std::fmt;
use std::str::FromStr;

/// Right to perform a group of actions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Send events.
    Ingest,
    /// Act as an agent: send events, and read its own batch tasks and commands.
    Agent,
    /// Read all recorded data.
    Read,
    /// Change recorded data, and start processes. Includes reading.
    Operate,
    /// Read the audit log, and everything else.
    Admin,
}

/// Set of [`Scope`]s.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Scopes(u8);

/// Error of an unknown scope.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is no scope: there are `ingest`, `agent`, `read`, `operate` and `admin`")]
pub struct InvalidScope(String);

impl Scope {
    const ALL: [Self; 5] = [Self::Ingest, Self::Agent, Self::Read, Self::Operate, Self::Admin];

    /// Returns the name of the scope.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ingest => "ingest",
            Self::Agent => "agent",
            Self::Read => "read",
            Self::Operate => "operate",
            Self::Admin => "admin",
        }
    }

    fn bits(self) -> u8 {
        match self {
            Self::Ingest => 0b0_0001,
            Self::Agent => 0b1_0001,
            Self::Read => 0b0_0010,
            Self::Operate => 0b0_0110,
            Self::Admin => 0b1_1111,
        }
    }
}

impl FromStr for Scope {
    type Err = InvalidScope;

    fn from_str(text: &str) -> Result<Self, InvalidScope> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == text).ok_or_else(|| InvalidScope(text.chars().take(40).collect()))
    }
}

impl Scopes {
    /// True if the set includes the scope.
    pub fn has(self, scope: Scope) -> bool {
        self.0 & scope.bits() == scope.bits()
    }

    /// Returns the highest role that the scopes correspond to. `None` if they do not include reading.
    pub fn role(self) -> Option<Role> {
        Role::ALL.into_iter().rev().find(|role| self.has(role.scope()))
    }

    /// Returns the names of the scopes, without those that others include.
    pub fn words(self) -> Vec<&'static str> {
        let is_included =
            |scope: Scope| Scope::ALL.iter().any(|other| *other != scope && self.has(*other) && Scopes(other.bits()).has(scope));
        Scope::ALL.into_iter().filter(|scope| self.has(*scope) && !is_included(*scope)).map(Scope::as_str).collect()
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        Self(scopes.into_iter().fold(0, |bits, scope| bits | scope.bits()))
    }
}

impl FromStr for Scopes {
    type Err = InvalidScope;

    fn from_str(text: &str) -> Result<Self, InvalidScope> {
        text.split(',').map(str::trim).filter(|word| !word.is_empty()).map(str::parse).collect()
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words().join(","))
    }
}

/// Rights of a user, in ascending order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// May read.
    Viewer,
    /// May read and change recorded data.
    Operator,
    /// May do everything.
    Admin,
}

impl Role {
    const ALL: [Self; 3] = [Self::Viewer, Self::Operator, Self::Admin];

    /// Returns the name of the role.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }

    /// Returns the scope that corresponds to the role.
    pub fn scope(self) -> Scope {
        match self {
            Self::Viewer => Scope::Read,
            Self::Operator => Scope::Operate,
            Self::Admin => Scope::Admin,
        }
    }
}

impl FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let role = Self::ALL.into_iter().find(|role| role.as_str() == text);
        role.ok_or_else(|| "expected a role: `viewer`, `operator` or `admin`".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_include_each_other_as_documented() {
        for (text, has, role, shown) in [
            ("ingest", "ingest", None, "ingest"),
            ("read", "read", Some(Role::Viewer), "read"),
            ("operate", "read operate", Some(Role::Operator), "operate"),
            ("ingest, operate", "ingest read operate", Some(Role::Operator), "ingest,operate"),
            ("read,ingest", "ingest read", Some(Role::Viewer), "ingest,read"),
            ("agent", "ingest agent", None, "agent"),
            ("admin,read", "ingest agent read operate admin", Some(Role::Admin), "admin"),
            ("", "", None, ""),
        ] {
            let scopes: Scopes = text.parse().unwrap();
            let found: Vec<_> = Scope::ALL.into_iter().filter(|scope| scopes.has(*scope)).map(Scope::as_str).collect();
            assert_eq!((found.join(" ").as_str(), scopes.role(), scopes.to_string().as_str()), (has, role, shown), "{text}");
        }
        assert!("write".parse::<Scopes>().unwrap_err().to_string().contains("`operate`"));
    }
}
