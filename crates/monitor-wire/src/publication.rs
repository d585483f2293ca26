//! What runs of batch tasks have left and published, as the API shows it. Times are Unix microseconds.

use serde::{Deserialize, Serialize};

/// Something that was published to a target of a task, or was to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BatchPublication {
    /// Its number, of its agent's own.
    pub number: u64,
    /// The agent that has it.
    pub agent: String,
    /// When it began.
    pub time_us: u64,
    /// Name of the target, as the task's definition has it.
    pub target: String,
    /// The run whose files these are.
    pub run: String,
    /// Who published it: a run, or a person.
    pub by: String,
    /// The folder of the files that the target shows, on the agent's machine; none of targets that are no folder.
    pub folder: Option<String>,
    /// Number of files.
    pub files: u64,
    /// Their sizes together.
    pub size_bytes: u64,
    /// Number of the publication that was published again.
    pub restores: Option<u64>,
    /// `done`, `failed`, or `begun` if nobody saw how it ended.
    pub state: String,
    /// Why it failed.
    pub error: Option<String>,
    /// It is what the target shows now.
    pub is_current: bool,
}

/// What a run has left for others, as the history keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BatchLeft {
    /// The run.
    pub run: String,
    /// The agent that has it.
    pub agent: String,
    /// Its folder of the history, such as `202611/21_103005`.
    pub folder: String,
    /// Number of files.
    pub files: u64,
    /// Their sizes together.
    pub size_bytes: u64,
}

/// An agent that did not answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BatchSilent {
    /// The agent.
    pub agent: String,
    /// Why.
    pub why: String,
}

/// `GET /api/v1/batch-tasks/{name}/publications`: what runs of a task have published and left, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BatchPublications {
    /// Publications.
    pub publications: Vec<BatchPublication>,
    /// What runs have left, published or not.
    pub history: Vec<BatchLeft>,
    /// Agents of the task that did not answer: what they have is not among these.
    #[serde(default)]
    pub silent: Vec<BatchSilent>,
}

/// A file of a publication.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BatchFile {
    /// Its path in the publication's folder.
    pub path: String,
    /// Its size.
    pub size_bytes: u64,
    /// Where it leads, if it is a link.
    pub link: Option<String>,
}

/// `GET /api/v1/batch-tasks/{name}/publications/{publication}`: its files, by path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BatchFiles {
    /// Files, at most 1,000.
    pub files: Vec<BatchFile>,
    /// There are more than are told.
    pub is_cut: bool,
}

/// `GET /api/v1/batch-tasks/{name}/publications/{publication}/file`: the beginning of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BatchFileText {
    /// Its path in the publication's folder.
    pub path: String,
    /// Its size.
    pub size_bytes: u64,
    /// The first 64 KiB of it; none of what is no text in UTF-8.
    pub text: Option<String>,
    /// There is more than is told.
    pub is_cut: bool,
}

/// A file that differs between two publications.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BatchFileChange {
    /// Its path.
    pub path: String,
    /// `added`, `removed`, `changed`; or `unknown`: the sizes are the same, and the contents were too much to compare.
    pub what: String,
    /// Its size in the publication.
    pub size_bytes: Option<u64>,
    /// Its size in the other one.
    pub other_bytes: Option<u64>,
}

/// `GET /api/v1/batch-tasks/{name}/publications/{publication}/compare`: what another one has otherwise, by path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BatchComparison {
    /// Files that differ, at most 1,000.
    pub changes: Vec<BatchFileChange>,
    /// There are more than are told.
    pub is_cut: bool,
}

/// `POST /api/v1/batch-tasks/{name}/publications/{publication}/restore`: where it is to be published.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BatchRestore {
    /// The target, for what a run has left. A publication is published to its own target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
}
