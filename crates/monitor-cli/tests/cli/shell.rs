use crate::support::{ROOT, TestServer, monitor, started};

/// Runs `monitor shell` with a script; returns its stdout, stderr and exit code.
fn script(server: &TestServer, arguments: &[&str], lines: &str) -> (String, String, i32) {
    let arguments = [&["shell", "--server", &server.url], arguments].concat();
    let output = monitor(&arguments).write_stdin(lines).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (text(output.stdout), text(output.stderr), output.status.code().unwrap())
}

#[test]
fn a_script_asks_the_server_it_was_given_and_ends_with_what_fails() {
    let server = TestServer::start();
    server.send(1, &[started(ROOT, 1, None, "two words")]);
    let lines = "# what runs?\n\nroots\nmonitor roots --name 'two words' --json\nexit\nroots --name never";
    let (out, errors, code) = script(&server, &[], lines);
    assert_eq!((code, errors.as_str()), (0, ""));
    assert_eq!(out.matches("two words").count(), 3, "a line, and name and title as JSON: {out}");

    let lines = "roots\nexport 99\nroots 'open\nroots --name never\n";
    let (out, errors, code) = script(&server, &[], lines);
    assert_eq!((out.lines().count(), code), (1, 4), "{out}{errors}");
    assert!(errors.contains("line 2 ended with exit code 4"), "{errors}");
    let (out, errors, code) = script(&server, &["--keep-going"], lines);
    assert_eq!((out.lines().count(), code), (1, 4), "{out}{errors}");
    assert!(errors.contains("a quotation mark has no end") && errors.contains("no runs found"), "{errors}");
}

#[test]
fn a_command_of_a_script_does_not_read_the_script() {
    let server = TestServer::start();
    // `import -` would read the next lines as a tree.
    let (_, errors, code) = script(&server, &["-k"], "import -\nroots\n");
    assert_eq!(code, 1, "{errors}");
    assert!(errors.contains("it is no JSON") && errors.contains("no runs found"), "{errors}");
}

#[test]
fn unknown_commands_are_reported_and_a_nested_shell_is_refused() {
    let server = TestServer::start();
    for (line, words) in [("frobnicate", "unrecognized subcommand"), ("shell", "this is the shell already"), ("tree \\", "a backslash")] {
        let (_, errors, code) = script(&server, &[], line);
        assert!(code == 2 && errors.contains(words), "{line}: {code} {errors}");
    }
}
