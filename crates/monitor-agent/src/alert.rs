//! Executes orders about alerts: runs the command of a channel with a message on its standard input, and sends mail with the machine's
//! `sendmail`.
//!
//! No part of a message becomes part of a command. The text of the message is data on standard input, and recipients are arguments after `--`.

use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

use monitor_notify::command::{self, Captured, Ended};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::{Pid, Uid, User};
use serde_json::{Map, Value, json};

/// Time after which a command is killed.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Usual paths of `sendmail`.
const PLACES: [&str; 3] = ["/usr/sbin/sendmail", "/usr/lib/sendmail", "/usr/bin/sendmail"];

/// Returns the path of the machine's `sendmail`. `MONITOR_SENDMAIL` overrides the usual paths; an empty value means that there is none.
pub(crate) fn sendmail() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("MONITOR_SENDMAIL") {
        return Some(PathBuf::from(named)).filter(|path| path.is_file());
    }
    PLACES.iter().map(PathBuf::from).find(|path| path.is_file())
}

/// Runs the command of an alert channel with a message on its standard input. Blocks for up to 30 s. Returns the exit code and the beginning of the
/// command's output.
///
/// # Errors
/// The reason why the command was not started.
pub(crate) fn run_command(command: &[String], message: &Map<String, Value>) -> Result<Value, String> {
    run(command, &serde_json::to_vec(message).unwrap_or_default(), TIMEOUT)
}

/// Sends a mail by the machine's `sendmail`. Blocks for up to 30 s. Returns the exit code and the beginning of the output of `sendmail`.
///
/// # Errors
/// The reason why `sendmail` was not started.
pub(crate) fn send_mail(to: Vec<String>, mail: &str) -> Result<Value, String> {
    send(&sendmail().ok_or("there is no sendmail on this machine")?, to, mail)
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

/// Returns the name of the user that the agent runs as.
fn user() -> Option<String> {
    User::from_uid(Uid::current()).ok().flatten().map(|user| user.name)
}

/// Runs a command in a process group of its own, and kills the group when the command ends or the timeout expires.
fn run(command: &[String], input: &[u8], timeout: Duration) -> Result<Value, String> {
    let (program, args) = command.split_first().ok_or("`command` is missing")?;
    let mut prepared = Command::new(program);
    prepared.args(args).process_group(0).current_dir("/");
    // Processes that the command left behind are still in its group. If there are none, the group no longer exists; the kernel doesn't reuse
    // its number so soon.
    let end_group = |child: &mut Child| {
        if let Ok(group) = i32::try_from(child.id()) {
            let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
        }
    };
    let ended = command::run(prepared, Captured::Both, input, timeout, end_group);
    let Ended { status, output } = ended.map_err(|error| format!("{program} can't be run: {error}"))?;
    let signal = status.and_then(|status| status.signal());
    Ok(json!({"exit_code": status.and_then(|status| status.code()), "signal": signal, "in_time": status.is_some(), "output": output}))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, input: &str, timeout: Duration) -> Value {
        run(&["sh".to_owned(), "-c".to_owned(), script.to_owned()], input.as_bytes(), timeout).unwrap()
    }

    #[test]
    fn a_command_receives_the_message_and_its_result_is_reported() {
        let message = json!({"id": "7.1", "text": "$(id) `id`"});
        let done = run_command(&["cat".to_owned()], message.as_object().unwrap()).unwrap();
        assert_eq!((&done["exit_code"], &done["in_time"]), (&json!(0), &json!(true)));
        assert_eq!(serde_json::from_str::<Value>(done["output"].as_str().unwrap()).unwrap(), message);
        assert_eq!(shell("echo no >&2; exit 3", "", TIMEOUT)["output"], "no");
        assert_eq!(shell("kill -9 $$", "", TIMEOUT)["signal"], 9);
        // A command that reads no input, and a command with much output.
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
    fn invalid_commands_are_refused() {
        for (command, words) in
            [(&[][..], "`command` is missing"), (&["/nowhere/at/all"], "/nowhere/at/all can't be run"), (&["a\u{0}b"], "can't be run")]
        {
            let command: Vec<String> = command.iter().map(|&word| word.to_owned()).collect();
            let why = run_command(&command, &Map::new()).unwrap_err();
            assert!(why.contains(words), "{command:?}: {why}");
        }
    }

    #[test]
    fn mail_is_sent_to_the_named_recipients_or_the_user_of_the_agent() {
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
