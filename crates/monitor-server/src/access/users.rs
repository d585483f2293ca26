//! Users and their passwords.

use std::ops::RangeInclusive;

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};

use super::secret::{hash as hash_of_secret, hex, is_same};
use super::{Access, AccessError, Role, check_name};

/// How long a password may be, in characters.
pub(super) const PASSWORD: RangeInclusive<usize> = 8..=256;

/// Checked for users that there are not: of the default costs, and of no password.
const NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$2WN0fHnCBuzTsk4EvIGTU9KDYHbpcVUwPOvWjSEFbXQ";

/// Somebody who logs in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// By which they log in.
    pub name: String,
    /// What they may do.
    pub role: Role,
    /// When they were added, Unix µs.
    pub created_us: u64,
    /// The provider of OpenID Connect that they log in by; none for those who have a password here.
    pub issuer: Option<String>,
}

impl Access {
    /// Adds somebody. It takes a while, by intent.
    ///
    /// # Errors
    /// If there is one of this name, the password is too short, or the database fails.
    pub fn add_user(&self, name: &str, role: Role, password: &str) -> Result<(), AccessError> {
        check_name(name)?;
        let password = hash(password)?;
        let user = User { name: name.to_owned(), role, created_us: self.clock.wall_us(), issuer: None };
        let exists = || AccessError::Exists { what: "user", name: name.to_owned() };
        self.records.add_user(&user, &password)?.then_some(()).ok_or_else(exists)
    }

    /// All users, by name.
    ///
    /// # Errors
    /// If the database fails.
    pub fn users(&self) -> Result<Vec<User>, AccessError> {
        self.records.users()
    }

    /// Removes somebody, who is logged out by that.
    ///
    /// # Errors
    /// If there is nobody of this name, or the database fails.
    pub fn remove_user(&self, name: &str) -> Result<(), AccessError> {
        let missing = || AccessError::Missing { what: "user", name: name.to_owned() };
        self.records.remove_user(name)?.then_some(()).ok_or_else(missing)
    }

    /// Gives somebody another password, and logs them out.
    ///
    /// # Errors
    /// If there is nobody of this name, or they log in by a provider, the password is too short, or the database fails.
    pub fn set_password(&self, name: &str, password: &str) -> Result<(), AccessError> {
        let issuer = self.records.users()?.into_iter().find(|user| user.name == name).and_then(|user| user.issuer);
        if let Some(issuer) = issuer {
            return Err(AccessError::Elsewhere { name: name.to_owned(), issuer });
        }
        let password = hash(password)?;
        let missing = || AccessError::Missing { what: "user", name: name.to_owned() };
        self.records.set_password(name, &password)?.then_some(()).ok_or_else(missing)
    }

    /// Returns true if it is this user's password. It takes as long for users that there are not.
    ///
    /// # Errors
    /// If the database fails.
    pub(crate) fn is_password(&self, name: &str, password: &str) -> Result<bool, AccessError> {
        let kept = self.records.password(name)?;
        let is_known = kept.is_some();
        let kept = kept.unwrap_or_else(|| NOBODY.to_owned());
        let is_right = PasswordHash::new(&kept).is_ok_and(|kept| Argon2::default().verify_password(password.as_bytes(), &kept).is_ok());
        Ok(is_right && is_known)
    }
}

impl Access {
    /// What a browser keeps that has once logged in as this user; none if there is nobody of this name. It lets nobody in. It tells the
    /// tries of those who knew the password before from the tries of strangers, and changes with the password.
    ///
    /// # Errors
    /// If the database fails.
    pub(crate) fn device(&self, name: &str) -> Result<Option<String>, AccessError> {
        let kept = self.records.password(name)?;
        // The salt and the hash in it are known to nobody else.
        Ok(kept.map(|kept| hex(&hash_of_secret(&format!("a browser that knows {kept}")))))
    }

    /// Returns true if a browser has logged in as this user before, by the password that holds.
    ///
    /// # Errors
    /// If the database fails.
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
    fn a_browser_is_known_by_one_user_until_the_password_changes() {
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
    fn who_is_removed_or_gets_another_password_is_logged_out() {
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
