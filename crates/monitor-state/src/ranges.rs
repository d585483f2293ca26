//! A set of event numbers.

/// A set of numbers, stored as ranges. Small if the numbers are consecutive.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ranges(Vec<(u64, u64)>);

impl Ranges {
    /// Returns true if the number is in the set.
    pub fn contains(&self, number: u64) -> bool {
        let after = self.0.partition_point(|(first, _)| *first <= number);
        after > 0 && self.0[after - 1].1 >= number
    }

    /// Returns true if any number from `first` to `last` is in the set.
    pub fn overlaps(&self, first: u64, last: u64) -> bool {
        let after = self.0.partition_point(|(begin, _)| *begin <= last);
        after > 0 && self.0[after - 1].1 >= first
    }

    /// Adds all numbers from `first` to `last`. Does nothing if `last` is less than `first`.
    pub fn insert(&mut self, first: u64, last: u64) {
        if last < first {
            return;
        }
        // Merge all ranges that overlap or touch the new one.
        let begin = self.0.partition_point(|(_, end)| end.saturating_add(1) < first);
        let end = self.0.partition_point(|(start, _)| *start <= last.saturating_add(1));
        let merged = if begin < end { (first.min(self.0[begin].0), last.max(self.0[end - 1].1)) } else { (first, last) };
        self.0.splice(begin..end, [merged]);
    }

    /// Returns the ranges in ascending order, with both ends included.
    pub fn runs(&self) -> &[(u64, u64)] {
        &self.0
    }

    /// Encodes the ranges as 16 bytes each.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.0.iter().flat_map(|(first, last)| [first.to_be_bytes(), last.to_be_bytes()]).flatten().collect()
    }

    /// Decodes the result of [`Ranges::to_bytes`]. `None` for other bytes.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (numbers, rest) = bytes.as_chunks::<8>();
        let (pairs, odd) = numbers.as_chunks::<2>();
        let mut ranges = Self::default();
        for [first, last] in pairs {
            ranges.insert(u64::from_be_bytes(*first), u64::from_be_bytes(*last));
        }
        (rest.is_empty() && odd.is_empty()).then_some(ranges)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn ranges_are_a_set(runs in proptest::collection::vec((0_u64..60, 0_u64..8), 0..30)) {
            let (mut ranges, mut set) = (Ranges::default(), BTreeSet::new());
            for (first, count) in runs {
                let last = (first + count).saturating_sub(1);
                ranges.insert(first, last);
                set.extend(first..=last);
            }
            for number in 0..80 {
                prop_assert_eq!(ranges.contains(number), set.contains(&number));
                prop_assert_eq!(ranges.overlaps(number, number + 3), set.range(number..=number + 3).next().is_some());
            }
            prop_assert!(ranges.runs().windows(2).all(|pair| pair[0].1 + 1 < pair[1].0));
            prop_assert_eq!(Ranges::from_bytes(&ranges.to_bytes()), Some(ranges));
        }
    }

    #[test]
    fn the_greatest_numbers_do_not_overflow() {
        let mut ranges = Ranges::default();
        ranges.insert(u64::MAX, u64::MAX);
        ranges.insert(0, u64::MAX - 1);
        assert_eq!(ranges.runs(), [(0, u64::MAX)]);
        assert_eq!(Ranges::from_bytes(&[0; 15]), None);
    }
}
