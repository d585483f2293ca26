//! `cargo monitor list`: shows which functions would be woven, which are skipped, and why.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::{Value, json};

use crate::config::{Config, Rule};
use crate::front::unmatched;
use crate::project::{CargoArguments, Project};
use crate::source::{Function, LeftOut, Obstacle, SourceFile, read_crate};
use crate::weave::{is_outermost, rule_for};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Print JSON instead of text
    #[arg(long)]
    json: bool,
    /// Cargo.toml of the project
    #[arg(long, value_name = "FILE")]
    manifest_path: Option<PathBuf>,
}

/// Returns cargo arguments that select the project of a manifest.
pub(crate) fn of_manifest(path: Option<&PathBuf>) -> CargoArguments {
    let args: Vec<OsString> = path.map(|path| vec!["--manifest-path".into(), path.into()]).unwrap_or_default();
    CargoArguments::read(&args)
}

pub(crate) fn run(config: Option<&Path>, args: &Args) -> anyhow::Result<ExitCode> {
    let project = Project::find(&of_manifest(args.manifest_path.as_ref()))?;
    let config = Config::read(config, &project.root)?;
    let unmatched = unmatched(&project, &config);
    let mut out = anstream::stdout().lock();
    let mut listed = Vec::new();
    for of in &project.crates {
        let (files, unread) = if of.why_not.is_some() { Default::default() } else { read_crate(&of.root, &of.name, of.is_test()) };
        if args.json {
            let functions: Vec<Value> = functions(&files).map(|(file, function)| as_json(&project, &config, file, function)).collect();
            let unread: Vec<Value> = unread.iter().map(|(path, why)| json!({"file": path, "why": why})).collect();
            listed.push(json!({"crate": of.name, "package": of.package, "kind": of.kind, "skipped": of.why_not, "functions": functions, "unread": unread}));
            continue;
        }
        let all = functions(&files).count();
        let (mut lines, mut woven, mut excluded) = (Vec::new(), 0, 0);
        let mut skipped = BTreeMap::<&str, Vec<String>>::new();
        for (file, function) in functions(&files) {
            let place = format!("{}:{}", shown(&project, &file.path), function.line);
            match decide(&config, function) {
                Decision::NotAsked => excluded += 1,
                Decision::Skipped(why) => skipped.entry(why).or_default().push(format!("{}  {place}", function.path)),
                Decision::Woven(rule) => {
                    woven += 1;
                    let name = rule.name.as_ref().map_or_else(String::new, |name| format!("  {name:?}"));
                    let outermost = if is_outermost(function, rule) { "  (calls itself: the outermost call)" } else { "" };
                    lines.push(format!("  {:<13} {}  {place}{name}{outermost}", rule.kind.word(), function.path));
                }
            }
        }
        let why = of.why_not.map_or_else(String::new, |why| format!(": not woven, {why}"));
        writeln!(out, "{} ({} of {}){why}", of.name, of.kind, of.package)?;
        lines.into_iter().try_for_each(|line| writeln!(out, "{line}"))?;
        for (why, functions) in skipped {
            writeln!(out, "  skipped: {why}")?;
            functions.into_iter().try_for_each(|function| writeln!(out, "    {function}"))?;
        }
        for (path, why) in unread {
            writeln!(out, "  not read: {}: {why}", shown(&project, &path))?;
        }
        if all > 0 {
            writeln!(
                out,
                "  {woven} of {all} functions are woven{}",
                if excluded > 0 { format!(", {excluded} match no table") } else { String::new() }
            )?;
        }
    }
    if args.json {
        writeln!(out, "{}", serde_json::to_string_pretty(&json!({"crates": listed, "unmatched": unmatched}))?)?;
    } else {
        writeln!(out, "Functions that macros make are not seen here, and not woven.")?;
        if project.uses_client {
            writeln!(out, "The project uses monitor-client: only crates that depend on it themselves are woven, with its attributes.")?;
        }
    }
    out.flush()?;
    for message in &unmatched {
        writeln!(anstream::stderr(), "cargo monitor: {message}")?;
    }
    Ok(if unmatched.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn functions(files: &[SourceFile]) -> impl Iterator<Item = (&SourceFile, &Function)> {
    files.iter().flat_map(|file| file.functions.iter().map(move |function| (file, function)))
}

/// Result of the rules for one function.
enum Decision<'a> {
    Woven(&'a Rule),
    Skipped(&'static str),
    /// No rule matches the function.
    NotAsked,
}

fn decide<'a>(config: &'a Config, function: &Function) -> Decision<'a> {
    if !config.rules.iter().any(|rule| rule.matches(function)) {
        return Decision::NotAsked;
    }
    let why = function.obstacle.map(Obstacle::why).or(function.left_out.map(LeftOut::why));
    match (function.obstacle, rule_for(&config.rules, function), why) {
        (None, Some(rule), _) => Decision::Woven(rule),
        (_, _, Some(why)) => Decision::Skipped(why),
        _ => Decision::NotAsked,
    }
}

fn as_json(project: &Project, config: &Config, file: &SourceFile, function: &Function) -> Value {
    let (rule, skipped) = match decide(config, function) {
        Decision::Woven(rule) => (Some(rule), None),
        Decision::Skipped(why) => (None, Some(why)),
        Decision::NotAsked => (None, None),
    };
    json!({
        "path": function.path,
        "file": shown(project, &file.path),
        "line": function.line,
        "woven": rule.is_some(),
        "kind": rule.map(|rule| rule.kind.word()),
        "outermost": rule.is_some_and(|rule| is_outermost(function, rule)),
        "skipped": skipped,
    })
}

/// Returns the path relative to the workspace's folder.
pub(crate) fn shown(project: &Project, path: &Path) -> String {
    path.strip_prefix(&project.root).unwrap_or(path).display().to_string()
}
