//! Tests of the server over real sockets with its real database.

mod access;
mod batch;
mod bk_job;
mod bodies;
mod compress;
#[path = "../../../../fuzz/corpus.rs"]
mod corpus;
mod deep;
mod doctor;
mod guard;
mod heartbeats;
mod job_callbacks;
mod job_follow_ups;
mod jobs;
mod lifecycle;
mod logs;
mod metrics;
mod oidc;
mod openapi;
mod orders;
mod otlp;
mod page;
mod parameters;
mod pins;
mod plain;
mod queue;
mod random;
mod reading;
mod revoked;
mod senders;
mod slow;
mod spool;
mod stream;
mod support;
mod tls;
mod websocket;
