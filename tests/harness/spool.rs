//! What programs have left in the spool, and who ships it.

use std::path::Path;

use crate::{Server, command, run};

/// The folders of programs in a spool.
pub fn folders(spool: &Path) -> usize {
    std::fs::read_dir(spool).map_or(0, |entries| entries.map_while(Result::ok).filter(|entry| entry.file_name() != "lock").count())
}

/// Ships all that is in the spool of the server's own programs, by the command line.
///
/// # Panics
/// When anything is left there.
pub fn ship_by_hand(server: &Server) {
    let mut ship = command("monitor");
    ship.args(["spool", "ship", "--server", server.url(), "--dir"]).arg(server.spool());
    let shipped = run(ship);
    assert_eq!(shipped.code, Some(0), "{}", shipped.stderr);
    assert_eq!(folders(server.spool()), 0);
}
