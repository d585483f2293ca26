//! `monitor job result`

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::Write as _;

use anstyle::{AnsiColor, Style};
use monitor_wire::{HostMessage, JobHost, JobResult, MessageLevel, OutputShape};

use super::all_hosts;
use super::text::{counts_words, job_style, job_words};
use crate::client::{Connection, print_json};
use crate::exit;
use crate::text::{Line, counted, terminal_width, thousands, visible};

/// Maximum number of groups, of hosts named in a group, and of lines shown of its output.
const MOST_GROUPS: usize = 10;
const MOST_NAMES: usize = 10;
const MOST_LINES: usize = 5;
/// Maximum number of messages.
const MOST_MESSAGES: usize = 100;

const EXAMPLES: &str = "\
Examples:
  monitor job result 7
  monitor job result 7 --step 12
  monitor job result 7 --json

Hosts whose output is the same apart from numbers are in one group. Messages are lines of output of the form
{\"status\": false, \"data\": [{\"module\": \"disk\", \"item\": \"/data\", \"status\": false, \"message\": \"92 % full\"}]}.";

/// Show the outcome of a step: hosts by status and tag, groups of hosts with the same output, and messages
#[derive(Debug, clap::Args)]
#[command(after_help = format!("{EXAMPLES}\n\n{}", exit::SERVER))]
pub(super) struct Args {
    /// Number of the job
    job: u64,
    /// Number of the step [default: the last one that has begun]
    #[arg(long, value_name = "NUMBER")]
    step: Option<u64>,
    #[command(flatten)]
    connection: Connection,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let connection = &args.connection;
    let client = connection.client()?;
    let mut call = client.job_result(args.job);
    if let Some(step) = args.step {
        call = call.step(step);
    }
    let result = connection.ask(call)?;
    if connection.json {
        return print_json(&serde_json::to_value(&result)?);
    }
    let hosts = connection.wait(all_hosts(client, args.job, Some(result.step_id)))?;
    let mut out = anstream::stdout().lock();
    write!(out, "{}", render(&result, &hosts, terminal_width()))?;
    Ok(out.flush()?)
}

fn render(result: &JobResult, hosts: &[JobHost], columns: Option<usize>) -> String {
    let mut text = String::new();
    let mut line = Line::default();
    line.text(&format!("job {}  step {}  ", result.job_id, result.step_id)).styled(job_style(result.status), &job_words(result.status));
    text.push_str(&line.finish(columns));
    let count = |of: u64| counted(of, "host");
    let all: u64 = result.counts.values().map(|count| u64::from(*count)).sum();
    text.push_str(&Line::default().text(&format!("{}: {}", count(all), counts_words(&result.counts))).finish(columns));
    if !result.tags.is_empty() {
        let tags: Vec<_> = result.tags.iter().map(|(tag, hosts)| format!("{} {}", thousands(u64::from(*hosts)), visible(tag))).collect();
        text.push_str(&Line::default().text(&format!("tags: {}", tags.join(", "))).finish(columns));
    }
    let names: HashMap<u64, &str> = hosts.iter().filter_map(|host| Some((host.host_id?, host.name.as_str()))).collect();
    for shape in result.shapes.iter().take(MOST_GROUPS) {
        text.push_str(&group(shape, &names, columns));
    }
    if result.shapes.len() > MOST_GROUPS {
        let _ = writeln!(text, "{} more groups: `monitor job result {} --json`", result.shapes.len() - MOST_GROUPS, result.job_id);
    }
    for message in result.messages.iter().take(MOST_MESSAGES) {
        text.push_str(&message_line(message).finish(columns));
    }
    if result.messages.len() > MOST_MESSAGES {
        let _ = writeln!(text, "{} more messages: `monitor job result {} --json`", result.messages.len() - MOST_MESSAGES, result.job_id);
    }
    if result.is_cut {
        text.push_str("Some messages or groups are missing, because there are too many.\n");
    }
    text
}

/// A group of hosts with the same output, and the beginning of this output.
fn group(OutputShape { hosts, example }: &OutputShape, names: &HashMap<u64, &str>, columns: Option<usize>) -> String {
    let shown = hosts.iter().take(MOST_NAMES).map(|id| names.get(id).map_or_else(|| id.to_string(), |name| visible(name).into_owned()));
    let more = hosts.len().saturating_sub(MOST_NAMES);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let head = format!("output of {}: {}{more}", counted(hosts.len() as u64, "host"), shown.collect::<Vec<_>>().join(", "));
    let mut text = Line::default().text(&head).finish(columns);
    let lines: Vec<&str> = example.lines().collect();
    for line in lines.iter().take(MOST_LINES) {
        text.push_str(&Line::default().text("  ").text(&visible(line)).finish(columns));
    }
    if lines.len() > MOST_LINES {
        text.push_str("  …\n");
    }
    text
}

fn message_line(HostMessage { host, level, module, item, text, .. }: &HostMessage) -> Line {
    let (word, style) = match level {
        MessageLevel::Normal => ("ok", Style::new()),
        MessageLevel::Warning => ("warning", AnsiColor::Yellow.on_default()),
        MessageLevel::Error => ("error", AnsiColor::Red.on_default()),
    };
    let mut line = Line::default();
    line.styled(style, word).column(9).text(&visible(host)).column(26);
    for part in [module, item].into_iter().filter(|part| !part.is_empty()) {
        line.text(&visible(part)).text("  ");
    }
    line.text(&visible(text));
    line
}

#[cfg(test)]
mod tests {
    use monitor_wire::{HostStatus, JobStatus};

    use super::*;
    use crate::commands::job::text::tests::a_host;

    #[test]
    fn a_result_shows_counts_tags_groups_and_messages_without_control_characters() {
        let message = |level, module: &str, text: &str| HostMessage {
            host_id: 1,
            host: "web-1".to_owned(),
            level,
            module: module.to_owned(),
            item: String::new(),
            text: text.to_owned(),
        };
        let hosts: Vec<JobHost> =
            (1..=12).map(|id| JobHost { host_id: Some(id), ..a_host(&format!("web-{id}"), HostStatus::SUCCEEDED) }).collect();
        let result = JobResult {
            job_id: 7,
            step_id: 70,
            status: JobStatus::FAILED,
            counts: [(HostStatus::SUCCEEDED.0, 11), (HostStatus::EXIT_CODE.0, 1)].into(),
            tags: [("old".to_owned(), 2)].into(),
            shapes: vec![
                OutputShape { hosts: (1..=11).collect(), example: "1\n2\n3\n4\n5\n6".to_owned() },
                OutputShape { hosts: vec![99], example: "bad\u{1b}[31m".to_owned() },
            ],
            messages: vec![message(MessageLevel::Error, "disk", "92 % full"), message(MessageLevel::Normal, "", "fine")],
            is_cut: true,
        };
        let text = anstream::adapter::strip_str(&render(&result, &hosts, None)).to_string();
        let expected = "job 7  step 70  failed\n\
            12 hosts: 11 succeeded, 1 exit code not 0\n\
            tags: 2 old\n\
            output of 11 hosts: web-1, web-2, web-3, web-4, web-5, web-6, web-7, web-8, web-9, web-10 and 1 more\n  1\n  2\n  3\n  4\n  5\n  …\n\
            output of 1 host: 99\n  bad";
        assert!(text.starts_with(expected) && !text.contains('\u{1b}'), "{text}");
        assert!(text.contains("error    web-1            disk  92 % full\nok       web-1            fine\n"), "{text}");
        assert!(text.ends_with("there are too many.\n"), "{text}");
    }
}
