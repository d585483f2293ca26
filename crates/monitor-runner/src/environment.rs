//! Environment variables that the launcher sets or removes for a command.

use std::ffi::OsString;

use monitor_runs::{CLEAN, RunError, Spec, tree};

use crate::messages::Env;

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
        env.push((name.into(), Some(secret.read(name)?.into())));
    }
    Ok(env)
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
