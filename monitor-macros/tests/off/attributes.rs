//! All attributes with all their arguments, in a program that records nothing.

use monitor_client::{cross_process, cross_thread, monitor_all, normal_task, root_task};

#[root_task(batch = order.id, args(*), ret, timeout = "30s")]
fn root(order: &Order) -> Result<u64, std::num::ParseIntError> {
    let number: u64 = "7".parse()?;
    Ok(number + order.id)
}

#[normal_task(args(text), fields(len = text.len()), mask(text), name = "load {n}", err = Debug)]
fn normal(text: &str, n: u8) -> Result<u8, String> {
    if text.is_empty() { Err("no text".to_owned()) } else { Ok(n) }
}

#[cross_thread(args(n))]
fn threaded(n: u8) -> u8 {
    n
}

#[cross_process("judge", ret)]
fn judge(root_id: &str, parent_id: &str) -> usize {
    root_id.len() + parent_id.len()
}

#[derive(Debug)]
struct Order {
    id: u64,
}

#[monitor_all(skip(new))]
impl Order {
    fn new(id: u64) -> Self {
        Order { id }
    }

    fn double(&self) -> u64 {
        2 * self.id
    }
}

fn main() {
    let order = Order::new(std::env::args().count() as u64);
    println!("{:?} {:?} {} {} {}", root(&order), normal("a", 1), threaded(2), judge("", ""), order.double());
}
