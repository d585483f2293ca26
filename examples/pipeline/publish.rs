//! Writes the report to disk: as a draft, which a script checks and moves into place.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, bail};
use monitor_client::{CommandExt, Process, normal_task};

use crate::report::Report;

const SCRIPT: &str = include_str!("publish.sh");

#[normal_task]
pub(crate) fn publish(report: &Report, path: &Path) -> anyhow::Result<()> {
    let mut draft = path.as_os_str().to_owned();
    draft.push(".draft");
    std::fs::write(&draft, serde_json::to_vec_pretty(report)?).with_context(|| format!("can't write {}", draft.display()))?;
    Process::builder("publish.sh").kind("script").run(|process| {
        let mut command = Command::new("sh");
        command.args(["-c", SCRIPT, "publish.sh"]).arg(std::env::current_exe()?).arg(&draft).arg(path);
        let status = command.with_current_process().status().context("can't start a shell")?;
        process.field("exit_code", status.code().map_or(-1, i64::from));
        if !status.success() {
            bail!("publish.sh ended with {status}");
        }
        Ok(())
    })
}
