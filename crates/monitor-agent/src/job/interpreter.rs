//! The interpreter of a script: from its `#!` line, otherwise from its language.

use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use monitor_wire::Language;

/// Folders with programs if the agent has no `PATH`.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Names of interpreters that replace each other.
const REPLACEMENTS: [(&str, &str); 4] = [("python", "python3"), ("python3", "python"), ("pwsh", "powershell"), ("powershell", "pwsh")];

/// The beginning of a command that runs a script.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Interpreter {
    /// The program and its arguments. The path of the script follows.
    pub(super) command: Vec<OsString>,
    /// Name of the interpreter that replaces a missing one.
    pub(super) replacement: Option<String>,
}

/// Returns the interpreter of a script.
///
/// # Errors
/// Returns the reason why this host can't run the script.
pub(super) fn find(script: &str, language: Language) -> Result<Interpreter, String> {
    let path = std::env::var("PATH").ok().filter(|path| !path.is_empty());
    find_in(script, language, path.as_deref().unwrap_or(DEFAULT_PATH))
}

fn find_in(script: &str, language: Language, path: &str) -> Result<Interpreter, String> {
    if let Some(line) = script.strip_prefix("#!") {
        return of_line(line.lines().next().unwrap_or_default().trim(), path);
    }
    let (names, arguments): (&[&str], &[&str]) = match language {
        Language::Shell => (&["bash", "sh"], &[]),
        Language::Python => (&["python3", "python"], &[]),
        Language::Perl => (&["perl"], &[]),
        Language::Powershell => (&["pwsh", "powershell"], &["-NoProfile", "-NonInteractive", "-File"]),
        Language::Bat => return Err("this host runs Linux, and bat scripts run on Windows only".to_owned()),
    };
    let found = names.iter().find_map(|name| Some((*name, on_path(name, path)?)));
    let (name, program) = found.ok_or_else(|| format!("this host has no {}: install it", names.join(" and no ")))?;
    let command = std::iter::once(program.into()).chain(arguments.iter().map(OsString::from)).collect();
    Ok(Interpreter { command, replacement: (name != names[0]).then(|| name.to_owned()) })
}

/// Reads the rest of a `#!` line as Linux does: a program, and all after it as one argument.
fn of_line(line: &str, path: &str) -> Result<Interpreter, String> {
    let (program, argument) = line.split_once([' ', '\t']).map_or((line, ""), |(program, rest)| (program, rest.trim()));
    if program.is_empty() {
        return Err("the first line of the script names no interpreter after #!".to_owned());
    }
    let name = Path::new(program).file_name().and_then(|name| name.to_str()).unwrap_or(program);
    if name == "env" && is_program(Path::new(program)) {
        return of_env(program, argument, path);
    }
    let arguments = (!argument.is_empty()).then(|| argument.into());
    let with = |program: OsString| std::iter::once(program).chain(arguments).collect();
    if is_program(Path::new(program)) {
        return Ok(Interpreter { command: with(program.into()), replacement: None });
    }
    let missing = || format!("the first line of the script names {program}, which this host does not have");
    let (replacement, program) = replace(name, path).ok_or_else(missing)?;
    Ok(Interpreter { command: with(program.into()), replacement: Some(replacement) })
}

/// Reads the argument of `#!/usr/bin/env`: a program, or `-S` and a program with arguments.
fn of_env(env: &str, argument: &str, path: &str) -> Result<Interpreter, String> {
    let (option, words) = argument.strip_prefix("-S").map_or(("", argument), |words| ("-S ", words.trim_start()));
    let (name, rest) = words.find([' ', '\t']).map_or((words, ""), |end| words.split_at(end));
    let command = |words: String| vec![env.into(), words.into()];
    // Other options and assignments of variables are left to `env`.
    if name.is_empty() || name.starts_with('-') || name.contains(['=', '/']) || on_path(name, path).is_some() {
        return Ok(Interpreter { command: command(argument.to_owned()), replacement: None });
    }
    let missing = || format!("the first line of the script names {name}, which this host does not have");
    let (replacement, _) = replace(name, path).ok_or_else(missing)?;
    Ok(Interpreter { command: command(format!("{option}{replacement}{rest}")), replacement: Some(replacement) })
}

/// Returns a program of the same name in another folder, or one of a name that replaces it.
fn replace(name: &str, path: &str) -> Option<(String, PathBuf)> {
    let replacement = REPLACEMENTS.iter().find(|(missing, _)| *missing == name).map(|(_, replacement)| *replacement);
    [Some(name), replacement].into_iter().flatten().find_map(|name| Some((name.to_owned(), on_path(name, path)?)))
}

fn on_path(name: &str, path: &str) -> Option<PathBuf> {
    path.split(':').filter(|folder| folder.starts_with('/')).map(|folder| Path::new(folder).join(name)).find(|program| is_program(program))
}

fn is_program(path: &Path) -> bool {
    path.metadata().is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_decides_and_a_missing_interpreter_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let program = |name: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, "").unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
            path.to_str().unwrap().to_owned()
        };
        let (sh, python3, env) = (program("sh"), program("python3"), program("env"));
        std::fs::write(folder.path().join("perl"), "no program").unwrap();
        let find = |script: &str, language| find_in(script, language, &format!("relative:{}", folder.path().display()));
        let good = |script: &str, language, command: &[&str], replacement: Option<&str>| {
            let command = command.iter().map(OsString::from).collect();
            assert_eq!(find(script, language), Ok(Interpreter { command, replacement: replacement.map(str::to_owned) }), "{script}");
        };
        let shell = Language::Shell;
        good("true", shell, &[&sh], Some("sh"));
        good("1", Language::Python, &[&python3], None);
        good(&format!("#!{sh}\ntrue"), Language::Python, &[&sh], None);
        good(&format!("#! {sh} -e -u \r\ntrue"), shell, &[&sh, "-e -u"], None);
        good("#!/nowhere/python -u\n", shell, &[&python3, "-u"], Some("python3"));
        good("#!/nowhere/sh\n", shell, &[&sh], Some("sh"));
        good(&format!("#!{env} sh\n"), shell, &[&env, "sh"], None);
        good(&format!("#!{env} python\n"), shell, &[&env, "python3"], Some("python3"));
        good(&format!("#!{env} -S python -u\n"), shell, &[&env, "-S python3 -u"], Some("python3"));
        good(&format!("#!{env} A=b sh\n"), shell, &[&env, "A=b sh"], None);
        for (script, language, words) in [
            ("#!", shell, "names no interpreter"),
            ("#!/nowhere/ruby\n", shell, "/nowhere/ruby, which this host does not have"),
            (&format!("#!{env} ruby\n"), shell, "names ruby"),
            ("1", Language::Perl, "this host has no perl"),
            ("1", Language::Powershell, "no pwsh and no powershell"),
            ("echo", Language::Bat, "Windows"),
        ] {
            let why = find(script, language).unwrap_err();
            assert!(why.contains(words), "{why}");
        }
    }
}
