//! The process of a request, for servers and clients.

use std::fmt::Display;

use http::{HeaderMap, StatusCode};
use monitor_core::{Context, Process, ProcessBuilder};

/// Maximum length of a recorded gRPC status message, in bytes.
const LONGEST: usize = 1024;

/// The process of a request while it runs. If it is dropped before its end, it is cancelled, or failed if the thread panics.
#[derive(Debug, Default)]
pub(crate) struct Call {
    /// `None` if nothing is recorded, or the process has ended.
    process: Option<Process>,
    context: Option<Context>,
    /// Failure to report when the process ends.
    failure: Option<String>,
}

impl Call {
    pub(crate) fn begin(builder: ProcessBuilder) -> Self {
        let process = builder.begin();
        let context = process.context();
        Self { process: Some(process), context, failure: None }
    }

    pub(crate) fn context(&self) -> Option<Context> {
        self.context
    }

    /// Runs a part of the request's work. If it panics, the process ends immediately, because code that catches the
    /// panic may drop this value much later.
    pub(crate) fn within<T>(&mut self, work: impl FnOnce() -> T) -> T {
        struct EndAtPanic<'a>(&'a mut Option<Process>);
        impl Drop for EndAtPanic<'_> {
            fn drop(&mut self) {
                if std::thread::panicking() {
                    self.0.take();
                }
            }
        }
        let context = self.context;
        let end = EndAtPanic(&mut self.process);
        let current = context.map(Context::enter);
        let done = work();
        drop(current);
        // `work` returned without a panic, even if the thread is unwinding from an earlier one.
        std::mem::forget(end);
        done
    }

    /// Records the status of the response. A status of `failing` or above is a failure.
    pub(crate) fn status(&mut self, status: StatusCode, failing: u16) {
        let Some(process) = &self.process else { return };
        process.field("http.status_code", status.as_u16());
        if status.as_u16() >= failing {
            self.failure = Some(format!("HTTP {status}"));
        }
    }

    /// Records the gRPC status, if the headers or trailers contain one.
    pub(crate) fn grpc_status(&mut self, headers: &HeaderMap) {
        let Some(process) = &self.process else { return };
        let text = |name| headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()));
        let Some(code) = text("grpc-status").and_then(|code| code.parse::<u16>().ok()) else { return };
        process.field("rpc.grpc.status_code", code);
        if code != 0 {
            let message = text("grpc-message").map(|message| decode(&message)).unwrap_or_default();
            let colon = if message.is_empty() { "" } else { ": " };
            self.failure = Some(format!("gRPC status {code}{}{colon}{message}", name_of(code)));
        }
    }

    /// Ends the process. It has failed if a recorded status was a failure.
    pub(crate) fn end(&mut self) {
        let Some(process) = self.process.take() else { return };
        match self.failure.take() {
            Some(failure) => process.fail(failure),
            None => process.succeed(),
        }
    }

    pub(crate) fn fail(&mut self, error: impl Display) {
        if let Some(process) = self.process.take() {
            process.fail(error.to_string());
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if let Some(process) = self.process.take() {
            // Dropping the process during a panic records the panic.
            if std::thread::panicking() { drop(process) } else { process.cancel() }
        }
    }
}

/// Decodes the percent-encoding of a gRPC message (`%E4`).
fn decode(message: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = message.as_bytes();
    while let Some((&byte, after)) = rest.split_first()
        && bytes.len() < LONGEST
    {
        let hex = (byte == b'%').then(|| after.get(..2)).flatten().and_then(|two| std::str::from_utf8(two).ok());
        let decoded = hex.filter(|two| !two.starts_with('+')).and_then(|two| u8::from_str_radix(two, 16).ok());
        bytes.push(decoded.unwrap_or(byte));
        rest = if decoded.is_some() { &after[2..] } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn name_of(code: u16) -> &'static str {
    const NAMES: [&str; 17] = [
        "",
        " (cancelled)",
        " (unknown)",
        " (invalid argument)",
        " (deadline exceeded)",
        " (not found)",
        " (already exists)",
        " (permission denied)",
        " (resource exhausted)",
        " (failed precondition)",
        " (aborted)",
        " (out of range)",
        " (unimplemented)",
        " (internal)",
        " (unavailable)",
        " (data loss)",
        " (unauthenticated)",
    ];
    NAMES.get(usize::from(code)).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_of_grpc_is_decoded_and_cut() {
        for (message, expected) in [
            ("", ""),
            ("no such user", "no such user"),
            ("K%C3%A4se", "Käse"),
            ("100%", "100%"),
            ("%zz%+1%2", "%zz%+1%2"),
            ("%ff", "\u{fffd}"),
        ] {
            assert_eq!(decode(message), expected);
        }
        assert_eq!(decode(&"x".repeat(100_000)).len(), LONGEST);
    }
}
