//! Development commands: `cargo xtask demo | test | soak | sanitize | bench`.

mod bench;
mod bench_run;
mod demo;
mod lowest;
mod peers;
mod rivals;
mod run;
mod sanitize;
mod soak;
mod test;
mod tools;
mod weave;
mod words;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The chores of this repository. Each installs what it lacks, or says what to install.
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
        /// What the pipeline counts; this repository unless said otherwise.
        folder: Option<PathBuf>,
        /// Where the server listens; if that is taken, at a free port.
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
    /// The tests that take long: repeated kills, more processes. Its subcommands measure, and are no tests.
    Soak {
        /// How often each is repeated.
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
    /// The unsafe parts with `AddressSanitizer`.
    Sanitize,
    /// `bench client`: what a monitored call costs, beside the rivals. `bench server`: what a server takes in. `bench page`: what
    /// the page costs a browser; `--million` for a tree of so many. `bench run`: what the launcher costs. `bench batch`: how punctually
    /// batch tasks start, beside other schedulers. `bench alerts`: how soon somebody hears. `bench events`: what a receiver takes
    /// in, beside Celery. `--help` says more.
    #[command(disable_help_flag = true)]
    Bench {
        /// What is measured, and how.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
        args: Vec<String>,
    },
}

#[derive(Subcommand)]
enum Only {
    /// A program records a thousand processes a second while its server is away: what that costs it, and what comes after.
    Away {
        /// For how long.
        #[arg(long, default_value_t = 60)]
        minutes: u64,
    },
    /// Shippers, the network and the server from seeds: the server ends as if all had come in order. `MONITOR_SIM_SEED` repeats one.
    Simulation {
        /// How many of them.
        #[arg(long, default_value_t = 200)]
        seeds: u32,
    },
    /// Months of outages on a real server and real agents, from seeds: what is told agrees with a model. `MONITOR_MONTH_SEED` repeats one.
    Month {
        /// How many of them.
        #[arg(long, default_value_t = 10)]
        seeds: u32,
    },
    /// Workers of a queue, with receivers, `monitor top` and a browser, while the server is killed and lines are cut: each event is counted once.
    Crowd {
        /// How many of them; each has five tasks a second.
        #[arg(long, default_value_t = 200)]
        workers: u32,
        /// For how long.
        #[arg(long, default_value_t = 30)]
        seconds: u32,
    },
    /// A simulated year of a thousand batch tasks, with an agent that is killed and a clock that jumps: what is planned agrees with a model.
    /// `MONITOR_TASKS_SEED` repeats one.
    Tasks {
        /// For how long.
        #[arg(long, default_value_t = 365)]
        days: u32,
    },
    /// Arize Phoenix and Prefect on the same machine: what they take in, and what is there after kill -9.
    Peers,
    /// A real nginx and a real Caddy before the server, as `docs/guides/tls-and-proxies.md` has them.
    Proxies,
    /// Spans of an OpenTelemetry SDK for Python, which it installs into `target`.
    Otlp,
    /// Requests that schemathesis makes from the API's description: the server answers nothing that it doesn't say.
    Api {
        /// For how long.
        #[arg(long, default_value_t = 600)]
        seconds: u32,
    },
    /// `cargo monitor` on ripgrep, fd, hyperfine and mini-redis: the same test results, and what it costs, beside plain.
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
        Chore::Soak { only: Some(Only::Tasks { days }), .. } => soak::tasks(days),
        Chore::Soak { only: Some(Only::Crowd { workers, seconds }), .. } => soak::crowd(workers, seconds),
        Chore::Soak { only: Some(Only::Month { seeds }), .. } => soak::month(seeds),
        Chore::Soak { only: Some(Only::Simulation { seeds }), .. } => soak::simulation(seeds),
        Chore::Soak { only: Some(Only::Weave { projects }), .. } => weave::soak(&projects),
        Chore::Soak { rounds, only: None } => soak::soak(rounds),
        Chore::Words { list } => words::words(list),
        Chore::Sanitize => sanitize::sanitize(),
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
