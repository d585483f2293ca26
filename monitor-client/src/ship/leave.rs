//! The other way to end: what the server hasn't taken is left to another process, and nobody waits for the server.

use std::ffi::OsString;
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use monitor_spool::{Answer, Answered, Next, Replay, Spool, send_all};
use monitor_wire::WorkerId;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};

use super::post::Post;
use super::{Command, Handle, SHIPPER, exit};
use crate::settings::Settings;
use monitor_spool::now_us;

/// A server that asks to wait is not waited for longer.
const LONGEST: Duration = Duration::from_secs(30);

/// Of what came by the queue, so much is left as it was recorded: whoever ships it tells each of it singly.
const FEW: u64 = 200;
/// The shipper is waited for no longer when it counts what is more than that.
const GATHERING: Duration = Duration::from_secs(5);

/// What a program has left in the spool for another process, which may get this as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Left {
    /// Of any bytes, which JSON has no path for.
    dir: OsString,
    worker: WorkerId,
    ended_us: u64,
}

/// Ends recording and leaves what the server hasn't taken yet in the spool, so that the end of the program waits for nobody. The
/// other process is to call [`Left::ship`] once this one has ended; whoever ships what the dead left does it else.
///
/// `None` when all of it is sent as ever at the program's end: nothing was recorded, or not all of it is in the spool.
///
/// ```
/// assert_eq!(monitor_client::launcher::leave(), None); // MONITOR_ENABLED is not set
/// ```
pub fn leave() -> Option<Left> {
    let shipper = SHIPPER.get().filter(|shipper| exit::is_own(shipper))?;
    let (left, keeper) = shipper.kept.as_ref().filter(|(_, keeper)| keeper.is_whole())?;
    monitor_core::exit::ended_by(None);
    if !monitor_core::switch::turn_off() {
        return None;
    }
    if keeper.unread() > FEW {
        gather(shipper);
    }
    if !keeper.is_whole() {
        exit::say_goodbye(shipper);
        return None;
    }
    Some(Left { ended_us: now_us(), ..left.clone() })
}

/// Has the shipper take out what is recorded, so that what is many and alike is counted. The server is not waited for.
fn gather(shipper: &Handle) {
    let (done, answer) = mpsc::channel();
    if shipper.commands.send(Command::Gather { done }).is_ok() {
        let _ = answer.recv_timeout(GATHERING);
    }
}

impl Left {
    pub(super) fn new(dir: &Path, worker: WorkerId) -> Self {
        Self { dir: dir.into(), worker, ended_us: 0 }
    }

    /// Sends it to the server of this process's own settings, and says goodbye for the program, which has ended. Whether the server
    /// has all of it; else it stays in the spool. It is tried once, and silently.
    #[must_use]
    pub fn ship(&self) -> bool {
        let (settings, _) = Settings::read(&|name| std::env::var_os(name));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let (true, Ok(runtime)) = (settings.recording.enabled, runtime) else { return false };
        let is_shipped = runtime.block_on(self.send(&Post::new(&settings)));
        // The name of a server may still be looked up.
        runtime.shutdown_background();
        is_shipped
    }

    async fn send(&self, post: &Post) -> bool {
        let claimed =
            Spool::existing(self.dir.as_ref()).ok().flatten().and_then(|spool| spool.claim_ended(self.worker, self.ended_us).ok());
        // Somebody else may have been faster.
        let Some(mut replay) = claimed.flatten() else { return false };
        let begun = Instant::now();
        let once = async |_: &mut Replay, Answered { answer, wait, .. }: Answered<'_>| {
            match (wait, answer) {
                (None, _) => {}
                (Some(wait), Answer::Busy { .. }) if begun.elapsed() < LONGEST => sleep(wait.min(LONGEST)).await,
                (Some(_), _) => return Next::Stop,
            }
            Next::GoOn
        };
        send_all(&mut replay, post, once).await && replay.finish().is_ok()
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    #[test]
    fn a_spool_in_a_folder_of_any_bytes_is_told_as_json() {
        let left = Left::new(Path::new(OsStr::from_bytes(b"/var/\xff")), WorkerId::new(7).unwrap());
        assert_eq!(serde_json::from_str::<Left>(&serde_json::to_string(&left).unwrap()).unwrap(), left);
    }
}
