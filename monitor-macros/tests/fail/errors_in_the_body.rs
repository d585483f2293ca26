// Compiler errors in a body are reported at the body's own lines.
use monitor_client::{cross_thread, normal_task};

#[normal_task]
fn wrong_type() -> u8 {
    "text"
}

#[normal_task]
fn no_value(n: u8) -> u8 {
    let _ = n;
}

#[normal_task]
async fn async_wrong_type() -> u8 {
    "text"
}

#[cross_thread]
async fn async_no_value(n: u8) -> Result<u8, String> {
    let _ = n;
}

#[normal_task]
fn question_mark() -> Result<(), String> {
    let _: u8 = "1".parse()?;
    Ok(())
}

#[normal_task]
#[track_caller]
fn guarded() -> u8 {
    "text"
}

fn main() {}
