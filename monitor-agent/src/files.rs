//! A folder of files that define tasks, looked at every second, or when the kernel tells that it has changed.
//!
//! A file that is broken changes nothing: the task that it defined before stays as it was. A file is read when it has not changed between
//! two looks, so that nobody reads half of what an editor writes.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use monitor_tasks::Definition;
use monitor_tasks::definition::{Mistake, check_book};

use crate::watch::Watch;

/// Most bytes of a file that are read: a definition has at most 1 MiB.
const MOST: u64 = (1 << 20) + 1;

/// Files that define tasks, as they were at the last look.
#[derive(Debug)]
pub(crate) struct Files {
    folder: PathBuf,
    /// The files, by name.
    known: BTreeMap<String, File>,
    /// Files as they were when all were read.
    read: Option<Stamps>,
    /// Files at the last look.
    seen: Option<Stamps>,
    /// The files are as they were read, and each lies in the folder itself.
    is_settled: bool,
    watch: Option<Watch>,
    /// What was told last, so that each mistake is told once.
    told: Vec<String>,
}

/// A file as it was read.
#[derive(Debug, Default)]
struct File {
    stamp: Option<Stamp>,
    /// The last definition that it had without mistakes.
    good: Option<Definition>,
    mistakes: Vec<String>,
}

/// A file that differs in one of these has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    length: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

type Stamps = BTreeMap<String, Stamp>;

/// What a look has found.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Found {
    /// All definitions by their files, if anything has changed.
    pub(crate) book: Option<Vec<(String, Definition)>>,
    /// Mistakes that were not told before.
    pub(crate) mistakes: Vec<String>,
    /// There were mistakes, and there are none any more.
    pub(crate) is_mended: bool,
}

impl Files {
    /// A folder whose files defined these tasks when an agent looked at it before.
    pub(crate) fn new(folder: &Path, before: impl IntoIterator<Item = (String, Definition)>) -> Self {
        let known = before.into_iter().map(|(file, good)| (file, File { good: Some(good), ..File::default() }));
        Self { folder: folder.to_owned(), known: known.collect(), read: None, seen: None, is_settled: false, watch: None, told: Vec::new() }
    }

    /// Looks at the folder.
    pub(crate) fn look(&mut self) -> Found {
        let is_untouched = self.watch.as_ref().is_some_and(|watch| watch.is_quiet(&self.folder));
        if is_untouched && self.is_settled {
            return Found::default();
        }
        if !is_untouched {
            // Before the files are looked at, so that no change falls in between.
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
            // What a link leads to lies where nobody watches.
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
                Ok(definition) => (file.good, file.mistakes) = (Some(definition), Vec::new()),
                Err(mistakes) => file.mistakes = mistakes,
            }
        }
        self.read = Some(stamps);
        let mut mistakes: Vec<String> = self.known.values().flat_map(|file| file.mistakes.clone()).collect();
        let (names, book): (Vec<_>, Vec<_>) = self.known.iter().filter_map(|(name, file)| Some((name.clone(), file.good.clone()?))).unzip();
        let together = check_book(&book);
        let is_whole = together.is_empty();
        for (index, path, message) in together {
            let mistake = Mistake { path, line: None, column: None, message };
            mistakes.push(format!("{}: {mistake}", self.folder.join(&names[index]).display()));
        }
        let book = is_whole.then(|| names.into_iter().zip(book).collect());
        self.tell(book, mistakes)
    }

    fn tell(&mut self, book: Option<Vec<(String, Definition)>>, mistakes: Vec<String>) -> Found {
        let is_mended = !self.told.is_empty() && mistakes.is_empty();
        let new = mistakes.iter().filter(|mistake| !self.told.contains(mistake)).cloned().collect();
        self.told = mistakes;
        Found { book, mistakes: new, is_mended }
    }
}

/// The files of a folder that define tasks: their names end with `.toml` or `.json` and don't begin with a dot.
///
/// Beside them, whether one of them is a link.
fn stamps(folder: &Path) -> io::Result<(Stamps, bool)> {
    let (mut stamps, mut has_links) = (Stamps::new(), false);
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        let is_meant = [".toml", ".json"].iter().any(|end| name.ends_with(end)) && !name.starts_with('.');
        if !is_meant {
            continue;
        }
        // A link is looked through. Anything else is asked for within the folder, without its path: there may be thousands.
        let is_link = entry.file_type().is_ok_and(|kind| kind.is_symlink());
        has_links |= is_link;
        let file = if is_link { fs::metadata(entry.path()) } else { entry.metadata() };
        // It may be gone since it was listed.
        if let Ok(file) = file
            && file.is_file()
        {
            let modified = (file.mtime(), file.mtime_nsec());
            stamps.insert(name, Stamp { inode: file.ino(), length: file.len(), modified, changed: (file.ctime(), file.ctime_nsec()) });
        }
    }
    Ok((stamps, has_links))
}

fn read(path: &Path) -> Result<Definition, Vec<String>> {
    let shown = path.display();
    let mut bytes = Vec::new();
    let read = fs::File::open(path).and_then(|file| file.take(MOST).read_to_end(&mut bytes));
    read.map_err(|error| vec![format!("{shown}: can't be read: {error}")])?;
    let text = match String::from_utf8(bytes) {
        Ok(text) => text,
        // A file that is cut within a character is too long, and said to be so.
        Err(error) if error.as_bytes().len() as u64 == MOST => String::from_utf8_lossy(error.as_bytes()).into_owned(),
        Err(error) => {
            let before = String::from_utf8_lossy(&error.as_bytes()[..error.utf8_error().valid_up_to()]);
            let (line, column) = (before.matches('\n').count() + 1, before.rsplit('\n').next().unwrap_or_default().chars().count() + 1);
            return Err(vec![format!("{shown}:{line}:{column}: this is no UTF-8")]);
        }
    };
    let definition = if path.extension().is_some_and(|extension| extension == "json") {
        let value = serde_json::from_str(&text).map_err(|error| vec![format!("{shown}:{}:{}: {error}", error.line(), error.column())])?;
        Definition::from_json(value)
    } else {
        Definition::from_toml(&text)
    };
    let colon = |mistake: &Mistake| if mistake.line.is_some() { ":" } else { ": " };
    definition.map_err(|mistakes| mistakes.iter().map(|mistake| format!("{shown}{}{mistake}", colon(mistake))).collect())
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
    fn a_broken_file_changes_nothing_and_is_told_once_by_its_place() {
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

    #[test]
    fn definitions_that_do_not_belong_together_change_nothing() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a.toml"), task("same")).unwrap();
        fs::write(folder.path().join("b.toml"), task("same")).unwrap();
        let found = Files::new(folder.path(), []).look();
        assert!(found.book.is_none() && found.mistakes[0].ends_with("b.toml: name: there is another task same"), "{found:?}");
    }

    #[test]
    fn a_link_to_a_file_is_looked_through() {
        let (folder, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let file = elsewhere.path().join("real");
        fs::write(&file, task("a")).unwrap();
        std::os::unix::fs::symlink(&file, folder.path().join("a.toml")).unwrap();
        std::os::unix::fs::symlink(elsewhere.path(), folder.path().join("folder.toml")).unwrap();
        fs::create_dir(folder.path().join("other.toml")).unwrap();
        let mut files = Files::new(folder.path(), []);
        assert_eq!(names(&files.look()), Some(vec!["a"]));
        fs::write(&file, task("changed")).unwrap();
        files.look();
        assert_eq!(names(&files.look()), Some(vec!["changed"]));
    }

    #[test]
    fn a_folder_that_is_put_in_the_place_of_another_is_looked_at() {
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
    fn a_folder_that_is_gone_takes_no_tasks_with_it() {
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
