//! Sizes of the batches of a rolling job, from an expression such as `1 10% +5`, and the number of failed hosts that stops it. The last size
//! repeats until all hosts are in a batch.

use monitor_wire::Rolling;

/// Size of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Size {
    /// A number of hosts.
    Count(u32),
    /// A share of all hosts in percent, rounded up.
    Percent(u32),
    /// The size of the batch before, plus this number.
    Plus(u32),
    /// The size of the batch before, multiplied.
    Times(u32),
}

/// Reads the sizes of an expression such as `1 10% +5`.
///
/// # Errors
/// If a part is malformed. The message names it and the permitted forms.
pub(crate) fn sizes(expression: &str) -> Result<Vec<Size>, String> {
    let mut sizes = Vec::new();
    for part in expression.split_whitespace() {
        let number = |digits: &str| digits.parse::<u32>().ok().filter(|number| *number > 0);
        let size = if let Some(digits) = part.strip_suffix('%') {
            number(digits).filter(|percent| *percent <= 100).map(Size::Percent)
        } else if let Some(digits) = part.strip_prefix('+') {
            number(digits).map(Size::Plus)
        } else if let Some(digits) = part.strip_prefix('*') {
            number(digits).map(Size::Times)
        } else {
            number(part).map(Size::Count)
        };
        let Some(size) = size else {
            return Err(format!("`{part}` is not the size of a batch: use sizes such as `10`, `10%`, `+5` or `*2`"));
        };
        if sizes.is_empty() && matches!(size, Size::Plus(_) | Size::Times(_)) {
            return Err(format!("`{part}` needs a batch before it: begin with a size such as `10` or `10%`"));
        }
        sizes.push(size);
    }
    if sizes.is_empty() {
        return Err("it is empty: name the sizes of the batches, such as `10` or `1 10% +5`".to_owned());
    }
    Ok(sizes)
}

/// Reads a number of hosts such as `3`, or a share of all hosts such as `5%`.
///
/// # Errors
/// If it is malformed.
pub(crate) fn threshold(text: &str) -> Result<Size, String> {
    match sizes(text).as_deref() {
        Ok([size @ (Size::Count(_) | Size::Percent(_))]) => Ok(*size),
        _ => Err(format!("`{text}` is not a number of hosts: use a number such as `3`, or a share such as `5%`")),
    }
}

/// The positions in the list of hosts at which batches end, ascending. The last one is the number of hosts; without hosts, it is the only one.
pub(crate) struct BatchEnds {
    sizes: Vec<Size>,
    total: usize,
    next: usize,
    size: usize,
    end: usize,
    is_over: bool,
}

impl BatchEnds {
    /// A malformed expression is one batch with all hosts. `check` refuses it when a job is created.
    pub(crate) fn new(rolling: Option<&Rolling>, total: usize) -> Self {
        let sizes = rolling.and_then(|rolling| sizes(&rolling.expression).ok()).unwrap_or_else(|| vec![Size::Percent(100)]);
        Self { sizes, total, next: 0, size: 0, end: 0, is_over: false }
    }
}

impl Iterator for BatchEnds {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        if self.is_over {
            return None;
        }
        let size = self.sizes[self.next.min(self.sizes.len() - 1)];
        self.next += 1;
        self.size = hosts(size, self.total, self.size).max(1);
        self.end = self.end.saturating_add(self.size).min(self.total);
        self.is_over = self.end == self.total;
        Some(self.end)
    }
}

/// Returns the number of hosts in each batch. `total` is the number of hosts that can start.
#[must_use]
pub fn batch_sizes(rolling: Option<&Rolling>, total: usize) -> Vec<u32> {
    let mut before = 0;
    let sizes = BatchEnds::new(rolling, total).map(|end| u32::try_from(end - std::mem::replace(&mut before, end)).unwrap_or(u32::MAX));
    sizes.filter(|size| *size > 0).collect()
}

/// Returns the number of failed hosts that stops the job, if it has such a limit.
pub(crate) fn failure_limit(rolling: Option<&Rolling>, total: usize) -> Option<usize> {
    let size = threshold(rolling?.stop_after_failures.as_deref()?).ok()?;
    Some(hosts(size, total, 0).max(1))
}

fn hosts(size: Size, total: usize, before: usize) -> usize {
    match size {
        Size::Count(count) => count as usize,
        Size::Percent(percent) => total.saturating_mul(percent as usize).div_ceil(100),
        Size::Plus(more) => before.saturating_add(more as usize),
        Size::Times(factor) => before.saturating_mul(factor as usize),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(expression: &str, total: usize) -> Vec<u32> {
        batch_sizes(Some(&Rolling { expression: expression.to_owned(), ..Rolling::default() }), total)
    }

    #[test]
    fn the_last_size_repeats_and_percentages_are_of_all_hosts_rounded_up() {
        assert_eq!(of("10", 25), [10, 10, 5]);
        assert_eq!(of("10%", 25), [3, 3, 3, 3, 3, 3, 3, 3, 1]);
        assert_eq!(of("1 +5", 25), [1, 6, 11, 7]);
        assert_eq!(of("1 *2", 25), [1, 2, 4, 8, 10]);
        assert_eq!(of("1 10% +2", 25), [1, 3, 5, 7, 9]);
        assert_eq!(of("1 *4294967295", 25), [1, 24]);
        assert_eq!(of("100%", 25), [25]);
        assert_eq!(batch_sizes(None, 25), [25]);
        assert_eq!(batch_sizes(None, 0), Vec::<u32>::new());
    }

    #[test]
    fn malformed_sizes_are_refused_by_name() {
        for wrong in ["0", "0%", "101%", "-1", "+0", "*0", "x", "1.5", "%", "99999999999"] {
            let error = sizes(&format!("1 {wrong}")).unwrap_err();
            assert!(error.contains(&format!("`{wrong}`")), "{error}");
        }
        assert!(sizes("").unwrap_err().contains("empty"));
        assert!(sizes("+5").unwrap_err().contains("needs a batch before it"));
        assert!(threshold("+5").is_err() && threshold("3 4").is_err() && threshold("").is_err());
        assert_eq!((threshold("3"), threshold("5%")), (Ok(Size::Count(3)), Ok(Size::Percent(5))));
    }
}
