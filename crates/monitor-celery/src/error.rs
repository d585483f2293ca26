//! Failures of a broker.

/// A broker can't be used. Each message names the broker, without its password.
#[derive(Debug, Clone, thiserror::Error)]
pub enum BrokerError {
    /// Nothing answers at the address, or the connection broke. A later try may succeed.
    #[error("the broker {broker} can't be reached: {why}")]
    Unreachable {
        /// The broker.
        broker: String,
        /// The error.
        why: String,
    },
    /// The broker refuses the credentials, or the user lacks a permission.
    #[error("the broker {broker} refuses it: {why}")]
    Refused {
        /// The broker.
        broker: String,
        /// The broker's reason.
        why: String,
    },
    /// The virtual host or the database doesn't exist.
    #[error("the broker {broker} doesn't have this virtual host or database: {why}")]
    NoPlace {
        /// The broker.
        broker: String,
        /// The broker's reason.
        why: String,
    },
    /// A message of a task can't be put into a queue.
    #[error("the broker {broker} doesn't take a message for the queue {queue}: {why}")]
    NoQueue {
        /// The broker.
        broker: String,
        /// The queue.
        queue: String,
        /// The reason.
        why: String,
    },
    /// Events can't be written to the folder of the bridge. The broker delivers them again to the next connection.
    #[error("events of the broker {broker} can't be kept: {why}")]
    NotKept {
        /// The broker.
        broker: String,
        /// The error.
        why: String,
    },
    /// Another bridge reads the queue of events.
    #[error("another bridge reads the queue of events {queue} of {broker}: stop that bridge, or use another --name")]
    Taken {
        /// The broker.
        broker: String,
        /// The queue.
        queue: String,
    },
}

impl BrokerError {
    /// Returns true if the same try may succeed later without a change of the configuration.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::NotKept { .. } | Self::Taken { .. })
    }
}
