//! A line of columns, coloured, and cut to the terminal.

use std::fmt::Write;

use anstyle::Style;
use monitor_text::{fit, width};

/// Built from left to right. Its parts must be [`visible`](super::visible).
#[derive(Debug, Default)]
pub(crate) struct Line {
    parts: Vec<(Style, String)>,
    columns: usize,
}

impl Line {
    /// Adds text.
    pub(crate) fn text(&mut self, text: &str) -> &mut Self {
        self.styled(Style::new(), text)
    }

    /// Adds text in a style.
    pub(crate) fn styled(&mut self, style: Style, text: &str) -> &mut Self {
        self.columns += width(text);
        self.parts.push((style, text.to_owned()));
        self
    }

    /// Adds text that ends at this distance from the text before it.
    pub(crate) fn right(&mut self, text: &str, columns: usize) -> &mut Self {
        self.text(&" ".repeat(columns.saturating_sub(width(text)))).text(text)
    }

    /// Continues at this column of the line, or at least two columns further.
    pub(crate) fn column(&mut self, column: usize) -> &mut Self {
        let gap = column.saturating_sub(self.columns).max(2);
        self.text(&" ".repeat(gap))
    }

    /// The line with its line end, cut to `columns`.
    pub(crate) fn finish(&self, columns: Option<usize>) -> String {
        let mut left = columns.unwrap_or(usize::MAX);
        let last = self.parts.iter().rposition(|(_, text)| !text.trim().is_empty()).map_or(0, |last| last + 1);
        let mut line = String::new();
        for (style, text) in &self.parts[..last] {
            let shown = fit(text, left);
            let _ = write!(line, "{style}{shown}{style:#}");
            left -= width(&shown);
        }
        line.push('\n');
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_cut_at_the_edge_of_the_terminal() {
        let mut line = Line::default();
        line.text("根").column(6).right("1", 3).text("  ").text("an error").text("   ");
        assert_eq!(line.finish(None), "根      1  an error\n");
        assert_eq!(line.finish(Some(14)), "根      1  an…\n");
    }
}
