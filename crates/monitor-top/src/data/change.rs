//! Changes made through the server: cancellations and commands to workers.

use monitor_api::{Client, Error};
use monitor_wire::{CancelRequest, Command, CommandRequest, CommandTo, Fields};

use crate::app::{Deed, Limit, Outcome, RATE_LIMIT, SHUTDOWN};

/// Maximum time to wait for answers of workers.
const PATIENCE_MS: u64 = 5_000;

/// Performs a change. With `is_dry_run`, only determines its effect.
pub(crate) async fn change(client: Client, deed: Deed, is_dry_run: bool) -> Result<Outcome, Error> {
    Ok(match deed {
        Deed::Cancel(target) => {
            let request = CancelRequest { process: target.process, timeout_ms: None, dry_run: is_dry_run };
            Outcome::Cancelled(client.cancel(&target.root, &request).await?)
        }
        Deed::Limit(of) => Outcome::Commanded(limit(&client, &of, is_dry_run).await?),
        Deed::Shutdown(of) => {
            let request = request(SHUTDOWN, Fields::default(), vec![of.worker.to_string()], is_dry_run);
            Outcome::Commanded(client.command(&request).await?)
        }
    })
}

/// Limits the rate of tasks, in one worker or in all workers that support limits.
async fn limit(client: &Client, limit: &Limit, is_dry_run: bool) -> Result<Command, Error> {
    let workers = if let Some(worker) = limit.worker {
        vec![worker.to_string()]
    } else {
        let methods = client.command_methods().await?.methods;
        let method = methods.into_iter().find(|method| method.method == RATE_LIMIT);
        // The server lists only the first of very many workers. In that case, send to all; unsupporting workers reply accordingly.
        method.filter(|method| method.count == method.workers.len() as u64).map(|method| method.workers).unwrap_or_default()
    };
    client.command(&request(RATE_LIMIT, limit.arguments(), workers, is_dry_run)).await
}

fn request(method: &str, arguments: Fields, workers: Vec<String>, is_dry_run: bool) -> CommandRequest {
    CommandRequest {
        method: method.to_owned(),
        arguments,
        to: CommandTo { workers, glob: None },
        timeout_ms: Some(PATIENCE_MS),
        until_us: None,
        dry_run: is_dry_run,
    }
}
