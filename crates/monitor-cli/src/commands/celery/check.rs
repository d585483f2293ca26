//! `monitor celery check`

use std::io::Write as _;
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use monitor_celery::{CheckedNode, Report};
use serde_json::json;

use super::Cluster;
use crate::exit::Unanswered;
use crate::text::{Line, duration, print_json, terminal_width, visible, width};

const EXAMPLES: &str = "\
Examples:
  monitor celery check amqp://localhost
  monitor celery check redis://cache.example.com/0 --password-file /etc/monitor/redis.password

Exit codes:
  0  the cluster can be monitored
  1  failure, such as refused credentials, or a missing virtual host or permission
  2  wrong usage
  3  broker not reached
  5  no worker answered";

/// Difference of clocks that is reported, in seconds. Messages take less time.
const CLOCK_LIMIT: f64 = 2.0;

/// Show whether a cluster can be monitored: its broker, permissions, workers, and whether they send events
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    #[command(flatten)]
    cluster: Cluster,
    /// Wait for the answers of workers
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = super::super::asking::read_timeout)]
    timeout: Duration,
    /// Print JSON instead of text
    #[arg(short = 'j', long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let broker = args.cluster.broker()?;
    let results = args.cluster.results(&broker)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let report = runtime.block_on(monitor_celery::check(&broker, results.as_ref(), &args.cluster.options(), args.timeout))?;
    if args.json {
        print_json(&in_json(&report))?;
    } else {
        write!(anstream::stdout(), "{}", render(&report, terminal_width()))?;
    }
    if let Some(why) = &report.events {
        anyhow::bail!("events can't be read: {why}");
    }
    if report.nodes.is_empty() {
        return Err(Unanswered::NobodyMeant.into());
    }
    Ok(())
}

fn in_json(report: &Report) -> serde_json::Value {
    let node = |node: &CheckedNode| {
        let CheckedNode { name, version, pool, sends_events, queues, clock_ahead } = node;
        json!({"name": name, "version": version, "pool": pool, "sends_events": sends_events, "queues": queues, "clock_ahead_s": clock_ahead})
    };
    let nodes: Vec<_> = report.nodes.iter().map(node).collect();
    let readable = |why: &Option<String>| why.clone().unwrap_or_else(|| "readable".to_owned());
    let results = report.results.as_ref().map(|(_, why)| readable(why));
    json!({"broker": report.broker, "events": readable(&report.events), "results": results, "nodes": nodes})
}

fn render(report: &Report, columns: Option<usize>) -> String {
    let first = report.nodes.iter().map(|node| width(&visible(&node.name))).chain([7]).max().unwrap_or(7) + 2;
    let good = AnsiColor::Green.on_default();
    let bad = AnsiColor::Red.on_default();
    let mut text = String::new();
    let mut line = |name: &str, style: Style, words: &str| {
        let mut line = Line::default();
        line.text(&visible(name)).column(first).styled(style, &visible(words));
        text.push_str(&line.finish(columns));
    };
    line("broker", good, &format!("connected to {}", report.broker));
    match &report.events {
        None => line("events", good, "can be read"),
        Some(why) => line("events", bad, &format!("can't be read: {why}")),
    }
    match &report.results {
        None => line("results", bad, "not known: name their Redis by --results, so that a missed end of a task can be found out"),
        Some((place, None)) => line("results", good, &format!("can be read from {place}")),
        Some((_, Some(why))) => line("results", bad, &format!("can't be read: {why}")),
    }
    for node in &report.nodes {
        let queues = format!("queues {}", node.queues.join(", "));
        let facts = [node.version.as_deref(), node.pool.as_deref(), (!node.queues.is_empty()).then_some(&queues)];
        let facts = facts.into_iter().flatten().collect::<Vec<_>>().join("  ");
        line(&node.name, Style::new(), &facts);
        if node.sends_events != Some(true) {
            line(
                "",
                bad,
                "events are off in its settings: start it with -E, set worker_send_task_events = True, or use `bridge --enable-events`",
            );
        }
        if let Some(ahead) = node.clock_ahead.filter(|ahead| ahead.abs() > CLOCK_LIMIT) {
            let (by, place) = (duration((ahead.abs() * 1e9) as u64), if ahead > 0.0 { "ahead of" } else { "behind" });
            line("", bad, &format!("its clock is {by} {place} this machine's: set both, for example by NTP"));
        }
    }
    if report.nodes.is_empty() {
        line("workers", bad, "none has answered: is one running, with worker_enable_remote_control = True (the default)?");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_names_the_fault_and_the_remedy() {
        let node = |name: &str, sends_events| CheckedNode {
            name: name.to_owned(),
            version: Some("celery 5.6.3".to_owned()),
            pool: Some("prefork 4".to_owned()),
            sends_events,
            queues: vec!["celery".to_owned(), "mail".to_owned()],
            clock_ahead: None,
        };
        let clock = |clock_ahead| CheckedNode { clock_ahead: Some(clock_ahead), ..node("w3@h3", Some(true)) };
        let report = Report {
            broker: "redis://h:6379/0".to_owned(),
            events: None,
            results: Some(("redis://h:6379/1".to_owned(), None)),
            nodes: vec![node("w1@h2", Some(true)), node("w2@h2", Some(false)), clock(-0.7), clock(-90.2), clock(86_400.0)],
        };
        let text = anstream::adapter::strip_str(&render(&report, None)).to_string();
        assert_eq!(
            text,
            "broker   connected to redis://h:6379/0\n\
             events   can be read\n\
             results  can be read from redis://h:6379/1\n\
             w1@h2    celery 5.6.3  prefork 4  queues celery, mail\n\
             w2@h2    celery 5.6.3  prefork 4  queues celery, mail\n         \
             events are off in its settings: start it with -E, set worker_send_task_events = True, or use `bridge --enable-events`\n\
             w3@h3    celery 5.6.3  prefork 4  queues celery, mail\n\
             w3@h3    celery 5.6.3  prefork 4  queues celery, mail\n         \
             its clock is 1 m 30 s behind this machine's: set both, for example by NTP\n\
             w3@h3    celery 5.6.3  prefork 4  queues celery, mail\n         \
             its clock is 1 d 00 h ahead of this machine's: set both, for example by NTP\n"
        );
        let empty = Report { results: None, events: Some("ACCESS_REFUSED".to_owned()), nodes: Vec::new(), ..report };
        let text = anstream::adapter::strip_str(&render(&empty, None)).to_string();
        assert!(
            text.contains("can't be read: ACCESS_REFUSED") && text.contains("--results") && text.contains("none has answered"),
            "{text}"
        );
    }
}
