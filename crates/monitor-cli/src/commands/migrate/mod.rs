//! `monitor migrate`

mod history;
#[cfg(unix)]
mod messages;

use monitor_api::Token;

use crate::client::{read_token_file, read_url};
use crate::exit::{self, Misused};

const EXAMPLES: &str = "\
Examples:
  monitor migrate http://old:60010 http://new:60010 --dry-run  Count the runs
  monitor migrate https://old https://new --from-token-file a --to-token-file b
  monitor migrate redis://old/0 amqp://new -Q mail             Move the messages of a queue

Between servers, runs are copied with their ids, workers and logs, oldest first, and get new numbers. Runs that TO already has are skipped, so \
the same command continues after an interruption, and copies new data while programs still use the old server. Tokens, users, batch tasks, \
heartbeats and alerts are not copied. FROM needs a token with the scope `read`, TO one with `read` and `ingest`. The token of a server on this \
machine is found automatically.

Between brokers of Celery, messages that wait are moved with their headers, priorities and expiry. A message leaves its queue after TO has \
confirmed it. If the command is killed, no message is lost, and at most one is in both brokers; the next migration reports it. Messages that \
workers hold stay: stop the workers of FROM first.";

/// Copy runs to another server, or move messages of Celery to another broker
#[derive(Debug, clap::Args)]
#[command(after_help = format!("{EXAMPLES}\n\n{}", exit::SERVER))]
pub(crate) struct Args {
    /// Server to copy from, such as `https://old:60010`, or broker, such as `redis://old/0`
    from: String,
    /// Server to copy to, or broker
    to: String,
    /// File with the token for FROM in its first line
    #[arg(long, value_name = "FILE", value_parser = read_token_file)]
    from_token_file: Option<Token>,
    /// File with the token for TO in its first line
    #[arg(long, value_name = "FILE", value_parser = read_token_file)]
    to_token_file: Option<Token>,
    /// Count what would be copied or moved, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Print JSON instead of text
    #[arg(short, long)]
    json: bool,
    #[cfg(unix)]
    #[command(flatten)]
    messages: messages::BrokerOptions,
}

pub(crate) fn run(args: Args) -> anyhow::Result<()> {
    let is_server = |place: &str| ["http://", "https://"].iter().any(|scheme| place.starts_with(scheme));
    match (is_server(&args.from), is_server(&args.to)) {
        #[cfg(unix)]
        (false, false) => {
            if args.from_token_file.is_some() || args.to_token_file.is_some() {
                return Err(Misused("tokens are for servers: a broker has a password, see --from-password-file".to_owned()).into());
            }
            messages::run(&args.from, &args.to, args.messages, args.dry_run, args.json)
        }
        (true, true) => {
            #[cfg(unix)]
            args.messages.expect_none()?;
            let url = |text: &str| read_url(text).map_err(|error| Misused(format!("{text}: {error}")));
            let servers = history::Servers { from: (url(&args.from)?, args.from_token_file), to: (url(&args.to)?, args.to_token_file) };
            history::run(servers, args.dry_run, args.json)
        }
        (is_server, _) => {
            let (server, other) = if is_server { ("FROM", "TO") } else { ("TO", "FROM") };
            let words = format!(
                "{server} is a server and {other} is none: name two servers, such as http://old:60010, to copy runs, or two brokers, such as \
                 redis://old/0, to move messages"
            );
            Err(Misused(words).into())
        }
    }
}
