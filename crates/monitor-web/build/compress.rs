//! Compresses the finished page by zstd. The bundler has done so by brotli and gzip already, with what Node brings; the oldest
//! Node that builds the page has no zstd.

use std::fs;
use std::io;
use std::path::Path;

/// Files that become smaller: what the bundler compresses as well.
const ENDINGS: [&str; 6] = ["html", "js", "css", "json", "svg", "txt"];
/// The highest level whose window is no larger than browsers accept, which is 8 MiB (RFC 9659).
const LEVEL: i32 = 19;

/// Puts a compressed copy, named `FILE.zst`, beside each file in `folder` and the folders below it that becomes a tenth smaller.
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
