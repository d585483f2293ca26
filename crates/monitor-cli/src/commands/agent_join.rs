//! `monitor agent join` and `monitor agent trust`

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, IsTerminal as _, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};
use monitor_agent::pin_job_keys;
use monitor_api::{Client, Token};
use monitor_wire::JobKeys;
use url::Url;

use super::agent::{absolute_data, server_and_token};
use super::agent_settings::{self, JOB_KEYS, Settings};
use crate::text::visible;

const JOIN_HELP: &str = "\
Examples:
  monitor agent join https://monitor.example.com < token
  monitor agent join https://monitor.example.com --token-file /etc/monitor/agent.token

Create the token with `monitor token create NAME --scope agent` on the server. The command writes the settings file of the agent, and \
the keys of the server to the agent's folder: `monitor agent` then accepts the scripts of jobs that this server has signed. Rules for \
jobs are in the table [jobs] of the settings file.

If the package monitor-agent is installed, root needs no further options: the agent of the package joins the server, and starts.

Exit codes:
  0  the settings are written
  1  failure, such as an unreachable server, or an existing settings file
  2  wrong usage";

const TRUST_HELP: &str = "\
Examples:
  monitor agent trust                               Trust the server in agent.toml
  monitor agent trust https://monitor.example.com   Trust this server

Run it on the machine of an agent that was installed before its server had jobs, and after the server has got a new key. Use https: \
this machine trusts the keys that it receives.

Exit codes:
  0  the keys are written
  1  failure, such as an unreachable server
  2  wrong usage";

/// Service that the package monitor-agent installs, its unit, and its folders. The service reads `agent.toml` in its data folder.
const SERVICE: &str = "monitor-agent";
const SERVICE_UNIT: &str = "/usr/lib/systemd/system/monitor-agent.service";
const SERVICE_DATA: &str = "/var/lib/monitor-agent";
const SERVICE_TASKS: &str = "/etc/monitor/tasks";

/// Write the settings of the agent on this machine, for a server
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = JOIN_HELP)]
pub(crate) struct Args {
    /// URL of the server
    #[arg(value_parser = crate::client::read_url)]
    server: Url,
    /// File with the token in its first line [default: read the token from stdin]
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// File with the server's certificate, which is then the only trusted one
    #[arg(long, value_name = "FILE", env = "MONITOR_SERVER_CERT")]
    server_cert: Option<PathBuf>,
    /// Name of the agent [default: the name of the token]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Folder of the agent [default: monitor/agent in the user's state folder]
    #[arg(long, value_name = "DIR", env = "MONITOR_AGENT_DATA")]
    data: Option<PathBuf>,
    /// Settings file to create [default: monitor/agent.toml in the user's configuration folder]
    #[arg(long, value_name = "FILE", env = "MONITOR_AGENT_CONFIG")]
    config: Option<PathBuf>,
    /// Folder of task definitions to write to the settings [default: none]
    #[arg(long, value_name = "DIR", env = "MONITOR_AGENT_TASKS")]
    tasks: Option<PathBuf>,
}

/// Accept the scripts of jobs that the server has signed
#[derive(Debug, clap::Args)]
#[command(after_help = TRUST_HELP)]
pub(crate) struct TrustArgs {
    /// URL of the server [default: that of the settings file]
    #[arg(value_parser = crate::client::read_url)]
    server: Option<Url>,
    /// File with the token in its first line [default: as for `monitor agent`]
    #[arg(long, value_name = "FILE", env = "MONITOR_TOKEN_FILE")]
    token_file: Option<PathBuf>,
    /// Folder of the agent [default: that of the settings file]
    #[arg(long, value_name = "DIR", env = "MONITOR_AGENT_DATA")]
    data: Option<PathBuf>,
    /// Settings file [default: monitor/agent.toml in the user's configuration folder, if it exists]
    #[arg(long, value_name = "FILE", env = "MONITOR_AGENT_CONFIG")]
    config: Option<PathBuf>,
}

/// Joins a server. Without options for folders, root joins with the agent of the installed package.
pub(crate) fn join(args: &Args) -> anyhow::Result<()> {
    let is_service = args.data.is_none() && args.config.is_none() && nix::unistd::geteuid().is_root() && Path::new(SERVICE_UNIT).exists();
    if !is_service {
        return write_settings(args);
    }
    let tasks = args.tasks.clone().unwrap_or_else(|| SERVICE_TASKS.into());
    let folder = PathBuf::from(SERVICE_DATA);
    write_settings(&Args { config: Some(folder.join("agent.toml")), data: Some(folder), tasks: Some(tasks), ..args.clone() })?;
    // In a folder that represents another machine, systemd does not run.
    if Path::new("/run/systemd/system").exists() {
        let done = Command::new("systemctl").args(["restart", SERVICE]).status().context("systemctl can't be run")?;
        if !done.success() {
            bail!("the settings are written, but the agent did not start: see `journalctl -u {SERVICE}`");
        }
    }
    Ok(())
}

fn write_settings(args: &Args) -> anyhow::Result<()> {
    let (data, config) = (absolute_data(args.data.clone())?, agent_settings::path(args.config.clone())?);
    if config.exists() {
        bail!("{} exists: change it, and run `monitor agent trust`, or move it away", config.display());
    }
    let absolute = |path: &PathBuf| std::path::absolute(path).with_context(|| format!("{} can't be used", path.display()));
    let (token, given, token_file) = if let Some(file) = &args.token_file {
        (Token::from_file(file)?, None, absolute(file)?)
    } else {
        let text = token_of_stdin()?;
        (Token::new(&text)?, Some(text), data.join("token"))
    };
    let (server_cert, tasks) = (args.server_cert.as_ref().map(absolute).transpose()?, args.tasks.as_ref().map(absolute).transpose()?);
    let client = Client::new(crate::client::settings_of(args.server.clone(), Some(token), server_cert.clone()));
    let keys = fetch(&client)?;
    DirBuilder::new().recursive(true).mode(0o700).create(&data).with_context(|| format!("{} can't be created", data.display()))?;
    let fingerprints = pin(&data, &keys)?;
    if let Some(text) = given {
        write_new(&token_file, &format!("{text}\n"), true)?;
    }
    let mut settings = toml::Table::new();
    let mut set = |key: &str, value: &str| settings.insert(key.to_owned(), value.into());
    set("server", args.server.as_str());
    let paths =
        [("token-file", Some(&token_file)), ("data", Some(&data)), ("server-cert", server_cert.as_ref()), ("tasks", tasks.as_ref())];
    for (key, path) in paths {
        if let Some(path) = path {
            set(key, path.to_str().with_context(|| format!("{} is no text", path.display()))?);
        }
    }
    if let Some(name) = &args.name {
        set("name", name);
    }
    if let Some(folder) = config.parent() {
        fs::create_dir_all(folder).with_context(|| format!("{} can't be created", folder.display()))?;
    }
    write_new(&config, &settings.to_string(), false)?;
    let mut out = anstream::stdout().lock();
    writeln!(out, "wrote {}", visible(&config.display().to_string()))?;
    show(&mut out, &args.server, &fingerprints)
}

pub(crate) fn trust(args: &TrustArgs) -> anyhow::Result<()> {
    let settings = Settings::of_server(args.config.clone(), args.server.clone(), args.data.clone(), args.token_file.clone()).resolve()?;
    let (url, token) = server_and_token(&settings)?;
    let server_cert = settings.server_cert.clone().or_else(|| std::env::var_os("MONITOR_SERVER_CERT").map(PathBuf::from));
    let data = absolute_data(settings.data)?;
    if !data.is_dir() {
        bail!("there is no agent in {}: start one, or name its folder by --data", data.display());
    }
    let keys = fetch(&Client::new(crate::client::settings_of(url.clone(), token, server_cert)))?;
    let fingerprints = pin(&data, &keys)?;
    show(&mut anstream::stdout().lock(), &url, &fingerprints)
}

/// Fetches the keys of the server.
fn fetch(client: &Client) -> anyhow::Result<JobKeys> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("could not start the runtime")?;
    match runtime.block_on(client.job_keys().send()) {
        Err(error) if error.status() == Some(404) => bail!("the server {} has no jobs: update it", client.url()),
        answer => answer.context("the keys of the server can't be fetched"),
    }
}

/// Writes the keys to the agent's folder. Returns their fingerprints.
fn pin(data: &Path, keys: &JobKeys) -> anyhow::Result<Vec<String>> {
    let file = data.join(JOB_KEYS);
    pin_job_keys(&file, keys).with_context(|| format!("{} can't be written", file.display()))
}

fn show(out: &mut impl io::Write, url: &Url, fingerprints: &[String]) -> anyhow::Result<()> {
    writeln!(out, "this machine accepts jobs that {url} signs with the key")?;
    for fingerprint in fingerprints {
        writeln!(out, "  {fingerprint}")?;
    }
    Ok(out.flush()?)
}

fn token_of_stdin() -> anyhow::Result<String> {
    const REMEDY: &str = "give the token on stdin, or name a file by --token-file";
    if io::stdin().is_terminal() {
        bail!("there is no token: {REMEDY}");
    }
    let mut text = String::new();
    io::stdin().take(4_096).read_to_string(&mut text).context("the token can't be read from stdin")?;
    let token = text.lines().next().unwrap_or_default().trim().to_owned();
    if token.is_empty() {
        bail!("there is no token: {REMEDY}");
    }
    Ok(token)
}

/// Writes a file. Only its owner can read it. Replaces an existing file if `may_replace`.
fn write_new(path: &Path, text: &str, may_replace: bool) -> anyhow::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).mode(0o600).create(may_replace).truncate(may_replace).create_new(!may_replace);
    let written = options.open(path).and_then(|mut file| {
        // The mode above is only for new files.
        file.set_permissions(fs::Permissions::from_mode(0o600))?;
        file.write_all(text.as_bytes())
    });
    written.with_context(|| format!("{} can't be written", path.display()))
}
