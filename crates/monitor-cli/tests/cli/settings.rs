use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use crate::support::{TestServer, monitor};

fn folder(settings: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("server.toml");
    std::fs::write(&path, settings).unwrap();
    let path = path.to_str().unwrap().to_owned();
    (folder, path)
}

#[test]
fn flags_override_environment_profile_and_file_in_this_order() {
    let text = "max-connections = 1\nmax-batch-events = 2\nmax-body-bytes = \"3MiB\"\nstop-timeout = \"4s\"\n\
                [profile.production]\nmax-connections = 5\nmax-batch-events = 6\nmax-body-bytes = 7\n";
    let (_folder, path) = folder(text);
    let print = |args: &[&str]| {
        let mut command = monitor(&["server", "--print-settings", "--config", &path, "--data", "here", "--max-connections", "11"]);
        let output = command.args(args).env("MONITOR_MAX_CONNECTIONS", "12").env("MONITOR_MAX_BATCH_EVENTS", "13").assert().success();
        String::from_utf8(output.get_output().stdout.clone()).unwrap()
    };
    let (top, production) = (print(&[]), print(&["--profile", "production"]));
    for (printed, start, origin) in [
        (&top, "max-connections = 11 ", "--max-connections"),
        (&top, "max-batch-events = 13 ", "MONITOR_MAX_BATCH_EVENTS"),
        (&top, "max-body-bytes = \"3MiB\" ", &format!("{path}:3")),
        (&top, "stop-timeout = \"4s\" ", &format!("{path}:4")),
        (&top, "data = \"here\" ", "--data"),
        (&top, "listen = \"127.0.0.1:60010\" ", "default"),
        (&top, "# public-url is unset ", "default"),
        (&production, "max-connections = 11 ", "--max-connections"),
        (&production, "max-batch-events = 13 ", "MONITOR_MAX_BATCH_EVENTS"),
        (&production, "max-body-bytes = 7 ", &format!("{path}:8")),
        (&production, "stop-timeout = \"4s\" ", &format!("{path}:4")),
    ] {
        let line = printed.lines().find(|line| line.starts_with(start)).unwrap_or_else(|| panic!("{start:?} is not in\n{printed}"));
        assert!(line.ends_with(&format!("# {origin}")), "{line}");
    }
    // The output is a valid settings file.
    let (_folder, again) = folder(&top);
    monitor(&["server", "--print-settings", "--config", &again]).assert().success();
}

#[test]
fn a_mistake_in_the_file_ends_the_server_with_file_line_and_key() {
    for (text, words) in [
        ("\nmax-connection = 5", ":2: max-connection: there is no such setting; did you mean max-connections?"),
        ("[profile.a]\ninsecure = \"yes\"", ":2: insecure: expected true or false, found string"),
        ("stop-timeout = \"soon\"", ":1: stop-timeout: \"soon\": expected a duration such as 500ms"),
    ] {
        let (_folder, path) = folder(text);
        let output = monitor(&["server", "--config", &path]).assert().code(1).get_output().stderr.clone();
        let message = String::from_utf8(output).unwrap();
        assert!(message.contains(&format!("{path}{words}")), "{message}");
    }
    let (folder, path) = folder("");
    for (args, words) in [(["--config", "/nowhere/server.toml"], "/nowhere/server.toml"), (["--profile", "production"], "--config")] {
        let mut command = monitor(&["server"]);
        let output = command.args(args).env("XDG_CONFIG_HOME", folder.path()).assert().code(1).get_output().stderr.clone();
        assert!(String::from_utf8(output).unwrap().contains(words), "{words}");
    }
    let output = monitor(&["server", "--config", &path, "--profile", "production"]).assert().code(1).get_output().stderr.clone();
    assert!(String::from_utf8(output).unwrap().contains("no [profile.production]; it has no profiles"));
}

#[cfg(target_os = "linux")]
#[test]
fn the_file_in_the_configuration_folder_of_the_user_is_read_by_default() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("monitor");
    std::fs::create_dir(&folder).unwrap();
    let data = home.path().join("elsewhere");
    std::fs::write(folder.join("server.toml"), format!("listen = \"127.0.0.1:0\"\ndata = {data:?}\nspool-dir = \"off\"\n")).unwrap();
    let mut child = Command::new(assert_cmd::cargo::cargo_bin!("monitor"))
        .arg("server")
        .env("XDG_CONFIG_HOME", home.path())
        .env("MONITOR_AGENT", "off")
        .env_remove("MONITOR_DATA")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.starts_with("listening on http://127.0.0.1:") && data.join("monitor.db").is_file(), "{line}");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn help_shows_every_setting() {
    let output = monitor(&["server", "--help"]).assert().success().get_output().stdout.clone();
    // Ignore line breaks.
    let help = String::from_utf8(output).unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
    let (_, advanced) = help.split_once(" Advanced options: ").expect("a section of its own");
    assert_eq!(monitor_server::SETTINGS.iter().filter(|setting| !setting.is_advanced()).count(), 12);
    for setting in monitor_server::SETTINGS {
        let flag = format!("--{}", setting.key());
        // The value of a secret is not shown.
        let is_there = ["=", "]"].iter().any(|end| help.contains(&format!("[env: {}{end}", setting.variable())));
        assert!(help.contains(&flag) && is_there, "{} is not in {help}", setting.key());
        let with_value = [format!("{flag} <"), format!("{flag}[=<")];
        assert_eq!(with_value.iter().any(|flag| advanced.contains(flag)), setting.is_advanced(), "{flag}");
    }
    assert!(help.contains("--config <FILE>") && help.contains("--profile <NAME>") && help.contains("[default: 127.0.0.1:60010]"), "{help}");
}

/// The file that packages install as /etc/monitor/server.toml.
#[test]
fn the_packaged_file_is_valid() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../packaging/server.toml");
    for (args, settings) in [
        (&[][..], ["listen = \"127.0.0.1:60010\"", "retention-age = \"90d\"", "retention-size = \"20GiB\""]),
        (&["--profile", "production"], ["listen = \"0.0.0.0:60010\"", "retention-size = \"20GiB\"", "max-connections = 16384"]),
    ] {
        let output = monitor(&["server", "--print-settings", "--config", path]).args(args).assert().success().get_output().clone();
        let printed = String::from_utf8(output.stdout).unwrap();
        for setting in settings {
            let line = printed.lines().find(|line| line.starts_with(&format!("{setting} ")));
            assert!(line.is_some_and(|line| line.contains("server.toml:")), "{setting} is not in\n{printed}");
        }
        assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    // A server also starts with this file; only the port is overridden, because it may be in use.
    let data = tempfile::tempdir().unwrap();
    let server = TestServer::with(&["--config", path, "--listen", "127.0.0.1:0"], data);
    assert_eq!(server.json(&["status"])["keeps_bytes"], 20_u64 << 30);
}
