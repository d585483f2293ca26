//! A crate that redefines the usual names.

#![allow(dead_code, non_camel_case_types, unused_macros)]

use ::monitor_client::{cross_process, cross_thread, normal_task, root_task};

mod std {}
mod core {}
mod alloc {}
mod monitor_client {}

struct Ok;
struct Err;
struct Some;
struct None;
struct Result;
struct Option;
struct Box;
struct String;
struct Vec;
struct u8;
struct bool;
trait Future {}
trait Drop {}
trait FnOnce {}

macro_rules! line {
    () => {
        compile_error!("not this one")
    };
}
macro_rules! file {
    () => {
        compile_error!("not this one")
    };
}
macro_rules! unreachable {
    () => {
        compile_error!("not this one")
    };
}

#[normal_task]
fn guard(guard: i32, returned: i32) -> i32 {
    guard + returned
}

#[root_task(batch = "process")]
async fn task(process: i32, work: i32, task: i32) -> i32 {
    process + work + task
}

#[cross_thread]
async fn pending((pending, parameter0): (i32, i32), parameter1: i32) -> i32 {
    pending + parameter0 + parameter1
}

#[normal_task]
fn failing() -> ::std::result::Result<i32, &'static str> {
    ::std::result::Result::Err("failing")
}

#[cross_process]
fn crossing(root_id: &str, parent_id: &str) {}

fn main() {
    assert_eq!(guard(1, 2), 3);
    drop(task(1, 2, 3));
    drop(pending((1, 2), 3));
    assert!(failing().is_err());
    crossing("", "");
}
