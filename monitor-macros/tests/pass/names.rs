//! All forms of the arguments.

use monitor_client::{cross_process, cross_thread, normal_task, root_task};

mod vendored {
    pub use monitor_client as monitor;
}

#[normal_task]
fn default_name() {}

#[normal_task()]
fn empty_brackets() {}

#[normal_task("positional")]
fn positional() {}

#[normal_task(name = "named",)]
fn named() {}

#[normal_task("一个简单的需要被监控的函数")]
fn utf8() {}

#[root_task("root", "batch")]
fn root(batch: &str) -> usize {
    batch.len()
}

#[root_task(batch = batch, name = "named root")]
fn named_root(batch: u8) {}

#[cross_thread("thread", crate = crate::vendored::monitor)]
fn thread() {}

#[cross_process("process", crate = vendored::monitor)]
fn process(root_id: &str, parent_id: Option<String>) {}

#[normal_task]
fn r#match() {}

fn main() {
    default_name();
    empty_brackets();
    positional();
    named();
    utf8();
    assert_eq!(root("batch001"), 8);
    named_root(7);
    thread();
    process("", None);
    r#match();
}
