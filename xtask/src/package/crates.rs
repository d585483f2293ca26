//! Copies of the crates for the registry, in `target/package/crates`, and an empty project that uses their packages.
//!
//! The registry has crates of other projects with names such as `monitor_client`. So the packages have other names than the crates, and the
//! libraries keep theirs: a program depends on `process-monitor-client`, and its code uses `monitor_client`. A copy contains all files that its
//! crate includes, and no tests, because these use files of the whole workspace.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Component, Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use regex::{Captures, Regex};
use serde_json::Value;

use super::{VERSION, build, measure};
use crate::lowest::{copy_folder, without_tests};
use crate::run::{cargo, command, step, target, workspace};

/// Crates for users. The descriptions of all others advise against depending on them, and their versions are fixed.
const FOR_USERS: [&str; 7] =
    ["monitor-client", "monitor-macros", "monitor-api", "monitor-receiver", "monitor-apalis", "monitor-cli", "cargo-monitor"];
/// Folders that are not copied: tests, and the sources of the page, which is copied as built.
const LEFT_OUT: [&str; 3] = ["tests/", "app/", "proptest-regressions/"];
/// Files that the build scripts of these crates create from files outside of the crate. The scripts use the copies in the folder `built`.
const BUILT: [(&str, &[&str]); 2] = [("monitor-web", &["page", "report"]), ("cargo-monitor", &["runtime.in"])];

/// A crate that must be published.
struct Crate {
    name: String,
    /// Name of its package in the registry.
    published: String,
    /// Folder below that of the workspace.
    folder: PathBuf,
    has_library: bool,
    /// Names of our crates that it depends on.
    needs: Vec<String>,
}

/// Writes the copies, packs and compiles each package as `cargo publish` does, and uses the packages.
pub(crate) fn crates() -> Result<()> {
    let crates = published()?;
    let copies = target().join("package/crates");
    let output = target().join("package/crates-build");
    for stale in [&copies, &output.join("package")] {
        if stale.exists() {
            fs::remove_dir_all(stale)?;
        }
    }
    forget_unpacked(&crates)?;
    write_copies(&crates, &copies)?;
    let mut publish = cargo(&["publish", "--workspace", "--dry-run", "--allow-dirty"]);
    step("pack and compile the crates", publish.current_dir(&copies).env("CARGO_TARGET_DIR", &output))?;
    use_library(&crates, &output)?;
    let took = measure::first_answer(&output.join("debug/monitor"))?;
    println!("\n── the program of process-monitor-cli has sent its page after {} ms", took.as_millis());
    println!("\n── {}: {} packages", output.join("package").display(), crates.len());
    Ok(())
}

/// Removes the copies of our packages that cargo has unpacked in a run before. `cargo publish` puts the packages into a temporary registry, and cargo
/// does not notice that they have changed.
fn forget_unpacked(crates: &[Crate]) -> Result<()> {
    let Ok(registries) = fs::read_dir(Path::new(&build::cargo_home()?).join("registry/src")) else { return Ok(()) };
    // Names of folders are the host and a hash. A registry in a folder has no host.
    for registry in registries.flatten().filter(|registry| registry.file_name().to_string_lossy().starts_with('-')) {
        for one in crates {
            let unpacked = registry.path().join(format!("{}-{VERSION}", one.published));
            if unpacked.exists() {
                fs::remove_dir_all(&unpacked).with_context(|| format!("can't remove {}", unpacked.display()))?;
            }
        }
    }
    Ok(())
}

/// Returns the crates of the workspace without `publish = false`.
fn published() -> Result<Vec<Crate>> {
    let output = cargo(&["metadata", "--no-deps", "--format-version=1", "--locked"]).output()?;
    ensure!(output.status.success(), "cargo metadata failed: {}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout)?;
    let packages = metadata["packages"].as_array().context("cargo metadata lists no packages")?;
    packages.iter().filter(|package| package["publish"].is_null()).map(read_crate).collect()
}

fn read_crate(package: &Value) -> Result<Crate> {
    let name = package["name"].as_str().context("a package has a name")?;
    let manifest = Path::new(package["manifest_path"].as_str().context("a package has a path")?);
    let folder = manifest.parent().and_then(|folder| folder.strip_prefix(workspace()).ok()).context("a package lies in the workspace")?;
    let of = |list: &str| package[list].as_array().cloned().unwrap_or_default();
    let is_library = |target: &Value| ["lib", "proc-macro"].iter().any(|kind| target["kind"][0] == *kind);
    let own = |dependency: &Value| {
        (!dependency["path"].is_null() && dependency["kind"].is_null()).then(|| dependency["name"].as_str().map(str::to_owned))
    };
    Ok(Crate {
        name: name.to_owned(),
        published: format!("process-monitor-{}", name.trim_start_matches("monitor-").trim_end_matches("-monitor")),
        folder: folder.to_owned(),
        has_library: of("targets").iter().any(is_library),
        needs: of("dependencies").iter().filter_map(own).flatten().collect(),
    })
}

fn write_copies(crates: &[Crate], copies: &Path) -> Result<()> {
    fs::create_dir_all(copies)?;
    let root = fs::read_to_string(workspace().join("Cargo.toml"))?;
    fs::write(copies.join("Cargo.toml"), root_manifest(&root, crates)?)?;
    // The programs contain the tested versions of their dependencies, for `cargo install --locked`.
    fs::copy(workspace().join("Cargo.lock"), copies.join("Cargo.lock"))?;
    for one in crates {
        let to = copies.join(&one.folder);
        for file in files(&one.folder)? {
            copy_file(&workspace().join(&one.folder), &file, &to)?;
        }
        for licence in ["LICENSE-APACHE", "LICENSE-MIT"] {
            fs::copy(workspace().join(licence), to.join(licence))?;
        }
        let manifest = to.join("Cargo.toml");
        fs::write(&manifest, member_manifest(&fs::read_to_string(&manifest)?, one))?;
    }
    copy_built(crates, copies)
}

/// Returns the files of a crate that git knows or would add, without those that are left out.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let output =
        command("git", &["ls-files", "--cached", "--others", "--exclude-standard"]).current_dir(workspace().join(folder)).output()?;
    ensure!(output.status.success(), "git ls-files failed: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout)?;
    Ok(text.lines().filter(|file| !LEFT_OUT.iter().any(|folder| file.starts_with(folder))).map(PathBuf::from).collect())
}

/// Returns the workspace's manifest for the copies: its members, and the names in the registry.
fn root_manifest(root: &str, crates: &[Crate]) -> Result<String> {
    let (_, rest) = root.split_once("\n[workspace.package]").context("Cargo.toml has no [workspace.package]")?;
    let folders: Vec<&Path> = crates.iter().map(|one| &*one.folder).collect();
    let mut manifest = format!("[workspace]\nresolver = \"3\"\nmembers = {folders:?}\n\n[workspace.package]{rest}");
    for Crate { name, published, .. } in crates {
        let path = format!("\n{name} = {{ path = ");
        manifest = manifest.replace(&path, &format!("\n{name} = {{ package = \"{published}\", path = "));
        if !FOR_USERS.contains(&&**name) {
            let line = Regex::new(&format!("(?m)^({name} = .* version = \")"))?;
            manifest = line.replace(&manifest, "${1}=").into_owned();
        }
    }
    Ok(manifest)
}

/// Returns a crate's manifest with the name of its package.
fn member_manifest(manifest: &str, one: &Crate) -> String {
    let mut text = without_tests(manifest).replacen(&format!("name = \"{}\"", one.name), &format!("name = \"{}\"", one.published), 1);
    if !FOR_USERS.contains(&&*one.name) {
        text =
            text.replacen("description = \"Process Monitor: ", "description = \"Internal part of Process Monitor, don't depend on it: ", 1);
    }
    if one.has_library {
        let name = format!("[lib]\nname = \"{}\"\n", one.name.replace('-', "_"));
        text = if text.contains("[lib]\n") { text.replacen("[lib]\n", &name, 1) } else { format!("{text}\n{name}") };
    }
    text
}

/// Copies a file of the crate in `from`. Files outside of the crate that it includes are copied to the folder `included`, and its paths are changed.
fn copy_file(from: &Path, file: &Path, to: &Path) -> Result<()> {
    let target = to.join(file);
    fs::create_dir_all(target.parent().context("a file lies in a folder")?)?;
    if file.extension().is_none_or(|extension| extension != "rs") {
        fs::copy(from.join(file), target).with_context(|| format!("can't copy {}", file.display()))?;
        return Ok(());
    }
    let text = fs::read_to_string(from.join(file)).with_context(|| format!("can't read {}", file.display()))?;
    let (text, outside) = with_included(&text, from, file);
    fs::write(target, text)?;
    for path in outside {
        let copy = to.join("included").join(path.strip_prefix(workspace()).context("a file outside of the workspace")?);
        let folder = copy.parent().context("a file lies in a folder")?;
        // Its submodules are in the same folder.
        if path.ends_with("mod.rs") {
            copy_folder(path.parent().context("a file lies in a folder")?, folder)?;
        } else {
            fs::create_dir_all(folder)?;
            fs::copy(&path, copy).with_context(|| format!("can't copy {}", path.display()))?;
        }
    }
    Ok(())
}

/// Returns a source whose paths lead to the folder `included`, and the files outside of the crate that it includes.
fn with_included(text: &str, from: &Path, file: &Path) -> (String, BTreeSet<PathBuf>) {
    let include = Regex::new(r#"(include_(?:str|bytes)!\(|#\[path = )"(\.\./[^"]+)""#).expect("a valid pattern");
    let up = "../".repeat(file.components().count() - 1);
    let mut outside = BTreeSet::new();
    let changed = include.replace_all(text, |found: &Captures<'_>| {
        let path = normal(&from.join(file).with_file_name("").join(&found[2]));
        match path.strip_prefix(workspace()) {
            Ok(below) if !path.starts_with(from) => {
                let changed = format!("{}\"{up}included/{}\"", &found[1], below.display());
                outside.insert(path);
                changed
            }
            _ => found[0].to_owned(),
        }
    });
    (changed.into_owned(), outside)
}

/// Returns a path without `..`.
fn normal(path: &Path) -> PathBuf {
    let mut parts = PathBuf::new();
    for part in path.components() {
        if part == Component::ParentDir {
            parts.pop();
        } else {
            parts.push(part);
        }
    }
    parts
}

/// Builds the crates in `BUILT`, and copies the files that their build scripts have created.
fn copy_built(crates: &[Crate], copies: &Path) -> Result<()> {
    println!("\n── page and runtime");
    let mut cargo = cargo(&["build", "--locked", "--message-format=json-render-diagnostics"]);
    cargo.args(BUILT.iter().flat_map(|(name, _)| ["--package", name])).stderr(std::process::Stdio::inherit());
    let output = cargo.output()?;
    ensure!(output.status.success(), "cargo build failed");
    let messages = String::from_utf8(output.stdout)?;
    let messages: Vec<Value> = messages.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    for (name, files) in BUILT {
        let one = crates.iter().find(|one| one.name == name).with_context(|| format!("{name} is not published"))?;
        let id = format!("/{name}#");
        let is_its = |message: &&Value| {
            message["reason"] == "build-script-executed" && message["package_id"].as_str().is_some_and(|package| package.contains(&id))
        };
        let out = messages
            .iter()
            .find(is_its)
            .and_then(|message| message["out_dir"].as_str())
            .with_context(|| format!("{name} has no build script"))?;
        let built = copies.join(&one.folder).join("built");
        fs::create_dir_all(&built)?;
        for file in files {
            let from = Path::new(out).join(file);
            if from.is_dir() {
                copy_folder(&from, &built.join(file))?;
            } else {
                fs::copy(&from, built.join(file)).with_context(|| format!("{name} has not built {file}"))?;
            }
        }
    }
    let page = copies.join("crates/monitor-web/built/page/index.html");
    ensure!(page.exists(), "the page is not built: install Node, see CONTRIBUTING.md");
    Ok(())
}

/// Creates an empty project that depends on the client's package, with the first program of the documentation, and runs it with monitoring on.
fn use_library(crates: &[Crate], output: &Path) -> Result<()> {
    let project = target().join("package/empty-project");
    if project.exists() {
        fs::remove_dir_all(&project)?;
    }
    let page = fs::read_to_string(workspace().join("docs/start/install.md"))?;
    fs::create_dir_all(project.join("src"))?;
    fs::write(project.join("src/main.rs"), program(&page).context("docs/start/install.md has no program")?)?;
    let needed = closure(crates, "monitor-client");
    let patches = crates
        .iter()
        .filter(|one| needed.contains(&*one.name))
        .map(|Crate { published, .. }| format!("{published} = {{ path = \"../crates-build/package/{published}-{VERSION}\" }}\n"));
    // With this feature, the program needs all of our crates that the client may need.
    let client = format!("process-monitor-client = {{ version = \"{VERSION}\", features = [\"otlp\"] }}");
    let manifest = "[package]\nname = \"empty-project\"\nedition = \"2024\"\n\n[workspace]\n\n[dependencies]";
    fs::write(project.join("Cargo.toml"), format!("{manifest}\n{client}\n\n[patch.crates-io]\n{}", patches.collect::<String>()))?;
    step("compile an empty project", cargo(&["build"]).current_dir(&project).env("CARGO_TARGET_DIR", output))?;
    let spool = project.join("spool");
    let mut run = Command::new(output.join("debug/empty-project"));
    // No server listens on this port, so the records stay in the spool.
    run.env("MONITOR_ENABLED", "1").env("MONITOR_SPOOL_DIR", &spool).env("MONITOR_SERVER_URL", "http://127.0.0.1:9");
    let ended = run.output()?;
    ensure!(ended.status.success() && ended.stdout == b"2\n", "the program failed: {ended:?}");
    ensure!(fs::read_dir(&spool).is_ok_and(|mut files| files.next().is_some()), "the program has recorded nothing in {}", spool.display());
    Ok(())
}

/// Returns the first complete program of a page.
fn program(page: &str) -> Option<&str> {
    let (_, rest) = page.split_once("A complete `src/main.rs`:\n\n   ```rust\n")?;
    Some(rest.split_once("   ```\n")?.0)
}

/// Returns a crate and all of our crates that it depends on.
fn closure<'a>(crates: &'a [Crate], name: &'a str) -> BTreeSet<&'a str> {
    let (mut todo, mut seen) = (vec![name], BTreeSet::new());
    while let Some(name) = todo.pop() {
        if seen.insert(name) {
            todo.extend(crates.iter().filter(|one| one.name == name).flat_map(|one| one.needs.iter().map(|need| &**need)));
        }
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crate_named(name: &str) -> Crate {
        let package = serde_json::json!({
            "name": name,
            "manifest_path": workspace().join("crates").join(name).join("Cargo.toml"),
            "targets": [{"kind": ["lib"]}],
            "dependencies": [{"name": "monitor-wire", "path": "/a", "kind": null}, {"name": "monitor-web", "path": "/b", "kind": "dev"}, {"name": "serde", "kind": null}],
        });
        read_crate(&package).expect("a package")
    }

    #[test]
    fn packages_get_published_names_and_libraries_keep_theirs() {
        let names = ["monitor-client", "monitor-store-sqlite", "cargo-monitor"].map(|name| crate_named(name).published);
        assert_eq!(names, ["process-monitor-client", "process-monitor-store-sqlite", "process-monitor-cargo"]);
        assert_eq!(crate_named("monitor-core").needs, ["monitor-wire"]);
        let manifest =
            "[package]\nname = \"monitor-core\"\ndescription = \"Process Monitor: the core\"\n\n[dev-dependencies]\nserde = \"1\"\n";
        let internal = "[package]\nname = \"process-monitor-core\"\ndescription = \"Internal part of Process Monitor, don't depend on it: the core\"\n\n\n[lib]\nname = \"monitor_core\"\n";
        assert_eq!(member_manifest(manifest, &crate_named("monitor-core")), internal);
        let manifest = "[package]\nname = \"monitor-macros\"\ndescription = \"Process Monitor: attributes\"\n\n[lib]\nproc-macro = true\n";
        let for_users = "[package]\nname = \"process-monitor-macros\"\ndescription = \"Process Monitor: attributes\"\n\n[lib]\nname = \"monitor_macros\"\nproc-macro = true\n";
        assert_eq!(member_manifest(manifest, &crate_named("monitor-macros")), for_users);
    }

    #[test]
    fn dependencies_have_published_names_and_internal_crates_are_pinned() {
        let root = "[workspace]\nmembers = []\n\n[workspace.package]\nversion = \"0.1.0\"\n\n[workspace.dependencies]\n\
            monitor-core = { path = \"crates/monitor-core\", version = \"0.1.0\", default-features = false }\n\
            monitor-client = { path = \"monitor-client\", version = \"0.1.0\" }\n";
        let changed = root_manifest(root, &[crate_named("monitor-core"), crate_named("monitor-client")]).expect("a manifest");
        let (_, dependencies) = changed.split_once("[workspace.dependencies]\n").expect("dependencies");
        assert_eq!(
            dependencies,
            "monitor-core = { package = \"process-monitor-core\", path = \"crates/monitor-core\", version = \"=0.1.0\", default-features = false }\n\
             monitor-client = { package = \"process-monitor-client\", path = \"monitor-client\", version = \"0.1.0\" }\n"
        );
    }

    #[test]
    fn a_path_that_leaves_the_crate_leads_to_the_copy_in_it() {
        let crate_folder = workspace().join("crates/monitor-cli");
        let text = "include_str!(\"../../../../packaging/a.js\")\n#[path = \"../../../../fuzz/b.rs\"]\ninclude_bytes!(\"../own.txt\")\n";
        let (changed, outside) = with_included(text, &crate_folder, Path::new("src/commands/file.rs"));
        let expected =
            "include_str!(\"../../included/packaging/a.js\")\n#[path = \"../../included/fuzz/b.rs\"]\ninclude_bytes!(\"../own.txt\")\n";
        assert_eq!(changed, expected);
        assert_eq!(outside, ["packaging/a.js", "fuzz/b.rs"].map(|file| workspace().join(file)).into());
    }
}
