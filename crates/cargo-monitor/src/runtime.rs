//! Builds the woven runtime with the project's own compiler, in a folder of its own.

use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, bail};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::plan::{self, Runtime};
use crate::project::Project;

/// Paths and contents of the embedded source files.
const FILES: &[(&str, &str)] = &include!(concat!(env!("OUT_DIR"), "/runtime.in"));
/// Environment variable that makes this program the compiler wrapper of the runtime's build.
pub(crate) const VARIABLE: &str = "MONITOR_WEAVE_RUNTIME";

/// Returns the runtime for the project's compiler and target, and builds it if it does not exist.
///
/// # Errors
/// If the compiler is too old, or has no standard library for the target.
pub(crate) fn build(project: &Project, is_quiet: bool) -> anyhow::Result<Runtime> {
    let mut hasher = Sha256::new();
    hasher.update(project.rustc_version.as_bytes());
    hasher.update(project.target.as_deref().unwrap_or_default());
    for (path, text) in FILES {
        hasher.update(path.as_bytes());
        hasher.update(text.as_bytes());
    }
    let folder = project.monitor_dir().join("runtime").join(plan::short(&hasher.finalize(), 8));
    write_sources(&folder.join("src")).with_context(|| format!("{} can't be written", folder.display()))?;
    // If the first build fails, for example without a network, try again offline and without the lock file, with the versions that are
    // already downloaded.
    let library = cargo(project, &folder, false, is_quiet).or_else(|error| {
        let _ = fs::remove_file(folder.join("src/Cargo.lock"));
        cargo(project, &folder, true, is_quiet).map_err(|_| error)
    })?;
    // Use the copy in `deps`, next to its dependencies: its file name contains a hash, so it is unique.
    let deps = library.parent().context("the path of the built library has no folder")?.join("deps");
    let woven = fs::read_dir(&deps)?.flatten().map(|entry| entry.path()).filter(|path| is_woven(path));
    let newest = woven.max_by_key(|path| path.metadata().and_then(|data| data.modified()).ok());
    let of_host = folder.join("target/release/deps");
    let folders = if of_host == deps { vec![deps] } else { vec![deps, of_host] };
    Ok(Runtime { library: newest.unwrap_or(library), folders })
}

fn is_woven(path: &Path) -> bool {
    path.extension().is_some_and(|end| end == "rlib")
        && path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("libmonitor_woven-"))
}

fn write_sources(folder: &Path) -> std::io::Result<()> {
    for (path, text) in FILES {
        let path = folder.join(path);
        // Existing files are kept: rewriting would trigger a rebuild, and cargo updates the lock file itself.
        if !path.exists() {
            fs::create_dir_all(path.parent().unwrap_or(folder))?;
            fs::write(&path, text)?;
        }
    }
    Ok(())
}

fn cargo(project: &Project, folder: &Path, is_offline: bool, is_quiet: bool) -> anyhow::Result<PathBuf> {
    let mut command = Command::new(&project.cargo);
    command.args(["build", "--release", "--package", "monitor-woven", "--message-format=json-render-diagnostics", "--manifest-path"]);
    command.arg(folder.join("src/Cargo.toml")).arg("--target-dir").arg(folder.join("target"));
    command.args(project.target.iter().flat_map(|target| ["--target", target.as_str()]));
    command.args(is_offline.then_some("--offline")).args(is_quiet.then_some("--quiet"));
    // Run in the project's folder, so that its toolchain and compiler flags apply.
    command.current_dir(&project.root).stdin(Stdio::null()).stdout(Stdio::piped());
    command.stderr(if is_offline { Stdio::null() } else { Stdio::inherit() });
    command.env("RUSTC_WRAPPER", std::env::current_exe()?).env(VARIABLE, "1").env_remove("RUSTC_WORKSPACE_WRAPPER");
    let mut child = command.spawn().with_context(|| format!("{} can't be run", Path::new(&project.cargo).display()))?;
    let mut library = None;
    for line in BufReader::new(child.stdout.take().context("it is piped")?).lines() {
        let Ok(message) = serde_json::from_str::<Value>(&line?) else { continue };
        if message["reason"] == "compiler-artifact" && message["target"]["name"] == "monitor_woven" {
            library = message["filenames"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .map(PathBuf::from)
                .find(|path| path.extension().is_some_and(|end| end == "rlib"));
        }
    }
    if !child.wait()?.success() {
        bail!(
            "the runtime that is woven in can't be built: it needs Rust {} or later, with a standard library for the target",
            env!("CARGO_PKG_RUST_VERSION")
        );
    }
    library.context("cargo's messages name no library of the package monitor-woven")
}

/// Compiler wrapper for the runtime's build: keeps the bitcode, so that the library can be linked with LTO, and adds metadata, so that its
/// symbols differ from any other copy.
pub(crate) fn wrap(mut args: impl Iterator<Item = OsString>) -> ExitCode {
    let rustc = args.next().unwrap_or_default();
    let mut passed: Vec<OsString> = Vec::new();
    for arg in args {
        if arg == "embed-bitcode=no" {
            passed.pop();
        } else {
            passed.push(arg);
        }
    }
    if passed.iter().any(|arg| arg == "--crate-name") {
        passed.extend(["-C".into(), "metadata=monitor-woven".into()]);
    }
    let status = Command::new(&rustc).args(passed).status();
    status.ok().and_then(|status| status.code()).map_or(ExitCode::FAILURE, |code| ExitCode::from(code as u8))
}
