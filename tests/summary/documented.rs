//! Tests of the commands in docs/guides/ci.md.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use monitor_tests::{Finished, Server, run, wait_for};
use serde_json::Value;

use crate::Job;

const PAGE: &str = include_str!("../../docs/guides/ci.md");

/// The only block in a language below a heading of the page.
fn block(heading: &str, language: &str) -> &'static str {
    let section = PAGE.split("\n## ").find(|section| section.lines().next() == Some(heading)).expect("a section of this name");
    let mut blocks = section.split("```").skip(1).step_by(2).filter_map(|block| block.strip_prefix(language)?.strip_prefix('\n'));
    let block = blocks.next().unwrap_or_else(|| panic!("{heading}: no block in {language}"));
    assert_eq!(blocks.next(), None, "{heading}");
    block
}

/// Reads YAML by a parser among the page's packages.
fn yaml(text: &str) -> Value {
    let app = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/monitor-web/app");
    assert!(app.join("node_modules/js-yaml").is_dir(), "the page's packages are not installed: `npm ci` in crates/monitor-web/app");
    let script = "import yaml from 'js-yaml'; import { readFileSync } from 'node:fs'; \
                  console.log(JSON.stringify(yaml.load(readFileSync(0, 'utf8'))));";
    let mut node = Command::new("node");
    node.args(["--input-type=module", "-e", script]).current_dir(app).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut node = node.spawn().expect("Node is installed");
    node.stdin.take().expect("piped").write_all(text.as_bytes()).expect("it reads");
    let output = node.wait_with_output().expect("it ends");
    assert!(output.status.success(), "this is not YAML, see above: {text}");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

fn texts(list: &Value) -> Vec<String> {
    list.as_array().unwrap_or_else(|| panic!("a list: {list}")).iter().map(|text| text.as_str().expect("a text").to_owned()).collect()
}

/// A job with a script that fails and one that succeeds.
fn job() -> Job {
    let job = Job::new(Some(Server::start()));
    for (name, text) in [("build.sh", "#!/bin/sh\necho error: no such table >&2\nexit 3\n"), ("check.sh", "#!/bin/sh\n")] {
        let file = job.folder.path().join(name);
        fs::write(&file, text).expect("a file");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).expect("a file of ours");
    }
    job
}

/// Runs a line as the CI system of this job does. `variables` are those that the system sets.
fn shell(job: &Job, line: &str, variables: &[(&str, &Path)]) -> Finished {
    let mut shell = Command::new("sh");
    shell.args(["-c", line]);
    let mut shell = job.prepared(shell);
    shell.env_remove("GITHUB_STEP_SUMMARY").envs(variables.iter().copied());
    run(shell)
}

/// Waits until the server lists this number of ended runs. A command that succeeds ends before the server has stored its run.
fn wait_for_runs(job: &Job, count: usize) {
    let server = job.server.as_ref().expect("there is one");
    let has_ended = |root: &&Value| root["ended_us"].is_u64();
    wait_for("the runs", || (server.roots().iter().filter(has_ended).count() == count).then_some(()));
}

#[test]
fn the_workflow_for_github_works_as_documented() {
    let job = job();
    // The page writes a file of the name summary.md by hand.
    let step = job.folder.path().join("step.md");
    let variables = [("GITHUB_STEP_SUMMARY", &*step)];
    let workflow = yaml(block("GitHub, Gitea and Forgejo", "yaml"));
    let steps = workflow["jobs"]["build"]["steps"].as_array().expect("a list");
    let commands: Vec<_> = steps.iter().filter_map(|step| step["run"].as_str()).collect();
    let mut codes = Vec::new();
    for (runs, line) in commands.iter().enumerate() {
        wait_for_runs(&job, runs);
        let finished = shell(&job, line, &variables);
        codes.push((finished.code, finished.stderr));
    }
    let expected = [(Some(3), "error: no such table\n".to_owned()), (Some(0), String::new()), (Some(0), String::new())];
    assert_eq!(codes, expected, "{commands:?}");
    let step = fs::read_to_string(step).expect("a file");
    assert_eq!(step.matches("### ✗ `build <1>`: failed").count(), 1, "{step}");
    assert!(!step.contains("check"), "{step}");
    assert!(job.text().contains("- `build` failed: `error: no such table`"), "{}", job.text());
    assert_eq!(shell(&job, "monitor run --name 'tests of x' -- true", &[]).code, Some(0));
    wait_for_runs(&job, 3);
    let exported = shell(&job, block("GitHub, Gitea and Forgejo", "sh"), &[]);
    assert_eq!(exported.code, Some(0), "{}", exported.stderr);
    let is_result = |entry: &fs::DirEntry| {
        let name = entry.file_name().into_string().expect("a text");
        // The pattern of the other systems.
        name.strip_prefix("junit-").is_some_and(|rest| rest.strip_suffix(".xml").is_some())
    };
    assert_eq!(fs::read_dir(&job.folder).expect("a folder").flatten().filter(is_result).count(), 1);
}

/// Checks that these commands run the script that fails, with its exit code, and leave all of these files.
fn leave_summaries(commands: &[String], files: &[String]) {
    let job = job();
    let codes: Vec<_> = commands.iter().map(|line| shell(&job, line, &[]).code).collect();
    assert_eq!(codes, [Some(3)], "{commands:?}");
    assert!(!files.is_empty());
    for file in files {
        let path = job.folder.path().join(file);
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{file}: {error}"));
        assert!(text.contains("no such table"), "{file}: {text}");
    }
}

#[test]
fn the_job_for_gitlab_leaves_its_artifacts() {
    let build = &yaml(block("GitLab", "yaml"))["build"];
    assert_eq!((&build["artifacts"]["when"], &build["artifacts"]["reports"]["junit"]), (&"always".into(), &"junit-*.xml".into()));
    leave_summaries(&texts(&build["script"]), &texts(&build["artifacts"]["paths"]));
}

#[test]
fn the_pipeline_for_jenkins_leaves_its_artifacts() {
    let pipeline = block("Jenkins", "groovy");
    let quoted =
        |before: &str| pipeline.split(before).skip(1).map(|rest| rest.split('\'').next().expect("a text").to_owned()).collect::<Vec<_>>();
    leave_summaries(&quoted(" sh '"), &quoted("archiveArtifacts artifacts: '"));
    assert_eq!(quoted("junit testResults: '"), ["junit-*.xml"]);
    let count = |sign: char| pipeline.matches(sign).count();
    assert_eq!((count('{'), count('\'') % 2), (count('}'), 0), "{pipeline}");
}
