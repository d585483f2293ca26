//! Causes of alerts, and how severe they are.

/// Makes an enum of words with the tables that read and write them.
macro_rules! words {
    ($(#[$of:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$of])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum $name {
            $($(#[$doc])* $variant,)+
        }

        impl $name {
            /// All of them and their words.
            pub const WORDS: &[(&str, Self)] = &[$(($word, Self::$variant)),+];

            /// Its word.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }

            /// The one of this word.
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
        /// A run failed: by its exit code, a signal, what was expected of it, a panic or an error.
        Failed = "failed",
        /// A run takes longer than its `timeout`, or was ended by its `kill-after`.
        Timeout = "timeout",
        /// A run was due, and its agent could not start it in time.
        Missed = "missed",
        /// An agent or worker isn't heard of.
        Unknown = "unknown",
        /// A run started later than it should.
        Late = "late",
        /// A due time was skipped by a policy of the task.
        Skipped = "skipped",
        /// A task is gone or paused for long.
        Deleted = "deleted",
        /// A process asked that somebody be told.
        Notified = "notified",
        /// A run takes far longer than its past runs.
        Slow = "slow",
        /// A run ended far sooner than its past runs.
        Fast = "fast",
        /// A run that nobody saw end.
        Lost = "lost",
        /// Events were dropped.
        Drops = "drops",
        /// The disk of the server is full.
        Disk = "disk",
        /// A channel fails.
        Channel = "channel",
        /// The file of rules and channels has mistakes.
        Settings = "settings",
    }
}

words! {
    /// Severity of an alert, the least first.
    Severity {
        /// Worth knowing.
        Info = "info",
        /// Somebody should look.
        Warning = "warning",
        /// Somebody should look now.
        Critical = "critical",
    }
}
