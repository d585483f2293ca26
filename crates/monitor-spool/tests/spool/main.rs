//! Tests of the public interface of the spool: folders that are written, killed, damaged and read.
#![cfg(unix)]

mod bound;
#[path = "../../../../fuzz/corpus.rs"]
mod corpus;
mod damage;
mod follow;
mod full;
mod kill;
mod life;
mod passed_tests;
mod random;
mod replay;
mod support;
mod trust;
