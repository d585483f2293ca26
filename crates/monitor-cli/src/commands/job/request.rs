//! Options that describe a job: its hosts and its script.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use monitor_wire::{JobFailed, JobRequest, JobRetry, JobThen, Language, Rolling, RollingMode, SecretSource, StepRequest, Targets};
use serde::de::DeserializeOwned;

use super::typed;
use crate::commands::host_args::HostArgs;
use crate::exit::Misused;

/// Hosts, script and limits of a job.
#[derive(Debug, clap::Args)]
pub(super) struct What {
    #[command(flatten)]
    hosts: HostArgs,
    /// Name of saved targets, which `monitor target list` lists; can be repeated
    #[arg(long, value_name = "NAME", group = "HostArgs")]
    saved: Vec<String>,
    /// Account that runs the script [default: the user that the agent runs as]
    #[arg(long, value_name = "NAME")]
    account: Option<String>,
    /// Maximum duration of the script on a host, such as 10m [default: 2h]
    #[arg(long, value_name = "DURATION", value_parser = monitor_duration::read_positive)]
    timeout: Option<Duration>,
    /// Language of a script without `#!` [default: by the ending of its name, else shell]
    #[arg(long, value_parser = PossibleValuesParser::new(["shell", "bat", "perl", "python", "powershell"]).map(|name| from_name::<Language>(&name)))]
    language: Option<Language>,
    /// Name of the job [default: the name of the script]
    #[arg(long)]
    name: Option<String>,
    /// Id of this request: for 24 hours, another request with the same id starts nothing and follows the same job
    #[arg(long, value_name = "ID")]
    request_id: Option<String>,
    /// Sizes of the batches in which hosts begin: 10 hosts, 10% of all, 5 more than before (+5), twice as before (*2); the last size repeats
    #[arg(long, value_name = "SIZES")]
    rolling: Option<String>,
    /// Action after a batch: wait for a user if hosts have failed, ignore failures, or always wait for a user
    #[arg(long, value_name = "MODE", requires = "rolling", value_parser = PossibleValuesParser::new(["pause-on-failure", "ignore", "ask"]).map(|name| from_name::<RollingMode>(&name)))]
    rolling_mode: Option<RollingMode>,
    /// Stop the job after this number of failed hosts, such as 3, or this share of all hosts, such as 5%
    #[arg(long, value_name = "NUMBER")]
    stop_after_failures: Option<String>,
    /// Maximum number of hosts that run at the same time
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    parallel: Option<u32>,
    /// Number of retries on hosts that could not be reached; a host that has accepted the script is not retried
    #[arg(long, value_name = "NUMBER")]
    retry: Option<u32>,
    /// Number of retries on hosts that have failed, 30 seconds after each other; a host whose end is unknown is not retried
    #[arg(long, value_name = "NUMBER")]
    retry_failed: Option<u32>,
    /// File with a script that runs on the hosts that have failed, as a job that follows this one
    #[arg(long, value_name = "SCRIPT")]
    if_failed: Option<PathBuf>,
    /// Variable whose value each host reads from its own file or environment and hides in the output; can be repeated
    #[arg(long = "secret", value_name = "NAME=file:PATH|env:NAME", value_parser = read_secret)]
    secrets: Vec<(String, SecretSource)>,
    /// Environment variable of the script; can be repeated
    #[arg(long = "env", value_name = "NAME=VALUE", value_parser = read_variable)]
    env: Vec<(String, String)>,
    /// Address that gets a POST after each change of a status; the server's setting `job-callback` must allow it
    #[arg(long, value_name = "URL")]
    callback_url: Option<String>,
    /// Show arguments and variables nowhere
    #[arg(long)]
    sensitive: bool,
    /// File with the script; `-` reads standard input
    script: PathBuf,
    /// Arguments of the script
    #[arg(last = true)]
    args: Vec<String>,
}

impl What {
    /// Reads the script, and returns the request for the server.
    pub(super) fn request(&self) -> anyhow::Result<JobRequest> {
        let own = read_step(&self.script)?;
        let step = StepRequest {
            language: self.language.unwrap_or(own.language),
            args: self.args.clone(),
            env: self.env.iter().cloned().collect(),
            secrets: self.secrets.iter().cloned().collect(),
            is_param_sensitive: self.sensitive,
            timeout: self.timeout.map(typed),
            ..own
        };
        Ok(JobRequest {
            name: self.name.clone().or_else(|| step.name.clone()),
            request_id: self.request_id.clone(),
            targets: Targets { saved: self.saved.clone(), ..self.hosts.targets() },
            account: self.account.clone(),
            steps: vec![step],
            rolling: self.rolling(),
            retry: self.retry.map(|times| JobRetry { times, backoff: None }),
            callback_url: self.callback_url.clone(),
            then: self.then()?,
        })
    }

    fn then(&self) -> anyhow::Result<Option<JobThen>> {
        let step = self.if_failed.as_deref().map(read_step).transpose()?;
        let job = step.map(|step| {
            let (name, account) = (step.name.clone(), self.account.clone());
            Box::new(JobRequest { name, account, steps: vec![step], ..JobRequest::default() })
        });
        let retry = self.retry_failed.map(|times| JobRetry { times, backoff: None });
        let failed = JobFailed { retry, job };
        Ok((failed != JobFailed::default()).then_some(JobThen { failed: Some(failed) }))
    }

    fn rolling(&self) -> Option<Rolling> {
        let is_limited = self.stop_after_failures.is_some() || self.parallel.is_some();
        let all = || is_limited.then(|| "100%".to_owned());
        Some(Rolling {
            expression: self.rolling.clone().or_else(all)?,
            mode: self.rolling_mode.unwrap_or_default(),
            stop_after_failures: self.stop_after_failures.clone(),
            parallel: self.parallel,
        })
    }
}

/// Reads a script. Its name and its language are those of the file.
fn read_step(path: &Path) -> anyhow::Result<StepRequest> {
    let (is_stdin, file) = (path == Path::new("-"), path.display());
    let read = if is_stdin { std::io::read_to_string(std::io::stdin()) } else { std::fs::read_to_string(path) };
    let script = read.with_context(|| format!("could not read the script {file}"))?;
    if script.trim().is_empty() {
        return Err(Misused(format!("the script {file} is empty")).into());
    }
    let name = path.file_name().filter(|_| !is_stdin).map(|name| name.to_string_lossy().into_owned());
    Ok(StepRequest { name, script, language: language_of(path), ..StepRequest::default() })
}

/// Returns the value of an enum by its name in JSON.
fn from_name<T: DeserializeOwned>(name: &str) -> T {
    serde_json::from_value(name.into()).expect("one of the possible values")
}

fn language_of(script: &Path) -> Language {
    match script.extension().and_then(|ending| ending.to_str()).map(str::to_ascii_lowercase).as_deref() {
        Some("bat" | "cmd") => Language::Bat,
        Some("pl") => Language::Perl,
        Some("py") => Language::Python,
        Some("ps1") => Language::Powershell,
        _ => Language::Shell,
    }
}

fn read_variable(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("expected NAME=VALUE".to_owned()),
    }
}

/// Reads the name of a variable, and the place of its value on the host.
fn read_secret(text: &str) -> Result<(String, SecretSource), String> {
    let wanted = || "expected NAME=file:PATH or NAME=env:NAME; the value itself stays on the host".to_owned();
    let (name, place) = read_variable(text).map_err(|_| wanted())?;
    match place.split_once(':') {
        Some(("file", path)) if !path.is_empty() => Ok((name, SecretSource::File(path.to_owned()))),
        Some(("env", variable)) if !variable.is_empty() => Ok((name, SecretSource::Env(variable.to_owned()))),
        _ => Err(wanted()),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use serde_json::json;

    use super::*;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        what: What,
    }

    fn parsed(words: &[&str]) -> Result<What, String> {
        Cli::try_parse_from([&["run"], words].concat()).map(|cli| cli.what).map_err(|error| error.to_string())
    }

    #[test]
    fn options_become_the_request_of_the_api() {
        let folder = tempfile::tempdir().unwrap();
        let script = folder.path().join("check.py");
        std::fs::write(&script, "print(1)\n").unwrap();
        let script = script.to_str().unwrap();
        let mut words =
            "-t env=prod,!canary --retry-failed 2 --host web-* --host 7 --group eu --ip 10.0.0.7 --ip 3:10.0.0.7 --ip ::1 --saved web --account app --timeout 10m \
                         --request-id r1 --rolling-mode ask --stop-after-failures 5% --parallel 20 --retry 3 --secret DB=file:/etc/db \
                         --secret KEY=env:OUR_KEY --env A=b=c --env EMPTY= --sensitive --rolling"
                .split_whitespace()
                .collect::<Vec<_>>();
        words.extend(["1 10% +10", "--if-failed", script, script, "--", "--fast", "a b"]);
        let request = parsed(&words).unwrap().request().unwrap();
        let expected = json!({
            "name": "check.py", "request_id": "r1", "account": "app",
            "targets": {
                "hosts": ["web-*", "7"], "groups": ["eu"], "tags": "env=prod,!canary", "saved": ["web"],
                "ips": [{"ip": "10.0.0.7", "cloud_id": 0}, {"ip": "10.0.0.7", "cloud_id": 3}, {"ip": "::1", "cloud_id": 0}],
            },
            "steps": [{
                "name": "check.py", "script": "print(1)\n", "language": "python", "args": ["--fast", "a b"], "timeout": "10m",
                "env": {"A": "b=c", "EMPTY": ""}, "secrets": {"DB": {"file": "/etc/db"}, "KEY": {"env": "OUR_KEY"}}, "is_param_sensitive": true,
            }],
            "rolling": {"expression": "1 10% +10", "mode": "ask", "stop_after_failures": "5%", "parallel": 20},
            "retry": {"times": 3},
            "then": {"failed": {"retry": {"times": 2}, "job": {
                "name": "check.py", "account": "app", "targets": {},
                "steps": [{"name": "check.py", "script": "print(1)\n", "language": "python", "is_param_sensitive": false}],
            }}},
        });
        assert_eq!(serde_json::to_value(&request).unwrap(), expected);
        let request = parsed(&["--host", "a", "--parallel", "2", script]).unwrap().request().unwrap();
        assert_eq!(request.rolling.unwrap().expression, "100%");
        assert_eq!(parsed(&["--saved", "a", script]).unwrap().request().unwrap().targets.saved, ["a"]);
        let request = parsed(&["--host", "a", "--language", "perl", "--name", "n", script]).unwrap().request().unwrap();
        assert_eq!((request.steps[0].language, request.name.as_deref(), request.rolling), (Language::Perl, Some("n"), None));
    }

    #[test]
    fn mistakes_are_named_before_anything_is_sent() {
        for (words, part) in [
            (&["x.sh"][..], "--host <HOST>"),
            (&["-t", "a"], "<SCRIPT>"),
            (&["-t", "a", "x.sh", "y"], "unexpected argument 'y'"),
            (&["-t", "a", "--ip", "10.0.0.999", "x.sh"], "expected an address"),
            (&["-t", "a", "--secret", "DB=hunter2", "x.sh"], "the value itself stays on the host"),
            (&["-t", "a", "--env", "=b", "x.sh"], "NAME=VALUE"),
            (&["-t", "a", "--timeout", "0s", "x.sh"], "0s"),
            (&["-t", "a", "--parallel", "0", "x.sh"], "1.."),
            (&["-t", "a", "--rolling-mode", "ask", "x.sh"], "--rolling"),
            (&["-t", "a", "--language", "ruby", "x.sh"], "powershell"),
        ] {
            let error = parsed(words).expect_err(part);
            assert!(error.contains(part), "{words:?}: {error}");
        }
        let error = parsed(&["-t", "a", "/nowhere/x.sh"]).unwrap().request().unwrap_err();
        assert!(format!("{error:#}").contains("/nowhere/x.sh"), "{error:#}");
        let empty = tempfile::NamedTempFile::new().unwrap();
        let error = parsed(&["-t", "a", empty.path().to_str().unwrap()]).unwrap().request().unwrap_err();
        assert!(error.to_string().ends_with("is empty"), "{error}");
    }
}
