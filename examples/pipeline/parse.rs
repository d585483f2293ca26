//! Parses texts and counts their lines and words, in tasks.

use std::path::PathBuf;
use std::sync::Arc;

use monitor_client::{cross_thread, normal_task};
use tokio::sync::Semaphore;
use tokio::sync::mpsc::Receiver;
use tokio::task::JoinSet;

use crate::read::Text;
use crate::tokens::TokenClient;

/// Parsed at the same time.
const TASKS: usize = 16;

/// Counts of a text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Counts {
    pub(crate) files: u64,
    pub(crate) lines: u64,
    pub(crate) words: u64,
    pub(crate) tokens: u64,
}

/// A file's numbers, or why there are none.
pub(crate) struct Parsed {
    pub(crate) path: PathBuf,
    pub(crate) counts: anyhow::Result<Counts>,
}

/// Parses all that is read, sorted by path.
#[normal_task("parse")]
pub(crate) async fn parse_all(mut texts: Receiver<Text>, client: TokenClient) -> Vec<Parsed> {
    let permits = Arc::new(Semaphore::new(TASKS));
    let (mut tasks, mut done) = (JoinSet::new(), Vec::new());
    while let Some(Text { path, text }) = texts.recv().await {
        match text {
            Err(error) => done.push(Parsed { path, counts: Err(error) }),
            Ok(text) => {
                let permit = permits.clone().acquire_owned().await;
                let work = parse_file(path.display().to_string(), text, client.clone());
                tasks.spawn(async move {
                    let counts = work.await;
                    drop(permit);
                    Parsed { path, counts }
                });
            }
        }
    }
    done.extend(tasks.join_all().await);
    done.sort_by(|a, b| a.path.cmp(&b.path));
    done
}

#[cross_thread("parse file")]
async fn parse_file(path: String, text: String, client: TokenClient) -> anyhow::Result<Counts> {
    let (lines, words) = (text.lines().count() as u64, text.split_whitespace().count() as u64);
    let tokens = client.count(path, text).await?;
    Ok(Counts { files: 1, lines, words, tokens })
}
