//! `monitor list`

use std::fmt::Write as _;
use std::io::Write as _;

use monitor_wire::{Progress, Root, RootsPage, State};

use crate::client::Connection;
use crate::exit;
use crate::text::{
    DURATION_COLUMNS, Line, STATES, attempt, elapsed, ended_by, error_line, fit, glyph, moment, now_us, style, terminal_width, thousands,
    visible, width,
};

const EXAMPLES: &str = "\
Examples:
  monitor list                                List the newest runs
  monitor list --state failed,lost            List failed and lost runs
  monitor list --name 'nightly build' --batch batch001
  monitor list --worker build-7               List runs of programs on a host
  monitor list --q 'no such table' --limit 5  Search names and errors
  monitor list --unattached=false             Hide runs without a context
  monitor list --json | jq -r '.roots[].root_id'

A line has the state, the name with the batch mark and the number of the run, its start, its duration and its number of processes. Other \
commands take the number: `monitor show 2106`.";

/// Maximum width of a title, so that the other columns fit.
const TITLE_COLUMNS: usize = 60;

/// List runs, most recently started first
#[derive(Debug, clap::Args)]
#[command(after_help = format!("{EXAMPLES}\n\n{}", exit::SERVER))]
pub(crate) struct Args {
    /// Only runs in these states, separated by commas
    #[arg(long, value_name = "STATES", value_delimiter = ',', value_parser = ["pending", "running", "retrying", "succeeded", "failed", "cancelled", "lost"])]
    state: Vec<String>,
    /// Only runs with exactly this name
    #[arg(long)]
    name: Option<String>,
    /// Only runs with exactly this batch mark
    #[arg(long)]
    batch: Option<String>,
    /// Only runs of this worker: its id, host or name (program@host), or a glob for the name
    #[arg(long)]
    worker: Option<String>,
    /// Only runs that began because a call had no context; `--unattached=false` excludes these runs
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    unattached: Option<bool>,
    /// Only runs with this text in the name, batch mark, error or its causes, ignoring case; or with this number; or with an id that begins
    /// with this text
    #[arg(long, value_name = "TEXT")]
    q: Option<String>,
    /// Maximum number of runs
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=1000))]
    limit: u16,
    #[command(flatten)]
    connection: Connection,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let mut call = args.connection.client()?.roots().limit(args.limit.into());
    if !args.state.is_empty() {
        call = call.states(&args.state);
    }
    for (name, value) in [("name", &args.name), ("batch", &args.batch), ("worker", &args.worker), ("q", &args.q)] {
        if let Some(value) = value {
            call = call.parameter(name, value);
        }
    }
    if let Some(is_wanted) = args.unattached {
        call = call.unattached(is_wanted);
    }
    args.connection.show(call, |page| print(&page))
}

fn print(page: &RootsPage) -> anyhow::Result<()> {
    let mut out = anstream::stdout().lock();
    out.write_all(render(&page.roots, terminal_width(), now_us()).as_bytes())?;
    out.flush()?;
    // On stderr, so that stdout contains only the list.
    if page.roots.is_empty() {
        writeln!(anstream::stderr(), "no runs found")?;
    } else if page.next_cursor.is_some() {
        writeln!(anstream::stderr(), "there are more: see them with --limit, up to 1000, or with a filter")?;
    }
    Ok(())
}

fn render(roots: &[Root], columns: Option<usize>, now_us: u64) -> String {
    let titles: Vec<_> = roots.iter().map(|root| fit(&visible(&root.title), TITLE_COLUMNS).into_owned()).collect();
    let title_columns = titles.iter().map(|title| width(title)).max().unwrap_or(0);
    let state_columns = roots.iter().map(|root| width(&visible(root.state.as_str()))).max().unwrap_or(0);
    let mut text = String::new();
    for (root, title) in roots.iter().zip(&titles) {
        let style = style(&root.state);
        let mut line = Line::default();
        line.styled(style, glyph(&root.state)).text(" ").text(title);
        line.column(title_columns + 4).styled(style, &visible(root.state.as_str()));
        line.column(title_columns + state_columns + 6).text(&root.started_us.map(moment).unwrap_or_default());
        line.column(title_columns + state_columns + 27);
        line.right(&elapsed(&root.state, root.elapsed_ns, root.started_us, now_us), DURATION_COLUMNS).text("  ").text(&processes(root));
        if let Some(progress) = root.progress.as_ref().filter(|_| root.state == State::RUNNING) {
            line.text("  ").text(&visible(&progress_text(progress)));
        }
        if let Some(number) = root.attempt {
            line.text("  ").text(&attempt(number, root.attempts_of, root.next_attempt_us, now_us));
        }
        if let Some(error) = &root.error {
            line.text("  ").styled(style, &error_line(error)).text(&ended_by(error));
        }
        text.push_str(&line.finish(columns));
    }
    text
}

/// Progress as the program reported it: `7,200 / 10,000 files`.
fn progress_text(progress: &Progress) -> String {
    let number =
        |number: f64| if number.fract() == 0.0 && (0.0..1e15).contains(&number) { thousands(number as u64) } else { number.to_string() };
    let total = progress.total.map(|total| format!(" / {}", number(total))).unwrap_or_default();
    let unit = progress.unit.as_ref().map(|unit| format!(" {unit}")).unwrap_or_default();
    format!("{}{total}{unit}", number(progress.done))
}

/// Number of processes, followed by the counts of states that are unfinished or unsuccessful.
fn processes(root: &Root) -> String {
    let mut counts = root.counts;
    let mut text = format!("{:>7}", thousands(counts.total()));
    for state in &STATES[..5] {
        let count = *counts.of(state);
        if count > 0 {
            let _ = write!(text, " {}{}", glyph(state), thousands(count));
        }
    }
    text
}
