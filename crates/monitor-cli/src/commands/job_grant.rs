//! Options of `monitor token` and `monitor user` about grants to run jobs on hosts.

use monitor_wire::JobGrant;

use crate::text::visible;

/// Grant of a token or user.
#[derive(Debug, clap::Args)]
pub(super) struct GrantArgs {
    /// Permit jobs on the hosts with these tags, such as env=test,!canary; '*' for all hosts
    #[arg(long, value_name = "TAGS")]
    jobs_on: Option<String>,
    /// Accounts that the scripts of these jobs may run as, separated by commas [default: the default account of each host]
    #[arg(long, value_name = "ACCOUNTS", value_delimiter = ',', requires = "jobs_on")]
    accounts: Vec<String>,
}

impl GrantArgs {
    pub(super) fn into_grant(self) -> Option<JobGrant> {
        self.jobs_on.map(|on| JobGrant { on, accounts: self.accounts })
    }
}

/// Returns the options that lead to a grant, for lists and the audit log.
pub(super) fn words(grant: Option<&JobGrant>) -> String {
    let Some(JobGrant { on, accounts }) = grant else { return String::new() };
    let accounts = if accounts.is_empty() { String::new() } else { format!(" --accounts {}", accounts.join(",")) };
    visible(&format!(" --jobs-on {on}{accounts}")).to_string()
}

/// Returns the options of a changed grant, for the audit log.
pub(super) fn changed_words(grant: Option<&JobGrant>) -> String {
    if grant.is_none() { " --none".to_owned() } else { words(grant) }
}
