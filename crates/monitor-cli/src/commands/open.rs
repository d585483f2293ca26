//! `monitor open`

use std::io::Write as _;

use anyhow::Context;
#[cfg(unix)]
use monitor_server::access::request_link;
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
processes. Without a server of their own, members of the group `monitor` get a link for the service of this machine, as viewer or \
operator. The browser gets a token of its own, `browser-…` in `monitor token list`, which lasts as long as a login (session-lifetime).";

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

/// Socket of the server that a Debian package or `packaging/monitor.service` starts.
#[cfg(unix)]
const SOCKET: &str = "/run/monitor/open.sock";

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let (server, link) = link(args)?;
    let mut url = args.server.clone().unwrap_or(server);
    url.path_segments_mut().expect("an http URL has a path").pop_if_empty().push("login");
    url.query_pairs_mut().append_pair("link", &link);
    let _ = writeln!(anstream::stderr(), "monitor: within {} s, and once:", LINK_LIFETIME.as_secs());
    let mut out = anstream::stdout().lock();
    writeln!(out, "{url}")?;
    Ok(out.flush()?)
}

/// Returns the server's URL and the secret of a link: of the server on the data folder, or else of this machine's service.
fn link(args: &Args) -> anyhow::Result<(Url, String)> {
    let path = args.folder.path()?;
    let Some(local) = Local::find(&path) else {
        #[cfg(unix)]
        if !args.folder.is_named() && args.role != Role::Admin && std::path::Path::new(SOCKET).parent().is_some_and(std::path::Path::exists)
        {
            return request_link(SOCKET.as_ref(), args.role)
                .with_context(|| format!("{SOCKET} gives no link: it needs a running service, and a user in the group of the file"));
        }
        anyhow::bail!("no server runs on the data folder {}: start `monitor server`, or name its folder with --data", path.display());
    };
    let access = args.folder.open()?;
    let link = access.create_link(args.role)?;
    args.folder.record(&access, &format!("open --role {}", args.role.as_str()));
    Ok((local.url, link))
}
