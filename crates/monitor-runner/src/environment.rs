//! Environment variables that the launcher sets or removes for a command.

use std::ffi::OsString;
use std::io::{self, Read as _, Write as _};

use monitor_runs::{CLEAN, RunError, Secret, Spec, tree};

use crate::account::Account;
use crate::messages::Env;
use crate::sys;

/// Token that authorizes the launcher to record. It is removed for the command, unless the task sets it explicitly.
const TOKEN: &str = "MONITOR_TOKEN";

/// Returns the variables that are equal for all attempts of a run, secrets included.
///
/// # Errors
/// If a secret can't be read.
pub(crate) fn of(spec: &Spec, folder: Option<&std::path::Path>) -> Result<Env, RunError> {
    let mut env: Env = Vec::new();
    if spec.clean_env {
        let is_kept = |name: &OsString| name.to_str().is_some_and(|name| CLEAN.contains(&name) || name.starts_with("MONITOR_"));
        env.extend(std::env::vars_os().map(|(name, _)| name).filter(|name| !is_kept(name)).map(|name| (name, None)));
    }
    env.push((TOKEN.into(), None));
    if let Some(folder) = folder {
        env.push((tree::FOLDER.into(), Some(folder.into())));
    }
    env.extend(spec.env.iter().map(|(name, value)| (name.clone(), Some(value.clone()))));
    for (name, secret) in &spec.secrets {
        let value = match secret {
            Secret::UserFile(_) => read_as_user(spec, name, secret)?,
            Secret::File(_) | Secret::Env(_) => secret.read(name)?,
        };
        env.push((name.into(), Some(value.into())));
    }
    Ok(env)
}

/// Reads a secret in a fork of this program that has the rights of the run's user.
fn read_as_user(spec: &Spec, variable: &str, secret: &Secret) -> Result<String, RunError> {
    let unable = |error: io::Error| RunError::BadSpec {
        what: format!("the secret {variable} can't be read as the user {}: {error}", spec.user.as_deref().unwrap_or_default()),
    };
    let Some(account) = Account::of(spec).map_err(unable)? else { return secret.read(variable) };
    let (mut from, mut to) = io::pipe().map_err(unable)?;
    let Some(pid) = sys::fork().map_err(unable)? else {
        sys::end_with(|| {
            let read = account.take().map_err(unable).and_then(|()| secret.read(variable));
            let (code, text) = read.map_or_else(|error| (1, error.to_string()), |value| (0, value));
            to.write_all(text.as_bytes()).map_or(2, |()| code)
        })
    };
    drop(to);
    let mut text = String::new();
    let read = from.read_to_string(&mut text);
    let code = sys::exit_code_of(pid);
    read.map_err(unable)?;
    match code {
        Some(0) => Ok(text),
        Some(1) => Err(RunError::BadSpec { what: text }),
        _ => Err(unable(io::Error::other("the process that reads it has failed"))),
    }
}

/// Returns the variables that identify the parent process to an instrumented program.
pub(crate) fn of_process(ids: Option<(String, String)>) -> Env {
    let (root, process) = ids.unzip();
    vec![
        ("MONITOR_ENABLED".into(), Some("1".into())),
        ("MONITOR_ROOT_ID".into(), root.map(Into::into)),
        ("MONITOR_PARENT_ID".into(), process.map(Into::into)),
    ]
}
