//! `monitor agent`

use std::ffi::OsString;
use std::io::{self, IsTerminal as _, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process;
use std::time::Duration;

use anyhow::Context as _;
use monitor_agent::{Agent, Config, End, last_name};
use monitor_api::{Client, DEFAULT_URL, Token};
use tracing_subscriber::EnvFilter;
use url::Url;

use super::agent_settings::{Settings, data_of_file};
use super::stop_signals::StopSignals;

const HELP: &str = "\
Examples:
  monitor agent --tasks /etc/monitor/tasks        Run the tasks in this folder
  monitor agent --tasks tasks --data /tmp/trial   Use another data folder
  monitor agent --config /etc/monitor/agent.toml  Use the settings in this file
  monitor task check tasks/*.toml                 Check definitions of tasks
  monitor agent join https://monitor.example.com < token
                                                  Write the settings for this server
  monitor agent trust                             Accept jobs of the server
  monitor agent salvage FILE FOLDER               Read a damaged database

Each flag is also an environment variable and a key of agent.toml, in this order of precedence. The file can also list the commands \
that the agent runs for alert channels, by the name of the channel:
  [commands]
  page = [\"/usr/local/bin/page\", \"--team\", \"ops\"]

The agent keeps its plan in its own database, so tasks start even if the server is unreachable. After a restart it follows the runs \
that it had started, and starts nothing twice. Runs continue if the agent ends. Task files are checked every second; a file with \
mistakes changes nothing. The log goes to stderr. `RUST_LOG` sets its level (default: info). Ctrl-C or SIGTERM stops the agent.

Exit codes:
  0  stopped by a signal
  1  failure, such as another agent that uses the same folder
  2  wrong usage";

/// Maximum time to wait for the server to return the name of the token.
const PATIENCE: Duration = Duration::from_secs(2);

/// Run the agent, which starts batch tasks on this machine
#[derive(Debug, clap::Args)]
#[command(after_help = HELP, args_conflicts_with_subcommands = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    settings: Settings,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Join(super::agent_join::Args),
    Trust(super::agent_join::TrustArgs),
    Salvage(super::agent_salvage::Args),
}

pub(crate) fn run(args: Args) -> anyhow::Result<()> {
    match &args.command {
        Some(Command::Salvage(args)) => return super::agent_salvage::run(args),
        Some(Command::Join(args)) => return super::agent_join::join(args),
        Some(Command::Trust(args)) => return super::agent_join::trust(args),
        None => {}
    }
    let filter = EnvFilter::builder().with_default_directive(tracing::Level::INFO.into()).from_env().context("RUST_LOG can't be read")?;
    // rustls logs an untrusted certificate at each connection. The agent reports it itself, less often.
    let filter = filter.add_directive("rustls_platform_verifier=off".parse().expect("a directive"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(io::stderr().is_terminal())
        .with_writer(io::stderr)
        .log_internal_errors(false)
        .init();
    let config = config(args)?;
    let program = config.monitor.clone();
    let agent = Agent::open(config)?;
    end_on_signals(agent.stopper())?;
    let mut out = anstream::stdout().lock();
    // The agent continues if its stdout is closed.
    let _ = writeln!(out, "has {} tasks", agent.tasks()).and_then(|()| out.flush());
    drop(out);
    match agent.run()? {
        End::Stopped => Ok(()),
        End::Again => {
            // `exec` starts with new threads and connections, and keeps the pid for the parent process.
            let error = process::Command::new(&program).args(std::env::args_os().skip(1)).exec();
            Err(error).with_context(|| format!("{} can't be started again", program.display()))
        }
    }
}

fn config(args: Args) -> anyhow::Result<Config> {
    let args = args.settings.resolve()?;
    let absolute = |path: PathBuf| std::path::absolute(&path).with_context(|| format!("{} can't be used", path.display()));
    let (url, token) = server_and_token(&args)?;
    let server_cert = args.server_cert.clone().map(absolute).transpose()?;
    let settings = crate::client::settings_of(url, token, server_cert.clone());
    let client = || Client::new(settings.clone());
    let (files_only, commands, max_runs, output_bytes) = (args.files_only(), args.commands(), args.max_runs(), args.run_output_bytes());
    let (defaults, data) = (args.defaults(), absolute_data(args.data.clone())?);
    let jobs = args.jobs(&data);
    let name = match args.name {
        Some(name) => name,
        None => own_name(&client(), &data)?,
    };
    let mut env: Vec<(&str, OsString)> = Vec::new();
    env.extend(args.server.map(|server| ("MONITOR_SERVER_URL", server.as_str().into())));
    env.extend(args.token_file.map(absolute).transpose()?.map(|file| ("MONITOR_TOKEN_FILE", file.into())));
    env.extend(server_cert.map(|file| ("MONITOR_SERVER_CERT", file.into())));
    Ok(Config {
        client: client(),
        orders: client(),
        jobs,
        job_client: client(),
        spool: monitor_spool::dir_of(std::env::var_os("MONITOR_SPOOL_DIR").as_deref()),
        files_only,
        commands,
        name,
        data,
        tasks: args.tasks.map(absolute).transpose()?,
        home: args.home.map(absolute).transpose()?,
        profile: args.profile,
        max_runs,
        output_bytes,
        defaults,
        env,
        monitor: std::env::current_exe().context("this program can't be found, so that it can't launch runs")?,
    })
}

/// The address of the server and the token for it.
pub(super) fn server_and_token(args: &Settings) -> anyhow::Result<(Url, Option<Token>)> {
    let url = match &args.server {
        Some(url) => url.clone(),
        None => crate::client::read_url(DEFAULT_URL).map_err(anyhow::Error::msg)?,
    };
    let given = match (&args.token_file, std::env::var("MONITOR_TOKEN")) {
        (Some(file), _) => Some(Token::from_file(file)?),
        (None, Ok(token)) => Some(Token::new(&token)?),
        (None, Err(_)) => None,
    };
    Ok(match given {
        Some(token) => (url, Some(token)),
        None => crate::client::local(&url)?.map_or((url, None), |(url, token)| (url, Some(token))),
    })
}

/// Name of an agent without `--name`: the token's name, the last name if the server is unreachable, or the machine's name.
fn own_name(client: &Client, data: &Path) -> anyhow::Result<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("could not start the runtime")?;
    let me = runtime.block_on(client.me().patience(PATIENCE).send());
    let by_token = me.ok().filter(|me| me.scopes.iter().any(|scope| scope == "agent")).and_then(|me| me.user);
    let machine = || Some(rustix::system::uname().nodename().to_str().ok()?.to_owned());
    by_token.or_else(|| last_name(data)).or_else(machine).context("this machine has no name: give one by --name")
}

/// The agent's folder: `data`, the one in `agent.toml`, or the default.
pub(crate) fn data(data: Option<PathBuf>) -> anyhow::Result<PathBuf> {
    absolute_data(match data {
        Some(data) => Some(data),
        None => data_of_file()?,
    })
}

pub(super) fn absolute_data(data: Option<PathBuf>) -> anyhow::Result<PathBuf> {
    let data = data.or_else(monitor_agent::default_data).context("there is no home folder: name a folder by --data")?;
    std::path::absolute(&data).with_context(|| format!("{} can't be used", data.display()))
}

/// Calls `stop` at a stop signal.
fn end_on_signals(stop: impl Fn() + Send + 'static) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().context("could not start the runtime")?;
    let mut signals = {
        let _within = runtime.enter();
        StopSignals::watch()?
    };
    std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            runtime.block_on(signals.next());
            stop();
        })
        .context("could not start a thread")?;
    Ok(())
}
