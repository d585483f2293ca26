//! Files that runs of batch tasks have left and published, as the API shows them. Times are Unix microseconds.

use serde::{Deserialize, Serialize};

/// A publication: files that were published to a target of a task, or that could not be published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BatchPublication {
    /// Number of the publication, unique within its agent.
    pub number: u64,
    /// Agent that made the publication.
    pub agent: String,
    /// Start of the publication.
    pub time_us: u64,
    /// Name of the target in the task's definition.
    pub target: String,
    /// Run that the files are from.
    pub run: String,
    /// Run or person that published the files.
    pub by: String,
    /// Folder of the published files on the agent's machine; none if the target is not a folder.
    pub folder: Option<String>,
    /// Number of files.
    pub files: u64,
    /// Sum of the file sizes.
    pub size_bytes: u64,
    /// Number of the earlier publication that this publication restored.
    pub restores: Option<u64>,
    /// `done`, `failed`, or `begun` if the end of the publication is not known.
    pub state: String,
    /// Reason for the failure.
    pub error: Option<String>,
    /// True if the target shows this publication now.
    pub is_current: bool,
}

/// Files that a run has left in the history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BatchLeft {
    /// Run that left the files.
    pub run: String,
    /// Agent that stores the files.
    pub agent: String,
    /// Folder of the files below the history, such as `202611/21_103005`.
    pub folder: String,
    /// Number of files.
    pub files: u64,
    /// Sum of the file sizes.
    pub size_bytes: u64,
}

/// An agent that did not reply.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BatchSilent {
    /// Name of the agent.
    pub agent: String,
    /// Reason why there is no reply.
    pub why: String,
}

/// Answer of `GET /api/v1/batch-tasks/{name}/publications`: files that runs of a task have published and left, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BatchPublications {
    /// Publications.
    pub publications: Vec<BatchPublication>,
    /// Files that runs have left, published or not.
    pub history: Vec<BatchLeft>,
    /// Agents of the task that did not reply. Their publications and files are missing from the lists.
    #[serde(default)]
    pub silent: Vec<BatchSilent>,
}

/// A file of a publication.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BatchFile {
    /// Path below the publication's folder.
    pub path: String,
    /// Size of the file.
    pub size_bytes: u64,
    /// Target of the link, if the file is a symbolic link.
    pub link: Option<String>,
}

/// Answer of `GET /api/v1/batch-tasks/{name}/publications/{publication}`: the files of a publication, by path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BatchFiles {
    /// Files, at most 1,000.
    pub files: Vec<BatchFile>,
    /// True if the publication has more files.
    pub is_cut: bool,
}

/// Answer of `GET /api/v1/batch-tasks/{name}/publications/{publication}/file`: the beginning of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BatchFileText {
    /// Path below the publication's folder.
    pub path: String,
    /// Size of the file.
    pub size_bytes: u64,
    /// First 64 KiB of the file; none if the file is not UTF-8 text.
    pub text: Option<String>,
    /// True if the file is longer than `text`.
    pub is_cut: bool,
}

/// A difference between two publications: a file that only one of them contains, or that has changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BatchFileChange {
    /// Path below the publications' folders.
    pub path: String,
    /// `added` if only the other publication contains the file, `removed` if only this publication contains it, or `changed`. `unknown` if the
    /// sizes are the same and the contents were too large to compare.
    pub what: String,
    /// Size of the file in this publication, if it contains the file.
    pub size_bytes: Option<u64>,
    /// Size of the file in the other publication, if it contains the file.
    pub other_bytes: Option<u64>,
}

/// Answer of `GET /api/v1/batch-tasks/{name}/publications/{publication}/compare`: differences between two publications, by path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BatchComparison {
    /// Files that differ, at most 1,000.
    pub changes: Vec<BatchFileChange>,
    /// True if there are more differences.
    pub is_cut: bool,
}

/// Body of `POST /api/v1/batch-tasks/{name}/publications/{publication}/restore`, which publishes files again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BatchRestore {
    /// Target for files that a run has left. A publication is always published to its own target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
}
