//! Errors of jobs.

use monitor_store::StoreError;

use crate::ingest::IngestError;

/// Reason why a request about hosts or jobs, or a pass of the engine, failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum JobError {
    /// The request has mistakes, each with its path.
    #[error("{}", .0.join("\n"))]
    Request(Vec<String>),
    /// The job does not exist.
    #[error("there is no job {0}: `GET /api/v1/jobs` lists those that there are")]
    NoJob(u64),
    /// The operation isn't possible in the current state of the job.
    #[error("{0}")]
    Refused(String),
    /// The caller's grant does not cover the job.
    #[error("{0}")]
    NotAllowed(String),
    /// Rules of the server refuse the job, each with a sentence.
    #[error("{}", .0.join("\n"))]
    Dangerous(Vec<String>),
    /// An agent reports for a host that isn't its own.
    #[error("{0}")]
    OtherHost(String),
    /// A part of output does not fit.
    #[error("{0}")]
    Misplaced(String),
    /// Output can't be read or written.
    #[error("the output of a job could not be read or written")]
    Output(#[source] std::io::Error),
    /// The store of jobs failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Processes of jobs could not be recorded.
    #[error(transparent)]
    Ingest(#[from] IngestError),
    /// A task of the server broke off.
    #[error("a task of the server broke off")]
    Broken(#[from] tokio::task::JoinError),
}
