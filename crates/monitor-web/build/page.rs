//! Builds the page: finds Node, installs the locked packages (once per lock file), and bundles.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fmt};

/// Parts of `app/` that the page is built from. Tests and development packages are not included.
pub(crate) const SOURCES: [&str; 8] =
    ["package.json", "package-lock.json", ".npmrc", "index.html", "vite.config.ts", "report.vite.config.ts", "public", "src"];

/// Files that determine the installed packages.
const LOCKED: [&str; 3] = ["package.json", "package-lock.json", ".npmrc"];

/// Paths of a build.
#[derive(Debug)]
pub(crate) struct Request {
    /// Sources of the page. Read only.
    pub(crate) app: PathBuf,
    /// Cache of installed packages, by lock file. Kept between builds and shared by all profiles.
    pub(crate) cache: PathBuf,
    /// Output folder of the page. It exists after the build, and is empty if the build failed.
    pub(crate) page: PathBuf,
    /// Output folder of the report page (a run in a file). It exists after the build, and is empty if the build failed.
    pub(crate) report: PathBuf,
    /// Search path for `node` and `npm`.
    pub(crate) path: OsString,
}

/// Reason for a missing page, on one line. Shown as a build warning and in place of the page.
#[derive(Debug)]
pub(crate) enum Missing {
    /// `node` or `npm` was not found on the path.
    NotFound(&'static str),
    /// Node is older than the bundler requires.
    TooOld(String),
    /// An npm command failed. Contains the end of its output.
    Failed(&'static str, String),
    /// A file operation failed.
    Disk(PathBuf, io::Error),
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound(program) => {
                write!(f, "{program} was not found (Node 20.19, or 22.12 or newer, is needed)")
            }
            Self::TooOld(version) => {
                write!(f, "Node {version} is not supported (20.19, or 22.12 or newer, is needed)")
            }
            Self::Failed(command, said) => write!(f, "`{command}` failed: {said}"),
            Self::Disk(path, error) => write!(f, "could not use {}: {error}", path.display()),
        }
    }
}

/// Builds the page and the report page. On failure, their folders are empty.
///
/// # Errors
/// If Node is missing or too old, or if installing or bundling fails.
pub(crate) fn build(request: &Request) -> Result<(), Missing> {
    recreate(&request.page)?;
    recreate(&request.report)?;
    let node = Node::find(&request.path)?;
    let installed = install(request, &node)?;
    bundle(request, &node, &installed)
}

/// Returns cargo's target folder, which is marked as a cache.
pub(crate) fn target_folder(out: &Path) -> &Path {
    out.ancestors().find(|folder| folder.join("CACHEDIR.TAG").exists()).unwrap_or(out)
}

/// Node and npm in a supported version.
struct Node<'a> {
    npm: PathBuf,
    path: &'a OsStr,
    version: String,
}

impl<'a> Node<'a> {
    fn find(path: &'a OsStr) -> Result<Self, Missing> {
        let node = find("node", path).ok_or(Missing::NotFound("node"))?;
        let npm = find("npm", path).ok_or(Missing::NotFound("npm"))?;
        let said = Command::new(&node).arg("--version").output().map_err(|error| Missing::Disk(node.clone(), error))?.stdout;
        let version = String::from_utf8_lossy(&said).trim().trim_start_matches('v').to_owned();
        if new_enough(&version) { Ok(Self { npm, path, version }) } else { Err(Missing::TooOld(version)) }
    }

    fn npm(&self, folder: &Path, name: &'static str, arguments: &[&OsStr]) -> Result<(), Missing> {
        let output = Command::new(&self.npm)
            .args(arguments)
            .current_dir(folder)
            .env("PATH", self.path)
            // Set by cargo and the user for other purposes, and would change the build.
            .env_remove("DEBUG")
            .env_remove("NODE_ENV")
            .output()
            .map_err(|error| Missing::Disk(self.npm.clone(), error))?;
        if output.status.success() {
            return Ok(());
        }
        let said = if output.stderr.trim_ascii().is_empty() { output.stdout } else { output.stderr };
        Err(Missing::Failed(name, last_words(&String::from_utf8_lossy(&said))))
    }
}

/// Installs the locked packages, unless an earlier build did. Returns their folder.
fn install(request: &Request, node: &Node<'_>) -> Result<PathBuf, Missing> {
    let mut hash = DefaultHasher::new();
    node.version.hash(&mut hash);
    for name in LOCKED {
        let path = request.app.join(name);
        fs::read(&path).map_err(|error| Missing::Disk(path, error))?.hash(&mut hash);
    }
    let installed = request.cache.join(format!("{:016x}", hash.finish()));

    // Two builds may run at the same time. The lock makes the second wait, after which it finds the packages. The rename ensures that an
    // interrupted installation is not used.
    on_disk(&request.cache, fs::create_dir_all)?;
    let _lock = on_disk(&installed.with_extension("lock"), |path| {
        let file = File::create(path)?;
        file.lock()?;
        Ok(file)
    })?;
    if installed.exists() {
        return Ok(installed);
    }
    let partial = installed.with_extension("partial");
    recreate(&partial)?;
    for name in LOCKED {
        copy(&request.app.join(name), &partial.join(name))?;
    }
    let arguments = ["ci", "--include=dev", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"];
    node.npm(&partial, "npm ci", &arguments.map(OsStr::new))?;
    on_disk(&installed, |path| fs::rename(&partial, path))?;
    Ok(installed)
}

/// Bundles a copy of the sources next to the packages. Nothing is written into the source tree, and Node finds the packages in the parent
/// folder.
fn bundle(request: &Request, node: &Node<'_>, installed: &Path) -> Result<(), Missing> {
    let mut hash = DefaultHasher::new();
    request.page.hash(&mut hash);
    let copied = installed.join(format!("build-{:016x}", hash.finish()));
    recreate(&copied)?;
    for source in SOURCES {
        copy(&request.app.join(source), &copied.join(source))?;
    }
    let run = |into: &Path, configured: &[&str]| {
        let arguments = ["run", "build", "--", "--outDir"].map(OsStr::new);
        let configured: Vec<_> = configured.iter().map(OsStr::new).collect();
        node.npm(&copied, "npm run build", &[&arguments[..], &[into.as_os_str()], &configured].concat())
    };
    let result = run(&request.page, &[]).and_then(|()| run(&request.report, &["--config", "report.vite.config.ts"]));
    on_disk(&copied, fs::remove_dir_all)?;
    if result.is_err() {
        recreate(&request.page)?;
        recreate(&request.report)?;
    }
    result
}

fn find(program: &str, path: &OsStr) -> Option<PathBuf> {
    let names = if cfg!(windows) { vec![format!("{program}.exe"), format!("{program}.cmd")] } else { vec![program.to_owned()] };
    env::split_paths(path)
        .flat_map(|folder| names.iter().map(move |name| folder.join(name)).collect::<Vec<_>>())
        .find(|file| file.is_file())
}

/// Requirements of Vite: 20.19 or newer, and for 22 at least 22.12.
fn new_enough(version: &str) -> bool {
    let mut parts = version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    let version = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
    version >= (22, 12) || (version.0 == 20 && version.1 >= 19)
}

/// Returns the reason in a command's output on one line: from the first line with an error on, otherwise its end.
fn last_words(said: &str) -> String {
    // Colours, up to the letter that ends them.
    let mut plain = String::new();
    for (index, part) in said.split("\u{1b}[").enumerate() {
        plain.push_str(if index == 0 { part } else { part.split_once('m').map_or("", |(_, rest)| rest) });
    }
    let is_frame = |line: &str| line.starts_with("at ");
    let lines: Vec<_> = plain.lines().map(str::trim).filter(|line| !line.is_empty() && !is_frame(line)).collect();
    let first = lines.iter().position(|line| line.to_lowercase().contains("error")).unwrap_or(lines.len().saturating_sub(4));
    let text = lines[first..].iter().take(4).copied().collect::<Vec<_>>().join(" · ");
    text.chars().filter(|character| !character.is_control()).take(400).collect()
}

/// Copies a file or a folder.
pub(crate) fn copy(from: &Path, to: &Path) -> Result<(), Missing> {
    if !from.is_dir() {
        return on_disk(from, |from| fs::copy(from, to)).map(|_| ());
    }
    on_disk(to, fs::create_dir_all)?;
    for entry in on_disk(from, fs::read_dir)? {
        let entry = entry.map_err(|error| Missing::Disk(from.to_owned(), error))?;
        copy(&entry.path(), &to.join(entry.file_name()))?;
    }
    Ok(())
}

fn recreate(folder: &Path) -> Result<(), Missing> {
    if folder.exists() {
        on_disk(folder, fs::remove_dir_all)?;
    }
    on_disk(folder, fs::create_dir_all)
}

fn on_disk<'a, T>(path: &'a Path, act: impl FnOnce(&'a Path) -> io::Result<T>) -> Result<T, Missing> {
    act(path).map_err(|error| Missing::Disk(path.to_owned(), error))
}
