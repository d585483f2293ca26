//! A program without the client, with which `start-linked` is compared.

use std::hint::black_box;

fn main() {
    black_box(call(black_box(1)));
}

#[inline(never)]
fn call(n: u64) -> u64 {
    n ^ 0x55
}
