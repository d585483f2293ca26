//! Converts crontabs to tasks.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use crate::definition::Definition;
use crate::near::shown;

/// Maximum length of a crontab, in bytes.
const LONGEST: usize = 1 << 20;
/// Maximum number of lines with tasks.
const MOST: usize = 10_000;
/// Programs that execute the file given as their argument.
const INTERPRETERS: [&str; 14] =
    ["bash", "bun", "dash", "deno", "java", "node", "nodejs", "perl", "php", "python", "python3", "ruby", "sh", "zsh"];
/// Programs that execute the command given as their arguments.
const WRAPPERS: [&str; 8] = ["chronic", "env", "exec", "ionice", "nice", "nohup", "sudo", "time"];

/// Format of a crontab.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A user's crontab, as printed by `crontab -l`.
    User,
    /// `/etc/crontab` and the files of `/etc/cron.d`, with a user name before the command.
    System,
}

/// Result of converting a crontab.
#[derive(Debug, Default, PartialEq)]
pub struct Imported {
    /// Tasks with their line numbers, from 1.
    pub tasks: Vec<(usize, Definition)>,
    /// Lines that can't be converted, with the reason.
    pub mistakes: Vec<(usize, String)>,
}

/// Converts a crontab. Names in `taken` are not used for its tasks.
///
/// Features of cron become keys of the definition: `CRON_TZ` is the zone, `MAILTO` the owner, and the text after `%` the command's input.
/// Other variables become environment variables. Commands run in the user's home folder.
pub fn read(text: &str, form: Form, taken: &BTreeSet<String>) -> Imported {
    let mut imported = Imported::default();
    if text.len() > LONGEST {
        imported.mistakes.push((1, format!("a crontab has at most {LONGEST} bytes, and this one has {}", text.len())));
        return imported;
    }
    let mut taken = taken.clone();
    let mut variables = BTreeMap::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if imported.tasks.len() == MOST {
            imported.mistakes.push((index + 1, format!("only the first {MOST} tasks are read")));
            break;
        }
        if let Some((name, value)) = variable(line) {
            variables.insert(name, value);
            continue;
        }
        match task(line, form, &variables, &taken) {
            Ok(definition) => {
                taken.insert(definition.name.clone());
                imported.tasks.push((index + 1, definition));
            }
            Err(message) => imported.mistakes.push((index + 1, message)),
        }
    }
    imported
}

/// Start of a comment that replaces a converted line. It is followed by the task's name, another `#`, and the line.
const MARK: &str = "#monitor:";

/// Replaces lines by comments. `tasks` maps line numbers, from 1, to the names of the tasks.
pub fn comment_out(text: &str, tasks: &BTreeMap<usize, String>) -> String {
    let lines = text.split_inclusive('\n').enumerate();
    lines
        .map(|(index, line)| match tasks.get(&(index + 1)) {
            Some(name) => format!("{MARK}{name}# {line}"),
            None => line.to_owned(),
        })
        .collect()
}

/// Returns the names of tasks in such comments.
pub fn commented_out(text: &str) -> BTreeSet<String> {
    let marked = text.lines().filter_map(|line| line.trim_start().strip_prefix(MARK)?.split_once('#'));
    marked.map(|(name, _)| name.to_owned()).collect()
}

/// Parses `NAME = value`. Name and value may be quoted.
fn variable(line: &str) -> Option<(String, String)> {
    let (name, value) = line.split_once('=')?;
    let name = unquoted(name.trim());
    let is_name =
        name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    is_name.then(|| (name.to_owned(), unquoted(value.trim()).to_owned()))
}

fn unquoted(text: &str) -> &str {
    let inner = ['"', '\''].into_iter().find_map(|quote| text.strip_prefix(quote)?.strip_suffix(quote));
    inner.unwrap_or(text)
}

fn task(line: &str, form: Form, variables: &BTreeMap<String, String>, taken: &BTreeSet<String>) -> Result<Definition, String> {
    // With this sign, cron does not log the start.
    let line = line.strip_prefix('-').unwrap_or(line);
    let (rule, rest) = if line.starts_with('@') { words(line, 1) } else { words(line, 5) };
    let rule = rule.iter().map(|word| spread(word)).collect::<Vec<_>>().join(" ");
    let (user, command) = match form {
        Form::User => (None, rest),
        Form::System => {
            let (user, rest) = words(rest, 1);
            (user.first().copied(), rest)
        }
    };
    if command.is_empty() {
        let fields = if form == Form::System { "five fields, a user and a command" } else { "five fields and a command" };
        return Err(format!("{:?}: expected {fields}, or NAME=value", shown(line)));
    }
    let (command, input) = split_input(command);
    let mut map = Map::new();
    map.insert("name".to_owned(), json!(free_name(&command, taken)));
    let script = match input {
        Some(input) => with_input(&command, &input),
        None => command,
    };
    // Like cron, start in the user's home folder.
    let script = if script.starts_with("cd ") { script } else { format!("cd; {script}") };
    match variables.get("SHELL").map(String::as_str) {
        None | Some("/bin/sh" | "") => map.insert("shell".to_owned(), json!(script)),
        Some(shell) => map.insert("command".to_owned(), json!([shell, "-c", script])),
    };
    map.insert("rules".to_owned(), json!([rule]));
    for (key, value) in [("zone", variables.get("CRON_TZ").map(String::as_str)), ("user", user), ("owner", owner(variables))] {
        map.extend(value.map(|value| (key.to_owned(), json!(value))));
    }
    let is_environment = |name: &str| !matches!(name, "CRON_TZ" | "MAILTO" | "MAILFROM" | "SHELL" | "RANDOM_DELAY" | "START_HOURS_RANGE");
    let env: Map<String, Value> =
        variables.iter().filter(|(name, _)| is_environment(name)).map(|(name, value)| (name.clone(), json!(value))).collect();
    if !env.is_empty() {
        map.insert("env".to_owned(), Value::Object(env));
    }
    Definition::from_json(Value::Object(map)).map_err(|mistakes| mistakes.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
}

/// Returns the first non-empty address of `MAILTO`.
fn owner(variables: &BTreeMap<String, String>) -> Option<&str> {
    variables.get("MAILTO")?.split(',').map(str::trim).find(|address| !address.is_empty())
}

/// Splits off the first words of a line.
fn words(line: &str, count: usize) -> (Vec<&str>, &str) {
    let (mut words, mut rest) = (Vec::new(), line.trim_start());
    while words.len() < count && !rest.is_empty() {
        let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
        words.push(&rest[..end]);
        rest = rest[end..].trim_start();
    }
    (words, rest)
}

/// Converts cronie's random range `0~29` to `H(0-29)`.
fn spread(field: &str) -> String {
    match field.split_once('~') {
        Some(("", "")) => "H".to_owned(),
        Some((first, last)) if !first.is_empty() && !last.is_empty() => format!("H({first}-{last})"),
        _ => field.to_owned(),
    }
}

/// Splits the text at the first unescaped `%` into the command and its input lines.
fn split_input(text: &str) -> (String, Option<String>) {
    let (mut command, mut input): (String, Option<String>) = (String::new(), None);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let next = match c {
            '\\' if chars.peek() == Some(&'%') => chars.next().unwrap_or(c),
            '%' if input.is_none() => {
                input = Some(String::new());
                continue;
            }
            '%' => '\n',
            other => other,
        };
        input.as_mut().unwrap_or(&mut command).push(next);
    }
    (command.trim_end().to_owned(), input)
}

/// Creates a shell command with lines as its input.
fn with_input(command: &str, input: &str) -> String {
    let mut end = "END".to_owned();
    while input.lines().any(|line| line == end) {
        end.push('_');
    }
    format!("{{ {command}\n}} <<'{end}'\n{input}\n{end}\n")
}

/// Returns an unused name derived from the command.
fn free_name(command: &str, taken: &BTreeSet<String>) -> String {
    let name = name_of(command).unwrap_or_else(|| "task".to_owned());
    let numbered = (2..).map(|number| format!("{name}-{number}"));
    std::iter::once(name.clone()).chain(numbered).find(|name| !taken.contains(name)).expect("numbers don't end")
}

/// Derives a name from the program that a command finally runs, skipping earlier parts of a list, variables and interpreters.
fn name_of(command: &str) -> Option<String> {
    let before_pipe = command.split(" | ").next().unwrap_or(command);
    let part = before_pipe.rsplit("&&").next().into_iter().chain(before_pipe.split(';')).map(str::trim).find(|part| !part.is_empty())?;
    let is_assignment =
        |word: &str| word.split_once('=').is_some_and(|(name, _)| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'));
    let base =
        |word: &str| word.trim_matches(['"', '\'', '(', ')']).trim_end_matches('/').rsplit('/').next().unwrap_or_default().to_owned();
    let mut words = part.split_whitespace().filter(|word| !is_assignment(word)).map(base).filter(|word| !word.is_empty());
    let mut program = words.by_ref().find(|word| !WRAPPERS.contains(&word.as_str()) && !word.starts_with('-'))?;
    if INTERPRETERS.contains(&program.as_str())
        && let Some(file) = words.find(|word| !word.starts_with('-'))
    {
        program = file;
    }
    let stem = program.split_once('.').filter(|(stem, _)| !stem.is_empty()).map_or(program.as_str(), |(stem, _)| stem);
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let name: String = stem.chars().map(|c| if plain(c) { c } else { '-' }).skip_while(|c| !c.is_ascii_alphanumeric()).take(60).collect();
    (!name.is_empty()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definition::Program;

    fn import(text: &str, form: Form) -> Imported {
        read(text, form, &BTreeSet::new())
    }

    #[test]
    fn a_users_crontab_is_read() {
        let text = "\
# m h dom mon dow command
MAILTO=\"ada@example.org, bob@example.org\"
PATH = /usr/local/bin:/usr/bin
CRON_TZ=Asia/Shanghai
30 2 * * 1-5   cd /srv/gold && node index.js --all >> /var/log/gold.log 2>&1
@reboot /opt/warm-up.sh
MAILTO=
*/5 * * * *\tmail -s 'It\\'s 5\\%' root%Hello%  you\\% there
0~29 4 * * 6 php /srv/index.php
";
        let found = import(text, Form::User);
        assert_eq!(found.mistakes, []);
        assert_eq!(found.tasks.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [5, 6, 8, 9]);
        let [gold, boot, mail, php] = [0, 1, 2, 3].map(|index| &found.tasks[index].1);
        assert_eq!(
            (gold.name.as_str(), boot.name.as_str(), mail.name.as_str(), php.name.as_str()),
            ("index", "warm-up", "mail", "index-2")
        );
        assert_eq!(gold.rules, ["30 2 * * 1-5"]);
        assert_eq!(gold.program, Program::Shell { shell: "cd /srv/gold && node index.js --all >> /var/log/gold.log 2>&1".to_owned() });
        assert_eq!(
            (gold.zone.as_deref(), gold.owner.first().map(String::as_str), gold.user.as_deref()),
            (Some("Asia/Shanghai"), Some("ada@example.org"), None)
        );
        assert_eq!(gold.env.keys().collect::<Vec<_>>(), ["PATH"]);
        assert_eq!((boot.rules[0].as_str(), mail.owner.first(), php.rules[0].as_str()), ("@reboot", None, "H(0-29) 4 * * 6"));
        let script = "cd; { mail -s 'It\\'s 5%' root\n} <<'END'\nHello\n  you% there\nEND\n";
        assert_eq!(mail.program, Program::Shell { shell: script.to_owned() });
        for (_, task) in &found.tasks {
            assert_eq!(Definition::from_toml(&task.to_toml()), Ok(task.clone()), "{}", task.to_toml());
        }
    }

    #[test]
    fn lines_become_comments_that_name_their_tasks() {
        let text = "# mine\nMAILTO=x\n30 2 * * * a\r\n\n 0 3 * * * b";
        let tasks = BTreeMap::from([(3, "gold".to_owned()), (5, "tin".to_owned())]);
        let commented = comment_out(text, &tasks);
        assert_eq!(commented, "# mine\nMAILTO=x\n#monitor:gold# 30 2 * * * a\r\n\n#monitor:tin#  0 3 * * * b");
        assert_eq!(import(&commented, Form::User), Imported::default());
        assert_eq!(commented_out(&commented), ["gold", "tin"].map(str::to_owned).into());
        assert!(commented_out(text).is_empty());
        assert_eq!(comment_out(text, &BTreeMap::new()), text);
    }

    #[test]
    fn a_system_crontab_names_users() {
        let text = "SHELL=/bin/bash\n17 * * * * root cd / && run-parts --report /etc/cron.hourly\n25 6 * * * www-data test -x x || ( y )\n";
        let found = import(text, Form::System);
        assert_eq!(found.mistakes, []);
        let users: Vec<_> = found.tasks.iter().map(|(_, task)| (task.name.as_str(), task.user.as_deref())).collect();
        assert_eq!(users, [("run-parts", Some("root")), ("test", Some("www-data"))]);
        let command = ["/bin/bash", "-c", "cd / && run-parts --report /etc/cron.hourly"].map(str::to_owned).to_vec();
        assert_eq!(found.tasks[0].1.program, Program::Command { command });
    }

    #[test]
    fn lines_that_are_no_tasks_are_reported() {
        let text = "* * * *\n61 * * * * x\n@dayly x\n0 0 30 2 * x\nCRON_TZ=Mars/Olympus\n0 0 * * * x\n\u{0}\u{1}\n* * * * * \u{0}\n";
        let found = import(text, Form::User);
        assert_eq!(found.tasks, []);
        let expected = ["five fields and a command", "61 is not in 0 to 59", "did you mean @daily?", "never fires", "no zone Mars/Olympus"];
        for (expected, (line, message)) in expected.iter().zip(&found.mistakes) {
            assert!(message.contains(expected), "{line}: {message}");
        }
        assert_eq!(found.mistakes.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [1, 2, 3, 4, 6, 7, 8]);
        assert!(import("17 * * * * root\n", Form::System).mistakes[0].1.contains("a user and a command"));
        assert!(import(&"x".repeat(2 << 20), Form::User).mistakes[0].1.contains("at most"));
    }

    #[test]
    fn names_are_unused_and_taken_from_the_command() {
        for (command, name) in [
            ("/usr/local/bin/backup.sh --all", "backup"),
            ("FOO=1 nice -n 10 /opt/x/run.py", "10"),
            ("sudo -u batch /opt/report", "batch"),
            ("bash -lc ./deploy", "deploy"),
            ("'/opt/with space'", "with"),
            ("[ -x /a ] && /b/c.d", "c"),
            ("金", "task"),
            ("...", "task"),
        ] {
            assert_eq!(free_name(command, &BTreeSet::new()), name, "{command}");
        }
        let taken = ["backup", "backup-2"].map(str::to_owned).into();
        assert_eq!(free_name("backup", &taken), "backup-3");
    }

    #[test]
    fn any_text_is_read_or_refused() {
        use proptest::prelude::*;
        proptest!(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() }, |(text in "(\\PC{0,30}|[0-9*~@ %\\\\=a-z\n]{0,80}\n){0,4}")| {
            for form in [Form::User, Form::System] {
                for (_, task) in import(&text, form).tasks {
                    prop_assert_eq!(Definition::from_toml(&task.to_toml()), Ok(task));
                }
            }
        });
    }
}
