//! `cargo xtask bench jobs`: the time until a script has ended on all hosts, and the outcomes that are known after the controller was killed
//! in the middle, next to Ansible, `ClusterShell` and Salt on the same hosts.

mod contenders;
mod daemons;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::hosts::{self, Agent, COUNT, Controller, Network, Running, output, wait_for};
use crate::rivals;
use crate::run::{cargo, step, target};
use contenders::{Contender, Programs};
use daemons::Salt;

/// Number of rounds if none is given.
const ROUNDS: usize = 5;
/// Maximum time of a command.
const LIMIT: Duration = Duration::from_secs(180);
/// Time after which scripts that have not begun are not expected to begin.
const QUIET: Duration = Duration::from_secs(5);
/// Maximum time until the outcomes of scripts that have ended are known.
const LATE: Duration = Duration::from_secs(90);

pub(crate) fn bench(args: &[String]) -> Result<()> {
    let rounds = match args {
        [] => ROUNDS,
        [option, number] if option == "--rounds" => number.parse().context("--rounds N: expected a number")?,
        _ => bail!("expected: bench jobs [--rounds N]"),
    };
    ensure!(rounds > 0, "--rounds N: expected at least 1");
    // Checks the rights before the build, which takes long.
    let network = Network::create()?;
    step("build", &mut cargo(&["build", "--release", "-p", "monitor-cli"]))?;
    let (folder, mut missing) = (target().join("bench-jobs"), Vec::new());
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("can't empty {}", folder.display()))?;
    }
    fs::create_dir_all(folder.join("marks"))?;
    let mut bench = Bench::start(folder, network, &mut missing)?;
    println!("\n── {COUNT} hosts run `true`");
    let times = bench.times(rounds)?;
    println!("── {COUNT} hosts run a script of {SECONDS} s, and the controller is killed by SIGKILL when half of them have begun");
    let kills = bench.kills()?;
    print(&times, &kills, rounds, &missing);
    let lost = kills.iter().any(|kill| kill.is_ours && kill.known < COUNT);
    ensure!(!lost, "our server has lost outcomes: see {}", bench.programs.folder.display());
    Ok(())
}

/// Duration of the script during which the controller is killed.
const SECONDS: u32 = 2;

/// The times of a contender.
struct Times {
    contender: Contender,
    all: Vec<Duration>,
}

/// The result of a kill.
struct Kill {
    title: String,
    is_ours: bool,
    /// Number of hosts on which the script has ended.
    ended: usize,
    /// Number of hosts whose outcome is known.
    known: usize,
}

/// All that runs during the benchmark. The fields are dropped in their order: the network is the last one.
struct Bench {
    salt: Option<Salt>,
    _sshd: Vec<Running>,
    _agents: Vec<Agent>,
    controller: Controller,
    programs: Programs,
    contenders: Vec<Contender>,
    _network: Network,
}

impl Bench {
    /// Installs and starts everything. Adds the reasons for programs that can't be measured to `missing`.
    fn start(folder: PathBuf, network: Network, missing: &mut Vec<String>) -> Result<Self> {
        println!("\n── our server, and an agent on each host");
        let names: Vec<String> = (0..COUNT).map(hosts::name).collect();
        let (controller, tokens) = Controller::start(&target().join("release/monitor"), &folder, &names)?;
        let agents = hosts::start_all(&controller, &folder.join("hosts"), &tokens, |_| Vec::new())?;
        let programs = Programs { rivals: target().join("rivals"), folder };
        let mut contenders = vec![Contender::Ours];
        let mut note = |name: &str, error: &anyhow::Error| missing.push(format!("{name} was not measured: {error:#}"));
        let sshd = daemons::start_sshd(&programs.folder).unwrap_or_else(|error| {
            note("ansible and clush", &error);
            Vec::new()
        });
        if !sshd.is_empty() {
            for (installed, name, of) in [
                (rivals::ansible(), "ansible", &[Contender::AnsibleCommand, Contender::AnsibleRaw][..]),
                (rivals::clush(), "clush", &[Contender::Clush][..]),
            ] {
                match installed {
                    Ok(()) => contenders.extend(of),
                    Err(error) => note(name, &error),
                }
            }
        }
        println!("\n── a Salt master, and a minion on each host");
        let salt = match rivals::salt().and_then(|()| Salt::start(&programs)) {
            Ok(salt) => {
                contenders.push(Contender::Salt);
                Some(salt)
            }
            Err(error) => {
                hosts::check_interrupt()?;
                note("salt", &error);
                None
            }
        };
        Ok(Self { salt, _sshd: sshd, _agents: agents, controller, programs, contenders, _network: network })
    }

    /// Measures `true` on all hosts, the contenders alternately. The first round is not counted.
    fn times(&self, rounds: usize) -> Result<Vec<Times>> {
        let script = self.programs.folder.join("true.sh");
        fs::write(&script, "true\n")?;
        let mut times: Vec<Times> = self.contenders.iter().map(|contender| Times { contender: *contender, all: Vec::new() }).collect();
        for round in 0..=rounds {
            for times in &mut times {
                let contender = times.contender;
                // With its path, because Salt reads the word `true` as a value of YAML.
                let mut command = self.programs.command(contender, &self.controller, "/bin/true", &script.display().to_string());
                let log = self.programs.folder.join("output");
                let (status, time, text) = output(&mut command, &log, LIMIT)?;
                // clush prints no line for a host that has succeeded. Its exit code is the highest one of all hosts.
                let known = if contender == Contender::Clush && status.success() { COUNT } else { contender.outcomes(&text) };
                ensure!(status.success() && known == COUNT, "{}: {known} of {COUNT} outcomes ({status}):\n{text}", contender.title());
                if round > 0 {
                    times.all.push(time);
                }
                println!("{:<28}{:>8.2} s{}", contender.title(), time.as_secs_f64(), if round == 0 { ", not counted" } else { "" });
            }
        }
        Ok(times)
    }

    /// Kills the controller of each contender.
    fn kills(&mut self) -> Result<Vec<Kill>> {
        let mut kills = Vec::new();
        for contender in self.contenders.clone() {
            kills.push(self.kill(contender, false)?);
            if contender == Contender::Salt {
                kills.push(self.kill(contender, true)?);
            }
        }
        Ok(kills)
    }

    /// Kills the controller in the middle: our server, the process of the command, or the Salt master if `is_master`.
    fn kill(&mut self, contender: Contender, is_master: bool) -> Result<Kill> {
        let subject = match contender {
            Contender::Ours => "the server is killed and started again",
            Contender::Salt if is_master => "the master is killed and started again",
            _ => "the command is killed",
        };
        let title = format!("{}: {subject}", contender.title());
        println!("{title}");
        let marks = Marks::new(self.programs.folder.join("marks"))?;
        let script = marks.write_script(&self.programs.folder.join("slow.sh"))?;
        let log = self.programs.folder.join(format!("killed-{contender:?}-{is_master}"));
        let mut command = self.programs.command(contender, &self.controller, &format!("sh {script}"), &script);
        let mut running = Running::start(&mut command, &log)?;
        let began = format!("{title}: half of the scripts have begun");
        wait_for(&began, LIMIT, || Ok((marks.count("began")? >= COUNT / 2).then_some(())))?;
        match (contender, &mut self.salt) {
            (Contender::Ours, _) => {
                self.controller.kill();
                self.controller.start_again()?;
            }
            (Contender::Salt, Some(salt)) if is_master => {
                salt.kill_master();
                salt.start_master(&self.programs)?;
            }
            _ => running.kill(),
        }
        marks.wait_for_quiet()?;
        let known = match contender {
            Contender::Ours => {
                let status = running.end(LIMIT).with_context(|| title.clone())?;
                println!("  `monitor job run` continued, and ended with {status}");
                self.known_to_our_server()?
            }
            Contender::Salt => self.known_to_salt(&log)?,
            _ => contender.outcomes(&fs::read_to_string(&log)?),
        };
        if contender == Contender::Ours {
            ensure!(marks.count("began")? == marks.hosts_with("began")?, "our agents have started the script twice on a host");
        }
        let kill = Kill { title, is_ours: contender == Contender::Ours, ended: marks.hosts_with("ended")?, known };
        println!("  the script has ended on {} hosts, and the outcomes of {} hosts are known", kill.ended, kill.known);
        Ok(kill)
    }

    /// Waits until our server knows that the newest job has succeeded on all hosts. Returns the number of these hosts after `LATE` otherwise.
    fn known_to_our_server(&self) -> Result<usize> {
        let jobs = self.controller.json(&["job", "list", "--limit", "1"])?;
        let job = jobs["jobs"][0]["job_id"].to_string();
        until_all(|| {
            let hosts = self.controller.json(&["job", "hosts", &job])?;
            Ok(hosts["hosts"].as_array().into_iter().flatten().filter(|host| host["status"] == 9).count())
        })
    }

    /// Waits until the Salt master knows the outcomes of all hosts. Returns the number of these hosts after `LATE` otherwise.
    fn known_to_salt(&self, log: &Path) -> Result<usize> {
        let text = fs::read_to_string(log)?;
        until_all(|| daemons::stored_outcomes(&self.programs, &text))
    }
}

/// Counts known outcomes until all are known, or `LATE` is over.
fn until_all(mut count: impl FnMut() -> Result<usize>) -> Result<usize> {
    let begin = Instant::now();
    loop {
        let known = count()?;
        if known >= COUNT || begin.elapsed() > LATE {
            return Ok(known);
        }
        hosts::check_interrupt()?;
        std::thread::sleep(Duration::from_millis(500));
    }
}

/// Files with a line for the begin and for the end of each script.
struct Marks(PathBuf);

impl Marks {
    /// Empties the folder.
    fn new(folder: PathBuf) -> Result<Self> {
        fs::remove_dir_all(&folder).with_context(|| format!("can't empty {}", folder.display()))?;
        fs::create_dir(&folder)?;
        Ok(Self(folder))
    }

    /// Writes a script that runs for `SECONDS`, and returns its path.
    fn write_script(&self, path: &Path) -> Result<String> {
        let text = format!(
            "PATH=/usr/sbin:/usr/bin:/sbin:/bin\n\
             mark={}/$(ip -o -4 address show dev eth0 | sed 's/.* inet \\([0-9.]*\\).*/\\1/')\n\
             echo began >> $mark\nsleep {SECONDS}\necho ended >> $mark\necho done\n",
            self.0.display()
        );
        fs::write(path, text)?;
        Ok(path.display().to_string())
    }

    /// Returns the number of lines `word` in each file.
    fn lines(&self, word: &str) -> Result<Vec<usize>> {
        let read = |entry: std::io::Result<fs::DirEntry>| -> Result<usize> {
            Ok(fs::read_to_string(entry?.path())?.lines().filter(|line| *line == word).count())
        };
        fs::read_dir(&self.0)?.map(read).collect()
    }

    fn count(&self, word: &str) -> Result<usize> {
        Ok(self.lines(word)?.into_iter().sum())
    }

    fn hosts_with(&self, word: &str) -> Result<usize> {
        Ok(self.lines(word)?.into_iter().filter(|lines| *lines > 0).count())
    }

    /// Waits until all scripts that have begun have ended, and no others begin.
    fn wait_for_quiet(&self) -> Result<()> {
        let (mut last, mut since) = (0, Instant::now());
        wait_for("the end of the scripts", LIMIT, || {
            let (began, ended) = (self.count("began")?, self.count("ended")?);
            if began + ended != last {
                (last, since) = (began + ended, Instant::now());
            }
            Ok((ended == COUNT || (began == ended && since.elapsed() > QUIET)).then_some(()))
        })
    }
}

/// Prints the results.
fn print(times: &[Times], kills: &[Kill], rounds: usize, missing: &[String]) {
    println!("\n`true` on {COUNT} hosts, time until the last outcome, {rounds} rounds, the programs alternately:");
    println!("{:<28}{:>10}{:>10}{:>10}{:>12}", "", "median, s", "min", "max", "ratio, ours");
    let ours = times.first().map_or(f64::NAN, |times| median(&times.all));
    for Times { contender, all } in times {
        let seconds = |time: Option<&Duration>| time.map_or(f64::NAN, Duration::as_secs_f64);
        let (least, most) = (seconds(all.iter().min()), seconds(all.iter().max()));
        let median = median(all);
        println!("{:<28}{median:>10.3}{least:>10.3}{most:>10.3}{:>12.2}", contender.title(), median / ours);
    }
    println!("\nA script of {SECONDS} s on {COUNT} hosts; SIGKILL when half of the hosts have begun:");
    println!("{:<64}{:>10}{:>8}{:>8}", "", "ended", "known", "lost");
    for Kill { title, ended, known, .. } in kills {
        println!("{title:<64}{ended:>10}{known:>8}{:>8}", COUNT.saturating_sub(*known));
    }
    println!(
        "\nNot comparable: the agents and minions are connected before the start, ansible keeps its connections for 60 s, and clush opens {COUNT} \
         connections each time. A killed ansible or clush has no server that could know more than its output; the outcomes of salt are those of \
         `salt-run jobs.lookup_jid`."
    );
    for reason in missing {
        println!("{reason}");
    }
}

fn median(times: &[Duration]) -> f64 {
    let mut times = times.to_vec();
    times.sort_unstable();
    times.get(times.len() / 2).map_or(f64::NAN, Duration::as_secs_f64)
}
