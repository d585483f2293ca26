//! Build script of `cargo-monitor`: embeds the sources of the woven runtime, because each project's own compiler builds the runtime.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::{env, fs};

use toml::{Table, Value};

/// Crates whose sources are embedded.
const CRATES: [&str; 5] = ["monitor-core", "monitor-duration", "monitor-macros", "monitor-spool", "monitor-woven"];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let own = PathBuf::from(env::var("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    // A package of the registry contains the list, because it has no workspace.
    let built = own.join("built/runtime.in");
    let list = if built.exists() { read(&built) } else { list(&own.join("../..")) };
    let out = PathBuf::from(env::var("OUT_DIR").expect("cargo sets it"));
    fs::write(out.join("runtime.in"), list).expect("the folder for what is made");
}

/// Returns the paths and texts of the runtime's files, as a Rust expression.
fn list(house: &Path) -> String {
    let mut list = String::from("[\n");
    let root: Table = read(&house.join("Cargo.toml")).parse().expect("the workspace's manifest");
    let workspace = root["workspace"].as_table().expect("a workspace");
    add(&mut list, "Cargo.toml", &manifest_of_workspace());
    add(&mut list, "Cargo.lock", &read(&house.join("Cargo.lock")));
    for name in CRATES {
        let folder = house.join(workspace["dependencies"][name]["path"].as_str().expect("a path"));
        let manifest: Table = read(&folder.join("Cargo.toml")).parse().expect("a manifest");
        add(&mut list, &format!("{name}/Cargo.toml"), &manifest_of(&manifest, workspace));
        let script = Some(folder.join("build.rs")).filter(|script| script.exists());
        for file in sources(&folder.join("src")).into_iter().chain(script) {
            let path = file.strip_prefix(&folder).expect("it is below").to_string_lossy().replace('\\', "/");
            add(&mut list, &format!("{name}/{path}"), &read(&file));
        }
    }
    list.push(']');
    list
}

fn add(list: &mut String, path: &str, text: &str) {
    writeln!(list, "({path:?}, {text:?}),").expect("memory");
}

fn read(path: &Path) -> String {
    println!("cargo::rerun-if-changed={}", path.display());
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    println!("cargo::rerun-if-changed={}", folder.display());
    let mut entries: Vec<PathBuf> = fs::read_dir(folder).expect("sources").map(|entry| entry.expect("an entry").path()).collect();
    entries.sort();
    entries.into_iter().flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] }).collect()
}

fn manifest_of_workspace() -> String {
    let members: Vec<Value> = CRATES.iter().map(|name| Value::from(*name)).collect();
    let mut profile = Table::new();
    // A value that user builds do not use, so that the file names of our libraries differ from those in the user's build.
    profile.insert("codegen-units".into(), Value::from(3));
    Table::from_iter([
        ("workspace".into(), Value::Table(Table::from_iter([("resolver".into(), "3".into()), ("members".into(), Value::Array(members))]))),
        ("profile".into(), Value::Table(Table::from_iter([("release".into(), Value::Table(profile))]))),
    ])
    .to_string()
}

/// Returns a manifest that is valid outside this workspace: inherited values are filled in, and development and optional dependencies are
/// omitted.
fn manifest_of(manifest: &Table, workspace: &Table) -> String {
    let mut package = Table::new();
    for (key, value) in manifest["package"].as_table().expect("a package") {
        let is_inherited = value.get("workspace").is_some();
        package.insert(key.clone(), if is_inherited { workspace["package"][key].clone() } else { value.clone() });
    }
    let mut dependencies = Table::new();
    for (name, value) in manifest.get("dependencies").and_then(Value::as_table).into_iter().flatten() {
        if value.get("optional").is_some() {
            continue;
        }
        let mut dependency = Table::new();
        let shared = &workspace["dependencies"][name];
        if CRATES.contains(&name.as_str()) {
            dependency.insert("path".into(), format!("../{name}").into());
            dependency.insert("default-features".into(), false.into());
        } else {
            let version = shared.as_str().or_else(|| shared.get("version")?.as_str()).expect("a version");
            dependency.insert("version".into(), version.into());
        }
        dependency.extend(value.get("features").map(|features| ("features".to_owned(), features.clone())));
        dependencies.insert(name.clone(), Value::Table(dependency));
    }
    let mut shipped = Table::from_iter([("package".into(), Value::Table(package)), ("dependencies".into(), Value::Table(dependencies))]);
    shipped.extend(manifest.get("lib").map(|lib| ("lib".to_owned(), lib.clone())));
    let mut features = manifest.get("features").and_then(Value::as_table).cloned().unwrap_or_default();
    features.retain(|name, needs| name != "default" && needs.as_array().is_some_and(Vec::is_empty));
    // `monitor-woven` requests the feature `read` by name, so it must exist although its dependencies are omitted.
    features.extend((manifest["package"]["name"].as_str() == Some("monitor-spool")).then(|| ("read".to_owned(), Value::Array(Vec::new()))));
    shipped.insert("features".into(), Value::Table(features));
    let lints = manifest.get("lints").and(workspace["lints"].get("rust")).cloned();
    shipped.extend(lints.map(|lints| ("lints".to_owned(), Value::Table(Table::from_iter([("rust".to_owned(), lints)])))));
    shipped.to_string()
}
