//! Compresses the built page with zstd. The bundler already creates brotli and gzip copies with Node's compressors; the oldest supported
//! Node has no zstd.

use std::fs;
use std::io;
use std::path::Path;

/// File types to compress, the same as the bundler's.
const ENDINGS: [&str; 6] = ["html", "js", "css", "json", "svg", "txt"];
/// Highest level whose window does not exceed 8 MiB, the maximum that browsers accept (RFC 9659).
const LEVEL: i32 = 19;

/// Creates a compressed copy `FILE.zst` of each file in `folder`, recursively, if that saves at least a tenth.
pub(crate) fn compress(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            compress(&path)?;
            continue;
        }
        let Some(ending) = path.extension().and_then(|ending| ending.to_str()).filter(|ending| ENDINGS.contains(ending)) else { continue };
        let plain = fs::read(&path)?;
        let packed = zstd::bulk::compress(&plain, LEVEL)?;
        if packed.len() < plain.len() / 10 * 9 {
            fs::write(path.with_extension(format!("{ending}.zst")), packed)?;
        }
    }
    Ok(())
}
