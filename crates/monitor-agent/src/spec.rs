//! Builds the command of a run: program, working folder, environment, and the ids that the run is recorded under.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use monitor_runs::{Link, ProcessIds, Secret, Spec};
use monitor_tasks::definition::{Meaning, Program, Variable};
use monitor_tasks::{Definition, RunId, Trigger, ledger};
use monitor_wire::{Kind, ProcessId, ProcessStarted, RootId};

use crate::publish;

/// Files that start a task without a command, and the program that runs each of them.
const ENTRIES: [(&str, Option<&str>); 3] = [("index.js", Some("node")), ("main.py", Some("python3")), ("run.sh", Some("sh"))];
/// Returns the path of the file with the task's own settings, as JSON. Only the agent's user can read the folders of runs. For a run of another
/// user, the file is therefore in the task's folder.
pub(crate) fn config_file(definition: &Definition, run: &RunId, home: &Path, runs: &Path) -> PathBuf {
    match definition.user {
        None => runs.join(run.to_string()).join("config.json"),
        Some(_) => publish::folder(home, &definition.name).join("config").join(format!("{run}.json")),
    }
}

/// Builds the command of a run for the agent with the name `agent`. `home` contains the folders of tasks, `runs` the folders of runs. `output`
/// is the maximum number of output bytes to keep.
///
/// # Errors
/// Returns an error if the task has no command and its folder contains no program to run.
pub(crate) fn spec(
    definition: &Definition,
    run: &ledger::Run,
    agent: &str,
    (home, runs): (&Path, &Path),
    output: u64,
) -> Result<Spec, String> {
    let folder = publish::folder(home, &definition.name);
    let (mut command, cwd) = match &definition.program {
        Program::Command { command } => (command.iter().map(OsString::from).collect(), folder.clone()),
        Program::Shell { shell } => (["sh", "-c", shell, "sh"].map(OsString::from).to_vec(), folder.clone()),
        // Run like `node task/gold/index.js` in `home`.
        Program::Folder {} => (entry(&folder)?, home.to_owned()),
    };
    command.extend(run.trigger.args().iter().map(OsString::from));
    let id = run.id.to_string();
    let mut env: BTreeMap<String, OsString> = BTreeMap::new();
    let mut secrets = BTreeMap::new();
    for (name, variable) in &definition.env {
        match variable {
            Variable::Value(value) => drop(env.insert(name.clone(), value.into())),
            Variable::File { file } => drop(secrets.insert(name.clone(), Secret::File(file.into()))),
            Variable::Env { env } => drop(secrets.insert(name.clone(), Secret::Env(env.clone()))),
        }
    }
    let own: [(&str, OsString); 7] = [
        ("MONITOR_TASK_NAME", definition.name.as_str().into()),
        ("MONITOR_TASK_CONFIG", config_file(definition, &run.id, home, runs).into()),
        ("MONITOR_RUN_ID", id.as_str().into()),
        ("MONITOR_RUN_DUE", run.id.due.to_string().into()),
        ("MONITOR_RUN_TRIGGER", run.trigger.word().into()),
        ("MONITOR_PUBLISH_DIR", folder.join("publish").into()),
        ("MONITOR_LOG_DIR", folder.join("logs").into()),
    ];
    env.extend(own.map(|(name, value)| (name.to_owned(), value)));
    let verdict = |meaning| match meaning {
        Meaning::Ok | Meaning::Warn | Meaning::Idle => monitor_runs::Verdict::Ok,
        Meaning::Fail | Meaning::Retry => monitor_runs::Verdict::Failed,
    };
    Ok(Spec {
        id: Some(id),
        process: Some(ids(&run.id)),
        name: Some(definition.name.clone()),
        kind: Some("run".to_owned()),
        fields: fields(Some(definition), run, agent),
        links: links(run),
        cwd: Some(cwd),
        user: definition.user.clone(),
        clean_env: true,
        env: env.into_iter().map(|(name, value)| (name.into(), value)).collect(),
        secrets,
        before: definition.hooks.before.iter().map(OsString::from).collect(),
        after: definition.hooks.after.iter().map(OsString::from).collect(),
        memory: definition.limits.memory,
        cpu: definition.limits.cpu,
        nice: definition.limits.nice.map(i32::from),
        timeout: definition.kill_after,
        warn_after: definition.timeout,
        exits: definition.exit.iter().map(|(code, meaning)| (*code, verdict(*meaning))).collect(),
        capture: true,
        log_dir: Some(home.join("task")),
        log_bytes: output,
        start_again: true,
        ..Spec::new(command)
    })
}

/// Returns the fields of a run's process.
fn fields(definition: Option<&Definition>, run: &ledger::Run, agent: &str) -> BTreeMap<String, String> {
    let mut fields = BTreeMap::from([
        ("task.name".to_owned(), run.id.task.clone()),
        ("task.version".to_owned(), run.version.to_string()),
        ("task.due_us".to_owned(), run.id.due.as_microsecond().to_string()),
        ("task.trigger".to_owned(), run.trigger.word().to_owned()),
        ("task.run".to_owned(), run.id.to_string()),
        ("task.agent".to_owned(), agent.to_owned()),
    ]);
    fields.extend(run.trigger.by().map(|by| ("task.by".to_owned(), by.to_owned())));
    let owner = definition.map(|definition| definition.owner.join(", ")).filter(|owner| !owner.is_empty());
    fields.extend(owner.map(|owner| ("task.owner".to_owned(), owner)));
    fields
}

/// Returns the start event of a run that has no launcher. It has the same fields and links that a launcher records.
pub(crate) fn start(definition: Option<&Definition>, run: &ledger::Run, agent: &str) -> ProcessStarted {
    let wire_link = |Link { root_id, process_id, relation }| {
        Some(monitor_wire::Link { root_id: root_id.parse().ok()?, id: process_id.parse().ok()?, relation })
    };
    let now_us = Timestamp::now().as_microsecond() as u64;
    let (root_id, id) = wire_ids(&run.id);
    ProcessStarted {
        fields: fields(definition, run, agent).into_iter().map(|(key, value)| (key, value.into())).collect(),
        links: links(run).into_iter().filter_map(wire_link).collect(),
        ..ProcessStarted::new(root_id, id, now_us, Kind::RUN, run.id.task.clone())
    }
}

/// Returns a link to the run that this run repeats, or that triggered it.
fn links(run: &ledger::Run) -> Vec<Link> {
    let is_again = run.repeats.is_some() || matches!(run.trigger, Trigger::Retry { .. });
    let relation = if is_again { "retry_of" } else { "triggered_by" };
    let other = run.trigger.run().or(run.repeats.as_ref());
    let link = |other: &RunId| {
        let ProcessIds { root_id, process_id } = ids(other);
        Link { root_id, process_id, relation: relation.to_owned() }
    };
    other.map(link).into_iter().collect()
}

/// Returns the ids of a run's process.
pub(crate) fn ids(run: &RunId) -> ProcessIds {
    ProcessIds { root_id: format!("{:032x}", run.root_id()), process_id: format!("{:016x}", run.process_id()) }
}

/// Returns the ids of a run's process in the form used by events.
pub(crate) fn wire_ids(run: &RunId) -> (RootId, ProcessId) {
    // Neither id of a run is zero.
    let ids = RootId::new(run.root_id()).zip(ProcessId::new(run.process_id()));
    ids.expect("a run has ids")
}

/// Returns the command that runs the program in a task's folder: the first existing file of [`ENTRIES`], otherwise the only executable file.
fn entry(folder: &Path) -> Result<Vec<OsString>, String> {
    let known = ENTRIES.iter().map(|(file, program)| (folder.join(file), *program)).find(|(path, _)| path.is_file());
    if let Some((path, program)) = known {
        return Ok(program.map(OsString::from).into_iter().chain([path.into_os_string()]).collect());
    }
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let is_executable = |path: &PathBuf| path.metadata().is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0);
    let executables: Vec<PathBuf> = entries.filter(is_executable).collect();
    match &executables[..] {
        [one] => Ok(vec![one.into()]),
        _ => Err(format!(
            "there is nothing to run: the task names no command, and {} has no index.js, main.py, run.sh or single executable",
            folder.display()
        )),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use monitor_tasks::ledger::State;

    use super::*;

    fn run(trigger: Trigger) -> ledger::Run {
        ledger::Run::new("gold@20261121T023000Z.1".parse().unwrap(), 3, trigger, State::Asked)
    }

    fn definition(more: &str) -> Definition {
        Definition::from_toml(&format!("name = \"gold\"\n{more}")).unwrap()
    }

    #[test]
    fn a_run_gets_its_identity_and_secrets_stay_references() {
        let home = tempfile::tempdir().unwrap();
        let text = "command = [\"node\", \"x.js\"]\nowner = \"ada\"\nenv = { MODE = \"fast\", PW = { file = \"/etc/pw\" }, T = { env = \"TOKEN\" } }";
        let request = Trigger::Request { by: "ada".to_owned(), args: vec!["--all".to_owned()] };
        let spec = spec(&definition(text), &run(request), "db-1", (home.path(), Path::new("/runs")), 1).unwrap();
        assert!(spec.check().is_ok());
        assert_eq!(spec.command, ["node", "x.js", "--all"]);
        let ids = spec.process.as_ref().unwrap();
        assert_eq!((ids.root_id.as_str(), ids.process_id.as_str()), ("01a1fbf06c40144b9ffc2b705e272c4e", "9ffc2b705e272c4e"));
        let env: BTreeMap<_, _> = spec.env.iter().map(|(name, value)| (name.to_str().unwrap(), value.to_str().unwrap())).collect();
        assert_eq!((env["MODE"], env["MONITOR_RUN_ID"]), ("fast", "gold@20261121T023000Z.1"));
        assert_eq!((env["MONITOR_RUN_DUE"], env["MONITOR_RUN_TRIGGER"]), ("2026-11-21T02:30:00Z", "request"));
        assert_eq!(env["MONITOR_TASK_CONFIG"], "/runs/gold@20261121T023000Z.1/config.json");
        let of_nobody = definition("shell = \"true\"\nuser = \"nobody\"");
        let id = "gold@20261121T023000Z.1".parse().unwrap();
        let config = config_file(&of_nobody, &id, Path::new("/home"), Path::new("/runs"));
        assert_eq!(config, Path::new("/home/task/gold/config/gold@20261121T023000Z.1.json"));
        assert_eq!(spec.secrets["PW"], Secret::File("/etc/pw".into()));
        assert_eq!(spec.secrets["T"], Secret::Env("TOKEN".to_owned()));
        assert_eq!((spec.fields["task.run"].as_str(), spec.fields["task.agent"].as_str()), ("gold@20261121T023000Z.1", "db-1"));
        assert_eq!((spec.fields["task.by"].as_str(), spec.fields["task.due_us"].as_str()), ("ada", "1795228200000000"));
    }

    #[test]
    fn a_run_that_follows_another_is_linked_to_it() {
        let other: RunId = "load@20261121T022900Z.1".parse().unwrap();
        for (trigger, relation) in
            [(Trigger::Then { run: other.clone() }, "triggered_by"), (Trigger::Retry { run: other.clone(), args: Vec::new() }, "retry_of")]
        {
            let spec =
                spec(&definition("shell = \"true\""), &run(trigger), "db-1", (Path::new("/nowhere"), Path::new("/runs")), 1).unwrap();
            assert_eq!((spec.links[0].relation.as_str(), &spec.links[0].process_id), (relation, &ids(&other).process_id));
        }
    }

    #[test]
    fn a_folder_of_a_task_runs_the_entry_file_that_it_contains() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("task/gold");
        fs::create_dir_all(&folder).unwrap();
        let words = || spec(&definition(""), &run(Trigger::Time), "db-1", (home.path(), Path::new("/runs")), 1).map(|spec| spec.command);
        assert!(words().unwrap_err().contains("has no index.js, main.py, run.sh"));
        let make = |name: &str, mode: u32| {
            fs::write(folder.join(name), "").unwrap();
            fs::set_permissions(folder.join(name), fs::Permissions::from_mode(mode)).unwrap();
        };
        make("README", 0o644);
        make("go", 0o755);
        assert_eq!(words().unwrap(), [folder.join("go").into_os_string()]);
        for (name, program) in [("run.sh", "sh"), ("main.py", "python3"), ("index.js", "node")] {
            make(name, 0o644);
            assert_eq!(words().unwrap(), [OsString::from(program), folder.join(name).into_os_string()]);
        }
    }
}
