//! Settings of `monitor agent`. Precedence: flag, environment, `agent.toml`, default.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use etcetera::BaseStrategy as _;
use monitor_agent::{ChannelCommands, Defaults, JobPolicy};
use serde::{Deserialize, Deserializer};
use url::Url;

mod jobs;

use self::jobs::JobRules;

/// Variable with the path of the settings file, for commands without `--config`.
const CONFIG: &str = "MONITOR_AGENT_CONFIG";
/// Name of the file with the server's keys in the agent's folder.
pub(super) const JOB_KEYS: &str = "job-keys";
const MAX_RUNS: u32 = 100;
/// Default maximum size of a run's recorded output: 100 MiB.
const RUN_OUTPUT_BYTES: u64 = 100 << 20;
const MOST_RUNS: u32 = 10_000;

/// Flags and environment variables. Each of them except `config` is also a key of `agent.toml`.
#[derive(Debug, Default, clap::Args, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Settings {
    /// Settings file [default: monitor/agent.toml in the user's configuration folder, if it exists]
    #[arg(long, value_name = "FILE", env = "MONITOR_AGENT_CONFIG")]
    #[serde(skip)]
    config: Option<PathBuf>,
    /// Folder of task definitions: TOML files, and JSON files named *.json
    #[arg(long, value_name = "DIR", env = "MONITOR_AGENT_TASKS")]
    pub(super) tasks: Option<PathBuf>,
    /// Folder of the agent's database, of its runs, and of `task/NAME` for each task [default: monitor/agent in the user's state folder,
    /// usually ~/.local/state]
    #[arg(long, value_name = "DIR", env = "MONITOR_AGENT_DATA")]
    pub(super) data: Option<PathBuf>,
    /// Folder with `task/NAME` for each task: programs, files to publish, history, logs [default: the folder of --data]
    #[arg(long, value_name = "DIR", env = "MONITOR_AGENT_HOME")]
    pub(super) home: Option<PathBuf>,
    /// Name of the agent, as used in `on` of a task [default: the name of the token if its scope is `agent`, else the machine's name]
    #[arg(long, value_name = "NAME", env = "MONITOR_AGENT_NAME")]
    pub(super) name: Option<String>,
    /// Data to accept from the server: `all` for definitions of tasks, or `files` for none, so that only the definitions in --tasks run;
    /// add `,commands` to also accept the commands of all alert channels, not only of those listed in agent.toml [default: all]
    #[arg(long, value_name = "WHAT", env = "MONITOR_AGENT_ACCEPT", value_parser = Accept::read)]
    #[serde(deserialize_with = "accept")]
    accept: Option<Accept>,
    /// Table of the tasks' settings to apply, such as `production` for `[config.production]`
    #[arg(long, value_name = "NAME", env = "MONITOR_AGENT_PROFILE")]
    pub(super) profile: Option<String>,
    /// Maximum number of runs at the same time [default: 100]
    #[arg(long, value_name = "N", env = "MONITOR_AGENT_MAX_RUNS", value_parser = clap::value_parser!(u32).range(1..=i64::from(MOST_RUNS)))]
    #[serde(deserialize_with = "max_runs")]
    max_runs: Option<u32>,
    /// Maximum size of a run's output to keep, half of it from the start and half from the end, such as 500M [default: 100M]
    #[arg(long, value_name = "BYTES", env = "MONITOR_AGENT_RUN_OUTPUT_BYTES", value_parser = super::run::bytes)]
    #[serde(deserialize_with = "run_output_bytes")]
    run_output_bytes: Option<u64>,
    /// URL of the server [default: port 60010 of this machine]
    #[arg(long, value_name = "URL", env = "MONITOR_SERVER_URL", value_parser = crate::client::read_url)]
    #[serde(deserialize_with = "url")]
    pub(super) server: Option<Url>,
    /// File with the token for the server in its first line [default: the token in `MONITOR_TOKEN`, or that of a server on this machine]
    #[arg(long, value_name = "FILE", env = "MONITOR_TOKEN_FILE")]
    pub(super) token_file: Option<PathBuf>,
    /// File with the server's certificate, which is then the only trusted one [default: trust the certificates that this machine trusts]
    #[arg(long, value_name = "FILE", env = "MONITOR_SERVER_CERT")]
    pub(super) server_cert: Option<PathBuf>,
    /// The server's copy of alerts.toml, with the commands of channels to run; set by the server that starts the agent
    #[arg(long, value_name = "FILE", hide = true)]
    #[serde(skip)]
    alerts_file: Option<PathBuf>,
    /// Commands of alert channels that the agent runs, by the name of the channel. Only the file can set them.
    #[arg(skip)]
    commands: BTreeMap<String, Vec<String>>,
    /// File with the keys that the server signs orders of jobs with; set by the server that starts the agent
    #[arg(long, value_name = "FILE", hide = true)]
    #[serde(skip)]
    job_keys: Option<PathBuf>,
    /// Rules of the host's owner for jobs. Only the file can set them.
    #[arg(skip)]
    jobs: JobRules,
    /// Defaults for the settings of tasks. Only the file can set them.
    #[arg(skip)]
    #[serde(deserialize_with = "all_tasks")]
    all_tasks: Defaults,
}

/// Data that the agent accepts from the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Accept {
    definitions: bool,
    commands: bool,
}

impl Accept {
    fn read(text: &str) -> Result<Self, String> {
        let (whose, commands) = text.split_once(',').map_or((text, false), |(whose, more)| (whose, more.trim() == "commands"));
        let is_whole = commands || !text.contains(',');
        match (whose.trim(), is_whole) {
            ("all", true) => Ok(Self { definitions: true, commands }),
            ("files", true) => Ok(Self { definitions: false, commands }),
            _ => Err(format!("{text:?}: expected all, files, or one of them with commands, as in all,commands")),
        }
    }
}

fn accept<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Accept>, D::Error> {
    Accept::read(&String::deserialize(from)?).map(Some).map_err(serde::de::Error::custom)
}

fn url<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Url>, D::Error> {
    crate::client::read_url(&String::deserialize(from)?).map(Some).map_err(serde::de::Error::custom)
}

fn max_runs<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u32>, D::Error> {
    let number = u32::deserialize(from)?;
    let is_right = (1..=MOST_RUNS).contains(&number);
    is_right.then_some(Some(number)).ok_or_else(|| serde::de::Error::custom(format!("expected a number from 1 to {MOST_RUNS}")))
}

fn all_tasks<'de, D: Deserializer<'de>>(from: D) -> Result<Defaults, D::Error> {
    Defaults::read(&serde_json::Map::deserialize(from)?).map_err(serde::de::Error::custom)
}

fn run_output_bytes<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
    super::run::bytes(&String::deserialize(from)?).map(Some).map_err(serde::de::Error::custom)
}

impl Settings {
    /// Settings with a settings file and values of flags, for commands that need only the server and the folder.
    pub(super) fn of_server(config: Option<PathBuf>, server: Option<Url>, data: Option<PathBuf>, token_file: Option<PathBuf>) -> Self {
        Self { config, data, server, token_file, ..Self::default() }
    }

    /// Adds the settings in `agent.toml` to those of flags and environment.
    pub(super) fn resolve(self) -> anyhow::Result<Self> {
        let file = file(self.config.as_deref())?;
        Ok(Self {
            config: self.config,
            tasks: self.tasks.or(file.tasks),
            data: self.data.or(file.data),
            home: self.home.or(file.home),
            name: self.name.or(file.name),
            accept: self.accept.or(file.accept),
            profile: self.profile.or(file.profile),
            max_runs: self.max_runs.or(file.max_runs),
            run_output_bytes: self.run_output_bytes.or(file.run_output_bytes),
            server: self.server.or(file.server),
            // `MONITOR_TOKEN` takes precedence over the file, as all variables do.
            token_file: self.token_file.or(file.token_file.filter(|_| std::env::var_os("MONITOR_TOKEN").is_none())),
            server_cert: self.server_cert.or(file.server_cert),
            alerts_file: self.alerts_file,
            job_keys: self.job_keys,
            jobs: file.jobs,
            commands: file.commands,
            all_tasks: file.all_tasks,
        })
    }

    pub(super) fn max_runs(&self) -> u32 {
        self.max_runs.unwrap_or(MAX_RUNS)
    }

    pub(super) fn run_output_bytes(&self) -> u64 {
        self.run_output_bytes.unwrap_or(RUN_OUTPUT_BYTES)
    }

    /// True if the agent accepts no definitions from the server.
    pub(super) fn files_only(&self) -> bool {
        self.accept.is_some_and(|accept| !accept.definitions)
    }

    /// Defaults for the settings of tasks.
    pub(super) fn defaults(&self) -> Defaults {
        self.all_tasks.clone()
    }

    /// The commands of alert channels that the agent runs.
    pub(super) fn commands(&self) -> ChannelCommands {
        let any = self.accept.is_some_and(|accept| accept.commands);
        ChannelCommands { any, listed: self.commands.clone(), alerts_file: self.alerts_file.clone() }
    }
}

impl Settings {
    /// The owner's rules for jobs, for an agent with this folder.
    pub(super) fn jobs(&self, data: &Path) -> JobPolicy {
        self.jobs.policy(self.job_keys.clone().unwrap_or_else(|| data.join(JOB_KEYS)))
    }
}

/// Path of the settings file: `named`, or the default.
pub(super) fn path(named: Option<PathBuf>) -> anyhow::Result<PathBuf> {
    named.or_else(default_path).context("there is no folder for settings: name a file by --config")
}

fn default_path() -> Option<PathBuf> {
    Some(etcetera::base_strategy::choose_native_strategy().ok()?.config_dir().join("monitor").join("agent.toml"))
}

/// The folder in `agent.toml`, for commands that look for an agent of this machine.
pub(super) fn data_of_file() -> anyhow::Result<Option<PathBuf>> {
    let named = std::env::var_os(CONFIG).map(PathBuf::from);
    Ok(file(named.as_deref())?.data)
}

/// Reads the file `named`, which must exist, or the default file, if it exists.
fn file(named: Option<&Path>) -> anyhow::Result<Settings> {
    let Some(path) = named.map(Path::to_owned).or_else(|| default_path().filter(|path| path.exists())) else {
        return Ok(Settings::default());
    };
    let text = std::fs::read_to_string(&path).with_context(|| format!("could not read the settings file {}", path.display()))?;
    parse(&path, &text)
}

/// Parses the text of a file. An error names the file, line and key.
fn parse(path: &Path, text: &str) -> anyhow::Result<Settings> {
    toml::from_str(text).map_err(|error: toml::de::Error| {
        let at = error.span().map_or(0, |span| span.start).min(text.len());
        let number = text.char_indices().take_while(|(index, _)| *index < at).filter(|(_, letter)| *letter == '\n').count();
        let key = text.lines().nth(number).and_then(|line| line.split_once('=')).map(|(key, _)| format!("{}: ", key.trim()));
        anyhow::anyhow!("{}:{}: {}{}", path.display(), number + 1, key.unwrap_or_default(), error.message())
    })
}

#[cfg(test)]
mod tests {
    use clap::{Args as _, FromArgMatches as _};

    use super::*;

    /// The example in docs/guides/agents.md.
    fn example() -> &'static str {
        let docs = include_str!("../../../../docs/guides/agents.md");
        let (_, rest) = docs.split_once("```toml\n# agent.toml\n").expect("an example of agent.toml in docs/guides/agents.md");
        rest.split_once("```").expect("its end").0
    }

    #[test]
    fn every_flag_is_a_key_and_the_documented_example_has_each() {
        let command = Settings::augment_args(clap::Command::new("agent"));
        let hidden = ["config", "alerts-file", "job-keys"];
        let flags: Vec<String> = command.get_arguments().filter_map(|arg| arg.get_long()).map(str::to_owned).collect();
        let table: toml::Table = example().parse().unwrap();
        for flag in flags.iter().filter(|flag| !hidden.contains(&flag.as_str())) {
            assert!(table.contains_key(flag), "docs/guides/agents.md has no {flag}");
        }
        let read = parse(Path::new("agent.toml"), example()).unwrap();
        assert!(read.commands().listed.contains_key("page") && !read.commands().any && !read.files_only());
        let jobs = read.jobs(Path::new("/data"));
        assert_eq!((jobs.keys.as_path(), jobs.max_runs, jobs.refuse.len()), (Path::new("/data/job-keys"), 10, 1));
        assert_eq!((jobs.accounts, jobs.scripts), (Some(vec!["app".to_owned()]), None));
    }

    #[test]
    fn flags_have_precedence_over_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("agent.toml");
        std::fs::write(&path, "name = \"file\"\nmax-runs = 7\naccept = \"files,commands\"\n").unwrap();
        let given = |args: &[&str]| {
            let command = Settings::augment_args(clap::Command::new("agent"));
            let path = path.to_str().unwrap();
            let matches = command.try_get_matches_from([&["agent", "--config", path], args].concat()).unwrap();
            Settings::from_arg_matches(&matches).unwrap().resolve().unwrap()
        };
        let settings = given(&["--name", "flag"]);
        assert_eq!((settings.name.as_deref(), settings.max_runs()), (Some("flag"), 7));
        assert!(settings.files_only() && settings.commands().any);
        let settings = given(&["--accept", "all", "--max-runs", "8"]);
        assert_eq!((settings.name.as_deref(), settings.max_runs()), (Some("file"), 8));
        assert!(!settings.files_only() && !settings.commands().any);
    }

    #[test]
    fn a_mistake_in_the_file_is_reported_with_file_line_and_key() {
        for (text, expected) in [
            ("\nname = 5\n", "a.toml:2: name: invalid type"),
            ("[all-tasks]\nhooks = { befor = [\"x\"] }\n", "a.toml:1: all-tasks.hooks.befor: there is no such key; did you mean before?"),
            ("run-output-bytes = \"no\"\n", "a.toml:1: run-output-bytes: expected a number of bytes such as 500M or 2G"),
            ("max-runs = 0\n", "a.toml:1: max-runs: expected a number from 1 to 10000"),
            ("taks = \"x\"\n", "a.toml:1: taks: unknown field `taks`"),
            ("accept = \"all,everything\"\n", "a.toml:1: accept: \"all,everything\": expected all, files"),
            ("server = \"nowhere\"\n", "a.toml:1: server: "),
            ("[commands]\npage = \"/bin/page\"\n", "a.toml:2: page: invalid type"),
            ("alerts-file = \"x\"\n", "a.toml:1: alerts-file: unknown field"),
            ("[jobs]\nrefuse = [\"(\"]\n", "a.toml:2: refuse: \"(\" is no pattern: "),
            ("[jobs]\nscripts = \"all\"\n", "a.toml:2: scripts: expected \"any\", or a list of SHA-256 values of 64 hexadecimal digits"),
            ("[jobs]\nscripts = [\"12\"]\n", "a.toml:2: scripts: \"12\": expected"),
            ("[jobs]\n\nmax-runs = 0\n", "a.toml:3: max-runs: expected a number from 1 to 10000"),
            ("[jobs]\naccount = [\"app\"]\n", "a.toml:2: account: unknown field `account`"),
        ] {
            let error = parse(Path::new("a.toml"), text).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        }
        let missing = file(Some(Path::new("/nowhere/agent.toml"))).unwrap_err();
        assert!(missing.to_string().contains("/nowhere/agent.toml"));
    }
}
