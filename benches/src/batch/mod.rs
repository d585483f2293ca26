//! Measures the punctuality of batch tasks, and the lost runs when the scheduler is killed: `cargo xtask bench batch`.
//!
//! Ours is the real `monitor agent` with a real server. Each scheduler has the same number of tasks and starts the same command, which
//! records the time. The other schedulers are configured as their documentation recommends for not losing runs.

mod marks;
mod scheduler;

use std::time::{Duration, Instant};

use anyhow::Result;
use clap::ValueEnum;

use self::marks::{Task, now_us, tasks};
use self::scheduler::{Kind, Scheduler};
use crate::machine;
use crate::options::RivalOptions;
use crate::report::{Bound, Column, Row, Section, Table, Target, progress};

/// Due at the same second, at each second of a minute.
const AT_ONCE: usize = 20;
/// Delay before a killed scheduler is started again, the default of systemd.
const RESTART: Duration = Duration::from_millis(100);
/// Time after the end of a measurement until late runs count as missed.
const LATE: Duration = Duration::from_secs(10);
/// Cron is killed so shortly before a minute begins, or after it.
const AROUND: Duration = Duration::from_millis(500);
const MINUTE: Duration = Duration::from_mins(1);

/// How schedulers are measured.
pub(crate) type Options = RivalOptions<Measurement>;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Measurement {
    /// Processor and memory of 10,000 tasks, none of them due.
    Idle,
    /// Delay of commands, at 20 starts a second.
    Late,
    /// Starts that are missed or repeated while the scheduler is killed 20 times.
    Killed,
}

impl Measurement {
    pub(crate) fn run(self, options: &Options) -> Result<Section> {
        match self {
            Self::Idle => idle(options),
            Self::Late => late(options),
            Self::Killed => killed(options),
        }
    }
}

impl Options {
    fn tasks(&self) -> usize {
        if self.quick { 2_000 } else { 10_000 }
    }

    fn kinds(&self) -> impl Iterator<Item = Kind> {
        Kind::ALL.into_iter().filter(|kind| kind.name().contains(&self.row))
    }

    fn start(&self, kind: Kind, tasks: &[Task]) -> Result<Scheduler> {
        progress(&format!("{}: start with {} tasks", kind.name(), tasks.len()));
        Scheduler::start(kind, tasks, &self.monitor, &self.rivals)
    }

    /// Returns tasks that are due constantly; for cron, which has no seconds, at the beginning of each minute.
    fn busy(&self, kind: Kind) -> Vec<Task> {
        tasks(self.tasks(), 0..if kind == Kind::Cron { 1 } else { 60 }, AT_ONCE)
    }
}

fn idle(options: &Options) -> Result<Section> {
    let (settle, span) = if options.quick { (2, 5) } else { (5, 20) };
    let tasks = tasks(options.tasks(), 0..0, 0);
    let columns = vec![Column::new("% of a core", 2), Column::new("RSS MiB", 0)];
    let mut table = Table { title: format!("{} tasks, none is due", tasks.len()), columns, rows: Vec::new() };
    let mut targets = Vec::new();
    for kind in options.kinds() {
        let scheduler = options.start(kind, &tasks)?;
        progress(&format!("{}: idle", kind.name()));
        std::thread::sleep(Duration::from_secs(settle));
        let (pid, begin) = (scheduler.pid()?, Instant::now());
        let before = machine::cpu_seconds(&pid)?;
        std::thread::sleep(Duration::from_secs(span));
        let percent = 100.0 * (machine::cpu_seconds(&pid)? - before) / begin.elapsed().as_secs_f64();
        table.rows.push(Row { name: kind.name().to_owned(), figures: [percent, scheduler.memory_mib()?].map(Some).to_vec() });
        if kind.is_ours() {
            targets.push(Target::new(format!("{}: % of a core", kind.name()), percent, Bound::AtMost(1.0)));
        }
    }
    let notes = vec![format!("Over {span} s; the scheduler's own process. Load average {}.", machine::load())];
    Ok(Section { title: "Batch tasks: at rest", tables: vec![table], notes, targets })
}

fn late(options: &Options) -> Result<Section> {
    let seconds = if options.quick { 10 } else { 60 };
    let names = ["due", "missed", "doubled", "late, ms: p50", "p99", "most", "% of a core", "machine, %", "RSS MiB"];
    let columns = names.into_iter().enumerate().map(|(place, name)| Column::new(name, usize::from((3..8).contains(&place)))).collect();
    let mut table = Table { title: format!("{AT_ONCE} due a second, {seconds} s"), columns, rows: Vec::new() };
    let mut targets = Vec::new();
    for kind in options.kinds() {
        let tasks = options.busy(kind);
        let scheduler = options.start(kind, &tasks)?;
        progress(&format!("{}: {AT_ONCE} a second", kind.name()));
        // Wait for the work after a start; this also lets the measurement of cron include the beginnings of two minutes.
        std::thread::sleep(LATE / 4);
        let span = if kind == Kind::Cron { 2 * MINUTE } else { Duration::from_secs(seconds) };
        let (pid, from) = (scheduler.pid()?, now_us());
        let (cpu, machine, begin) = (machine::cpu_seconds(&pid)?, machine::busy_seconds()?, Instant::now());
        std::thread::sleep(span);
        let (to, elapsed) = (now_us(), begin.elapsed().as_secs_f64());
        let cpu = 100.0 * (machine::cpu_seconds(&pid)? - cpu) / elapsed;
        let machine = 100.0 * (machine::busy_seconds()? - machine) / elapsed / machine::cores() as f64;
        let memory = scheduler.memory_mib()?;
        std::thread::sleep(LATE);
        let outcome = scheduler.marks().outcome(&tasks, from, to)?;
        let [p50, p99, most] = [0.5, 0.99, 1.0].map(|part| (!outcome.late_ms.is_empty()).then(|| outcome.late_ms.quantile(part)));
        if let (true, Some(p99)) = (kind.is_ours(), p99) {
            targets.push(Target::new(format!("{}: late, ms, p99", kind.name()), p99, Bound::AtMost(100.0)));
            targets.push(Target::new(format!("{}: missed and doubled", kind.name()), outcome.wrong(), Bound::AtMost(0.0)));
        }
        let counts = [outcome.due, outcome.missed, outcome.doubled].map(|count| Some(count as f64));
        let figures = counts.into_iter().chain([p50, p99, most, Some(cpu), Some(machine), Some(memory)]).collect();
        table.rows.push(Row { name: kind.name().to_owned(), figures });
    }
    let notes = vec![
        "Late: from the due time until the command, a script of bash, reads the clock. % of a core: the scheduler's own process."
            .to_owned(),
        format!("cron knows no seconds: {AT_ONCE} are due at each of two minutes. Load average {}.", machine::load()),
    ];
    Ok(Section { title: "Batch tasks: how late they start", tables: vec![table], notes, targets })
}

fn killed(options: &Options) -> Result<Section> {
    let columns = ["killed", "due", "missed", "doubled", "late, ms: most"].map(|name| Column::new(name, 0)).to_vec();
    let mut table = Table { title: format!("{AT_ONCE} due a second"), columns, rows: Vec::new() };
    let mut targets = Vec::new();
    for kind in options.kinds() {
        // A kill of cron takes minutes.
        let kills: u32 = if options.quick || kind == Kind::Cron { 4 } else { 20 };
        let tasks = options.busy(kind);
        let mut scheduler = options.start(kind, &tasks)?;
        progress(&format!("{}: {kills} kills", kind.name()));
        let from = now_us();
        for number in 0..kills {
            std::thread::sleep(until_kill(kind, number));
            scheduler.kill()?;
            std::thread::sleep(RESTART);
            scheduler.start_again()?;
        }
        // The last minute of cron's has begun by then.
        std::thread::sleep(2 * AROUND);
        let to = now_us();
        std::thread::sleep(LATE);
        let outcome = scheduler.marks().outcome(&tasks, from, to)?;
        if kind.is_ours() {
            targets.push(Target::new(format!("{}: missed and doubled", kind.name()), outcome.wrong(), Bound::AtMost(0.0)));
        }
        let most = (!outcome.late_ms.is_empty()).then(|| outcome.late_ms.quantile(1.0));
        let counts = [u64::from(kills), outcome.due, outcome.missed, outcome.doubled].map(|count| Some(count as f64));
        table.rows.push(Row { name: kind.name().to_owned(), figures: counts.into_iter().chain([most]).collect() });
    }
    let notes = vec![
        format!("Killed 1 to 3 s after each start, at moments that are the same for all; started again {} ms later.", RESTART.as_millis()),
        format!("cron: once in the second around each of a few minutes' beginnings, of which each has {AT_ONCE} due."),
        "node-schedule keeps nothing; APScheduler has its jobs in SQLite and makes up for a minute; ours has its defaults.".to_owned(),
    ];
    Ok(Section { title: "Batch tasks: killed meanwhile", tables: vec![table], notes, targets })
}

/// Time until a scheduler is killed for the `number`th time.
fn until_kill(kind: Kind, number: u32) -> Duration {
    // Fractions of the golden ratio lie evenly and look like chance.
    let part = (f64::from(number) * 0.618_033_988).fract();
    if kind != Kind::Cron {
        return Duration::from_secs_f64(1.0 + 2.0 * part);
    }
    let into_us = now_us() % MINUTE.as_micros() as u64;
    // The next minute begins, or the one after it if that is too soon.
    let to_minute = MINUTE.saturating_sub(Duration::from_micros(into_us));
    let to_minute = if to_minute < 2 * AROUND { to_minute + MINUTE } else { to_minute };
    to_minute.saturating_sub(AROUND) + 2 * AROUND.mul_f64(part)
}
