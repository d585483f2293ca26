//! The output of a run, read in pieces.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::Path;

use monitor_runs::{Life, Run};
use monitor_tasks::RunId;
use monitor_wire::BatchLog;

/// Most bytes of a piece.
const MOST: u64 = 128 << 10;
/// The file of a run's folder that has its output.
pub(crate) const LOG: &str = "output.log";

/// What a run has written from this byte on, at most 128 KiB. A character that is cut at the end is left for the next piece.
///
/// # Errors
/// Why there is none, in words.
pub(crate) fn piece(runs: &Path, run: &str, offset: u64) -> Result<BatchLog, String> {
    let id: RunId = run.parse().map_err(|error: monitor_tasks::run::InvalidRunId| error.to_string())?;
    let folder = runs.join(id.to_string());
    let life = Run::open(folder.clone()).map(|run| run.life());
    let is_over = !matches!(life, Ok(Life::Asked | Life::Running | Life::Unwatched));
    let (mut bytes, size_bytes) = match read(&folder.join(LOG), offset) {
        Ok(read) => read,
        // It has written nothing yet.
        Err(error) if error.kind() == io::ErrorKind::NotFound && life.is_ok() => (Vec::new(), 0),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(format!("the output of {run} is not here any more: the folders of the newest 1,000 runs are kept"));
        }
        Err(error) => return Err(format!("the output of {run} can't be read: {error}")),
    };
    if bytes.len() as u64 == MOST {
        let cut = bytes.utf8_chunks().last().map_or(0, |chunk| chunk.invalid().len());
        bytes.truncate(bytes.len() - if cut < 4 { cut } else { 0 });
    }
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let next_offset = offset.saturating_add(bytes.len() as u64);
    Ok(BatchLog { run: id.to_string(), offset, text, next_offset, size_bytes, is_over })
}

fn read(path: &Path, offset: u64) -> io::Result<(Vec<u8>, u64)> {
    let mut file = File::open(path)?;
    let size_bytes = file.metadata()?.len();
    let mut bytes = Vec::new();
    if offset < size_bytes {
        file.seek(SeekFrom::Start(offset))?;
        file.take(MOST).read_to_end(&mut bytes)?;
    }
    Ok((bytes, size_bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_is_read_in_pieces_that_cut_no_character() {
        let runs = tempfile::tempdir().unwrap();
        let id = "gold@20261121T023000Z.1";
        assert!(piece(runs.path(), "../../etc", 0).unwrap_err().contains("is no id of a run"));
        assert!(piece(runs.path(), id, 0).unwrap_err().contains("not here any more"));
        std::fs::create_dir(runs.path().join(id)).unwrap();
        let whole = format!("{}é\u{1}\u{7f}end\n", "x".repeat(MOST as usize - 1));
        std::fs::write(runs.path().join(id).join(LOG), &whole).unwrap();
        let (mut text, mut offset) = (String::new(), 0);
        while offset < whole.len() as u64 {
            let piece = piece(runs.path(), id, offset).unwrap();
            assert_eq!((piece.offset, piece.size_bytes), (offset, whole.len() as u64));
            text += &piece.text;
            offset = piece.next_offset;
        }
        assert_eq!(text, whole);
        let end = piece(runs.path(), id, u64::MAX).unwrap();
        assert_eq!((end.text.as_str(), end.next_offset), ("", u64::MAX));
        std::fs::write(runs.path().join(id).join(LOG), [b'a', 0xff, b'b']).unwrap();
        assert_eq!(piece(runs.path(), id, 0).unwrap().text, "a\u{fffd}b");
    }
}
