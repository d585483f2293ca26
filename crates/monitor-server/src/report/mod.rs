//! Runs as one HTML file: the page's code (`monitor_web::report`) together with the data that it would otherwise request from the server.
//!
//! Recorded data is in blocks of base64, which browsers do not execute. A Content-Security-Policy allows only the page's own script and style, by
//! their hashes. `docs/guides/export.md` describes the blocks.

mod offline;
mod redaction;

use std::collections::{HashMap, HashSet};
use std::io::Write as _;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use flate2::{Compression, GzBuilder};
use monitor_store::{LogsQuery, Queries, RootKey, StoreError, TreeColumns};
use monitor_web::Report;
use monitor_wire::{LogEntry, ProcessId, RootId, Worker, WorkerId};
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::html::Text;

pub use self::offline::{Offline, OfflineError};
pub use self::redaction::{MOST_REDACTIONS, Redaction, RedactionError};

/// Number of log lines that are read at a time.
const CHUNK: usize = 1_000;

/// Limit on the size of a file, in bytes, unless the caller sets another.
pub const DEFAULT_BYTES: usize = 20 << 20;

/// Numbers of lines per process that are tried, one after the other, until the file is small enough.
const LINES: [usize; 5] = [10_000, 1_000, 100, 10, 0];

/// Contents and maximum size of the file.
#[derive(Debug)]
pub struct Options {
    redact: Vec<Redaction>,
    max_bytes: usize,
    written_us: u64,
    is_comparison: bool,
}

impl Options {
    /// Processes whose names match one of `redact` have neither logs nor fields in the file. `max_bytes` is the maximum size of the file
    /// without the page's own code, and `written_us` the time of writing, in Unix microseconds.
    ///
    /// # Errors
    /// When there are more than [`MOST_REDACTIONS`] patterns.
    pub fn new(redact: Vec<Redaction>, max_bytes: usize, written_us: u64) -> Result<Self, RedactionError> {
        if redact.len() > MOST_REDACTIONS {
            return Err(RedactionError::TooMany(redact.len()));
        }
        Ok(Self { redact, max_bytes, written_us, is_comparison: false })
    }

    /// The file opens with the comparison of its first two runs.
    #[must_use]
    pub fn compared(self) -> Self {
        Self { is_comparison: true, ..self }
    }
}

/// Why there is no file.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is no page that the file could contain.
    #[error("this server was built without its page, which the file needs: {0}")]
    NoPage(&'static str),
    /// The processes don't fit, even without log lines.
    #[error("the processes alone take {bytes} bytes, and the file may have {max}: set the parameter `bytes` (`--report-bytes`) higher")]
    TooLarge {
        /// Size of the processes in the file.
        bytes: usize,
        /// Maximum size of the file.
        max: usize,
    },
}

/// Content of the block `report`.
#[derive(Serialize)]
struct About<'a> {
    version: &'a str,
    written_us: u64,
    runs: Vec<Run>,
    is_comparison: bool,
    redacted: Vec<&'a str>,
}

#[derive(Serialize)]
struct Run {
    root_id: RootId,
    /// Number of log lines that were left out because of the size limit.
    omitted_lines: u64,
}

/// Writes runs as one file. Returns `None` if one of them does not exist.
///
/// # Errors
/// When the store fails, the page was not built, or the processes alone are too large.
pub fn write(store: &dyn Queries, runs: &[RootKey], options: &Options) -> Result<Option<String>, ReportError> {
    let report = monitor_web::report().ok_or_else(|| ReportError::NoPage(monitor_web::missing().unwrap_or("the reason is not known")))?;
    let mut trees = Vec::new();
    for &run in runs {
        let Some(tree) = Tree::read(store, run, options)? else { return Ok(None) };
        trees.push(tree);
    }
    let bytes: usize = trees.iter().map(|tree| tree.columns.len()).sum();
    let left = options.max_bytes.checked_sub(bytes).ok_or(ReportError::TooLarge { bytes, max: options.max_bytes })?;
    let (share, mut logs) = (left / trees.len().max(1), Vec::new());
    for tree in &mut trees {
        let Some(read) = Logs::read(store, tree, share)? else { return Ok(None) };
        logs.push(read);
    }
    let mut workers = Vec::<Worker>::new();
    for id in trees.iter().flat_map(|tree| &tree.workers).collect::<HashSet<_>>() {
        workers.extend(store.worker(*id)?);
    }
    let about = About {
        version: env!("CARGO_PKG_VERSION"),
        written_us: options.written_us,
        runs: trees.iter().zip(&logs).map(|(tree, logs)| Run { root_id: tree.root_id, omitted_lines: logs.omitted }).collect(),
        is_comparison: options.is_comparison,
        redacted: options.redact.iter().map(Redaction::as_str).collect(),
    };
    let mut html = head(&report, &trees[0].title);
    html.extend(["<script type=\"application/json\" id=\"report\">", &json(&about).replace('<', "\\u003c"), "</script>\n"]);
    block(&mut html, "workers", &packed(json(&workers).as_bytes()));
    for (place, (tree, logs)) in trees.iter().zip(&logs).enumerate() {
        block(&mut html, &format!("tree-{place}"), &tree.columns);
        block(&mut html, &format!("logs-{place}"), &logs.lines);
    }
    html.extend(["<script type=\"module\">", &report.script, "</script>\n</body></html>\n"]);
    Ok(Some(html))
}

/// Returns the part of the file before the blocks.
fn head(report: &Report, title: &str) -> String {
    let (script, style) = (hash(&report.script), hash(&report.style));
    let title = Text(title);
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; script-src '{script}'; style-src '{style}'; font-src data:; \
         img-src data:; base-uri 'none'; form-action 'none'\">\n\
         <title>{title}</title><link rel=\"icon\" href=\"data:,\"><style>{}</style></head>\n\
         <body><div id=\"root\"></div><noscript>This file shows {title} as Process Monitor recorded it. It needs JavaScript, which your browser has \
         turned off; it asks no server for anything.</noscript>\n",
        report.style
    )
}

/// Returns the hash source of a Content-Security-Policy that allows this text.
fn hash(text: &str) -> String {
    format!("sha256-{}", BASE64_STANDARD.encode(Sha256::digest(text)))
}

fn block(html: &mut String, id: &str, base64: &str) {
    html.extend(["<script type=\"text/plain\" id=\"", id, "\">", base64, "</script>\n"]);
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("plain data with text keys is JSON")
}

/// Compresses with gzip and encodes as base64.
fn packed(bytes: &[u8]) -> String {
    let mut packer = packer();
    packer.write_all(bytes).expect("memory takes all");
    base64(packer)
}

type Packer = flate2::write::GzEncoder<Vec<u8>>;

fn packer() -> Packer {
    GzBuilder::new().write(Vec::new(), Compression::default())
}

fn base64(packer: Packer) -> String {
    BASE64_STANDARD.encode(packer.finish().expect("memory takes all"))
}

/// One tree of the file.
struct Tree {
    key: RootKey,
    root_id: RootId,
    title: String,
    columns: String,
    redacted: HashSet<ProcessId>,
    workers: HashSet<WorkerId>,
}

impl Tree {
    fn read(store: &dyn Queries, key: RootKey, options: &Options) -> Result<Option<Self>, ReportError> {
        let Some(mut tree) = store.tree_columns(key)? else { return Ok(None) };
        let redacted = redact(&mut tree, &options.redact);
        let (root_id, title) = (tree.head.root.root_id, tree.head.root.title.clone());
        let workers = tree.origins.iter().filter_map(|origin| origin.worker_id).collect();
        let mut packer = packer();
        for part in tree {
            packer.write_all(&part).expect("memory takes all");
        }
        Ok(Some(Self { key: RootKey::Id(root_id), root_id, title, columns: base64(packer), redacted, workers }))
    }
}

/// Removes the fields of processes whose names match one of `patterns`. Returns the ids of these processes.
fn redact(tree: &mut TreeColumns, patterns: &[Redaction]) -> HashSet<ProcessId> {
    let sites: Vec<bool> = tree.sites.iter().map(|site| patterns.iter().any(|pattern| pattern.is_match(&site.name))).collect();
    let mut ids = HashSet::new();
    for (index, row) in (0..).zip(&tree.rows) {
        if !sites.get(row.site as usize).copied().unwrap_or(false) {
            continue;
        }
        ids.insert(row.id);
        if let Some(more) = tree.more.get_mut(&index) {
            let mut rest: Value = serde_json::from_str(more).expect("it was written as JSON");
            rest.as_object_mut().expect("an object").remove("fields");
            *more = rest.to_string();
        }
    }
    ids
}

/// Log lines of one tree, compressed.
struct Logs {
    lines: String,
    omitted: u64,
}

impl Logs {
    /// Reads all lines. If they don't fit into `max_bytes`, reads only the first and last lines of each process. Returns `None` if the tree
    /// no longer exists.
    fn read(store: &dyn Queries, tree: &mut Tree, max_bytes: usize) -> Result<Option<Self>, StoreError> {
        let mut totals = HashMap::<ProcessId, usize>::new();
        let (mut packer, mut is_full) = (Some(packer()), false);
        let is_there = each_line(store, tree, |tree, line| {
            *totals.entry(line.process_id).or_default() += 1;
            tree.workers.insert(line.worker_id);
            is_full |= packer.as_mut().is_some_and(|packer| !put(packer, line, max_bytes));
            if is_full {
                packer = None;
            }
            true
        })?;
        if !is_there {
            return Ok(None);
        }
        if let Some(lines) = packer.map(base64).filter(|lines| lines.len() <= max_bytes) {
            return Ok(Some(Self { lines, omitted: 0 }));
        }
        for most in LINES {
            if let Some(logs) = Self::shortened(store, tree, &totals, most, max_bytes)? {
                return Ok(Some(logs));
            }
        }
        Ok(Some(Self { lines: packed(&[]), omitted: totals.values().map(|&total| total as u64).sum() }))
    }

    /// Reads the first and last lines of each process, at most `most` per process. Returns `None` if they don't fit.
    fn shortened(
        store: &dyn Queries,
        tree: &mut Tree,
        totals: &HashMap<ProcessId, usize>,
        most: usize,
        max_bytes: usize,
    ) -> Result<Option<Self>, StoreError> {
        let (mut packer, mut omitted, mut seen) = (packer(), 0, HashMap::<ProcessId, usize>::new());
        let mut fits = true;
        each_line(store, tree, |_, line| {
            let place = seen.entry(line.process_id).or_default();
            // Lines that were stored after the first pass count as last lines.
            let total = totals.get(&line.process_id).copied().unwrap_or(0).max(*place + 1);
            if *place < most.div_ceil(2) || *place + most / 2 >= total {
                fits &= put(&mut packer, line, max_bytes);
            } else {
                omitted += 1;
            }
            *place += 1;
            fits
        })?;
        Ok(fits.then(|| Self { lines: base64(packer), omitted }).filter(|logs| logs.lines.len() <= max_bytes))
    }
}

/// Adds a line. Returns false if the output so far is larger than `max_bytes` as base64.
fn put(packer: &mut Packer, line: &LogEntry, max_bytes: usize) -> bool {
    writeln!(packer, "{}", json(line)).expect("memory takes all");
    packer.get_ref().len() / 3 * 4 <= max_bytes
}

/// Calls `take` with each line that is not redacted, oldest first, until it returns false. Returns false if the tree no longer exists.
fn each_line(store: &dyn Queries, tree: &mut Tree, mut take: impl FnMut(&mut Tree, &LogEntry) -> bool) -> Result<bool, StoreError> {
    let mut query = LogsQuery { limit: CHUNK, ..LogsQuery::default() };
    loop {
        let Some(page) = store.logs(tree.key, &query)? else { return Ok(false) };
        for line in &page.logs {
            if !tree.redacted.contains(&line.process_id) && !take(tree, line) {
                return Ok(true);
            }
        }
        query.cursor = page.next_cursor;
        if query.cursor.is_none() {
            return Ok(true);
        }
    }
}
