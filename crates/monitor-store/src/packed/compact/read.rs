//! Decodes batches from the event log. The bytes are read from a file, so they are not trusted.

use monitor_wire::{Kind, ProcessId, RootId, Source, WorkerId, WorkerRef};

use super::{
    Before, ENDED, HAS_ELAPSED, HAS_TEXT, IS_OPEN, KIND, LAST_PARENT, NEXT_ROOT, NO_PARENT, OPEN_PARENT, OTHER, OUTCOME_SHIFT, Open,
    PARENT_SHIFT, SAME_ROOT, SAME_SITE, SAME_THREAD, STARTED, STARTED_TREE, decompress,
};
use crate::packed::{Ended, NOWHERE, Packed, PackedEvent, Place, PlainOutcome, Site, Started, size};

/// Maximum size of the decompressed words. Requests are smaller.
const MAX_WORDS_BYTES: usize = 1 << 30;

/// Error for bytes that are not a valid piece of the event log. Contains the reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a piece of the log of events is damaged: {0}")]
pub struct Malformed(pub &'static str);

/// Reads the values that the functions of `write` have written.
pub struct Reader<'a>(&'a [u8]);

#[allow(clippy::missing_errors_doc, reason = "each fails if the bytes are not what was written")]
impl<'a> Reader<'a> {
    /// Creates a reader that begins at the first byte.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Returns true if all bytes were read.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns all bytes that were not read.
    pub fn rest(self) -> &'a [u8] {
        self.0
    }

    /// Reads a byte.
    pub fn byte(&mut self) -> Result<u8, Malformed> {
        let (first, rest) = self.0.split_first().ok_or(Malformed("it ends early"))?;
        self.0 = rest;
        Ok(*first)
    }

    /// Reads this number of bytes.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (first, rest) = self.0.split_first_chunk().ok_or(Malformed("it ends early"))?;
        self.0 = rest;
        Ok(*first)
    }

    /// Reads a LEB128 number, which has up to ten bytes.
    pub fn number(&mut self) -> Result<u64, Malformed> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(Malformed("a number is too long"))
    }

    /// Reads the number of items that follow. Each item has at least one byte, so larger numbers are refused.
    pub fn count(&mut self) -> Result<usize, Malformed> {
        usize::try_from(self.number()?).ok().filter(|count| *count <= self.0.len()).ok_or(Malformed("it ends early"))
    }

    /// Reads bytes that are preceded by their number.
    pub fn bytes(&mut self) -> Result<&'a [u8], Malformed> {
        let count = self.count()?;
        let (bytes, rest) = self.0.split_at(count);
        self.0 = rest;
        Ok(bytes)
    }

    pub(crate) fn root(&mut self) -> Result<RootId, Malformed> {
        RootId::new(u128::from_be_bytes(self.array()?)).ok_or(Malformed("an id is zero"))
    }

    /// Reads the id of a process.
    pub fn process(&mut self) -> Result<ProcessId, Malformed> {
        ProcessId::new(u64::from_le_bytes(self.array()?)).ok_or(Malformed("an id is zero"))
    }

    /// Reads the id of a worker.
    pub fn worker(&mut self) -> Result<WorkerId, Malformed> {
        WorkerId::new(u128::from_be_bytes(self.array()?)).ok_or(Malformed("an id is zero"))
    }

    /// Reads a value that was written as JSON.
    pub fn json<T: serde::de::DeserializeOwned>(&mut self) -> Result<T, Malformed> {
        serde_json::from_slice(self.bytes()?).map_err(|_| Malformed("it isn't the JSON that was written"))
    }

    /// Reads an index in a list of `count` items.
    pub(crate) fn place(&mut self, count: usize) -> Result<Place, Malformed> {
        Place::try_from(self.number()?).ok().filter(|place| (*place as usize) < count).ok_or(Malformed("it names what isn't there"))
    }

    /// Reads a difference in zigzag encoding. Returns it as a number for wrapping addition.
    pub fn signed(&mut self) -> Result<u64, Malformed> {
        let number = self.number()?;
        Ok((number >> 1) ^ (number & 1).wrapping_neg())
    }

    /// Reads a text that is preceded by its length.
    pub fn text(&mut self) -> Result<&'a str, Malformed> {
        std::str::from_utf8(self.bytes()?).map_err(|_| Malformed("a text isn't UTF-8"))
    }

    fn list<T>(&mut self, mut read: impl FnMut(&mut Self) -> Result<T, Malformed>) -> Result<Vec<T>, Malformed> {
        (0..self.count()?).map(|_| read(self)).collect()
    }
}

/// Decodes a batch that [`write`](super::write()) has encoded. The worker contains only its id.
///
/// # Errors
/// Returns an error if the bytes are damaged.
pub fn read(bytes: &[u8]) -> Result<Packed, Malformed> {
    let mut from = Reader::new(bytes);
    let worker = WorkerRef { id: from.worker()?, hostname: String::new(), pid: 0, program: String::new() };
    let sequence = from.number()?;
    let mut last = [0; 16];
    let roots = from.list(|from| {
        let shared = usize::from(from.byte()?);
        let rest = last.get_mut(shared..).ok_or(Malformed("an id is too long"))?;
        for byte in rest {
            *byte = from.byte()?;
        }
        RootId::new(u128::from_be_bytes(last)).ok_or(Malformed("an id is zero"))
    })?;
    let plain_bytes = from.number()?;
    let words = from.bytes()?;
    let decompressed;
    let mut words = Reader::new(match plain_bytes {
        0 => words,
        more => {
            let bytes = usize::try_from(more - 1).ok().filter(|bytes| *bytes <= MAX_WORDS_BYTES).ok_or(Malformed("it is too long"))?;
            decompressed = decompress(words, bytes)?;
            &decompressed
        }
    });
    let sites = words.list(site)?;
    let threads = words.list(|from| from.text().map(Box::from))?;
    let marks = words.list(|from| from.text().map(Box::from))?;
    let endings = words.list(Reader::json)?;
    let mut packed = Packed {
        worker,
        sequence,
        sent_us: 0,
        dropped: Vec::new(),
        lost: false,
        roots,
        sites,
        threads,
        marks,
        endings,
        events: Vec::new(),
        bytes: 0,
        logged: Vec::new(),
    };
    let mut before = Before::new(packed.threads.len());
    packed.events = from.list(|from| match from.byte()? {
        tag if matches!(tag & KIND, STARTED | STARTED_TREE) => started(from, &mut before, tag, &packed).map(PackedEvent::Started),
        tag if tag & KIND == ENDED => ended(from, &mut before, tag, &packed).map(PackedEvent::Ended),
        OTHER => Ok(PackedEvent::Other(words.json()?)),
        _ => Err(Malformed("an event is of no kind")),
    })?;
    if !from.is_empty() || !words.is_empty() {
        return Err(Malformed("it ends late"));
    }
    packed.bytes = size::size(&packed);
    Ok(packed)
}

fn site(from: &mut Reader<'_>) -> Result<Site, Malformed> {
    let (name, kind) = (from.text()?.into(), Kind::from(from.text()?));
    let source = match from.number()? {
        0 => None,
        line => {
            let line = u32::try_from(line - 1).map_err(|_| Malformed("a line is too far down"))?;
            Some(Source { file: from.text()?.to_owned(), line })
        }
    };
    Ok(Site { name, kind, source })
}

fn started(from: &mut Reader<'_>, before: &mut Before, tag: u8, of: &Packed) -> Result<Started, Malformed> {
    let begins_tree = tag & KIND == STARTED_TREE;
    let root = match tag {
        _ if begins_tree && tag & NEXT_ROOT != 0 => before.next_root,
        _ if tag & SAME_ROOT != 0 => before.root,
        _ => from.place(of.roots.len())?,
    };
    let site = if tag & SAME_SITE == 0 { from.place(of.sites.len())? } else { before.site };
    let thread = if tag & SAME_THREAD == 0 { from.place(of.threads.len() + 1)?.wrapping_sub(1) } else { before.thread };
    // The initial values for the event before are 0, even if the lists are empty.
    if root as usize >= of.roots.len() || site as usize >= of.sites.len() {
        return Err(Malformed("it names what isn't there"));
    }
    let mark = if tag & HAS_TEXT == 0 { NOWHERE } else { from.place(of.marks.len())? };
    let parent_id = match tag >> PARENT_SHIFT {
        _ if begins_tree => None,
        NO_PARENT => None,
        OPEN_PARENT => Some(before.open.last().ok_or(Malformed("nothing is open"))?.id),
        LAST_PARENT => before.parent,
        _ => Some(from.process()?),
    };
    let last = before.id_of(thread);
    *last = if begins_tree { of.roots[root as usize].get() as u64 } else { last.wrapping_add(from.signed()?) };
    let id = ProcessId::new(*last).ok_or(Malformed("an id is zero"))?;
    let time_us = before.time_us.wrapping_add(from.signed()?);
    before.belongs(root);
    (before.site, before.thread, before.time_us, before.parent) = (site, thread, time_us, parent_id);
    before.begin(Open { id, root, time_us });
    Ok(Started { root, site, thread, mark, id, parent_id, time_us })
}

fn ended(from: &mut Reader<'_>, before: &mut Before, tag: u8, of: &Packed) -> Result<Ended, Malformed> {
    let start = if tag & IS_OPEN == 0 {
        None
    } else {
        let depth = from.number()? as usize;
        Some(
            Some(depth)
                .filter(|depth| *depth < super::MAX_DEPTH)
                .and_then(|depth| before.end(depth))
                .ok_or(Malformed("nothing is open"))?,
        )
    };
    let (root, id) = match &start {
        Some(start) => (start.root, start.id),
        None => (if tag & SAME_ROOT == 0 { from.place(of.roots.len())? } else { before.root }, from.process()?),
    };
    if root as usize >= of.roots.len() {
        return Err(Malformed("it names what isn't there"));
    }
    let outcome = match (tag >> OUTCOME_SHIFT) & 0b11 {
        0 => PlainOutcome::Succeeded,
        1 => PlainOutcome::Failed,
        2 => PlainOutcome::Cancelled,
        _ => return Err(Malformed("an outcome is unknown")),
    };
    let ending = if tag & HAS_TEXT == 0 { NOWHERE } else { from.place(of.endings.len())? };
    let time_us = before.time_us.wrapping_add(from.signed()?);
    let elapsed_ns = match &start {
        _ if tag & HAS_ELAPSED == 0 => None,
        Some(start) => Some(from.signed()?.wrapping_add(time_us.wrapping_sub(start.time_us).wrapping_mul(1_000))),
        None => Some(from.number()?),
    };
    before.belongs(root);
    before.time_us = time_us;
    Ok(Ended { root, ending, outcome, id, time_us, elapsed_ns })
}
