//! Counts instructions of the calling thread per leaf call with callgrind. They don't depend on the machine's load.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use crate::Options;
use crate::child::{Around, Child, Order, Verb};
use crate::contenders::{self, BESIDE_ANOTHER, Contender, OURS_FOLDED, OURS_OFF, OURS_ON, PLAIN, TRACING_OFF};
use crate::report::{Bound, Column, Row, Section, Table, Target, progress};
use crate::server::Server;
use crate::work::Shape;

/// Enough to spread the root thin, and few enough that nothing is full.
const CALLS: u64 = 10_000;

pub(crate) fn measure(options: &Options) -> Result<Section> {
    let mut section = Section { title: "instructions of the calling thread per leaf call", ..Section::default() };
    if !is_there() {
        section.notes.push("skipped: valgrind is not installed".to_owned());
        return Ok(section);
    }
    let server = Server::start(&options.monitor)?;
    let columns = Shape::ALL.map(|shape| Column::new(shape.name(), 0)).to_vec();
    let mut rows = Vec::new();
    for contender in contenders::ALL.iter().chain([&BESIDE_ANOTHER]) {
        progress(&format!("callgrind: {}", contender.name));
        rows.push(Row { name: contender.name.to_owned(), figures: count(contender, &server)? });
    }
    section.targets = targets(&rows);
    let over_plain = rows.iter().map(|row| above(row, &rows[0])).collect();
    section.tables.push(Table { title: format!("{CALLS} under a root"), columns: columns.clone(), rows });
    section.tables.push(Table { title: format!("over {PLAIN}"), columns, rows: over_plain });
    Ok(section)
}

/// Returns true if valgrind is installed.
pub(crate) fn is_there() -> bool {
    Command::new("valgrind").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

fn above(row: &Row, plain: &Row) -> Row {
    let figures = row.figures.iter().zip(&plain.figures).map(|(figure, plain)| Some((*figure)? - (*plain)?)).collect();
    Row { name: row.name.clone(), figures }
}

/// Measures each shape in a separate child, because callgrind numbers its dumps per child.
fn count(contender: &Contender, server: &Server) -> Result<Vec<Option<f64>>> {
    let mut figures = Vec::new();
    for shape in Shape::ALL {
        figures.push(Some(count_shape(contender, server, shape)?));
    }
    Ok(figures)
}

/// Counts the instructions per call of a shape.
pub(crate) fn count_shape(contender: &Contender, server: &Server, shape: Shape) -> Result<f64> {
    let folder = tempfile::tempdir()?;
    let out = folder.path().join("out");
    let wrapper = [
        "valgrind",
        "--quiet",
        "--tool=callgrind",
        "--separate-threads=yes",
        // The names in the binary are mangled.
        "--dump-before=*callgrind_mark*",
        // Or the thread that calls would starve the one that ships.
        "--fair-sched=try",
    ];
    let mut wrapper: Vec<String> = wrapper.iter().map(ToString::to_string).collect();
    wrapper.push(format!("--callgrind-out-file={}", out.display()));
    let mut child = Child::start(contender, Around { server: Some(server), wrapper: &wrapper, ..Around::default() })?;
    child.ask(Order { verb: Verb::Mark, shape, trees: 1, calls: CALLS })?;
    Ok(total(&folder.path().join("out.2-01"))? as f64 / CALLS as f64)
}

/// Returns the count up to the second mark in the first thread.
fn total(dump: &Path) -> Result<u64> {
    let text = fs::read_to_string(dump).with_context(|| format!("callgrind did not write {}", dump.display()))?;
    let total = text.lines().find_map(|line| line.strip_prefix("totals: ").or_else(|| line.strip_prefix("summary: ")));
    total.and_then(|total| total.trim().parse().ok()).with_context(|| format!("no total in {}", dump.display()))
}

fn targets(rows: &[Row]) -> Vec<Target> {
    let figure = |name: &str, shape: usize| rows.iter().find(|row| row.name == name).and_then(|row| row.figures[shape]);
    let target = |ours: &str, other: &str, shape: usize, limit: f64| {
        let ratio = figure(ours, shape)? / figure(other, shape)?;
        Some(Target::new(format!("{}: {ours} / {other}", Shape::ALL[shape].name()), ratio, Bound::AtMost(limit)))
    };
    let of_shape = |shape: usize| {
        // Starting the second thread is the first one's work as well, and not meant.
        [
            target(OURS_OFF, TRACING_OFF, shape, 1.0),
            target(BESIDE_ANOTHER.name, OURS_ON, shape, 1.01),
            target(OURS_FOLDED, OURS_ON, shape, 1.0),
        ]
    };
    (0..Shape::ALL.len()).flat_map(of_shape).flatten().collect()
}
