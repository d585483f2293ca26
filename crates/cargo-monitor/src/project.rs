//! The project that is built: its crates, compiler and cargo settings.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};
use cargo_metadata::{MetadataCommand, TargetKind};
use sha2::{Digest, Sha256};
use toml::{Table, Value};

use crate::plan;

/// Names of the client's package: in its workspace, and in the registry.
const CLIENT: [&str; 2] = ["monitor-client", "process-monitor-client"];

/// Properties of the project that are known before the build.
#[derive(Debug)]
pub(crate) struct Project {
    pub(crate) cargo: OsString,
    pub(crate) root: PathBuf,
    target_dir: PathBuf,
    /// Target triple, if one is specified.
    pub(crate) target: Option<String>,
    pub(crate) host: String,
    /// `rustc -vV`
    pub(crate) rustc_version: String,
    pub(crate) crates: Vec<Crate>,
    /// True if monitor-client is a dependency of any crate.
    pub(crate) uses_client: bool,
    settings: Vec<Settings>,
}

/// One configuration file of cargo.
#[derive(Debug)]
struct Settings {
    table: Table,
    /// Base folder of relative program paths in the file.
    folder: PathBuf,
}

/// A library, program, test, example or bench of the workspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Crate {
    pub(crate) name: String,
    pub(crate) package: String,
    pub(crate) kind: String,
    pub(crate) root: PathBuf,
    /// Reason why none of its functions are woven.
    pub(crate) why_not: Option<&'static str>,
}

impl Crate {
    /// Returns true for an integration test, such as a file in `tests/`.
    pub(crate) fn is_test(&self) -> bool {
        self.kind == "test"
    }
}

/// cargo's own arguments, as far as they matter here.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct CargoArguments {
    pub(crate) target: Option<String>,
    pub(crate) manifest: Option<PathBuf>,
    pub(crate) target_dir: Option<PathBuf>,
    /// True if `-q` or `--quiet` is among them.
    pub(crate) is_quiet: bool,
    /// `--locked`, `--offline` and `--frozen`.
    network: Vec<String>,
}

impl CargoArguments {
    pub(crate) fn read(args: &[OsString]) -> Self {
        let mut found = Self::default();
        let mut args = args.iter().take_while(|arg| *arg != "--").map(|arg| arg.to_string_lossy());
        while let Some(arg) = args.next() {
            let (name, value) = arg.split_once('=').map_or((&*arg, None), |(name, value)| (name, Some(value.to_owned())));
            match name {
                "--target" => found.target = value.or_else(|| args.next().map(Into::into)),
                "--manifest-path" => found.manifest = value.or_else(|| args.next().map(Into::into)).map(Into::into),
                "--target-dir" => found.target_dir = value.or_else(|| args.next().map(Into::into)).map(Into::into),
                "--quiet" => found.is_quiet = true,
                "--locked" | "--offline" | "--frozen" => found.network.push(name.to_owned()),
                _ => found.is_quiet |= has_short_quiet(name),
            }
        }
        found
    }
}

/// Returns true for `-q`, alone or among other short flags as in `-rq`. Letters after a flag with a value belong to that value.
fn has_short_quiet(arg: &str) -> bool {
    let flags = arg.strip_prefix('-').filter(|flags| !flags.starts_with('-')).unwrap_or_default();
    flags.split(['p', 'j', 'F', 'Z', 'C']).next().is_some_and(|flags| flags.contains('q'))
}

impl Settings {
    fn get(&self, path: &[&str]) -> Option<&Value> {
        path.iter().skip(1).try_fold(self.table.get(path[0])?, |value, key| value.get(key))
    }
}

impl Project {
    /// Finds the project of the current folder, or of the manifest in the arguments.
    ///
    /// # Errors
    /// If there is no project, or cargo can't read it.
    pub(crate) fn find(arguments: &CargoArguments) -> anyhow::Result<Self> {
        let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = MetadataCommand::new();
        command.cargo_path(&cargo).no_deps().other_options(arguments.network.clone());
        if let Some(manifest) = &arguments.manifest {
            command.manifest_path(manifest);
        }
        let metadata = command.exec().map_err(|error| match error {
            // cargo's own error message is the most helpful.
            cargo_metadata::Error::CargoMetadata { stderr } => anyhow::anyhow!("{}", stderr.trim().trim_start_matches("error: ")),
            error => error.into(),
        })?;
        let root = metadata.workspace_root.clone().into_std_path_buf();
        let settings = settings(&env::current_dir()?);
        let rustc_version = rustc_version(&root)?;
        let host = rustc_version.lines().find_map(|line| line.strip_prefix("host: ")).context("`rustc -vV` prints no host")?.to_owned();
        let lock = fs::read_to_string(root.join("Cargo.lock")).unwrap_or_default();
        let mut dependencies = metadata.packages.iter().flat_map(|package| &package.dependencies);
        let uses_client = CLIENT.iter().any(|name| lock.contains(&format!("name = \"{name}\"")))
            || dependencies.any(|dependency| CLIENT.contains(&&*dependency.name));
        let mut project = Self {
            target: None,
            crates: metadata.packages.iter().flat_map(crates).collect(),
            target_dir: metadata.target_directory.into_std_path_buf(),
            cargo,
            root,
            host,
            rustc_version,
            uses_client,
            settings,
        };
        let target = arguments.target.clone().or_else(|| env::var("CARGO_BUILD_TARGET").ok());
        project.target = target.or_else(|| project.setting(&["build", "target"])?.as_str().map(str::to_owned));
        Ok(project)
    }

    /// Returns the folder for all files of `cargo monitor`, which is in the target folder.
    pub(crate) fn monitor_dir(&self) -> PathBuf {
        self.target_dir.join("monitor")
    }

    /// Returns the folder for this project alone: several projects may share one target folder.
    pub(crate) fn own_dir(&self) -> PathBuf {
        let digest = Sha256::digest(self.root.as_os_str().as_encoded_bytes());
        self.monitor_dir().join(plan::short(&digest, 4))
    }

    /// Returns a setting from cargo's configuration files.
    fn setting(&self, path: &[&str]) -> Option<&Value> {
        self.settings.iter().find_map(|settings| settings.get(path))
    }

    /// Returns true if cargo's own settings request `--quiet`.
    pub(crate) fn is_quiet(&self) -> bool {
        let variable = env::var("CARGO_TERM_QUIET").ok().and_then(|said| said.parse().ok());
        variable.or_else(|| self.setting(&["term", "quiet"])?.as_bool()).unwrap_or(false)
    }

    /// Returns a program that is named by an environment variable or a configuration file. A name without a slash is searched for in
    /// `PATH`.
    fn program(&self, variables: [&str; 2], path: &[&str]) -> Option<PathBuf> {
        let resolve = |folder: &Path, said: &OsStr| {
            let said = Path::new(said);
            if said.components().count() > 1 { folder.join(said) } else { said.to_owned() }
        };
        if let Some(said) = variables.into_iter().find_map(env::var_os) {
            return Some(resolve(&env::current_dir().ok()?, &said)).filter(|_| !said.is_empty());
        }
        let (settings, value) = self.settings.iter().find_map(|settings| Some((settings, settings.get(path)?)))?;
        value.as_str().filter(|said| !said.is_empty()).map(|said| resolve(&settings.folder, said.as_ref()))
    }

    /// Returns the wrapper for workspace crates that the project used before.
    pub(crate) fn inner_wrapper(&self) -> Option<PathBuf> {
        self.program(["RUSTC_WORKSPACE_WRAPPER", "CARGO_BUILD_RUSTC_WORKSPACE_WRAPPER"], &["build", "rustc-workspace-wrapper"])
    }

    /// Returns the wrapper for all crates, such as sccache.
    pub(crate) fn outer_wrapper(&self) -> Option<PathBuf> {
        self.program(["RUSTC_WRAPPER", "CARGO_BUILD_RUSTC_WRAPPER"], &["build", "rustc-wrapper"])
    }

    /// Returns the words of the command with which cargo runs programs.
    pub(crate) fn runner(&self) -> Vec<String> {
        let target = self.target.as_ref().unwrap_or(&self.host);
        let variable = format!("CARGO_TARGET_{}_RUNNER", target.to_uppercase().replace(['-', '.'], "_"));
        if let Ok(said) = env::var(variable) {
            return said.split_whitespace().map(str::to_owned).collect();
        }
        match self.setting(&["target", target, "runner"]) {
            Some(Value::String(words)) => words.split_whitespace().map(str::to_owned).collect(),
            Some(Value::Array(words)) => words.iter().filter_map(|word| word.as_str().map(str::to_owned)).collect(),
            _ => Vec::new(),
        }
    }
}

fn crates(package: &cargo_metadata::Package) -> Vec<Crate> {
    let of = |target: &cargo_metadata::Target| {
        let is = |kind: &TargetKind| target.kind.contains(kind);
        let why_not = if is(&TargetKind::ProcMacro) {
            Some("a macro runs in the compiler")
        } else if is(&TargetKind::CustomBuild) {
            Some("a build script runs before the program is built")
        } else {
            None
        };
        Crate {
            name: target.name.replace('-', "_"),
            package: package.name.to_string(),
            kind: target.kind.first().map_or_else(String::new, ToString::to_string),
            root: target.src_path.clone().into_std_path_buf(),
            why_not,
        }
    };
    package.targets.iter().map(of).collect()
}

fn rustc_version(folder: &Path) -> anyhow::Result<String> {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(&rustc).arg("-vV").current_dir(folder).output();
    let output = output.with_context(|| format!("{} can't be run", Path::new(&rustc).display()))?;
    if !output.status.success() {
        bail!("rustc -vV: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Reads cargo's configuration files, in descending precedence. Unreadable files are skipped, because cargo itself reports them.
fn settings(folder: &Path) -> Vec<Settings> {
    let home = env::var_os("CARGO_HOME").map(PathBuf::from).or_else(|| Some(env::home_dir()?.join(".cargo")));
    let folders = folder.ancestors().map(|folder| folder.join(".cargo")).chain(home);
    let read = |folder: PathBuf| {
        let names = ["config", "config.toml"];
        let table = names.iter().find_map(|name| fs::read_to_string(folder.join(name)).ok()?.parse::<Table>().ok())?;
        Some(Settings { table, folder: folder.parent().map_or_else(PathBuf::new, Path::to_owned) })
    };
    folders.filter_map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relevant_arguments_of_cargo_are_found() {
        let read = |text: &str| CargoArguments::read(&text.split(' ').map(OsString::from).collect::<Vec<_>>());
        let found = read("--release --target=x --manifest-path a/Cargo.toml --target-dir t --locked -p y -- --target z --offline");
        assert_eq!((found.target.as_deref(), found.manifest, found.target_dir), (Some("x"), Some("a/Cargo.toml".into()), Some("t".into())));
        assert_eq!(found.network, ["--locked"]);
        assert_eq!(read("--features full"), CargoArguments::default());
        assert!(["-q", "--quiet", "-rq", "-vqp"].iter().all(|arg| read(arg).is_quiet));
        assert!(["-r", "-pq", "-Fsqlite", "-- -q", "--bin=q"].iter().all(|arg| !read(arg).is_quiet));
    }
}
