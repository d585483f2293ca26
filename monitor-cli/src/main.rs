//! The command `monitor`.

mod client;
mod commands;
mod exit;
mod text;

use clap::{Parser, Subcommand};

/// Shows anything that has a start and an end as a live tree.
#[derive(Debug, Parser)]
#[command(name = "monitor", version, after_help = exit::HELP, after_long_help = exit::HELP, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Server(commands::server::Args),
    Status(commands::status::Args),
    Roots(commands::roots::Args),
    Tree(commands::tree::Args),
}

fn main() -> std::process::ExitCode {
    let result = match Cli::parse().command {
        Command::Server(args) => commands::server::run(args),
        Command::Status(args) => commands::status::run(&args),
        Command::Roots(args) => commands::roots::run(&args),
        Command::Tree(args) => commands::tree::run(&args),
    };
    exit::report(result)
}
