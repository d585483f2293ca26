//! The specification of a run: the command and its settings.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::RunError;
use crate::plain;
use crate::secret::Secret;

/// Longest kind of a process, in bytes.
const LONGEST_KIND: usize = 100;

/// A command and the conditions that it runs under.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Spec {
    /// The program, looked up on `PATH`, and its arguments.
    #[serde(with = "plain::words")]
    pub command: Vec<OsString>,
    /// Id of the run, if it is detached; else one is made up. An id is given once.
    pub id: Option<String>,
    /// Ids of the process that the run is recorded as: of its tree, 32 hexadecimal digits, and its own, 16 of them. Else they are made up.
    pub process: Option<ProcessIds>,
    /// Name of the process; else the program's.
    pub name: Option<String>,
    /// Kind of the process; else `script`.
    pub kind: Option<String>,
    /// The batch mark of a root.
    pub batch: Option<String>,
    /// Fields of the process.
    pub fields: BTreeMap<String, String>,
    /// Other processes that it has to do with.
    pub links: Vec<Link>,
    /// Words of which arguments are hidden where the command is recorded; `*` hides all.
    pub mask: Vec<String>,
    /// Where it runs; else where the launcher does.
    #[serde(with = "plain::path")]
    pub cwd: Option<PathBuf>,
    /// The user that it runs as, by name or number; only for launchers that may change it.
    pub user: Option<String>,
    /// The group that it runs in, by name or number; else the first one of its user.
    pub group: Option<String>,
    /// It has only those of the launcher's variables that [`CLEAN`] names.
    pub clean_env: bool,
    /// Set in its environment besides.
    #[serde(with = "plain::pairs")]
    pub env: Vec<(OsString, OsString)>,
    /// Variables of its environment whose values are written down nowhere: the launcher reads them where these say.
    pub secrets: BTreeMap<String, Secret>,
    /// A shell's command that runs before the first attempt; if it fails, nothing else is started.
    #[serde(with = "plain::words")]
    pub before: Vec<OsString>,
    /// A shell's command that runs after the last attempt, however that ended.
    #[serde(with = "plain::words")]
    pub after: Vec<OsString>,
    /// How long an attempt may take.
    #[serde(with = "plain::maybe_duration")]
    pub timeout: Option<Duration>,
    /// After so long an attempt is warned of, once.
    #[serde(with = "plain::maybe_duration")]
    pub warn_after: Option<Duration>,
    /// Between SIGTERM and SIGKILL.
    #[serde(with = "plain::duration")]
    pub grace: Duration,
    /// How much CPU time it may take.
    #[serde(with = "plain::maybe_duration")]
    pub cpu: Option<Duration>,
    /// How many bytes of memory it may have.
    pub memory: Option<u64>,
    /// Added to its niceness.
    pub nice: Option<i32>,
    /// How often it is tried again when it fails.
    pub retry: u32,
    /// Before the second attempt; twice as long before each further one.
    #[serde(with = "plain::duration")]
    pub backoff: Duration,
    /// Meanings of exit codes; else 0 is a success and all others are failures.
    pub exits: BTreeMap<u8, Verdict>,
    /// Output that goes to a file is taken as well.
    pub capture: bool,
    /// Its output is also written to a file below this folder.
    #[serde(with = "plain::path")]
    pub log_dir: Option<PathBuf>,
    /// So many bytes of the output are kept, there and in the folder of a detached run: the first half and the last one.
    pub log_bytes: u64,
    /// What becomes of it when the launcher is killed.
    pub on_launcher_death: OnDeath,
    /// If the launcher is killed before it has started the command, nobody says how the run ended: whoever asked for it starts it again.
    pub start_again: bool,
    /// The kinds of programs that get monitoring injected.
    pub inject: Vec<Inject>,
    /// Names the functions of [`Inject::Python`]; else `monitor-python.toml` where the command runs.
    #[serde(with = "plain::path")]
    pub inject_config: Option<PathBuf>,
}

/// The launcher's variables that a command with a clean environment has, besides those that begin with `MONITOR_`.
pub const CLEAN: [&str; 9] = ["HOME", "LANG", "LC_ALL", "LOGNAME", "PATH", "SHELL", "TERM", "TZ", "USER"];

/// Ids of a process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessIds {
    /// Id of its tree.
    pub root_id: String,
    /// Its own.
    pub process_id: String,
}

/// Another process, and what it is to the run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// Tree of the other process.
    pub root_id: String,
    /// The other process.
    pub process_id: String,
    /// What it is to this one: `triggered_by`, `retry_of`, or any other word.
    pub relation: String,
}

/// Meaning of an exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It went well.
    Ok,
    /// It failed.
    Failed,
    /// It failed, and is not tried again.
    Final,
    /// It was given up.
    Cancelled,
}

/// A kind of program that gets monitoring injected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Inject {
    /// Scripts for bash: each command.
    Shell,
    /// Python: the functions that a configuration names.
    Python,
}

/// What becomes of a command whose launcher is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnDeath {
    /// It goes on.
    #[default]
    Continue,
    /// It is killed, with all that it has started.
    Kill,
}

impl Default for Spec {
    fn default() -> Self {
        Self {
            command: Vec::new(),
            id: None,
            process: None,
            name: None,
            kind: None,
            batch: None,
            fields: BTreeMap::new(),
            links: Vec::new(),
            mask: Vec::new(),
            cwd: None,
            user: None,
            group: None,
            clean_env: false,
            env: Vec::new(),
            secrets: BTreeMap::new(),
            before: Vec::new(),
            after: Vec::new(),
            timeout: None,
            warn_after: None,
            grace: Duration::from_secs(5),
            cpu: None,
            memory: None,
            nice: None,
            retry: 0,
            backoff: Duration::from_secs(1),
            exits: BTreeMap::new(),
            capture: false,
            log_dir: None,
            log_bytes: 100 << 20,
            on_launcher_death: OnDeath::Continue,
            start_again: false,
            inject: Vec::new(),
            inject_config: None,
        }
    }
}

impl Spec {
    /// A command with its arguments, under no conditions.
    pub fn new(command: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        Self { command: command.into_iter().map(Into::into).collect(), ..Self::default() }
    }

    /// Looks whether it can be run at all.
    ///
    /// # Errors
    /// When there is no command, or something that was asked for makes no sense.
    pub fn check(&self) -> Result<(), RunError> {
        if self.command.first().is_none_or(|program| program.is_empty()) {
            return Err(RunError::NoCommand);
        }
        let bad = |what: String| Err(RunError::BadSpec { what });
        if let Some(ids) = &self.process {
            check_id("the id of a tree", &ids.root_id, 32)?;
            check_id("the id of a process", &ids.process_id, 16)?;
        }
        for link in &self.links {
            check_id("the id of a tree", &link.root_id, 32)?;
            check_id("the id of a process", &link.process_id, 16)?;
            check_kind("what a link says", &link.relation)?;
        }
        if let Some(kind) = &self.kind {
            check_kind("the kind of a process", kind)?;
        }
        let names = self.env.iter().map(|(name, _)| name.to_string_lossy().into_owned()).chain(self.secrets.keys().cloned());
        for name in names {
            if name.is_empty() || name.contains(['=', '\0']) {
                return bad(format!("{name:?} can't be the name of a variable"));
            }
        }
        if self.env.iter().any(|(_, value)| value.as_encoded_bytes().contains(&0)) {
            return bad("the value of a variable can't hold a zero byte".to_owned());
        }
        if self.fields.keys().any(String::is_empty) {
            return bad("a field needs a name".to_owned());
        }
        Ok(())
    }

    /// Name of its process.
    pub fn shown_name(&self) -> String {
        self.name.clone().unwrap_or_else(|| {
            let program = self.command.first().map(PathBuf::from).unwrap_or_default();
            program.file_name().unwrap_or(program.as_os_str()).to_string_lossy().into_owned()
        })
    }

    /// A path as the command would read it, which may run in another folder than this program.
    pub fn in_folder(&self, path: &Path) -> PathBuf {
        self.cwd.as_deref().map_or_else(|| path.to_owned(), |cwd| cwd.join(path))
    }

    /// Name of the folder that it runs in. This program's own may have been removed, which its name then says.
    pub fn shown_folder(&self) -> PathBuf {
        let here = || std::env::current_dir().or_else(|_| std::fs::read_link("/proc/self/cwd")).unwrap_or_default();
        match &self.cwd {
            Some(cwd) if cwd.is_absolute() => cwd.clone(),
            Some(cwd) => here().join(cwd),
            None => here(),
        }
    }
}

fn check_id(what: &str, id: &str, digits: usize) -> Result<(), RunError> {
    let is_good = id.len() == digits && id.bytes().all(|digit| digit.is_ascii_hexdigit()) && id.bytes().any(|digit| digit != b'0');
    let error = || RunError::BadSpec { what: format!("{id:?} can't be {what}: {digits} hexadecimal digits, not all 0") };
    is_good.then_some(()).ok_or_else(error)
}

fn check_kind(what: &str, kind: &str) -> Result<(), RunError> {
    let is_good = (1..=LONGEST_KIND).contains(&kind.len()) && !kind.chars().any(char::is_control);
    is_good.then_some(()).ok_or_else(|| RunError::BadSpec { what: format!("{kind:?} can't be {what}: 1 to {LONGEST_KIND} bytes of text") })
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt;

    use super::*;

    #[test]
    fn its_file_is_readable_and_read_again() {
        let spec = Spec {
            timeout: Some(Duration::from_millis(1_500)),
            cwd: Some("/srv".into()),
            env: vec![("A".into(), "b".into()), ("C".into(), OsString::from_vec(vec![0xff]))],
            secrets: [("TOKEN".to_owned(), Secret::File("/run/token".into())), ("KEY".to_owned(), Secret::Env("MY_KEY".to_owned()))].into(),
            exits: [(24, Verdict::Ok)].into(),
            ..Spec::new(["sh", "-c", "exit 3"])
        };
        let text = serde_json::to_string(&spec).unwrap();
        for part in [
            r#""command":["sh","-c","exit 3"]"#,
            r#""timeout":"1s500ms""#,
            r#""cwd":"/srv""#,
            r#"["A","b"]"#,
            r#""TOKEN":{"file":"/run/token"}"#,
            r#""KEY":{"env":"MY_KEY"}"#,
            r#""exits":{"24":"ok"}"#,
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
        assert_eq!(serde_json::from_str::<Spec>(&text).unwrap(), spec);
    }

    #[test]
    fn fields_of_a_later_version_are_ignored_and_a_wrong_duration_is_named() {
        let text = r#"{"command":["sh"],"timeout":"2s","a field of a later one":1}"#;
        let spec: Spec = serde_json::from_str(text).unwrap();
        assert_eq!((spec.command, spec.timeout), (vec!["sh".into()], Some(Duration::from_secs(2))));
        assert!(serde_json::from_str::<Spec>(r#"{"timeout":"soon"}"#).unwrap_err().to_string().contains("\"soon\": expected a duration"));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let ids = |root: &str, process: &str| Some(ProcessIds { root_id: root.to_owned(), process_id: process.to_owned() });
        let good = Spec::new(["true"]);
        let (root, process) = ("0123456789abcdef0123456789abcdef", "0123456789abcdef");
        let bad = [
            Spec { process: ids("", process), ..good.clone() },
            Spec { process: ids(&"0".repeat(32), process), ..good.clone() },
            Spec { process: ids(root, &"g".repeat(16)), ..good.clone() },
            Spec { process: ids(root, root), ..good.clone() },
            Spec { kind: Some(String::new()), ..good.clone() },
            Spec { kind: Some("a\n".to_owned()), ..good.clone() },
            Spec { kind: Some("x".repeat(101)), ..good.clone() },
            Spec { env: vec![("".into(), "".into())], ..good.clone() },
            Spec { env: vec![("A=B".into(), "".into())], ..good.clone() },
            Spec { env: vec![("A".into(), "\0".into())], ..good.clone() },
            Spec { secrets: [("A=".to_owned(), Secret::Env("B".to_owned()))].into(), ..good.clone() },
            Spec { fields: [(String::new(), String::new())].into(), ..good.clone() },
            Spec {
                links: vec![Link { root_id: root.to_owned(), process_id: String::new(), relation: "triggered_by".to_owned() }],
                ..good.clone()
            },
        ];
        for bad in bad {
            assert!(matches!(bad.check(), Err(RunError::BadSpec { .. })), "{bad:?}");
        }
        assert!(matches!(Spec::new([""]).check(), Err(RunError::NoCommand)));
        assert!(Spec { process: ids(root, process), kind: Some("job".to_owned()), ..good }.check().is_ok());
    }
}
