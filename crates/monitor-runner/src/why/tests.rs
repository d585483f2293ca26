//! Output of real programs that failed, with the expected line for each. The outputs were written by the named programs (Debian 12, and
//! Rust, Node and Python of 2026), stdout and stderr in one pipe; `docker-build` is from github.com/docker/getting-started, issue 422.

use super::*;

macro_rules! outputs {
    ($($name:literal => $line:literal $(as $type_name:literal)?,)*) => {
        &[$(($name, include_str!(concat!("outputs/", $name, ".txt")), $line, concat!($($type_name)?))),*]
    };
}

/// Name, output, start of the expected line, and type of the error (empty if the line has none).
type Case = (&'static str, &'static str, &'static str, &'static str);

const OUTPUTS: &[Case] = outputs! {
    "python" => "TimeoutError: The read operation timed out" as "TimeoutError",
    "python-chained" => "RuntimeError: could not import the rows" as "RuntimeError",
    "python-syntax" => "SyntaxError: '(' was never closed" as "SyntaxError",
    "python-file" => "/usr/bin/python3: can't open file '/nope.py': [Errno 2] No such file or directory",
    "python-module" => "/usr/bin/python3: No module named no_such",
    "pytest" => "test_sums.py::test_sum - assert 3 == 4",
    "unittest" => "AssertionError: 3 != 4" as "AssertionError",
    "node" => "TypeError: Cannot read the rows" as "TypeError",
    "node-cause" => "Error: no such table",
    "node-require" => "Error: Cannot find module 'left-padding'",
    "node-rejection" => "Error: refused by the server",
    "npm-script" => "TypeError: Cannot read the rows" as "TypeError",
    "npm-missing" => "npm error Missing script: \"tst\"",
    "cargo-build" => "error[E0308]: mismatched types",
    "cargo-test" => "panicked at src/main.rs:2:21: assertion `left == right` failed",
    "cargo-dependency" => "error: the crate `nothing-like-it` could not be found in registry index.",
    "panic" => "panicked at src/main.rs:1:65: index out of bounds: the len is 0 but the index is 5",
    "panic-backtrace" => "panicked at src/main.rs:1:65: index out of bounds: the len is 0 but the index is 5",
    "gcc" => "bad.c:3:5: error: expected ‘,’ or ‘;’ before ‘return’",
    "ld" => "ld.c:(.text+0x5): undefined reference to `missing'",
    "cpp" => "std::runtime_error: no such table" as "std::runtime_error",
    "make" => "bad.c:3:5: error: expected ‘,’ or ‘;’ before ‘return’",
    "make-script" => "host db-1 is away",
    "make-quiet" => "make: *** [Makefile:8: quiet] Error 1",
    "make-rule" => "make: *** No rule to make target 'nope'.  Stop.",
    "java" => "java.io.FileNotFoundException: rows.csv (No such file or directory)" as "java.io.FileNotFoundException",
    "java-build" => "Bad.java:1: error: incompatible types: String cannot be converted to int",
    "go-test" => "TestAdd: sums_test.go:7: got 3, want 4",
    "go-panic" => "panic: runtime error: index out of range [5] with length 0",
    "go-build" => "bad/main.go:4:10: undefined: load",
    "bash-cd" => "cd.sh: line 3: cd: /nope: No such file or directory",
    "bash-command" => "nocmd.sh: line 2: no-such-command: command not found",
    "bash-unclosed" => "unclosed.sh: line 3: syntax error: unexpected end of file",
    "ls" => "ls: cannot access '/nope': No such file or directory",
    "perl" => "no such table",
    "perl-use" => "Can't locate No/Such.pm in @INC (you may need to install the No::Such module)",
    "ruby" => "ArgumentError: no such table" as "ArgumentError",
    "php" => "RuntimeException: no such table in /srv/demo/x.php:2" as "RuntimeException",
    "git" => "fatal: repository '/nope/x' does not exist",
    "git-path" => "error: pathspec 'nope' did not match any file(s) known to git",
    "curl" => "curl: (7) Failed to connect to 127.0.0.1 port 1 after 0 ms: Couldn't connect to server",
    "curl-host" => "curl: (6) Could not resolve host: no-such-host.invalid",
    "psql" => "psql: error: connection to server at \"127.0.0.1\", port 1 failed: Connection refused",
    "docker" => "docker: Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?",
    "docker-build" => "ERROR: failed to solve: process \"/bin/sh -c pip install -r requirements.txt\" did not complete successfully: exit code: 1",
};

fn lines(text: &str) -> Vec<String> {
    text.trim_end().split('\n').map(|line| crate::lines::text_of(line.as_bytes())).collect()
}

fn of(stream: Stream, text: &str) -> Option<(String, Option<String>)> {
    find(&[(stream, &lines(text)[..])]).map(|why| (why.line, why.type_name))
}

#[test]
fn the_line_with_the_cause_is_found_in_output_of_real_programs() {
    let mut wrong = Vec::new();
    for (name, text, line, type_name) in OUTPUTS {
        let found = of(Stream::Errors, text);
        let is_right = found
            .as_ref()
            .is_some_and(|(found, found_type)| found.starts_with(line) && found_type.as_deref().unwrap_or_default() == *type_name);
        if !is_right {
            wrong.push(format!("{name}: wanted {line:?} ({type_name}), found {found:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Python buffers stdout if it is a pipe, so that its output follows the traceback.
#[test]
fn output_after_the_error_is_not_mistaken_for_it() {
    let text = format!("{}[ok] step 1 ✓\n[ok] step 2 ✓\n", include_str!("outputs/python.txt"));
    assert_eq!(of(Stream::Errors, &text).unwrap().0, "TimeoutError: The read operation timed out");
    let colours = "\x1b[1m\x1b[31merror\x1b[0m\x1b[1m: no table\x1b[0m\r\n10 %\r20 %";
    assert_eq!(of(Stream::Errors, colours).unwrap().0, "error: no table");
}

#[test]
fn stderr_is_preferred_unless_only_stdout_contains_an_error() {
    let pick = |stderr: &str, stdout: &str| {
        let (stderr, stdout) = (lines(stderr), lines(stdout));
        find(&[(Stream::Errors, &stderr[..]), (Stream::Output, &stdout[..])]).map(|why| why.line)
    };
    assert_eq!(pick("error: no table", "error: not this one").as_deref(), Some("error: no table"));
    assert_eq!(pick("a warning", include_str!("outputs/pytest.txt")).as_deref(), Some("test_sums.py::test_sum - assert 3 == 4"));
    assert_eq!(pick("host db-1 is away", "all is well").as_deref(), Some("host db-1 is away"));
    assert_eq!(pick("", "all is well"), None);
    assert_eq!(pick("", ""), None);
}

/// For any input, the result is short and is found quickly.
#[test]
fn hostile_output_does_no_harm() {
    for text in [
        "x".repeat(16 << 10),
        "a: ".repeat(5_000),
        "(((((\n".repeat(2_500),
        "Traceback (most recent call last):\n ".repeat(400),
        "│".repeat(5_000),
    ] {
        let found = of(Stream::Errors, &text).map(|(line, _)| line).unwrap_or_default();
        assert!(found.chars().count() <= LONGEST_WHY + 1 && !found.contains('\n'), "{found}");
    }
    assert_eq!(of(Stream::Errors, "\n \n\t\n"), None);
}
