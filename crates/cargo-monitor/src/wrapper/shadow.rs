//! Folder with a crate's woven files, and symbolic links to all other files, so that includes with relative paths still work.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::{fs, io};

use super::Arguments;
use crate::config::Rule;
use crate::source::{SourceFile, absolute};
use crate::weave::{self, Attributes, Limit};

#[derive(Debug)]
pub(super) struct Shadow {
    /// Folder of the woven files. An absolute path of the user is appended to it.
    folder: PathBuf,
    /// Working folder of rustc, which does not change.
    working: PathBuf,
    /// True if cargo passed an absolute path of the root file.
    is_absolute: bool,
    pub(super) root: PathBuf,
    pub(super) inserted: Vec<String>,
    pub(super) count: usize,
}

impl Shadow {
    /// Writes all woven files. Earlier contents of the folder are removed.
    pub(super) fn make(
        folder: &Path,
        files: &[SourceFile],
        rules: &[Rule],
        limits: &BTreeMap<String, Limit>,
        attributes: &Attributes,
        arguments: &Arguments,
    ) -> io::Result<Self> {
        let working = std::env::current_dir()?;
        let root = absolute(&arguments.root);
        let mut shadow = Self {
            root: below(folder, &root),
            folder: folder.to_owned(),
            is_absolute: arguments.root.is_absolute(),
            working,
            inserted: Vec::new(),
            count: 0,
        };
        let mut woven: BTreeMap<&Path, String> = BTreeMap::new();
        for file in files {
            if let Some(found) = weave::weave(file, rules, limits, attributes) {
                shadow.count += found.count;
                shadow.inserted.extend(found.inserted);
                woven.insert(&file.path, found.text);
            }
        }
        if shadow.count == 0 {
            return Ok(shadow);
        }
        if arguments.edition == "2015" && *attributes == Attributes::Woven {
            // In edition 2015, a path in an attribute begins at the crate root, so the crate must be declared there.
            let text = woven
                .entry(&root)
                .or_insert_with(|| files.iter().find(|file| file.path == root).map_or_else(String::new, |file| file.text.clone()));
            text.push_str("\nextern crate monitor_woven;\n");
        }
        shadow.write(&root, &woven)?;
        Ok(shadow)
    }

    fn write(&self, root: &Path, woven: &BTreeMap<&Path, String>) -> io::Result<()> {
        match fs::remove_dir_all(&self.folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let of_files = woven.keys().copied().chain([root]);
        let folders: BTreeSet<&Path> = of_files.flat_map(|path| path.ancestors().skip(1)).collect();
        for original in &folders {
            let copy = below(&self.folder, original);
            fs::create_dir_all(&copy)?;
            // Outside the working folder, only folders with woven files need links.
            if !original.starts_with(&self.working) && !woven.keys().any(|path| path.parent() == Some(original)) {
                continue;
            }
            for entry in fs::read_dir(original)? {
                let path = entry?.path();
                if !folders.contains(&*path) && !woven.contains_key(&*path) {
                    link(&path, &below(&self.folder, &path))?;
                }
            }
        }
        for (path, text) in woven {
            fs::write(below(&self.folder, path), text)?;
        }
        Ok(())
    }

    /// Returns the compiler options that replace the folder's path by the original one in messages and debug information. The last matching
    /// option is used.
    pub(super) fn remaps(&self) -> Vec<OsString> {
        let remap = |from: &Path, to: &str| {
            let mut argument = OsString::from("--remap-path-prefix=");
            argument.push(from);
            argument.push("/=");
            argument.push(to);
            argument
        };
        let mut remaps = vec![remap(&self.folder, "/")];
        if !self.is_absolute {
            remaps.push(remap(&below(&self.folder, &self.working), ""));
        }
        remaps
    }

    /// Translates a line of rustc's dependency file from woven files to the user's files.
    pub(super) fn original(&self, line: &str) -> String {
        let mut words: Vec<String> = Vec::new();
        for word in line.split(' ') {
            // A space within a name is escaped by a backslash.
            match words.last_mut().filter(|before| before.ends_with('\\')) {
                Some(before) => *before = format!("{before} {word}"),
                None => words.push(word.to_owned()),
            }
        }
        words.iter().map(|word| self.original_word(word)).collect::<Vec<_>>().join(" ")
    }

    /// Translates one path. A macro may have built a path relative to a woven file, which leads out of the folder to the user's own files.
    fn original_word(&self, word: &str) -> String {
        let (name, colon) = word.strip_suffix(':').map_or((word, ""), |name| (name, ":"));
        let path = PathBuf::from(name.replace("\\ ", " "));
        if !path.starts_with(&self.folder) {
            return word.to_owned();
        }
        let clean = absolute(&path);
        let own = clean.strip_prefix(&self.folder).map_or_else(|_| clean.clone(), |rest| Path::new("/").join(rest));
        let shown = own.strip_prefix(&self.working).ok().filter(|_| !self.is_absolute).unwrap_or(&own);
        shown.to_string_lossy().replace(' ', "\\ ") + colon
    }
}

/// Returns the path below `folder` that corresponds to an absolute path.
fn below(folder: &Path, path: &Path) -> PathBuf {
    folder.join(path.strip_prefix("/").unwrap_or(path))
}

#[cfg(unix)]
fn link(original: &Path, at: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(original, at)
}

#[cfg(not(unix))]
fn link(original: &Path, at: &Path) -> io::Result<()> {
    if original.is_dir() { std::os::windows::fs::symlink_dir(original, at) } else { std::os::windows::fs::symlink_file(original, at) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_dependencies_names_the_original_files() {
        let folder = PathBuf::from("/p/my app/target/woven/app-7");
        let mut shadow =
            Shadow { root: PathBuf::new(), folder, working: "/p/my app".into(), is_absolute: false, inserted: Vec::new(), count: 1 };
        let ours = r"/p/my\ app/target/woven/app-7";
        let line = format!(
            r"target/app.d: {ours}/p/my\ app/src/main.rs {ours}/p/my\ app/src/../../../../../../templates/a\ b.txt /usr/x.rs {ours}/q/y.rs"
        );
        assert_eq!(shadow.original(&line), r"target/app.d: src/main.rs templates/a\ b.txt /usr/x.rs /q/y.rs");
        assert_eq!(shadow.original(&format!(r"{ours}/p/my\ app/src/main.rs:")), "src/main.rs:");
        shadow.is_absolute = true;
        assert_eq!(shadow.original(&format!(r"{ours}/p/my\ app/src/main.rs:")), r"/p/my\ app/src/main.rs:");
    }
}
