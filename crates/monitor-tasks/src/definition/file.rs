//! Reads a definition from a TOML or JSON file.

use super::{Definition, Mistake, read};
use crate::reading::{LONGEST, Source};

/// Number of bytes to read from a file. A file of this length exceeds the limit and is rejected.
pub const MOST_BYTES: u64 = LONGEST as u64 + 1;

/// Reads a definition and the positions of its values.
///
/// # Errors
/// All mistakes, each with line and column. Mistakes in JSON values have only a path.
pub fn read_file(bytes: &[u8], is_json: bool) -> Result<(Definition, Source), Vec<Mistake>> {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text.into(),
        // A file that was cut within a character is too long.
        Err(_) if bytes.len() as u64 == MOST_BYTES => String::from_utf8_lossy(bytes),
        Err(error) => {
            let before = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
            let (line, column) = (before.matches('\n').count() + 1, before.rsplit('\n').next().unwrap_or_default().chars().count() + 1);
            return Err(vec![at(line, column, "this is no UTF-8".to_owned())]);
        }
    };
    let source = if is_json {
        let value = serde_json::from_str(&text).map_err(|error| vec![at(error.line(), error.column(), error.to_string())])?;
        Source::json(value)
    } else {
        Source::toml(&text)?
    };
    Ok((read::definition(&source)?, source))
}

fn at(line: usize, column: usize, message: String) -> Mistake {
    Mistake { path: String::new(), line: Some(line), column: Some(column), message }
}
