//! Reads the files that define tasks. The agent scans their folder every second. It skips the scan while inotify reports no change, for at most
//! a minute.
//!
//! If a file has mistakes, its task keeps the previous definition, and the other files are used. The same applies to a definition that
//! contradicts others. Changed files are read after two scans have found them in the same state, so that a file is not read while an editor
//! writes it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use monitor_tasks::Definition;
use monitor_tasks::definition::{MOST_BYTES, check_book, read_file};
use monitor_tasks::reading::Source;
use serde_json::Value;

use crate::watch::Watch;

/// The task files of a folder, and their state at the last scan.
#[derive(Debug)]
pub(crate) struct Files {
    folder: PathBuf,
    /// Files by name.
    known: BTreeMap<String, File>,
    /// State of the files when they were last read.
    read: Option<Stamps>,
    /// State of the files at the last scan.
    seen: Option<Stamps>,
    /// True if the files are unchanged since they were read, and none of them is a symbolic link.
    is_settled: bool,
    watch: Option<Watch>,
    /// All current mistakes. Each mistake is reported once.
    told: Vec<String>,
}

/// A task file and the result of reading it.
#[derive(Debug, Default)]
struct File {
    stamp: Option<Stamp>,
    /// The definition in use.
    holds: Option<Definition>,
    /// The last definition without mistakes of its own. It may contradict other definitions.
    good: Option<Definition>,
    mistakes: Vec<String>,
}

/// Attributes of a file. If one of them differs, the file has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    length: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

type Stamps = BTreeMap<String, Stamp>;

/// The result of a scan.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Found {
    /// All definitions with their files, if anything has changed.
    pub(crate) book: Option<Vec<(String, Definition)>>,
    /// Mistakes that were not reported before.
    pub(crate) mistakes: Vec<String>,
    /// True if the mistakes of the previous scan are fixed and there are no new mistakes.
    pub(crate) is_mended: bool,
}

impl Files {
    /// Creates the state for a folder. `before` contains the files and definitions that were in use when the agent last ran.
    pub(crate) fn new(folder: &Path, before: impl IntoIterator<Item = (String, Definition)>) -> Self {
        let known = before.into_iter().map(|(file, good)| (file, File { holds: Some(good.clone()), good: Some(good), ..File::default() }));
        Self { folder: folder.to_owned(), known: known.collect(), read: None, seen: None, is_settled: false, watch: None, told: Vec::new() }
    }

    /// Scans the folder.
    pub(crate) fn look(&mut self) -> Found {
        let is_untouched = self.watch.as_ref().is_some_and(|watch| watch.is_quiet(&self.folder));
        if is_untouched && self.is_settled {
            return Found::default();
        }
        if !is_untouched {
            // The watch begins before the scan, so that no change between them is missed.
            self.watch = Watch::over(&self.folder);
        }
        self.is_settled = false;
        let (stamps, has_links) = match stamps(&self.folder) {
            Ok(found) => found,
            Err(error) => {
                let folder = self.folder.display();
                return self.tell(None, vec![format!("the folder of tasks {folder} can't be read, its tasks stay as they are: {error}")]);
            }
        };
        let (is_first, is_quiet) = (self.read.is_none(), self.seen.as_ref() == Some(&stamps));
        let is_known = self.read.as_ref() == Some(&stamps);
        if !is_quiet {
            self.seen = Some(stamps.clone());
        }
        if is_known || !(is_first || is_quiet) {
            // The target of a link may be outside of the watched folder.
            self.is_settled = is_known && !has_links;
            return Found::default();
        }
        self.known.retain(|name, _| stamps.contains_key(name));
        for (name, stamp) in &stamps {
            let file = self.known.entry(name.clone()).or_default();
            if file.stamp.as_ref() == Some(stamp) {
                continue;
            }
            file.stamp = Some(stamp.clone());
            match read(&self.folder.join(name)) {
                Ok((definition, _)) => (file.good, file.mistakes) = (Some(definition), Vec::new()),
                Err(mistakes) => file.mistakes = mistakes,
            }
        }
        self.read = Some(stamps);
        let mut mistakes: Vec<String> = self.known.values().flat_map(|file| file.mistakes.clone()).collect();
        mistakes.extend(self.settle());
        let book = self.known.iter().filter_map(|(name, file)| Some((name.clone(), file.holds.clone()?))).collect();
        self.tell(Some(book), mistakes)
    }

    /// Decides which definitions are in use. If a new definition contradicts others, its file keeps the previous definition. Returns the
    /// mistakes.
    fn settle(&mut self) -> Vec<String> {
        let (mut mistakes, mut refused) = (Vec::new(), BTreeSet::new());
        loop {
            let is_new = |name: &String, file: &File| file.good != file.holds && !refused.contains(name);
            let old = self.known.iter().filter(|(name, file)| !is_new(name, file)).map(|(name, file)| (name, &file.holds));
            let new = self.known.iter().filter(|(name, file)| is_new(name, file)).map(|(name, file)| (name, &file.good));
            // If several definitions have the same name, the first is valid. A cycle is reported at its last definition. Therefore new
            // definitions come after the definitions in use.
            let (names, book): (Vec<&String>, Vec<Definition>) =
                old.chain(new).filter_map(|(name, definition)| Some((name, definition.clone()?))).unzip();
            let found = check_book(&book);
            let wrong: BTreeSet<String> =
                found.iter().map(|(index, ..)| names[*index]).filter(|name| is_new(name, &self.known[*name])).cloned().collect();
            // Definitions in use may refer to a removed task. That is reported, and they stay in use.
            let told = found.into_iter().filter(|(index, ..)| wrong.is_empty() || wrong.contains(names[*index]));
            mistakes.extend(told.map(|(index, path, message)| {
                let file = self.folder.join(names[index]);
                let source = read(&file).map_or_else(|_| Source::json(Value::Null), |(_, source)| source);
                source.mistake_at(&path, message).in_file(file.display())
            }));
            if wrong.is_empty() {
                break;
            }
            refused.extend(wrong);
        }
        for (_, file) in self.known.iter_mut().filter(|(name, _)| !refused.contains(*name)) {
            file.holds.clone_from(&file.good);
        }
        mistakes
    }

    /// All current mistakes.
    pub(crate) fn mistakes(&self) -> &[String] {
        &self.told
    }

    fn tell(&mut self, book: Option<Vec<(String, Definition)>>, mistakes: Vec<String>) -> Found {
        let is_mended = !self.told.is_empty() && mistakes.is_empty();
        let new = mistakes.iter().filter(|mistake| !self.told.contains(mistake)).cloned().collect();
        self.told = mistakes;
        Found { book, mistakes: new, is_mended }
    }
}

/// The state of the files in a folder that define tasks. Their names end with `.toml` or `.json` and don't begin with a dot.
///
/// The second value is true if at least one file is a symbolic link.
fn stamps(folder: &Path) -> io::Result<(Stamps, bool)> {
    let (mut stamps, mut has_links) = (Stamps::new(), false);
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        let is_meant = [".toml", ".json"].iter().any(|end| name.ends_with(end)) && !name.starts_with('.');
        if !is_meant {
            continue;
        }
        // Links are followed. The attributes of other entries are read relative to the folder, without resolving the whole path, because there
        // may be thousands of files.
        let is_link = entry.file_type().is_ok_and(|kind| kind.is_symlink());
        has_links |= is_link;
        let file = if is_link { fs::metadata(entry.path()) } else { entry.metadata() };
        // A link without a target is a mistake, and its task stays.
        let file = if is_link { file.or_else(|_| entry.metadata()) } else { file };
        // The file may have been removed after it was listed.
        if let Ok(file) = file {
            let modified = (file.mtime(), file.mtime_nsec());
            stamps.insert(name, Stamp { inode: file.ino(), length: file.len(), modified, changed: (file.ctime(), file.ctime_nsec()) });
        }
    }
    Ok((stamps, has_links))
}

fn read(path: &Path) -> Result<(Definition, Source), Vec<String>> {
    let unread = |error: io::Error| vec![format!("{}: can't be read: {error}", path.display())];
    // Opening a pipe would block.
    if !fs::metadata(path).map_err(unread)?.is_file() {
        return Err(vec![format!("{}: this is no file, and a task is defined by one", path.display())]);
    }
    let mut bytes = Vec::new();
    fs::File::open(path).and_then(|file| file.take(MOST_BYTES).read_to_end(&mut bytes)).map_err(unread)?;
    let read = read_file(&bytes, path.extension().is_some_and(|extension| extension == "json"));
    read.map_err(|mistakes| mistakes.iter().map(|mistake| mistake.in_file(path.display())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(found: &Found) -> Option<Vec<&str>> {
        Some(found.book.as_ref()?.iter().map(|(_, definition)| definition.name.as_str()).collect())
    }

    fn task(name: &str) -> String {
        format!("name = \"{name}\"\nshell = \"true\"\nrules = [\"@daily\"]\n")
    }

    #[test]
    fn a_broken_file_changes_nothing_and_is_reported_once_with_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &[u8]| fs::write(folder.path().join(name), text).unwrap();
        write("a.toml", task("a").as_bytes());
        write("b.json", br#"{"name": "b", "shell": "true"}"#);
        for other in ["c.txt", ".d.toml", "e.toml~"] {
            write(other, b"not a task");
        }
        let mut files = Files::new(folder.path(), []);
        assert_eq!(names(&files.look()), Some(vec!["a", "b"]));
        assert_eq!(files.look(), Found::default(), "nothing has changed");
        write("a.toml", b"name = \"a\"\nshell = \"true\"\nrulse = []\n");
        assert_eq!(files.look(), Found::default(), "somebody may be writing");
        let found = files.look();
        assert_eq!(names(&found), Some(vec!["a", "b"]), "as it was before");
        assert_eq!(found.book.unwrap()[0].1.rules, ["@daily"]);
        assert!(found.mistakes[0].contains("a.toml:3:1: rulse: there is no such key; did you mean rules?"), "{:?}", found.mistakes);
        assert_eq!(files.look(), Found::default());
        write("a.toml", b"name = \"a\"\nshell = \"\xff\"");
        files.look();
        assert!(files.look().mistakes[0].contains("a.toml:2:10: this is no UTF-8"));
        write("b.json", b"{\n]");
        files.look();
        let found = files.look();
        assert!(found.mistakes.len() == 1 && found.mistakes[0].contains("b.json:2:1: "), "{:?}", found.mistakes);
        fs::remove_file(folder.path().join("b.json")).unwrap();
        write("a.toml", task("z").as_bytes());
        files.look();
        let found = files.look();
        assert!(found.is_mended && names(&found) == Some(vec!["z"]), "{found:?}");
    }

    /// Scans twice, so that changed files are read.
    fn changed(files: &mut Files) -> Found {
        files.look();
        files.look()
    }

    #[test]
    fn conflicting_definitions_are_left_out_and_the_other_tasks_stay_valid() {
        let folder = tempfile::tempdir().unwrap();
        let write = |file: &str, name: &str, then: &str| fs::write(folder.path().join(file), format!("{}{then}", task(name))).unwrap();
        let ends = |found: &Found, ends: &[&str]| {
            assert_eq!(found.mistakes.len(), ends.len(), "{found:?}");
            for (mistake, end) in found.mistakes.iter().zip(ends) {
                assert!(mistake.ends_with(end), "{mistake} and {end}");
            }
        };
        write("a.toml", "same", "");
        write("b.toml", "same", "");
        write("c.toml", "c", "[then]\nsuccess = [\"d\", \"lod\"]\n");
        write("d.toml", "d", "");
        let mut files = Files::new(folder.path(), []);
        let found = files.look();
        assert_eq!(names(&found), Some(vec!["same", "d"]));
        ends(&found, &["b.toml:1:8: name: there is another task same", "c.toml:5:17: then.success.1: there is no task lod"]);
        // `c.toml` is valid as soon as there is a task `lod`. `a.toml` can't take over the name `d` that is in use, although it is the first
        // file.
        write("e.toml", "lod", "");
        write("a.toml", "d", "");
        let found = changed(&mut files);
        assert_eq!(names(&found), Some(vec!["same", "c", "d", "lod"]));
        ends(&found, &["a.toml:1:8: name: there is another task d"]);
        // A definition that would close a cycle is not used, regardless of the order of the files.
        write("a.toml", "same", "");
        write("e.toml", "lod", "[then]\nfail = [\"c\"]\n");
        let found = changed(&mut files);
        assert_eq!(names(&found), Some(vec!["same", "c", "d", "lod"]));
        assert!(found.book.as_ref().unwrap()[3].1.then.fail.is_empty());
        ends(&found, &["e.toml:5:9: then.fail.0: these tasks start one another for ever: c → lod → c"]);
        // A task that others refer to may be removed. The missing task is reported, and the other definitions stay in use.
        fs::remove_file(folder.path().join("e.toml")).unwrap();
        let found = changed(&mut files);
        assert_eq!(names(&found), Some(vec!["same", "c", "d"]));
        ends(&found, &["c.toml:5:17: then.success.1: there is no task lod"]);
        write("c.toml", "c", "");
        fs::remove_file(folder.path().join("b.toml")).unwrap();
        assert!(changed(&mut files).is_mended && files.mistakes().is_empty());
    }

    #[test]
    fn a_path_that_is_no_longer_a_file_leaves_the_task_unchanged() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.toml");
        fs::write(&path, task("a")).unwrap();
        let mut files = Files::new(folder.path(), []);
        files.look();
        let links = |to: &Path| std::os::unix::fs::symlink(to, &path).unwrap();
        let kinds: [(&dyn Fn(), &str); 4] = [
            (&|| fs::create_dir(&path).unwrap(), "this is no file"),
            (&|| links(&folder.path().join("nowhere")), "No such file"),
            (&|| links(&path), "Too many levels"),
            (&|| nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap(), "this is no file"),
        ];
        for (make, words) in kinds {
            fs::remove_file(&path).or_else(|_| fs::remove_dir(&path)).unwrap();
            make();
            let found = changed(&mut files);
            assert!(names(&found) == Some(vec!["a"]) && found.mistakes[0].contains(words), "{found:?}");
        }
        fs::remove_file(&path).unwrap();
        assert_eq!(names(&changed(&mut files)), Some(vec![]), "a task that is removed is gone");
    }

    #[test]
    fn symbolic_links_to_files_are_followed() {
        let (folder, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let file = elsewhere.path().join("real");
        fs::write(&file, task("a")).unwrap();
        std::os::unix::fs::symlink(&file, folder.path().join("a.toml")).unwrap();
        std::os::unix::fs::symlink(elsewhere.path(), folder.path().join("folder.toml")).unwrap();
        let mut files = Files::new(folder.path(), []);
        let found = files.look();
        assert!(names(&found) == Some(vec!["a"]) && found.mistakes[0].contains("folder.toml: this is no file"), "{found:?}");
        fs::write(&file, task("changed")).unwrap();
        files.look();
        assert_eq!(names(&files.look()), Some(vec!["changed"]));
    }

    #[test]
    fn a_folder_that_replaces_another_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let (old, new, link) = (folder.path().join("old"), folder.path().join("new"), folder.path().join("tasks"));
        for (release, name) in [(&old, "before"), (&new, "after")] {
            fs::create_dir(release).unwrap();
            fs::write(release.join("a.toml"), task(name)).unwrap();
        }
        std::os::unix::fs::symlink(&old, &link).unwrap();
        let mut files = Files::new(&link, []);
        assert_eq!(names(&files.look()), Some(vec!["before"]));
        assert_eq!(files.look(), Found::default());
        assert!(files.is_settled, "nothing is looked at until something changes");
        std::os::unix::fs::symlink(&new, folder.path().join("next")).unwrap();
        fs::rename(folder.path().join("next"), &link).unwrap();
        files.look();
        assert_eq!(names(&files.look()), Some(vec!["after"]));
    }

    #[test]
    fn tasks_of_a_removed_folder_stay_in_effect() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tasks");
        let before = ("a.toml".to_owned(), Definition::from_toml(&task("a")).unwrap());
        let mut files = Files::new(&path, [before]);
        let found = files.look();
        assert!(found.book.is_none() && found.mistakes[0].contains("can't be read, its tasks stay as they are"), "{found:?}");
        fs::create_dir(&path).unwrap();
        let found = files.look();
        assert!(found.is_mended && found.book == Some(Vec::new()), "{found:?}");
    }

    #[test]
    fn a_file_that_was_broken_before_the_agent_began_leaves_the_task_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a.toml"), "name = ").unwrap();
        let before = ("a.toml".to_owned(), Definition::from_toml(&task("a")).unwrap());
        let found = Files::new(folder.path(), [before]).look();
        assert_eq!((names(&found), found.mistakes.len()), (Some(vec!["a"]), 1));
    }
}
