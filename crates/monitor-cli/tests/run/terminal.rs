//! Tests `monitor run` in a real pseudo-terminal, with a shell with job control.

use std::path::Path;
use std::process::{Child, Command};
use std::sync::{Arc, Condvar, Mutex};

use crate::harness::{House, PATIENCE, end_of, kill, output, wait_for};
use crate::pty::Pty;

/// A pseudo-terminal with its simulated user.
pub(crate) struct Terminal {
    pty: Pty,
    seen: Arc<(Mutex<String>, Condvar)>,
}

impl Terminal {
    pub(crate) fn new() -> Self {
        let terminal = Self { pty: Pty::open(40, 100), seen: Arc::default() };
        let seen = terminal.seen.clone();
        terminal.pty.read(move |bytes| {
            seen.0.lock().unwrap().push_str(&String::from_utf8_lossy(bytes));
            seen.1.notify_all();
        });
        terminal
    }

    fn resize(&self, rows: u16, columns: u16) {
        self.pty.resize(rows, columns);
    }

    pub(crate) fn start(&self, command: Command) -> Child {
        self.pty.start(command)
    }

    pub(crate) fn type_in(&mut self, text: &str) {
        self.pty.type_in(text);
    }

    /// Waits until this text is shown, after all texts that were waited for before.
    pub(crate) fn see(&self, text: &str) {
        let (seen, grown) = &*self.seen;
        let (mut seen, is_late) = grown.wait_timeout_while(seen.lock().unwrap(), PATIENCE, |seen| !seen.contains(text)).unwrap();
        assert!(!is_late.timed_out(), "waited in vain for {text:?}; behind what was seen before stands {seen:?}");
        let end = seen.find(text).unwrap() + text.len();
        seen.drain(..end);
    }
}

/// One that has jobs.
fn shell(house: &House) -> Command {
    let mut bash = Command::new("bash");
    for (name, value) in house.monitor(&[]).get_envs() {
        match value {
            Some(value) => bash.env(name, value),
            None => bash.env_remove(name),
        };
    }
    bash.args(["--norc", "--noprofile", "-i"]).env("PS1", "READY> ").env("TERM", "xterm").current_dir(house.folder.path());
    bash
}

#[test]
fn a_command_has_a_terminal_as_large_as_the_real_one() {
    let house = House::new();
    let terminal = Terminal::new();
    let script = "for n in 0 1 2; do test -t $n && echo tty $n; done; stty size; trap 'stty size; exit 7' WINCH; echo ready; while :; do sleep 0.05; done";
    let mut child = terminal.start(house.run(&[], &["bash", "-c", script]));
    terminal.see("tty 0\r\ntty 1\r\ntty 2\r\n40 100\r\nready\r\n");
    terminal.resize(55, 66);
    terminal.see("55 66\r\n");
    assert_eq!(end_of(&mut child).code(), Some(7));
    let process = house.process();
    assert_eq!(
        (process["exit_code"].as_i64(), process["error"]["tail"].as_str()),
        (Some(7), Some("tty 0\ntty 1\ntty 2\n40 100\nready\n55 66"))
    );
}

#[test]
fn keys_arrive_and_control_c_ends_the_command_alone() {
    let house = House::new();
    let mut terminal = Terminal::new();
    let mut child = terminal.start(house.run(&[], &["bash", "-c", "read -p 'name? ' name; echo hello $name; sleep 600"]));
    terminal.see("name? ");
    terminal.type_in("world\n");
    terminal.see("hello world\r\n");
    terminal.type_in("\x03");
    assert_eq!(end_of(&mut child).code(), Some(130));
    assert_eq!(house.process()["signal"], 2);
}

#[test]
fn control_z_stops_it_for_the_shell_and_fg_continues_it() {
    let house = House::new();
    let mut terminal = Terminal::new();
    let mut shell = terminal.start(shell(&house));
    terminal.see("READY> ");
    let monitor = assert_cmd::cargo::cargo_bin!("monitor");
    terminal.type_in(&format!("{} run -- bash -c 'echo be''gun; read line; echo \"$line\" arrived'\n", monitor.display()));
    terminal.see("begun\r\n");
    terminal.type_in("\x1a");
    terminal.see("Stopped");
    terminal.see("READY> ");
    // The shell's terminal has its original settings: it echoes and edits input.
    terminal.type_in("jobs\n");
    terminal.see("Stopped");
    terminal.type_in("fg\n");
    terminal.see("run --");
    terminal.type_in("something\n");
    terminal.see("something arrived");
    terminal.see("READY> ");
    terminal.type_in("echo code $?; exit\n");
    terminal.see("code 0");
    assert!(end_of(&mut shell).success());
    assert_eq!(house.process()["state"], "succeeded");
}

/// Without a launcher the command would receive SIGHUP when its terminal disappears; with a launcher it does, too.
#[test]
fn a_terminal_that_is_closed_hangs_up() {
    let house = House::new();
    let terminal = Terminal::new();
    let heard = house.folder.path().join("heard");
    let script = format!("trap 'echo hung up > {}; exit 6' HUP; echo ready; while :; do sleep 0.05; done", heard.display());
    let mut child = terminal.start(house.run(&[], &["bash", "-c", &script]));
    terminal.see("ready");
    kill(child.id(), "HUP");
    assert_eq!(end_of(&mut child).code(), Some(6));
    assert_eq!(std::fs::read_to_string(&heard).unwrap(), "hung up\n");
}

/// A process that ignores SIGHUP reads the end of the input.
#[test]
fn a_command_reads_the_end_of_input_after_its_terminal_is_gone() {
    let house = House::new();
    let run = house.run(&[], &["sh", "-c", "trap '' HUP; echo ready; cat; echo over > over"]);
    // A terminal emulator that crashes; the launcher ignores the signal as well.
    let emulator = "import os, pty, signal, sys
pid, terminal = pty.fork()
if pid == 0:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    os.execvp(sys.argv[1], sys.argv[1:])
seen = b''
while b'ready' not in seen:
    seen += os.read(terminal, 1000)
os.close(terminal)
print(os.waitpid(pid, 0)[1])";
    let mut python = Command::new("python3");
    python.args(["-c", emulator]).arg(run.get_program()).args(run.get_args()).current_dir(house.folder.path());
    for (name, value) in run.get_envs() {
        match value {
            Some(value) => python.env(name, value),
            None => python.env_remove(name),
        };
    }
    let mut child = python.stdout(std::process::Stdio::piped()).spawn().unwrap();
    assert_eq!(crate::harness::line_of(house.folder.path().join("over")), "over");
    assert!(end_of(&mut child).success());
    assert_eq!(std::io::read_to_string(child.stdout.take().unwrap()).unwrap(), "0\n");
}

#[test]
fn control_c_ends_the_wait_for_the_next_attempt() {
    let house = House::new();
    let mut terminal = Terminal::new();
    let mut child = terminal.start(house.run(&["--retry", "3", "--backoff", "1h"], &["sh", "-c", "echo tried; exit 4"]));
    terminal.see("tried");
    wait_for("it to wait for the next attempt", || house.trees().first().filter(|tree| tree[0]["state"] == "retrying").map(drop));
    terminal.type_in("\x03");
    assert_eq!(end_of(&mut child).code(), Some(4));
}

#[test]
fn a_command_ended_by_control_c_is_not_retried() {
    let house = House::new();
    let mut terminal = Terminal::new();
    let mut child = terminal.start(house.run(&["--retry", "3", "--backoff", "1ms"], &["sh", "-c", "echo tried; exec sleep 600"]));
    terminal.see("tried");
    terminal.type_in("\x03");
    assert_eq!(end_of(&mut child).code(), Some(130));
}

/// No shell would continue a process that Ctrl-Z stops.
#[test]
fn control_z_without_a_shell_changes_nothing() {
    let house = House::new();
    let mut terminal = Terminal::new();
    let mut child = terminal.start(house.run(&[], &["bash", "-c", "echo ready; read line; echo \"$line\" arrived"]));
    terminal.see("ready");
    terminal.type_in("\x1a");
    // The key empties the line that is being typed: what follows is typed after it.
    terminal.see("^Z");
    terminal.type_in("something\n");
    terminal.see("something arrived");
    assert!(end_of(&mut child).success());
}

/// A container that was entered from outside: sessions and groups with leaders outside have no id inside.
#[test]
fn the_session_leader_may_be_outside_the_pid_namespace() {
    let within = |program: &Path| {
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--pid", "--fork", "--mount-proc"]).arg(program);
        command
    };
    if !within(Path::new("true")).status().is_ok_and(|status| status.success()) {
        println!("not tested: no namespaces may be made here");
        return;
    }
    let mut test = within(&std::env::current_exe().unwrap());
    let output = test.args(["--exact", "terminal::control_z_without_a_shell_changes_nothing"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn a_background_command_receives_keys_after_fg() {
    let house = House::new();
    let mut terminal = Terminal::new();
    let mut shell = terminal.start(shell(&house));
    terminal.see("READY> ");
    let monitor = assert_cmd::cargo::cargo_bin!("monitor");
    terminal.type_in(&format!("{} run -- bash -c 'read line; echo \"$line\" arrived' &\n", monitor.display()));
    terminal.see("READY> ");
    wait_for("it to be known", || house.trees().first().map(drop));
    terminal.type_in("fg\n");
    terminal.see("run --");
    terminal.type_in("something\n");
    terminal.see("something arrived");
    terminal.see("READY> ");
    terminal.type_in("exit\n");
    assert!(end_of(&mut shell).success());
}

/// A shell edits input in terminal modes that only apply while it waits.
#[test]
fn a_background_command_has_and_leaves_normal_terminal_modes_after_fg() {
    let house = House::new();
    let mut terminal = Terminal::new();
    let mut shell = terminal.start(shell(&house));
    terminal.see("READY> ");
    let monitor = assert_cmd::cargo::cargo_bin!("monitor");
    let (before, after) = (house.folder.path().join("before"), house.folder.path().join("after"));
    terminal.type_in(&format!(
        "stty -a > before; {} run -- bash -c 'read line; stty -a > inner; echo \"$line\" arrived; read line' &\n",
        monitor.display()
    ));
    terminal.see("READY> ");
    wait_for("it to be known", || house.trees().first().map(drop));
    terminal.type_in("fg\n");
    terminal.see("run --");
    terminal.type_in("something\n");
    // Input is echoed before the command's output.
    terminal.see("something\r\nsomething arrived");
    terminal.type_in("\x1a");
    terminal.see("Stopped");
    terminal.see("READY> ");
    terminal.type_in("fg\n");
    terminal.see("run --");
    terminal.type_in("\n");
    terminal.see("READY> ");
    terminal.type_in("stty -a > after; exit\n");
    assert!(end_of(&mut shell).success());
    let text = |path: &Path| std::fs::read_to_string(path).unwrap();
    assert_eq!(text(&before), text(&after));
    assert_eq!(text(&before), text(&house.folder.path().join("inner")));
}

/// Its input is a pipe, so it reads keys from the terminal of its output.
#[test]
fn a_pager_at_the_end_of_a_pipe_has_the_keys() {
    let pager = "stty -icanon -echo <&2; echo paging; read -r -n1 key <&2; echo key $key; read -r -n1 key <&2; stty icanon echo <&2; \
                 echo last $key; cat; read -r line < /dev/tty; echo line $line";
    let has_less = Command::new("less").arg("--version").output().is_ok_and(|out| out.status.success());
    let less: &[&str] = if has_less { &["less"] } else { &[] };
    for command in [&["bash", "-c", pager][..], less] {
        if command.is_empty() {
            println!("less is not tested: it is not there");
            continue;
        }
        let house = House::new();
        let mut terminal = Terminal::new();
        let mut shell = terminal.start(shell(&house));
        terminal.see("READY> ");
        let run = house.run(&[], command);
        let words: Vec<_> = std::iter::once(run.get_program()).chain(run.get_args()).map(|word| word.to_str().unwrap()).collect();
        let script = format!("#!/bin/sh\nexec {}\n", words.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" "));
        std::fs::write(house.folder.path().join("paged"), script).unwrap();
        terminal.type_in("stty -a > before; seq 1000 | sh paged; stty -a > after\n");
        if command[0] == "less" {
            terminal.see("38\r");
            terminal.type_in("G");
            terminal.see("1000\r");
            terminal.type_in("q");
        } else {
            terminal.see("paging");
            terminal.type_in("x");
            terminal.see("key x");
            terminal.type_in("y");
            terminal.see("last y");
            terminal.see("1000\r\n");
            terminal.type_in("a whole line\n");
            terminal.see("line a whole line\r\n");
        }
        terminal.see("READY> ");
        // The terminal shows its modes, and the whole pipeline in the foreground can still be interrupted.
        terminal.type_in("sleep 600 | sh paged\n");
        if command[0] == "less" {
            wait_for("the second one", || (house.trees().len() == 2).then_some(()));
        } else {
            terminal.see("paging");
        }
        terminal.type_in("\x03");
        if command[0] == "less" {
            // `less` treats Ctrl-C as the end of its input, so it must be quit separately.
            terminal.type_in("q");
        }
        terminal.see("READY> ");
        terminal.type_in("exit\n");
        end_of(&mut shell);
        let text = |name: &str| std::fs::read_to_string(house.folder.path().join(name)).unwrap();
        assert_eq!(text("before"), text("after"), "{command:?}");
    }
}

/// In line mode a terminal does not report who reads it.
#[test]
fn a_line_is_read_from_the_terminal_of_the_output() {
    let python = "import os, select, sys
print('reading', flush=True)
print('read', os.read(2, 100).decode().strip(), flush=True)
select.select([1], [], [])
print('selected', os.read(1, 100).decode().strip(), flush=True)
poll = select.poll()
poll.register(2, select.POLLIN)
poll.poll()
print('polled', os.read(2, 100).decode().strip(), 'and', sys.stdin.read(), flush=True)";
    let shell_script =
        "echo reading; read -r a <&2; echo read $a; (read -r b <&2; echo selected $b); read -r -t 600 c <&1; echo polled $c and $(cat)";
    for command in [["python3", "-c", python], ["bash", "-c", shell_script]] {
        let house = House::new();
        let mut terminal = Terminal::new();
        let mut shell = terminal.start(shell(&house));
        terminal.see("READY> ");
        let run = house.run(&[], &command);
        let words: Vec<_> = std::iter::once(run.get_program()).chain(run.get_args()).map(|word| word.to_str().unwrap()).collect();
        let script =
            format!("exec {}\n", words.iter().map(|word| format!("'{}'", word.replace('\'', "'\\''"))).collect::<Vec<_>>().join(" "));
        std::fs::write(house.folder.path().join("asking"), script).unwrap();
        terminal.type_in("stty -a > before; echo text | sh asking; stty -a > after\n");
        terminal.see("reading");
        terminal.type_in("one\n");
        terminal.see("read one");
        terminal.type_in("twenty\x7fo\n");
        terminal.see("selected twento");
        terminal.type_in("three\n");
        terminal.see("polled three and text");
        terminal.see("READY> ");
        terminal.type_in("exit\n");
        end_of(&mut shell);
        let text = |name: &str| std::fs::read_to_string(house.folder.path().join(name)).unwrap();
        assert_eq!(text("before"), text("after"), "{command:?}");
    }
}

/// Its output is a terminal, but another program of the pipe reads the keys.
#[test]
fn keys_go_to_the_program_of_the_pipe_that_reads_them() {
    let house = House::new();
    let mut terminal = Terminal::new();
    let mut shell = terminal.start(shell(&house));
    terminal.see("READY> ");
    let monitor = assert_cmd::cargo::cargo_bin!("monitor");
    terminal.type_in(&format!("cat | {} run -- sed -u 's/^/sorted /'\n", monitor.display()));
    for line in ["one", "two"] {
        wait_for("it to be known", || house.trees().first().map(drop));
        terminal.type_in(&format!("{line}\n"));
        terminal.see(&format!("sorted {line}"));
    }
    terminal.type_in("\x04");
    terminal.see("READY> ");
    terminal.type_in("exit\n");
    end_of(&mut shell);
}

/// The error quotes the file of stderr, and not the output on the terminal.
#[test]
fn the_error_quotes_stderr_even_if_it_is_redirected_to_a_file() {
    let house = House::new();
    let terminal = Terminal::new();
    let monitor = house.run(&[], &["sh", "-c", "echo seen; echo why >&2; exit 1"]);
    let mut command = Command::new("bash");
    command.args(["-c", "exec \"$@\" 2> err", "bash"]).arg(monitor.get_program()).args(monitor.get_args());
    for (name, value) in monitor.get_envs().filter_map(|(name, value)| Some((name, value?))) {
        command.env(name, value);
    }
    command.current_dir(house.folder.path());
    let mut child = terminal.start(command);
    terminal.see("seen");
    assert_eq!(end_of(&mut child).code(), Some(1));
    assert_eq!(house.process()["error"]["message"], "why");
}

/// Only stdout is a terminal: keys are not read, and the output is the same.
#[test]
fn a_pipe_into_a_terminal_still_looks_like_one() {
    let house = House::new();
    let terminal = Terminal::new();
    let monitor = house.run(&[], &["bash", "-c", "cat; test -t 1 && echo tty; test -t 0 || echo no tty; stty size < /dev/stdout"]);
    let mut command = Command::new("bash");
    command.args(["-c", "echo piped | \"$@\"", "bash"]).arg(monitor.get_program()).args(monitor.get_args());
    for (name, value) in monitor.get_envs().filter_map(|(name, value)| Some((name, value?))) {
        command.env(name, value);
    }
    let mut child = terminal.start(command);
    terminal.see("piped\r\ntty\r\nno tty\r\n40 100\r\n");
    assert!(end_of(&mut child).success());
}

/// Nothing but a yes deletes: not another word, not an empty line, not the end of the input, and not Ctrl-C.
#[test]
fn deleting_a_tree_on_a_terminal_requires_confirmation() {
    let house = House::new();
    assert!(output(house.run(&[], &["true"]), b"").status.success());
    house.process();
    let number = house.get("/roots")["roots"][0]["number"].to_string();
    let ask = |terminal: &Terminal| {
        let mut delete = house.monitor(&["delete", &number]);
        delete.env("MONITOR_DATA", house.server.data.path());
        let child = terminal.start(delete);
        terminal.see("Delete true");
        terminal.see("of its 1 processes? [y/N] ");
        child
    };
    for (keys, code) in [("n\n", Some(1)), ("\n", Some(1)), ("yesterday\n", Some(1)), ("\x04", Some(1)), ("y\x03", None)] {
        let mut terminal = Terminal::new();
        let mut child = ask(&terminal);
        terminal.type_in(keys);
        assert_eq!(end_of(&mut child).code(), code, "{keys:?}");
        if code.is_some() {
            terminal.see("nothing was deleted");
        }
        assert_eq!(house.trees().len(), 1, "{keys:?}");
    }
    let mut terminal = Terminal::new();
    let mut child = ask(&terminal);
    terminal.type_in("Y\n");
    terminal.see("deleted true");
    assert!(end_of(&mut child).success());
    assert_eq!(house.trees().len(), 0);
}
