//! `hosts.toml`: hosts and saved targets in a file, which is checked for changes at an interval.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read as _};
use std::path::Path;
use std::sync::PoisonError;
use std::time::Duration;

use monitor_store::JobStore;
use monitor_wire::{HostDefinition, Targets};
use serde::Deserialize;
use toml::Spanned;

use super::inventory::{HostChanges, MOST_SAVED, is_name, mistakes_of_host};
use super::{JobError, Jobs, MOST_HOSTS};
use crate::duties::Duty;

/// Interval at which the file is checked.
const INTERVAL: Duration = Duration::from_secs(2);
/// Maximum size of the file, in bytes.
const LARGEST: u64 = 32 << 20;
/// Maximum number of mistakes that are reported at once.
const MOST_MISTAKES: usize = 20;

/// Content of the file.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct HostsFile {
    pub(super) hosts: Vec<HostDefinition>,
    pub(super) saved: BTreeMap<String, Targets>,
}

/// The file as it is written in TOML.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default)]
    host: BTreeMap<Spanned<String>, WrittenHost>,
    #[serde(default)]
    targets: BTreeMap<Spanned<String>, Targets>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenHost {
    ip: Option<String>,
    ipv6: Option<String>,
    #[serde(default)]
    cloud_id: u64,
    #[serde(default)]
    tags: BTreeMap<String, String>,
    #[serde(default)]
    groups: Vec<String>,
    #[serde(default)]
    accounts: Vec<String>,
}

impl HostsFile {
    /// Parses the file.
    ///
    /// # Errors
    /// Lists the mistakes, each with its line.
    fn parse(text: &str) -> Result<Self, Vec<String>> {
        let at = |byte: usize, what: &str| format!("{}: {what}", 1 + text[..byte.min(text.len())].matches('\n').count());
        let Written { host, targets } =
            toml::from_str(text).map_err(|error| vec![at(error.span().map_or(0, |span| span.start), error.message())])?;
        let (mut file, mut mistakes) = (Self::default(), Vec::new());
        for (name, WrittenHost { ip, ipv6, cloud_id, tags, groups, accounts }) in host {
            let line = name.span().start;
            let host = HostDefinition { name: name.into_inner(), ip, ipv6, cloud_id, tags, groups, accounts, ..HostDefinition::default() };
            mistakes.extend(mistakes_of_host(&host).iter().map(|(key, why)| at(line, &format!("{key}: {why}"))));
            file.hosts.push(host);
        }
        for (name, targets) in targets {
            let line = name.span().start;
            if !is_name(name.get_ref()) {
                let why = "can't be a name: use 1 to 64 letters, digits and `.`, `-`, `_`, `@`";
                mistakes.push(at(line, &format!("{:?} {why}", name.get_ref().chars().take(80).collect::<String>())));
            }
            let wrong = monitor_jobs::check_saved(&targets).err().unwrap_or_default();
            mistakes.extend(wrong.iter().map(|why| at(line, why)));
            file.saved.insert(name.into_inner(), targets);
        }
        for (what, count, most) in [("hosts", file.hosts.len(), MOST_HOSTS), ("saved targets", file.saved.len(), MOST_SAVED)] {
            if count > most {
                mistakes.push(format!(" {count} {what} are too many: at most {most} are possible"));
            }
        }
        if mistakes.is_empty() { Ok(file) } else { Err(mistakes) }
    }
}

/// Reads the file. Returns `None` if it doesn't exist.
fn read(path: &Path) -> Result<Option<String>, String> {
    let read = || {
        // To open a named pipe would wait for a writer.
        if !std::fs::metadata(path)?.is_file() {
            return Err(std::io::Error::other("it is not a file"));
        }
        let mut text = String::new();
        std::fs::File::open(path)?.take(LARGEST + 1).read_to_string(&mut text)?;
        if text.len() as u64 > LARGEST {
            return Err(std::io::Error::other(format!("it is larger than {LARGEST} bytes")));
        }
        Ok(text)
    };
    match read() {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("{}: {error}", path.display())),
    }
}

impl Jobs {
    /// Applies the file of hosts at the start and after each change. Until mistakes in it are corrected, the last valid version stays in effect.
    pub(crate) async fn watch_hosts(&self, duty: &Duty) {
        let Some(path) = self.settings.hosts_file.clone() else { return };
        let mut last = None;
        loop {
            let result = self.check_hosts(&path, &mut last).await;
            *self.file_problem.lock().unwrap_or_else(PoisonError::into_inner) = result.as_ref().err().cloned();
            duty.ran(result, INTERVAL);
            if self.stopping.run_until_cancelled(self.clock.sleep(INTERVAL)).await.is_none() {
                return;
            }
        }
    }

    /// Returns the reason why the file is not in effect, if there is one.
    pub(crate) fn file_problem(&self) -> Option<String> {
        self.file_problem.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Applies the file if it has changed since the last call. `last` has its text then, and the result of parsing it.
    async fn check_hosts(&self, path: &Path, last: &mut Option<(String, Result<(), String>)>) -> Result<(), String> {
        let of_read = path.to_owned();
        let read = tokio::task::spawn_blocking(move || read(&of_read)).await.map_err(|error| error.to_string())?;
        let Some(text) = read? else {
            *last = None;
            return self.check_missing(path).await;
        };
        if let Some((_, result)) = last.as_ref().filter(|(before, _)| *before == text) {
            return result.clone();
        }
        let result = match HostsFile::parse(&text) {
            Ok(file) => {
                let saved = file.saved.len();
                let HostChanges { added, changed, removed } = self.put_file(file).await.map_err(|error| error.to_string())?;
                tracing::info!(path = %path.display(), added, changed, removed, saved, "took the hosts of the file");
                Ok(())
            }
            Err(mistakes) => Err(shown(path, &mistakes)),
        };
        *last = Some((text, result.clone()));
        result
    }

    /// A missing file keeps what came from it. If its hosts were removed, they would return with other numbers.
    async fn check_missing(&self, path: &Path) -> Result<(), String> {
        let count = |jobs: &dyn JobStore| {
            let hosts = jobs.hosts()?.iter().filter(|row| row.is_from_file).count();
            Ok((hosts, jobs.saved_targets()?.iter().filter(|row| row.is_from_file).count()))
        };
        let (hosts, saved) = self.ask(count).await.map_err(|error: JobError| error.to_string())?;
        if hosts + saved == 0 {
            return Ok(());
        }
        let kept = format!("hosts: {hosts}, saved targets: {saved}");
        Err(format!("{} is missing, and what came from it stays ({kept}). To remove it, create an empty file", path.display()))
    }
}

/// Returns the mistakes of a file in one text.
fn shown(path: &Path, mistakes: &[String]) -> String {
    let named = mistakes.iter().take(MOST_MISTAKES).map(|mistake| format!("{}:{mistake}", path.display()));
    let more = mistakes.len().checked_sub(MOST_MISTAKES + 1).map(|more| format!("{} more", more + 1));
    let all: Vec<String> = named.chain(more).collect();
    format!("the file of hosts has mistakes, and the last valid version stays in effect:\n{}", all.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_targets_are_read() {
        let text = "[host.web-1]\nip = \"10.0.0.7\"\ntags = { env = \"prod\", canary = \"\" }\ngroups = [\"web\"]\naccounts = [\"app\"]\n\
                    [host.\"db.example.com\"]\ncloud_id = 3\n[targets.web-prod]\nhosts = [\"web-*\"]\ntags = \"env=prod\"\n";
        let file = HostsFile::parse(text).unwrap();
        let [db, web] = &file.hosts[..] else { panic!("{file:?}") };
        assert_eq!((db.name.as_str(), db.cloud_id), ("db.example.com", 3));
        assert_eq!((web.ip.as_deref(), web.tags.len(), web.groups.join(" ")), (Some("10.0.0.7"), 2, "web".to_owned()));
        assert_eq!(web.accounts, ["app"]);
        assert_eq!(file.saved["web-prod"].tags.as_deref(), Some("env=prod"));
        assert_eq!(HostsFile::parse("# nothing\n").unwrap(), HostsFile::default());
    }

    #[test]
    fn mistakes_name_their_lines() {
        for (text, expected) in [
            ("\n[host.web-1]\nipp = \"x\"\n", "3: unknown field `ipp`"),
            ("[host.a]\n[host.a]\n", "2: duplicate key"),
            ("[hosts.a]\n", "1: unknown field `hosts`, expected `host` or `targets`"),
            ("\nx = [\n", "2: unclosed array"),
            ("[host.a]\n[host.\"b c\"]\nip = \"10.0.0.7.8\"\n", "2: name: \"b c\" can't be a name"),
            ("[host.a]\n\n[host.b]\nip = \"10.0.0.7.8\"\n", "3: ip: \"10.0.0.7.8\" is no IPv4 address"),
            ("[host.a]\ntags = { \"x,y\" = \"\" }\n", "1: tags: \"x,y\" can't be a tag"),
            ("[host.a]\naccounts = [\" app\"]\n", "1: accounts: \" app\" is not an account"),
            ("[targets.a]\n", "1: they select no host"),
            ("\n[targets.\"a b\"]\nhosts = [\"\"]\n", "2: \"a b\" can't be a name"),
            ("[targets.a]\nsaved = [\"b\"]\n", "1: saved: saved targets can't contain other saved targets"),
            ("[targets.a]\ntags = \"!\"\n", "1: tags: `!` is not a condition"),
        ] {
            let mistakes = HostsFile::parse(text).unwrap_err();
            assert!(mistakes[0].starts_with(expected), "{text}: {mistakes:?}");
        }
        let many: Vec<_> = (0..30).map(|number| format!("[host.\"a {number}\"]\n")).collect();
        let all = shown(Path::new("hosts.toml"), &HostsFile::parse(&many.concat()).unwrap_err());
        assert_eq!((all.lines().count(), all.lines().last()), (22, Some("10 more")), "{all}");
        assert_eq!(all.lines().nth(1).unwrap().split_once(" name").unwrap().0, "hosts.toml:1:");
    }

    #[test]
    fn only_files_are_read() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(read(&folder.path().join("none")), Ok(None));
        assert!(read(folder.path()).unwrap_err().contains("it is not a file"));
        let file = folder.path().join("hosts.toml");
        std::fs::write(&file, [0xff, 0xfe]).unwrap();
        assert!(read(&file).unwrap_err().contains("UTF-8"));
    }
}
