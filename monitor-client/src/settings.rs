//! What the environment says. A bad value is reported once and the default taken; it never stops the program.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use monitor_wire::{ProcessId, RootId};
use reqwest::Url;

const SERVER_URL: &str = "http://127.0.0.1:60010";

/// The client's settings.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Settings {
    /// Whether anything is recorded at all.
    pub(crate) enabled: bool,
    /// Where events are posted.
    pub(crate) events_url: Url,
    /// Sent as `Authorization: Bearer`.
    pub(crate) token: Option<String>,
    /// Bound of what waits to be sent.
    pub(crate) buffer_bytes: usize,
    /// Where what is recorded outlives the program; none to keep it in memory alone.
    pub(crate) spool_dir: Option<PathBuf>,
    /// Bound of what this program may keep there.
    pub(crate) spool_bytes: u64,
    /// So many children of one parent and name are shipped singly.
    pub(crate) fold_after: u64,
    /// How often the server hears that this program is alive.
    pub(crate) heartbeat: Duration,
    /// How long the end of the program may wait for the server.
    pub(crate) exit_timeout: Duration,
    /// Own messages go to stderr as well.
    pub(crate) log_to_stderr: bool,
    /// The tree and the process that started this program.
    pub(crate) inherited: Option<(RootId, ProcessId)>,
}

impl Settings {
    /// Reads the settings through `get`, and what is wrong with them.
    pub(crate) fn read(get: impl Fn(&str) -> Option<OsString>) -> (Self, Vec<String>) {
        let mut reader = Reader { get, problems: Vec::new() };
        let enabled = reader.value("MONITOR_ENABLED", "1, true, on or yes to record, 0, false, off or no not to", false, switch);
        if !enabled {
            // Nothing else matters, nor is anybody to be told about it.
            let problems = reader.problems;
            return (Self { enabled, ..Self::default() }, problems);
        }
        let default = Self::default();
        let settings = Self {
            enabled,
            events_url: reader.value("MONITOR_SERVER_URL", "a URL such as http://127.0.0.1:60010", default.events_url, |text| {
                url(text.trim()).map(|base| events_url(&base))
            }),
            token: reader.value("MONITOR_TOKEN", "printable characters", None, |text| token(text).map(Some)),
            buffer_bytes: reader.value("MONITOR_BUFFER_BYTES", "a number of bytes from 65536 on", default.buffer_bytes, |text| {
                text.trim().parse().ok().filter(|bytes| *bytes >= 65_536)
            }),
            spool_dir: reader.value("MONITOR_SPOOL_DIR", "a folder, or off", Dir::Default, |text| Some(dir(text))).path(),
            spool_bytes: reader.value("MONITOR_SPOOL_BYTES", "a number of bytes from 4194304 on", default.spool_bytes, |text| {
                text.trim().parse().ok().filter(|bytes| *bytes >= 4_194_304)
            }),
            fold_after: reader.value("MONITOR_FOLD_AFTER", "a number from 1 on, or off", default.fold_after, |text| match text.trim() {
                "off" => Some(u64::MAX),
                number => number.parse().ok().filter(|number| *number > 0),
            }),
            heartbeat: reader.value("MONITOR_HEARTBEAT", "a duration from 100ms to 1h, such as 10s", default.heartbeat, |text| {
                duration(text).filter(|d| (Duration::from_millis(100)..=Duration::from_secs(3_600)).contains(d))
            }),
            exit_timeout: reader.value("MONITOR_EXIT_TIMEOUT", "a duration such as 500ms, 2s or 1m", default.exit_timeout, duration),
            log_to_stderr: reader.value("MONITOR_LOG", "stderr, or nothing", false, |text| match text.trim() {
                "" => Some(false),
                "stderr" => Some(true),
                _ => None,
            }),
            inherited: {
                let root = reader.value("MONITOR_ROOT_ID", "32 lower-case hex digits", Id(None), id);
                let parent = reader.value("MONITOR_PARENT_ID", "16 lower-case hex digits", Id(None), id);
                root.0.zip(parent.0)
            },
        };
        (settings, reader.problems)
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            enabled: false,
            events_url: events_url(&Url::parse(SERVER_URL).expect("a constant")),
            token: None,
            buffer_bytes: 64 * 1024 * 1024,
            spool_dir: None,
            spool_bytes: 256 * 1024 * 1024,
            fold_after: 1_000,
            heartbeat: Duration::from_secs(10),
            exit_timeout: Duration::from_secs(2),
            log_to_stderr: false,
            inherited: None,
        }
    }
}

struct Reader<G> {
    get: G,
    problems: Vec<String>,
}

impl<G: Fn(&str) -> Option<OsString>> Reader<G> {
    /// The value of `name`, or `default` when it is absent or, with a report, when it is not what is `wanted`.
    fn value<T>(&mut self, name: &str, wanted: &str, default: T, parse: impl Fn(&str) -> Option<T>) -> T {
        let Some(raw) = (self.get)(name) else { return default };
        if let Some(value) = raw.to_str().and_then(parse) {
            return value;
        }
        // A token is a secret even when it is wrong.
        let shown = if name == "MONITOR_TOKEN" { "its value".to_owned() } else { shortened(&raw.to_string_lossy()) };
        self.problems.push(format!("{name}: {shown} is not taken: expected {wanted}"));
        default
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

fn url(text: &str) -> Option<Url> {
    if text.is_empty() {
        return Url::parse(SERVER_URL).ok();
    }
    let url = Url::parse(text).ok()?;
    (matches!(url.scheme(), "http" | "https") && url.has_host()).then_some(url)
}

fn events_url(base: &Url) -> Url {
    let mut url = base.clone();
    url.set_query(None);
    url.set_fragment(None);
    url.set_path(&format!("{}/api/v1/events", base.path().trim_end_matches('/')));
    url
}

fn token(text: &str) -> Option<String> {
    let text = text.trim();
    text.bytes().all(|b| (0x21..0x7f).contains(&b)).then(|| text.to_owned())
}

enum Dir {
    Off,
    Default,
    At(PathBuf),
}

impl Dir {
    /// The whole path: the program may change its folder.
    fn path(self) -> Option<PathBuf> {
        let path = match self {
            Dir::Off => None,
            Dir::Default => monitor_spool::default_dir(),
            Dir::At(path) => Some(path),
        };
        path.map(|path| std::path::absolute(&path).unwrap_or(path))
    }
}

fn dir(text: &str) -> Dir {
    match text.trim() {
        "" => Dir::Default,
        off if off.eq_ignore_ascii_case("off") => Dir::Off,
        _ => Dir::At(PathBuf::from(text)),
    }
}

/// An id that may be absent, which is not the same as malformed.
struct Id<T>(Option<T>);

fn id<T: std::str::FromStr>(text: &str) -> Option<Id<T>> {
    if text.is_empty() { Some(Id(None)) } else { text.parse().ok().map(|id| Id(Some(id))) }
}

/// `500ms`, `2s`, `1m`, `1h`.
fn duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let number: u64 = text[..digits].parse().ok()?;
    let unit_ms: u64 = match &text[digits..] {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    number.checked_mul(unit_ms).map(Duration::from_millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> (Settings, Vec<String>) {
        Settings::read(|name| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value)))
    }

    #[test]
    fn the_switch_reads_the_words_people_write() {
        for on in ["1", "true", "TRUE", "On", "yes", " 1 "] {
            assert_eq!((read(&[("MONITOR_ENABLED", on)]).0.enabled, read(&[("MONITOR_ENABLED", on)]).1.len()), (true, 0), "{on:?}");
        }
        for off in ["", "0", "false", "Off", "NO"] {
            assert_eq!((read(&[("MONITOR_ENABLED", off)]).0.enabled, read(&[("MONITOR_ENABLED", off)]).1.len()), (false, 0), "{off:?}");
        }
        assert!(!read(&[]).0.enabled);
        let (settings, problems) = read(&[("MONITOR_ENABLED", "enabled")]);
        assert!(!settings.enabled);
        assert!(problems[0].contains("MONITOR_ENABLED") && problems[0].contains("\"enabled\""), "{problems:?}");
    }

    /// Setting, value, and what a message about it must say.
    #[test]
    fn a_bad_value_is_reported_and_the_default_taken() {
        let long = "x".repeat(100_000);
        for (name, value) in [
            ("MONITOR_SERVER_URL", "not a url"),
            ("MONITOR_SERVER_URL", "ftp://host"),
            ("MONITOR_SERVER_URL", long.as_str()),
            ("MONITOR_TOKEN", "two words\n"),
            ("MONITOR_BUFFER_BYTES", "64MiB"),
            ("MONITOR_BUFFER_BYTES", "1"),
            ("MONITOR_BUFFER_BYTES", "99999999999999999999999"),
            ("MONITOR_SPOOL_BYTES", "4194303"),
            ("MONITOR_SPOOL_BYTES", "much"),
            ("MONITOR_FOLD_AFTER", "0"),
            ("MONITOR_FOLD_AFTER", "-1"),
            ("MONITOR_FOLD_AFTER", "never"),
            ("MONITOR_HEARTBEAT", "0s"),
            ("MONITOR_HEARTBEAT", "10"),
            ("MONITOR_EXIT_TIMEOUT", "-1s"),
            ("MONITOR_EXIT_TIMEOUT", "18446744073709551615h"),
            ("MONITOR_LOG", "stdout"),
            ("MONITOR_ROOT_ID", "00000000000000000000000000000000"),
            ("MONITOR_PARENT_ID", "A3CE929D0E0E4736"),
        ] {
            let (settings, problems) = read(&[("MONITOR_ENABLED", "1"), (name, value)]);
            assert_eq!(settings, Settings { enabled: true, spool_dir: monitor_spool::default_dir(), ..Settings::default() }, "{name}");
            assert_eq!(problems.len(), 1, "{name}: {problems:?}");
            assert!(problems[0].starts_with(name) && problems[0].contains("expected") && problems[0].len() < 400, "{problems:?}");
            assert!(name != "MONITOR_TOKEN" || !problems[0].contains("two words"), "{problems:?}");
        }
    }

    #[test]
    fn the_spool_is_on_unless_it_is_said_to_be_off() {
        let dir = |value: &str| read(&[("MONITOR_ENABLED", "1"), ("MONITOR_SPOOL_DIR", value)]).0.spool_dir;
        assert_eq!((dir(""), dir("off"), dir(" OFF ")), (monitor_spool::default_dir(), None, None));
        assert_eq!(dir("below"), Some(std::env::current_dir().unwrap().join("below")), "whatever folder the program goes to");
    }

    #[test]
    fn good_values_are_taken() {
        let (settings, problems) = read(&[
            ("MONITOR_ENABLED", "yes"),
            ("MONITOR_SERVER_URL", "http://monitor.example:1234/below/?x=1#y"),
            ("MONITOR_TOKEN", "secret"),
            ("MONITOR_BUFFER_BYTES", "1000000"),
            ("MONITOR_SPOOL_DIR", "/var/spool/of mine"),
            ("MONITOR_SPOOL_BYTES", "10000000"),
            ("MONITOR_FOLD_AFTER", "20"),
            ("MONITOR_HEARTBEAT", "500ms"),
            ("MONITOR_EXIT_TIMEOUT", "0s"),
            ("MONITOR_LOG", "stderr"),
            ("MONITOR_ROOT_ID", "0199a3ce929d0e0e47360199a3ce929d"),
            ("MONITOR_PARENT_ID", "ffffffffffffffff"),
        ]);
        assert_eq!(problems, Vec::<String>::new());
        assert_eq!(settings.events_url.as_str(), "http://monitor.example:1234/below/api/v1/events");
        assert_eq!((settings.heartbeat, settings.exit_timeout), (Duration::from_millis(500), Duration::ZERO));
        assert_eq!((settings.fold_after, read(&[("MONITOR_ENABLED", "1"), ("MONITOR_FOLD_AFTER", "off")]).0.fold_after), (20, u64::MAX));
        assert_eq!(settings.inherited.unwrap().1.get(), u64::MAX);
        assert_eq!((settings.spool_dir, settings.spool_bytes), (Some(PathBuf::from("/var/spool/of mine")), 10_000_000));
        assert!(settings.log_to_stderr && settings.token.as_deref() == Some("secret") && settings.buffer_bytes == 1_000_000);
    }
}
