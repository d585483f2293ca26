//! Common command-line options of the benchmarks that compare with other programs.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// How ours and its rivals are measured, by measurements `M`.
#[derive(Args)]
pub(crate) struct RivalOptions<M: ValueEnum + Send + Sync + 'static> {
    /// The binary `monitor`, built in release.
    #[arg(long)]
    pub(crate) monitor: PathBuf,
    /// The folder with the rivals.
    #[arg(long)]
    pub(crate) rivals: PathBuf,
    /// Smaller numbers: for trying, not for figures.
    #[arg(long)]
    pub(crate) quick: bool,
    /// Only this measurement; may be repeated.
    #[arg(long, value_enum)]
    pub(crate) only: Vec<M>,
    /// One JSON document on stdout instead of tables.
    #[arg(long)]
    pub(crate) json: bool,
    /// Only the rows whose name contains this, like `ours` or `cron`.
    #[arg(long, default_value = "")]
    pub(crate) row: String,
}
