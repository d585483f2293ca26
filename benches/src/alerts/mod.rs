//! Measures the delay and number of alert messages: `cargo xtask bench alerts`.
//!
//! Ours is the real `monitor server` with its built-in rules and a webhook. It is compared with Debian's Alertmanager with `group_wait` 0
//! and the same receiver.

mod receiver;
mod teller;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::ValueEnum;

use self::receiver::Receiver;
use self::teller::{Address, Alert, Kind, Teller};
use crate::machine;
use crate::options::RivalOptions;
use crate::report::{Bound, Column, Row, Samples, Section, Table, Target, progress};

/// Number of alerts in one request, for both.
const AT_ONCE: usize = 500;
/// Interval between two alerts whose delay is measured; `KILLED_PACE` applies while a sender is killed.
const PACE: Duration = Duration::from_millis(50);
const KILLED_PACE: Duration = Duration::from_millis(10);
/// Delay before a killed sender is started again, the default of systemd.
const RESTART: Duration = Duration::from_millis(100);
/// Alerts of a group are sent within half a minute; after this time without a message, no further one is expected.
const QUIET: Duration = Duration::from_secs(40);
/// Longest time that messages are waited for.
const LONGEST: Duration = Duration::from_mins(3);

/// How alerts are measured.
pub(crate) type Options = RivalOptions<Measurement>;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Measurement {
    /// From the acknowledgement of an alert to the request at the receiver.
    Soon,
    /// 10,000 alerts of 100 causes at once: messages, processor, memory.
    Flood,
    /// Messages that are lost or sent twice while the sender is killed 20 times.
    Killed,
}

impl Measurement {
    pub(crate) fn run(self, options: &Options) -> Result<Section> {
        match self {
            Self::Soon => soon(options),
            Self::Flood => flood(options),
            Self::Killed => killed(options),
        }
    }
}

impl Options {
    fn kinds(&self) -> impl Iterator<Item = Kind> {
        Kind::ALL.into_iter().filter(|kind| kind.name().contains(&self.row))
    }

    fn start(&self, kind: Kind) -> Result<(Receiver, Teller)> {
        progress(kind.name());
        let receiver = Receiver::start()?;
        let teller = Teller::start(kind, &receiver, &self.monitor, &self.rivals)?;
        // The rules are read by then, and the first connection is made.
        let mut connection = None;
        teller.address().send(&mut connection, &[Alert::new(0, 0)])?;
        receiver.wait_until_quiet(Duration::from_secs(2), LONGEST);
        Ok((receiver, teller))
    }
}

fn soon(options: &Options) -> Result<Section> {
    let count = if options.quick { 20 } else { 200 };
    let columns = ["p50", "p95", "most"].map(|name| Column::new(name, 1)).to_vec();
    let mut table = Table { title: format!("{count} alerts, ms"), columns, rows: Vec::new() };
    let mut targets = Vec::new();
    for kind in options.kinds() {
        let (receiver, teller) = options.start(kind)?;
        let (address, mut connection, mut sent) = (teller.address(), None, Vec::new());
        for number in 1..=count {
            let alert = Alert::new(number, number);
            sent.push((alert.name.clone(), address.send(&mut connection, &[alert])?));
            std::thread::sleep(PACE);
        }
        receiver.wait_until_quiet(Duration::from_secs(2), LONGEST);
        let told = receiver.told();
        let mut samples = Samples::default();
        for (name, stored) in sent {
            let first = told.get(&name).and_then(|messages| messages.first()).with_context(|| format!("no message about {name}"))?;
            // The message may overtake the answer.
            samples.add(first.at.saturating_duration_since(stored).as_secs_f64() * 1e3);
        }
        let figures = [0.5, 0.95, 1.0].map(|part| Some(samples.quantile(part))).to_vec();
        table.rows.push(Row { name: kind.name().to_owned(), figures });
        if kind == Kind::Ours {
            targets.push(Target::new("stored until requested, ms, p95", samples.quantile(0.95), Bound::AtMost(300.0)));
        }
    }
    let note = format!("From the answer to whoever sent the alert, which is stored then, to the request at a webhook. {}", load());
    let notes = vec![note, "Alertmanager stores no alert: it answers when it has it in memory.".to_owned()];
    Ok(Section { title: "Alerts: how soon somebody hears", tables: vec![table], notes, targets })
}

fn flood(options: &Options) -> Result<Section> {
    let (count, causes) = if options.quick { (1_000, 10) } else { (10_000, 100) };
    let names =
        ["messages", "about, alerts", "all taken after, s", "first told after, s", "last of the first, s", "processor, s", "RSS MiB"];
    let columns =
        names.into_iter().enumerate().map(|(place, name)| Column::new(name, if (2..6).contains(&place) { 2 } else { 0 })).collect();
    let mut table = Table { title: format!("{count} alerts, {causes} causes"), columns, rows: Vec::new() };
    let mut targets = Vec::new();
    for kind in options.kinds() {
        let (receiver, teller) = options.start(kind)?;
        let (before, cpu, begin) = (receiver.messages().len(), teller.cpu_seconds()?, Instant::now());
        let (address, mut connection) = (teller.address(), None);
        let alerts: Vec<_> = (1..=count).map(|number| Alert::new(number, 1 + number % causes)).collect();
        for alerts in alerts.chunks(AT_ONCE) {
            address.send(&mut connection, alerts)?;
        }
        let taken = begin.elapsed().as_secs_f64();
        receiver.wait_until_quiet(QUIET, LONGEST);
        let messages = receiver.messages().split_off(before);
        let after = |message: &receiver::Message| message.at.saturating_duration_since(begin).as_secs_f64();
        let about: BTreeSet<_> = messages.iter().flat_map(|message| &message.names).collect();
        // Each cause has a first message, and later messages about alerts that joined it.
        let firsts = messages.get(causes as usize - 1).map(after);
        let cpu = teller.cpu_seconds()? - cpu;
        let figures = vec![
            Some(messages.len() as f64),
            Some(about.len() as f64),
            Some(taken),
            messages.first().map(after),
            firsts,
            Some(cpu),
            Some(teller.peak_mib()?),
        ];
        table.rows.push(Row { name: kind.name().to_owned(), figures });
        if kind == Kind::Ours {
            targets.push(Target::new("messages for a cause", messages.len() as f64 / causes as f64, Bound::AtMost(2.0)));
        }
    }
    let notes = vec![
        "A message of ours names one of its alerts, counts the others and names up to twenty; Alertmanager's lists all.".to_owned(),
        format!("Alertmanager: group_wait 0, group_interval 30 s. Until {} s without a message. {}", QUIET.as_secs(), load()),
    ];
    Ok(Section { title: "Alerts: a flood", tables: vec![table], notes, targets })
}

fn killed(options: &Options) -> Result<Section> {
    let kills: u32 = if options.quick { 4 } else { 20 };
    let columns = ["killed", "acknowledged", "lost", "told again", "of these under another id"].map(|name| Column::new(name, 0)).to_vec();
    let mut table = Table { title: format!("100 alerts a second, {kills} × SIGKILL"), columns, rows: Vec::new() };
    let mut targets = Vec::new();
    // Alertmanager does not store alerts; Prometheus sends them repeatedly.
    let ways =
        [(Kind::Ours, false, "ours"), (Kind::Alertmanager, false, "Alertmanager"), (Kind::Alertmanager, true, "Alertmanager, sent again")];
    for (kind, is_again, name) in ways.into_iter().filter(|(_, _, name)| name.contains(&options.row)) {
        let (receiver, mut teller) = options.start(kind)?;
        progress(&format!("{name}: {kills} kills"));
        let acknowledged = while_sending(&teller.address(), is_again, |restarted| {
            for number in 0..kills {
                std::thread::sleep(Duration::from_secs_f64(0.5 + (f64::from(number) * 0.618_033_988).fract()));
                teller.kill()?;
                std::thread::sleep(RESTART);
                teller.start_again()?;
                restarted();
            }
            std::thread::sleep(Duration::from_secs(1));
            Ok(())
        })?;
        receiver.wait_until_quiet(Duration::from_secs(10), LONGEST);
        let told = receiver.told();
        let lost = acknowledged.iter().filter(|name| !told.contains_key(*name)).count();
        let of_these = || told.iter().filter(|(name, _)| acknowledged.contains(*name)).map(|(_, messages)| messages);
        let again: usize = of_these().map(|messages| messages.len() - 1).sum();
        let others: usize = of_these().map(|messages| other_ids(messages)).sum();
        let figures = [kills as usize, acknowledged.len(), lost, again, others].map(|count| Some(count as f64)).to_vec();
        table.rows.push(Row { name: name.to_owned(), figures });
        if kind == Kind::Ours {
            targets.push(Target::new("lost, and told under another id", (lost + others) as f64, Bound::AtMost(0.0)));
        }
    }
    let notes = vec![
        format!(
            "Killed 0.5 to 1.5 s after each start, started again {} ms later; alerts are sent until acknowledged.",
            RESTART.as_millis()
        ),
        "Sent again: after each start all alerts so far, as Prometheus does each minute. Alertmanager's messages have no id.".to_owned(),
    ];
    Ok(Section { title: "Alerts: killed meanwhile", tables: vec![table], notes, targets })
}

/// Messages beyond the first that are not the same one again.
fn other_ids(messages: &[receiver::Message]) -> usize {
    match messages.iter().map(|message| message.id.as_ref()).collect::<Option<BTreeSet<_>>>() {
        Some(ids) => ids.len() - 1,
        None => messages.len() - 1,
    }
}

/// Sends alerts one by one until `act` returns. Returns the names of the acknowledged alerts. With `is_again`, all alerts so far are sent
/// again each time that `act` calls its argument.
fn while_sending(address: &Address, is_again: bool, act: impl FnOnce(&dyn Fn()) -> Result<()>) -> Result<BTreeSet<String>> {
    let (is_done, is_restarted) = (AtomicBool::new(false), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let sender = scope.spawn(|| -> Result<_> {
            let (mut connection, mut sent) = (None, Vec::new());
            while !is_done.load(Ordering::Relaxed) {
                let number = sent.len() as u64 + 1;
                let alert = Alert::new(number, number);
                address.send(&mut connection, std::slice::from_ref(&alert))?;
                sent.push(alert);
                if is_again && is_restarted.swap(false, Ordering::Relaxed) {
                    for alerts in sent.chunks(AT_ONCE) {
                        address.send(&mut connection, alerts)?;
                    }
                }
                std::thread::sleep(KILLED_PACE);
            }
            Ok(sent.into_iter().map(|alert| alert.name).collect())
        });
        let done = act(&|| is_restarted.store(true, Ordering::Relaxed));
        is_done.store(true, Ordering::Relaxed);
        let sent = sender.join().expect("sending doesn't panic");
        done.and(sent)
    })
}

fn load() -> String {
    format!("Load average {}.", machine::load())
}
