//! Stop signals: Ctrl-C, SIGTERM, and SIGHUP when a terminal is closed.

use anyhow::Context as _;

/// Watches for stop signals. Must be created in a runtime; signals after that are seen.
#[cfg(unix)]
pub(crate) struct StopSignals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
    hangup: Option<tokio::signal::unix::Signal>,
}

#[cfg(unix)]
impl StopSignals {
    pub(crate) fn watch() -> anyhow::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let interrupt = signal(SignalKind::interrupt()).context("could not wait for Ctrl-C")?;
        let terminate = signal(SignalKind::terminate()).context("could not wait for SIGTERM")?;
        let hangup = if hangup_is_ignored() { None } else { Some(signal(SignalKind::hangup()).context("could not wait for SIGHUP")?) };
        Ok(Self { interrupt, terminate, hangup })
    }

    /// Waits for the next signal.
    pub(crate) async fn next(&mut self) {
        let hung_up = async {
            match &mut self.hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = hung_up => {}
        }
    }
}

/// Returns true if SIGHUP is ignored, as with nohup, so that the server outlives its terminal.
#[cfg(unix)]
#[expect(unsafe_code, reason = "std has no way to ask what is done with a signal")]
fn hangup_is_ignored() -> bool {
    static IS_IGNORED: std::sync::LazyLock<bool> = std::sync::LazyLock::new(|| {
        let mut now = std::mem::MaybeUninit::<libc::sigaction>::zeroed();
        // SAFETY: with a null pointer for the new action, nothing is changed. The old action is written to `now`, which has room for it.
        // Zeroes are a valid action.
        unsafe { libc::sigaction(libc::SIGHUP, std::ptr::null(), now.as_mut_ptr()) == 0 && now.assume_init().sa_sigaction == libc::SIG_IGN }
    });
    // Read once, before a handler replaces the action.
    *IS_IGNORED
}

/// Watches for Ctrl-C.
#[cfg(windows)]
pub(crate) struct StopSignals(tokio::signal::windows::CtrlC);

#[cfg(windows)]
impl StopSignals {
    pub(crate) fn watch() -> anyhow::Result<Self> {
        Ok(Self(tokio::signal::windows::ctrl_c().context("could not wait for Ctrl-C")?))
    }

    /// Waits for the next Ctrl-C.
    pub(crate) async fn next(&mut self) {
        self.0.recv().await;
    }
}
