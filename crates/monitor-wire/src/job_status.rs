//! Status numbers of jobs, steps and hosts. They are those of `BlueKing` JOB v3, so that its clients understand them.
//!
//! The sets are open: a number that this version doesn't know is stored and shown unchanged.

use serde::{Deserialize, Serialize};

macro_rules! open_number {
    ($(#[$doc:meta])* $name:ident($int:ty) { $($(#[$number_doc:meta])* $constant:ident = $number:literal, $text:literal);+ $(;)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
        #[serde(transparent)]
        pub struct $name(pub $int);

        impl $name {
            $($(#[$number_doc])* pub const $constant: Self = Self($number);)+

            /// The known numbers.
            pub const KNOWN: &'static [Self] = &[$(Self::$constant),+];

            /// Returns a short description, such as `succeeded`. `unknown` for a number that this version doesn't know.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$constant => $text,)+
                    _ => "unknown",
                }
            }
        }
    };
}

open_number!(
    /// Status of a host in one step of a job.
    HostStatus(u16) {
        /// There is no such host.
        NO_SUCH_HOST = 2, "no such host";
        /// It had succeeded before this attempt, so it was not started again.
        SUCCEEDED_BEFORE = 3, "succeeded before";
        /// It has not been started yet.
        WAITING = 5, "waiting";
        /// The script runs.
        RUNNING = 7, "running";
        /// The script has ended with exit code 0.
        SUCCEEDED = 9, "succeeded";
        /// The agent has refused the order, by a rule of the host's owner or because the order isn't valid.
        REFUSED = 12, "refused by the host";
        /// The time of the job was over before the host began.
        JOB_TIME_OVER = 13, "job time over";
        /// The host is known and has no agent.
        NO_AGENT = 18, "no agent";
        /// The script could not be started.
        NOT_STARTED = 101, "could not be started";
        /// The script has run longer than its timeout, and was ended.
        TIMED_OUT = 102, "timed out";
        /// Something on the host has ended the script, such as a signal or a limit of memory.
        ENDED_ON_HOST = 103, "ended on the host";
        /// The script has ended with another exit code than 0.
        EXIT_CODE = 104, "exit code not 0";
        /// The agent can't be reached, or contact to it was lost. A later report corrects this status.
        UNREACHABLE = 310, "agent not reachable";
        /// The host has no such account.
        NO_ACCOUNT = 311, "no such account";
        /// The host has refused the credentials of the account.
        NO_CREDENTIALS = 312, "credentials refused";
        /// The script was stopped by a user.
        STOPPED = 403, "stopped";
        /// A user has stopped the script, and it could not be ended.
        NOT_STOPPED = 404, "could not be stopped";
        /// The end was not observed: the launcher and its helper were killed.
        LOST = 500, "end not observed";
    }
);

impl HostStatus {
    /// Returns true if the host has not reached its end in this attempt.
    #[must_use]
    pub fn is_open(self) -> bool {
        matches!(self, Self::WAITING | Self::RUNNING)
    }

    /// Returns true if the script has succeeded, in this attempt or before.
    #[must_use]
    pub fn is_success(self) -> bool {
        matches!(self, Self::SUCCEEDED | Self::SUCCEEDED_BEFORE)
    }
}

open_number!(
    /// Status of a job or of one of its steps.
    JobStatus(u8) {
        /// It has not begun.
        WAITING = 1, "waiting";
        /// It runs.
        RUNNING = 2, "running";
        /// All hosts have succeeded.
        SUCCEEDED = 3, "succeeded";
        /// At least one host has failed.
        FAILED = 4, "failed";
        /// A user has skipped the step.
        SKIPPED = 5, "skipped";
        /// Hosts have failed, and a user or the mode of the rolling job ignores that.
        ERROR_IGNORED = 6, "error ignored";
        /// It waits for a decision of a user.
        NEEDS_USER = 7, "waiting for a user";
        /// A user has ended it.
        ENDED_BY_HAND = 8, "ended by hand";
        /// The engine could not continue it.
        ABNORMAL = 9, "abnormal";
        /// A user has stopped it, and hosts have not ended yet.
        STOPPING = 10, "stopping";
        /// A user has stopped it.
        STOPPED = 11, "stopped";
        /// A user has refused the confirmation.
        CONFIRMATION_REFUSED = 13, "confirmation refused";
        /// It was discarded before it began.
        DISCARDED = 14, "discarded";
        /// It waits for the next batch of a rolling job.
        NEXT_BATCH = 15, "waiting for the next batch";
    }
);

impl JobStatus {
    /// Returns true if the job or step has ended.
    #[must_use]
    pub fn is_finished(self) -> bool {
        matches!(
            self,
            Self::SUCCEEDED
                | Self::FAILED
                | Self::SKIPPED
                | Self::ERROR_IGNORED
                | Self::ENDED_BY_HAND
                | Self::ABNORMAL
                | Self::STOPPED
                | Self::CONFIRMATION_REFUSED
                | Self::DISCARDED
        )
    }

    /// Returns true if the job goes on after a step with this status.
    #[must_use]
    pub fn is_passed(self) -> bool {
        matches!(self, Self::SUCCEEDED | Self::SKIPPED | Self::ERROR_IGNORED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finished_and_open_statuses_have_the_documented_numbers() {
        let finished: Vec<u8> = JobStatus::KNOWN.iter().filter(|status| status.is_finished()).map(|status| status.0).collect();
        assert_eq!(finished, [3, 4, 5, 6, 8, 9, 11, 13, 14]);
        let open: Vec<u16> = HostStatus::KNOWN.iter().filter(|status| status.is_open()).map(|status| status.0).collect();
        assert_eq!(open, [5, 7]);
        assert_eq!(serde_json::from_str::<HostStatus>("777").unwrap().as_str(), "unknown");
    }
}
