//! Measures the time of the server's activities, as the server itself reports it.

use std::collections::BTreeMap;
use std::fs::{self, File};

use anyhow::Result;

use super::trees::Shape;
use super::{Options, plan};
use crate::machine;
use crate::report::{Column, Row, Section, Table, progress};
use crate::server::Server;

/// In the order of a batch's way, and on which threads.
const DUTIES: [(&str, &str); 11] = [
    ("decompress", "requests: zstd"),
    ("decode", "requests: JSON"),
    ("gather", "writer: what is new, keys of texts, numbers of roots"),
    ("full_text", "writer: texts made searchable"),
    ("fold", "writer: sort and fold"),
    ("rows", "writer: rows of processes"),
    ("roots", "writer: rows of roots"),
    ("sums", "writer: roll-ups, workers, counts"),
    ("tell", "writer: what the stream will say"),
    ("log", "writer: the log of events"),
    ("commit", "writer: commit, and now and then a checkpoint"),
];

pub(super) fn measure(options: &Options) -> Result<Section> {
    let mut rows = Vec::new();
    let events = if options.quick { 200_000 } else { 4_000_000 };
    let shapes = [
        ("trees of 200", Shape::Trees(200)),
        ("lone roots, 100 to a batch mark", Shape::Batches),
        ("8 huge trees, random ids", Shape::HugeRandom),
    ];
    let mut columns = Vec::new();
    let mut figures: BTreeMap<&str, Vec<Option<f64>>> = BTreeMap::new();
    for (name, shape) in shapes.into_iter().filter(|shape| shape.0.contains(&options.row)) {
        progress(&format!("duties: {name}"));
        let folder = tempfile::tempdir()?;
        let told = folder.path().join("told");
        let server = Server::start_told(&options.monitor, File::create(&told)?)?;
        let cpu = server.cpu_seconds()?;
        let sent = plan(shape, events, 8, 1_000).send(server.address(), None)?;
        let cpu_us = (server.cpu_seconds()? - cpu) * 1e6 / sent.events as f64;
        let mut sums = BTreeMap::<String, f64>::new();
        for word in fs::read_to_string(&told)?.split_whitespace() {
            if let Some((duty, us)) = word.split_once("_us=") {
                *sums.entry(duty.to_owned()).or_default() += us.parse::<f64>().unwrap_or(0.0);
            }
        }
        columns.push(Column::new(name, 3));
        for (duty, _) in DUTIES {
            figures.entry(duty).or_default().push(Some(sums.get(duty).copied().unwrap_or(0.0) / sent.events as f64));
        }
        figures.entry("all").or_default().push(Some(cpu_us));
    }
    for (duty, name) in DUTIES {
        rows.push(Row { name: name.to_owned(), figures: figures.remove(duty).unwrap_or_default() });
    }
    rows.push(Row { name: "processor time of all threads".to_owned(), figures: figures.remove("all").unwrap_or_default() });
    let notes = vec![
        "Time by the clock, so waiting for a core or the disk counts; processor time doesn't count it.".to_owned(),
        format!("Load average {}.", machine::load()),
    ];
    let tables = vec![Table { title: "8 × 1,000, µs per event".to_owned(), columns, rows }];
    Ok(Section { title: "Ingest: what the time goes to", tables, notes, targets: Vec::new() })
}
