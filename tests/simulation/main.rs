//! Batches that are lost, repeated or cut, and a server that is killed. In the end the server's state must be the same as if all batches
//! had arrived once and in order.
//!
//! All random choices come from a seed, which a failure prints. `MONITOR_SIM_SEED` repeats it. `cargo xtask soak simulation` tries many
//! seeds.

mod history;
mod network;
mod relay;
mod state;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::{SystemTime, UNIX_EPOCH};

use fastrand::Rng;
use monitor_tests::{Server, rounds};

use self::history::History;
use self::state::{difference, state};

/// Seeds of each test run.
const SEEDS: [u64; 3] = [1, 20, 300];

/// Runs the fixed seeds and some random seeds, or only the requested seed.
fn for_seeds(fixed: &[u64], fresh: u32, simulate: impl Fn(u64)) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_nanos() as u64;
    let asked = std::env::var("MONITOR_SIM_SEED").ok().map(|seed| seed.parse().expect("MONITOR_SIM_SEED is a number"));
    let seeds: Vec<u64> = match asked {
        Some(seed) => vec![seed],
        None => fixed.iter().copied().chain((0..u64::from(rounds(fresh))).map(|n| now.wrapping_add(n))).collect(),
    };
    for seed in seeds {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| simulate(seed))) {
            eprintln!("seed {seed}: MONITOR_SIM_SEED={seed} repeats it");
            resume_unwind(panic);
        }
    }
}

#[test]
fn the_final_state_is_the_same_as_with_events_in_order() {
    for_seeds(&SEEDS, 2, |seed| {
        let mut rng = Rng::with_seed(seed);
        let history = History::new(&mut rng);
        let in_order = Server::start();
        network::send_in_order(&history, &in_order);
        let mut server = Server::start();
        network::send_badly(&history, &mut server, &mut rng);
        assert_eq!(difference("", &state(&server), &state(&in_order)), None);
        assert_eq!(server.get("/status")["events"], history.told.len());
    });
}

/// The real shippers of programs. They decide when they send which events. The seed decides about the network.
#[test]
fn real_shippers_lose_and_repeat_nothing() {
    for_seeds(&SEEDS[..1], 1, relay::simulate);
}
