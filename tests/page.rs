//! The page in a real browser, against the real server.

use std::path::Path;
use std::process::Command;

use monitor_tests::{Server, command, example};

/// The browser tests are the page's own (`monitor-web/app/browser`): here they get the real server and the real example.
#[test]
fn the_page_works_in_a_browser() {
    let app = Path::new(env!("CARGO_MANIFEST_DIR")).join("../monitor-web/app");
    assert!(app.join("node_modules").is_dir(), "the page's packages are not installed: `npm ci` in monitor-web/app, or `cargo xtask test`");
    let server = Server::start();
    let pipeline = example("pipeline", None);
    let mut browser = Command::new("npm");
    browser.args(["run", "--silent", "browser"]).current_dir(&app);
    browser.env("MONITOR_TEST_URL", server.url()).env("MONITOR_TEST_PIPELINE", pipeline.get_program());
    // To log in, a test adds a user.
    browser.env("MONITOR_TEST_MONITOR", command("monitor").get_program()).env("MONITOR_TEST_DATA", server.data());
    let output = browser.output().expect("npm is installed");
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    println!("{said}");
    assert!(output.status.success(), "a browser test failed, see above");
}
