//! Sends stored reports to the server, oldest first.

use std::sync::Arc;

use super::{Jobs, store};
use crate::link::Trouble;

/// Maximum number of reports in a request. The server takes up to 1 MiB, and a report has a tag of up to 255 characters and a reason of up
/// to 1,000, each of up to 6 bytes in JSON.
const AT_ONCE: usize = 100;

impl Jobs {
    /// Sends reports in a loop.
    pub(super) async fn send_reports(self: Arc<Self>) {
        let mut trouble = Trouble::default();
        loop {
            let reports = self.database().job_reports(AT_ONCE);
            let reports = match reports {
                Ok(reports) => reports,
                Err(error) => {
                    self.log_failure(Err(error));
                    tokio::time::sleep(super::LONGEST_PAUSE).await;
                    continue;
                }
            };
            let Some(last) = reports.last().map(|report| report.number) else {
                self.sent.notify_waiters();
                self.unsent.notified().await;
                continue;
            };
            match self.client.send_job_reports(&self.agent, &reports).await {
                Ok(()) => {
                    trouble.is_over("the server takes reports of jobs again");
                    let written = self.database().write(|to| store::drop_reports(to, last));
                    self.log_failure(written);
                }
                Err(error) => trouble.wait("the server doesn't take reports of jobs", &error).await,
            }
        }
    }
}
