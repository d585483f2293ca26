//! Formats the counts by file type, as a table and as JSON.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use anyhow::{Context, ensure};
use comfy_table::{CellAlignment, Table, presets};
use monitor_client::normal_task;
use serde::{Deserialize, Serialize};

use crate::parse::{Counts, Parsed};

/// Result of the pipeline.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Report {
    name: String,
    types: BTreeMap<String, Counts>,
    total: Counts,
    left_out: BTreeMap<String, String>,
}

/// Adds up by file type.
#[normal_task]
pub(crate) fn sum_up(name: String, parsed: Vec<Parsed>) -> Report {
    let mut report = Report { name, types: BTreeMap::new(), total: Counts::default(), left_out: BTreeMap::new() };
    for Parsed { path, counts } in parsed {
        match counts {
            Ok(counts) => {
                let extension = path.extension().map_or_else(|| "(none)".into(), |extension| extension.to_string_lossy());
                add(report.types.entry(extension.into_owned()).or_default(), counts);
                add(&mut report.total, counts);
            }
            Err(error) => {
                report.left_out.insert(path.display().to_string(), error.root_cause().to_string());
            }
        }
    }
    report
}

fn add(sum: &mut Counts, counts: Counts) {
    sum.files += counts.files;
    sum.lines += counts.lines;
    sum.words += counts.words;
    sum.tokens += counts.tokens;
}

/// Checks that the numbers of a report add up. Runs in a separate process, started by the script.
#[normal_task("verify report")]
pub(crate) fn verify(path: &Path) -> anyhow::Result<()> {
    let text = std::fs::read_to_string(path).with_context(|| format!("can't read {}", path.display()))?;
    let report: Report = serde_json::from_str(&text).with_context(|| format!("{} is no report", path.display()))?;
    let mut total = Counts::default();
    for counts in report.types.values() {
        add(&mut total, *counts);
    }
    ensure!(total == report.total, "the types add up to {total:?}, the report contains {:?}", report.total);
    Ok(())
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_header(["type", "files", "lines", "words", "tokens"]);
        let rows = self.types.iter().map(|(name, counts)| (name.as_str(), counts)).chain([("total", &self.total)]);
        for (name, Counts { files, lines, words, tokens }) in rows {
            table.add_row([name.to_owned(), files.to_string(), lines.to_string(), words.to_string(), tokens.to_string()]);
        }
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        writeln!(f, "{}\n{}", self.name, table.trim_fmt())?;
        if !self.left_out.is_empty() {
            writeln!(f, "left out:")?;
        }
        for (path, why) in &self.left_out {
            writeln!(f, "  {path}: {why}")?;
        }
        Ok(())
    }
}
