//! The spool of dead programs, and its shipping.

use std::path::Path;

use crate::{Finished, Server, command, run};

/// Number of folders of programs in a spool.
pub fn folders(spool: &Path) -> usize {
    std::fs::read_dir(spool).map_or(0, |entries| entries.map_while(Result::ok).filter(|entry| entry.file_name() != "lock").count())
}

/// Runs `monitor spool ship` with the spool of the server's programs.
pub fn ship(server: &Server) -> Finished {
    let mut ship = command("monitor");
    ship.args(["spool", "ship", "--server", server.url(), "--dir"]).arg(server.spool());
    run(ship)
}

/// Ships the whole spool of the server's programs.
///
/// # Panics
/// If anything remains in the spool.
pub fn ship_by_hand(server: &Server) {
    let shipped = ship(server);
    assert_eq!(shipped.code, Some(0), "{}", shipped.stderr);
    assert_eq!(folders(server.spool()), 0);
}
