//! Jobs and their hosts as text.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use monitor_wire::{HostStatus, Job, JobHost, JobStatus, JobStep};

use crate::text::{DURATION_COLUMNS, Line, counted, duration, fit, moment, one_line, thousands, visible, width};

/// Maximum width of the column of names.
const NAME_COLUMNS: usize = 40;

/// Color of a host's status.
pub(super) fn host_style(status: HostStatus) -> Style {
    match status {
        HostStatus::WAITING => Style::new().dimmed(),
        HostStatus::RUNNING => AnsiColor::Cyan.on_default(),
        status if status.is_success() => AnsiColor::Green.on_default(),
        HostStatus::UNREACHABLE | HostStatus::LOST | HostStatus::STOPPED | HostStatus::NO_AGENT => AnsiColor::Yellow.on_default(),
        _ => AnsiColor::Red.on_default(),
    }
}

/// Color of a job's or step's status.
pub(super) fn job_style(status: JobStatus) -> Style {
    match status {
        JobStatus::WAITING | JobStatus::SKIPPED | JobStatus::DISCARDED => Style::new().dimmed(),
        JobStatus::RUNNING | JobStatus::NEXT_BATCH => AnsiColor::Cyan.on_default(),
        JobStatus::SUCCEEDED => AnsiColor::Green.on_default(),
        JobStatus::FAILED | JobStatus::ABNORMAL => AnsiColor::Red.on_default(),
        _ => AnsiColor::Yellow.on_default(),
    }
}

/// Words for a status. A number that this version doesn't know is shown itself.
pub(super) fn status_words(status: HostStatus) -> String {
    if HostStatus::KNOWN.contains(&status) { status.as_str().to_owned() } else { format!("status {}", status.0) }
}

pub(super) fn job_words(status: JobStatus) -> String {
    if JobStatus::KNOWN.contains(&status) { status.as_str().to_owned() } else { format!("status {}", status.0) }
}

/// Words for the outcome of a host: `exit code 3`, or its status.
pub(super) fn outcome(host: &JobHost) -> String {
    match host.exit_code.filter(|_| host.status == HostStatus::EXIT_CODE) {
        Some(code) => format!("exit code {code}"),
        None => status_words(host.status),
    }
}

/// Time between two moments, or up to now.
fn elapsed(started_us: Option<u64>, ended_us: Option<u64>, now_us: u64) -> String {
    started_us.map_or_else(String::new, |started| duration(ended_us.unwrap_or(now_us).saturating_sub(started).saturating_mul(1_000)))
}

/// The step that runs or has run last.
pub(super) fn current(job: &Job) -> Option<&JobStep> {
    let is_begun = |step: &&JobStep| step.status != JobStatus::WAITING;
    job.steps.iter().rev().find(is_begun).or(job.steps.first())
}

/// Number of hosts of a step, and of those that have ended without success.
pub(super) fn failed_of(step: &JobStep) -> (u32, u32) {
    let status = |number: &u16| HostStatus(*number);
    let failed = step.counts.iter().filter(|(number, _)| !status(number).is_open() && !status(number).is_success());
    (step.counts.values().sum(), failed.map(|(_, count)| count).sum())
}

/// Numbers of hosts by status: `40 running, 5 succeeded`.
pub(super) fn counts_words(counts: &BTreeMap<u16, u32>) -> String {
    let words = counts.iter().filter(|(_, count)| **count > 0);
    let words = words.map(|(status, count)| format!("{} {}", thousands(u64::from(*count)), status_words(HostStatus(*status))));
    words.collect::<Vec<_>>().join(", ")
}

/// State of a job in one line: `job 7: 12 s, 50 hosts: 40 running, 10 succeeded`.
pub(super) fn summary(job: &Job, now_us: u64) -> String {
    let mut text = format!("job {}: {}", job.job_id, job_words(job.status));
    let time = elapsed(job.started_us, job.ended_us, now_us);
    if !time.is_empty() {
        let _ = write!(text, ", {time}");
    }
    let Some(step) = current(job) else { return text };
    if job.steps.len() > 1 {
        let at = job.steps.iter().position(|other| other.step_id == step.step_id).map_or(0, |at| at + 1);
        let _ = write!(text, ", step {at} of {} ({})", job.steps.len(), visible(&step.name));
    }
    if step.batch[1] > 1 {
        let _ = write!(text, ", batch {} of {}", step.batch[0], step.batch[1]);
    }
    let (hosts, _) = failed_of(step);
    let _ = write!(text, ", {}: {}", counted(hosts.into(), "host"), counts_words(&step.counts));
    text
}

/// Lines of hosts: name, outcome, duration, and the reason or the tag.
pub(super) fn hosts(hosts: &[&JobHost], columns: Option<usize>, now_us: u64) -> String {
    let most = columns.map_or(NAME_COLUMNS, |columns| NAME_COLUMNS.min(columns / 3));
    let names = hosts.iter().map(|host| width(&visible(&host.name)).min(most)).max().unwrap_or(0);
    let outcomes = hosts.iter().map(|host| width(&outcome(host))).max().unwrap_or(0);
    hosts.iter().map(|host| host_line(host, names, outcomes, now_us).finish(columns)).collect()
}

fn host_line(host: &JobHost, names: usize, outcomes: usize, now_us: u64) -> Line {
    let mut line = Line::default();
    line.text(&fit(&visible(&host.name), names)).column(names + 2).styled(host_style(host.status), &outcome(host));
    line.column(names + outcomes + 4).right(&elapsed(host.started_us, host.ended_us, now_us), DURATION_COLUMNS);
    if host.attempt > 1 {
        line.text(&format!("  attempt {}", host.attempt));
    }
    if let Some(tag) = &host.tag {
        line.text("  [").text(&visible(tag)).text("]");
    }
    if let Some(reason) = &host.reason {
        line.text("  ").text(&one_line(reason));
    }
    line
}

/// A line for a host that has ended.
pub(super) fn ended(host: &JobHost, now_us: u64) -> String {
    let name = width(&visible(&host.name)).clamp(16, NAME_COLUMNS);
    host_line(host, name, 19, now_us).finish(None)
}

/// Lines of jobs: number, status, name, hosts, duration, start and user.
pub(super) fn jobs(jobs: &[Job], columns: Option<usize>, now_us: u64) -> String {
    let most = columns.map_or(NAME_COLUMNS, |columns| NAME_COLUMNS.min(columns / 3));
    let numbers = jobs.iter().map(|job| job.job_id.to_string().len()).max().unwrap_or(0);
    let statuses = jobs.iter().map(|job| width(&job_words(job.status))).max().unwrap_or(0);
    let names = jobs.iter().map(|job| width(&visible(&job.name)).min(most)).max().unwrap_or(0);
    let mut text = String::new();
    for job in jobs {
        let mut line = Line::default();
        line.right(&job.job_id.to_string(), numbers).column(numbers + 2).styled(job_style(job.status), &job_words(job.status));
        line.column(numbers + statuses + 4).text(&fit(&visible(&job.name), most)).column(numbers + statuses + names + 6);
        line.right(&elapsed(job.started_us, job.ended_us, now_us), DURATION_COLUMNS);
        let (all, failed) = current(job).map_or((0, 0), failed_of);
        line.text("  ").right(&counted(all.into(), "host"), 11).text("  ");
        line.styled(
            AnsiColor::Red.on_default(),
            &if failed > 0 { format!("{:>6} failed", thousands(failed.into())) } else { " ".repeat(13) },
        );
        line.text("  ").text(&moment(job.created_us)).text("  ").text(&visible(&job.by));
        text.push_str(&line.finish(columns));
    }
    text
}

/// A job with its steps.
pub(super) fn job(job: &Job, columns: Option<usize>, now_us: u64) -> String {
    let mut text = String::new();
    let mut line = Line::default();
    line.text(&format!("job {}  {}  ", job.job_id, visible(&job.name))).styled(job_style(job.status), &job_words(job.status));
    text.push_str(&line.finish(columns));
    let account = job.account.as_ref().map(|account| format!(" as {account}")).unwrap_or_default();
    let mut line = Line::default();
    line.text(&visible(&format!("by {}{account}, {}", job.by, moment(job.created_us))));
    let time = elapsed(job.started_us, job.ended_us, now_us);
    if !time.is_empty() {
        line.text(", ").text(&time);
    }
    text.push_str(&line.finish(columns));
    text.push_str(&Line::default().text(&visible(&format!("run {}", job.root_id))).finish(columns));
    for (word, other) in [("follows", job.follows), ("is followed by", job.followed_by)] {
        let Some(other) = other else { continue };
        text.push_str(&Line::default().text(&format!("{word} job {other}")).finish(columns));
    }
    for warning in &job.warnings {
        text.push_str(&Line::default().styled(AnsiColor::Yellow.on_default(), &visible(warning)).finish(columns));
    }
    for step in &job.steps {
        let mut line = Line::default();
        line.text(&format!("step {}  {}  ", step.step_id, visible(&step.name))).styled(job_style(step.status), &job_words(step.status));
        if step.attempt > 1 {
            line.text(&format!("  attempt {}", step.attempt));
        }
        if step.batch[1] > 1 {
            line.text(&format!("  batch {} of {}", step.batch[0], step.batch[1]));
        }
        text.push_str(&line.finish(columns));
        for (status, count) in step.counts.iter().filter(|(_, count)| **count > 0) {
            let status = HostStatus(*status);
            let mut line = Line::default();
            line.right(&thousands(u64::from(*count)), 9).text("  ").styled(host_style(status), &status_words(status));
            text.push_str(&line.finish(columns));
        }
    }
    text
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::commands::job) fn a_host(name: &str, status: HostStatus) -> JobHost {
        JobHost {
            step_id: 70,
            host_id: Some(1),
            name: name.to_owned(),
            ip: None,
            cloud_id: 0,
            status,
            attempt: 1,
            exit_code: None,
            tag: None,
            reason: None,
            started_us: Some(1_000_000),
            ended_us: Some(3_000_000),
            output_bytes: 0,
            omitted_bytes: 0,
        }
    }

    pub(in crate::commands::job) fn a_job(status: JobStatus, counts: &[(HostStatus, u32)]) -> Job {
        let step = JobStep {
            step_id: 70,
            name: "check.sh".to_owned(),
            status,
            attempt: 1,
            batch: [1, 1],
            started_us: Some(1_000_000),
            ended_us: None,
            counts: counts.iter().map(|(status, count)| (status.0, *count)).collect(),
        };
        Job {
            job_id: 7,
            name: "check\u{1b}[31m".to_owned(),
            root_id: "01".to_owned(),
            status,
            follows: None,
            followed_by: None,
            by: "ada".to_owned(),
            account: None,
            warnings: Vec::new(),
            created_us: 1_000_000,
            started_us: Some(1_000_000),
            ended_us: None,
            steps: vec![step],
        }
    }

    fn plain(text: &str) -> String {
        anstream::adapter::strip_str(text).to_string()
    }

    #[test]
    fn a_summary_counts_the_hosts_by_status() {
        let counts = [(HostStatus::RUNNING, 40), (HostStatus::SUCCEEDED, 8), (HostStatus::EXIT_CODE, 2), (HostStatus(777), 1)];
        let mut job = a_job(JobStatus::RUNNING, &counts);
        let hosts = "51 hosts: 40 running, 8 succeeded, 2 exit code not 0, 1 status 777";
        assert_eq!(summary(&job, 13_000_000), format!("job 7: running, 12.0 s, {hosts}"));
        assert_eq!(failed_of(&job.steps[0]), (51, 3));
        job.steps[0].batch = [2, 5];
        let next =
            JobStep { step_id: 71, name: "b".to_owned(), status: JobStatus::WAITING, counts: BTreeMap::new(), ..job.steps[0].clone() };
        job.steps.push(next);
        assert_eq!(summary(&job, 13_000_000), format!("job 7: running, 12.0 s, step 1 of 2 (check.sh), batch 2 of 5, {hosts}"));
    }

    #[test]
    fn hosts_align_and_their_texts_are_harmless() {
        let mut failed = a_host("b\u{1b}[2J", HostStatus::EXIT_CODE);
        (failed.exit_code, failed.attempt, failed.tag) = (Some(3), 2, Some("disk".to_owned()));
        let mut gone = a_host("a-host-with-a-long-name.example.com", HostStatus::UNREACHABLE);
        (gone.reason, gone.started_us, gone.ended_us) = (Some("no contact for 20 s".to_owned()), None, None);
        let text = plain(&hosts(&[&failed, &gone], None, 0));
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].ends_with(" 2.0 s  attempt 2  [disk]") && !text.contains('\u{1b}'), "{text}");
        let column = |line: &str, word: &str| width(line.split_once(word).unwrap().0);
        assert_eq!(column(lines[0], "exit code 3"), column(lines[1], "agent not"), "{text}");
        assert!(lines[1].contains(".com  agent not reachable  ") && lines[1].ends_with("  no contact for 20 s"), "{text}");
        let narrow = plain(&hosts(&[&failed, &gone], Some(40), 0));
        assert!(narrow.lines().all(|line| width(line) <= 40) && narrow.contains("agent not reachable"), "{narrow}");
    }

    #[test]
    fn lists_and_details_of_jobs_show_the_failed_hosts() {
        let counts = [(HostStatus::SUCCEEDED, 1_200), (HostStatus::TIMED_OUT, 3)];
        let job = a_job(JobStatus::FAILED, &counts);
        let text = plain(&jobs(std::slice::from_ref(&job), None, 3_000_000));
        assert!(text.starts_with("7  failed  check") && text.contains("1,203 hosts       3 failed") && !text.contains('\u{1b}'), "{text}");
        let text = plain(&super::job(&job, None, 3_000_000));
        assert!(text.contains("step 70  check.sh  failed") && text.contains("\n    1,200  succeeded\n        3  timed out\n"), "{text}");
    }
}
