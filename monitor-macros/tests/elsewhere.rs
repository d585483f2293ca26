//! The attributes in crates of other editions, and with monitoring compiled in: `compile.rs` has it left out.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const TESTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests");

#[test]
fn every_shape_compiles_and_runs_in_every_edition() {
    for (edition, features) in [("2018", "record"), ("2021", "record"), ("2021", ""), ("2024", "record")] {
        let package = Package::new(&format!("edition-{edition}-{features}"), edition, features);
        fs::copy(format!("{TESTS}/editions/shapes.rs"), package.source("main.rs")).expect("copied");
        let output = package.cargo(&["run", "--quiet"]);
        assert!(output.status.success(), "edition {edition}, features {features:?}:\n{}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn correct_uses_compile_with_monitoring_compiled_in() {
    let package = Package::new("pass", "2024", "record");
    for file in files("pass") {
        fs::copy(&file, package.source(&format!("bin/{}", name(&file)))).expect("copied");
    }
    let output = package.cargo(&["check", "--quiet", "--bins", "--keep-going"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn mistakes_are_the_same_with_monitoring_compiled_in() {
    let package = Package::new("fail", "2024", "record");
    let mut expected = BTreeSet::new();
    for file in files("fail") {
        fs::copy(&file, package.source(&format!("bin/{}", name(&file)))).expect("copied");
        let text = fs::read_to_string(file.with_extension("stderr")).expect("a checked-in .stderr");
        expected.extend(mistakes(&text, "tests/fail/"));
    }
    let output = package.cargo(&["check", "--bins", "--keep-going"]);
    let found = mistakes(&String::from_utf8_lossy(&output.stderr), "src/bin/");
    assert!(expected.len() > 40, "{expected:#?}");
    assert_eq!(found, expected);
}

#[test]
fn clippy_finds_nothing_in_generated_code() {
    for features in ["record", ""] {
        let package = Package::new(&format!("clippy-{features}"), "2024", features);
        fs::copy(format!("{TESTS}/pass/strict.rs"), package.source("main.rs")).expect("copied");
        let output = package.cargo(&["clippy", "--quiet"]);
        assert!(output.status.success(), "features {features:?}:\n{}", String::from_utf8_lossy(&output.stderr));
    }
}

/// Part of every symbol of monitor-core, in both mangling schemes. Paths of source files contain a hyphen instead.
const SYMBOL: &[u8] = b"12monitor_core";

#[test]
fn without_recording_nothing_of_the_recorder_is_in_the_binary() {
    let build = |features: &str| {
        let package = Package::new(&format!("symbols-{features}"), "2024", features);
        fs::copy(format!("{TESTS}/off/attributes.rs"), package.source("main.rs")).expect("copied");
        let output = package.cargo(&["build", "--quiet", "--release"]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("elsewhere/target/release/elsewhere-symbols-{features}"));
        let bytes = fs::read(program.with_extension(std::env::consts::EXE_EXTENSION)).expect("a program");
        let at = |at: usize| String::from_utf8_lossy(&bytes[at..(at + 60).min(bytes.len())]).into_owned();
        (0..bytes.len() - SYMBOL.len()).filter(|start| bytes[*start..].starts_with(SYMBOL)).map(at).collect::<Vec<_>>()
    };
    assert_eq!(build(""), Vec::<String>::new());
    assert!(build("record").len() > 20, "its symbols are found where it is");
}

/// Returns the first lines of the compiler's errors, by their places below `folder`.
fn mistakes(text: &str, folder: &str) -> BTreeSet<String> {
    let mut lines = text.lines();
    let mut found = BTreeSet::new();
    while let Some(line) = lines.next() {
        if line.starts_with("error") && !line.starts_with("error: could not compile") && !line.starts_with("error: aborting") {
            let place = lines.next().and_then(|place| place.split_once("--> ")).map_or("", |(_, place)| place);
            found.insert(format!("{}: {line}", place.trim_start_matches(folder)));
        }
    }
    found
}

/// A package apart from this workspace, with its locked versions.
struct Package {
    folder: PathBuf,
}

impl Package {
    fn new(name: &str, edition: &str, features: &str) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("elsewhere").join(name);
        let _ = fs::remove_dir_all(folder.join("src"));
        fs::create_dir_all(folder.join("src/bin")).expect("a folder");
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a workspace");
        let mut manifest = format!(
            "[package]\nname = \"elsewhere-{name}\"\nversion = \"0.0.0\"\nedition = \"{edition}\"\n[workspace]\n[dependencies]\n\
             anyhow = \"1\"\nasync-trait = \"0.1\"\ntokio = {{ version = \"1\", features = [\"full\"] }}\n"
        );
        let client = workspace.join("monitor-client").display().to_string();
        writeln!(manifest, "monitor-client = {{ path = {client:?}, default-features = false, features = [{features:?}] }}")
            .expect("written");
        fs::write(folder.join("Cargo.toml"), manifest.replace("[\"\"]", "[]")).expect("written");
        fs::copy(workspace.join("Cargo.lock"), folder.join("Cargo.lock")).expect("copied");
        Package { folder }
    }

    fn source(&self, file: &str) -> PathBuf {
        self.folder.join("src").join(file)
    }

    /// All packages are compiled into one folder, so that each dependency is compiled once.
    fn cargo(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO"))
            .args(arguments)
            .args(["--offline", "--color", "never", "--target-dir"])
            .arg(Path::new(env!("CARGO_TARGET_TMPDIR")).join("elsewhere/target"))
            .current_dir(&self.folder)
            .env("RUST_BACKTRACE", "0")
            .output()
            .expect("cargo runs")
    }
}

fn files(folder: &str) -> Vec<PathBuf> {
    let files = fs::read_dir(format!("{TESTS}/{folder}")).expect("a folder").map(|file| file.expect("a file").path());
    files.filter(|file| file.extension().is_some_and(|extension| extension == "rs")).collect()
}

fn name(file: &Path) -> &str {
    file.file_name().and_then(|name| name.to_str()).expect("UTF-8")
}
