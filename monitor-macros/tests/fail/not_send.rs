// A future that would not be Send without an attribute is not Send with one.
use std::rc::Rc;

#[monitor_client::normal_task]
async fn shares(number: Rc<u8>) -> u8 {
    std::future::ready(()).await;
    *number
}

fn send<T: Send>(_: T) {}

fn main() {
    send(shares(Rc::new(1)));
}
