//! The layers inside a crate: a module uses only modules of lower layers, so that no two modules need each other.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// Modules from the bottom up. Modules of the same layer do not use each other.
type Layers = &'static [&'static [&'static str]];

const CORE: Layers = &[
    &["brief", "context", "error_texts", "ids", "inside", "memory", "own", "section", "thread", "warn"],
    &["budget", "clock", "record", "trees"],
    &["fold", "keep", "outcome", "panic", "running", "site", "value", "verdict"],
    &["filter", "told"],
    &["levels"],
    &["switch"],
    &["done", "park"],
    &["ring"],
    &["sending"],
    &["current", "log", "queue_folds"],
    &["cancel", "enrich", "progress", "starter", "task"],
    &["drain", "live"],
    &["future", "home", "quiet", "strays"],
    &["attach", "exit", "fork"],
    &["private", "process", "span"],
];

const AGENT: Layers = &[
    &[
        "alert",
        "clock",
        "commands",
        "defaults",
        "error",
        "job_policy",
        "output",
        "random",
        "request",
        "retention",
        "telling",
        "verdict",
        "watch",
    ],
    &["config", "files", "folder", "log", "messages"],
    &["mark"],
    &["rebuilt"],
    &["data"],
    &["explain", "publication", "salvage"],
    &["publish", "run_files"],
    &["socket", "spec"],
    &["link", "run_watcher"],
    &["job", "outbox"],
    &["rebuild", "report"],
    &["agent"],
];

#[test]
fn a_module_of_the_client_uses_only_what_stands_below_it() {
    let edges = edges("monitor-core", CORE);
    assert!(edges.len() > 80, "only {} uses were found: does this test still read the sources?", edges.len());
    // The caller that creates the rings passes memory and a function for messages: `ring/host.rs`.
    assert!(!edges.contains(&("ring".to_owned(), "budget".to_owned())), "the rings use the budget");
}

#[test]
fn a_module_of_the_agent_uses_only_what_stands_below_it() {
    let edges = edges("monitor-agent", AGENT);
    assert!(edges.len() > 50, "only {} uses were found: does this test still read the sources?", edges.len());
}

/// Uses between the modules of a crate. Each module must be above the modules that it uses.
fn edges(package: &str, layers: Layers) -> BTreeSet<(String, String)> {
    let height: BTreeMap<&str, usize> = layers.iter().enumerate().flat_map(|(n, layer)| layer.iter().map(move |name| (*name, n))).collect();
    let mut sources = BTreeMap::new();
    read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates").join(package).join("src"), None, &mut sources);
    let known: BTreeSet<&str> = sources.keys().map(String::as_str).filter(|name| *name != "lib").collect();
    assert_eq!(known, height.keys().copied().collect(), "each module of {package} has its layer in this list");
    let used = sources.iter().filter(|(module, _)| *module != "lib").flat_map(|(module, source)| {
        let others = uses(source).into_iter().filter(|used| used != module && height.contains_key(used.as_str()));
        others.map(|used| (module.clone(), used)).collect::<Vec<_>>()
    });
    let edges: BTreeSet<(String, String)> = used.collect();
    for (module, used) in &edges {
        assert!(height[used.as_str()] < height[module.as_str()], "{package}: {module} uses {used}, which doesn't stand below it");
    }
    edges
}

/// The source of each module, including its submodules and without its tests.
fn read(folder: &Path, within: Option<&str>, sources: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(folder).expect("a folder of sources") {
        let path = entry.expect("an entry").path();
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        let module = within.unwrap_or(&name);
        if path.is_dir() {
            read(&path, Some(module), sources);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).expect("a source");
            let text = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
            sources.entry(module.to_owned()).or_default().push_str(text);
        }
    }
}

/// Names of the modules in `crate::name` or `use crate::{name, …}`.
fn uses(source: &str) -> BTreeSet<String> {
    let code: String = source.lines().filter(|line| !line.trim_start().starts_with("//")).flat_map(|line| [line, "\n"]).collect();
    let mut found = BTreeSet::new();
    for part in code.split("crate::").skip(1) {
        if let Some(list) = part.strip_prefix('{') {
            let mut depth = 0;
            let end = list.find(|c| {
                depth += i32::from(c == '{') - i32::from(c == '}');
                depth < 0
            });
            let list = &list[..end.expect("a list that ends")];
            assert!(!list.contains('{'), "`use crate::{{…}}` with lists in it isn't read: {list}");
            found.extend(list.split(',').map(|item| first_word(item.trim())));
        } else {
            found.insert(first_word(part));
        }
    }
    assert!(!found.iter().any(|name| name.starts_with(char::is_uppercase)), "name the module, not what lib.rs shows of it: {found:?}");
    found
}

fn first_word(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}
