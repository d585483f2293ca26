//! `monitor token grant` and `monitor user grant`, and the options for a new token's grant.

use monitor_server::access::Holder;
use monitor_wire::JobGrant;

use super::access_folder::Folder;
use crate::text::visible;

/// Replace or remove the grant to run jobs on hosts
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Name of the token or user
    name: String,
    #[command(flatten)]
    grant: GrantArgs,
    /// Remove the grant
    #[arg(long, required_unless_present = "jobs_on", conflicts_with = "jobs_on")]
    none: bool,
    #[command(flatten)]
    folder: Folder,
}

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

/// Replaces or removes the grant of a token or user.
pub(super) fn run(holder: Holder, Args { name, grant, none, folder }: Args) -> anyhow::Result<()> {
    let (access, grant) = (folder.open()?, grant.into_grant());
    access.set_job_grant(holder, &name, grant.as_ref())?;
    let options = if none { " --none".to_owned() } else { words(grant.as_ref()) };
    folder.record(&access, &format!("{} grant {name}{options}", holder.as_str()));
    Ok(())
}

/// Returns the options that lead to a grant, for lists and the audit log.
pub(super) fn words(grant: Option<&JobGrant>) -> String {
    let Some(JobGrant { on, accounts }) = grant else { return String::new() };
    let accounts = if accounts.is_empty() { String::new() } else { format!(" --accounts {}", accounts.join(",")) };
    visible(&format!(" --jobs-on {on}{accounts}")).to_string()
}
