//! Checks that a caller may run a job: its hosts and its account.

use monitor_jobs::{Inventory, JobState, TagConditions, Target};
use monitor_wire::JobGrant;

use super::{JobError, Jobs};
use crate::access::{ALL_HOSTS, JobRights};

/// Maximum number of hosts that a refusal names.
const MOST_NAMED: usize = 5;

/// Caller of a request about a job.
#[derive(Debug, Clone)]
pub(crate) struct JobCaller {
    /// Name of the user or token.
    pub(crate) name: String,
    /// Jobs that the caller may start and operate now.
    pub(crate) rights: JobRights,
}

impl Jobs {
    /// Checks that a caller may start and operate an existing job. Its hosts can have other tags now than when it began.
    pub(super) async fn allow_existing(&self, caller: &JobCaller, job: &JobState) -> Result<(), JobError> {
        if caller.rights == JobRights::All {
            return Ok(());
        }
        allow(caller, job.request.account.as_deref(), &job.targets, &self.inventory().await?)
    }
}

/// Checks that a caller may run a job on these targets as this account.
pub(super) fn allow(caller: &JobCaller, account: Option<&str>, targets: &[Target], inventory: &Inventory) -> Result<(), JobError> {
    let JobCaller { name, rights } = caller;
    let grant = match rights {
        JobRights::All => return Ok(()),
        JobRights::Granted(grant) => grant,
        JobRights::None => {
            return Err(JobError::NotAllowed(format!(
                "{name} has no grant to run jobs: an admin gives one on the server's machine with `monitor token grant` or `monitor user grant`"
            )));
        }
    };
    check_account(name, grant, account)?;
    if grant.on == ALL_HOSTS {
        return Ok(());
    }
    // A grant was checked when it was set.
    let conditions: TagConditions = grant.on.parse().map_err(JobError::NotAllowed)?;
    let is_covered =
        |target: &&Target| target.host_id.and_then(|id| inventory.host(id)).is_some_and(|host| conditions.are_satisfied_by(host));
    let refused: Vec<&str> = targets.iter().filter(|target| !is_covered(target)).map(|target| target.name.as_str()).collect();
    if refused.is_empty() {
        return Ok(());
    }
    let named = refused[..refused.len().min(MOST_NAMED)].join(", ");
    let more = match refused.len().saturating_sub(MOST_NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    Err(JobError::NotAllowed(format!(
        "{name} may run jobs on hosts with the tags `{}` only, and these are others: {named}{more}",
        grant.on
    )))
}

fn check_account(name: &str, grant: &JobGrant, account: Option<&str>) -> Result<(), JobError> {
    let only = grant.accounts.join(", ");
    match account {
        None if grant.accounts.is_empty() => Ok(()),
        Some(account) if grant.accounts.iter().any(|granted| granted == account) => Ok(()),
        None => Err(JobError::NotAllowed(format!("{name} may run jobs as {only} only: name the account"))),
        Some(account) if grant.accounts.is_empty() => Err(JobError::NotAllowed(format!(
            "{name} may run jobs as the default account of each host only: leave out the account {account}"
        ))),
        Some(account) => Err(JobError::NotAllowed(format!("{name} may run jobs as {only} only, and not as {account}"))),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use monitor_wire::HostDefinition;

    use super::*;

    fn host(id: u64, tags: &[(&str, &str)]) -> (u64, HostDefinition) {
        let tags: BTreeMap<_, _> = tags.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        (id, HostDefinition { name: format!("web-{id}"), tags, ..HostDefinition::default() })
    }

    fn target(id: Option<u64>) -> Target {
        Target { host_id: id, name: id.map_or("ghost".to_owned(), |id| format!("web-{id}")), ip: None, cloud_id: 0 }
    }

    #[test]
    fn a_grant_covers_its_hosts_and_accounts_and_no_unknown_host() {
        let hosts = [host(1, &[("env", "test")]), host(2, &[("env", "test"), ("canary", "")]), host(3, &[("env", "prod")]), host(4, &[])];
        let hosts = Inventory::new(hosts.to_vec(), BTreeMap::new());
        let tested = |on: &str, accounts: &[&str], account: Option<&str>, targets: &[Option<u64>]| {
            let grant = JobGrant { on: on.to_owned(), accounts: accounts.iter().map(|&account| account.to_owned()).collect() };
            let caller = JobCaller { name: "ada".to_owned(), rights: JobRights::Granted(grant) };
            let targets: Vec<Target> = targets.iter().map(|id| target(*id)).collect();
            allow(&caller, account, &targets, &hosts).map_err(|error| error.to_string())
        };
        for (on, accounts, account, targets, expected) in [
            ("env=test", &["app"][..], Some("app"), &[Some(1), Some(2)][..], None),
            ("env=test", &[], None, &[Some(1)], None),
            ("*", &[], None, &[Some(4), None], None),
            ("env=test", &[], None, &[Some(1), Some(3)], Some("others: web-3")),
            ("env=test", &[], None, &[Some(4)], Some("others: web-4")),
            ("env=test,!canary", &[], None, &[Some(1), Some(2)], Some("others: web-2")),
            ("env=test", &[], None, &[Some(1), None], Some("others: ghost")),
            // The host was removed since.
            ("env=test", &[], None, &[Some(9)], Some("others: web-9")),
            ("env", &[], None, &[Some(4), None, Some(9), Some(8), Some(7), Some(6)], Some("web-7 and 1 more")),
            ("env=test", &["app", "www"], None, &[Some(1)], Some("as app, www only: name the account")),
            ("env=test", &["app"], Some("root"), &[Some(1)], Some("and not as root")),
            ("*", &[], Some("root"), &[Some(1)], Some("leave out the account root")),
            // The stored conditions are invalid.
            ("", &[], None, &[Some(1)], Some("not a condition")),
        ] {
            let found = tested(on, accounts, account, targets);
            let is_expected = expected.map_or(found.is_ok(), |expected| found.as_ref().is_err_and(|found| found.contains(expected)));
            assert!(is_expected, "{on} {accounts:?} {account:?} {targets:?}: {found:?}");
        }
        let caller = |rights| JobCaller { name: "ada".to_owned(), rights };
        assert!(allow(&caller(JobRights::All), Some("root"), &[target(None)], &hosts).is_ok());
        assert!(allow(&caller(JobRights::None), None, &[target(Some(1))], &hosts).is_err());
    }
}
