//! Users and their passwords.

use std::ops::RangeInclusive;

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use monitor_wire::JobGrant;

use super::secret::{hash as hash_of_secret, hex, is_same};
use super::{Access, AccessError, Credential, How, Principal, Role, check_name};

/// Allowed length of a password, in characters.
pub(super) const PASSWORD: RangeInclusive<usize> = 8..=256;

/// Hash that is verified if a user does not exist, so that this takes equally long. It has the default costs and matches no password.
const NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$2WN0fHnCBuzTsk4EvIGTU9KDYHbpcVUwPOvWjSEFbXQ";

/// User who can log in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Name for the login.
    pub name: String,
    /// Role of the user.
    pub role: Role,
    /// Creation time, in Unix microseconds.
    pub created_us: u64,
    /// OpenID Connect issuer for the login. `None` for users with a password.
    pub issuer: Option<String>,
    /// Grant to run jobs on hosts.
    pub jobs: Option<JobGrant>,
}

impl Access {
    /// Adds a user. Takes some time, because the password hash is deliberately slow.
    ///
    /// # Errors
    /// Returns an error if the name is in use, the password is too short, or the database fails.
    pub fn add_user(&self, name: &str, role: Role, password: &str) -> Result<(), AccessError> {
        check_name(name)?;
        let password = hash(password)?;
        let user = User { name: name.to_owned(), role, created_us: self.clock.wall_us(), issuer: None, jobs: None };
        let exists = || AccessError::Exists { what: "user", name: name.to_owned() };
        self.records.add_user(&user, &password)?.then_some(()).ok_or_else(exists)
    }

    /// Returns all users, by name.
    ///
    /// # Errors
    /// Returns an error if the database fails.
    pub fn users(&self) -> Result<Vec<User>, AccessError> {
        self.records.users()
    }

    /// Removes a user and ends all sessions of the user.
    ///
    /// # Errors
    /// Returns an error if the user does not exist, or the database fails.
    pub fn remove_user(&self, name: &str) -> Result<(), AccessError> {
        let missing = || AccessError::Missing { what: "user", name: name.to_owned() };
        self.records.remove_user(name)?.then_some(()).ok_or_else(missing)
    }

    /// Sets the password of a user and ends all sessions of the user.
    ///
    /// # Errors
    /// Returns an error if the user does not exist or logs in through OpenID Connect, the password is too short, or the database fails.
    pub fn set_password(&self, name: &str, password: &str) -> Result<(), AccessError> {
        let issuer = self.records.users()?.into_iter().find(|user| user.name == name).and_then(|user| user.issuer);
        if let Some(issuer) = issuer {
            return Err(AccessError::Elsewhere { name: name.to_owned(), issuer });
        }
        let password = hash(password)?;
        let missing = || AccessError::Missing { what: "user", name: name.to_owned() };
        self.records.set_password(name, &password)?.then_some(()).ok_or_else(missing)
    }

    /// True if this is the user's password. Takes equally long if the user does not exist.
    ///
    /// # Errors
    /// Returns an error if the database fails.
    pub(crate) fn is_password(&self, name: &str, password: &str) -> Result<bool, AccessError> {
        let kept = self.records.password(name)?;
        let is_known = kept.is_some();
        let kept = kept.unwrap_or_else(|| NOBODY.to_owned());
        let is_right = PasswordHash::new(&kept).is_ok_and(|kept| Argon2::default().verify_password(password.as_bytes(), &kept).is_ok());
        Ok(is_right && is_known)
    }
}

impl Access {
    /// Returns the user with this name and password, and the credential for further checks. Takes equally long if there is no such user.
    ///
    /// # Errors
    /// Returns an error if the database fails.
    pub(crate) fn by_password(&self, name: &str, password: &str) -> Result<Option<(Principal, Credential)>, AccessError> {
        let device = self.device(name)?;
        if !self.is_password(name, password)? {
            return Ok(None);
        }
        let credential = device.map(|device| Credential::Password { user: name.into(), device: device.into() });
        Ok(self.user(name)?.zip(credential))
    }

    /// Returns a user as a caller whose password has been checked.
    ///
    /// # Errors
    /// Returns an error if the database fails.
    pub(super) fn user(&self, name: &str) -> Result<Option<Principal>, AccessError> {
        let user = self.records.users()?.into_iter().find(|user| user.name == name);
        Ok(user.map(|user| {
            let scopes = [user.role.scope()].into_iter().collect();
            Principal { name: Some(user.name), how: How::Password, scopes, expires_us: None }
        }))
    }

    /// Returns the device cookie of browsers that have logged in as this user. `None` if the user does not exist. The cookie grants no
    /// access. It separates login attempts by browsers that have known the password from those by others, and changes with the password.
    ///
    /// # Errors
    /// Returns an error if the database fails.
    pub(crate) fn device(&self, name: &str) -> Result<Option<String>, AccessError> {
        let kept = self.records.password(name)?;
        // It is derived from the password hash with its salt, which only the server knows.
        Ok(kept.map(|kept| hex(&hash_of_secret(&format!("a browser that knows {kept}")))))
    }

    /// True if a browser has logged in as this user before, with the current password.
    ///
    /// # Errors
    /// Returns an error if the database fails.
    pub(crate) fn is_device(&self, name: &str, kept: &str) -> Result<bool, AccessError> {
        Ok(self.device(name)?.is_some_and(|device| is_same(device.as_bytes(), kept.as_bytes())))
    }
}

fn hash(password: &str) -> Result<String, AccessError> {
    if !PASSWORD.contains(&password.chars().count()) {
        return Err(AccessError::Password);
    }
    let hash = Argon2::default().hash_password(password.as_bytes());
    hash.map(|hash| hash.to_string()).map_err(|_| AccessError::Password)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_logs_in_by_the_password_alone() {
        let (_folder, accesses) = super::super::both();
        for [access, _] in &accesses {
            logs_in_by_password(access);
        }
    }

    fn logs_in_by_password(access: &Access) {
        access.add_user("ada", Role::Operator, "correct horse").unwrap();
        for (name, password, is_right) in [
            ("ada", "correct horse", true),
            ("ada", "correct hors", false),
            ("ada", "", false),
            ("Ada", "correct horse", false),
            ("", "", false),
            ("nobody", "correct horse", false),
        ] {
            assert_eq!(access.is_password(name, password).unwrap(), is_right, "{name} {password}");
        }
        assert!(matches!(access.add_user("ada", Role::Admin, "another one"), Err(AccessError::Exists { .. })));
        assert!(matches!(access.add_user("bob", Role::Admin, "short"), Err(AccessError::Password)));
        assert!(matches!(access.set_password("bob", "long enough"), Err(AccessError::Missing { .. })));
        assert_eq!(access.users().unwrap()[0].role, Role::Operator);
    }

    #[test]
    fn a_name_that_is_not_there_takes_as_long() {
        assert!(PasswordHash::new(NOBODY).is_ok_and(|hash| Argon2::default().verify_password(b"x", &hash).is_err()));
        assert!(PasswordHash::new(NOBODY).is_ok_and(|hash| hash.hash.is_some() && hash.salt.is_some()));
    }

    #[test]
    fn a_browser_is_recognized_for_its_user_until_the_password_changes() {
        let (_folder, accesses) = super::super::both();
        for [access, _] in &accesses {
            browser_is_known(access);
        }
    }

    fn browser_is_known(access: &Access) {
        access.add_user("ada", Role::Operator, "correct horse").unwrap();
        access.add_user("bob", Role::Operator, "correct horse").unwrap();
        let device = access.device("ada").unwrap().unwrap();
        assert!(access.is_device("ada", &device).unwrap() && !access.is_device("bob", &device).unwrap());
        assert!(!access.is_device("ada", "").unwrap() && !access.is_device("nobody", &device).unwrap());
        access.set_password("ada", "correct horse").unwrap();
        assert!(!access.is_device("ada", &device).unwrap());
    }

    #[test]
    fn removed_users_and_users_with_a_new_password_are_logged_out() {
        let (_folder, accesses) = super::super::both();
        for [access, _] in &accesses {
            logged_out(access);
        }
    }

    fn logged_out(access: &Access) {
        access.add_user("ada", Role::Viewer, "correct horse").unwrap();
        let hour = std::time::Duration::from_hours(1);
        let session = access.begin_session("ada", hour).unwrap();
        assert_eq!(access.by_session(&session).unwrap().unwrap().name.as_deref(), Some("ada"));
        access.set_password("ada", "wrong horses").unwrap();
        assert_eq!(access.by_session(&session).unwrap(), None);
        let session = access.begin_session("ada", hour).unwrap();
        access.remove_user("ada").unwrap();
        assert_eq!(access.by_session(&session).unwrap(), None);
    }
}
