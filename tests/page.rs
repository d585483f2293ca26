//! The page in a real browser, with the real server.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use monitor_tests::{Server, command, example};

/// One test per file of the page's own browser tests (`crates/monitor-web/app/browser`), so that they run in parallel.
macro_rules! browser_tests {
    ($($file:ident)*) => {
        const FILES: &[&str] = &[$(stringify!($file)),*];

        $(#[test]
        fn $file() {
            passes(stringify!($file));
        })*
    };
}

browser_tests! {
    access alerts attempts axe batch batch_day batch_log batch_published cancel causes compare compressed connection doctor filters forced jobs
    lanes language large live logs looks names narrow odd oidc palette pipeline place plain print queue report results rows shell shift statistics tasks ticks timeline tree worker
}

#[test]
fn every_file_of_browser_tests_is_run() {
    let names = fs::read_dir(app().join("browser")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut files: Vec<String> = names.filter_map(|name| Some(name.strip_suffix(".test.mjs")?.replace('-', "_"))).collect();
    files.sort();
    assert_eq!(files, FILES);
}

fn app() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/monitor-web/app")
}

/// Runs a file of browser tests with a separate server and the real example.
fn passes(file: &str) {
    assert!(
        app().join("node_modules").is_dir(),
        "the page's packages are not installed: `npm ci` in crates/monitor-web/app, or `cargo xtask test`"
    );
    // No program listens there.
    let callbacks = "[{ url = \"http://127.0.0.1:9/hooks\", private = true }]";
    let folder = tempfile::tempdir().unwrap();
    let hosts = folder.path().join("hosts.toml");
    let server = Server::start_with(vec![("MONITOR_JOB_CALLBACK", callbacks.into()), ("MONITOR_HOSTS_FILE", hosts.clone().into())]);
    let pipeline = example("pipeline", None);
    let mut browser = Command::new("node");
    browser.arg("--test").arg(format!("browser/{}.test.mjs", file.replace('_', "-"))).current_dir(app());
    browser.env("MONITOR_TEST_URL", server.url()).env("MONITOR_TEST_PIPELINE", pipeline.get_program());
    // For the login, a test adds a user.
    browser.env("MONITOR_TEST_MONITOR", command("monitor").get_program()).env("MONITOR_TEST_DATA", server.data());
    browser.env("MONITOR_TEST_HOSTS_FILE", hosts);
    let output = browser.output().expect("Node is installed");
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    println!("{text}");
    assert!(output.status.success(), "a browser test of browser/{file} failed, see above");
}
