//! Reads files into memory, in threads.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, ensure};
use monitor_client::{cross_thread, normal_task};
use tokio::sync::mpsc::Sender;

const THREADS: usize = 4;
const LARGEST: u64 = 16 * 1024 * 1024;

/// A file's text, or the error that prevented reading it.
pub(crate) struct Text {
    pub(crate) path: PathBuf,
    pub(crate) text: anyhow::Result<String>,
}

/// Reads all files and sends their texts in the order in which reading ends.
#[normal_task("read")]
pub(crate) fn read_all(folder: &Path, files: &[PathBuf], sender: &Sender<Text>) {
    let (files, next) = (Arc::new(files.to_vec()), Arc::new(AtomicUsize::new(0)));
    let threads: Vec<_> = (0..THREADS)
        .map(|_| {
            let (folder, files, next, sender) = (folder.to_owned(), files.clone(), next.clone(), sender.clone());
            monitor_client::spawn_thread(move || {
                while let Some(path) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let text = read_file(&folder, path);
                    // The receiver was dropped: the run has ended, and the rest is not needed.
                    if sender.blocking_send(Text { path: path.clone(), text }).is_err() {
                        return;
                    }
                }
            })
        })
        .collect();
    for thread in threads {
        if let Err(panic) = thread.join() {
            std::panic::resume_unwind(panic);
        }
    }
}

#[cross_thread("read file")]
fn read_file(folder: &Path, path: &Path) -> anyhow::Result<String> {
    let file = folder.join(path);
    let size = file.metadata().with_context(|| format!("can't read {}", path.display()))?.len();
    ensure!(size <= LARGEST, "{} has {size} bytes, more than {LARGEST}", path.display());
    let bytes = std::fs::read(file).with_context(|| format!("can't read {}", path.display()))?;
    String::from_utf8(bytes).with_context(|| format!("{} is no text", path.display()))
}
