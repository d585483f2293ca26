//! Causes and severities of alerts.

/// Defines an enum with one word per variant, and the functions that convert between them.
macro_rules! words {
    ($(#[$of:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$of])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum $name {
            $($(#[$doc])* $variant,)+
        }

        impl $name {
            /// All variants with their words.
            pub const WORDS: &[(&str, Self)] = &[$(($word, Self::$variant)),+];

            /// Returns the variant's word.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }

            /// Returns the variant for a word.
            pub fn from_word(word: &str) -> Option<Self> {
                Self::WORDS.iter().find(|(of, _)| *of == word).map(|(_, found)| *found)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

pub(crate) use words;

words! {
    /// Cause of an alert.
    Cause {
        /// A run failed: by its exit code, a signal, an unmet expectation, a panic or an error.
        Failed = "failed",
        /// A run exceeds its `timeout`, or was ended by its `kill-after`.
        Timeout = "timeout",
        /// A run was due, but its agent could not start it in time.
        Missed = "missed",
        /// An agent or worker is lost: its heartbeats have stopped.
        Unknown = "unknown",
        /// A run started too late.
        Late = "late",
        /// A due time was skipped by a policy of the task.
        Skipped = "skipped",
        /// A task was deleted, or has been paused for a long time.
        Deleted = "deleted",
        /// A process sent a notification.
        Notified = "notified",
        /// A run takes far longer than past runs.
        Slow = "slow",
        /// A run took far less time than past runs.
        Fast = "fast",
        /// A run is lost: no end was received.
        Lost = "lost",
        /// Events were dropped.
        Drops = "drops",
        /// The disk of the server is full.
        Disk = "disk",
        /// A channel fails.
        Channel = "channel",
        /// The file of rules and channels contains mistakes.
        Settings = "settings",
    }
}

words! {
    /// Severity of an alert, in ascending order.
    Severity {
        /// For information.
        Info = "info",
        /// Needs attention.
        Warning = "warning",
        /// Needs immediate attention.
        Critical = "critical",
    }
}
