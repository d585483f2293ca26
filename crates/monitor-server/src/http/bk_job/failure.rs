//! Refusals and their codes.

use std::fmt;

use axum::response::{IntoResponse, Response};

use super::super::problem::ApiError;
use super::answer::refusal;
use crate::jobs::JobError;

/// Codes of answers.
pub(super) mod code {
    pub(in super::super) const UNAVAILABLE: u32 = 1_240_001;
    pub(in super::super) const INTERNAL: u32 = 1_240_002;
    pub(in super::super) const BAD_REQUEST: u32 = 1_240_003;
    /// The caller is unknown.
    pub(in super::super) const UNKNOWN_CALLER: u32 = 1_238_001;
    /// The caller lacks the right.
    pub(in super::super) const FORBIDDEN: u32 = 9_900_403;
    pub(in super::super) const NO_CALL: u32 = 1_241_003;
    /// A parameter is missing.
    pub(in super::super) const MISSING: u32 = 1_241_004;
    /// A parameter has an illegal value.
    pub(in super::super) const ILLEGAL: u32 = 1_241_005;
    /// No server is selected.
    pub(in super::super) const NO_SERVER: u32 = 1_244_001;
    pub(in super::super) const NO_ACCOUNT: u32 = 1_244_003;
    pub(in super::super) const NO_JOB: u32 = 1_244_006;
    pub(in super::super) const NO_STEP: u32 = 1_244_007;
    /// A rule refuses the script.
    pub(in super::super) const DANGEROUS: u32 = 1_244_019;
    pub(in super::super) const TOO_MANY: u32 = 1_244_022;
    pub(in super::super) const ROLLING: u32 = 1_244_026;
}

/// Beginnings of places in a request for a job, with the parameter and the code for a mistake there.
const PLACES: [(&str, &str, u32); 11] = [
    ("steps[0].script", "script_content", code::ILLEGAL),
    ("steps[0].args", "script_param", code::ILLEGAL),
    ("steps[0].name", "task_name", code::ILLEGAL),
    ("steps[0]", "script_param", code::ILLEGAL),
    ("name", "task_name", code::ILLEGAL),
    ("account", "account_alias", code::NO_ACCOUNT),
    ("rolling", "rolling_config", code::ROLLING),
    ("targets.hosts", "target_server.host_id_list", code::NO_SERVER),
    ("targets.saved", "target_server.dynamic_group_list", code::NO_SERVER),
    ("targets.ips", "target_server.ip_list", code::NO_SERVER),
    ("targets", "target_server", code::NO_SERVER),
];

/// Reason why a call is answered with `"result": false`.
#[derive(Debug)]
pub(super) enum Failure {
    /// The call is refused.
    Refused { code: u32, message: String },
    /// The server could not carry it out.
    Api(ApiError),
}

impl Failure {
    pub(super) fn new(code: u32, message: impl Into<String>) -> Self {
        Self::Refused { code, message: message.into() }
    }

    pub(super) fn no_job(id: u64) -> Self {
        Self::new(code::NO_JOB, JobError::NoJob(id).to_string())
    }

    /// Translates mistakes of a request for a job. The code is that of the first one.
    pub(super) fn of_mistakes(mistakes: &[String]) -> Self {
        let all: Vec<_> = mistakes.iter().map(|mistake| translated(mistake)).collect();
        let messages: Vec<_> = all.iter().map(|(_, message)| message.as_str()).collect();
        Self::new(all.first().map_or(code::BAD_REQUEST, |(code, _)| *code), messages.join("\n"))
    }
}

/// Translates the place at the beginning of a message. Returns the code for a mistake there as well.
fn translated(message: &str) -> (u32, String) {
    let place = PLACES.iter().find_map(|(place, name, code)| Some((*code, format!("{name}{}", message.strip_prefix(place)?))));
    place.unwrap_or_else(|| (code::ILLEGAL, message.to_owned()))
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused { code, message } => write!(f, "refused with code {code}: {message}"),
            Self::Api(error) => error.fmt(f),
        }
    }
}

impl From<JobError> for Failure {
    fn from(error: JobError) -> Self {
        match error {
            JobError::NoJob(id) => Self::no_job(id),
            JobError::Request(mistakes) => Self::of_mistakes(&mistakes),
            JobError::Refused(detail) => Self::new(code::BAD_REQUEST, detail),
            JobError::NotAllowed(detail) => Self::new(code::FORBIDDEN, detail),
            JobError::Dangerous(rules) => {
                let messages: Vec<_> = rules.iter().map(|rule| translated(rule).1).collect();
                Self::new(code::DANGEROUS, messages.join("\n"))
            }
            error => Self::Api(error.into()),
        }
    }
}

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Self {
        Self::Api(error)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        match self {
            Self::Refused { code, message } => refusal(code, &message),
            Self::Api(error) => error.into_response(),
        }
    }
}
