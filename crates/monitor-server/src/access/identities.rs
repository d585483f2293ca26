//! Users who log in through OpenID Connect. They have no password and are identified by the provider's issuer and subject. Their name is
//! that of the first login.

use std::time::Duration;

use super::secret::{hash, hex};
use super::{Access, AccessError, Role};

/// Maximum length of a user's name.
const LONGEST: usize = 64;

/// User whom a provider has authenticated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    /// Issuer of the provider.
    pub(crate) issuer: String,
    /// Subject: the provider's unique id of the user.
    pub(crate) subject: String,
    /// Name that the provider reports.
    pub(crate) name: String,
    /// Role by the user's groups. `None` if no group may log in.
    pub(crate) role: Option<Role>,
}

impl Identity {
    /// Converts the provider's name to a user name. Characters that are not allowed become underscores.
    pub(crate) fn user(&self) -> String {
        let shown = self.name.chars().map(|c| if c.is_alphanumeric() || ".-_@".contains(c) { c } else { '_' });
        let shown: String = shown.take(LONGEST).collect();
        if shown.is_empty() { "somebody".to_owned() } else { shown }
    }

    /// Returns the candidates for the user name: the provider's name, and that name with a unique suffix.
    fn names(&self) -> [String; 2] {
        let user = self.user();
        let mark = &hex(&hash(&format!("{} {}", self.issuer, self.subject)))[..8];
        let unlike: String = user.chars().take(LONGEST - 1 - mark.len()).collect();
        [user, format!("{unlike}-{mark}")]
    }
}

impl Access {
    /// Logs in a user whom a provider has authenticated, with the role of the user's groups. Returns the user name and the value of the
    /// session cookie. Returns `None` for a user without a role, whose existing sessions end.
    pub(crate) fn enter(&self, identity: &Identity, lifetime: Duration) -> Result<Option<(String, String)>, AccessError> {
        let Some(role) = identity.role else {
            self.records.remove_identity(identity)?;
            return Ok(None);
        };
        let user = self.records.put_identity(identity, &identity.names(), role, self.clock.wall_us())?;
        let session = self.begin_session(&user, lifetime)?;
        Ok(Some((user, session)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::Scope;
    use super::*;

    const HOUR: Duration = Duration::from_hours(1);

    fn identity(subject: &str, name: &str, role: Option<Role>) -> Identity {
        Identity { issuer: "https://login.example.com".to_owned(), subject: subject.to_owned(), name: name.to_owned(), role }
    }

    #[test]
    fn a_user_is_identified_by_subject_and_has_the_role_of_the_last_login() {
        let (_folder, accesses) = super::super::both();
        for [access, _] in &accesses {
            known_by_subject(access);
        }
    }

    fn known_by_subject(access: &Access) {
        access.add_user("ada", Role::Admin, "correct horse").unwrap();
        let enter = |subject: &str, name: &str, role| access.enter(&identity(subject, name, role), HOUR).unwrap();
        let (bob, first) = enter("1", "bob", Some(Role::Operator)).unwrap();
        assert_eq!(bob, "bob");
        let (again, second) = enter("1", "robert", Some(Role::Viewer)).unwrap();
        assert_eq!(again, "bob", "the name is that of the first login");
        for session in [&first, &second] {
            let principal = access.by_session(session).unwrap().unwrap();
            assert!(principal.scopes.has(Scope::Read) && !principal.scopes.has(Scope::Operate), "what is less holds for both");
        }
        // A name that another user has is not reused.
        let (other, _) = enter("2", "bob", Some(Role::Viewer)).unwrap();
        let (local, _) = enter("3", "ada", Some(Role::Viewer)).unwrap();
        assert!(other.starts_with("bob-") && local.starts_with("ada-") && other.len() == 12, "{other} {local}");
        let elsewhere = Identity { issuer: "https://other.example.com".to_owned(), ..identity("1", "eve", Some(Role::Viewer)) };
        assert_eq!(access.enter(&elsewhere, HOUR).unwrap().unwrap().0, "eve");
        assert_eq!(enter("1", "bob", None), None);
        assert!(access.by_session(&first).unwrap().is_none() && access.by_session(&second).unwrap().is_none());
        assert_eq!(access.users().unwrap().len(), 4);
    }

    #[test]
    fn a_user_without_a_password_can_neither_set_a_password_nor_log_in_with_it() {
        let (_folder, accesses) = super::super::both();
        for [access, _] in &accesses {
            no_password(access);
        }
    }

    fn no_password(access: &Access) {
        access.enter(&identity("1", "bob", Some(Role::Admin)), HOUR).unwrap().unwrap();
        assert!(!access.is_password("bob", "").unwrap() && access.device("bob").unwrap().is_none());
        assert!(matches!(access.set_password("bob", "correct horse"), Err(AccessError::Elsewhere { .. })));
        assert!(matches!(access.add_user("bob", Role::Admin, "correct horse"), Err(AccessError::Exists { .. })));
        assert_eq!(access.users().unwrap()[0].issuer.as_deref(), Some("https://login.example.com"));
        access.remove_user("bob").unwrap();
        access.add_user("bob", Role::Admin, "correct horse").unwrap();
        assert!(access.is_password("bob", "correct horse").unwrap());
    }

    #[test]
    fn a_name_of_a_provider_becomes_one_of_a_user() {
        for (name, user) in
            [("Ada L.", "Ada_L."), ("ada@example.com", "ada@example.com"), ("<b>\n", "_b__"), ("", "somebody"), ("构建", "构建")]
        {
            assert_eq!(identity("1", name, None).user(), user);
        }
        let [long, unlike] = identity("1", &"a".repeat(100), None).names();
        assert_eq!((long.len(), unlike.len()), (64, 64));
    }
}
