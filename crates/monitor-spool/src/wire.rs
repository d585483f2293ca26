//! The few words of the wire format that the writing side needs: those of `monitor-wire`, or their like without serde.

#[cfg(feature = "read")]
pub use monitor_wire::{Dropped, Kind, ProcessId, Registered, RootId, Source, WorkerId, WorkerRef};

#[cfg(not(feature = "read"))]
pub use plain::{Dropped, Kind, ProcessId, Registered, RootId, Source, WorkerId, WorkerRef};

#[cfg(any(test, not(feature = "read")))]
#[cfg_attr(feature = "read", allow(dead_code, unreachable_pub, reason = "only its ids are tested"))]
mod plain {
    use std::fmt;
    use std::str::FromStr;

    /// The text is no id.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct InvalidId;

    /// So many lower-case hex digits.
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
                /// The id of this number, unless it is zero.
                pub fn new(value: $int) -> Option<Self> {
                    (value != 0).then_some(Self(value))
                }

                /// The id as a number, never zero.
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
        /// Names a tree.
        RootId, u128, 32
    );
    id!(
        /// Names a process within its tree.
        ProcessId, u64, 16
    );
    id!(
        /// Names a worker.
        WorkerId, u128, 32
    );

    impl RootId {
        /// The process that the lower half of the id stands for, unless it is zero: as in `monitor-wire`.
        pub fn own_process(self) -> Option<ProcessId> {
            ProcessId::new(self.0 as u64)
        }
    }

    /// Who reports.
    #[derive(Debug, Clone, PartialEq, Eq, Hash)]
    pub struct WorkerRef {
        /// Its id.
        pub id: WorkerId,
        /// Name of its host.
        pub hostname: String,
        /// Its process number on the host.
        pub pid: u32,
        /// Name of its program.
        pub program: String,
    }

    /// What a process is.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Kind(pub &'static str);

    impl Kind {
        /// The word itself.
        pub fn as_str(&self) -> &str {
            self.0
        }
    }

    impl From<&'static str> for Kind {
        fn from(text: &'static str) -> Self {
            Self(text)
        }
    }

    /// A place in a program's source.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Source {
        /// The file, as the compiler names it.
        pub file: String,
        /// The line, from 1.
        pub line: u32,
    }

    /// An attributed function of a program, called or not.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Registered {
        /// Name of its processes.
        pub name: String,
        /// Their kind.
        pub kind: Kind,
        /// Where it stands.
        pub source: Source,
    }

    /// How many events of a type were dropped, and why.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Dropped {
        /// Type of the events.
        pub event_type: String,
        /// Why: `memory`, `rejected` …
        pub reason: String,
        /// The tree, none for all trees that are not counted apart.
        pub root_id: Option<RootId>,
        /// How many since the worker began.
        pub count: u64,
    }
}

#[cfg(all(test, feature = "read"))]
mod tests {
    #[test]
    fn both_take_the_same_ids() {
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
