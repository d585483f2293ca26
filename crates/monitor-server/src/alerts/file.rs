//! `alerts.toml`, which is checked for changes at an interval, and a copy of its last valid version.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use monitor_alerts::{Mistake, Settings};
use monitor_store_sqlite::write_private;
use monitor_tasks::reading::Source;

use super::template::check;

/// Maximum size of the file, in bytes.
const LARGEST: u64 = 1 << 20;

/// The file, and its state at the last check.
#[derive(Debug)]
pub(crate) struct AlertsFile {
    path: PathBuf,
    /// Path of the copy of the last valid version. It is used if the server starts while the file has mistakes.
    copy: PathBuf,
    seen: Mutex<Option<Seen>>,
}

/// Modification time and size of the file. `None` if the file did not exist.
type Seen = Option<(SystemTime, u64)>;

impl AlertsFile {
    pub(crate) fn new(path: PathBuf, copy: PathBuf) -> Self {
        Self { path, copy, seen: Mutex::default() }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the settings in the file, or its mistakes with their places. Returns `None` if the file has not changed since the last call.
    /// A missing file counts as empty.
    pub(crate) fn read(&self) -> Option<Result<Settings, Vec<String>>> {
        let found = self.path.metadata().ok().and_then(|metadata| Some((metadata.modified().ok()?, metadata.len())));
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if *seen == Some(found) {
            return None;
        }
        *seen = Some(found);
        let Some((_, size)) = found else {
            // The copy is deleted too, so that removed rules and channels do not return.
            let removed = std::fs::remove_file(&self.copy);
            self.noted(removed.or_else(|error| if error.kind() == ErrorKind::NotFound { Ok(()) } else { Err(error) }));
            return Some(Ok(Settings::default()));
        };
        Some(self.parse(size))
    }

    /// Makes the next [`read`](Self::read) return the file even if it has not changed.
    pub(crate) fn forget(&self) {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Returns the last valid version of the file, if there is one.
    pub(crate) fn last_good(&self) -> Option<Settings> {
        Settings::from_toml(&std::fs::read_to_string(&self.copy).ok()?).ok()
    }

    fn keep(&self, text: &str) {
        if !std::fs::read_to_string(&self.copy).is_ok_and(|kept| kept == text) {
            self.noted(write_private(&self.copy, text));
        }
    }

    fn noted(&self, done: std::io::Result<()>) {
        if let Err(error) = done {
            tracing::warn!(path = %self.copy.display(), %error, "the copy of alerts.toml can't be kept up to date");
        }
    }

    fn parse(&self, size: u64) -> Result<Settings, Vec<String>> {
        let at = |what: &dyn std::fmt::Display| format!("{}:{what}", self.path.display());
        if size > LARGEST {
            return Err(vec![at(&format_args!(" it is larger than {LARGEST} bytes"))]);
        }
        let text = std::fs::read_to_string(&self.path).map_err(|error| vec![at(&format_args!(" it can't be read: {error}"))])?;
        let settings = Settings::from_toml(&text).map_err(|mistakes| mistakes.iter().map(|mistake| at(mistake)).collect::<Vec<_>>())?;
        let broken = broken_templates(&text, &settings);
        if !broken.is_empty() {
            return Err(broken.iter().map(|mistake| at(mistake)).collect());
        }
        for warning in &settings.warnings {
            tracing::warn!("{}", at(warning));
        }
        self.keep(&text);
        Ok(settings)
    }
}

/// Returns the invalid templates of channels, with their places in the file.
fn broken_templates(text: &str, settings: &Settings) -> Vec<Mistake> {
    let Ok(source) = Source::toml(text) else { return Vec::new() };
    let broken = settings.channels.values().filter_map(|channel| Some((&channel.name, check(channel.template.as_deref()?).err()?)));
    broken.map(|(name, why)| source.mistake_at(&format!("/channel/{name}/template"), why)).collect()
}
