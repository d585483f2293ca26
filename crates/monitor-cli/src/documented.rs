//! A test of the commands in the documents: the program must accept each of them.

use std::fs;
use std::path::{Path, PathBuf};

use clap::CommandFactory as _;
use clap::error::{ContextKind, ErrorKind};

use crate::Cli;

/// A command in a document.
struct Found {
    place: String,
    words: Vec<String>,
    /// False for a command in a sentence, which may end early, such as `monitor task run`.
    is_whole: bool,
}

fn documents(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder of documents") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            documents(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "md") {
            found.push(path);
        }
    }
}

/// Returns the commands in a document: those of its shell examples, and those in its sentences.
fn commands(place: &str, text: &str) -> Vec<Found> {
    let (mut found, mut block, mut here, mut line_so_far) = (Vec::new(), None, None::<String>, String::new());
    for (index, line) in text.lines().enumerate() {
        let place = format!("{place}:{}", index + 1);
        if let Some(language) = line.trim_start().strip_prefix("```") {
            block = if block.is_some() { None } else { Some(language) };
            continue;
        }
        match block {
            // The text of a here-document is no command.
            Some("sh") if here.is_some() => here = here.take().filter(|end| line.trim() != end),
            Some("sh") => {
                line_so_far.push_str(line.strip_suffix('\\').unwrap_or(line));
                if !line.ends_with('\\') {
                    let line = std::mem::take(&mut line_so_far);
                    here = line.split_once("<<").map(|(_, end)| end.trim_matches(|c: char| !c.is_alphanumeric()).to_owned());
                    found.extend(in_line(&line).into_iter().map(|words| Found { place: place.clone(), words, is_whole: true }));
                }
            }
            Some(_) => {}
            None => {
                let spans =
                    line.split('`').skip(1).step_by(2).filter(|span| {
                        span.starts_with("monitor ") && !span.contains(['|', '[', '(']) && !span.starts_with("monitor COMMAND")
                    });
                found.extend(spans.flat_map(in_line).map(|words| Found { place: place.clone(), words, is_whole: false }));
            }
        }
    }
    found
}

/// Returns the words after each `monitor` that begins a command in a line of the shell.
fn in_line(line: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let words = shlex::split(line).unwrap_or_default();
    let is_operator = |word: &&String| matches!(word.as_str(), "|" | "||" | "&" | "&&" | ";" | "do" | "then" | "else");
    for command in words.split(|word| is_operator(&word)).flat_map(|part| part.split_inclusive(|word| word.ends_with(';'))) {
        let is_before = |word: &&String| word.contains('=') || matches!(word.as_str(), "sudo" | "if" | "while" | "!" | "time" | "exec");
        let mut command = command.iter().skip_while(is_before);
        let Some("monitor" | "$(monitor") = command.next().map(String::as_str) else { continue };
        let (mut words, mut is_file) = (vec!["monitor".to_owned()], false);
        for word in command {
            let is_redirection = |word: &str| word.trim_start_matches(|c: char| c.is_ascii_digit()).starts_with(['>', '<']);
            if std::mem::take(&mut is_file) || word == "…" || word == "..." {
                continue;
            }
            if is_redirection(word) {
                is_file = word.ends_with(['>', '<']);
            } else if words.last().is_some_and(|before| before == "--token-file") {
                // The program reads it at once. The first line of this file has the form of a token.
                words.push(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml").to_owned());
            } else {
                words.push(word.trim_end_matches([';', ')']).to_owned());
            }
        }
        found.push(words);
    }
    found
}

/// Returns the mistake in a command, if `program` refuses it.
fn mistake(program: &mut clap::Command, command: &Found) -> Option<String> {
    let error = program.try_get_matches_from_mut(&command.words).err()?;
    let is_accepted = match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => true,
        ErrorKind::MissingRequiredArgument
        | ErrorKind::MissingSubcommand
        | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
        | ErrorKind::TooFewValues
        | ErrorKind::WrongNumberOfValues => !command.is_whole,
        // A word in capitals stands for a value.
        ErrorKind::InvalidValue | ErrorKind::ValueValidation if !command.is_whole => {
            let value = error.get(ContextKind::InvalidValue).map(ToString::to_string).unwrap_or_default();
            value == value.to_uppercase()
        }
        _ => false,
    };
    let first = error.to_string().lines().next().unwrap_or_default().to_owned();
    (!is_accepted).then(|| format!("{}: {}: {first}", command.place, command.words.join(" ")))
}

#[test]
fn the_program_accepts_each_command_in_the_documents() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut paths = vec![top.join("README.md")];
    documents(&top.join("docs"), &mut paths);
    paths.sort();
    let read = |path: &PathBuf| {
        commands(&path.strip_prefix(&top).expect("below it").display().to_string(), &fs::read_to_string(path).expect("a document"))
    };
    let found: Vec<Found> = paths.iter().flat_map(read).collect();
    assert!(found.iter().filter(|command| command.is_whole).count() > 100 && found.len() > 300, "{} commands", found.len());
    let mut program = Cli::command();
    let mistakes: Vec<_> = found.iter().filter_map(|command| mistake(&mut program, command)).collect();
    assert!(mistakes.is_empty(), "{}:\n{}", mistakes.len(), mistakes.join("\n"));
}

#[test]
fn commands_are_found_in_examples_and_sentences() {
    let text = "Use `monitor task run`, or `monitor a|b`:\n```sh\nA=1 monitor list --json | jq .x   # monitor none\nfor n in 1; do monitor token \\\n  \
                create web-$n > x.token; done\nx \"$(monitor show 1)\" && monitor run -- sh -c 'a; b' 2> log &\ncat <<'END'\nmonitor none\nEND\n```\n```text\nmonitor none\n```\n";
    let found: Vec<_> = commands("a.md", text).into_iter().map(|found| (found.place, found.words.join(" "), found.is_whole)).collect();
    let expected = [
        ("a.md:1", "monitor task run", false),
        ("a.md:3", "monitor list --json", true),
        ("a.md:5", "monitor token create web-$n", true),
        ("a.md:6", "monitor run -- sh -c a; b", true),
    ];
    assert_eq!(found, expected.map(|(place, words, is_whole)| (place.to_owned(), words.to_owned(), is_whole)));
    let wrong = Found { place: "a.md:1".to_owned(), words: ["monitor", "list", "--nope"].map(str::to_owned).to_vec(), is_whole: false };
    assert!(mistake(&mut Cli::command(), &wrong).unwrap().contains("a.md:1: monitor list --nope: error: unexpected argument"));
}
