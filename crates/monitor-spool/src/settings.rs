//! Settings of a recording program, from environment variables. For an invalid value, a problem is reported and the default is used; the
//! program is never stopped.

use std::ffi::OsString;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use monitor_core::filter::Filter;
use monitor_core::levels::Levels;
use monitor_core::strays::Strays;

use crate::wire::{ProcessId, RootId};
use crate::{bytes, dir_of};

/// Default duration below which woven calls are counted instead of recorded.
pub const FOLD_BELOW: Duration = Duration::from_micros(100);

/// Settings of every recording program, regardless of the way its records are shipped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// True if recording is enabled.
    pub enabled: bool,
    /// Maximum size of pending records in memory, in bytes.
    pub buffer_bytes: usize,
    /// Absolute path of the spool. `None` to keep records only in memory.
    pub spool_dir: Option<PathBuf>,
    /// Maximum size of this program's folder in the spool, in bytes.
    pub spool_bytes: u64,
    /// Number of children with the same parent and name that get rows of their own.
    pub fold_after: u64,
    /// Treatment of calls without a context.
    pub strays: Strays,
    /// Duration below which woven calls are counted; zero for none. `None` if not set, in which case woven programs use [`FOLD_BELOW`].
    pub fold_below: Option<Duration>,
    /// Filter of attributed functions. `None` to record all.
    pub filter: Option<Filter>,
    /// Level of detail for starts.
    pub events: Levels,
    /// Heartbeat interval.
    pub heartbeat: Duration,
    /// Maximum time that the exit of the program may be delayed.
    pub exit_timeout: Duration,
    /// Destination of the recorder's own messages.
    pub log: Log,
    /// Tree and process that started this program.
    pub inherited: Option<(RootId, ProcessId)>,
    /// Id of the launch that ships this program's records. `None` if it ships them itself.
    pub launch: Option<String>,
}

/// Destination of the recorder's own messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Log {
    /// The program's `tracing` subscriber. Without a subscriber, warnings go to stderr.
    #[default]
    Unheard,
    /// The `tracing` subscriber and stderr, at any level.
    Stderr,
    /// Only the program's `tracing` subscriber.
    Off,
}

/// Names of settings for recording programs.
const OWN: [&str; 19] = [
    "COMMANDS",
    "ENABLED",
    "EVENTS",
    "SERVER_URL",
    "TOKEN",
    "BUFFER_BYTES",
    "SPOOL_DIR",
    "SPOOL_BYTES",
    "FOLD_AFTER",
    "FOLD_BELOW",
    "FILTER",
    "STRAY",
    "HEARTBEAT",
    "EXIT_TIMEOUT",
    "LOG",
    "ROOT_ID",
    "PARENT_ID",
    "LAUNCH",
    "TRACING",
];

/// Names of settings for other programs of this project, which may be set in the same environment.
const OF_OTHERS: [&str; 47] = [
    "CONFIG",
    "PROFILE",
    "DATA",
    "RUNS_DIR",
    "RUN_DETACHED",
    "FEED",
    "FEED_PID",
    "PYTHON_CONFIG",
    "BASH_ENV",
    "WEAVE",
    "WEAVE_LAUNCHES",
    "WEAVE_RUNTIME",
    "LISTEN",
    "PUBLIC_URL",
    "INSECURE",
    "LOGS_KEPT",
    "METRICS_NAMES",
    "SESSION_LIFETIME",
    "HEADER_TIMEOUT",
    "HSTS",
    "IDLE_TIMEOUT",
    "STALL_TIMEOUT",
    "SPOOL_INTERVAL",
    "STOP_TIMEOUT",
    "LOOPBACK",
    "MCP",
    "TRUSTED_PROXIES",
    "TOKEN_FILE",
    "AWAY_SECONDS",
    "WEB_MISSING",
    "BENCH_PACED",
    "SIM_SEED",
    "OPEN_SOCKET",
    "OTLP_PYTHON",
    "OTLP_ENDPOINT",
    "OTLP_HEADERS",
    "ALERTS_FILE",
    "HOSTS_FILE",
    "OTLP_FILTER",
    "MIGRATION_COPY",
    "FEED_FOLDS",
    "STEP",
    "PUBLISH_DIR",
    "LOG_DIR",
    "JOB_OUTPUT_BYTES",
    "JOB_CALLBACK",
    "JOB_RULE",
];

/// Prefixes of such names, for groups with many settings.
const OF_OTHERS_FROM: [&str; 13] =
    ["MAX_", "MIN_", "OIDC_", "RETENTION", "TLS_", "STREAM_", "TEST", "SOAK", "AGENT", "TASK_", "RUN_", "CELERY", "FLOWER_"];

/// Returns true if a variable is a known setting of any program of this project, or does not start with `MONITOR_`.
pub fn is_known(variable: &str) -> bool {
    let Some(name) = variable.strip_prefix("MONITOR_") else { return true };
    OWN.contains(&name) || OF_OTHERS.contains(&name) || OF_OTHERS_FROM.iter().any(|beginning| name.starts_with(beginning))
}

/// Returns a message for each variable that starts with `MONITOR_` and is not a known setting.
pub fn unknown(variables: impl Iterator<Item = OsString>) -> Vec<String> {
    const MOST: usize = 20;

    let unknown = variables.map(|variable| variable.to_string_lossy().into_owned()).filter(|variable| !is_known(variable));
    unknown
        .take(MOST)
        .map(|variable| format!("{} is no setting that is known: see `MONITOR_` in the client's documentation", shortened(&variable)))
        .collect()
}

impl Settings {
    /// Reads all settings.
    pub fn read(reader: &mut Reader<'_>) -> Self {
        let enabled = reader.value("MONITOR_ENABLED", "1, true, on or yes to record, 0, false, off or no not to", false, switch);
        // If recording is disabled, no other setting matters and nothing is logged, unless the value of MONITOR_ENABLED is invalid and may
        // have been meant as enabled.
        let is_meant = enabled || !reader.problems.is_empty();
        let log = if is_meant { reader.value("MONITOR_LOG", "stderr or off", Log::Unheard, log) } else { Log::Unheard };
        let default = Self { enabled, log, ..Self::default() };
        if !enabled {
            return default;
        }
        Self {
            buffer_bytes: reader.value(
                "MONITOR_BUFFER_BYTES",
                "a number of bytes from 64KiB on, such as 64MiB",
                default.buffer_bytes,
                |text| bytes(text).and_then(|bytes| usize::try_from(bytes).ok()).filter(|bytes| *bytes >= 64 << 10),
            ),
            // Made absolute, because the program may change its working folder.
            spool_dir: dir_of(reader.raw("MONITOR_SPOOL_DIR").as_deref()).map(|dir| std::path::absolute(&dir).unwrap_or(dir)),
            spool_bytes: reader.value(
                "MONITOR_SPOOL_BYTES",
                "a number of bytes from 4MiB on, such as 256MiB",
                default.spool_bytes,
                |text| bytes(text).filter(|bytes| *bytes >= 4 << 20),
            ),
            fold_after: reader.value("MONITOR_FOLD_AFTER", "a number from 1 on, or off", default.fold_after, |text| match text.trim() {
                "off" => Some(u64::MAX),
                number => number.parse().ok().filter(|number| *number > 0),
            }),
            strays: reader.value("MONITOR_STRAY", "tree, fold or skip", default.strays, |text| match text.trim() {
                "" | "fold" => Some(Strays::Fold),
                "tree" => Some(Strays::Tree),
                "skip" => Some(Strays::Skip),
                _ => None,
            }),
            fold_below: reader
                .value("MONITOR_FOLD_BELOW", "a duration up to 1s, such as 100us or 1ms, or off", None, |text| fold_below(text).map(Some)),
            filter: reader.value("MONITOR_FILTER", "directives such as info,my_app::db=off", None, |text| text.parse().ok().map(Some)),
            events: reader.value(
                "MONITOR_EVENTS",
                "all, roots, off or watched, alone or for kinds and names, as in all,span:off,render*=roots",
                default.events.clone(),
                |text| text.parse().ok(),
            ),
            heartbeat: reader.value("MONITOR_HEARTBEAT", "a duration from 100ms to 1h, such as 10s", default.heartbeat, |text| {
                duration(text).filter(|d| (Duration::from_millis(100)..=Duration::from_secs(3_600)).contains(d))
            }),
            exit_timeout: reader.value("MONITOR_EXIT_TIMEOUT", "a duration such as 500ms, 2s or 1m", default.exit_timeout, duration),
            inherited: {
                let root = reader.value("MONITOR_ROOT_ID", "32 lower-case hex digits", None, |text| id::<RootId>(text).ok());
                let parent = reader.value("MONITOR_PARENT_ID", "16 lower-case hex digits", None, |text| id::<ProcessId>(text).ok());
                root.zip(parent)
            },
            launch: reader.raw("MONITOR_LAUNCH").and_then(|name| name.into_string().ok()).filter(|name| !name.is_empty()),
            ..default
        }
    }
}

/// Returns the path of a server's URL without a trailing slash. A URL of the page, `…/tasks` and everything below it, is reduced to the
/// server's path, because users copy it from the browser.
pub fn base_path(path: &str) -> &str {
    let path = path.trim_end_matches('/');
    let page = path.find("/tasks/").or_else(|| path.strip_suffix("/tasks").map(str::len));
    page.map_or(path, |at| &path[..at])
}

impl Default for Settings {
    /// Default settings, with recording disabled.
    fn default() -> Self {
        Self {
            enabled: false,
            buffer_bytes: 64 << 20,
            spool_dir: None,
            spool_bytes: 256 << 20,
            fold_after: 1_000,
            strays: Strays::Fold,
            fold_below: None,
            filter: None,
            events: Levels::default(),
            heartbeat: Duration::from_secs(10),
            exit_timeout: Duration::from_secs(2),
            log: Log::Unheard,
            inherited: None,
            launch: None,
        }
    }
}

/// Reads variables and collects problems.
pub struct Reader<'a> {
    get: &'a dyn Fn(&str) -> Option<OsString>,
    problems: Vec<String>,
}

impl<'a> Reader<'a> {
    /// Creates a reader that gets each variable by calling `get` with its name.
    pub fn new(get: &'a dyn Fn(&str) -> Option<OsString>) -> Self {
        Self { get, problems: Vec::new() }
    }

    /// Returns the problems found, one sentence each, with variable, value, and the expected form.
    pub fn problems(self) -> Vec<String> {
        self.problems
    }

    /// Returns the value of `name`. Returns `default` if it is absent, or if it is invalid, which is recorded as a problem.
    pub fn value<T>(&mut self, name: &str, wanted: &str, default: T, parse: impl Fn(&str) -> Option<T>) -> T {
        self.parsed(name, wanted, default, parse, shortened)
    }

    /// Like [`value`](Self::value), for secrets: an invalid value is not quoted in the problem.
    pub fn secret<T>(&mut self, name: &str, wanted: &str, default: T, parse: impl Fn(&str) -> Option<T>) -> T {
        self.parsed(name, wanted, default, parse, |_| "its value".to_owned())
    }

    fn raw(&self, name: &str) -> Option<OsString> {
        (self.get)(name)
    }

    fn parsed<T>(&mut self, name: &str, wanted: &str, default: T, parse: impl Fn(&str) -> Option<T>, show: impl Fn(&str) -> String) -> T {
        let Some(raw) = self.raw(name) else { return default };
        raw.to_str().and_then(parse).unwrap_or_else(|| {
            self.problems.push(format!("{name}: {} is not taken: expected {wanted}", show(&raw.to_string_lossy())));
            default
        })
    }
}

fn shortened(text: &str) -> String {
    if text.chars().count() <= 80 { format!("{text:?}") } else { format!("{:?}…", text.chars().take(80).collect::<String>()) }
}

fn switch(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "1" | "true" | "on" | "yes" => Some(true),
        "" | "0" | "false" | "off" | "no" => Some(false),
        _ => None,
    }
}

fn log(text: &str) -> Option<Log> {
    match text.trim() {
        "" => Some(Log::Unheard),
        "stderr" => Some(Log::Stderr),
        "off" => Some(Log::Off),
        _ => None,
    }
}

/// Parses an optional id. An empty text is absent, not malformed.
fn id<T: FromStr>(text: &str) -> Result<Option<T>, T::Err> {
    if text.is_empty() { Ok(None) } else { text.parse().map(Some) }
}

/// Parses the duration below which woven calls are counted: at most a second, or `off`.
pub fn fold_below(text: &str) -> Option<Duration> {
    match text.trim() {
        "off" => Some(Duration::ZERO),
        text => duration(text).filter(|duration| *duration <= Duration::from_secs(1)),
    }
}

fn duration(text: &str) -> Option<Duration> {
    monitor_duration::read(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::default_dir;

    fn read(pairs: &[(&str, &str)]) -> (Settings, Vec<String>) {
        let get = |name: &str| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value));
        let mut reader = Reader::new(&get);
        (Settings::read(&mut reader), reader.problems())
    }

    #[test]
    fn the_switch_reads_the_words_people_write() {
        for on in ["1", "true", "TRUE", "On", "yes", " 1 "] {
            let (settings, problems) = read(&[("MONITOR_ENABLED", on)]);
            assert_eq!((settings.enabled, problems), (true, vec![]), "{on:?}");
        }
        for off in ["", "0", "false", "Off", "NO"] {
            assert_eq!(read(&[("MONITOR_ENABLED", off)]), (Settings::default(), vec![]), "{off:?}");
        }
        assert_eq!(read(&[]), (Settings::default(), vec![]));
    }

    #[test]
    fn a_disabled_program_checks_only_the_switch() {
        let others = [("MONITOR_FOLD_AFTER", "never"), ("MONITOR_LOG", "stderr")];
        assert_eq!(read(&others), (Settings::default(), vec![]));
        let (settings, problems) = read(&[("MONITOR_ENABLED", "enabled"), others[0], others[1]]);
        assert_eq!(settings, Settings { log: Log::Stderr, ..Settings::default() });
        let words = "MONITOR_ENABLED: \"enabled\" is not taken: expected 1, true, on or yes to record, 0, false, off or no not to";
        assert_eq!(problems, [words]);
    }

    #[test]
    fn a_bad_value_is_reported_and_the_default_used() {
        let long = "x".repeat(100_000);
        for (name, value, expected) in [
            ("MONITOR_BUFFER_BYTES", "64XiB", "a number of bytes from 64KiB on, such as 64MiB"),
            ("MONITOR_BUFFER_BYTES", "1", "a number of bytes from 64KiB on, such as 64MiB"),
            ("MONITOR_BUFFER_BYTES", "99999999999999999999999", "a number of bytes from 64KiB on, such as 64MiB"),
            ("MONITOR_SPOOL_BYTES", "4194303", "a number of bytes from 4MiB on, such as 256MiB"),
            ("MONITOR_SPOOL_BYTES", "much", "a number of bytes from 4MiB on, such as 256MiB"),
            ("MONITOR_FOLD_AFTER", "0", "a number from 1 on, or off"),
            ("MONITOR_FOLD_AFTER", "-1", "a number from 1 on, or off"),
            ("MONITOR_FOLD_AFTER", long.as_str(), "a number from 1 on, or off"),
            ("MONITOR_STRAY", "drop", "tree, fold or skip"),
            ("MONITOR_FILTER", "app=loud", "directives such as info,my_app::db=off"),
            ("MONITOR_EVENTS", "loud", "all, roots, off or watched, alone or for kinds and names, as in all,span:off,render*=roots"),
            ("MONITOR_FOLD_BELOW", "100", "a duration up to 1s, such as 100us or 1ms, or off"),
            ("MONITOR_FOLD_BELOW", "2s", "a duration up to 1s, such as 100us or 1ms, or off"),
            ("MONITOR_HEARTBEAT", "0s", "a duration from 100ms to 1h, such as 10s"),
            ("MONITOR_HEARTBEAT", "10", "a duration from 100ms to 1h, such as 10s"),
            ("MONITOR_EXIT_TIMEOUT", "-1s", "a duration such as 500ms, 2s or 1m"),
            ("MONITOR_EXIT_TIMEOUT", "18446744073709551615h", "a duration such as 500ms, 2s or 1m"),
            ("MONITOR_LOG", "stdout", "stderr or off"),
            ("MONITOR_ROOT_ID", "00000000000000000000000000000000", "32 lower-case hex digits"),
            ("MONITOR_PARENT_ID", "A3CE929D0E0E4736", "16 lower-case hex digits"),
        ] {
            let (settings, problems) = read(&[("MONITOR_ENABLED", "1"), (name, value)]);
            assert_eq!(settings, Settings { enabled: true, spool_dir: default_dir(), ..Settings::default() }, "{name}");
            let [problem] = problems.as_slice() else { panic!("{name}: {problems:?}") };
            assert!(problem.starts_with(&format!("{name}: \"")) && problem.len() < 400, "{problem}");
            assert!(problem.ends_with(&format!(" is not taken: expected {expected}")), "{problem}");
        }
    }

    #[test]
    fn unknown_names_with_the_prefix_are_reported() {
        let long = format!("MONITOR_{}", "X".repeat(100_000));
        let names = ["PATH", "MONITOR_ENABLED", "MONITOR_BUFER_BYTES", "MONITOR_MAX_DEPTH", "MONITOR_DATA", "monitor_x", "MONITOR_", &long];
        let problems = unknown(names.into_iter().map(OsString::from));
        assert_eq!(problems.len(), 3, "{problems:?}");
        assert!(problems[0].starts_with("\"MONITOR_BUFER_BYTES\" is no setting that is known"), "{problems:?}");
        assert!(problems.iter().all(|problem| problem.len() < 400));
        assert_eq!(unknown((0..1_000).map(|n| format!("MONITOR_X{n}").into())).len(), 20);
    }

    #[test]
    fn an_invalid_secret_is_not_shown() {
        let get = |_: &str| Some(OsString::from("two words"));
        let mut reader = Reader::new(&get);
        assert_eq!(reader.secret("MONITOR_TOKEN", "one word", 7, |_| None), 7);
        assert_eq!(reader.problems(), ["MONITOR_TOKEN: its value is not taken: expected one word"]);
    }

    #[test]
    fn the_spool_is_on_unless_it_is_switched_off() {
        let dir = |value: &str| read(&[("MONITOR_ENABLED", "1"), ("MONITOR_SPOOL_DIR", value)]).0.spool_dir;
        assert_eq!((dir(""), dir("off"), dir(" OFF ")), (default_dir(), None, None));
        assert_eq!(dir("below"), Some(std::env::current_dir().unwrap().join("below")), "whatever folder the program goes to");
    }

    #[cfg(unix)]
    #[test]
    fn a_folder_may_be_of_any_bytes_and_a_value_may_not() {
        use std::os::unix::ffi::OsStringExt;

        let bytes = || OsString::from_vec(b"/var/\xff".to_vec());
        let get = |name: &str| Some(if name == "MONITOR_ENABLED" { "1".into() } else { bytes() }).filter(|_| name != "MONITOR_LAUNCH");
        let mut reader = Reader::new(&get);
        assert_eq!(Settings::read(&mut reader), Settings { enabled: true, spool_dir: Some(bytes().into()), ..Settings::default() });
        let problems = reader.problems();
        assert_eq!(problems.len(), 12, "{problems:?}");
    }

    #[test]
    fn good_values_are_taken() {
        let (settings, problems) = read(&[
            ("MONITOR_ENABLED", "yes"),
            ("MONITOR_BUFFER_BYTES", "1000000"),
            ("MONITOR_SPOOL_DIR", "/var/spool/of mine"),
            ("MONITOR_SPOOL_BYTES", "10MiB"),
            ("MONITOR_FOLD_AFTER", "off"),
            ("MONITOR_FOLD_BELOW", "250us"),
            ("MONITOR_FILTER", "info,app::db=off"),
            ("MONITOR_EVENTS", "watched,span:off,render*=roots"),
            ("MONITOR_HEARTBEAT", "500ms"),
            ("MONITOR_STRAY", "skip"),
            ("MONITOR_EXIT_TIMEOUT", "0s"),
            ("MONITOR_LOG", "stderr"),
            ("MONITOR_ROOT_ID", "0199a3ce929d0e0e47360199a3ce929d"),
            ("MONITOR_PARENT_ID", "ffffffffffffffff"),
            ("MONITOR_LAUNCH", "x"),
        ]);
        assert_eq!(problems, Vec::<String>::new());
        let expected = Settings {
            enabled: true,
            buffer_bytes: 1_000_000,
            spool_dir: Some("/var/spool/of mine".into()),
            spool_bytes: 10 << 20,
            fold_after: u64::MAX,
            strays: Strays::Skip,
            fold_below: Some(Duration::from_micros(250)),
            filter: "info,app::db=off".parse().ok(),
            events: "watched,span:off,render*=roots".parse().expect("levels"),
            heartbeat: Duration::from_millis(500),
            exit_timeout: Duration::ZERO,
            log: Log::Stderr,
            inherited: RootId::new(0x0199_a3ce_929d_0e0e_4736_0199_a3ce_929d).zip(ProcessId::new(u64::MAX)),
            launch: Some("x".to_owned()),
        };
        assert_eq!(settings, expected);
    }
}
