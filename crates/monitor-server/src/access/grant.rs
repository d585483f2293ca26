//! Rights of requests that are still being answered. Each was checked when the request began, and is checked again when the access database
//! changes, whichever process changes it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{Access, AccessError, Principal, Scope};

/// Secret that a request was authenticated with.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Credential {
    /// Token as text.
    Token(Arc<str>),
    /// Value of the session cookie.
    Session(Arc<str>),
    /// Password of a user, as the value of the device cookie that is derived from it.
    Password {
        /// Name of the user.
        user: Arc<str>,
        /// Value of the cookie ([`Access::device`]).
        device: Arc<str>,
    },
}

/// Right that a request was admitted with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Grant {
    /// Secret that granted the right.
    pub(crate) credential: Credential,
    /// Scope that the request requires.
    pub(crate) scope: Scope,
    /// Expiry time of the credential, in Unix microseconds.
    pub(crate) expires_us: Option<u64>,
    /// Version of the database ([`Access::version`]) before the credential was looked up.
    pub(crate) version: u64,
}

impl Access {
    /// Returns the newest version of the database that [`Access::look`] has seen. A caller reads it before it looks up a credential. A
    /// change that the lookup misses then leads to a different version, and so to another check.
    pub(crate) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Reads the current version of the database, which changes with each modification by any process.
    pub(crate) fn look(&self) -> Result<u64, AccessError> {
        let version = self.records.version()?;
        self.version.store(version, Ordering::Release);
        Ok(version)
    }

    /// True if a grant must be checked again at this version of the database.
    pub(crate) fn is_stale(&self, grant: &Grant, version: u64) -> bool {
        grant.version != version || grant.expires_us.is_some_and(|expires| expires <= self.clock.wall_us())
    }

    /// True if the credential still grants the scope.
    pub(crate) fn holds(&self, credential: &Credential, scope: Scope) -> Result<bool, AccessError> {
        Ok(self.by_credential(credential)?.is_some_and(|principal| principal.scopes.has(scope)))
    }

    /// Returns the caller that a credential identifies now.
    pub(crate) fn by_credential(&self, credential: &Credential) -> Result<Option<Principal>, AccessError> {
        match credential {
            Credential::Token(token) => Ok(self.by_token(token)?.map(|(principal, _)| principal)),
            Credential::Session(session) => self.by_session(session),
            Credential::Password { user, device } if self.is_device(user, device)? => self.user(user),
            Credential::Password { .. } => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::{NewToken, Role};
    use super::*;

    #[test]
    fn changes_by_other_connections_make_grants_stale_and_expiry_ends_them() {
        let (_folder, accesses) = super::super::both();
        for [access, other] in accesses {
            changes_make_stale(&access, &other);
        }
    }

    fn changes_make_stale(access: &Access, other: &Access) {
        let new = NewToken { name: "a".to_owned(), scopes: [Scope::Read].into_iter().collect(), lifetime: None, jobs: None };
        let token = Credential::Token(access.create_token(&new).unwrap().into());
        access.add_user("ada", Role::Operator, "correct horse").unwrap();
        let session = Credential::Session(access.begin_session("ada", Duration::from_hours(1)).unwrap().into());
        let version = access.look().unwrap();
        let grant = Grant { credential: token.clone(), scope: Scope::Read, expires_us: None, version };
        assert!(!access.is_stale(&grant, access.look().unwrap()), "nothing has changed");
        assert!(access.is_stale(&Grant { expires_us: Some(access.clock.wall_us()), ..grant.clone() }, version), "its time is over");
        assert!(access.holds(&token, Scope::Read).unwrap() && !access.holds(&token, Scope::Operate).unwrap());
        other.revoke_token("a").unwrap();
        assert!(access.is_stale(&grant, access.look().unwrap()));
        assert!(!access.holds(&token, Scope::Read).unwrap());
        assert!(access.holds(&session, Scope::Operate).unwrap());
        let (_, password) = access.by_password("ada", "correct horse").unwrap().unwrap();
        assert!(access.holds(&password, Scope::Operate).unwrap() && !access.holds(&password, Scope::Admin).unwrap());
        assert!(access.by_password("ada", "wrong horse").unwrap().is_none());
        other.set_password("ada", "battery staple").unwrap();
        assert!(!access.holds(&password, Scope::Operate).unwrap());
        let (_, password) = access.by_password("ada", "battery staple").unwrap().unwrap();
        let version = access.look().unwrap();
        // A new user with the same name and fewer rights does not inherit the session.
        access.remove_user("ada").unwrap();
        access.add_user("ada", Role::Viewer, "correct horse").unwrap();
        assert_ne!(access.look().unwrap(), version, "what this process changes counts as well");
        assert!(!access.holds(&session, Scope::Read).unwrap() && !access.holds(&password, Scope::Read).unwrap());
    }
}
