//! `monitor notify` and `monitor progress`

use clap::builder::{PossibleValue, PossibleValuesParser};
use serde_json::json;

use super::within::Within;
use crate::client::Connection;
use crate::exit;

const NOTIFY_EXAMPLES: &str = "\
Examples:
  monitor notify \"3 prices are missing\" --text \"gold, silver, tin\"
  monitor notify --severity critical --key prices \"no prices at all\"

The notification belongs to the process that started the command: a run of a batch task, or a process below `monitor run`. If the \
server is unreachable, the notification is sent later.";

/// Send a notification from inside a run
#[derive(Debug, clap::Args)]
#[command(after_help = format!("{NOTIFY_EXAMPLES}\n\n{}", exit::SERVER))]
pub(crate) struct Notify {
    /// Title of the notification, in a few words
    title: String,
    /// Details
    #[arg(long)]
    text: Option<String>,
    /// Severity, as in the rules of alerts
    #[arg(long, default_value = "warning", value_parser = severities())]
    severity: String,
    /// Key of the subject; notifications with the same key belong together
    #[arg(long)]
    key: Option<String>,
    #[command(flatten)]
    connection: Connection,
}

pub(crate) fn notify(args: &Notify) -> anyhow::Result<()> {
    let Notify { title, text, severity, key, connection } = args;
    // Two severities have other names in events than on the command line.
    let severity = match severity.as_str() {
        "critical" => "error",
        "warning" => "warn",
        other => other,
    };
    let fields = json!({ "severity": severity, "title": title, "text": text, "key": key });
    Within::find()?.tell(connection, "process-notified", fields)
}

fn severities() -> PossibleValuesParser {
    PossibleValuesParser::new([
        PossibleValue::new("info"),
        PossibleValue::new("warning").alias("warn"),
        PossibleValue::new("critical").alias("error"),
    ])
}

const PROGRESS_EXAMPLES: &str = "\
Examples:
  monitor progress 40/100
  monitor progress 12 --unit files

The progress belongs to the process that started the command: a run of a batch task, or a process below `monitor run`. If the server is \
unreachable, it is sent later.";

/// Report the progress of a run from inside it
#[derive(Debug, clap::Args)]
#[command(after_help = format!("{PROGRESS_EXAMPLES}\n\n{}", exit::SERVER))]
pub(crate) struct Progress {
    /// Amount done, with the total if it is known, such as 40 or 40/100
    #[arg(value_parser = amount)]
    done: Amount,
    /// Unit of the amount, such as files
    #[arg(long)]
    unit: Option<String>,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Clone, Copy)]
struct Amount {
    done: f64,
    total: Option<f64>,
}

fn amount(text: &str) -> Result<Amount, String> {
    let number = |text: &str| text.trim().parse::<f64>().ok().filter(|number| number.is_finite() && *number >= 0.0);
    let (done, total) = text.split_once('/').map_or((text, None), |(done, total)| (done, Some(total)));
    let read = number(done).zip(total.map_or(Some(None), |total| number(total).map(Some)));
    read.map(|(done, total)| Amount { done, total }).ok_or_else(|| "expected numbers such as 40/100 or 40".to_owned())
}

pub(crate) fn progress(args: &Progress) -> anyhow::Result<()> {
    let Amount { done, total } = args.done;
    Within::find()?.tell(&args.connection, "process-progressed", json!({ "done": done, "total": total, "unit": args.unit }))
}
