//! Masks the values of a run's secrets in everything that is recorded or kept.
//!
//! An Aho-Corasick automaton with all values walks over the output. The depth of its state is the length of the longest end of the
//! output that may be the beginning of a value. [`Masker`] holds back that many bytes, so that a value is found however it is split
//! across writes.

use std::collections::HashMap;
use std::sync::Arc;

use aho_corasick::Anchored;
use aho_corasick::automaton::{Automaton as _, StateID};
use aho_corasick::nfa::contiguous::NFA;
use monitor_runs::{Outcome, RunError, Spec};

use crate::messages::Env;

const MASKED: &[u8] = b"***";
/// Minimum length of a value, or of a line of a value, in characters. Shorter texts are not masked.
const SHORTEST_CHARS: usize = 4;

/// Values of a run's secrets. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Secrets(Option<Arc<Values>>);

struct Values {
    /// Values and their individual lines.
    patterns: Vec<Vec<u8>>,
    automaton: NFA,
    start: StateID,
    /// Length of the pattern prefix that each state represents. The start state is not included.
    depths: HashMap<StateID, usize>,
}

impl std::fmt::Debug for Values {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} patterns", self.patterns.len())
    }
}

impl Secrets {
    /// Collects the values of the secrets of `spec` from `env`.
    ///
    /// # Errors
    /// If the values are too large for an automaton.
    pub(crate) fn of(spec: &Spec, env: &Env) -> Result<Self, RunError> {
        let is_secret = |name: &std::ffi::OsStr| name.to_str().is_some_and(|name| spec.secrets.contains_key(name));
        let values = env.iter().filter(|(name, _)| is_secret(name)).filter_map(|(_, value)| value.as_ref()?.to_str());
        Self::new(values).map_err(|error| RunError::BadSpec { what: format!("the values of the secrets can't be masked: {error}") })
    }

    fn new<'a>(values: impl Iterator<Item = &'a str>) -> Result<Self, aho_corasick::BuildError> {
        let mut patterns = Vec::new();
        for value in values {
            // A terminal ends lines with `\r\n`.
            let whole = [value.to_owned(), value.replace('\n', "\r\n")];
            let lines = value.lines().map(|line| line.trim().to_owned());
            let long = whole.into_iter().chain(lines).filter(|text| text.chars().count() >= SHORTEST_CHARS);
            patterns.extend(long.map(String::into_bytes));
        }
        patterns.sort_unstable();
        patterns.dedup();
        if patterns.is_empty() {
            return Ok(Self::default());
        }
        let automaton = NFA::new(&patterns)?;
        let start = automaton.start_state(Anchored::No).expect("this automaton supports searches that are not anchored");
        let mut depths = HashMap::new();
        for pattern in &patterns {
            let mut state = start;
            for (index, byte) in pattern.iter().enumerate() {
                state = automaton.next_state(Anchored::No, state, *byte);
                depths.insert(state, index + 1);
            }
        }
        Ok(Self(Some(Arc::new(Values { patterns, automaton, start, depths }))))
    }

    /// Returns a masker for a new stream.
    pub(crate) fn masker(&self) -> Masker {
        Masker {
            state: self.0.as_ref().map(|values| values.start),
            values: self.0.clone(),
            held: Vec::new(),
            spans: Vec::new(),
            rests: Vec::new(),
        }
    }

    /// Masks a text.
    pub(crate) fn mask(&self, text: String) -> String {
        if self.0.is_none() { text } else { String::from_utf8_lossy(&self.mask_bytes(text.into_bytes(), false)).into_owned() }
    }

    /// Masks a part of a stream. If `is_cut`, the part may start in the middle of a value.
    pub(crate) fn mask_bytes(&self, bytes: Vec<u8>, is_cut: bool) -> Vec<u8> {
        if self.0.is_none() {
            return bytes;
        }
        let mut masker = self.masker();
        if is_cut {
            masker.expect_rest();
        }
        let mut output = masker.feed(&bytes);
        output.extend(masker.finish());
        output
    }

    /// Masks the texts of an outcome.
    pub(crate) fn mask_outcome(&self, outcome: &mut Outcome) {
        for text in [&mut outcome.error, &mut outcome.why, &mut outcome.note].into_iter().flatten() {
            *text = self.mask(std::mem::take(text));
        }
    }
}

/// A part of the held bytes that must be masked.
#[derive(Debug, Clone, Copy)]
struct Span {
    start: usize,
    end: usize,
    /// True if its beginning was already returned as `***`.
    is_shown: bool,
}

/// Masks a stream incrementally.
#[derive(Debug)]
pub(crate) struct Masker {
    /// `None` if the run has no secrets.
    values: Option<Arc<Values>>,
    state: Option<StateID>,
    /// Bytes that may be part of a value whose end has not arrived.
    held: Vec<u8>,
    /// Spans of the held bytes that must be masked, sorted and without overlaps.
    spans: Vec<Span>,
    /// Possible rests of values at a position where the stream was resumed, as pattern index and offset. The beginning of these values was
    /// not seen.
    rests: Vec<(usize, usize)>,
}

impl Masker {
    /// True if nothing needs to be masked.
    pub(crate) fn is_off(&self) -> bool {
        self.values.is_none()
    }

    /// Expects that the stream resumes in the middle of a value, because the bytes before were not seen.
    pub(crate) fn expect_rest(&mut self) {
        let Some(values) = &self.values else { return };
        self.rests = (0..values.patterns.len()).flat_map(|index| (1..values.patterns[index].len()).map(move |at| (index, at))).collect();
    }

    /// Adds bytes. Returns the bytes that are safe to keep.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Vec<u8> {
        let (Some(values), Some(mut state)) = (self.values.clone(), self.state) else { return bytes.to_owned() };
        for byte in bytes {
            self.held.push(*byte);
            self.follow_rests(&values, *byte);
            state = values.automaton.next_state(Anchored::No, state, *byte);
            if values.automaton.is_match(state) {
                // The first match of a state is the longest. The others are suffixes of it.
                let longest = values.automaton.pattern_len(values.automaton.match_pattern(state, 0));
                self.cover(self.held.len() - longest);
            }
        }
        self.state = Some(state);
        let depth = values.depths.get(&state).copied().unwrap_or(0);
        self.take(if self.rests.is_empty() { self.held.len() - depth } else { 0 })
    }

    /// Ends the stream and returns the remaining bytes. The prefix of an incomplete value is masked if it is long enough.
    pub(crate) fn finish(&mut self) -> Vec<u8> {
        let Some(values) = self.values.clone() else { return Vec::new() };
        let depth = self.state.and_then(|state| values.depths.get(&state).copied()).unwrap_or(0);
        let has_begun = !self.held.is_empty();
        if depth >= SHORTEST_CHARS {
            self.cover(self.held.len() - depth);
        }
        let rest = self.take(self.held.len());
        self.state = Some(values.start);
        self.rests.clear();
        if has_begun {
            self.expect_rest();
        }
        rest
    }

    /// Marks a gap in the stream. Returns the number of held bytes, which are dropped.
    pub(crate) fn skip(&mut self) -> usize {
        let Some(values) = &self.values else { return 0 };
        self.state = Some(values.start);
        self.spans.clear();
        self.expect_rest();
        std::mem::take(&mut self.held).len()
    }

    fn follow_rests(&mut self, values: &Values, byte: u8) {
        if self.rests.is_empty() {
            return;
        }
        self.rests.retain_mut(|(index, at)| {
            let goes_on = values.patterns[*index].get(*at) == Some(&byte);
            *at += 1;
            goes_on
        });
        if self.rests.iter().any(|(index, at)| *at == values.patterns[*index].len()) {
            // All bytes since the stream was resumed are the rest of a value.
            self.cover(0);
        }
    }

    /// Masks the held bytes from `start` on.
    fn cover(&mut self, start: usize) {
        let mut span = Span { start, end: self.held.len(), is_shown: false };
        while let Some(last) = self.spans.pop_if(|last| last.end > span.start) {
            span.start = span.start.min(last.start);
            span.is_shown |= last.is_shown;
        }
        self.spans.push(span);
    }

    /// Removes and returns the first `count` held bytes, masked.
    fn take(&mut self, count: usize) -> Vec<u8> {
        let (mut taken, mut at) = (Vec::with_capacity(count), 0);
        for span in std::mem::take(&mut self.spans) {
            if span.start >= count {
                self.spans.push(Span { start: span.start - count, end: span.end - count, ..span });
                continue;
            }
            taken.extend_from_slice(&self.held[at..span.start]);
            if !span.is_shown {
                taken.extend_from_slice(MASKED);
            }
            at = span.end.min(count);
            if span.end > count {
                self.spans.push(Span { start: 0, end: span.end - count, is_shown: true });
            }
        }
        taken.extend_from_slice(&self.held[at..count]);
        self.held.drain(..count);
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets(values: &[&str]) -> Secrets {
        Secrets::new(values.iter().copied()).unwrap()
    }

    fn masked(masker: &mut Masker, pieces: &[&[u8]]) -> String {
        let mut all: Vec<u8> = pieces.iter().flat_map(|piece| masker.feed(piece)).collect();
        all.extend(masker.finish());
        String::from_utf8(all).unwrap()
    }

    #[test]
    fn values_are_masked_however_they_are_split() {
        for (values, text, expected) in [
            (&["hunter2"][..], "a hunter2 b hunter3 hunterhunter2", "a *** b hunter3 hunter***"),
            (&["abc"], "abc", "abc"),
            (&["äöü"], "äöü", "äöü"),
            (&["äöüß"], "x äöüß", "x ***"),
            (&["abcd", "cdef", "abcdxyz"], "abcdef abcdxyz abcdx", "*** *** ***"),
            (&["bcde", "abcdef"], "abcdef abcde", "*** ***"),
            (&["aaaa"], "aaaaaaaaaa", "***"),
            (&["abcd"], "abcdabcd", "******"),
            (&["first line\n  second\nx\nlast"], "second, x, last first line\nother", "***, x, *** ***\nother"),
            (&["ab\ncd"], "ab\ncd ab\r\ncd ab cd", "*** *** ab cd"),
            (&[""], "x", "x"),
        ] {
            let secrets = secrets(values);
            let text = text.as_bytes();
            for size in 1..=text.len() {
                let pieces: Vec<_> = text.chunks(size).collect();
                assert_eq!(masked(&mut secrets.masker(), &pieces), expected, "{values:?} by {size}");
            }
        }
    }

    #[test]
    fn only_a_possible_beginning_of_a_value_is_held_back() {
        let mut masker = secrets(&["hunter2"]).masker();
        assert_eq!(masker.feed(b"password: hunt"), b"password: ");
        assert_eq!(masker.feed(b"ing\n"), b"hunting\n");
        let mut masker = secrets(&["aaaa"]).masker();
        (0..10_000).for_each(|_| drop(masker.feed(b"aaaaaaa")));
        assert!(masker.held.len() <= 4 && masker.spans.len() == 1);
    }

    #[test]
    fn the_end_of_a_value_is_masked_where_its_beginning_was_not_seen() {
        let secrets = secrets(&["hunter2", "key:hunter"]);
        for (text, expected) in
            [("ter2 next", "*** next"), ("hunter2", "***"), ("awful", "awful"), ("unter and hunter2", "*** and ***"), ("2", "***")]
        {
            for size in 1..=text.len() {
                let mut masker = secrets.masker();
                masker.expect_rest();
                assert_eq!(masked(&mut masker, &text.as_bytes().chunks(size).collect::<Vec<_>>()), expected, "{text} by {size}");
            }
        }
        let mut masker = secrets.masker();
        assert_eq!(masker.feed(b"x hunt"), b"x ");
        assert_eq!(masker.skip(), 4);
        assert_eq!(masker.feed(b"ter2\n"), b"***\n");
    }

    #[test]
    fn a_value_whose_end_is_missing_is_masked() {
        let mut masker = secrets(&["hunter2"]).masker();
        assert_eq!(masked(&mut masker, &[b"a hunte"]), "a ***");
        assert_eq!(masked(&mut masker, &[b"r2 b hun"]), "*** b hun");
        assert_eq!(secrets(&["hunter2"]).mask("hunter2: not found".to_owned()), "***: not found");
    }
}
