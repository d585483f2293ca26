//! Records processes inside a command without changes to its code. Hooks for shells and Python are injected by environment variables. They
//! report what the command does through a FIFO, the feed.
//!
//! A hook writes lines of tab-separated words. Each line has at most 4,096 bytes, so that lines of several writers don't interleave:
//! ```text
//! S  id  parent  tree  kind  pid  place  batch  name      a process began
//! E  id  outcome  type  message                           the process ended: ok, failed, cancelled, or an exit code, which is no
//!                                                         failure if the type is `condition`
//! N  id                                                   the exit code of the script is not the outcome of this process
//! H  id                                                   other processes know the id
//! P                                                       a Python program has begun
//! L  count                                                number of lines that did not fit into the feed
//! ```
//! In a word, `\n`, `\t`, `\r` and `\\` are escape sequences.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::hash::BuildHasher;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use monitor_client::launcher::Exit;
use monitor_client::{Context, Process};
use monitor_runs::{Inject, RunError, Spec, Stat, mask};
use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::pipe::fcntl_setpipe_size;
use serde::{Deserialize, Serialize};

use crate::helper::wait_for;
use crate::secrets::Secrets;
use crate::sys;

const BASH: &str = include_str!("inject/hook.bash");
/// Files on the Python path, with their names.
const PYTHON: [(&str, &str); 3] = [
    ("sitecustomize.py", include_str!("inject/sitecustomize.py")),
    ("_monitor_calls.py", include_str!("inject/calls.py")),
    ("_monitor_after_celery.py", include_str!("inject/after_celery.py")),
];
/// Python module that connects tasks of Celery with the programs that send them and that they start.
pub const CELERY_MODULE: &str = include_str!("inject/monitor_celery.py");
/// Pipe size of the feed, in bytes.
const FEED: usize = 1 << 20;
/// Maximum length of a line, in bytes. Hooks never write longer lines.
const LONGEST_LINE: usize = 4 << 10;
/// Maximum number of open processes that are tracked.
const MOST: usize = 100_000;
/// Maximum number of bytes that are read from the file of late lines.
const MOST_LATE: u64 = 64 << 20;
/// Number of children with the same parent and name that have rows of their own, unless `MONITOR_FOLD_AFTER` sets another number. Further
/// children are folded.
const FOLD_AFTER: u64 = 100;

/// A `[[function]]` table of the configuration.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Function {
    path: String,
    #[serde(default)]
    kind: HookKind,
    name: Option<String>,
    batch: Option<String>,
    #[serde(default)]
    exclude: Vec<String>,
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
enum HookKind {
    Root,
    #[default]
    Normal,
    CrossThread,
    CrossProcess,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    #[serde(default)]
    function: Vec<Function>,
}

/// Files prepared before the command starts: a folder with the hooks and the feed. Dropping this removes the folder.
#[derive(Debug)]
pub(crate) struct Injection {
    folder: PathBuf,
    feed: File,
    /// Variables to set or remove in the command's environment.
    env: Vec<(OsString, Option<OsString>)>,
    folds: u64,
    /// Configuration file for Python functions, if Python is instrumented.
    python: Option<PathBuf>,
}

impl Injection {
    /// Prepares the injection. Returns `None` if `spec` requests none.
    ///
    /// # Errors
    /// If the configuration can't be read, or the folder can't be created.
    pub(crate) fn new(spec: &Spec) -> Result<Option<Self>, RunError> {
        if spec.inject.is_empty() {
            return Ok(None);
        }
        let config = spec.inject.contains(&Inject::Python).then(|| config_of(spec));
        let tables = config.as_deref().map(read).transpose()?;
        let place = std::env::var_os("XDG_RUNTIME_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
        let make = |place: &Path| {
            // A random name prevents another user from creating the folder first.
            let chance = RandomState::new().hash_one(std::process::id());
            let folder = place.join(format!("monitor-run-{chance:016x}"));
            DirBuilder::new().mode(0o700).create(&folder).map(|()| folder)
        };
        let refused = || RunError::system("make a folder for what --inject needs");
        let folder = make(&place).or_else(|_| make(&std::env::temp_dir())).map_err(refused())?;
        let injection = Self::fill(folder.clone(), spec, config.as_deref(), tables.as_deref());
        injection.map(Some).map_err(|error| {
            let _ = fs::remove_dir_all(&folder);
            refused()(error)
        })
    }

    fn fill(folder: PathBuf, spec: &Spec, config: Option<&Path>, tables: Option<&[Function]>) -> io::Result<Self> {
        let path = folder.join("feed");
        mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)?;
        let feed = OpenOptions::new().read(true).write(true).custom_flags(libc::O_NONBLOCK).open(&path)?;
        // The system may limit the size.
        let _ = fcntl_setpipe_size(&feed, FEED);
        let mut env: Vec<(OsString, Option<OsString>)> =
            vec![("MONITOR_FEED".into(), Some(path.into())), ("MONITOR_FEED_PID".into(), Some(std::process::id().to_string().into()))];
        let folds = if let Ok(asked) = std::env::var("MONITOR_FOLD_AFTER") {
            asked.trim().parse().unwrap_or(u64::MAX)
        } else {
            // Applies to records of this program. The variable is removed for the command.
            sys::set_env("MONITOR_FOLD_AFTER", FOLD_AFTER.to_string());
            env.push(("MONITOR_FOLD_AFTER".into(), None));
            FOLD_AFTER
        };
        env.push(("MONITOR_FEED_FOLDS".into(), Some(folds.min(i64::MAX as u64).to_string().into())));
        if spec.inject.contains(&Inject::Shell) {
            fs::write(folder.join("hook.bash"), BASH)?;
            env.extend(std::env::var_os("BASH_ENV").filter(|own| !is_hook(own)).map(|own| ("MONITOR_BASH_ENV".into(), Some(own))));
            env.push(("BASH_ENV".into(), Some(folder.join("hook.bash").into())));
        }
        let has_celery = spec.inject.contains(&Inject::Celery);
        if tables.is_some() || has_celery {
            let python = folder.join("python");
            fs::create_dir(&python)?;
            for (name, text) in PYTHON {
                fs::write(python.join(name), text)?;
            }
            if has_celery {
                fs::write(python.join("monitor_celery.py"), CELERY_MODULE)?;
            }
            if let Some(tables) = tables {
                fs::write(folder.join("python.json"), serde_json::to_vec(tables)?)?;
                env.push(("MONITOR_PYTHON_CONFIG".into(), Some(folder.join("python.json").into())));
            }
            let mut paths = python.into_os_string();
            if let Some(own) = std::env::var_os("PYTHONPATH").filter(|own| !own.is_empty()) {
                paths.push(":");
                paths.push(own);
            }
            env.push(("PYTHONPATH".into(), Some(paths)));
        }
        Ok(Self { folder, feed, env, folds, python: config.map(Path::to_owned) })
    }

    /// Returns the variables to set or remove in the command's environment.
    pub(crate) fn env(&self) -> impl Iterator<Item = (OsString, Option<OsString>)> {
        self.env.iter().cloned()
    }

    /// Records the lines of the feed on a new thread, until [`Following::stop`].
    pub(crate) fn follow(&self, secrets: &Secrets) -> Result<Following, RunError> {
        let refused = || RunError::system("follow what --inject tells");
        let feed = self.feed.try_clone().map_err(refused())?;
        let stop = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).map_err(|error| refused()(error.into()))?);
        let stopped = stop.clone();
        let (folds, python, secrets) = (self.folds, self.python.clone(), secrets.clone());
        let run = move || follow(feed, &stopped, OpenHooks { folds, secrets, ..OpenHooks::default() });
        let thread = std::thread::Builder::new().name("monitor-feed".to_owned()).spawn(run).map_err(refused())?;
        Ok(Following { stop, thread, python, late: self.folder.join("late") })
    }

    /// Keeps the folder. Called in the helper, which shares it with the launcher.
    pub(crate) fn forget(self) {
        std::mem::forget(self);
    }
}

impl Drop for Injection {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn is_hook(path: &OsString) -> bool {
    Path::new(path).file_name().is_some_and(|name| name == "hook.bash")
}

/// Returns the path of the configuration: the configured file, or `monitor-python.toml` in the command's folder.
fn config_of(spec: &Spec) -> PathBuf {
    spec.in_folder(spec.inject_config.as_deref().unwrap_or(Path::new("monitor-python.toml")))
}

fn read(path: &Path) -> Result<Vec<Function>, RunError> {
    let text = fs::read_to_string(path).map_err(|source| RunError::Folder {
        path: path.to_owned(),
        wanted: "can't be read: --inject python needs a configuration that names functions (--inject-config)",
        source,
    })?;
    let config: Config = toml::from_str(&text).map_err(|error| RunError::Config { path: path.to_owned(), message: error.to_string() })?;
    if let Some(bad) =
        config.function.iter().flat_map(|function| function.exclude.iter().chain([&function.path])).find(|path| !is_pattern(path))
    {
        let message = format!(
            "{bad:?} is no pattern: expected names with dots between, as `package.module.Class.method`; `*` is one, `**` any number of them"
        );
        return Err(RunError::Config { path: path.to_owned(), message });
    }
    if config.function.is_empty() {
        return Err(RunError::Config {
            path: path.to_owned(),
            message: "it names no function: add a [[function]] with a `path`".to_owned(),
        });
    }
    Ok(config.function)
}

fn is_pattern(path: &str) -> bool {
    path.split('.').all(|part| part == "**" || (!part.is_empty() && part.chars().all(|c| c == '_' || c == '*' || c.is_alphanumeric())))
}

/// A thread that reads the feed.
#[derive(Debug)]
pub(crate) struct Following {
    stop: Arc<OwnedFd>,
    thread: JoinHandle<OpenHooks>,
    python: Option<PathBuf>,
    /// File with lines that did not fit into the feed until the end of a program.
    late: PathBuf,
}

/// Problems of an injection, for the note on the run.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    /// Lines that found no room.
    pub(crate) lost: u64,
    /// Explanation if nothing was recorded.
    pub(crate) nothing: Option<String>,
}

impl Following {
    /// Stops the thread and records all remaining lines. The last step of the script gets the outcome `code`; other open processes are
    /// cancelled.
    pub(crate) fn stop(self, script: &str, code: u8) -> Heard {
        let _ = rustix::io::write(&self.stop, &1_u64.to_ne_bytes());
        let Ok(mut told) = self.thread.join() else { return Heard::default() };
        let late = File::open(&self.late).and_then(|file| {
            let mut text = String::new();
            file.take(MOST_LATE).read_to_string(&mut text).map(|_| text)
        });
        late.unwrap_or_default().lines().for_each(|line| told.line(line));
        let _ = fs::remove_file(&self.late);
        told.end_steps(script, &code.to_string());
        let nothing = self.python.filter(|_| !told.has_functions).map(|path| {
            if told.has_python {
                format!(
                    "nothing was heard of a function that {} names: the first part of a `path` is the name of the module or the script",
                    path.display()
                )
            } else {
                "no Python was seen: `python -I`, `-E` and `-S` leave the hook out, and so does a program that clears its environment"
                    .to_owned()
            }
        });
        let heard = Heard { lost: told.lost, nothing };
        told.end();
        heard
    }
}

fn follow(mut feed: File, stop: &OwnedFd, mut told: OpenHooks) -> OpenHooks {
    let (mut text, mut buffer) = (Vec::new(), vec![0; 64 << 10]);
    let mut is_last = false;
    loop {
        match feed.read(&mut buffer) {
            Ok(length) => {
                text.extend_from_slice(&buffer[..length]);
                let end = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
                for line in text[..end].split(|byte| *byte == b'\n').filter(|line| line.len() < LONGEST_LINE) {
                    told.line(&String::from_utf8_lossy(line));
                }
                text.drain(..end);
                // Discard an overlong line, which no hook wrote, up to its end.
                text.truncate(LONGEST_LINE);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                if is_last {
                    return told;
                }
                wait_for(&mut [PollFd::new(&feed, PollFlags::IN), PollFd::new(stop, PollFlags::IN)], None);
                is_last = wait_for(&mut [PollFd::new(stop, PollFlags::IN)], Some(std::time::Duration::ZERO));
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return told,
        }
    }
}

/// Processes that have started and not ended.
#[derive(Debug, Default)]
struct OpenHooks {
    open: HashMap<String, Open>,
    /// Current step of each script, by the script's parent and pid. A script reports no end of its own.
    steps: HashMap<(String, String), String>,
    /// Number of lines that were lost.
    lost: u64,
    /// Number of starts per parent and name. Beyond `folds`, only start and end of a process are recorded, so that it can be folded.
    seen: HashMap<(u64, String), u64>,
    folds: u64,
    /// True if a Python program, or a function in it, has started.
    has_python: bool,
    has_functions: bool,
    secrets: Secrets,
}

#[derive(Debug)]
struct Open {
    process: Process,
    /// Parent and pid of the script that contains this step.
    script: Option<(String, String)>,
    /// True if the exit code of the script is not the outcome of this step.
    is_untold: bool,
    /// True if the process is folded unless it fails.
    is_one_of_many: bool,
}

impl OpenHooks {
    fn line(&mut self, line: &str) {
        let words: Vec<&str> = line.split('\t').collect();
        match words[..] {
            ["S", id, parent, root, kind, pid, place, batch, name] => self.started(id, parent, root, kind, pid, place, batch, name),
            ["E", id, outcome, type_name, message] => self.ended(id, outcome, type_name, message),
            ["L", count] => self.lost += count.parse::<u64>().unwrap_or(0),
            ["N", id] => self.open.get_mut(id).into_iter().for_each(|open| open.is_untold = true),
            // Other processes know the id, so the process must be recorded individually. Reading its context has that effect.
            ["H", id] => self.open.get(id).into_iter().for_each(|open| _ = open.process.context()),
            ["P"] => self.has_python = true,
            // Unknown lines, for example from a newer version, are ignored.
            _ => {}
        }
    }

    /// Decodes a word and masks secrets in it.
    fn text(&self, word: &str) -> String {
        self.secrets.mask(unescape(word))
    }

    #[allow(clippy::too_many_arguments, reason = "the words of a line")]
    fn started(&mut self, id: &str, parent: &str, root: &str, kind: &str, pid: &str, place: &str, batch: &str, name: &str) {
        let number = |text: &str| u64::from_str_radix(text, 16).ok();
        let Ok(tree) = u128::from_str_radix(root, 16) else { return };
        let (Some(own), Some(above)) =
            (number(id).and_then(|id| Context::new(tree, id)), number(parent).and_then(|id| Context::new(tree, id)))
        else {
            return;
        };
        if self.open.len() >= MOST || self.open.contains_key(id) {
            return;
        }
        let mut builder =
            Process::builder(mask::without_passwords(&self.text(name))).kind(kind.to_owned()).nowhere().parent(above).again(own, 1);
        self.has_functions |= kind != "script";
        if self.seen.len() >= MOST {
            self.seen.clear();
        }
        let seen = self.seen.entry((above.process(), name.to_owned())).or_default();
        *seen += 1;
        let is_one_of_many = *seen > self.folds;
        if !is_one_of_many {
            if let Ok(pid) = pid.parse::<u32>() {
                builder = builder.field("pid", pid);
            }
            if !place.is_empty() {
                builder = builder.field("place", self.text(place));
            }
        }
        if !batch.is_empty() {
            builder = builder.batch(self.text(batch));
        }
        let script = (kind == "script").then(|| (parent.to_owned(), pid.to_owned()));
        if let Some(script) = &script {
            self.steps.insert(script.clone(), id.to_owned());
        }
        self.open.insert(id.to_owned(), Open { process: builder.begin(), script, is_untold: false, is_one_of_many });
    }

    /// Ends the steps of ended scripts below `parent`. If there is one such script, its last step gets `outcome`. If there are several, it
    /// is unknown which script had which outcome. Scripts that still run are not affected.
    fn end_steps(&mut self, parent: &str, outcome: &str) {
        let is_gone = |pid: &str| pid.parse().ok().and_then(Stat::of).is_none_or(Stat::is_dead);
        let ended: Vec<_> = self.steps.keys().filter(|(above, pid)| above == parent && is_gone(pid)).cloned().collect();
        let outcome = if ended.len() == 1 { outcome } else { "unknown" };
        for script in ended {
            if let Some(step) = self.steps.remove(&script) {
                let is_untold = self.open.get(&step).is_some_and(|open| open.is_untold);
                self.ended(&step, if is_untold { "unknown" } else { outcome }, "", "");
            }
        }
    }

    fn ended(&mut self, id: &str, outcome: &str, type_name: &str, message: &str) {
        self.end_steps(id, outcome);
        let Some(Open { process, script, is_one_of_many, .. }) = self.open.remove(id) else { return };
        if let Some(script) = script.filter(|script| self.steps.get(script).is_some_and(|step| step == id)) {
            self.steps.remove(&script);
        }
        match (outcome, outcome.parse::<i32>()) {
            ("ok", _) => process.succeed(),
            ("cancelled", _) => process.cancel(),
            ("unknown", _) => process.exited(Exit { reason: Some("unknown".into()), ..Exit::default() }),
            // An exit code would make each process distinct and prevent folding.
            (_, Ok(code)) if is_one_of_many && (code == 0 || type_name == "condition") => process.succeed(),
            (_, Ok(code)) => {
                let message = (code != 0 && type_name != "condition").then(|| format!("exit code {code}"));
                process.exited(Exit { code: Some(code), message, ..Exit::default() });
            }
            _ => {
                let message = self.text(message);
                let words = if message.is_empty() { type_name.to_owned() } else { format!("{}: {message}", unescape(type_name)) };
                process.fail(words);
            }
        }
    }

    /// Ends all open processes, because no further line is expected.
    fn end(mut self) {
        let steps: Vec<_> = self.steps.values().cloned().collect();
        for step in &steps {
            self.ended(step, "unknown", "", "");
        }
        for open in self.open.into_values() {
            open.process.cancel();
        }
    }
}

fn unescape(word: &str) -> String {
    let (mut text, mut chars) = (String::with_capacity(word.len()), word.chars());
    while let Some(c) = chars.next() {
        text.push(match c {
            '\\' => match chars.next() {
                Some('n') => '\n',
                Some('t') => '\t',
                Some('r') => '\r',
                Some(other) => other,
                None => '\\',
            },
            c => c,
        });
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("monitor-python.toml"), text).unwrap();
        let spec = Spec { cwd: Some(folder.path().to_owned()), ..Spec::new(["python3"]) };
        read(&config_of(&spec)).map_or_else(|error| error.to_string(), |functions| format!("{functions:?}"))
    }

    #[test]
    fn errors_of_a_configuration_name_their_place() {
        assert!(config("[[function]]\npath = \"app.**\"\nkind = \"cross_thread\"\n").contains("CrossThread"));
        for (text, says) in [
            ("[[function]]\npath = 3\n", "line 2, column 8"),
            ("[[function]]\npth = \"a\"\n", "unknown field `pth`"),
            ("[[function]]\npath = \"a\"\nkind = \"odd\"\n", "line 3, column 8"),
            ("[[function]]\npath = \"a..b\"\n", "\"a..b\" is no pattern"),
            ("[[function]\n", "line 1"),
            ("", "names no function"),
        ] {
            let error = config(text);
            assert!(error.contains(says), "{text:?}: {error}");
        }
        assert!(read(Path::new("/no/such/file")).is_err());
    }

    #[test]
    fn escaped_text_is_restored() {
        assert_eq!(unescape(r"a\nb\tc\\d\re\"), "a\nb\tc\\d\re\\");
    }
}
