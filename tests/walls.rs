//! Dependencies that each crate must not have, as described in ARCHITECTURE.md.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use cargo_metadata::{Dependency, DependencyKind, MetadataCommand, Package};

/// Crates of this workspace, and their permitted dependencies: a name, or `*` for any external crate.
const WALLS: &[(&str, &[&str])] = &[
    ("monitor-duration", &[]),
    ("monitor-wire", &["serde", "serde_json", "utoipa"]),
    ("monitor-http", &["rustls", "rustls-native-certs", "webpki-root-certs"]),
    ("monitor-api", &["monitor-http", "monitor-wire", "*"]),
    ("monitor-receiver", &["monitor-http", "monitor-wire", "monitor-api", "monitor-notify", "*"]),
    ("monitor-text", &["monitor-duration", "monitor-wire", "anstyle", "jiff", "unicode-width"]),
    ("monitor-top", &["monitor-wire", "monitor-api", "monitor-text", "*"]),
    ("monitor-macros", &["monitor-duration", "proc-macro2", "quote", "syn"]),
    ("monitor-core", &["libc"]),
    (
        "monitor-spool",
        &[
            "monitor-duration",
            "monitor-wire",
            "monitor-core",
            "crc32fast",
            "etcetera",
            "flate2",
            "libc",
            "ruzstd",
            "serde",
            "serde_json",
            "zstd",
        ],
    ),
    ("monitor-woven", &["monitor-core", "monitor-macros", "monitor-spool", "libc"]),
    ("cargo-monitor", &["monitor-wire", "monitor-api", "monitor-spool", "*"]),
    ("monitor-state", &["monitor-wire", "serde", "serde_json"]),
    (
        "monitor-store",
        &[
            "monitor-alerts",
            "monitor-duration",
            "monitor-jobs",
            "monitor-state",
            "monitor-tasks",
            "monitor-wire",
            "foldhash",
            "globset",
            "proptest",
            "regex",
            "serde",
            "serde_json",
            "sha2",
            "thiserror",
            "toml",
            "tracing",
            "zstd",
        ],
    ),
    (
        "monitor-store-sqlite",
        &["monitor-alerts", "monitor-jobs", "monitor-salvage", "monitor-state", "monitor-store", "monitor-tasks", "monitor-wire", "*"],
    ),
    ("monitor-otlp", &["monitor-wire", "monitor-state", "base64", "http", "percent-encoding", "prost", "serde", "serde_json"]),
    ("monitor-web", &["rust-embed"]),
    ("monitor-client", &["monitor-http", "monitor-wire", "monitor-macros", "monitor-core", "monitor-spool", "monitor-otlp", "*"]),
    ("monitor-apalis", &["monitor-client", "*"]),
    (
        "monitor-server",
        &[
            "monitor-flower",
            "monitor-http",
            "monitor-duration",
            "monitor-wire",
            "monitor-spool",
            "monitor-state",
            "monitor-otlp",
            "monitor-tasks",
            "monitor-jobs",
            "monitor-alerts",
            "monitor-mcp",
            "monitor-notify",
            "monitor-store",
            "monitor-store-sqlite",
            "monitor-web",
            "*",
        ],
    ),
    ("monitor-runs", &["monitor-duration", "etcetera", "libc", "rustix", "serde", "serde_json", "shlex", "thiserror"]),
    ("monitor-alerts", &["monitor-duration", "monitor-tasks", "jiff", "serde", "serde_json"]),
    ("monitor-jobs", &["monitor-duration", "monitor-wire", "globset", "regex", "serde", "serde_json"]),
    ("monitor-tasks", &["monitor-duration", "croner", "jiff", "serde", "serde_json", "sha2", "strsim", "toml"]),
    ("monitor-runner", &["monitor-duration", "monitor-client", "monitor-runs", "*"]),
    (
        "monitor-agent",
        &[
            "monitor-http",
            "monitor-wire",
            "monitor-api",
            "monitor-alerts",
            "monitor-notify",
            "monitor-runs",
            "monitor-salvage",
            "monitor-spool",
            "monitor-tasks",
            "*",
        ],
    ),
    ("monitor-notify", &["monitor-http", "monitor-wire", "http", "lettre", "reqwest"]),
    ("monitor-salvage", &["rusqlite"]),
    ("monitor-celery", &["monitor-wire", "monitor-api", "monitor-spool", "*"]),
    ("monitor-flower", &["monitor-wire", "*"]),
    ("monitor-mcp", &["monitor-state", "monitor-text", "monitor-wire", "*"]),
    (
        "monitor-cli",
        &[
            "monitor-mcp",
            "monitor-http",
            "monitor-duration",
            "monitor-wire",
            "monitor-api",
            "monitor-receiver",
            "monitor-spool",
            "monitor-state",
            "monitor-server",
            "monitor-store-sqlite",
            "monitor-runs",
            "monitor-runner",
            "monitor-tasks",
            "monitor-alerts",
            "monitor-agent",
            "monitor-celery",
            "monitor-text",
            "monitor-top",
            "*",
        ],
    ),
    ("monitor-examples", &["monitor-client", "monitor-receiver", "*"]),
    ("monitor-test-aborter", &["monitor-client", "*"]),
    ("monitor-tests", &["monitor-client", "monitor-apalis", "*"]),
    ("xtask", &["*"]),
];

/// Crates that a program that depends on monitor-client must never compile.
const NEVER_IN_A_USERS_PROGRAM: &[&str] =
    &["axum", "rusqlite", "libsqlite3-sys", "utoipa", "monitor-server", "monitor-state", "monitor-web", "rust-embed"];

fn packages() -> BTreeMap<String, Package> {
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml");
    let metadata = MetadataCommand::new().manifest_path(manifest).other_options(["--locked".to_owned()]).exec().expect("cargo metadata");
    metadata.packages.into_iter().map(|package| (package.name.to_string(), package)).collect()
}

fn dependencies(package: &Package) -> impl Iterator<Item = &str> {
    package.dependencies.iter().filter(|dependency| dependency.kind == DependencyKind::Normal).map(|dependency| dependency.name.as_str())
}

#[test]
fn no_crate_has_a_forbidden_dependency() {
    let packages = packages();
    let ours: BTreeSet<&str> = WALLS.iter().map(|(name, _)| *name).collect();
    for (name, allowed) in WALLS {
        for dependency in dependencies(&packages[*name]) {
            let may = allowed.contains(&dependency) || (allowed.contains(&"*") && !ours.contains(dependency));
            assert!(may, "{name} must not know {dependency}: see ARCHITECTURE.md");
        }
    }
}

/// Source files in a folder and its subfolders, with their text.
fn sources(folder: &Path) -> Vec<(PathBuf, String)> {
    let entries = std::fs::read_dir(folder).expect("a folder of sources").map(|entry| entry.expect("an entry").path());
    let (folders, files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    let files = files.into_iter().filter(|path| path.extension().is_some_and(|extension| extension == "rs"));
    let texts = files.map(|path| (path.clone(), std::fs::read_to_string(path).expect("a source file")));
    texts.chain(folders.iter().flat_map(|folder| sources(folder))).collect()
}

/// Code that reads the system time without the server's clock would not follow a steered clock.
#[test]
fn the_server_has_one_clock() {
    let crates = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../crates"));
    let of_the_system = ["SystemTime::now", "UNIX_EPOCH", "Timestamp::now", "OffsetDateTime::now", "clock_gettime"];
    let read_it = |text: &str| of_the_system.iter().any(|name| text.contains(name));
    let all = ["monitor-server", "monitor-store", "monitor-store-sqlite"].map(|name| sources(&crates.join(name).join("src")));
    let found: Vec<_> = all.into_iter().flatten().filter(|(_, text)| read_it(text)).map(|(path, _)| path).collect();
    // The names of copies contain the system time.
    let allowed = ["monitor-server/src/clock.rs", "monitor-store-sqlite/src/copies.rs"].map(|file| crates.join(file));
    assert_eq!(found, allowed, "only clock.rs asks the system for the time of day: see ARCHITECTURE.md");
}

/// Files of the server that use SQLite: separate databases, each behind the interface of its module.
const DATABASES_OF_SUBJECTS: [&str; 3] = ["access/sqlite.rs", "commands/ledger.rs", "commands/newest.rs"];

/// Code that uses the types of a particular database can't work with another database.
#[test]
fn the_server_accesses_its_stores_through_traits() {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../crates/monitor-server/src"));
    // Tests may read the content of database files.
    let names_it = |text: &str| text.split("#[cfg(test)]\nmod tests").next().is_some_and(|text| text.contains("rusqlite"));
    let found: BTreeSet<_> = sources(folder).into_iter().filter(|(_, text)| names_it(text)).map(|(path, _)| path).collect();
    let allowed = DATABASES_OF_SUBJECTS.iter().map(|file| folder.join(file)).collect();
    assert_eq!(found, allowed, "only monitor-store-sqlite and the databases of subjects speak with SQLite: see ARCHITECTURE.md");
}

/// Crates outside of `crates/`: those that users depend on, and those that are no part of the product.
const AT_THE_TOP: [&str; 6] = ["monitor-client", "monitor-macros", "monitor-examples", "monitor-tests", "monitor-test-aborter", "xtask"];

#[test]
fn crates_lie_in_folders_of_their_names() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
    let packages = packages();
    for (name, _) in WALLS.iter().filter(|(name, _)| !AT_THE_TOP.contains(name)) {
        let manifest = packages[*name].manifest_path.strip_prefix(top).expect("in the workspace");
        assert_eq!(manifest, format!("crates/{name}/Cargo.toml"), "see ARCHITECTURE.md");
    }
}

#[test]
fn the_readme_installs_a_crate_from_its_folder() {
    let folders: Vec<&str> =
        include_str!("../README.md").split("cargo install --path ").skip(1).filter_map(|rest| rest.lines().next()).collect();
    assert!(!folders.is_empty(), "the README has the command");
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
    for folder in folders {
        assert!(top.join(folder).join("Cargo.toml").is_file(), "README.md: no crate in {folder}");
    }
}

#[test]
fn every_crate_has_a_list_of_allowed_dependencies() {
    let packages = packages();
    let members: BTreeSet<&str> =
        packages.values().filter(|package| package.source.is_none()).map(|package| package.name.as_str()).collect();
    assert_eq!(members, WALLS.iter().map(|(name, _)| *name).collect());
}

/// Dependencies of monitor-client that only a feature adds: crates that the user has already, and the crate that creates spans.
const INTEGRATIONS: &[&str] = &["axum", "lapin", "monitor-otlp", "redis", "reqwest-middleware", "tonic"];

#[test]
fn a_monitored_program_compiles_none_of_the_server() {
    let packages = packages();
    let (mut todo, mut seen) = (vec!["monitor-client"], BTreeSet::new());
    while let Some(name) = todo.pop() {
        if seen.insert(name) {
            todo.extend(packages.get(name).into_iter().flat_map(|package| {
                let normal =
                    package.dependencies.iter().filter(|d| d.kind == DependencyKind::Normal && !d.optional || name == "monitor-client");
                normal
                    .filter(|d| d.kind == DependencyKind::Normal && !(d.optional && INTEGRATIONS.contains(&d.name.as_str())))
                    .map(|d| d.name.as_str())
            }));
        }
    }
    for name in NEVER_IN_A_USERS_PROGRAM {
        assert!(!seen.contains(name), "monitor-client brings {name} along");
    }
    for name in ["syn", "quote", "proc-macro2", "reqwest", "serde", "serde_json", "once_cell", "tokio", "tracing"] {
        assert!(seen.contains(name), "monitor-client was to use {name}");
    }
}

/// The library must not add unused features to the user's program. Each feature costs build time. TLS depends on a feature of the client.
#[test]
fn the_http_client_of_a_monitored_program_has_no_feature_that_is_not_used() {
    let packages = packages();
    let is_client = |d: &&Dependency| d.name == "reqwest" && d.kind == DependencyKind::Normal;
    for client in packages["monitor-client"].dependencies.iter().filter(is_client) {
        assert!(!client.uses_default_features && client.features.is_empty(), "{client:?}");
    }
}

/// Crates that a program compiles if it depends on monitor-client with these arguments.
fn compiled(arguments: &[&str]) -> BTreeSet<String> {
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml");
    let mut tree = std::process::Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    tree.args(["tree", "--locked", "--offline", "-p", "monitor-client", "-e", "normal", "--prefix", "none", "--format", "{p}"]);
    let output = tree.args(["--manifest-path", manifest]).args(arguments).output().expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    text.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}

#[test]
fn crates_for_otlp_are_compiled_only_with_its_feature() {
    let of_otlp = ["monitor-otlp", "monitor-state", "prost", "prost-derive"];
    let by_default = compiled(&[]);
    assert!(of_otlp.iter().all(|name| !by_default.contains(*name)), "{by_default:?}");
    let with_otlp = compiled(&["--features", "otlp"]);
    assert!(of_otlp.iter().all(|name| with_otlp.contains(*name)), "{with_otlp:?}");
}

#[test]
fn the_batch_feature_adds_no_crate() {
    assert_eq!(compiled(&["--features", "batch"]), compiled(&[]));
}

#[test]
fn without_default_features_a_program_compiles_the_attributes_and_the_core_alone() {
    let names = compiled(&["--no-default-features"]);
    let ours = ["monitor-client", "monitor-core", "monitor-duration", "monitor-macros"];
    let of_these = ["libc", "proc-macro2", "quote", "syn", "unicode-ident"];
    assert_eq!(names, ours.into_iter().chain(of_these).map(str::to_owned).collect());
}
