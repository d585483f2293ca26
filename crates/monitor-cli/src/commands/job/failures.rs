//! The hosts of a job that did not succeed, grouped by status, with the ends of their outputs.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;

use monitor_api::{Client, Error};
use monitor_wire::{HostStatus, JobHost};

use super::text::{host_style, hosts, status_words};
use crate::text::{Line, counted, now_us, terminal_width, visible};

/// Maximum number of hosts that are listed for a status.
const LISTED: usize = 10;
/// Number of lines of output that are shown for a host.
const LINES: usize = 3;
/// Number of bytes of output that are requested for these lines.
const BYTES: u64 = 2 << 10;

/// Prints the hosts that have ended without success.
pub(super) async fn print(client: &Client, job: u64, hosts: &[JobHost]) -> anyhow::Result<()> {
    let mut groups: BTreeMap<HostStatus, Vec<(&JobHost, Vec<String>)>> = BTreeMap::new();
    for host in hosts.iter().filter(|host| !host.status.is_open() && !host.status.is_success()) {
        let group = groups.entry(host.status).or_default();
        let lines = if group.len() < LISTED { last_lines(client, job, host).await? } else { Vec::new() };
        group.push((host, lines));
    }
    let mut out = anstream::stdout().lock();
    write!(out, "{}", render(job, &groups, terminal_width(), now_us()))?;
    Ok(out.flush()?)
}

/// Requests the end of a host's output.
async fn last_lines(client: &Client, job: u64, host: &JobHost) -> Result<Vec<String>, Error> {
    let Some(id) = host.host_id.filter(|_| host.output_bytes > 0) else { return Ok(Vec::new()) };
    let offset = host.output_bytes.saturating_sub(BYTES);
    let mut download = client.job_output(job, id, host.step_id, host.attempt, offset).open().await?;
    let mut bytes = Vec::new();
    while let Some(chunk) = download.chunk().await? {
        bytes.extend_from_slice(chunk.as_ref());
    }
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    Ok(lines[lines.len().saturating_sub(LINES)..].iter().map(|line| visible(line.trim_end()).into_owned()).collect())
}

fn render(job: u64, groups: &BTreeMap<HostStatus, Vec<(&JobHost, Vec<String>)>>, columns: Option<usize>, now_us: u64) -> String {
    let mut text = String::new();
    for (status, group) in groups {
        let mut head = Line::default();
        head.styled(host_style(*status), &status_words(*status));
        head.text(&format!(" (status {}): {}", status.0, counted(group.len() as u64, "host")));
        text.push_str(&head.finish(columns));
        let listed: Vec<&JobHost> = group.iter().take(LISTED).map(|(host, _)| *host).collect();
        let inner = columns.map(|columns| columns.saturating_sub(2));
        for (line, (_, output)) in hosts(&listed, inner, now_us).lines().zip(group) {
            let _ = writeln!(text, "  {line}");
            for line in output {
                text.push_str(&Line::default().text("    ").text(line).finish(columns));
            }
        }
        if group.len() > LISTED {
            let _ = writeln!(text, "  {} more: `monitor job hosts {job} --status {}`", group.len() - LISTED, status.0);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::job::text::tests::a_host;

    #[test]
    fn failed_hosts_are_grouped_by_status_and_none_is_left_out() {
        let mut failed = a_host("web-1", HostStatus::EXIT_CODE);
        failed.exit_code = Some(3);
        let gone: Vec<JobHost> = (0..12).map(|at| a_host(&format!("gone-{at}"), HostStatus::UNREACHABLE)).collect();
        let groups = BTreeMap::from([
            (HostStatus::EXIT_CODE, vec![(&failed, vec!["disk full".to_owned()])]),
            (HostStatus::UNREACHABLE, gone.iter().map(|host| (host, Vec::new())).collect()),
        ]);
        let text = anstream::adapter::strip_str(&render(7, &groups, Some(60), 0)).to_string();
        assert!(text.starts_with("exit code not 0 (status 104): 1 host\n  web-1  exit code 3      2.0 s\n    disk full\n"), "{text}");
        assert!(text.contains("agent not reachable (status 310): 12 hosts\n  gone-0  agent"), "{text}");
        assert!(text.ends_with("  2 more: `monitor job hosts 7 --status 310`\n") && !text.contains("gone-10"), "{text}");
    }
}
