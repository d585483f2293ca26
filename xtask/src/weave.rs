//! Tests `cargo monitor` on real projects in fixed versions: compares test results and costs with those of a plain build.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::run::{cargo, step, target, workspace};

/// A project: crate, version, program, and arguments for a short run. `{}` is this repository, `{project}` is the project's folder. A
/// library has no program.
const PROJECTS: [(&str, &str, &str, &[&str]); 11] = [
    ("ripgrep", "15.2.0", "rg", &["--no-config", "-c", "fn ", "{}/crates/monitor-server"]),
    ("fd-find", "10.5.0", "fd", &["-e", "rs", ".", "{}/crates/monitor-server"]),
    ("hyperfine", "1.20.0", "hyperfine", &["-N", "-r", "20", "true"]),
    ("mini-redis", "0.4.1", "mini-redis-cli", &["--help"]),
    // Both crates have tests that recurse as deeply as the stack of a test thread allows: `recursion_limit::bugfix`, `ackermann`.
    ("just", "1.59.0", "just", &["--dump", "--justfile", "{project}/justfile"]),
    ("jaq-core", "3.1.2", "", &[]),
    ("jaq", "3.1.2", "jaq", &["-n", "[range(10000)] | add"]),
    ("tokei", "15.0.0", "tokei", &["{}/crates/monitor-server"]),
    ("zoxide", "0.10.0", "zoxide", &["init", "bash"]),
    ("oxipng", "10.2.1", "oxipng", &["--dry-run", "{}/docs/page/logs-en.png"]),
    ("base64", "0.23.1", "", &[]),
];
/// Development dependencies that are missing in a published manifest, because they were path dependencies.
const MANIFESTS: [(&str, &str); 1] = [(
    "jaq-core",
    "\n[dev-dependencies]\nserde_json = \"1.0\"\njaq-std = \"3.0.4\"\njaq-json = { version = \"2.0.3\", features = [\"serde\"] }\n\n\
     [patch.crates-io]\njaq-core = { path = \".\" }\n",
)];
/// Runs of each program; the shortest counts.
const RUNS: usize = 7;
/// Builds of each project's own crates; the cheapest counts.
const BUILDS: usize = 3;

/// Compares the named projects, or all of them, and prints a table.
pub(crate) fn soak(names: &[String]) -> Result<()> {
    let is_known = |name: &&String| PROJECTS.iter().any(|(known, ..)| known == name);
    if let Some(name) = names.iter().find(|name| !is_known(name)) {
        bail!("{name} is none of {}", PROJECTS.map(|(name, ..)| name).join(", "));
    }
    let projects = || PROJECTS.iter().filter(|(name, ..)| names.is_empty() || names.iter().any(|wanted| wanted == name));
    step("build", &mut cargo(&["build", "--release", "-p", "cargo-monitor", "-p", "monitor-cli"]))?;
    let binaries = target().join("release");
    let folder = target().join("weave");
    let sources = fetch(&folder)?;
    let server = Server::start(&binaries, &folder)?;
    let (mut rows, mut differing) = (Vec::new(), Vec::new());
    for (name, version, program, args) in projects() {
        let project = Project {
            folder: folder.join(name),
            monitor: binaries.join("cargo-monitor"),
            url: server.url.clone(),
            spool: folder.join("spool"),
        };
        if project.folder.exists() {
            fs::remove_dir_all(&project.folder)?;
        }
        copy(&sources[*name], &project.folder)?;
        for (_, more) in MANIFESTS.iter().filter(|(of, _)| of == name) {
            let manifest = project.folder.join("Cargo.toml");
            let text = fs::read_to_string(&manifest)?.replace("[dev-dependencies.serde_json]\nversion = \"1.0\"\n", "");
            fs::write(manifest, text + more)?;
            fs::remove_file(project.folder.join("Cargo.lock"))?;
        }
        println!("\n── {name} {version}");
        let (plain, plain_time) = project.test(false)?;
        let (woven, woven_time) = project.test(true)?;
        let differences: Vec<_> = plain.iter().filter(|(test, result)| woven.get(*test) != Some(result)).collect();
        if !differences.is_empty() || plain.len() != woven.len() {
            println!("{name}: not the same results: {differences:?}, {} and {} tests", plain.len(), woven.len());
            differing.push(*name);
        }
        let (built, built_woven) = (project.build(false)?, project.build(true)?);
        let (own, own_woven) = project.build_own()?;
        let args = args.iter().map(|arg| arg.replace("{}", &workspace().to_string_lossy()));
        let args: Vec<String> = args.map(|arg| arg.replace("{project}", &project.folder.to_string_lossy())).collect();
        let ran = if program.is_empty() {
            "– | – | – | –".to_owned()
        } else {
            let (off, run) = (project.program(true, program), project.program(false, program));
            let (sizes, [plain, off, on]) = ((size(&run)?, size(&off)?), project.run(&run, &off, &args)?);
            let ratio = |of: Duration| of.as_secs_f64() / plain.1.as_secs_f64().max(1e-3);
            format!(
                "{:.1} / {:.1} / {:.1} | {:.0} / {:.0} / {:.0}: {:.2}, {:.2} | {} | {:.2} / {:.2}",
                millis(plain.0),
                millis(off.0),
                millis(on.0),
                millis(plain.1) / RUNS as f64,
                millis(off.1) / RUNS as f64,
                millis(on.1) / RUNS as f64,
                ratio(off.1),
                ratio(on.1),
                server.rows(&root_of(program))?,
                sizes.0 as f64 / 1e6,
                sizes.1 as f64 / 1e6
            )
        };
        rows.push(format!(
            "| {name} {version} | {}: {:.1} / {:.1} | {:.1} / {:.1} | {:.1} / {:.1}: {:.2} | {ran} |",
            plain.len(),
            plain_time.as_secs_f64(),
            woven_time.as_secs_f64(),
            built.as_secs_f64(),
            built_woven.as_secs_f64(),
            own.as_secs_f64(),
            own_woven.as_secs_f64(),
            own_woven.as_secs_f64() / own.as_secs_f64(),
        ));
        println!("{}", rows.last().map_or("", String::as_str));
    }
    println!(
        "\n| project | tests: their time, s: plain / woven | release build, s of processor: plain from nothing / woven with the runtime, from there | own crates anew, s of processor: plain / woven | run, ms: plain / woven, off / on | its processor's time, ms | rows on the first three levels / in all | program, MB |"
    );
    println!("|---|---|---|---|---|---|---|---|\n{}", rows.join("\n"));
    projects().filter(|(_, _, program, _)| !program.is_empty()).try_for_each(|(name, _, program, _)| {
        server.show(&root_of(program))?;
        if *name == "mini-redis" { converse(&folder.join(name), &binaries, &server) } else { Ok(()) }
    })?;
    ensure!(differing.is_empty(), "other results of tests than plain: {}", differing.join(", "));
    Ok(())
}

/// Runs a woven mini-redis-server with two clients until it is killed; this records an asynchronous tree.
fn converse(project: &Path, binaries: &Path, server: &Server) -> Result<()> {
    let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port().to_string();
    let mut command = Command::new(binaries.join("cargo-monitor"));
    command.args(["launch", "--"]).arg(project.join("woven/mini-redis-server")).args(["--port", &port]);
    command.env("MONITOR_SERVER_URL", &server.url).env("MONITOR_SPOOL_DIR", project.join("../spool"));
    let mut redis = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let said = |args: &[&str]| -> Result<String> {
        let client = Command::new(project.join("plain/mini-redis-cli")).args(["--port", &port]).args(args).output()?;
        Ok(String::from_utf8_lossy(&client.stdout).trim().to_owned())
    };
    let begun = Instant::now();
    while said(&["set", "key", "value"])? != "OK" {
        ensure!(begun.elapsed() < Duration::from_secs(10), "mini-redis-server doesn't answer");
    }
    let value = said(&["get", "key"])?;
    redis.kill()?;
    redis.wait()?;
    ensure!(value == "\"value\"", "mini-redis-server answers {value}");
    // All events are shipped when the spool is empty.
    let is_shipped = || fs::read_dir(project.join("../spool")).map_or(true, |mut left| left.next().is_none());
    while !is_shipped() && begun.elapsed() < Duration::from_secs(20) {
        std::thread::sleep(Duration::from_millis(50));
    }
    server.show("mini_redis_server::main")
}

/// Downloads the sources of all projects with cargo.
fn fetch(folder: &Path) -> Result<BTreeMap<String, PathBuf>> {
    let fetch = folder.join("fetch");
    fs::create_dir_all(fetch.join("src"))?;
    fs::write(fetch.join("src/lib.rs"), "")?;
    let wanted = PROJECTS.iter().fold(String::new(), |text, (name, version, ..)| text + &format!("{name} = \"={version}\"\n"));
    fs::write(
        fetch.join("Cargo.toml"),
        format!("[package]\nname = \"fetch\"\nversion = \"0.0.0\"\nedition = \"2024\"\n[workspace]\n[dependencies]\n{wanted}"),
    )?;
    let output =
        cargo(&["metadata", "--format-version", "1", "--manifest-path"]).arg(fetch.join("Cargo.toml")).stderr(Stdio::inherit()).output()?;
    ensure!(output.status.success(), "the projects can't be fetched");
    let metadata: Value = serde_json::from_slice(&output.stdout)?;
    let packages = metadata["packages"].as_array().context("packages")?;
    // Cargo downloads crates without a library, but omits them in the metadata; their folders are next to the one of mini-redis.
    let manifest =
        packages.iter().find(|package| package["name"] == "mini-redis").context("mini-redis was not fetched")?["manifest_path"].as_str();
    let beside = Path::new(manifest.context("a path")?).ancestors().nth(2).context("a folder")?;
    Ok(PROJECTS.iter().map(|(name, version, ..)| ((*name).to_owned(), beside.join(format!("{name}-{version}")))).collect())
}

struct Project {
    folder: PathBuf,
    monitor: PathBuf,
    url: String,
    spool: PathBuf,
}

impl Project {
    fn command(&self, is_woven: bool, verb: &str) -> Command {
        let mut command = if is_woven { Command::new(&self.monitor) } else { cargo(&[]) };
        if is_woven {
            command.arg("monitor");
        }
        command.arg(verb).current_dir(&self.folder).stdin(Stdio::null());
        command.env("CARGO_TARGET_DIR", self.folder.join("target")).env_remove("CARGO_INCREMENTAL");
        command.env("MONITOR_SERVER_URL", &self.url).env("MONITOR_SPOOL_DIR", &self.spool);
        command
    }

    /// Copies the compiled dependencies of the plain build into the woven build, because they are the same.
    fn share_dependencies(&self, profile: &str) -> Result<()> {
        let (from, to) = (self.folder.join("target").join(profile), self.folder.join("target/monitor/build"));
        fs::create_dir_all(&to)?;
        let is_copied = !from.exists() || to.join(profile).exists() || Command::new("cp").arg("-a").arg(from).arg(to).status()?.success();
        ensure!(is_copied, "the dependencies can't be copied");
        Ok(())
    }

    /// Returns the result of each test, and the run time of the tests without the build.
    fn test(&self, is_woven: bool) -> Result<(BTreeMap<String, String>, Duration)> {
        if is_woven {
            self.share_dependencies("debug")?;
        }
        let status = self.command(is_woven, "test").args(["--no-fail-fast", "--no-run"]).status()?;
        ensure!(status.success(), "the tests can't be built");
        let begun = Instant::now();
        let output = self.command(is_woven, "test").arg("--no-fail-fast").stderr(Stdio::inherit()).output()?;
        let time = begun.elapsed();
        let text = String::from_utf8_lossy(&output.stdout);
        let (mut results, mut binary) = (BTreeMap::new(), 0);
        for line in text.lines() {
            binary += usize::from(line.starts_with("running "));
            if let Some((test, result)) = line.strip_prefix("test ").and_then(|line| line.split_once(" ... ")) {
                // Names of tests from generated sources contain the build folder, which differs between both builds.
                let name = test.rsplit_once("/out/").map_or(test, |(_, name)| name);
                results.insert(format!("{binary} {name}"), result.to_owned());
            }
        }
        ensure!(!results.is_empty(), "no test ran: {text}");
        Ok((results, time))
    }

    /// Returns the CPU time of a clean build; for a woven build including the runtime, but with the dependencies of the plain build.
    fn build(&self, is_woven: bool) -> Result<Duration> {
        let before = self.folder.join(if is_woven { "target/monitor" } else { "target/release" });
        if before.exists() {
            fs::remove_dir_all(before)?;
        }
        if is_woven {
            self.share_dependencies("release")?;
        }
        let begun = cpu_of_children()?;
        self.build_again(is_woven)?;
        let time = cpu_of_children()?.saturating_sub(begun);
        // Keep a copy, because the next build removes the file.
        for entry in fs::read_dir(self.built(is_woven))?.flatten().filter(|entry| entry.path().is_file()) {
            let kept = self.folder.join(if is_woven { "woven" } else { "plain" });
            fs::create_dir_all(&kept)?;
            fs::copy(entry.path(), kept.join(entry.file_name()))?;
        }
        Ok(time)
    }

    fn build_again(&self, is_woven: bool) -> Result<()> {
        let status = self.command(is_woven, "build").arg("--release").status()?;
        ensure!(status.success(), "the build failed");
        Ok(())
    }

    /// Returns the CPU time for the project's own crates only, plain and woven, built alternately.
    fn build_own(&self) -> Result<(Duration, Duration)> {
        let mut best = [Duration::MAX; 2];
        for _ in 0..BUILDS {
            for (is_woven, best) in [false, true].into_iter().zip(&mut best) {
                touch(&self.folder.join("src"))?;
                let before = cpu_of_children()?;
                self.build_again(is_woven)?;
                *best = cpu_of_children()?.saturating_sub(before).min(*best);
            }
        }
        Ok((best[0], best[1]))
    }

    fn built(&self, is_woven: bool) -> PathBuf {
        self.folder.join(if is_woven { "target/monitor/build/release" } else { "target/release" })
    }

    fn program(&self, is_woven: bool, name: &str) -> PathBuf {
        self.folder.join(if is_woven { "woven" } else { "plain" }).join(name)
    }

    /// Returns the shortest run time and the total CPU time: plain, woven, and woven with all calls recorded. The variants alternate, so
    /// that the machine's load affects all of them equally.
    fn run(&self, plain: &Path, woven: &Path, args: &[String]) -> Result<[(Duration, Duration); 3]> {
        let mut best = [(Duration::MAX, Duration::ZERO); 3];
        for _ in 0..RUNS {
            for (index, (best, processor)) in best.iter_mut().enumerate() {
                let mut command =
                    if index == 2 { Command::new(&self.monitor) } else { Command::new(if index == 0 { plain } else { woven }) };
                if index == 2 {
                    command.args(["launch", "--"]).arg(woven);
                }
                command.args(args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
                command.env("MONITOR_SERVER_URL", &self.url).env("MONITOR_SPOOL_DIR", &self.spool);
                let (begun, before) = (Instant::now(), cpu_of_children()?);
                let status = command.status().with_context(|| format!("{}", plain.display()))?;
                ensure!(status.success(), "{command:?}: {status}");
                *best = begun.elapsed().min(*best);
                *processor += cpu_of_children()?.saturating_sub(before);
            }
        }
        Ok(best)
    }
}

/// `monitor server` with a data folder of its own.
struct Server {
    child: Child,
    url: String,
    monitor: PathBuf,
}

impl Server {
    fn start(binaries: &Path, folder: &Path) -> Result<Self> {
        let monitor = binaries.join("monitor");
        let mut command = Command::new(&monitor);
        command.args(["server", "--listen", "127.0.0.1:0", "--spool-dir", "off", "--agent", "off", "--data"]).arg(folder.join("data"));
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let mut lines = BufReader::new(child.stdout.take().context("piped")?).lines();
        let url = lines
            .by_ref()
            .map_while(Result::ok)
            .find_map(|line| line.split_whitespace().find_map(|word| word.strip_suffix("/tasks").map(str::to_owned)));
        std::thread::spawn(move || lines.for_each(drop));
        match url {
            Some(url) => Ok(Self { child, url, monitor }),
            None => bail!("the server did not start: {:?}", child.wait()),
        }
    }

    /// Prints the newest tree of this name as `monitor show` displays it.
    fn show(&self, name: &str) -> Result<()> {
        let number = self.newest(name)?["number"].to_string();
        step("its tree", Command::new(&self.monitor).args(["tree", &number, "--server", &self.url]))
    }

    /// Returns the number of rows of the newest tree of this name after everything in it has ended: on its first three levels, and in
    /// total.
    fn rows(&self, name: &str) -> Result<String> {
        let begun = Instant::now();
        let mut newest = self.newest(name)?;
        while newest["state"] == "running" || newest["counts"]["running"] != 0 {
            ensure!(begun.elapsed() < Duration::from_secs(60), "{name} is not shipped: {newest}");
            std::thread::sleep(Duration::from_millis(100));
            newest = self.newest(name)?;
        }
        let number = newest["number"].to_string();
        let tree = Command::new(&self.monitor).args(["tree", &number, "--json", "--server", &self.url]).output()?;
        let tree: Value = serde_json::from_slice(&tree.stdout)?;
        let rows = tree["processes"].as_array().context("processes")?;
        let first = rows.iter().filter(|row| row["depth"].as_u64().is_some_and(|depth| depth < 3)).count();
        Ok(format!("{first} / {}", rows.len()))
    }

    fn newest(&self, name: &str) -> Result<Value> {
        let roots = Command::new(&self.monitor).args(["roots", "--json", "--name", name, "--server", &self.url]).output()?;
        let roots: Value = serde_json::from_slice(&roots.stdout)?;
        Ok(roots["roots"][0].clone())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Name of a program's root process.
fn root_of(program: &str) -> String {
    format!("{}::main", program.replace('-', "_"))
}

fn size(path: &Path) -> Result<u64> {
    Ok(path.metadata().with_context(|| format!("{}", path.display()))?.len())
}

/// Sets the modification time of all sources to now.
fn touch(folder: &Path) -> Result<()> {
    for entry in fs::read_dir(folder)?.flatten() {
        let path = entry.path();
        if path.is_dir() {
            touch(&path)?;
        } else {
            fs::File::options().append(true).open(&path)?.set_modified(std::time::SystemTime::now())?;
        }
    }
    Ok(())
}

/// Returns the user and system time of all ended child processes. Linux reports it in hundredths of a second.
fn cpu_of_children() -> Result<Duration> {
    let stat = fs::read_to_string("/proc/self/stat").context("the processor time of a build is known on Linux only")?;
    let fields = stat.rsplit_once(')').context("a name in brackets")?.1.split_whitespace();
    let ticks: u64 = fields.skip(13).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    Ok(Duration::from_millis(ticks * 10))
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)?.flatten() {
        let (path, to) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            copy(&path, &to)?;
        } else {
            fs::copy(&path, &to)?;
        }
    }
    // Makes the copy a workspace of its own, so that the surrounding workspace is ignored.
    let manifest = to.join("Cargo.toml");
    if let Ok(text) = fs::read_to_string(&manifest)
        && !text.contains("[workspace]")
    {
        fs::write(manifest, text + "\n[workspace]\n")?;
    }
    Ok(())
}
