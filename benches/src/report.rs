//! Results of measurements: tables and targets, as text or as JSON.

use std::fmt;
use std::io::IsTerminal;

use anyhow::Result;
use clap::ValueEnum;
use comfy_table::{CellAlignment, Table as Grid, presets};
use serde::Serialize;
use serde_json::json;

use crate::machine::{self, Machine};

/// Runs the selected measurements (all if none is named), and prints each result when it is available, or one JSON document.
pub(crate) fn print<M: ValueEnum + Copy + PartialEq>(only: &[M], is_json: bool, run: impl Fn(M) -> Result<Section>) -> Result<()> {
    let machine = Machine::here();
    if !is_json {
        machine.print();
    }
    let mut sections = Vec::new();
    for measurement in M::value_variants() {
        if !only.is_empty() && !only.contains(measurement) {
            continue;
        }
        let section = run(*measurement)?;
        if !is_json {
            print!("{section}");
        }
        sections.push(section);
    }
    if is_json {
        let all = json!({ "machine": machine, "load_after": machine::load(), "sections": sections });
        println!("{}", serde_json::to_string_pretty(&all)?);
    } else {
        println!("\nload at the end: {}", machine::load());
    }
    Ok(())
}

/// Result of one measurement.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Section {
    pub(crate) title: &'static str,
    pub(crate) tables: Vec<Table>,
    pub(crate) notes: Vec<String>,
    pub(crate) targets: Vec<Target>,
}

/// A table of figures; missing figures are omitted.
#[derive(Debug, Serialize)]
pub(crate) struct Table {
    pub(crate) title: String,
    pub(crate) columns: Vec<Column>,
    pub(crate) rows: Vec<Row>,
}

#[derive(Debug, Clone, Serialize)]
pub(crate) struct Column {
    pub(crate) name: String,
    #[serde(skip)]
    pub(crate) decimals: usize,
}

#[derive(Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) figures: Vec<Option<f64>>,
}

/// A target of the project, and the measured value.
#[derive(Debug, Serialize)]
pub(crate) struct Target {
    pub(crate) what: String,
    pub(crate) measured: f64,
    pub(crate) bound: Bound,
    pub(crate) is_met: bool,
}

#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

impl Column {
    pub(crate) fn new(name: impl Into<String>, decimals: usize) -> Self {
        Self { name: name.into(), decimals }
    }
}

impl Target {
    pub(crate) fn new(what: impl Into<String>, measured: f64, bound: Bound) -> Self {
        let is_met = match bound {
            Bound::AtMost(limit) => measured <= limit,
            Bound::AtLeast(limit) => measured >= limit,
        };
        Self { what: what.into(), measured, bound, is_met }
    }
}

impl fmt::Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\n── {}", self.title)?;
        for table in &self.tables {
            write!(f, "\n{table}")?;
        }
        if !self.notes.is_empty() {
            writeln!(f)?;
        }
        for note in &self.notes {
            writeln!(f, "{note}")?;
        }
        if !self.targets.is_empty() {
            writeln!(f, "\n{}", targets(&self.targets))?;
        }
        Ok(())
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut grid = grid();
        grid.set_header(std::iter::once(self.title.clone()).chain(self.columns.iter().map(|column| column.name.clone())));
        for row in &self.rows {
            let figures = row.figures.iter().zip(&self.columns);
            let figures = figures.map(|(figure, column)| figure.map_or_else(String::new, |figure| format!("{figure:.*}", column.decimals)));
            grid.add_row(std::iter::once(row.name.clone()).chain(figures));
        }
        align(&mut grid, 1);
        writeln!(f, "{grid}")
    }
}

fn targets(targets: &[Target]) -> Grid {
    let mut grid = grid();
    grid.set_header(["target", "", "wanted", "measured"]);
    for target in targets {
        let wanted = match target.bound {
            Bound::AtMost(limit) => format!("≤ {limit}"),
            Bound::AtLeast(limit) => format!("≥ {limit}"),
        };
        let mark = if target.is_met { "✓" } else { "✗" };
        grid.add_row([target.what.clone(), mark.to_owned(), wanted, format!("{:.3}", target.measured)]);
    }
    align(&mut grid, 2);
    grid
}

fn grid() -> Grid {
    let mut grid = Grid::new();
    grid.load_style(presets::NOTHING);
    grid
}

/// Words to the left, from `first` on figures to the right.
fn align(grid: &mut Grid, first: usize) {
    for column in grid.column_iter_mut().skip(first) {
        column.set_cell_alignment(CellAlignment::Right);
    }
}

/// Shows the current measurement on a terminal; the next call overwrites it.
pub(crate) fn progress(what: &str) {
    if std::io::stderr().is_terminal() {
        eprint!("\r\x1b[K{what}\r");
    }
}

/// Samples of one quantity.
#[derive(Debug, Default)]
pub(crate) struct Samples(Vec<f64>);

impl Samples {
    pub(crate) fn add(&mut self, sample: f64) {
        let place = self.0.partition_point(|other| *other < sample);
        self.0.insert(place, sample);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn median(&self) -> f64 {
        self.quantile(0.5)
    }

    /// The sample that `part` of the samples don't exceed.
    pub(crate) fn quantile(&self, part: f64) -> f64 {
        self.0[((self.0.len() - 1) as f64 * part).round() as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_samples_whatever_their_order() {
        let mut samples = Samples::default();
        for sample in [3.0, 1.0, 5.0, 2.0, 4.0] {
            samples.add(sample);
        }
        assert_eq!([0.05, 0.5, 0.95].map(|part| samples.quantile(part).to_string()), ["1", "3", "5"]);
    }

    #[test]
    fn a_target_is_met_up_to_its_bound_and_no_further() {
        assert!(Target::new("", 1.25, Bound::AtMost(1.25)).is_met && !Target::new("", 1.26, Bound::AtMost(1.25)).is_met);
        assert!(Target::new("", 100.0, Bound::AtLeast(100.0)).is_met && !Target::new("", 99.9, Bound::AtLeast(100.0)).is_met);
    }
}
