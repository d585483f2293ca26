//! `monitor token`

use std::io::Write as _;
use std::time::Duration;

use clap::Subcommand;
use monitor_server::access::{Holder, NewToken, Scope, Token};
use serde_json::json;

use super::access_folder::{Folder, when};
use super::job_grant::{self, GrantArgs, words};
use crate::client::print_json;
use crate::exit;
use crate::text::visible;

const EXAMPLES: &str = "\
Examples:
  monitor token create build-7 --scope ingest  For programs (MONITOR_TOKEN)
  monitor token create local --scope agent     For an agent (MONITOR_TOKEN_FILE)
  monitor token create dashboard --scope read --expires 90d
  monitor token create deploy --scope operate --jobs-on env=test --accounts app
  monitor token grant deploy --jobs-on env=test,!canary
  monitor token list
  monitor token revoke build-7

Tokens are stored as hashes in the server's data folder. Changes take effect immediately, also in a running server.";

/// Create, list and revoke access tokens
#[derive(Debug, clap::Args)]
#[command(after_help = format!("{EXAMPLES}\n\n{}", exit::NAMED))]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Create a token and print it; it is not shown again
    Create {
        /// Unique name of the token
        name: String,
        /// Permissions, separated by commas: ingest (send events), read, operate (read, change what is recorded, start and end processes),
        /// admin (everything), agent (act as the agent with the token's name, and send events)
        #[arg(long = "scope", value_name = "SCOPE", value_delimiter = ',', required = true)]
        scopes: Vec<Scope>,
        /// Lifetime, such as 12h or 90d [default: unlimited]
        #[arg(long, value_name = "DURATION", value_parser = monitor_duration::read_positive)]
        expires: Option<Duration>,
        #[command(flatten)]
        grant: GrantArgs,
        #[command(flatten)]
        folder: Folder,
    },
    /// List all tokens with their scopes and last use
    List {
        /// Print JSON instead of text
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        folder: Folder,
    },
    /// Replace or remove the grant of a token to run jobs on hosts
    Grant(job_grant::Args),
    /// Revoke a token immediately
    Revoke {
        /// Name or id of the token
        name: String,
        #[command(flatten)]
        folder: Folder,
    },
}

pub(crate) fn run(args: Args) -> anyhow::Result<()> {
    match args.command {
        Command::Create { name, scopes, expires, grant, folder } => {
            let access = folder.open()?;
            let new = NewToken { name, scopes: scopes.into_iter().collect(), lifetime: expires, jobs: grant.into_grant() };
            let token = access.create_token(&new)?;
            folder.record(&access, &format!("token create {} --scope {}{}", new.name, new.scopes, words(new.jobs.as_ref())));
            let mut out = anstream::stdout().lock();
            writeln!(out, "{token}")?;
            Ok(out.flush()?)
        }
        Command::List { json, folder } => {
            let tokens = folder.open()?.tokens()?;
            if json {
                return print_json(&tokens.iter().map(as_json).collect());
            }
            let mut out = anstream::stdout().lock();
            for Token { id, name, scopes, created_us, expires_us, used_us, jobs } in &tokens {
                let (created, used) = (when(Some(*created_us)), when(*used_us));
                let (name, scopes) = (visible(name), scopes.to_string());
                let ends = if expires_us.is_some_and(|at| at <= crate::text::now_us()) { "ended" } else { "until" };
                writeln!(
                    out,
                    "{name:<24}{scopes:<16}{id:<14}made {created}  used {used}  {ends} {}{}",
                    when(*expires_us),
                    words(jobs.as_ref())
                )?;
            }
            Ok(out.flush()?)
        }
        Command::Grant(args) => job_grant::run(Holder::Token, args),
        Command::Revoke { name, folder } => {
            let access = folder.open()?;
            access.revoke_token(&name)?;
            folder.record(&access, &format!("token revoke {name}"));
            Ok(())
        }
    }
}

fn as_json(token: &Token) -> serde_json::Value {
    let Token { id, name, scopes, created_us, expires_us, used_us, jobs } = token;
    json!({"id": id, "name": name, "scopes": scopes.words(), "created_us": created_us, "expires_us": expires_us, "used_us": used_us, "jobs": jobs})
}
