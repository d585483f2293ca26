//! `monitor export`

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;

use anyhow::Context;
use clap::ValueEnum;
use monitor_api::{Call, Download, ExportFormat};

use super::report::{self, Contents};
use crate::client::{Connection, Escaping};
use crate::exit;
use crate::text::{bytes, visible};

const EXAMPLES: &str = "\
Examples:
  monitor export 2106 -o tree.ndjson                      Write a run to import it elsewhere
  monitor export 2106 --format perfetto -o trace.json     For https://ui.perfetto.dev or chrome://tracing
  monitor export 2106 --format html -o run.html           One file that opens in any browser
  monitor export 2106 --format html --compare 2105 -o both.html
  monitor export 2106 --format html --redact 'login*' --redact '*token*' -o run.html
  monitor export 2106 --format otlp -o spans.json         For OpenTelemetry collectors
  monitor export 2106 --format junit -o tests.xml         Test cases, for Jenkins, GitLab and GitHub
  monitor export 2106 | grep '\"type\":\"log\"'";

/// Export a run with its workers and logs to a file
#[derive(Debug, clap::Args)]
#[command(after_help = format!("{EXAMPLES}\n\n{}", exit::SERVER))]
pub(crate) struct Args {
    /// The run: its number as in `name <batch001:2106>`, or its id (32 hex digits)
    #[arg(value_name = "RUN")]
    root: String,
    /// File to create, which must not exist [default: stdout]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Format of the file
    #[arg(long, value_enum, default_value_t = Format::Ndjson)]
    format: Format,
    /// In an HTML file: another run to compare with
    #[arg(long, value_name = "RUN")]
    compare: Option<String>,
    #[command(flatten)]
    contents: Contents,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    /// One JSON object per line
    Ndjson,
    /// One JSON object
    Json,
    /// For Perfetto and Chrome
    Perfetto,
    /// OTLP as JSON
    Otlp,
    /// The page of the run in one HTML file, which opens in any browser without a server
    Html,
    /// Tests of `cargo monitor test` as JUnit XML
    Junit,
}

/// Writes the test cases, and warns if there are none.
fn junit(args: &Args, call: Call<Download>) -> anyhow::Result<()> {
    let mut document = Vec::new();
    args.connection.download(call, &mut document)?;
    match &args.output {
        // The document contains no control characters.
        None => std::io::stdout().lock().write_all(&document)?,
        Some(output) => {
            let shown = visible(&output.display().to_string()).into_owned();
            let mut file = File::create_new(output).with_context(|| format!("could not create the file {shown}"))?;
            file.write_all(&document).with_context(|| format!("could not write the file {shown}"))?;
        }
    }
    if !String::from_utf8_lossy(&document).contains("<testcase ") {
        writeln!(anstream::stderr(), "monitor: this run has no tests; `cargo monitor test` records a run for each program of tests")?;
    }
    Ok(())
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let Contents { redact, report_bytes } = &args.contents;
    let of_html = [("--compare", args.compare.is_some()), ("--redact", !redact.is_empty()), ("--report-bytes", report_bytes.is_some())];
    if let Some((name, _)) = of_html.into_iter().find(|(_, is_given)| *is_given && !matches!(args.format, Format::Html)) {
        return Err(exit::Misused(format!("{name} needs --format html")).into());
    }
    args.contents.options()?;
    let format = match args.format {
        Format::Ndjson => ExportFormat::Ndjson,
        Format::Json => ExportFormat::Json,
        Format::Perfetto => ExportFormat::Perfetto,
        Format::Otlp => ExportFormat::Otlp,
        Format::Html => ExportFormat::Html,
        Format::Junit => ExportFormat::Junit,
    };
    let call = args.connection.client()?.export(&args.root, format);
    let call = report::with(call, args.compare.as_deref(), &args.contents);
    if matches!(args.format, Format::Junit) {
        return junit(args, call);
    }
    let Some(output) = &args.output else {
        // Every form is JSON: whatever names hold, none of it steers a terminal.
        args.connection.download(call, &mut Escaping::new(BufWriter::new(std::io::stdout().lock())))?;
        return Ok(());
    };
    let shown = visible(&output.display().to_string()).into_owned();
    let file = File::create_new(output).with_context(|| format!("could not make the file {shown}"))?;
    let mut out = BufWriter::new(file);
    let written = args.connection.download(call, &mut out).inspect_err(|_| {
        // Half a tree is none.
        let _ = std::fs::remove_file(output);
    })?;
    out.into_inner().map_err(std::io::IntoInnerError::into_error)?.sync_all()?;
    writeln!(anstream::stderr(), "{} in {shown}", bytes(written))?;
    Ok(())
}
