//! Line-by-line comparison of two texts.

/// Returns the lines of both texts in one order. Lines that only the first text has begin with `-`, lines
/// that only the second has with `+`.
pub(super) fn lines(first: &str, second: &str) -> String {
    let (first, second): (Vec<_>, Vec<_>) = (first.lines().collect(), second.lines().collect());
    // `common[a][b]` is the length of the longest common subsequence of `first[a..]` and `second[b..]`.
    let mut common = vec![vec![0_usize; second.len() + 1]; first.len() + 1];
    for a in (0..first.len()).rev() {
        for b in (0..second.len()).rev() {
            let skipped = common[a + 1][b].max(common[a][b + 1]);
            common[a][b] = if first[a] == second[b] { common[a + 1][b + 1] + 1 } else { skipped };
        }
    }
    let (mut a, mut b, mut shown) = (0, 0, String::new());
    while a < first.len() || b < second.len() {
        let is_same = a < first.len() && b < second.len() && first[a] == second[b];
        let is_first = a < first.len() && (b == second.len() || common[a + 1][b] >= common[a][b + 1]);
        let (sign, line) = match (is_same, is_first) {
            (true, _) => (' ', first[a]),
            (_, true) => ('-', first[a]),
            _ => ('+', second[b]),
        };
        a += usize::from(is_same || is_first);
        b += usize::from(is_same || !is_first);
        shown.push(sign);
        shown.push(' ');
        shown.push_str(line);
        shown.push('\n');
    }
    shown
}

/// Removes empty lines around a text, and the indentation shared by all its lines.
pub(super) fn unindent(text: &str) -> String {
    let lines: Vec<_> = text.lines().skip_while(|line| line.trim().is_empty()).collect();
    let indent = |line: &&str| line.len() - line.trim_start().len();
    let shared = lines.iter().filter(|line| !line.trim().is_empty()).map(indent).min().unwrap_or(0);
    let lines: Vec<_> = lines.iter().map(|line| line.get(shared..).unwrap_or("").trim_end()).collect();
    lines.join("\n").trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differing_lines_are_marked() {
        assert_eq!(lines("a\nb\nc", "a\nc\nd"), "  a\n- b\n  c\n+ d\n");
        assert_eq!(lines("", "a"), "+ a\n");
        assert_eq!(lines("a", "b"), "- a\n+ b\n");
    }

    #[test]
    fn a_text_is_aligned_to_its_least_indented_line() {
        assert_eq!(unindent("\n      a\n        b  \n\n      c\n    "), "a\n  b\n\nc");
        assert_eq!(unindent("a\n  b"), "a\n  b");
    }
}
