//! Orders about alerts: a command of a channel gets a message on its standard input, and mail goes by the machine's `sendmail`.
//!
//! Nothing of a message is part of a command: its words are data on standard input, and recipients are arguments behind `--`.

use std::io::{Read as _, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::{Pid, Uid, User};
use serde_json::{Map, Value, json};

/// Order to run a command with a message on its standard input.
pub(crate) const COMMAND: &str = "alert-command";
/// Order to send a mail.
pub(crate) const MAIL: &str = "alert-mail";
/// Time after which a command is ended.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Bytes of a command's output that are reported.
const MOST_OUTPUT: u64 = 2_000;
/// Pause between two checks whether a command has ended.
const LOOK: Duration = Duration::from_millis(10);
/// Usual paths of `sendmail`.
const PLACES: [&str; 3] = ["/usr/sbin/sendmail", "/usr/lib/sendmail", "/usr/bin/sendmail"];

/// The machine's `sendmail`: that of `MONITOR_SENDMAIL` if it is set, which may be empty for none.
pub(crate) fn sendmail() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("MONITOR_SENDMAIL") {
        return Some(PathBuf::from(named)).filter(|path| path.is_file());
    }
    PLACES.iter().map(PathBuf::from).find(|path| path.is_file())
}

/// Executes an order, and returns the exit code and the beginning of the command's output. Blocks for up to 30 s. `may_run` checks the command
/// of a channel, which is named first.
///
/// # Errors
/// The reason why nothing was run.
pub(crate) fn obey(
    method: &str,
    arguments: &Map<String, Value>,
    may_run: impl Fn(&str, &[String]) -> Result<(), String>,
) -> Result<Value, String> {
    let texts = |key: &str| -> Vec<String> {
        let list = arguments.get(key).and_then(Value::as_array);
        list.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    if method == MAIL {
        let sendmail = sendmail().ok_or("there is no sendmail on this machine")?;
        let mail = arguments.get("mail").and_then(Value::as_str).ok_or("`mail` is missing")?;
        return send(&sendmail, texts("to"), mail);
    }
    let channel = arguments.get("channel").and_then(Value::as_str).ok_or("`channel` is missing: the server is older than this agent")?;
    let message = arguments.get("message").filter(|message| message.is_object()).ok_or("`message` is missing")?;
    let command = texts("command");
    may_run(channel, &command)?;
    run(&command, message.to_string().as_bytes(), TIMEOUT)
}

/// Sends a mail. Without recipients it goes to the agent's own user, as with cron.
fn send(sendmail: &Path, mut to: Vec<String>, mail: &str) -> Result<Value, String> {
    let mut mail = mail.to_owned();
    if to.is_empty() {
        let user = user().ok_or("the agent's user has no name that a mail could go to")?;
        mail.insert_str(0, &format!("To: {user}\r\n"));
        to.push(user);
    }
    let is_plain = |c: char| !c.is_control() && !c.is_whitespace();
    if to.iter().any(|to| to.is_empty() || !to.chars().all(is_plain)) {
        return Err("`to` has something that is no address".to_owned());
    }
    let mut command = vec![sendmail.display().to_string(), "-i".to_owned(), "--".to_owned()];
    command.extend(to);
    run(&command, mail.replace("\r\n", "\n").as_bytes(), TIMEOUT)
}

/// Name of the user that the agent runs as.
fn user() -> Option<String> {
    User::from_uid(Uid::current()).ok().flatten().map(|user| user.name)
}

/// Runs a command in a group of its own, and ends the group with it.
fn run(command: &[String], input: &[u8], timeout: Duration) -> Result<Value, String> {
    let (program, args) = command.split_first().ok_or("`command` is missing")?;
    let failed = |error: std::io::Error| format!("{program} can't be run: {error}");
    let (mut said, output) = std::io::pipe().map_err(failed)?;
    let mut prepared = Command::new(program);
    prepared.args(args).stdin(Stdio::piped()).stdout(output.try_clone().map_err(failed)?).stderr(output).process_group(0);
    let mut child = prepared.current_dir("/").spawn().map_err(failed)?;
    // Its ends of the pipe are closed with it.
    drop(prepared);
    let (tell, told) = mpsc::channel();
    let reader = move || {
        let mut text = Vec::new();
        let read = said.by_ref().take(MOST_OUTPUT).read_to_end(&mut text);
        let _ = tell.send(text);
        // Whoever says more must not be ended by that.
        let _ = read.and_then(|_| std::io::copy(&mut said, &mut std::io::sink()).map(|_| 0));
    };
    std::thread::spawn(reader);
    if let Some(mut stdin) = child.stdin.take() {
        let input = input.to_vec();
        // A command needn't read what it gets.
        std::thread::spawn(move || drop(stdin.write_all(&input)));
    }
    let end = Instant::now() + timeout;
    let status = loop {
        match child.try_wait().map_err(failed)? {
            Some(status) => break Some(status),
            None if Instant::now() >= end => break None,
            None => std::thread::sleep(LOOK),
        }
    };
    // What it has left behind is in its group. If nothing is left there is no such group: its number isn't given again so soon.
    if let Ok(group) = i32::try_from(child.id()) {
        let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
    }
    if status.is_none() {
        child.wait().map_err(failed)?;
    }
    let text = told.recv_timeout(Duration::from_secs(1)).unwrap_or_default();
    let output = String::from_utf8_lossy(&text).trim().to_owned();
    let signal = status.and_then(|status| std::os::unix::process::ExitStatusExt::signal(&status));
    Ok(json!({"exit_code": status.and_then(|status| status.code()), "signal": signal, "in_time": status.is_some(), "output": output}))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::unnecessary_wraps, reason = "a check that allows every command")]
    fn any(_: &str, _: &[String]) -> Result<(), String> {
        Ok(())
    }

    fn order(value: &Value) -> Map<String, Value> {
        value.as_object().cloned().unwrap()
    }

    fn shell(script: &str, input: &str, timeout: Duration) -> Value {
        run(&["sh".to_owned(), "-c".to_owned(), script.to_owned()], input.as_bytes(), timeout).unwrap()
    }

    #[test]
    fn a_command_gets_the_message_and_its_answer_is_told() {
        let done = obey(COMMAND, &order(&json!({"channel": "c", "command": ["cat"], "message": {"id": "7.1", "text": "$(id) `id`"}})), any)
            .unwrap();
        assert_eq!((&done["exit_code"], &done["in_time"]), (&json!(0), &json!(true)));
        assert_eq!(serde_json::from_str::<Value>(done["output"].as_str().unwrap()).unwrap(), json!({"id": "7.1", "text": "$(id) `id`"}));
        assert_eq!(shell("echo no >&2; exit 3", "", TIMEOUT)["output"], "no");
        assert_eq!(shell("kill -9 $$", "", TIMEOUT)["signal"], 9);
        // One that reads nothing, and one that says a lot.
        assert_eq!(shell("exec 0<&-; exit 0", &"x".repeat(1 << 20), TIMEOUT)["exit_code"], 0);
        let much = shell("head -c 1000000 /dev/zero | tr '\\0' a", "", TIMEOUT);
        assert_eq!((&much["exit_code"], much["output"].as_str().unwrap().len()), (&json!(0), 2_000));
    }

    #[test]
    fn a_command_that_takes_too_long_is_ended_with_all_that_it_started() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pid");
        let script = format!("sleep 1000 & echo $! > {}; wait", file.display());
        let done = shell(&script, "", Duration::from_millis(500));
        assert_eq!((&done["in_time"], &done["exit_code"]), (&json!(false), &Value::Null));
        let pid = std::fs::read_to_string(file).unwrap();
        let stat = || std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
        while !(stat().is_empty() || stat().contains(") Z ")) {
            std::thread::yield_now();
        }
    }

    #[test]
    fn what_is_no_order_runs_nothing() {
        for (arguments, words) in [
            (json!({"command": ["true"], "message": {}}), "`channel` is missing"),
            (json!({"channel": "c", "command": [], "message": {}}), "`command` is missing"),
            (json!({"channel": "c", "message": {}}), "`command` is missing"),
            (json!({"channel": "c", "command": ["true"]}), "`message` is missing"),
            (json!({"channel": "c", "command": ["true"], "message": "{}"}), "`message` is missing"),
            (json!({"channel": "c", "command": ["/nowhere/at/all"], "message": {}}), "/nowhere/at/all can't be run"),
            (json!({"channel": "c", "command": ["a\u{0}b"], "message": {}}), "can't be run"),
        ] {
            let why = obey(COMMAND, &order(&arguments), any).unwrap_err();
            assert!(why.contains(words), "{arguments}: {why}");
        }
        let not_listed = |channel: &str, command: &[String]| Err(format!("{channel}: {command:?} is not listed"));
        let asked = json!({"channel": "c", "command": ["true"], "message": {}});
        assert_eq!(obey(COMMAND, &order(&asked), not_listed).unwrap_err(), "c: [\"true\"] is not listed");
    }

    #[test]
    fn mail_goes_to_who_is_named_or_to_the_agents_user() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let (program, sent) = (folder.path().join("sendmail"), folder.path().join("sent"));
        std::fs::write(&program, format!("#!/bin/sh\n(echo \"$@\"; cat) > {}\n", sent.display())).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        let mail = "Subject: gold failed\r\n\r\nwhy\r\n.\r\n";
        assert_eq!(send(&program, vec!["ada@example.com".to_owned()], mail).unwrap()["exit_code"], 0);
        assert_eq!(std::fs::read_to_string(&sent).unwrap(), "-i -- ada@example.com\nSubject: gold failed\n\nwhy\n.\n");
        send(&program, Vec::new(), mail).unwrap();
        let user = user().unwrap();
        assert!(std::fs::read_to_string(&sent).unwrap().starts_with(&format!("-i -- {user}\nTo: {user}\nSubject: gold")));
        for to in ["", "a b", "a\nBcc: b"] {
            assert!(send(&program, vec![to.to_owned()], mail).is_err(), "{to:?}");
        }
    }
}
