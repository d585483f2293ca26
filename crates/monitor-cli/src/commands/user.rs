//! `monitor user`

use std::io::{IsTerminal, Write as _};

use anyhow::Context;
use clap::Subcommand;
use monitor_server::access::{Holder, Role};
use serde_json::json;

use super::access_folder::{Folder, when};
use super::job_grant::{self, words};
use crate::client::print_json;
use crate::exit;
use crate::text::visible;

const EXAMPLES: &str = "\
Examples:
  monitor user add ada --role admin         Ask for the password
  monitor user password ada < password.txt  Read the password from a file
  monitor user grant ada --jobs-on env=test --accounts app
  monitor user list
  monitor user remove ada

Users are stored in the server's data folder, with argon2id hashes of their passwords. Changes take effect immediately.

A user who has logged in through OpenID Connect is listed with the provider and has no password here. `remove` ends the sessions; the \
groups at the provider decide whether the user can log in again (docs/guides/openid-connect.md).";

/// Manage users who can log in to the page
#[derive(Debug, clap::Args)]
#[command(after_help = format!("{EXAMPLES}\n\n{}", exit::NAMED))]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Add a user and set a password
    Add {
        /// Login name of the user
        name: String,
        /// Role: viewer (read), operator (also start, end and change what is recorded), admin (everything)
        #[arg(long, default_value = "viewer")]
        role: Role,
        #[command(flatten)]
        folder: Folder,
    },
    /// List all users
    List {
        /// Print JSON instead of text
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        folder: Folder,
    },
    /// Remove a user and end their sessions
    Remove {
        /// Login name of the user
        name: String,
        #[command(flatten)]
        folder: Folder,
    },
    /// Replace or remove the grant of a user to run jobs on hosts
    Grant(job_grant::Args),
    /// Change a user's password and end their sessions
    Password {
        /// Login name of the user
        name: String,
        #[command(flatten)]
        folder: Folder,
    },
}

pub(crate) fn run(args: Args) -> anyhow::Result<()> {
    match args.command {
        Command::Add { name, role, folder } => {
            let access = folder.open()?;
            access.add_user(&name, role, &password()?)?;
            folder.record(&access, &format!("user add {name} --role {}", role.as_str()));
            Ok(())
        }
        Command::List { json, folder } => {
            let users = folder.open()?.users()?;
            if json {
                let as_json = |user: &monitor_server::access::User| json!({"name": user.name, "role": user.role.as_str(), "created_us": user.created_us, "issuer": user.issuer, "jobs": user.jobs});
                return print_json(&users.iter().map(as_json).collect());
            }
            let mut out = anstream::stdout().lock();
            for user in &users {
                let name = visible(&user.name);
                let by = user.issuer.as_deref().map(|issuer| format!("  by {}", visible(issuer))).unwrap_or_default();
                writeln!(
                    out,
                    "{name:<24}{:<10}added {}{by}{}",
                    user.role.as_str(),
                    when(Some(user.created_us)),
                    words(user.jobs.as_ref())
                )?;
            }
            Ok(out.flush()?)
        }
        Command::Remove { name, folder } => {
            let access = folder.open()?;
            access.remove_user(&name)?;
            folder.record(&access, &format!("user remove {name}"));
            Ok(())
        }
        Command::Grant(args) => job_grant::run(Holder::User, args),
        Command::Password { name, folder } => {
            let access = folder.open()?;
            access.set_password(&name, &password()?)?;
            folder.record(&access, &format!("user password {name}"));
            Ok(())
        }
    }
}

/// Asks for the password twice on a terminal, or reads the first line of stdin.
fn password() -> anyhow::Result<String> {
    if std::io::stdin().is_terminal() {
        let password = rpassword::prompt_password("Password: ").context("could not ask for the password")?;
        let again = rpassword::prompt_password("Again: ").context("could not ask for the password")?;
        anyhow::ensure!(password == again, "these were two different passwords");
        return Ok(password);
    }
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).context("could not read the password from stdin")?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}
