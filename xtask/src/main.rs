//! Development commands: `cargo xtask demo | test | soak | sanitize | bench | package`.

mod bench;
mod bench_celery;
mod bench_jobs;
mod bench_run;
mod demo;
mod hosts;
mod lowest;
mod package;
mod peers;
mod rivals;
mod run;
mod sanitize;
mod soak;
mod soak_jobs;
mod test;
mod tools;
mod weave;
mod words;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Development commands of this repository. Each installs the tools that it needs, or names those that must be installed.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Args {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Build all, start the server on target/demo, run the examples pipeline and workers with monitoring on, and keep serving.
    Demo {
        /// Folder whose words the pipeline counts [default: this repository].
        folder: Option<PathBuf>,
        /// Port of the server. If it is in use, a free port.
        #[arg(long, default_value_t = demo::PORT)]
        port: u16,
        /// Stop when the examples are done, instead of at Ctrl-C.
        #[arg(long)]
        once: bool,
    },
    /// Check and test everything: formatting, lints, licences, documentation, Rust, TypeScript, the browser.
    Test,
    /// Compile the client with the lowest versions of its dependencies, and compare the Rust versions that they declare.
    Lowest,
    /// Run the long tests: repeated kills, more processes. The subcommands are longer tests of one subject.
    Soak {
        /// Number of repetitions of each test.
        #[arg(long, default_value_t = 20)]
        rounds: u32,
        #[command(subcommand)]
        only: Option<Only>,
    },
    /// Count phrases that make text hard to follow, in comments, documents, messages, names of tests and the page.
    Words {
        /// Number of the worst passages to print.
        #[arg(long, default_value_t = 0)]
        list: usize,
    },
    /// Test the unsafe code with `AddressSanitizer`.
    Sanitize,
    /// Build the static program and the Debian packages of a release, in target/package/dist. The subcommand packs the crates.
    Package {
        #[command(flatten)]
        options: package::Options,
        #[command(subcommand)]
        only: Option<OnlyPackage>,
    },
    /// Measure speed and cost, next to other tools in the same run. `bench client`: the cost of a monitored call. `bench server`: the rate at
    /// which the server stores events. `bench page`: the load of a browser; `--million` opens a run of a million processes. `bench run`: the
    /// cost of the launcher. `bench batch`: the delay of batch tasks. `bench alerts`: the delay of notifications. `bench events`: the rate of a
    /// receiver of events, next to Celery. `bench celery`: a server that records a cluster of Celery, next to Flower. `bench jobs`: the time of a script on 50 hosts, and the outcomes after a kill, next to Ansible,
    /// `ClusterShell` and Salt. `--help` describes the options.
    #[command(disable_help_flag = true)]
    Bench {
        /// Name of the benchmark and its options.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
        args: Vec<String>,
    },
}

#[derive(Subcommand)]
enum OnlyPackage {
    /// Write copies of the crates under their names in the registry, pack and compile them, and use them in an empty project. Nothing is published.
    Crates,
}

#[derive(Subcommand)]
enum Only {
    /// Record a thousand processes a second while the server is away, and measure the cost for the program and the time to catch up.
    Away {
        /// Duration in minutes.
        #[arg(long, default_value_t = 60)]
        minutes: u64,
    },
    /// Simulate shippers, the network and the server from seeds, and check that the server has the same state as after delivery in order.
    /// `MONITOR_SIM_SEED` repeats one seed.
    Simulation {
        /// Number of seeds.
        #[arg(long, default_value_t = 200)]
        seeds: u32,
    },
    /// Simulate months of outages on a real server and real agents, from seeds, and compare the reports with a model. `MONITOR_MONTH_SEED`
    /// repeats one seed.
    Month {
        /// Number of seeds.
        #[arg(long, default_value_t = 10)]
        seeds: u32,
    },
    /// Run workers of a queue with receivers, `monitor top` and a browser, kill the server and cut connections, and check that each event is
    /// counted once.
    Crowd {
        /// Number of workers, each with five tasks a second.
        #[arg(long, default_value_t = 200)]
        workers: u32,
        /// Duration in seconds.
        #[arg(long, default_value_t = 30)]
        seconds: u32,
    },
    /// Run the tests of Celery with older versions of it.
    Celery {
        /// Versions.
        #[arg(default_values_t = ["5.6.2", "5.5.3", "5.4.0", "5.3.6"].map(str::to_owned))]
        versions: Vec<String>,
    },
    /// Simulate a year of a thousand batch tasks, with an agent that is killed and a clock that jumps, and compare the plans with a model.
    /// `MONITOR_TASKS_SEED` repeats one seed.
    Tasks {
        /// Duration in days.
        #[arg(long, default_value_t = 365)]
        days: u32,
    },
    /// Measure Arize Phoenix and Prefect on the same machine: the rate at which they store events, and the events that are left after `kill -9`.
    Peers,
    /// Test the server behind a real nginx and a real Caddy, with the settings of the docs.
    Proxies,
    /// Send spans with an OpenTelemetry SDK for Python, which is installed into `target`.
    Otlp,
    /// Send requests that schemathesis generates from the API's description, and check that all answers match the description.
    Api {
        /// Duration in seconds.
        #[arg(long, default_value_t = 600)]
        seconds: u32,
    },
    /// Run jobs on 50 real agents in network namespaces, kill the server and agents, cut links, and compare each outcome with the lines that
    /// the script has written. Needs root.
    Jobs {
        /// Number of jobs.
        #[arg(long, default_value_t = 50)]
        rounds: u64,
        /// Seed of the first round; each further round has the next one [default: the time]
        #[arg(long)]
        seed: Option<u64>,
    },
    /// Run `cargo monitor` on ripgrep, fd, hyperfine and mini-redis, compare the test results with plain cargo, and measure the cost.
    Weave {
        /// ripgrep, fd-find, hyperfine, mini-redis [default: all]
        projects: Vec<String>,
    },
}

fn main() -> ExitCode {
    let done = match Args::parse().chore {
        Chore::Demo { folder, port, once } => demo::demo(folder, port, once),
        Chore::Test => test::test(),
        Chore::Lowest => lowest::lowest(),
        Chore::Soak { only: Some(Only::Away { minutes }), .. } => soak::away(minutes),
        Chore::Soak { only: Some(Only::Otlp), .. } => soak::otlp(),
        Chore::Soak { only: Some(Only::Api { seconds }), .. } => soak::api(seconds),
        Chore::Soak { only: Some(Only::Peers), .. } => peers::peers(),
        Chore::Soak { only: Some(Only::Proxies), .. } => soak::proxies(),
        Chore::Soak { only: Some(Only::Celery { versions }), .. } => soak::celery(&versions),
        Chore::Soak { only: Some(Only::Tasks { days }), .. } => soak::tasks(days),
        Chore::Soak { only: Some(Only::Crowd { workers, seconds }), .. } => soak::crowd(workers, seconds),
        Chore::Soak { only: Some(Only::Month { seeds }), .. } => soak::month(seeds),
        Chore::Soak { only: Some(Only::Simulation { seeds }), .. } => soak::simulation(seeds),
        Chore::Soak { only: Some(Only::Jobs { rounds, seed }), .. } => soak_jobs::soak(rounds, seed),
        Chore::Soak { only: Some(Only::Weave { projects }), .. } => weave::soak(&projects),
        Chore::Soak { rounds, only: None } => soak::soak(rounds),
        Chore::Words { list } => words::words(list),
        Chore::Sanitize => sanitize::sanitize(),
        Chore::Package { only: Some(OnlyPackage::Crates), .. } => package::crates::crates(),
        Chore::Package { options, only: None } => package::package(options),
        Chore::Bench { args } => bench::bench(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
