//! Measures the cost of linking the client for a program with monitoring off, and of the first call with monitoring on.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use crate::Options;
use crate::cores;
use crate::report::{Bound, Column, Row, Samples, Section, Table, Target};
use crate::server::Server;

pub(crate) fn measure(options: &Options) -> Result<Section> {
    let mut section = Section { title: "start-up", ..Section::default() };
    let runs = if options.quick { 50 } else { 1_000 };
    let (mut plain, mut linked) = (Samples::default(), Samples::default());
    for _ in 0..runs {
        plain.add(run_us("start-plain")?);
        linked.add(run_us("start-linked")?);
    }
    let row = |name: &str, samples: &Samples| Row {
        name: name.to_owned(),
        figures: [0.5, 0.05, 0.95].map(|part| Some(samples.quantile(part))).to_vec(),
    };
    section.tables.push(Table {
        title: "a whole run, µs".to_owned(),
        columns: columns(),
        rows: vec![row("without the client", &plain), row("with it, off", &linked)],
    });
    let added_ms = (linked.median() - plain.median()) / 1_000.0;
    section.targets.push(Target::new("a program that links it and has it off: ms added", added_ms, Bound::AtMost(1.0)));

    let moments = moments(options)?;
    section.targets.push(Target::new("on: µs of the program's first call", moments[0].1.median(), Bound::AtMost(1_000.0)));
    section.targets.push(Target::new("on: µs of the call that wakes the shipper", moments[2].1.median(), Bound::AtMost(50.0)));
    section.tables.push(Table {
        title: "one call, on, µs".to_owned(),
        columns: columns(),
        rows: moments.iter().map(|(name, samples)| row(name, samples)).collect(),
    });
    Ok(section)
}

fn columns() -> Vec<Column> {
    ["p50", "p05", "p95"].map(|name| Column::new(name, 1)).to_vec()
}

fn program(name: &str) -> Result<PathBuf> {
    let own = std::env::current_exe().context("this program has no path")?;
    Ok(own.with_file_name(name))
}

/// Microseconds from the start of a program to its end.
fn run_us(name: &str) -> Result<f64> {
    let mut command = cores::command(program(name)?);
    let begin = Instant::now();
    let status = cores::spawn_behind(&mut command)?.wait()?;
    let taken = begin.elapsed();
    ensure!(status.success(), "{name}: {status}");
    Ok(taken.as_secs_f64() * 1e6)
}

/// Measures single calls, each in a new program: the first, the second, and one after a pause.
fn moments(options: &Options) -> Result<[(&'static str, Samples); 3]> {
    let server = Server::start(&options.monitor)?;
    let mut moments = ["the first call", "the second", "after a pause of 300 ms"].map(|name| (name, Samples::default()));
    for _ in 0..if options.quick { 5 } else { 50 } {
        let mut command = cores::command(program("start-linked")?);
        command.arg("moments").env("MONITOR_ENABLED", "1").env("MONITOR_SERVER_URL", server.url()).env("MONITOR_SPOOL_DIR", server.spool());
        let output = cores::spawn_behind(command.stdout(Stdio::piped()))?.wait_with_output()?;
        let text = String::from_utf8(output.stdout)?;
        let mut nanoseconds = text.split_whitespace();
        for (name, samples) in &mut moments {
            let taken: f64 = nanoseconds.next().with_context(|| format!("{name} is missing in {text:?}"))?.parse()?;
            samples.add(taken / 1_000.0);
        }
    }
    Ok(moments)
}
