//! Messages of queues that are moved from one broker to another. A message stays in its broker until it is removed.

use super::{Connection, amqp, redis};
use crate::error::BrokerError;
use crate::message::{Envelope, Unreadable};

/// The messages of a queue, one after the other, in the order in which workers take them.
#[derive(Debug)]
pub(crate) enum Source {
    Amqp(amqp::moving::Source),
    Redis(redis::moving::Source),
}

/// A queue, or all queues, of the other broker.
#[derive(Debug)]
pub(crate) enum Target {
    Amqp(amqp::moving::Target),
    Redis(redis::moving::Target),
}

/// The next message of a queue.
#[derive(Debug)]
pub(crate) enum Next {
    /// A message that is meant.
    Meant(Box<Taken>),
    /// A message that stays where it is: another one, or one that can't be read.
    Left(Option<Unreadable>),
}

/// A message that no worker takes meanwhile.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) envelope: Envelope,
    /// True if it was taken before. If that was a migration that was killed, the other broker may have it.
    pub(crate) is_doubtful: bool,
    pub(crate) handle: Handle,
}

/// How a broker names a message.
#[derive(Debug)]
pub(crate) enum Handle {
    /// The number of its delivery.
    Tag(u64),
    /// The list that it was taken from, and the message itself.
    Element { list: String, payload: Vec<u8> },
}

impl Connection {
    /// Opens a queue, from which messages are taken. None if it does not exist. With `is_trial`, no message is moved afterwards.
    pub(crate) async fn source(&self, queue: &str, is_trial: bool) -> Result<Option<Source>, BrokerError> {
        Ok(match self {
            Self::Amqp(connection) => connection.source(queue).await?.map(Source::Amqp),
            Self::Redis(connection) => Some(Source::Redis(connection.source(queue, is_trial).await?)),
        })
    }

    /// Opens the broker for messages.
    pub(crate) async fn target(&self) -> Result<Target, BrokerError> {
        Ok(match self {
            Self::Amqp(connection) => Target::Amqp(connection.target().await?),
            Self::Redis(connection) => Target::Redis(connection.target().await?),
        })
    }
}

impl Source {
    /// Returns the next message, and takes it if it is meant. None at the end of the queue.
    pub(crate) async fn next(&mut self, is_meant: impl Fn(&Envelope) -> bool) -> Result<Option<Next>, BrokerError> {
        match self {
            Self::Amqp(source) => source.next(is_meant).await,
            Self::Redis(source) => source.next(is_meant).await,
        }
    }

    /// Number of messages when the queue was opened.
    pub(crate) fn count(&self) -> u64 {
        match self {
            Self::Amqp(source) => source.count,
            Self::Redis(source) => source.count,
        }
    }

    /// Removes a message. Only then its broker forgets it.
    pub(crate) async fn remove(&mut self, taken: &Taken) -> Result<(), BrokerError> {
        match (self, &taken.handle) {
            (Self::Amqp(source), Handle::Tag(tag)) => source.remove(*tag).await,
            (Self::Redis(source), Handle::Element { payload, .. }) => source.remove(payload).await,
            _ => unreachable!("the message was taken from another broker"),
        }
    }

    /// Puts a message back to its place.
    pub(crate) async fn put_back(&mut self, taken: &Taken) -> Result<(), BrokerError> {
        match (self, &taken.handle) {
            (Self::Amqp(source), Handle::Tag(tag)) => source.put_back(*tag).await,
            (Self::Redis(source), Handle::Element { list, payload }) => source.put_back(list, payload).await,
            _ => unreachable!("the message was taken from another broker"),
        }
    }

    /// Gives the messages back that were read and not removed.
    pub(crate) async fn close(self) -> Result<(), BrokerError> {
        match self {
            Self::Amqp(source) => source.close().await,
            Self::Redis(_) => Ok(()),
        }
    }
}

impl Target {
    /// Adds a message to a queue. Returns when the broker has confirmed it.
    pub(crate) async fn put(&mut self, queue: &str, envelope: &Envelope) -> Result<(), BrokerError> {
        match self {
            Self::Amqp(target) => target.put(queue, envelope).await,
            Self::Redis(target) => target.put(queue, envelope).await,
        }
    }
}
