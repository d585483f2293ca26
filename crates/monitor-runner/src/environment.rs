//! What a command has in its environment besides, or no longer has.

use std::ffi::OsString;

use monitor_runs::{CLEAN, RunError, Spec, tree};

use crate::messages::Env;

/// The launcher's right to record: the command has none of its own, unless it is given one.
const TOKEN: &str = "MONITOR_TOKEN";

/// Variables of a run that are the same for each attempt, secrets included.
///
/// # Errors
/// When a secret can't be read.
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

/// What tells an instrumented program where it belongs.
pub(crate) fn of_process(ids: Option<(String, String)>) -> Env {
    let (root, process) = ids.unzip();
    vec![
        ("MONITOR_ENABLED".into(), Some("1".into())),
        ("MONITOR_ROOT_ID".into(), root.map(Into::into)),
        ("MONITOR_PARENT_ID".into(), process.map(Into::into)),
    ]
}
