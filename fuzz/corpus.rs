//! Reads the `corpus/` of a fuzz target, and generates similar inputs. The tests begin with these files, and so does the next fuzzing run.

#![allow(dead_code, unreachable_pub, reason = "each test uses a part of it")]

use std::fs;
use std::path::Path;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{Index, select};

/// Bytes that mean something to some reader.
const TELLING: &[u8] = b"{}[]\",:0-9.eE\\/u%&=+\0\x01\x08\x7f\x80\xff";

/// Returns the files of a target, sorted by name.
pub fn files(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "nothing in {}", folder.display());
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

/// One of the files with some bytes changed, a piece of another file put in, and cut short.
pub fn damaged(target: &str) -> impl Strategy<Value = Vec<u8>> {
    let files = files(target);
    let changes = vec((any::<Index>(), prop_oneof![any::<u8>(), select(TELLING)]), 0..6);
    let piece = (select(files.clone()), any::<Index>(), any::<Index>(), any::<Index>());
    (select(files), changes, option::weighted(0.4, piece), option::weighted(0.2, any::<Index>())).prop_map(
        |(mut bytes, changes, piece, end)| {
            if let Some((other, from, to, at)) = piece {
                let (from, to) = (from.index(other.len() + 1), to.index(other.len() + 1));
                let at = at.index(bytes.len() + 1);
                bytes.splice(at..at, other[from.min(to)..from.max(to)].iter().copied());
            }
            for (at, byte) in changes {
                if !bytes.is_empty() {
                    let at = at.index(bytes.len());
                    bytes[at] = byte;
                }
            }
            bytes.truncate(end.map_or(usize::MAX, |end| end.index(bytes.len() + 1)));
            bytes
        },
    )
}

/// Returns settings with `number` cases for every `of_usual` of the default number. `PROPTEST_CASES` replaces the result.
pub fn cases(number: u32, of_usual: u32) -> ProptestConfig {
    let usual = ProptestConfig::default();
    ProptestConfig { cases: number * usual.cases / of_usual, ..usual }
}
