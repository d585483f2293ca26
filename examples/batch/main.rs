//! A root with a batch mark: on the page it is `一个测试根任务 <batch001:N>`, N being the number that the server gives it.
//!
//! ```text
//! MONITOR_ENABLED=1 cargo run -p monitor-examples --bin batch -- batch001
//! ```

use std::fmt;
use std::num::ParseIntError;
use std::process::ExitCode;

use monitor_client::{normal_task, root_task};

const ORDERS: &str = "1001,3\n1002,5\n1003,five\n1004,2";

fn main() -> ExitCode {
    let batch = std::env::args().nth(1).unwrap_or_else(|| "batch001".to_owned());
    let (total, refused) = call_root(&batch);
    println!("{batch}: {total} pieces, {refused} refused");
    ExitCode::SUCCESS
}

#[root_task("一个测试根任务", "param1_batch_id")]
fn call_root(param1_batch_id: &str) -> (u32, usize) {
    normal_task_with_a_loop(ORDERS)
}

/// Adds up what can be read, and counts what can't.
#[normal_task("一个带循环的任务")]
fn normal_task_with_a_loop(orders: &str) -> (u32, usize) {
    let (mut total, mut refused) = (0, 0);
    for line in orders.lines() {
        match load_order(line) {
            Ok(pieces) => total += pieces,
            Err(_) => refused += 1,
        }
    }
    (total, refused)
}

#[normal_task(name = "导入订单")]
fn load_order(line: &str) -> Result<u32, OrderError> {
    let (number, pieces) = line.split_once(',').ok_or_else(|| OrderError::Columns(line.to_owned()))?;
    pieces.parse().map_err(|source| OrderError::Pieces { number: number.to_owned(), source })
}

/// Why an order can't be taken.
#[derive(Debug)]
enum OrderError {
    Columns(String),
    Pieces { number: String, source: ParseIntError },
}

impl fmt::Display for OrderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Columns(line) => write!(f, "{line:?} has no two columns"),
            Self::Pieces { number, .. } => write!(f, "order {number} has no number of pieces"),
        }
    }
}

impl std::error::Error for OrderError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Columns(_) => None,
            Self::Pieces { source, .. } => Some(source),
        }
    }
}
