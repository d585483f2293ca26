//! Parameters with attributes, and lifetimes of all kinds.

#![deny(warnings)]

use monitor_client::{cross_process, cross_thread, normal_task, root_task};

#[normal_task]
fn configured(#[cfg(any())] missing: Missing, #[cfg(all())] present: u8, #[allow(unused)] unused: String) -> u8 {
    present
}

#[cross_thread]
async fn configured_async(#[cfg(any())] missing: Missing, #[cfg(all())] present: u8, #[allow(unused)] (unused, _): (u8, u8)) -> u8 {
    present
}

#[root_task(batch = "batch")]
fn marked(#[allow(clippy::ptr_arg)] batch: &String, #[cfg(any())] missing: Missing) {}

#[normal_task]
fn longest<'a, 'b: 'a>(left: &'a str, right: &'b str) -> &'a str {
    if left.len() > right.len() { left } else { right }
}

#[normal_task]
async fn named<'a>(texts: &'a mut Vec<String>, _: &str) -> Option<&'a mut String> {
    texts.first_mut()
}

#[cross_thread]
async fn two_lifetimes<'a, T: Send + Sync + Clone>(left: &'a T, right: &T) -> (T, &'a T) {
    (right.clone(), left)
}

#[normal_task]
fn dynamic<'a>(text: &'a str) -> Box<dyn Fn() -> &'a str + 'a> {
    if text.is_empty() {
        return Box::new(|| "empty");
    }
    Box::new(move || text)
}

#[normal_task]
fn callback(f: &mut dyn FnMut(&str) -> usize) -> usize {
    f("four")
}

#[cross_process("GET /", begin)]
async fn edge(traceparent: Option<&str>, _body: Vec<u8>) -> Result<(), String> {
    Ok(())
}

fn main() {
    drop(edge(None, vec![]));
    assert_eq!(configured(7, String::new()), 7);
    drop(configured_async(7, (1, 2)));
    marked(&String::new());
    assert_eq!(longest("a", "bb"), "bb");
    drop(named(&mut vec![], ""));
    drop(two_lifetimes(&1, &2));
    assert_eq!(dynamic("")(), "empty");
    assert_eq!(callback(&mut |text| text.len()), 4);
}
