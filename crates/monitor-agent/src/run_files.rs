//! Executes orders that don't need the main loop: orders about the output of runs and their publications.

use std::path::{Path, PathBuf};

use monitor_wire::{AgentOrder, BatchComparison, BatchFile, BatchFileChange, BatchFileText, BatchFiles, NamedPublication};
use serde_json::Value;

use crate::data::Database;
use crate::output;
use crate::publication::{PublishError, beginning, compare, files};

/// Maximum number of files in one answer, and maximum number of bytes of their paths. An answer has at most 1 MiB, and JSON may need six bytes
/// for one.
const MOST_FILES: usize = 1_000;
const MOST_PATHS: usize = 96 << 10;
/// Largest part of a file that is returned, in bytes.
const MOST_TEXT: u64 = 64 << 10;
/// Largest file whose content is compared, in bytes.
const MOST_COMPARED: u64 = 256 << 20;
/// Largest number of publications, and of folders of the history, in one answer.
const MOST_LISTED: u32 = 200;

/// Executes an order about output or publications, and returns the answer. Blocks while it reads files.
///
/// # Errors
/// Returns the reason why the order is refused.
pub(crate) fn look(data: &Path, agent: &str, by: &str, order: AgentOrder) -> Result<Value, String> {
    let value = match order {
        AgentOrder::Log { run, offset } => serde_json::to_value(output::piece(&data.join("runs"), &run, offset)?),
        AgentOrder::Publications { task, limit } => {
            serde_json::to_value(open(data)?.told(&task, limit.min(MOST_LISTED)).map_err(|error| error.to_string())?)
        }
        AgentOrder::Publication(publication) => serde_json::to_value(listed(&folder(&open(data)?, &publication)?)?),
        AgentOrder::PublicationFile { publication, path } => serde_json::to_value(text(&folder(&open(data)?, &publication)?, path)?),
        AgentOrder::ComparePublications { publication, with } => {
            let database = open(data)?;
            let other = folder(&database, &NamedPublication { task: publication.task.clone(), publication: with })?;
            serde_json::to_value(compared(&folder(&database, &publication)?, &other)?)
        }
        AgentOrder::RestorePublication { publication: NamedPublication { task, publication }, target } => {
            let mut database = open(data)?;
            let done = match (publication.parse(), target) {
                (Ok(number), None) => database.restore_publication(&task, number, by),
                (Ok(_), Some(_)) => return Err("a publication is published to its own target: name none".to_owned()),
                (Err(_), Some(target)) => database.publish_left(&task, &publication, &target, by),
                (Err(_), None) => return Err(format!("say to which target what {publication} has left is to be published")),
            };
            let done = done.map_err(|error| error.to_string())?;
            tracing::warn!(task, publication, by, target = done.target, "published again on request");
            serde_json::to_value(done.told(agent))
        }
        other => return Err(format!("{} is an order for the agent's main loop", other.name())),
    };
    value.map_err(|error| error.to_string())
}

fn open(data: &Path) -> Result<Database, String> {
    Database::existing(data).map_err(|error| error.to_string())
}

/// Returns the folder of a publication's files.
fn folder(database: &Database, NamedPublication { task, publication }: &NamedPublication) -> Result<PathBuf, String> {
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
        // The limit may split the last character. It is omitted.
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
