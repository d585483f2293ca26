//! Counts the events of tasks for Flower's metrics.

use std::sync::Arc;
use std::time::Duration;

use monitor_flower::Counts;
use monitor_wire::StreamMessage;
use serde::Deserialize;

use crate::live::{Format, Live, Next, Wanted, WantedTypes};

/// Pause after events that could not be read.
const PAUSE: Duration = Duration::from_secs(1);

/// Line of the stream.
#[derive(Deserialize)]
pub(super) struct Line {
    pub(super) data: StreamMessage,
}

/// Counts all events of tasks from now on. Never ends.
pub(super) async fn count(live: Live, counts: Arc<Counts>) {
    let types = WantedTypes::read(["task-*"]).expect("a glob");
    let mut after = live.newest();
    let mut subscription = live.subscribe(Wanted { types, ..Wanted::default() });
    loop {
        if let Some(newest) = live.skip(after, &mut subscription) {
            after = newest;
            subscription.called().await;
            continue;
        }
        match live.next(&subscription, after, Format::Lines).await {
            Some(Next::Piece(piece)) => {
                let lines = (*piece).as_ref().split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
                for Line { data } in lines.filter_map(|line| serde_json::from_slice(line).ok()) {
                    counts.add(&data);
                }
                after = piece.until();
            }
            Some(Next::Reset(newest)) => {
                tracing::warn!("events were missing in the metrics of Flower: they came faster than they were counted");
                after = newest;
            }
            None => {
                tracing::warn!("events are missing in the metrics of Flower: they could not be read");
                after = live.newest();
                tokio::time::sleep(PAUSE).await;
            }
        }
        tokio::task::yield_now().await;
    }
}
