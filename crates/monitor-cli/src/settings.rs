//! Settings of the server. Precedence: flag, environment, file, default.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command, FromArgMatches};
use etcetera::BaseStrategy;
use monitor_server::{Config, File, Form, SETTINGS, Setting};

const CONFIG: &str = "config";
const PROFILE: &str = "profile";

/// Settings from flags and environment, and the file to read.
#[derive(Debug)]
pub(crate) struct Settings {
    file: Option<PathBuf>,
    profile: Option<String>,
    /// Value and origin of each of [`SETTINGS`].
    given: Vec<Option<(String, String)>>,
}

impl Settings {
    /// Returns the effective settings, and the origin of each of [`SETTINGS`].
    pub(crate) fn resolve(self) -> anyhow::Result<(Config, Vec<String>)> {
        let beside = self.file.clone().or_else(default_file);
        let file = match (self.file, default_file()) {
            (Some(path), _) => Some(File::read(&path)?),
            (None, Some(path)) if path.exists() => Some(File::read(&path)?),
            (None, default) => {
                if let Some(profile) = self.profile {
                    let looked = default.map(|path| format!(", and there is no {}", path.display())).unwrap_or_default();
                    anyhow::bail!("--profile {profile}: profiles are defined in the settings file{looked}: name one with --config");
                }
                None
            }
        };
        let in_file = file.map(|file| file.values(self.profile.as_deref())).transpose()?.unwrap_or_default();
        let beside = |name| beside.as_ref().map(|file| file.with_file_name(name));
        let (alerts_file, hosts_file) = (beside("alerts.toml"), beside("hosts.toml"));
        let mut config = Config { spool_dir: monitor_spool::dir_of(None), alerts_file, hosts_file, ..Config::default() };
        let mut origins = Vec::new();
        for (setting, given) in SETTINGS.iter().zip(self.given) {
            let found = given.or_else(|| in_file.get(&setting.key()).cloned());
            let origin = match found {
                Some((text, origin)) => {
                    let shown = if setting.form == Form::Secret { String::new() } else { format!("{text:?}: ") };
                    setting.set(&mut config, &text).map_err(|why| anyhow::anyhow!("{origin}: {}: {shown}{why}", setting.key()))?;
                    origin
                }
                None => "default".to_owned(),
            };
            origins.push(origin);
        }
        if config.data == Path::new("") {
            config.data = default_data()?;
        }
        Ok((config, origins))
    }
}

/// The data folder of the server on this machine, according to environment and settings file.
pub(crate) fn data_folder() -> anyhow::Result<PathBuf> {
    let given = |setting: &Setting| std::env::var(setting.variable()).ok().map(|value| (value, setting.variable()));
    let is_data = |setting: &&Setting| setting.key() == "data";
    let given = SETTINGS.iter().map(|setting| Some(setting).filter(is_data).and_then(given)).collect();
    let named = |name: &str| std::env::var(name).ok();
    let settings = Settings { file: named("MONITOR_CONFIG").map(PathBuf::from), profile: named("MONITOR_PROFILE"), given };
    Ok(settings.resolve()?.0.data)
}

fn default_data() -> anyhow::Result<PathBuf> {
    let folders =
        etcetera::base_strategy::choose_native_strategy().context("there is no home folder: set the folder of the data with --data")?;
    Ok(folders.data_dir().join("monitor"))
}

fn default_file() -> Option<PathBuf> {
    let folders = etcetera::base_strategy::choose_native_strategy().ok()?;
    Some(folders.config_dir().join("monitor").join("server.toml"))
}

impl clap::Args for Settings {
    fn augment_args(command: Command) -> Command {
        let file = default_file().map(|path| format!(" [default: {}]", path.display())).unwrap_or_default();
        let command =
            command.arg(Arg::new(CONFIG).long(CONFIG).value_name("FILE").env("MONITOR_CONFIG").help(format!("Settings file{file}"))).arg(
                Arg::new(PROFILE)
                    .long(PROFILE)
                    .value_name("NAME")
                    .env("MONITOR_PROFILE")
                    .help("Profile to apply: [profile.NAME] in the settings file takes precedence over the keys at its top"),
            );
        SETTINGS.iter().fold(command, |command, setting| command.arg(arg(setting)))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

/// The section of `--help` with the settings that few servers change.
const ADVANCED: &str = "Advanced options";

fn arg(setting: &'static Setting) -> Arg {
    let shown = setting.show(&Config::default()).filter(|_| setting.form != Form::Switch && !setting.help.contains("[default"));
    let default = shown.map(|value| format!(" [default: {}]", value.trim_matches('"'))).unwrap_or_default();
    // clap would print a secret in its error, so secrets are checked when the settings are resolved.
    let is_secret = setting.form == Form::Secret;
    let check =
        move |text: &str| if is_secret { Ok(text.to_owned()) } else { setting.set(&mut Config::default(), text).map(|()| text.to_owned()) };
    let arg = Arg::new(setting.key())
        .long(setting.key())
        .value_name(setting.placeholder)
        .env(setting.variable())
        .hide_env_values(is_secret)
        .help(format!("{}{default}", setting.help.trim()))
        .value_parser(check);
    let arg = if setting.is_advanced() { arg.help_heading(ADVANCED) } else { arg };
    if setting.form == Form::Switch { arg.num_args(0..=1).require_equals(true).default_missing_value("true") } else { arg }
}

impl FromArgMatches for Settings {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let given = SETTINGS.iter().map(|setting| {
            let key = setting.key();
            let text = matches.get_one::<String>(&key)?.clone();
            let origin = match matches.value_source(&key) {
                Some(ValueSource::EnvVariable) => setting.variable(),
                _ => format!("--{key}"),
            };
            Some((text, origin))
        });
        let named = |name: &str| matches.get_one::<String>(name).cloned();
        Ok(Self { file: named(CONFIG).map(PathBuf::from), profile: named(PROFILE), given: given.collect() })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
