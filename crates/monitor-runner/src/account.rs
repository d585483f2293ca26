//! User and group of a command.

use std::ffi::{CString, OsString};
use std::io;

use monitor_runs::{KNOWN_ACCOUNTS, Spec};
use nix::errno::Errno;
use nix::unistd::{Gid, Group, Uid, User, getegid, geteuid, getgrouplist, setgid, setgroups, setuid};

/// A user or group other than the launcher's.
#[derive(Debug)]
pub(crate) struct Account {
    uid: Uid,
    gid: Gid,
    /// Supplementary groups. `None` to keep the launcher's.
    groups: Option<Vec<Gid>>,
    /// Environment variables of the user, such as `HOME`.
    pub(crate) env: Vec<(&'static str, OsString)>,
}

impl Account {
    /// Returns the account requested by `spec`, or `None` if the launcher's own is used.
    ///
    /// # Errors
    /// If the user or group does not exist.
    pub(crate) fn of(spec: &Spec) -> io::Result<Option<Self>> {
        let no = |what: String| io::Error::new(io::ErrorKind::NotFound, what);
        let group = spec.group.as_deref().map(|name| {
            let found = match name.parse() {
                Ok(number) => Some(Gid::from_raw(number)),
                Err(_) => known(Group::from_name(name))?.map(|group| group.gid),
            };
            found.ok_or_else(|| no(format!("there is no group {name:?}{KNOWN_ACCOUNTS}")))
        });
        let group = group.transpose()?;
        let Some(name) = &spec.user else {
            let gid = group.filter(|gid| *gid != getegid());
            return Ok(gid.map(|gid| Self { uid: geteuid(), gid, groups: None, env: Vec::new() }));
        };
        let user = match name.parse() {
            Ok(number) => known(User::from_uid(Uid::from_raw(number)))?,
            Err(_) => known(User::from_name(name))?,
        };
        let (uid, gid, groups, env) = if let Some(user) = user {
            let gid = group.unwrap_or(user.gid);
            let groups = getgrouplist(&CString::new(user.name.as_str())?, gid)?;
            let env = vec![
                ("HOME", user.dir.into()),
                ("USER", user.name.clone().into()),
                ("LOGNAME", user.name.into()),
                ("SHELL", user.shell.into()),
            ];
            (user.uid, gid, groups, env)
        } else {
            let uid = name.parse().map(Uid::from_raw).map_err(|_| no(format!("there is no user {name:?}{KNOWN_ACCOUNTS}")))?;
            let gid = group.ok_or_else(|| no(format!("the user {uid} is not known, so that its group must be named")))?;
            (uid, gid, vec![gid], Vec::new())
        };
        let is_own = (uid, gid) == (geteuid(), getegid());
        Ok((!is_own).then_some(Self { uid, gid, groups: Some(groups), env }))
    }

    /// Returns the numeric ids of user and group.
    pub(crate) fn owner(&self) -> (u32, u32) {
        (self.uid.as_raw(), self.gid.as_raw())
    }

    /// Permanently switches this process to the account.
    ///
    /// # Errors
    /// If this program lacks the permission.
    pub(crate) fn take(&self) -> io::Result<()> {
        if let Some(groups) = &self.groups {
            setgroups(groups)?;
        }
        setgid(self.gid)?;
        Ok(setuid(self.uid)?)
    }
}

/// A system without `/etc/passwd` or `/etc/group` has no accounts.
fn known<T>(found: nix::Result<Option<T>>) -> nix::Result<Option<T>> {
    if found.as_ref().is_err_and(|error| *error == Errno::ENOENT) { Ok(None) } else { found }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(user: Option<&str>, group: Option<&str>) -> io::Result<Option<Account>> {
        Account::of(&Spec { user: user.map(str::to_owned), group: group.map(str::to_owned), ..Spec::new(["true"]) })
    }

    #[test]
    fn missing_users_and_groups_are_named() {
        for (user, group, word) in [
            (Some("no such user"), None, "no such user"),
            (Some(""), None, "user"),
            (Some("-1"), None, "-1"),
            (None, Some("no such group"), "no such group"),
            (Some("4294967200"), None, "its group must be named"),
        ] {
            assert!(of(user, group).unwrap_err().to_string().contains(word), "{user:?} {group:?}");
        }
        assert!(of(None, None).unwrap().is_none());
        let own = (geteuid().to_string(), getegid().to_string());
        assert!(of(Some(&own.0), Some(&own.1)).unwrap().is_none(), "the launcher's own need nothing");
        let unknown = of(Some("4294967200"), Some("4294967201")).unwrap().unwrap();
        assert_eq!((unknown.uid.as_raw(), unknown.gid.as_raw(), unknown.env.len()), (4_294_967_200, 4_294_967_201, 0));
    }
}
