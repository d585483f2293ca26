//! `cargo xtask soak jobs`: jobs on 50 real agents, while the server and agents are killed and links are cut. After each round, the outcome of
//! each host is compared with the lines that its script has written.

mod check;
mod faults;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail, ensure};

use crate::hosts::{self, Agent, COUNT, Controller, Network, Running, wait_for};
use crate::run::{cargo, step, target};
use check::{Lines, rows, violations};
use faults::{Action, Plan};

/// Host whose clock is a day ahead, so that each order has expired for it.
const AHEAD: usize = 0;
/// Host whose clock is a day behind.
const BEHIND: usize = 1;
/// Maximum time until all agents are online and the job has ended, after the last fault.
const RECOVERY: Duration = Duration::from_secs(240);
/// Maximum time until the late reports have arrived.
const REPORTS: Duration = Duration::from_secs(30);
/// Maximum number of violations that are printed.
const SHOWN: usize = 30;
/// Pause between two checks for actions that are due.
const PERIOD: Duration = Duration::from_millis(20);

pub(crate) fn soak(rounds: u64, seed: Option<u64>) -> Result<()> {
    // Checks the rights before the build, which takes long.
    let network = Network::create()?;
    step("build", &mut cargo(&["build", "--release", "-p", "monitor-cli"]))?;
    let seed = seed.unwrap_or_else(|| SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs()));
    let mut soak = Soak::start(network)?;
    println!("\n── jobs on {COUNT} hosts: {rounds} rounds, the first one with seed {seed}");
    let mut found = Vec::new();
    for round in 0..rounds {
        found.extend(soak.round(seed.wrapping_add(round))?);
    }
    println!("── all rounds again: late reports and late starts");
    let late: Vec<String> = soak.check_all()?.into_iter().filter(|violation| !found.contains(violation)).collect();
    found.extend(late);
    println!("\n{rounds} rounds on {COUNT} hosts: {}", soak.summary());
    for violation in found.iter().take(SHOWN) {
        println!("{violation}");
    }
    ensure!(found.is_empty(), "{} rules were violated; see {}", found.len(), soak.folder.display());
    Ok(())
}

/// A job of a round.
struct Job {
    seed: u64,
    number: String,
    /// True if a host may have the status 310: the hosts on which nothing had started were not tried again.
    may_be_unreachable: bool,
}

/// All that runs during the test. The fields are dropped in their order: the network is the last one.
struct Soak {
    agents: Vec<Agent>,
    controller: Controller,
    folder: PathBuf,
    script: PathBuf,
    /// True if the clocks of two hosts are wrong.
    has_wrong_clocks: bool,
    jobs: Vec<Job>,
    /// Number of hosts by final status, in all rounds.
    statuses: BTreeMap<u64, usize>,
    network: Network,
}

impl Soak {
    fn start(network: Network) -> Result<Self> {
        let folder = target().join("soak-jobs");
        if folder.exists() {
            fs::remove_dir_all(&folder).with_context(|| format!("can't empty {}", folder.display()))?;
        }
        for place in 0..COUNT {
            fs::create_dir_all(folder.join("marks").join(hosts::address(place)))?;
        }
        let clock = faketime();
        if clock.is_none() {
            println!("All clocks are correct, because libfaketime is missing: sudo apt-get install faketime");
        }
        let names: Vec<String> = (0..COUNT).map(hosts::name).collect();
        let (controller, tokens) = Controller::start(&target().join("release/monitor"), &folder, &names)?;
        let env = |place| match (&clock, place) {
            (Some(library), AHEAD) => wrong_clock(library, "+1d"),
            (Some(library), BEHIND) => wrong_clock(library, "-1d"),
            _ => Vec::new(),
        };
        let agents = hosts::start_all(&controller, &folder.join("hosts"), &tokens, env)?;
        let script = folder.join("script.sh");
        // MONITOR_RUN_DIR is the folder of the run. Its name consists of job, step, host and attempt.
        let text = format!(
            "PATH=/usr/sbin:/usr/bin:/sbin:/bin\n\
             mark={}/$(ip -o -4 address show dev eth0 | sed 's/.* inet \\([0-9.]*\\).*/\\1/')/$1\n\
             echo began ${{MONITOR_RUN_DIR##*/}} >> $mark\nsleep $2\necho ended ${{MONITOR_RUN_DIR##*/}} >> $mark\n",
            folder.join("marks").display()
        );
        fs::write(&script, text)?;
        let (jobs, statuses) = (Vec::new(), BTreeMap::new());
        Ok(Self { agents, controller, folder, script, has_wrong_clocks: clock.is_some(), jobs, statuses, network })
    }

    /// Executes a round. Returns the violated rules.
    fn round(&mut self, seed: u64) -> Result<Vec<String>> {
        let (plan, begin) = (Plan::new(seed), Instant::now());
        println!("seed {seed}: {}", plan.summary());
        let mut found = Vec::new();
        let number = self.execute(&plan, seed, &mut found)?;
        self.recover(&number)?;
        self.jobs.push(Job { seed, number: number.clone(), may_be_unreachable: true });
        found.extend(self.wait_for_reports()?);
        let first = self.counts(&number)?;
        println!("  job {number}: {} after {:.0} s", words(&first), begin.elapsed().as_secs_f64());
        if first.contains_key(&310) {
            self.run(&["job", "retry", &number, "--not-started"])?;
            self.recover(&number)?;
            if let Some(job) = self.jobs.last_mut() {
                job.may_be_unreachable = false;
            }
            found.extend(self.wait_for_reports()?);
            println!("  after `job retry --not-started`: {}", words(&self.counts(&number)?));
        }
        for (status, hosts) in self.counts(&number)? {
            *self.statuses.entry(status).or_default() += hosts;
        }
        for violation in found.iter().take(SHOWN) {
            println!("  {violation}");
        }
        Ok(found)
    }

    /// Executes the actions of a plan. Returns the number of the job.
    fn execute(&mut self, plan: &Plan, seed: u64, found: &mut Vec<String>) -> Result<String> {
        let begin = Instant::now();
        let mut actions = plan.actions.iter().peekable();
        let mut start = Start::new(self.folder.join("start.log"));
        while actions.peek().is_some() || start.number.is_none() {
            hosts::check_interrupt()?;
            while let Some((_, action)) = actions.next_if(|(at, _)| *at <= begin.elapsed()) {
                match action {
                    Action::StartJob => start.is_due = true,
                    Action::RetryNotStarted => {
                        if let Some(number) = &start.number {
                            let counts = words(&self.counts(number)?);
                            let retry = self.run(&["job", "retry", number, "--not-started"]);
                            // Refused if all hosts have accepted the order, or the job has not ended.
                            println!("  {counts}; retry: {}", retry.map_or_else(|error| error.to_string(), |()| "started".to_owned()));
                        }
                    }
                    Action::KillServer => {
                        self.expect_server(seed, found);
                        self.controller.kill();
                    }
                    Action::StartServer => self.controller.start_again()?,
                    Action::KillAgent(place) => {
                        self.expect_agent(*place, seed, found);
                        self.agents[*place].kill();
                    }
                    Action::StartAgent(place) => self.agents[*place].start()?,
                    Action::Cut(places) => self.network.connect(places, false)?,
                    Action::Heal(places) => self.network.connect(places, true)?,
                }
            }
            start.advance(&self.controller, &self.script, plan, seed)?;
            std::thread::sleep(PERIOD);
        }
        self.expect_server(seed, found);
        for place in 0..COUNT {
            self.expect_agent(place, seed, found);
        }
        // Cuts of the same host can overlap, so that the first end restores it. Restores all, whatever the order was.
        self.network.connect(&(0..COUNT).collect::<Vec<_>>(), true)?;
        start.number.context("the job was not started")
    }

    fn expect_server(&mut self, seed: u64, found: &mut Vec<String>) {
        if !self.controller.is_alive() {
            found.push(format!("seed {seed}: the server has ended by itself"));
        }
    }

    fn expect_agent(&mut self, place: usize, seed: u64, found: &mut Vec<String>) {
        if !self.agents[place].is_alive() {
            found.push(format!("seed {seed}: the agent of {} has ended by itself", hosts::name(place)));
        }
    }

    /// Waits until all agents are online and the job has ended.
    fn recover(&mut self, number: &str) -> Result<()> {
        wait_for("all agents are online", RECOVERY, || Ok((self.controller.online()? == COUNT).then_some(())))?;
        wait_for(&format!("the end of job {number}"), RECOVERY, || {
            Ok(self.controller.json(&["job", "show", number])?["ended_us"].is_u64().then_some(()))
        })
    }

    /// Waits until the newest job meets all rules. Returns the violated ones when the limit is over.
    fn wait_for_reports(&self) -> Result<Vec<String>> {
        let Some(job) = self.jobs.last() else { return Ok(Vec::new()) };
        let begin = Instant::now();
        loop {
            let found = self.check(job)?;
            if found.is_empty() || begin.elapsed() > REPORTS {
                return Ok(found);
            }
            hosts::check_interrupt()?;
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// Returns the violated rules of a job.
    fn check(&self, job: &Job) -> Result<Vec<String>> {
        let rows = rows(&self.controller.json(&["job", "hosts", &job.number])?);
        let mut found = Vec::new();
        for place in 0..COUNT {
            let name = hosts::name(place);
            let file = self.folder.join("marks").join(hosts::address(place)).join(job.seed.to_string());
            let lines = Lines::read(&fs::read_to_string(file).unwrap_or_default());
            let of_host = rows.get(&name).map_or(&[][..], Vec::as_slice);
            let is_ahead = self.has_wrong_clocks && place == AHEAD;
            let rules = violations(of_host, &lines, is_ahead, job.may_be_unreachable);
            if !rules.is_empty() {
                found.push(format!("seed {}, job {}, {name}: {}", job.seed, job.number, rules.join("; ")));
            }
        }
        if rows.len() != COUNT {
            found.push(format!("seed {}, job {}: {} hosts instead of {COUNT}", job.seed, job.number, rows.len()));
        }
        Ok(found)
    }

    /// Returns the violated rules of all jobs.
    fn check_all(&self) -> Result<Vec<String>> {
        let found = self.jobs.iter().map(|job| self.check(job)).collect::<Result<Vec<_>>>()?;
        Ok(found.into_iter().flatten().collect())
    }

    /// Returns the number of hosts by status.
    fn counts(&self, number: &str) -> Result<BTreeMap<u64, usize>> {
        let mut counts = BTreeMap::new();
        for row in rows(&self.controller.json(&["job", "hosts", number])?).into_values().flatten() {
            *counts.entry(row.status).or_default() += 1;
        }
        Ok(counts)
    }

    fn summary(&self) -> String {
        words(&self.statuses)
    }

    fn run(&self, args: &[&str]) -> Result<()> {
        let output = self.controller.command(args).output()?;
        if !output.status.success() {
            bail!("monitor {}: {}", args.join(" "), String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(())
    }
}

/// The start of a job, which is repeated until the server answers. All requests have the same id.
struct Start {
    is_due: bool,
    log: PathBuf,
    running: Option<Running>,
    number: Option<String>,
}

impl Start {
    fn new(log: PathBuf) -> Self {
        Self { is_due: false, log, running: None, number: None }
    }

    /// Starts the command if it is due, and reads its answer.
    fn advance(&mut self, controller: &Controller, script: &Path, plan: &Plan, seed: u64) -> Result<()> {
        if !self.is_due || self.number.is_some() {
            return Ok(());
        }
        if let Some(running) = &mut self.running {
            if !running.is_alive() {
                self.running = None;
                self.number = number_in(&fs::read_to_string(&self.log)?);
            }
            return Ok(());
        }
        if self.log.exists() {
            fs::remove_file(&self.log)?;
        }
        let (script, retries) = (script.display().to_string(), plan.retries.to_string());
        let mut start = controller.command(&["job", "run", "--detach", "--host", "h*", "--request-id", &format!("soak-{seed}")]);
        if plan.retries > 0 {
            start.args(["--retry", &retries]);
        }
        start.args([&script, "--", &seed.to_string(), &plan.script_s.to_string()]);
        self.running = Some(Running::start(&mut start, &self.log)?);
        Ok(())
    }
}

/// Returns the number of the job in the output of `monitor job run --detach`: `job 7 started`.
fn number_in(output: &str) -> Option<String> {
    output.lines().find_map(|line| {
        let (number, rest) = line.strip_prefix("job ")?.split_once(' ')?;
        (rest.contains("started") && number.parse::<u64>().is_ok()).then(|| number.to_owned())
    })
}

/// Returns the library of Debian's package `faketime`.
fn faketime() -> Option<PathBuf> {
    let folders = fs::read_dir("/usr/lib").ok()?;
    folders.flatten().map(|folder| folder.path().join("faketime/libfaketime.so.1")).find(|library| library.is_file())
}

/// Returns the variables that shift the clock of an agent. Measured durations stay correct.
fn wrong_clock(library: &Path, offset: &str) -> Vec<(String, String)> {
    let variable = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    vec![
        variable("LD_PRELOAD", &library.display().to_string()),
        variable("FAKETIME", offset),
        variable("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        variable("DONT_FAKE_MONOTONIC", "1"),
        variable("NO_FAKE_STAT", "1"),
    ]
}

/// Describes numbers of hosts by status.
fn words(counts: &BTreeMap<u64, usize>) -> String {
    let words = counts.iter().map(|(status, hosts)| format!("{hosts} with status {status}"));
    words.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_a_started_job_is_read() {
        assert_eq!(number_in("monitor: trying again\njob 12 started\nfollow it\n").as_deref(), Some("12"));
        assert_eq!(number_in("job 7 was started before by this request\n").as_deref(), Some("7"));
        assert_eq!(number_in("monitor: the server can't be reached\n"), None);
    }
}
