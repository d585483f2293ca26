//! Signals that ask to stop: Ctrl-C, SIGTERM, and SIGHUP when a terminal is closed.

use anyhow::Context as _;

/// Watches for them. To be made within a runtime; those that come from then on are seen.
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

    /// Waits for the next one.
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

/// Returns true if whoever started the server wants it to outlive its terminal, as nohup does.
#[cfg(unix)]
#[expect(unsafe_code, reason = "std has no way to ask what is done with a signal")]
fn hangup_is_ignored() -> bool {
    static IS_IGNORED: std::sync::LazyLock<bool> = std::sync::LazyLock::new(|| {
        let mut now = std::mem::MaybeUninit::<libc::sigaction>::zeroed();
        // SAFETY: without a new action nothing changes, and all of the old one is written to where there is room for it. Zeroes are a
        // valid action.
        unsafe { libc::sigaction(libc::SIGHUP, std::ptr::null(), now.as_mut_ptr()) == 0 && now.assume_init().sa_sigaction == libc::SIG_IGN }
    });
    // Asked once, before a handler of ours takes its place.
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

    /// Waits for the next one.
    pub(crate) async fn next(&mut self) {
        self.0.recv().await;
    }
}
