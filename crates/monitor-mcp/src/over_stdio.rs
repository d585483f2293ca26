//! The protocol over standard input and output.

use rmcp::ServiceExt;
use rmcp::service::ServerInitializeError;
use rmcp::transport::async_rw::AsyncRwTransport;

use crate::ask::Ask;
use crate::assistant::Assistant;

/// Longest message of a client, in bytes.
const MAX_LINE_BYTES: usize = 1 << 20;

/// Answers requests from standard input until it ends.
///
/// # Errors
/// Returns an error if the client does not begin as the protocol prescribes.
pub async fn serve<A: Ask>(assistant: Assistant<A>) -> Result<(), Box<ServerInitializeError>> {
    let (read, write) = rmcp::transport::stdio();
    let transport = AsyncRwTransport::new_server(read, write).with_max_line_length(MAX_LINE_BYTES);
    let running = match assistant.serve(transport).await {
        Ok(running) => running,
        // The client has left before it began.
        Err(ServerInitializeError::ConnectionClosed(_)) => return Ok(()),
        Err(error) => return Err(Box::new(error)),
    };
    // Ends when the client leaves. A panic of the loop has been logged.
    drop(running.waiting().await);
    Ok(())
}
