//! `monitor open`

use std::io::Write as _;

use anyhow::Context;
use monitor_server::access::{LINK_LIFETIME, Local, Role};
use url::Url;

use super::access_folder::Folder;
use crate::client::read_url;
use crate::exit;

const EXAMPLES: &str = "\
Examples:
  monitor open                Let the browser read, start, end and change
  monitor open --role viewer  Let it only read
  monitor open --role admin   Let it also change tasks, heartbeats and rules

The command prints the link and does not start a browser, because other users of this machine could see the link in the list of \
processes. The browser gets a token of its own, `browser-…` in `monitor token list`, which lasts as long as a login (session-lifetime).";

/// Print a link that logs a browser in once
#[derive(Debug, clap::Args)]
#[command(after_help = format!("{EXAMPLES}\n\n{}", exit::LOCAL))]
pub(crate) struct Args {
    /// Role: viewer (read), operator (also start, end and change what is recorded), admin (everything)
    #[arg(long, default_value = "operator")]
    role: Role,
    /// URL of the server for the browser [default: the server's own URL on this machine]
    #[arg(long, value_name = "URL", value_parser = read_url)]
    server: Option<Url>,
    #[command(flatten)]
    folder: Folder,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let path = args.folder.path()?;
    let local = Local::find(&path).with_context(|| {
        format!("no server runs on the data folder {}: start `monitor server`, or name its folder with --data", path.display())
    })?;
    let access = args.folder.open()?;
    let mut url = args.server.clone().unwrap_or(local.url);
    url.path_segments_mut().expect("an http URL has a path").pop_if_empty().push("login");
    url.query_pairs_mut().append_pair("link", &access.create_link(args.role)?);
    args.folder.record(&access, &format!("open --role {}", args.role.as_str()));
    let _ = writeln!(anstream::stderr(), "monitor: within {} s, and once:", LINK_LIFETIME.as_secs());
    let mut out = anstream::stdout().lock();
    writeln!(out, "{url}")?;
    Ok(out.flush()?)
}
