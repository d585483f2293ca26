//! Records the tasks and workers of a Celery cluster, and controls its workers, over RabbitMQ or Redis. The cluster needs no change.
//!
//! ```text
//! broker ─► transport ─► message ─► translate ─► bridge/outbox ─► POST /api/v1/events
//!                                                bridge/orders ◄─ channel of each worker
//! broker ◄─ transport ◄─ pidbox ◄──────────────────────┘
//! ```
//! [`run`] is the bridge: it reads the events of the workers, and sends them to a server in the wire format. It receives the commands for these workers
//! from the server, and passes them on as Celery's remote control commands. [`check`] examines a cluster without a server. [`migrate`] moves the
//! messages of tasks to another broker.
//!
//! Only `transport` knows the protocols of the brokers. Formats: the events and remote control commands of Celery 5.3 to 5.7, and the messages of
//! kombu 5.3 to 5.7, as recorded from real clusters.
#![forbid(unsafe_code)]

mod bridge;
mod broker;
mod check;
mod error;
mod flow;
mod groups;
mod ids;
mod literal;
mod message;
mod migration;
mod nodes;
mod options;
mod pidbox;
mod results;
mod task_message;
mod tasks;
mod text;
mod translate;
mod transport;

pub use bridge::{Bridge, BridgeError, FolderError, run};
pub use broker::{Broker, InvalidBroker};
pub use check::{CheckedNode, Report, check};
pub use error::BrokerError;
pub use migration::{Migration, Moved, migrate};
pub use options::{Arguments, Options};
