//! Orders of the server that the deciding loop has no part in: the output of runs, and what runs have published.

use std::path::{Path, PathBuf};

use monitor_wire::{BatchComparison, BatchFile, BatchFileChange, BatchFileText, BatchFiles, Fields};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::data::Database;
use crate::output;
use crate::publication::{PublishError, beginning, compare, files};

/// Most files that are told at once, and most bytes of their paths: an answer has at most 1 MiB, and a byte may become six in JSON.
const MOST_FILES: usize = 1_000;
const MOST_PATHS: usize = 96 << 10;
/// Most bytes of a file that are told.
const MOST_TEXT: u64 = 64 << 10;
/// Contents of so many bytes are compared at most.
const MOST_COMPARED: u64 = 256 << 20;
/// Most publications, and most folders of history, that are told at once.
const MOST_LISTED: u32 = 200;

#[derive(Debug, Deserialize)]
struct Log {
    run: String,
    #[serde(default)]
    offset: u64,
}

#[derive(Debug, Deserialize)]
struct Listed {
    task: String,
    #[serde(default = "most_listed")]
    limit: u32,
}

/// A publication: its number, or the run that has left files.
#[derive(Debug, Deserialize)]
struct Named {
    task: String,
    publication: String,
}

#[derive(Debug, Deserialize)]
struct Pathed {
    #[serde(flatten)]
    named: Named,
    path: String,
}

#[derive(Debug, Deserialize)]
struct Compared {
    #[serde(flatten)]
    named: Named,
    with: String,
}

#[derive(Debug, Deserialize)]
struct Restored {
    #[serde(flatten)]
    named: Named,
    target: Option<String>,
    #[serde(default)]
    by: String,
}

fn most_listed() -> u32 {
    MOST_LISTED
}

/// Returns true if an order is one of these.
pub(crate) fn is_look(method: &str) -> bool {
    method == "log" || method.contains("publication")
}

/// Does what is ordered.
///
/// # Errors
/// Why it is refused, in words.
pub(crate) fn look(data: &Path, agent: &str, method: &str, arguments: Fields) -> Result<Value, String> {
    let arguments = Value::Object(arguments.into_iter().collect());
    let value = match method {
        "log" => {
            let Log { run, offset } = read(arguments)?;
            serde_json::to_value(output::piece(&data.join("runs"), &run, offset)?)
        }
        "publications" => {
            let Listed { task, limit } = read(arguments)?;
            serde_json::to_value(open(data)?.told(&task, limit.min(MOST_LISTED)).map_err(|error| error.to_string())?)
        }
        "publication" => serde_json::to_value(listed(&folder(&open(data)?, &read(arguments)?)?)?),
        "publication-file" => {
            let Pathed { named, path } = read(arguments)?;
            serde_json::to_value(text(&folder(&open(data)?, &named)?, path)?)
        }
        "compare-publications" => {
            let Compared { named, with } = read(arguments)?;
            let database = open(data)?;
            let other = folder(&database, &Named { task: named.task.clone(), publication: with })?;
            serde_json::to_value(compared(&folder(&database, &named)?, &other)?)
        }
        _ => {
            let Restored { named: Named { task, publication }, target, by } = read(arguments)?;
            let mut database = open(data)?;
            let done = match (publication.parse(), target) {
                (Ok(number), None) => database.restore_publication(&task, number, &by),
                (Ok(_), Some(_)) => return Err("a publication is published to its own target: name none".to_owned()),
                (Err(_), Some(target)) => database.publish_left(&task, &publication, &target, &by),
                (Err(_), None) => return Err(format!("say to which target what {publication} has left is to be published")),
            };
            let done = done.map_err(|error| error.to_string())?;
            tracing::warn!(task, publication, by, target = done.target, "published again: somebody asked for it");
            serde_json::to_value(done.told(agent))
        }
    };
    value.map_err(|error| error.to_string())
}

fn read<T: DeserializeOwned>(arguments: Value) -> Result<T, String> {
    serde_json::from_value(arguments).map_err(|error| format!("it can't be read: {error}"))
}

fn open(data: &Path) -> Result<Database, String> {
    Database::existing(data).map_err(|error| error.to_string())
}

/// The folder of a publication's files.
fn folder(database: &Database, Named { task, publication }: &Named) -> Result<PathBuf, String> {
    let folder = match publication.parse() {
        Ok(number) => database.publication(task, number).and_then(|found| database.published_files(&found)),
        Err(_) => database.left(task, publication),
    };
    folder.map_err(|error: PublishError| error.to_string())
}

fn listed(folder: &Path) -> Result<BatchFiles, String> {
    let found = files(folder).map_err(|error| error.to_string())?;
    let all = found.files.len();
    let mut left = MOST_PATHS;
    let file = |(path, row): (String, crate::publication::FileRow)| {
        let link = row.link.map(|link| link.to_string_lossy().into_owned());
        left = left.checked_sub(path.len() + link.as_ref().map_or(0, String::len))?;
        Some(BatchFile { path, size_bytes: row.bytes, link })
    };
    let files: Vec<_> = found.files.into_iter().take(MOST_FILES).map_while(file).collect();
    Ok(BatchFiles { is_cut: found.is_cut || files.len() < all, files })
}

fn text(folder: &Path, path: String) -> Result<BatchFileText, String> {
    let (bytes, size_bytes) = beginning(folder, &path, MOST_TEXT).map_err(|error| error.to_string())?;
    let is_cut = size_bytes > bytes.len() as u64;
    let text = match std::str::from_utf8(&bytes) {
        Ok(text) => Some(text),
        // A character that is cut at the end is left out.
        Err(error) if is_cut && error.error_len().is_none() => std::str::from_utf8(&bytes[..error.valid_up_to()]).ok(),
        Err(_) => None,
    };
    Ok(BatchFileText { path, size_bytes, text: text.filter(|text| !text.contains('\0')).map(str::to_owned), is_cut })
}

fn compared(one: &Path, other: &Path) -> Result<BatchComparison, String> {
    let (changes, is_cut) = compare(one, other, MOST_COMPARED).map_err(|error| error.to_string())?;
    let all = changes.len();
    let mut left = MOST_PATHS;
    let change = |of: crate::publication::Change| {
        left = left.checked_sub(of.path.len())?;
        Some(BatchFileChange { path: of.path, what: of.what.to_owned(), size_bytes: of.before, other_bytes: of.after })
    };
    let changes: Vec<_> = changes.into_iter().take(MOST_FILES).map_while(change).collect();
    Ok(BatchComparison { is_cut: is_cut || changes.len() < all, changes })
}
