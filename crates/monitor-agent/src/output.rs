//! Reads the output of a run in pieces.

use std::io;
use std::path::Path;

use monitor_runs::bounded::Part;
use monitor_runs::{Life, Output, Run};
use monitor_tasks::RunId;
use monitor_wire::BatchLog;

/// Maximum size of a piece in bytes.
const MOST: u64 = 128 << 10;

/// Returns the output of a run from the byte `offset`, at most 128 KiB. If the piece ends within a character, the next piece begins with this
/// character.
///
/// # Errors
/// Returns a message if the output can't be read or no longer exists.
pub(crate) fn piece(runs: &Path, run: &str, offset: u64) -> Result<BatchLog, String> {
    let id: RunId = run.parse().map_err(|error: monitor_tasks::run::InvalidRunId| error.to_string())?;
    let folder = runs.join(id.to_string());
    let life = Run::open(folder.clone()).map(|run| run.life());
    let is_over = !matches!(life, Ok(Life::Asked | Life::Running | Life::Unwatched));
    let (found, next, size_bytes) = match read(&folder, offset) {
        Ok(read) => read,
        // The run has not written any output yet.
        Err(error) if error.kind() == io::ErrorKind::NotFound && life.is_ok() && !is_over => (Part::Bytes(Vec::new()), offset, 0),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(format!(
                "the output of {run} is not here any more: its task's `retention` or the limit of 1,000 runs was exceeded"
            ));
        }
        Err(error) => return Err(format!("the output of {run} can't be read: {error}")),
    };
    let (bytes, next_offset) = match found {
        Part::Bytes(mut bytes) => {
            let whole = bytes.len();
            if whole as u64 == MOST {
                let cut = bytes.utf8_chunks().last().map_or(0, |chunk| chunk.invalid().len());
                bytes.truncate(whole - if cut < 4 { cut } else { 0 });
            }
            let next = next - (whole - bytes.len()) as u64;
            (bytes, next)
        }
        missing @ Part::Missing(_) => (missing.shown(), next),
    };
    let text = String::from_utf8_lossy(&bytes).into_owned();
    Ok(BatchLog { run: id.to_string(), offset, text, next_offset, size_bytes, is_over })
}

/// Returns the output from the byte `offset`, the offset of the first byte after it, and the size of all output in bytes.
fn read(folder: &Path, offset: u64) -> io::Result<(Part, u64, u64)> {
    let (mut output, mut position) = (Output::open(folder)?, offset);
    let size_bytes = output.length;
    Ok((output.part(&mut position, size_bytes, MOST)?, position, size_bytes))
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use monitor_runs::LOG;
    use monitor_runs::bounded::Bounded;

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
        // A gap is marked at its place, and the output after it keeps its offsets.
        let path = runs.path().join(id).join(LOG);
        let mut log = Bounded::new(File::options().append(true).open(&path).unwrap(), 8_192);
        (0..100).for_each(|_| log.write(&[b'y'; 8_192]).unwrap());
        let (first, size) = (piece(runs.path(), id, 0).unwrap(), path.metadata().unwrap().len());
        let gap = piece(runs.path(), id, first.next_offset).unwrap();
        assert_eq!(
            (first.next_offset, gap.text.as_str()),
            (4_096, format!("\n(cut: {} bytes are left out here)\n", log.missing()).as_str())
        );
        let last = piece(runs.path(), id, gap.next_offset).unwrap();
        assert_eq!((last.next_offset, last.text.len() as u64), (size, size - 4_096 - log.missing()));
        std::fs::write(runs.path().join(id).join(LOG), [b'a', 0xff, b'b']).unwrap();
        assert_eq!(piece(runs.path(), id, 0).unwrap().text, "a\u{fffd}b");
    }
}
