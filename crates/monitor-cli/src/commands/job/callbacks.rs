//! `monitor job callbacks`

use std::io::Write as _;

use anstyle::{AnsiColor, Style};
use monitor_wire::{CallbackDelivery, DeliveryState};

use super::text::{job_style, job_words};
use crate::client::Connection;
use crate::exit;
use crate::text::{Line, counted, moment, one_line, terminal_width, width};

/// List the callbacks of a job and their deliveries, newest first
#[derive(Debug, clap::Args)]
#[command(after_help = format!("Examples:\n  monitor job callbacks 7\n  monitor job callbacks 7 --json\n\n{}", exit::SERVER))]
pub(super) struct Args {
    /// Number of the job
    job: u64,
    /// Only callbacks with a lower number
    #[arg(long, value_name = "NUMBER")]
    before: Option<u64>,
    /// Maximum number of callbacks
    #[arg(short = 'n', long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=200))]
    limit: u16,
    #[command(flatten)]
    connection: Connection,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let mut call = args.connection.client()?.job_callbacks(args.job).at_most(args.limit.into());
    if let Some(before) = args.before {
        call = call.before(before);
    }
    args.connection.show(call, |page| {
        let mut out = anstream::stdout().lock();
        write!(out, "{}", lines(&page.deliveries, terminal_width()))?;
        out.flush()?;
        // On stderr, so that stdout contains only the list.
        match page.next {
            Some(next) => writeln!(anstream::stderr(), "there are more: `--before {next}` lists older callbacks")?,
            None if page.deliveries.is_empty() => writeln!(anstream::stderr(), "no callbacks here")?,
            None => {}
        }
        Ok(())
    })
}

fn state(delivery: &CallbackDelivery) -> (Style, String) {
    match (delivery.state, delivery.next_us) {
        (DeliveryState::Waiting, Some(_)) if delivery.attempts == 0 => (Style::new().dimmed(), "waiting".to_owned()),
        (DeliveryState::Waiting, next_us) => {
            let next = next_us.map(|next| format!(", next at {}", moment(next))).unwrap_or_default();
            (AnsiColor::Yellow.on_default(), format!("failed {}{next}", counted(delivery.attempts.into(), "time")))
        }
        (DeliveryState::Delivered, _) => (AnsiColor::Green.on_default(), "delivered".to_owned()),
        (DeliveryState::GivenUp, _) => {
            (AnsiColor::Red.on_default(), format!("given up after {}", counted(delivery.attempts.into(), "attempt")))
        }
    }
}

/// Lines of callbacks: number, time, status of the job, delivery, and the receiver's answer.
fn lines(deliveries: &[CallbackDelivery], columns: Option<usize>) -> String {
    let numbers = deliveries.iter().map(|delivery| delivery.id.to_string().len()).max().unwrap_or(0);
    let words = |delivery: &CallbackDelivery| {
        let corrected = if delivery.callback.corrected { ", corrected" } else { "" };
        format!("{}{corrected}", job_words(delivery.callback.status))
    };
    let statuses = deliveries.iter().map(|delivery| width(&words(delivery))).max().unwrap_or(0);
    let states = deliveries.iter().map(|delivery| width(&state(delivery).1)).max().unwrap_or(0);
    let mut text = String::new();
    for delivery in deliveries {
        let mut line = Line::default();
        let time = moment(delivery.callback.time_us);
        let after_time = numbers + width(&time) + 4;
        line.right(&delivery.id.to_string(), numbers).text("  ").text(&time).column(after_time);
        line.styled(job_style(delivery.callback.status), &words(delivery)).column(after_time + statuses + 2);
        let (style, state) = state(delivery);
        line.styled(style, &state).column(after_time + statuses + states + 4);
        if let Some(answer) = &delivery.answer {
            line.text(&one_line(answer));
        }
        text.push_str(&line.finish(columns));
    }
    text
}
