#!/usr/bin/env run
use shop_lib::Priced;

fn main() {
    let mut cart = shop_lib::Cart::new();
    cart.add("x");
    println!("{} {} {:?} {} {}", shop_lib::add(1, 2), cart.price(), old::greet("you"), env!("BUILT"), short(1));
    println!("{:?} {:?}", block_on(shop_lib::fetch(0)), block_on(shop_lib::fetch(7)));
    match std::env::args().nth(1).as_deref() {
        Some("panic") => {
            shop_lib::stock::at(7);
        }
        Some("wait") => wait(),
        Some("exit") => std::process::exit(7),
        _ => std::thread::spawn(|| shop_lib::add(3, 4)).join().map(drop).unwrap(),
    }
}

#[mac::terse]
fn short(n: u32) -> u32 {
    n.pow(1) + 1
}

fn wait() {
    println!("{}", std::process::id());
    loop {
        std::thread::park();
    }
}

fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = std::pin::pin!(future);
    loop {
        let waker = std::task::Waker::noop();
        if let std::task::Poll::Ready(out) = future.as_mut().poll(&mut std::task::Context::from_waker(waker)) {
            return out;
        }
    }
}
