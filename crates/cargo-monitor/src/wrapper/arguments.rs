//! The arguments with which cargo calls rustc.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};

/// Parsed arguments for a crate of the workspace.
#[derive(Debug)]
pub(super) struct Arguments {
    /// All arguments, with the contents of argument files (`@file`).
    pub(super) all: Vec<OsString>,
    pub(super) crate_name: String,
    /// Root file, as passed to rustc.
    pub(super) root: PathBuf,
    pub(super) out_dir: Option<PathBuf>,
    pub(super) has_target: bool,
    /// True for a procedural macro or a build script.
    pub(super) is_tool: bool,
    pub(super) edition: String,
    /// The crate's name for `monitor-client`, if it depends on it.
    pub(super) client: Option<String>,
    extra_filename: String,
    root_at: usize,
}

impl Arguments {
    /// Returns `None` if the arguments compile no crate from a file, for example if they query the compiler.
    pub(super) fn read(args: &[OsString]) -> Option<Self> {
        let all = expanded(args);
        let values = |name: &str| {
            let name = name.to_owned();
            let all = &all;
            all.iter().enumerate().filter_map(move |(at, arg)| {
                let arg = arg.to_str()?;
                if arg == name { all.get(at + 1)?.to_str() } else { arg.strip_prefix(&name)?.strip_prefix('=') }
            })
        };
        let crate_name = values("--crate-name").next()?.to_owned();
        let root_at =
            all.iter().position(|arg| !arg.to_string_lossy().starts_with('-') && Path::new(arg).extension() == Some(OsStr::new("rs")))?;
        if values("--print").next().is_some() || crate_name == "___" {
            return None;
        }
        // The tests of a macro crate are not a macro, but they link `proc_macro`, too.
        let is_macro = values("--extern").any(|library| library == "proc_macro");
        let codegen = |name: &str| values("-C").find_map(|option| option.strip_prefix(name)?.strip_prefix('=')).map(str::to_owned);
        let client = values("--extern").find_map(|library| {
            let (name, path) = library.split_once('=')?;
            let file = Path::new(path).file_name()?.to_str()?;
            file.starts_with("libmonitor_client-").then(|| name.rsplit(':').next().unwrap_or(name).to_owned())
        });
        Some(Self {
            root: all[root_at].clone().into(),
            out_dir: values("--out-dir").next().map(PathBuf::from),
            has_target: values("--target").next().is_some(),
            is_tool: is_macro || (crate_name.starts_with("build_script_") && std::env::var_os("CARGO_BIN_NAME").is_none()),
            edition: values("--edition").next().unwrap_or("2015").to_owned(),
            client,
            extra_filename: codegen("extra-filename").unwrap_or_default(),
            crate_name,
            root_at,
            all,
        })
    }

    /// Returns a name that is unique among all compilations of a build.
    pub(super) fn unit(&self) -> String {
        format!("{}{}", self.crate_name, self.extra_filename)
    }

    /// Returns all arguments, with another root file.
    pub(super) fn with_root(&self, root: &Path) -> Vec<OsString> {
        let mut all = self.all.clone();
        all[self.root_at] = root.into();
        all
    }

    /// Returns arguments that only check the crate and write files only into `folder`.
    pub(super) fn check_into(&self, folder: &Path) -> Vec<OsString> {
        let (mut all, mut args) = (self.all.iter().peekable(), Vec::new());
        while let Some(arg) = all.next() {
            let text = arg.to_string_lossy();
            if text == "--out-dir" {
                args.extend([arg.clone(), folder.into()]);
                all.next();
            } else if text == "--emit" {
                args.push("--emit=metadata".into());
                all.next();
            } else if text.starts_with("--emit=") {
                args.push("--emit=metadata".into());
            } else if text == "-C" && all.peek().is_some_and(|next| next.to_string_lossy().starts_with("incremental=")) {
                all.next();
            } else {
                args.push(arg.clone());
            }
        }
        args
    }

    /// Returns the path of the dependency file that rustc writes.
    pub(super) fn dependencies(&self) -> Option<PathBuf> {
        Some(self.out_dir.as_ref()?.join(format!("{}.d", self.unit())))
    }
}

/// Replaces each argument file (`@file`) by its lines. cargo uses such files if the command line is too long.
fn expanded(args: &[OsString]) -> Vec<OsString> {
    let of = |arg: &OsString| {
        let file = arg.to_str().and_then(|arg| arg.strip_prefix('@'))?;
        Some(fs::read_to_string(file).ok()?.lines().map(OsString::from).collect::<Vec<_>>())
    };
    args.iter().flat_map(|arg| of(arg).unwrap_or_else(|| vec![arg.clone()])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<Arguments> {
        Arguments::read(&text.split(' ').map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn a_crate_is_distinguished_from_a_probe() {
        assert!(read("-vV").is_none());
        assert!(read("- --crate-name ___ --print=file-names --crate-type bin").is_none());
        let args = "--crate-name app --edition=2021 src/main.rs --crate-type bin --emit=dep-info,link -C metadata=1 -C extra-filename=-7 \
                    --out-dir /t/debug/deps -C incremental=/t/i --extern noprelude:mc=/t/deps/libmonitor_client-1.rlib";
        let app = read(args).unwrap();
        assert_eq!((app.unit().as_str(), app.root.as_path(), app.edition.as_str()), ("app-7", Path::new("src/main.rs"), "2021"));
        assert_eq!((app.client.as_deref(), app.is_tool, app.has_target), (Some("mc"), false, false));
        assert_eq!(app.dependencies().unwrap(), Path::new("/t/debug/deps/app-7.d"));
        let check = app.check_into(Path::new("/c")).join(OsStr::new(" ")).into_string().unwrap();
        assert!(check.contains("--emit=metadata") && check.contains("--out-dir /c") && !check.contains("incremental"), "{check}");
        assert!(read("--crate-name m src/lib.rs --test --extern proc_macro").unwrap().is_tool);
        assert!(read("--crate-name build_script_build build.rs --crate-type bin").unwrap().is_tool);
    }
}
