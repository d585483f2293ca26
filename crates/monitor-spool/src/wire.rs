//! Types of the wire format that the writing side needs: those of `monitor-wire`, or equivalents without serde.

#[cfg(feature = "read")]
pub use monitor_wire::{Dropped, Kind, ProcessId, Registered, RootId, Source, WorkerId, WorkerRef};

#[cfg(not(feature = "read"))]
pub use plain::{Dropped, Kind, ProcessId, Registered, RootId, Source, WorkerId, WorkerRef};

#[cfg(any(test, not(feature = "read")))]
#[cfg_attr(feature = "read", allow(dead_code, unreachable_pub, reason = "only its ids are tested"))]
mod plain {
    use std::fmt;
    use std::str::FromStr;

    /// Error for a text that is not an id.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct InvalidId;

    /// Parses exactly `digits` lower-case hex digits.
    fn hex(text: &str, digits: usize) -> Result<u128, InvalidId> {
        let is_hex = text.len() == digits && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        u128::from_str_radix(text, 16).ok().filter(|_| is_hex).ok_or(InvalidId)
    }

    macro_rules! id {
        ($(#[$doc:meta])* $name:ident, $int:ty, $digits:literal) => {
            $(#[$doc])*
            #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
            pub struct $name($int);

            impl $name {
                /// Creates an id. `None` for zero.
                pub fn new(value: $int) -> Option<Self> {
                    (value != 0).then_some(Self(value))
                }

                /// Returns the id as a number, never zero.
                pub fn get(self) -> $int {
                    self.0
                }
            }

            impl fmt::Display for $name {
                fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    write!(f, concat!("{:0", $digits, "x}"), self.0)
                }
            }

            impl FromStr for $name {
                type Err = InvalidId;

                fn from_str(text: &str) -> Result<Self, InvalidId> {
                    Self::new(hex(text, $digits)? as $int).ok_or(InvalidId)
                }
            }
        };
    }

    id!(
        /// Id of a tree.
        RootId, u128, 32
    );
    id!(
        /// Id of a process within its tree.
        ProcessId, u64, 16
    );
    id!(
        /// Id of a worker.
        WorkerId, u128, 32
    );

    impl RootId {
        /// Returns the process represented by the lower half of the id, as in `monitor-wire`. `None` if it is zero.
        pub fn own_process(self) -> Option<ProcessId> {
            ProcessId::new(self.0 as u64)
        }
    }

    /// The worker that reports.
    #[derive(Debug, Clone, PartialEq, Eq, Hash)]
    pub struct WorkerRef {
        /// Id of the worker.
        pub id: WorkerId,
        /// Name of the host.
        pub hostname: String,
        /// Pid on the host.
        pub pid: u32,
        /// Name of the program.
        pub program: String,
    }

    /// Kind of a process.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Kind(pub &'static str);

    impl Kind {
        /// Returns the word.
        pub fn as_str(&self) -> &str {
            self.0
        }
    }

    impl From<&'static str> for Kind {
        fn from(text: &'static str) -> Self {
            Self(text)
        }
    }

    /// A position in a program's source.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Source {
        /// File name as used by the compiler.
        pub file: String,
        /// Line number, from 1.
        pub line: u32,
    }

    /// An attributed function of a program, called or not.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Registered {
        /// Name of the function's processes.
        pub name: String,
        /// Kind of the function's processes.
        pub kind: Kind,
        /// Position of the function.
        pub source: Source,
    }

    /// Count of dropped events with equal type, reason and tree.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Dropped {
        /// Type of the events.
        pub event_type: String,
        /// Reason: `memory`, `rejected` …
        pub reason: String,
        /// Tree. `None` for all trees that are not counted separately.
        pub root_id: Option<RootId>,
        /// Count since the start of the worker.
        pub count: u64,
    }
}

#[cfg(all(test, feature = "read"))]
mod tests {
    #[test]
    fn both_parsers_accept_the_same_ids() {
        for text in [
            "",
            "0000000000000000",
            "0000000000000001",
            "ffffffffffffffff",
            "FFFFFFFFFFFFFFFF",
            "+fffffffffffffff",
            "fffffffffffffff",
            "00000000000000001",
            "ａ3ce929d0e0e4",
            "00000000000000000000000000000000",
            "0199a3ce929d0e0e47360199a3ce929d",
        ] {
            let process = text.parse::<super::plain::ProcessId>().ok().map(super::plain::ProcessId::get);
            assert_eq!(process, text.parse::<super::ProcessId>().ok().map(super::ProcessId::get), "{text:?}");
            let root = text.parse::<super::plain::RootId>().ok().map(super::plain::RootId::get);
            assert_eq!(root, text.parse::<super::RootId>().ok().map(super::RootId::get), "{text:?}");
        }
    }
}
