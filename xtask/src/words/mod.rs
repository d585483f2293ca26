//! `cargo xtask words`: counts phrases that make text hard to follow, in everything that a reader meets.
//!
//! Each row of the table is a group of files and a kind of text in it. `cargo xtask test` fails if a row has more phrases per 1,000 words, or
//! more comments with an unclear opening, than its limit.

mod phrases;
mod texts;

use std::path::Path;

use anyhow::{Context as _, Result, bail};

use self::phrases::{Count, Phrases};
use self::texts::{Kind, Text};
use crate::run::{command, workspace};

/// Limit for documents and the texts of the page, in phrases per 1,000 words.
const DOCUMENTS: f64 = 4.0;
/// Limit for code, in phrases per 1,000 words, and for the share of comments with an unclear opening, in percent.
const CODE: f64 = 2.0;
/// Files that aren't ours, that are generated, or that contain no English.
const SKIPPED: [&str; 6] = ["/fixtures/", "schema.ts", "openapi.json", "package-lock.json", ".zh.ts", "/zh.ts"];

/// A row of the table.
struct Row {
    name: String,
    kind: Kind,
    limit: f64,
    texts: Vec<Text>,
}

/// Prints the table and the `list` worst passages.
///
/// # Errors
/// Names the rows above their limits.
pub(crate) fn words(list: usize) -> Result<()> {
    let phrases = Phrases::new();
    let mut worst = Vec::new();
    let mut over = Vec::new();
    println!("{:<28} {:<14} {:>7} {:>6} {:>9} {:>6}", "", "", "words", "opens", "per 1,000", "limit");
    for row in rows()? {
        let mut count = Count::default();
        for text in &row.texts {
            let hits = count.add(&phrases, text, row.kind.has_openings());
            if hits > 0 {
                let words = text.words.split_whitespace().collect::<Vec<_>>().join(" ");
                worst.push((f64::from(hits) / (words.split(' ').count() + 8) as f64, format!("{}: {words}", text.place)));
            }
        }
        if count.words == 0 {
            continue;
        }
        let Row { name, kind, limit, .. } = row;
        let (rate, opens) = (count.per_thousand(), count.openings_percent());
        println!("{name:<28} {:<14} {:>7} {opens:>5.1}% {rate:>9.1} {limit:>6.1}", kind.name(), count.words);
        if rate > limit || opens > limit {
            over.push(format!("{name} ({})", kind.name()));
        }
    }
    worst.sort_by(|one, other| other.0.total_cmp(&one.0));
    for (_, passage) in worst.iter().take(list) {
        println!("{}", passage.chars().take(300).collect::<String>());
    }
    if !over.is_empty() {
        bail!("texts above their limit: {}; `cargo xtask words --list 40` prints the worst passages", over.join(", "));
    }
    Ok(())
}

/// Returns all rows, from the files that git knows.
fn rows() -> Result<Vec<Row>> {
    let listed =
        command("git", &["ls-files", "-z", "--cached", "--others", "--exclude-standard"]).output().context("git can't be started")?;
    let listed = String::from_utf8(listed.stdout)?;
    let mut rows: Vec<Row> = Vec::new();
    for file in listed.split('\0').filter(|file| !SKIPPED.iter().any(|part| file.contains(part))) {
        let path = workspace().join(file);
        let Ok(text) = std::fs::read_to_string(&path) else { continue };
        let group = group_of(file);
        for kind in Kind::of(Path::new(file)) {
            let limit = if kind.is_document() { DOCUMENTS } else { CODE };
            let texts = kind.texts(file, &text);
            match rows.iter_mut().find(|row| row.name == group && row.kind == *kind) {
                Some(row) => row.texts.extend(texts),
                None => rows.push(Row { name: group.clone(), kind: *kind, limit, texts }),
            }
        }
    }
    rows.sort_by(|one, other| (&one.name, one.kind).cmp(&(&other.name, other.kind)));
    Ok(rows)
}

/// Returns the name of a file's row: its crate, its folder, or the file itself at the top.
fn group_of(file: &str) -> String {
    let mut parts = file.split('/');
    match (parts.next(), parts.next()) {
        (Some("crates"), Some(name)) => name.to_owned(),
        (Some(top), _) => top.to_owned(),
        (None, _) => String::new(),
    }
}
