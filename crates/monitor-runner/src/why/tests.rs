//! Output of real programs that failed, with the expected line for each. The outputs were written by the named programs (Debian 12, and
//! Rust, Node and Python of 2026), stdout and stderr in one pipe; those that begin with `zh` in Chinese. `docker-build` is from
//! github.com/docker/getting-started, issue 422; `maven` has the form of woothee/woothee-java, issue 5; `gradle` is written in the form of
//! Gradle 8.

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
    "assert" => "as: as.c:2: main: Assertion `1==2' failed.",
    "bash-full" => "bash: line 1: echo: write error: No space left on device",
    "cp" => "cp: cannot stat '/nope': No such file or directory",
    "dd" => "dd: failed to open '/nope': No such file or directory",
    "eslint" => "/srv/demo/a.js:1:5  error    'x' is assigned a value but never used",
    "find" => "find: ‘/nope’: No such file or directory",
    "gradle" => "Execution failed for task ':compileJava'.",
    "grep" => "grep: /nope: No such file or directory",
    "jest" => "adds: expect(received).toBe(expected) // Object.is equality",
    "maven" => "Failed to execute goal org.apache.maven.plugins:maven-compiler-plugin:3.8.1:compile",
    "mkdir" => "mkdir: cannot create directory ‘/proc/x’: No such file or directory",
    "node-test" => "adds: 3 == 4",
    "redis" => "Could not connect to Redis at 127.0.0.1:1: Connection refused",
    "rsync" => "rsync: [sender] link_stat \"/nope\" failed: No such file or directory (2)",
    "sed" => "sed: can't read /nope: No such file or directory",
    "sqlite" => "Error: in prepare, no such table: nope",
    "ssh" => "ssh: Could not resolve hostname no-such-host.invalid: Name or service not known",
    "tar" => "tar: /nope: Cannot stat: No such file or directory",
    "tsc" => "a.ts(1,7): error TS2322: Type 'string' is not assignable to type 'number'.",
    "unzip" => "unzip:  cannot find or open /nope.zip",
    "zh-assert" => "as: as.c:2: main: Assertion `1==2' failed.",
    "zh-bash-cd" => "bash: 第 1 行：cd: /nope: 没有那个文件或目录",
    "zh-bash-command" => "bash: 行 1: no-such-command: 未找到命令",
    "zh-bash-syntax" => "bash: -c: 行 2: 语法错误：未预期的文件结束符",
    "zh-cp" => "cp: 对 '/nope' 调用 stat 失败: 没有那个文件或目录",
    "zh-gcc" => "bad.c:2:2: 错误：expected ‘,’ or ‘;’ before ‘return’",
    "zh-grep" => "grep: /nope: 没有那个文件或目录",
    "zh-ls" => "ls: 无法访问 '/nope': 没有那个文件或目录",
    "zh-make" => "make: *** 没有规则可制作目标“/nope”。 停止。",
    "zh-mkdir" => "mkdir: 无法创建目录 \"/proc/x\": 没有那个文件或目录",
    "zh-script" => "错误：无法连接数据库 orders（超时 30 秒）",
    "zh-sed" => "sed：无法读取 /nope：没有那个文件或目录",
    "zh-tar" => "tar: /nope：无法 stat: 没有那个文件或目录",
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
    assert_eq!(
        pick("bash: echo: disk quota exceeded", "Error rate: 0.01 %, within the limit").as_deref(),
        Some("bash: echo: disk quota exceeded")
    );
    assert_eq!(pick("warning: 3 files are old", "ERROR no table").as_deref(), Some("ERROR no table"), "a warning alone is no reason");
    assert_eq!(pick("warning: 3 files are old", "all is well").as_deref(), Some("warning: 3 files are old"), "unless there is no other");
    assert_eq!(pick("", "all is well"), None);
    assert_eq!(pick("", ""), None);
}

#[test]
fn structured_lines_give_their_message() {
    let json = r#"{"time":"02:00:00","level":"error","msg":"quota of db-1 used up"}
{"time":"02:00:01","level":"info","msg":"shutting down"}"#;
    let logfmt = r#"time=02:00:00 level=error msg="quota of \"db-1\" used up" rows=7
time=02:00:01 level=info msg="shutting down""#;
    assert_eq!(of(Stream::Errors, json).unwrap().0, "quota of db-1 used up");
    assert_eq!(of(Stream::Errors, logfmt).unwrap().0, "quota of \"db-1\" used up");
    assert_eq!(of(Stream::Output, json).unwrap().0, "quota of db-1 used up");
    assert_eq!(of(Stream::Errors, "{\"level\":\"warn\",\"msg\":\"slow\"}\ngave up").unwrap().0, "gave up");
    assert_eq!(of(Stream::Errors, "{\"level\": 50}\n{broken").unwrap().0, "{broken", "what is no JSON is a line like any other");
}

#[test]
fn quiet_lines_and_old_hints_do_not_win_over_what_follows() {
    for quiet in [
        "warning: could not read the cache",
        "2026-11-30 02:00:00 WARN  not found in cache",
        "[info] retry failed once",
        "note: invalid option ignored",
        "警告：无法读取缓存",
        "附注：找不到",
    ] {
        assert_eq!(of(Stream::Errors, &format!("{quiet}\ngave up after 3 rounds")).unwrap().0, "gave up after 3 rounds", "{quiet}");
    }
    let early = format!("cache not found\n{}the end", "step done\n".repeat(NEAR_END));
    assert_eq!(of(Stream::Errors, &early).unwrap().0, "the end", "a line that only looks like an error counts near the end");
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
        "{\"level\":".repeat(1_500),
        "level=error msg=\"".repeat(900),
        " 1:1  warning x\n".repeat(900),
        "not ok 1 - x\n \n".repeat(900),
    ] {
        let found = of(Stream::Errors, &text).map(|(line, _)| line).unwrap_or_default();
        assert!(found.chars().count() <= LONGEST_WHY + 1 && !found.contains('\n'), "{found}");
    }
    assert_eq!(of(Stream::Errors, "\n \n\t\n"), None);
}
