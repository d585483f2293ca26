//! `cargo monitor` on an unchanged project: the program behaves the same, and there is a tree.

mod brief;
mod by_hand;
mod choice;
mod deep;
mod ends;
mod junit;
mod passed;
mod programs;
mod projects;
mod report;
mod same;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use monitor_tests::{Finished, Server, command, outline, wait_for};
use serde_json::Value;
use tempfile::TempDir;

/// A copy of the project under test.
struct Project {
    folder: TempDir,
}

impl Project {
    fn new() -> Self {
        let project = Self { folder: tempfile::tempdir().expect("a folder") };
        copy(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/woven")), project.folder.path());
        project
    }

    fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    fn edit(&self, file: &str, from: &str, to: &str) {
        let text = fs::read_to_string(self.path(file)).expect("a file");
        assert!(text.contains(from), "{file} has no {from}");
        fs::write(self.path(file), text.replace(from, to)).expect("a file");
    }

    /// A program in a single file. Its name must be unique, because all programs share a build folder.
    fn of(name: &str, dependencies: &str, main: &str) -> Self {
        let project = Self { folder: tempfile::tempdir().expect("a folder") };
        fs::create_dir(project.path("src")).expect("a folder");
        let manifest = format!("[package]\nname = {name:?}\nedition = \"2018\"\n[workspace]\n[dependencies]\n{dependencies}");
        fs::write(project.path("Cargo.toml"), manifest).expect("a file");
        fs::write(project.path("src/main.rs"), main).expect("a file");
        project
    }

    /// Plain cargo.
    fn cargo(&self, line: &str) -> Command {
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.args(line.split(' ')).current_dir(&self.folder);
        cargo.env("CARGO_TARGET_DIR", self.path("target"));
        plain(&mut cargo);
        cargo
    }

    /// `cargo monitor`. All tests share the build folder of everything that is the same for all projects.
    fn monitor(&self, line: &str, server: Option<&Server>) -> Command {
        let mut monitor = command("cargo-monitor");
        monitor.arg("monitor").args(line.split(' ')).current_dir(&self.folder);
        monitor.env("CARGO_TARGET_DIR", concat!(env!("CARGO_TARGET_TMPDIR"), "/woven"));
        if let Some(server) = server {
            monitor.env("MONITOR_SERVER_URL", server.url()).env("MONITOR_SPOOL_DIR", server.spool());
        }
        // Records all calls singly, however short. Other tests cover counted calls.
        monitor.env("MONITOR_FOLD_BELOW", "off");
        plain(&mut monitor);
        monitor
    }

    /// All files of the project, without build results.
    fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut files = BTreeMap::new();
        let mut folders = vec![self.folder.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).expect("a folder").flatten() {
                let path = entry.path();
                if path.is_dir() && !path.ends_with("target") {
                    folders.push(path);
                } else if path.is_file() {
                    files.insert(path.clone(), fs::read(path).expect("a file"));
                }
            }
        }
        files
    }
}

/// Removes the settings of the cargo that runs the tests, because the projects under test have other settings.
fn plain(command: &mut Command) {
    for name in
        ["CARGO_INCREMENTAL", "CARGO_PROFILE_DEV_DEBUG", "RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "RUSTC_WRAPPER", "RUSTC_WORKSPACE_WRAPPER"]
    {
        command.env_remove(name);
    }
    command.env("CARGO_NET_RETRY", "2").env("CARGO_TERM_COLOR", "never");
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("the project").flatten() {
        let (path, to) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            copy(&path, &to);
        } else {
            fs::copy(&path, &to).expect("a file");
        }
    }
}

/// The lines of a text that contain one of these words.
fn lines(text: &str, words: &[&str]) -> Vec<String> {
    let is_meant = |line: &&str| words.iter().any(|word| line.contains(word));
    text.lines().filter(is_meant).map(|line| line.trim().to_owned()).collect()
}

fn good(finished: Finished) -> Finished {
    assert_eq!(finished.code, Some(0), "{}\n{}", finished.stdout, finished.stderr);
    finished
}

/// The outline of the tree with this root name, as soon as nothing in it runs.
fn tree(server: &Server, name: &str) -> String {
    let is_over = |root: &Value| root["name"] == name && root["counts"]["running"] == 0 && root["state"] != "running";
    wait_for(name, || server.roots().into_iter().find(is_over).map(|root| outline(&server.tree(&root))))
}

/// The number that a program prints.
trait LastNumber {
    fn last_number(self) -> String;
}

impl<I: Iterator<Item = String>> LastNumber for I {
    fn last_number(mut self) -> String {
        self.find(|line| line.bytes().all(|byte| byte.is_ascii_digit()) && !line.is_empty()).expect("its number")
    }
}
