//! What is changed by way of the server.

use monitor_api::{Client, Error};
use monitor_wire::{CancelRequest, Command, CommandRequest, CommandTo, Fields};

use crate::app::{Deed, Limit, Outcome, RATE_LIMIT, SHUTDOWN};

/// Answers of workers are waited for so long.
const PATIENCE_MS: u64 = 5_000;

/// Changes something; `is_dry_run` only says what that would be.
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

/// Has tasks begin no more often than a rate, in one worker or in all that do it.
async fn limit(client: &Client, limit: &Limit, is_dry_run: bool) -> Result<Command, Error> {
    let workers = if let Some(worker) = limit.worker {
        vec![worker.to_string()]
    } else {
        let methods = client.command_methods().await?.methods;
        let method = methods.into_iter().find(|method| method.method == RATE_LIMIT);
        // Of very many only the first are named: then all are meant, and those that don't do it say so.
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
