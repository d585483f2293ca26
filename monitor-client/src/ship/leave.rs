//! An end of recording that doesn't wait for the server: another process sends the events in the spool.

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

/// Maximum total wait for a busy server.
const LONGEST: Duration = Duration::from_secs(30);

/// Maximum number of unread queue records that are left in the spool as recorded. The process that ships
/// them sends each record individually.
const FEW: u64 = 200;
/// Maximum time that the program waits while the shipper folds a larger number of records.
const GATHERING: Duration = Duration::from_secs(5);

/// Reference to the events that a program has left in the spool. Another process can receive it as JSON.
///
/// # Examples
///
/// ```
/// use monitor_client::launcher::{Left, leave};
///
/// if let Some(left) = leave() {
///     let text = serde_json::to_string(&left).unwrap(); // for another process
///     let same: Left = serde_json::from_str(&text).unwrap();
///     assert_eq!(same, left);
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Left {
    /// An `OsString`, because a path may have bytes that JSON can't represent as a string.
    dir: OsString,
    worker: WorkerId,
    ended_us: u64,
}

/// Ends recording and leaves the events that the server has not stored in the spool, so that the program ends without waiting.
///
/// Another process should call [`Left::ship`] after the end of this program. Otherwise, the next program that ships the spools
/// of dead programs sends the events.
///
/// Returns `None` if the events are sent as usual at the end of the program, because nothing was recorded or a part
/// of the events is not in the spool.
///
/// # Examples
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

/// Requests the shipper to drain the records, so that many similar calls are folded. Does not wait for the server.
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

    /// Sends the events, and the end of the worker, to the server in this process's settings. The program that left them must have ended.
    ///
    /// Returns true if the server has stored everything; otherwise the events stay in the spool. Makes one attempt and logs nothing.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use monitor_client::launcher::Left;
    ///
    /// // In another process, which has received the text of `Left` as its argument:
    /// let text = std::env::args().nth(1).expect("an argument");
    /// let left: Left = serde_json::from_str(&text).expect("the JSON of `Left`");
    /// if !left.ship() {
    ///     eprintln!("the events stay in the spool");
    /// }
    /// ```
    #[must_use]
    pub fn ship(&self) -> bool {
        let (settings, _) = Settings::read(&|name| std::env::var_os(name));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let (true, Ok(runtime)) = (settings.recording.enabled, runtime) else { return false };
        let is_shipped = runtime.block_on(self.send(&Post::new(&settings)));
        // A DNS lookup may still be running.
        runtime.shutdown_background();
        is_shipped
    }

    async fn send(&self, post: &Post) -> bool {
        let claimed =
            Spool::existing(self.dir.as_ref()).ok().flatten().and_then(|spool| spool.claim_ended(self.worker, self.ended_us).ok());
        // Another process may have claimed the folder.
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
    fn a_spool_folder_with_any_bytes_is_written_as_json() {
        let left = Left::new(Path::new(OsStr::from_bytes(b"/var/\xff")), WorkerId::new(7).unwrap());
        assert_eq!(serde_json::from_str::<Left>(&serde_json::to_string(&left).unwrap()).unwrap(), left);
    }
}
