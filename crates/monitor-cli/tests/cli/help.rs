use crate::support::monitor;

#[test]
fn help_has_examples_and_exit_codes() {
    for command in ["server", "status", "list", "tree", "show", "doctor", "mcp", "audit", "logs", "events", "export", "import"] {
        let help = monitor(&[command, "--help"]).assert().success().get_output().stdout.clone();
        let help = String::from_utf8(help).unwrap();
        assert!(help.contains("Examples:\n") && help.contains(&format!("  monitor {command}")), "{help}");
        assert!(help.contains("Exit codes:\n  0  "), "{help}");
        if command == "server" {
            assert!(
                help.contains("MONITOR_LISTEN=") && help.contains("MONITOR_SPOOL_DIR=") && help.contains("listening on http://"),
                "{help}"
            );
        } else {
            assert!(help.contains("--json") && help.contains("MONITOR_SERVER_URL="), "{help}");
            assert!(help.contains("3  server not reached") && help.contains("4  not found"), "{help}");
        }
    }
    for command in ["list", "ship", "clear"] {
        let help = monitor(&["spool", command, "--help"]).assert().success().get_output().stdout.clone();
        let help = String::from_utf8(help).unwrap();
        let words = ["Examples:\n", &format!("  monitor spool {command}"), "Exit codes:\n  0  ", "--json", "MONITOR_SPOOL_DIR="];
        assert!(words.iter().all(|words| help.contains(words)), "{help}");
        assert_eq!(help.contains("MONITOR_SERVER_URL="), command == "ship");
    }
}

#[test]
fn help_of_jobs_has_exit_codes_and_describes_each_option() {
    for words in [&["job", "run"][..], &["job", "preview"], &["job", "hosts"], &["job", "output"], &["job", "wait"], &["host", "import"]] {
        let help = printed(&[words, &["--help"]].concat());
        assert!(help.contains("Examples:\n") && help.contains("Exit codes:\n  0  success") && help.contains("--json"), "{help}");
        assert!(!words.contains(&"run") || (help.contains("124  ") && help.contains("130  ") && help.contains("--rolling")), "{help}");
    }
    let overview = printed(&["--help"]);
    assert!(overview.contains("\n  Jobs on hosts       job, host, target\n"), "{overview}");
}

fn printed(args: &[&str]) -> String {
    String::from_utf8(monitor(args).assert().success().get_output().stdout.clone()).unwrap()
}

#[test]
fn the_overview_fits_on_a_screen_and_all_commands_are_listed() {
    let overview = printed(&["--help"]);
    assert_eq!(overview, printed(&["help"]));
    assert!(overview.lines().count() <= 50 && overview.lines().all(|line| line.chars().count() <= 100), "{overview}");
    let words = ["\n  server ", "\n  Alerts ", "\nExamples:\n", "`monitor help --all`"];
    assert!(words.iter().all(|words| overview.contains(words)), "{overview}");
    let all = printed(&["help", "--all"]);
    assert!(all.lines().all(|line| line.chars().count() <= 100), "{all}");
    assert!(["Setup:\n", "\n  check-alive ", "\n  man "].iter().all(|words| all.contains(words)), "{all}");
    assert_eq!(printed(&["help", "task", "list"]), printed(&["task", "list", "--help"]));
    let unknown = monitor(&["help", "task", "lst"]).assert().code(2).get_output().stderr.clone();
    assert!(String::from_utf8_lossy(&unknown).contains("a similar subcommand exists: 'list'"), "{}", String::from_utf8_lossy(&unknown));
}

#[test]
fn an_invalid_command_line_ends_with_exit_code_2_and_a_reason() {
    for (args, words) in [
        (&[][..], "Usage"),
        (&["nope"], "nope"),
        (&["roots", "--nope"], "--nope"),
        (&["roots", "--limit", "0"], "1..=1000"),
        (&["roots", "--server", "localhost:60010"], "http://127.0.0.1:60010"),
        (&["tree"], "<RUN>"),
        (&["logs", "1", "--level", "loud"], "error, warn, info"),
        (&["logs", "1", "xyz"], "PROCESS"),
        (&["server", "--logs-kept", "0"], "from 1 on"),
        (&["server", "--listen", "60010"], "127.0.0.1:60010"),
        (&["server", "--public-url", "monitor.example.com"], "https://monitor.example.com"),
        (&["server", "--public-url", "http://monitor.example.com/path"], "without a path"),
    ] {
        let output = monitor(args).assert().code(2).get_output().stderr.clone();
        let message = String::from_utf8(output).unwrap();
        assert!(message.contains(words), "{args:?}: {message}");
    }
    for (name, value) in [("MONITOR_LISTEN", "x"), ("MONITOR_PUBLIC_URL", "x"), ("MONITOR_INSECURE", "perhaps")] {
        let output = monitor(&["server"]).env(name, value).assert().code(2).get_output().stderr.clone();
        let message = String::from_utf8(output).unwrap();
        let flag = name.trim_start_matches("MONITOR_").to_lowercase().replace('_', "-");
        assert!(message.contains(&format!("--{flag}")), "{name}: {message}");
    }
}

#[test]
fn an_unreachable_server_ends_with_exit_code_3_and_a_hint() {
    // A port that was free a moment ago.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    for args in [&["status"][..], &["roots"], &["tree", "1"], &["status", "--json"]] {
        let output = monitor(args).env("MONITOR_SERVER_URL", &url).assert().code(3).get_output().clone();
        let message = String::from_utf8(output.stderr).unwrap();
        assert!(message.contains(&url) && message.contains("is it running? start it with `monitor server`"), "{message}");
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn the_port_of_another_program_ends_with_exit_code_1() {
    use std::io::{Read, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let other = std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        let mut head = [0; 1024];
        assert!(socket.read(&mut head).unwrap() > 0);
        socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello").unwrap();
    });
    let output = monitor(&["status", "--server", &url]).assert().code(1).get_output().stderr.clone();
    assert!(String::from_utf8(output).unwrap().contains("another program"));
    other.join().unwrap();
}
