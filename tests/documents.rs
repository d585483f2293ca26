//! The documentation as a whole: its links, its index, its words, and the lists that must be complete.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Component, Path, PathBuf};

use monitor_tests::{command, run};

/// Words that were replaced, and their replacements. A word also matches as the beginning of a longer word, such as `hushes`.
const RETIRED: [(&str, &str); 4] = [("hush", "silence"), ("mend", "fix"), ("tell events", "start recording"), ("heard of", "last contact")];
/// Documents outside of `docs/`.
const AT_THE_TOP: [&str; 4] = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"];
/// Folders that contain built, fetched or generated files.
const SKIPPED: [&str; 6] = [".git", "target", "node_modules", "dist", "fixtures", "corpus"];

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_owned()
}

/// All files below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let kept = paths.filter(|path| !SKIPPED.iter().any(|name| path.ends_with(name)) && !path.is_symlink());
    kept.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// Path and text of each document.
fn documents() -> Vec<(PathBuf, String)> {
    let top = top();
    let docs = files(&top.join("docs")).into_iter().filter(|path| path.extension().is_some_and(|end| end == "md"));
    let paths = docs.chain(AT_THE_TOP.map(|name| top.join(name)));
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        (path, text)
    };
    paths.map(read).collect()
}

/// The text without blocks of code.
fn without_blocks(text: &str) -> String {
    let mut is_code = false;
    let mut prose = String::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            is_code = !is_code;
        } else if !is_code {
            prose.push_str(line);
            prose.push('\n');
        }
    }
    prose
}

/// The text without spans of code. A span doesn't leave its paragraph.
fn without_spans(text: &str) -> String {
    text.split("\n\n").map(|paragraph| paragraph.split('`').step_by(2).collect::<String>()).collect::<Vec<_>>().join("\n\n")
}

/// Anchors of the headings, as GitHub makes them.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut seen = BTreeMap::<String, u32>::new();
    let prose = without_blocks(text);
    let headings = prose.lines().filter_map(|line| line.trim_start_matches('#').strip_prefix(' ').filter(|_| line.starts_with('#')));
    let mut anchor = |heading: &str| {
        let kept = heading.trim().chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        let anchor = kept.collect::<String>().to_lowercase().replace(' ', "-");
        let count = seen.entry(anchor.clone()).or_default();
        *count += 1;
        if *count == 1 { anchor } else { format!("{anchor}-{}", *count - 1) }
    };
    headings.map(&mut anchor).collect()
}

/// Targets of the links and pictures of a document.
fn links(text: &str) -> Vec<String> {
    let prose = without_spans(&without_blocks(text));
    prose.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target.to_owned()).collect()
}

/// A path without `..`, so that one file has one path.
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

/// The file and the anchor of each relative link.
fn targets(path: &Path, text: &str) -> Vec<(PathBuf, String)> {
    let relative = links(text).into_iter().filter(|target| !target.contains("://") && !target.starts_with("mailto:"));
    let resolve = |target: String| {
        let (file, anchor) = target.split_once('#').unwrap_or((&target, ""));
        let file = if file.is_empty() { path.to_owned() } else { normal(&path.parent().expect("a folder").join(file)) };
        (file, anchor.to_owned())
    };
    relative.map(resolve).collect()
}

#[test]
fn each_relative_link_leads_to_a_file_and_a_heading() {
    let documents = documents();
    let mut broken = Vec::new();
    let mut count = 0;
    for (path, text) in &documents {
        for (file, anchor) in targets(path, text) {
            count += 1;
            let has_anchor = || fs::read_to_string(&file).is_ok_and(|text| anchors(&text).contains(&anchor));
            if !file.exists() || !(anchor.is_empty() || has_anchor()) {
                broken.push(format!("{}: {} #{anchor}", path.display(), file.display()));
            }
        }
    }
    assert!(count > 400, "only {count} links were found: does this test still read the documents?");
    assert!(broken.is_empty(), "links that lead nowhere:\n{}", broken.join("\n"));
}

#[test]
fn the_index_lists_each_page() {
    let index = top().join("docs/README.md");
    let text = fs::read_to_string(&index).expect("the index");
    let listed: BTreeSet<PathBuf> = targets(&index, &text).into_iter().map(|(file, _)| file).collect();
    let docs = top().join("docs");
    let pages = documents().into_iter().map(|(path, _)| path).filter(|path| path.starts_with(&docs) && *path != index);
    let missing: Vec<_> = pages.filter(|page| !listed.contains(page)).collect();
    assert!(missing.is_empty(), "docs/README.md does not list {missing:?}");
}

#[test]
fn each_page_that_the_sources_name_exists() {
    let top = top();
    let ends = ["rs", "ts", "tsx", "mjs", "toml", "json", "md", "service", "yml"];
    let named = |path: &PathBuf| path.extension().is_some_and(|end| ends.iter().any(|one| end == *one));
    let mut missing = Vec::new();
    for path in files(&top).into_iter().filter(named) {
        // A file that isn't text names no page.
        let Ok(text) = fs::read_to_string(&path) else { continue };
        for (before, rest) in text.match_indices("docs/").map(|(at, _)| (&text[..at], &text[at..])) {
            // Not the end of another word, of an address or of a relative path.
            let is_name = !before.ends_with(|c: char| c.is_alphanumeric() || matches!(c, '-' | '.' | '/'));
            let page: String = rest.chars().take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '/' | '-' | '_' | '.')).collect();
            let page = Path::new(page.trim_end_matches('.'));
            if is_name && page.extension().is_some_and(|end| end == "md") && !top.join(page).is_file() {
                missing.push(format!("{}: {}", path.display(), page.display()));
            }
        }
    }
    assert!(missing.is_empty(), "pages that don't exist:\n{}", missing.join("\n"));
}

/// Occurrences of retired words in a text without code.
fn retired(place: &str, text: &str) -> Vec<String> {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
    let begins_word = |at: usize| !text[..at].ends_with(char::is_alphanumeric);
    let found = |(word, instead): &(&str, &str)| {
        let at = text.match_indices(word).map(|(at, _)| at).find(|at| begins_word(*at))?;
        let passage: String = text[at..].chars().take(60).collect();
        Some(format!("{place}: {passage:?}: use {instead:?}"))
    };
    RETIRED.iter().filter_map(found).collect()
}

#[test]
fn a_retired_word_is_found_as_the_beginning_of_a_word_and_outside_of_code() {
    assert_eq!(retired("a", "All\nhushes are recommended.").len(), 1);
    assert_eq!(
        retired("a", "It was last heard\n  of then, and is mended."),
        ["a: \"mended.\": use \"fix\"", "a: \"heard of then, and is mended.\": use \"last contact\"",]
    );
    assert!(retired("a", &without_spans(&without_blocks("Run `hush`.\n```\nhush\n```\n"))).is_empty());
}

#[test]
fn documents_help_and_the_texts_of_the_page_have_no_retired_word() {
    let mut found = Vec::new();
    for (path, text) in documents() {
        found.extend(retired(&path.display().to_string(), &without_spans(&without_blocks(&text))));
    }
    let manual = tempfile::tempdir().expect("a folder");
    let mut man = command("monitor");
    man.arg("man").arg(manual.path());
    let written = run(man);
    assert_eq!(written.code, Some(0), "{}", written.stderr);
    let pages = files(manual.path());
    assert!(pages.len() > 45, "a manual page for each command: {pages:?}");
    for page in pages {
        let text = fs::read_to_string(&page).expect("a manual page");
        found.extend(retired(&page.file_name().expect("a name").to_string_lossy(), &without_spans(&text)));
    }
    let locales = files(&top().join("crates/monitor-web/app/src/locales"));
    let english: Vec<_> = locales.iter().filter(|path| path.ends_with("en.ts") || path.to_string_lossy().ends_with(".en.ts")).collect();
    assert!(english.len() > 5, "{english:?}");
    for path in english {
        let text = fs::read_to_string(path).expect("texts");
        // The keys keep their names.
        for value in text.lines().filter_map(|line| line.split_once("\": \"")).map(|(_, value)| value) {
            found.extend(retired(&path.display().to_string(), &without_spans(value)));
        }
    }
    assert!(found.is_empty(), "retired words:\n{}", found.join("\n"));
}

#[test]
fn the_reference_lists_each_command_and_each_setting_of_the_server() {
    let printed = |arguments: &[&str]| {
        let mut monitor = command("monitor");
        monitor.args(arguments);
        let finished = run(monitor);
        assert_eq!(finished.code, Some(0), "{}", finished.stderr);
        finished.stdout
    };
    let page = |name: &str| fs::read_to_string(top().join("docs/reference").join(name)).expect("a page");
    let (help, commands) = (printed(&["help", "--all"]), page("command-line.md"));
    let names: Vec<&str> = help.lines().filter_map(|line| line.strip_prefix("  ")?.split_whitespace().next()).collect();
    assert!(names.len() > 40, "{names:?}");
    let missing: Vec<_> = names.into_iter().filter(|name| !commands.contains(&format!("| `monitor {name}` |"))).collect();
    assert!(missing.is_empty(), "command-line.md has no {missing:?}");

    let (help, settings) = (printed(&["server", "--help"]), page("settings.md"));
    let flags = help.lines().filter_map(|line| line.trim_start().strip_prefix("--"));
    let names: Vec<&str> = flags.filter_map(|flag| flag.split([' ', '[', '=']).next()).filter(|name| *name != "print-settings").collect();
    assert!(names.len() > 50, "{names:?}");
    let missing: Vec<_> = names.into_iter().filter(|name| !settings.contains(&format!("| `{name}` |"))).collect();
    assert!(missing.is_empty(), "settings.md has no {missing:?}");
}

/// True for the name of one of our packages in the registry, see `cargo xtask package crates`.
fn is_ours(name: &str) -> bool {
    let Some(short) = name.strip_prefix("process-monitor-") else { return false };
    let folders = [format!("crates/monitor-{short}"), format!("monitor-{short}"), format!("crates/{short}-monitor")];
    folders.iter().any(|folder| top().join(folder).join("Cargo.toml").is_file())
}

/// Commands and dependencies in a text that name a package of another project, or a folder that does not exist.
fn foreign_packages(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, command) in ["cargo add ", "cargo install "].iter().flat_map(|command| text.match_indices(command)) {
        let arguments = text[at + command.len()..].split(['`', '"', '#', ';', ')', '\n']).next().expect("a piece");
        let mut words = arguments.split_whitespace();
        let is_ours = match words.clone().position(|word| word == "--path") {
            Some(option) => words.nth(option + 1).is_some_and(|folder| top().join(folder).join("Cargo.toml").is_file()),
            None => words.find(|word| !word.starts_with('-')).is_some_and(is_ours),
        };
        found.extend((!is_ours).then(|| format!("{command}{arguments}")));
    }
    for (at, _) in text.match_indices("monitor-") {
        let name: String = text[at..].chars().take_while(|c| c.is_ascii_lowercase() || *c == '-').collect();
        let Some(value) = text[at + name.len()..].strip_prefix(" = ") else { continue };
        let is_ours = match text[..at].strip_suffix("process-") {
            Some(_) => is_ours(&format!("process-{name}")),
            None => {
                value.starts_with("{ path = ") || value.starts_with("{{ path = ") || value.starts_with("{ package = \"process-monitor-")
            }
        };
        found.extend((!is_ours).then(|| format!("{name} = {}", value.lines().next().unwrap_or_default())));
    }
    found
}

#[test]
fn packages_of_other_projects_are_found_in_commands_and_dependencies() {
    let ours = "cargo install --path crates/monitor-cli\n`cargo add process-monitor-client --features tls`, `cargo install --locked process-monitor-cargo`";
    assert_eq!(foreign_packages(ours), Vec::<String>::new());
    let ours = "monitor-client = { path = \"../a\" }\nprocess-monitor-client = \"0.1\"\nmonitor-cli = { package = \"process-monitor-cli\", version = \"0.1\" }";
    assert_eq!(foreign_packages(ours), Vec::<String>::new());
    for foreign in [
        "cargo add monitor-client",
        "cargo install --locked monitor-cli",
        "cargo install process-monitor-none",
        "cargo install --path crates/none",
        "monitor-client = \"0.1\"",
        "monitor-client = { version = \"0.1\" }",
        "process-monitor-none = \"0.1\"",
    ] {
        assert_eq!(foreign_packages(foreign).len(), 1, "{foreign}");
    }
}

/// The registry has crates of other projects with the names of ours, such as `monitor_client`.
#[test]
fn documents_and_messages_install_no_package_of_another_project() {
    let top = top();
    let ends = ["md", "rs", "ts", "tsx", "sh", "service"];
    let sources = ["crates", "examples", "monitor-client", "monitor-macros", "packaging"].map(|folder| files(&top.join(folder)));
    let sources = sources.into_iter().flatten().filter(|path| path.extension().is_some_and(|end| ends.iter().any(|one| end == *one)));
    let read = |path: PathBuf| fs::read_to_string(&path).ok().map(|text| (path, text));
    let texts: Vec<_> = documents().into_iter().chain(sources.filter_map(read)).collect();
    assert!(texts.iter().any(|(_, text)| text.contains("cargo install ")), "this test reads the documents");
    let of = |(path, text): &(PathBuf, String)| {
        foreign_packages(text).into_iter().map(|one| format!("{}: {one}", path.display())).collect::<Vec<_>>()
    };
    let found: Vec<String> = texts.iter().flat_map(of).collect();
    assert!(found.is_empty(), "packages that are not ours:\n{}", found.join("\n"));
}

#[test]
fn the_readme_is_short() {
    let lines = |name: &str| fs::read_to_string(top().join(name)).expect("a document").lines().count();
    assert!(lines("README.md") <= 100, "README.md: {} lines", lines("README.md"));
}
