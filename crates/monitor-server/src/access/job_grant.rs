//! Grants to run jobs on hosts. An admin needs none. Every other caller needs one, also on the server's machine.

use monitor_jobs::TagConditions;
use monitor_wire::JobGrant;

use super::{Access, AccessError, How, Principal, Scope, Scopes};

/// Value of [`JobGrant::on`] for all hosts.
pub(crate) const ALL_HOSTS: &str = "*";
/// Maximum lengths: of the conditions in bytes, of the list of accounts, and of an account in bytes.
const MOST_CONDITION_BYTES: usize = 1_000;
const MOST_ACCOUNTS: usize = 100;
const MOST_ACCOUNT_BYTES: usize = 255;

/// Owner of a grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holder {
    /// Token with this name.
    Token,
    /// User with this name.
    User,
}

impl Holder {
    /// Returns the name of the kind, as in the command line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::User => "user",
        }
    }
}

/// Jobs that a caller may start and operate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum JobRights {
    /// All jobs.
    All,
    /// Jobs that a grant covers.
    Granted(JobGrant),
    /// No jobs.
    None,
}

impl Access {
    /// Sets or removes the grant of a token or user. It takes effect at the next request.
    ///
    /// # Errors
    /// Returns an error if the grant has a mistake, the token or user does not exist or has not exactly the scope `operate`, or the
    /// database fails.
    pub fn set_job_grant(&self, holder: Holder, name: &str, grant: Option<&JobGrant>) -> Result<(), AccessError> {
        let what = holder.as_str();
        if let Some(grant) = grant {
            let scopes = match holder {
                Holder::Token => self.records.tokens()?.into_iter().find(|token| token.name == name).map(|token| token.scopes),
                Holder::User => {
                    let user = self.records.users()?.into_iter().find(|user| user.name == name);
                    user.map(|user| [user.role.scope()].into_iter().collect())
                }
            };
            let scopes = scopes.ok_or_else(|| AccessError::Missing { what, name: name.to_owned() })?;
            check_grant(what, name, scopes, grant)?;
        }
        let is_set = self.records.set_job_grant(holder, name, grant)?;
        is_set.then_some(()).ok_or_else(|| AccessError::Missing { what, name: name.to_owned() })
    }

    /// Returns the grant that a caller has now.
    pub(crate) fn job_grant(&self, principal: &Principal) -> Result<Option<JobGrant>, AccessError> {
        let Some(name) = &principal.name else { return Ok(None) };
        if !principal.scopes.has(Scope::Operate) {
            return Ok(None);
        }
        Ok(match principal.how {
            How::Token => self.records.tokens()?.into_iter().find(|token| token.name == *name).and_then(|token| token.jobs),
            How::Session | How::Password => self.records.users()?.into_iter().find(|user| user.name == *name).and_then(|user| user.jobs),
            How::Loopback | How::Insecure | How::Folder => None,
        })
    }

    /// Returns the jobs that a caller may start and operate now.
    pub(crate) fn job_rights(&self, principal: Option<&Principal>) -> Result<JobRights, AccessError> {
        let Some(principal) = principal else { return Ok(JobRights::None) };
        if principal.scopes.has(Scope::Admin) {
            return Ok(JobRights::All);
        }
        Ok(self.job_grant(principal)?.map_or(JobRights::None, JobRights::Granted))
    }
}

/// Checks a grant, and that its holder needs one.
pub(super) fn check_grant(what: &str, name: &str, scopes: Scopes, grant: &JobGrant) -> Result<(), AccessError> {
    let refused = |detail| Err(AccessError::Grant { detail });
    if scopes.has(Scope::Admin) {
        return refused(format!("the {what} {name} has the scope `admin` and needs no grant"));
    }
    if !scopes.has(Scope::Operate) {
        return refused(format!("the {what} {name} can't have a grant to run jobs without the scope `operate`"));
    }
    check(grant).or_else(refused)
}

/// Returns the first mistake in a grant.
fn check(grant: &JobGrant) -> Result<(), String> {
    if grant.on.len() > MOST_CONDITION_BYTES {
        return Err(format!("the conditions have {} bytes: at most {MOST_CONDITION_BYTES} are possible", grant.on.len()));
    }
    if grant.on != ALL_HOSTS && !grant.on.parse::<TagConditions>()?.require_a_tag() {
        let why = "a new host without tags satisfies these conditions: name a tag that a host must have, such as `env=test`";
        return Err(format!("`{}`: {why}, or give `{ALL_HOSTS}` for all hosts", grant.on));
    }
    if grant.accounts.len() > MOST_ACCOUNTS {
        return Err(format!("{} accounts are too many: at most {MOST_ACCOUNTS} are possible", grant.accounts.len()));
    }
    match grant.accounts.iter().find(|account| !is_account(account)) {
        None => Ok(()),
        Some(account) => Err(format!("{account:?} is not an account: give names such as `app`, with commas between them")),
    }
}

/// Returns true if this can be the name of an account.
pub(crate) fn is_account(name: &str) -> bool {
    !name.is_empty() && name.trim() == name && name.len() <= MOST_ACCOUNT_BYTES && !name.contains(char::is_control)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::{NewToken, Role};
    use super::*;

    fn grant(on: &str, accounts: &[&str]) -> JobGrant {
        JobGrant { on: on.to_owned(), accounts: accounts.iter().map(|&account| account.to_owned()).collect() }
    }

    #[test]
    fn a_grant_is_kept_until_it_is_changed_or_its_holder_is_removed() {
        let (_folder, accesses) = super::super::both();
        for [access, other] in accesses {
            grants_are_kept(&access, &other);
        }
    }

    fn grants_are_kept(access: &Access, other: &Access) {
        let token = |name: &str, scope: Scope| {
            let new = NewToken { name: name.to_owned(), scopes: [scope].into_iter().collect(), lifetime: None, jobs: None };
            let text = access.create_token(&new).unwrap();
            access.by_token(&text).unwrap().unwrap().0
        };
        let (deploy, boss) = (token("deploy", Scope::Operate), token("boss", Scope::Admin));
        token("reader", Scope::Read);
        access.add_user("deploy", Role::Operator, "correct horse").unwrap();
        let session = access.begin_session("deploy", Duration::from_hours(1)).unwrap();
        let ada = access.by_session(&session).unwrap().unwrap();
        let rights = |principal| access.job_rights(Some(principal)).unwrap();
        assert_eq!((rights(&deploy), rights(&ada), rights(&boss)), (JobRights::None, JobRights::None, JobRights::All));
        assert_eq!(access.job_rights(None).unwrap(), JobRights::None);

        // The token and the user of the same name have separate grants. Another process sets them.
        let (on_test, on_all) = (grant("env=test", &["app"]), grant("*", &[]));
        other.set_job_grant(Holder::Token, "deploy", Some(&on_test)).unwrap();
        assert_eq!((rights(&deploy), rights(&ada)), (JobRights::Granted(on_test.clone()), JobRights::None));
        other.set_job_grant(Holder::User, "deploy", Some(&on_all)).unwrap();
        other.set_job_grant(Holder::Token, "deploy", None).unwrap();
        assert_eq!((rights(&deploy), rights(&ada)), (JobRights::None, JobRights::Granted(on_all)));
        access.remove_user("deploy").unwrap();
        access.add_user("deploy", Role::Operator, "correct horse").unwrap();
        assert_eq!(rights(&ada), JobRights::None, "a new user with the name has no grant");

        for (holder, name, expected) in [
            (Holder::Token, "boss", "needs no grant"),
            (Holder::Token, "reader", "without the scope `operate`"),
            (Holder::Token, "nobody", "there is no token"),
            (Holder::User, "nobody", "there is no user"),
        ] {
            let error = access.set_job_grant(holder, name, Some(&on_test)).unwrap_err().to_string();
            assert!(error.contains(expected), "{name}: {error}");
        }
        assert!(access.set_job_grant(Holder::User, "nobody", None).is_err());
    }

    #[test]
    fn a_grant_must_name_a_tag_or_all_hosts() {
        for (on, accounts, expected) in [
            ("env=test,!canary", &["app", "www"][..], None),
            ("*", &[], None),
            ("", &[], Some("not a condition")),
            ("env=test,", &[], Some("not a condition")),
            ("!canary", &[], Some("a new host without tags satisfies these conditions")),
            ("env", &["app", ""], Some("\"\" is not an account")),
            ("env", &["a\nb"], Some("is not an account")),
            (&"x".repeat(MOST_CONDITION_BYTES + 1), &[], Some("1001 bytes")),
            ("env", &["a"; MOST_ACCOUNTS + 1], Some("101 accounts")),
        ] {
            let found = check(&grant(on, accounts)).err();
            let is_expected = expected.map_or(found.is_none(), |expected| found.as_ref().is_some_and(|found| found.contains(expected)));
            assert!(is_expected, "{on}: {found:?}");
        }
    }
}
