//! Counts lines, words and tokens of a folder's files by type, in stages: threads read, tasks parse, a second process
//! counts tokens over HTTP, and a script publishes the report.
//!
//! ```text
//! MONITOR_ENABLED=1 cargo run -p monitor-examples --bin pipeline -- FOLDER
//! ```

mod discover;
mod parse;
mod publish;
mod read;
mod report;
mod tokens;

use std::path::PathBuf;

use anyhow::Context;
use clap::{Parser, Subcommand};
use monitor_client::root_task;

use crate::report::Report;
use crate::tokens::TokenService;

/// Counts lines, words and tokens of a folder's files by type.
#[derive(Parser)]
struct Args {
    /// The folder; files that .gitignore names are left out.
    #[arg(default_value = ".")]
    folder: PathBuf,
    /// Path of the report, which is written as JSON.
    #[arg(long, default_value_os_t = std::env::temp_dir().join("pipeline-report.json"))]
    report: PathBuf,
    #[command(subcommand)]
    part: Option<Part>,
}

/// The other programs of the pipeline, which it starts by itself.
#[derive(Subcommand)]
enum Part {
    /// Counts tokens for clients that ask over HTTP, until stdin is closed.
    #[command(hide = true)]
    ServeTokens,
    /// Checks that the numbers of a report add up.
    #[command(hide = true)]
    Verify {
        /// The report.
        report: PathBuf,
    },
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    match args.part {
        Some(Part::ServeTokens) => tokens::serve().await,
        Some(Part::Verify { report }) => report::verify(&report),
        None => {
            let folder = args.folder.canonicalize().with_context(|| format!("can't open {}", args.folder.display()))?;
            let name = folder.file_name().map_or_else(|| "/".to_owned(), |name| name.to_string_lossy().into_owned());
            let report = count(name, folder, args.report).await?;
            print!("{report}");
            Ok(())
        }
    }
}

/// The whole run. The folder's name is its batch mark.
#[root_task("count sources", "name")]
async fn count(name: String, folder: PathBuf, report_file: PathBuf) -> anyhow::Result<Report> {
    let files = discover::discover(&folder)?;
    let service = TokenService::start().await?;
    let (sender, receiver) = tokio::sync::mpsc::channel(64);
    let (reader, parsed) = tokio::join!(
        monitor_client::spawn_blocking(move || read::read_all(&folder, &files, &sender)),
        parse::parse_all(receiver, service.client()),
    );
    reader?;
    service.stop().await?;
    let report = report::sum_up(name, parsed);
    publish::publish(&report, &report_file)?;
    Ok(report)
}
