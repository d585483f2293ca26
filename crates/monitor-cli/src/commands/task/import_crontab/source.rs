//! Sources of crontabs: the user's own, through the program `crontab`, and files.

use std::io::{Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail, ensure};
use etcetera::BaseStrategy as _;
use monitor_tasks::crontab::Form;

/// Maximum size of a crontab, plus one byte to detect larger files. Cron allows 1 MiB.
const MOST: u64 = (1 << 20) + 1;

/// A crontab.
#[derive(Debug)]
pub(super) enum Source {
    Stdin {
        form: Form,
    },
    File {
        path: PathBuf,
        form: Form,
    },
    /// The user's own crontab.
    Own,
}

/// All crontabs in the arguments.
pub(super) fn all(files: &[PathBuf], is_system: bool) -> anyhow::Result<Vec<Source>> {
    if files.is_empty() {
        return Ok(vec![Source::Own]);
    }
    let mut sources = Vec::new();
    for path in files {
        let form = |file: &Path| if is_system || is_of_system(file) { Form::System } else { Form::User };
        if path == Path::new("-") {
            sources.push(Source::Stdin { form: form(path) });
        } else if path.is_dir() {
            let unread = || format!("{} could not be read", path.display());
            let mut found: Vec<_> = std::fs::read_dir(path).with_context(unread)?.collect::<Result<_, _>>().with_context(unread)?;
            found.sort_by_key(std::fs::DirEntry::file_name);
            // Cron ignores hidden files, and files left by editors and packages.
            let is_crontab = |name: &str| !name.contains('.') && !name.ends_with('~') && !name.starts_with('#');
            let names = found.into_iter().filter(|entry| is_crontab(&entry.file_name().to_string_lossy()));
            let paths = names.map(|entry| entry.path()).filter(|path| path.is_file());
            sources.extend(paths.map(|path| Source::File { form: form(&path), path }));
        } else {
            sources.push(Source::File { form: form(path), path: path.clone() });
        }
    }
    Ok(sources)
}

fn is_of_system(file: &Path) -> bool {
    file.parent().and_then(Path::file_name).is_some_and(|folder| folder == "cron.d") || file.ends_with("etc/crontab")
}

impl Source {
    pub(super) fn form(&self) -> Form {
        match self {
            Self::Stdin { form } | Self::File { form, .. } => *form,
            Self::Own => Form::User,
        }
    }

    pub(super) fn shown(&self) -> String {
        match self {
            Self::Stdin { .. } => "stdin".to_owned(),
            Self::File { path, .. } => path.display().to_string(),
            Self::Own => "crontab".to_owned(),
        }
    }

    pub(super) fn read(&self) -> anyhow::Result<String> {
        let mut bytes = Vec::new();
        match self {
            Self::Stdin { .. } => {
                std::io::stdin().lock().take(MOST).read_to_end(&mut bytes).context("the standard input could not be read")?;
            }
            Self::File { path, .. } => {
                let opened = std::fs::File::open(path).and_then(|opened| opened.take(MOST).read_to_end(&mut bytes));
                opened.with_context(|| format!("{} could not be read", path.display()))?;
            }
            Self::Own => {
                let output = Command::new("crontab").arg("-l").stdin(Stdio::null()).output();
                let output = output.context("`crontab -l` could not be started: name the crontab's file")?;
                let said = String::from_utf8_lossy(&output.stderr);
                if !output.status.success() && !said.contains("no crontab for") {
                    bail!("`crontab -l` failed: {}", said.trim());
                }
                bytes = output.stdout;
            }
        }
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Replaces the text `old` and keeps a copy of it. Returns the path of the copy.
    ///
    /// # Errors
    /// If the crontab has changed or can't be written. It is left unchanged then.
    pub(super) fn replace(&self, old: &str, new: &str) -> anyhow::Result<PathBuf> {
        // A text that is not UTF-8 can't be written back unchanged.
        ensure!(!old.contains('\u{fffd}'), "{} is no UTF-8: change its lines yourself", self.shown());
        ensure!(old.len() < MOST as usize, "{} is too long", self.shown());
        ensure!(self.read()? == old, "{} was changed meanwhile: do this again", self.shown());
        let copy = match self {
            Self::Stdin { .. } => bail!("the standard input can't be changed"),
            Self::File { path, .. } => replace_file(path, old, new)?,
            Self::Own => {
                let copy = free_name(&copies()?, "crontab");
                write_synced(&copy, old, 0o600)?;
                let mut child =
                    Command::new("crontab").arg("-").stdin(Stdio::piped()).spawn().context("`crontab -` could not be started")?;
                let written = child.stdin.take().map_or(Ok(()), |mut stdin| stdin.write_all(new.as_bytes()));
                let status = child.wait().context("`crontab -` could not be waited for")?;
                written.context("`crontab -` did not take the new crontab")?;
                ensure!(status.success(), "`crontab -` did not take the new crontab: {status}");
                copy
            }
        };
        ensure!(self.read()? == new, "{} is not as it was written: its copy is {}", self.shown(), copy.display());
        Ok(copy)
    }
}

/// Replaces a file atomically. The old text is kept in a hidden file in the same folder, which cron ignores.
fn replace_file(path: &Path, old: &str, new: &str) -> anyhow::Result<PathBuf> {
    let at_once = || format!("{} could not be written", path.display());
    // A symbolic link is kept.
    let path = path.canonicalize().with_context(at_once)?;
    let folder = path.parent().with_context(at_once)?;
    let name = path.file_name().with_context(at_once)?.to_string_lossy().into_owned();
    let about = std::fs::metadata(&path).with_context(at_once)?;
    let mode = about.permissions().mode() & 0o7777;
    let copy = free_name(folder, &format!(".{name}"));
    write_synced(&copy, old, mode)?;
    let part = folder.join(format!(".{name}.part"));
    // The file may be left from an interrupted run.
    let _ = std::fs::remove_file(&part);
    write_synced(&part, new, mode)?;
    if let Err(error) = std::os::unix::fs::chown(&part, Some(about.uid()), Some(about.gid()))
        && std::fs::metadata(&part).is_ok_and(|part| (part.uid(), part.gid()) != (about.uid(), about.gid()))
    {
        let _ = std::fs::remove_file(&part);
        return Err(error).with_context(at_once);
    }
    std::fs::rename(&part, &path).with_context(at_once)?;
    std::fs::File::open(folder).and_then(|folder| folder.sync_all()).with_context(at_once)?;
    Ok(copy)
}

fn write_synced(path: &Path, text: &str, mode: u32) -> anyhow::Result<()> {
    let at_once = || format!("{} could not be written", path.display());
    let mut file = std::fs::OpenOptions::new().create_new(true).write(true).open(path).with_context(at_once)?;
    file.set_permissions(std::fs::Permissions::from_mode(mode)).with_context(at_once)?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).with_context(at_once)
}

/// The folder for copies of the user's crontab.
fn copies() -> anyhow::Result<PathBuf> {
    let folders = etcetera::base_strategy::choose_native_strategy().context("there is no home folder for a copy of the crontab")?;
    let folder = folders.state_dir().unwrap_or_else(|| folders.data_dir()).join("monitor");
    std::fs::create_dir_all(&folder).with_context(|| format!("{} could not be created", folder.display()))?;
    Ok(folder)
}

/// A file name for a copy that is not in use.
fn free_name(folder: &Path, name: &str) -> PathBuf {
    let now = jiff::Zoned::now().strftime("%Y%m%d-%H%M%S").to_string();
    let first = folder.join(format!("{name}.before-monitor-{now}"));
    let numbered = (2..).map(|number| folder.join(format!("{name}.before-monitor-{now}-{number}")));
    let is_free = |path: &PathBuf| std::fs::symlink_metadata(path).is_err();
    std::iter::once(first).chain(numbered).find(is_free).expect("numbers don't end")
}
