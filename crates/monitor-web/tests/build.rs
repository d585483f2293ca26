//! The build script with and without its requirements. `node` and `npm` are fakes here; the page itself is built with the real ones.
#![cfg(unix)]

#[path = "../build/page.rs"]
mod page;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use page::{Missing, Request, SOURCES, build, target_folder};

/// Fake npm that records its first argument.
const NPM: &str = r#"#!/bin/sh
echo "$1" >> "$(dirname "$0")/asked"
case "$1" in
  ci) mkdir node_modules ;;
  run) test -d ../node_modules && test -f index.html && mkdir -p "$5" && echo page > "$5/index.html" ;;
esac
"#;

/// A program can't be started while a child of another test still has it open for writing, so the tests run one at a time.
static TURN: Mutex<()> = Mutex::new(());

struct House {
    folder: tempfile::TempDir,
    _turn: MutexGuard<'static, ()>,
}

impl House {
    fn new() -> Self {
        let house =
            Self { folder: tempfile::tempdir().expect("a temporary folder"), _turn: TURN.lock().unwrap_or_else(PoisonError::into_inner) };
        for source in SOURCES {
            let path = house.path("app").join(source);
            if source.contains('.') {
                write(&path, source, 0o444);
            } else {
                write(&path.join("deep/file"), source, 0o444);
            }
        }
        house
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn program(&self, name: &str, text: &str) {
        write(&self.path("bin").join(name), text, 0o755);
    }

    fn node(&self, version: &str) {
        self.program("node", &format!("#!/bin/sh\necho v{version}\n"));
    }

    fn request(&self, page: &str) -> Request {
        Request {
            app: self.path("app"),
            cache: self.path("cache"),
            page: self.path(page),
            report: self.path(&format!("{page} report")),
            // Only the fakes and the tools that they use.
            path: format!("{}:/usr/bin:/bin", self.path("bin").display()).into(),
        }
    }

    /// Returns the recorded arguments of npm, in order.
    fn asked(&self) -> Vec<String> {
        let asked = fs::read_to_string(self.path("bin/asked")).unwrap_or_default();
        asked.lines().map(str::to_owned).collect()
    }
}

fn write(path: &Path, text: &str, mode: u32) {
    fs::create_dir_all(path.parent().expect("a folder")).expect("writable");
    let _ = fs::remove_file(path);
    fs::write(path, text).expect("writable");
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("writable");
}

fn is_empty(folder: &Path) -> bool {
    fs::read_dir(folder).expect("it exists").next().is_none()
}

#[test]
fn without_node_the_page_is_empty_and_the_error_names_the_reason() {
    let house = House::new();
    let mut request = house.request("page");
    request.path = house.path("bin").into();
    let missing = build(&request).unwrap_err();
    assert!(matches!(missing, Missing::NotFound("node")));
    assert_eq!(missing.to_string(), "node was not found (Node 20.19, or 22.12 or newer, is needed)");
    assert!(is_empty(&request.page));

    house.node("22.12.0");
    assert!(matches!(build(&request).unwrap_err(), Missing::NotFound("npm")));
}

#[test]
fn an_outdated_node_is_refused_with_its_version() {
    let house = House::new();
    house.program("npm", NPM);
    for version in ["18.20.4", "20.18.3", "21.7.0", "22.11.0", "nonsense"] {
        house.node(version);
        let missing = build(&house.request("page")).unwrap_err();
        assert_eq!(missing.to_string(), format!("Node {version} is not supported (20.19, or 22.12 or newer, is needed)"));
    }
    assert!(house.asked().is_empty(), "npm was asked: {:?}", house.asked());
    for version in ["20.19.0", "22.12.0", "24.1.0"] {
        house.node(version);
        build(&house.request("page")).expect("new enough");
    }
}

#[test]
fn the_error_of_npm_is_the_reason_and_the_next_build_tries_again() {
    let house = House::new();
    house.node("20.19.0");
    house.program("npm", "#!/bin/sh\necho 'npm error network' >&2\necho 'npm error no route' >&2\nexit 1\n");
    let request = house.request("page");
    let missing = build(&request).unwrap_err().to_string();
    assert_eq!(missing, "`npm ci` failed: npm error network · npm error no route");
    assert!(is_empty(&request.page));

    house.program("npm", &NPM.replace("&& mkdir -p", "&& false #"));
    let missing = build(&request).unwrap_err().to_string();
    assert!(missing.starts_with("`npm run build` failed"), "{missing}");
    assert!(is_empty(&request.page));

    // As Vite prints it: colours, then the stack of its own functions.
    let said = r"\nerror during build:\nBuild failed with 1 error:\n\n\033[31m[UNRESOLVED_IMPORT] \033[0mCould not resolve ./gone.ts\n    at build (node.js:1:2)\n  errors: [Getter]\n}\n";
    house.program("npm", &NPM.replace("&& mkdir -p", &format!("&& printf '{said}' >&2 && false #")));
    let missing = build(&request).unwrap_err().to_string();
    let expected =
        "`npm run build` failed: error during build: · Build failed with 1 error: · [UNRESOLVED_IMPORT] Could not resolve ./gone.ts";
    assert!(missing.starts_with(expected), "{missing}");

    house.program("npm", &NPM.replace("&& mkdir -p", "&& test -z \"$6\" && mkdir -p"));
    assert!(build(&request).is_err(), "the second one fails");
    assert!(is_empty(&request.page) && is_empty(&request.report), "there is one with the other, or neither");

    house.program("npm", NPM);
    build(&request).expect("it works now");
    for built in [&request.page, &request.report] {
        assert_eq!(fs::read_to_string(built.join("index.html")).expect("built"), "page\n");
    }
}

#[test]
fn packages_are_installed_once_per_lock_file() {
    let house = House::new();
    house.node("20.19.0");
    house.program("npm", NPM);
    build(&house.request("page")).expect("builds");
    write(&house.path("app/src/new.ts"), "more", 0o444);
    build(&house.request("page")).expect("builds");
    assert_eq!(house.asked(), ["ci", "run", "run", "run", "run"]);

    write(&house.path("app/package-lock.json"), "other packages", 0o444);
    build(&house.request("page")).expect("builds");
    assert_eq!(house.asked(), ["ci", "run", "run", "run", "run", "ci", "run", "run"]);
}

#[test]
fn builds_at_the_same_time_share_one_installation() {
    let house = House::new();
    house.node("20.19.0");
    house.program("npm", NPM);
    thread::scope(|scope| {
        for page in ["debug", "release", "other"] {
            let request = house.request(page);
            scope.spawn(move || build(&request).expect("builds"));
        }
    });
    let asked = house.asked();
    assert_eq!(asked.iter().filter(|command| *command == "ci").count(), 1, "{asked:?}");
    for page in ["debug", "release", "other"] {
        assert!(house.path(page).join("index.html").exists());
    }
}

#[test]
fn the_sources_stay_as_they_are() {
    let house = House::new();
    house.node("20.19.0");
    house.program("npm", NPM);
    build(&house.request("page")).expect("builds");
    let mut found: Vec<_> = fs::read_dir(house.path("app"))
        .expect("it exists")
        .map(|entry| entry.expect("readable").file_name().into_string().expect("UTF-8"))
        .collect();
    found.sort();
    let mut expected = SOURCES.map(str::to_owned);
    expected.sort();
    assert_eq!(found, expected);
}

#[test]
fn the_cache_lies_in_the_target_folder() {
    let house = House::new();
    let out = house.path("target/debug/build/monitor-web-1/out");
    fs::create_dir_all(&out).expect("writable");
    assert_eq!(target_folder(&out), out, "without a mark it stays where it may write");
    write(&house.path("target/CACHEDIR.TAG"), "", 0o644);
    assert_eq!(target_folder(&out), house.path("target"));
}
