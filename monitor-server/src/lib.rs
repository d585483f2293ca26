//! The server: ingest, store, API and live stream.

pub mod store;
