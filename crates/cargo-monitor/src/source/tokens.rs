//! Positions of the tokens of a file. Text that is inserted directly after a token does not move code on other lines.

use proc_macro2::{Delimiter, Span, TokenStream, TokenTree};

/// Byte range of each token, in source order. Brackets are separate tokens, and a doc comment is one token.
#[derive(Debug, Default)]
pub(crate) struct Tokens(Vec<(usize, usize)>);

impl Tokens {
    pub(crate) fn of(stream: TokenStream) -> Self {
        let mut tokens = Self::default();
        tokens.add(stream);
        tokens
    }

    fn add(&mut self, stream: TokenStream) {
        for token in stream {
            if let TokenTree::Group(group) = &token
                && group.delimiter() != Delimiter::None
            {
                self.push(group.span_open());
                self.add(group.stream());
                self.push(group.span_close());
            } else {
                self.push(token.span());
            }
        }
    }

    fn push(&mut self, span: Span) {
        let range = span.byte_range();
        // A doc comment consists of several tokens with the same position.
        if self.0.last().is_none_or(|(_, end)| *end <= range.start) {
            self.0.push((range.start, range.end));
        }
    }

    /// Returns the offset at which an attribute of the item at `start` can be inserted without moving the columns of any code: directly
    /// after the preceding token, or on an empty line if that token is a doc comment. Returns `None` if there is no such place.
    pub(crate) fn place_before(&self, start: usize, text: &str) -> Option<usize> {
        let index = self.0.partition_point(|(begin, _)| *begin < start);
        let Some((begin, end)) = index.checked_sub(1).map(|index| self.0[index]) else {
            // First item of the file: there is no token before it, but there may be comments.
            return gap(text, 0, start);
        };
        let is_comment = text[begin..end].starts_with("//") || text[begin..end].starts_with("/*");
        if is_comment { gap(text, end, start) } else { text[end..start].contains('\n').then_some(end) }
    }
}

/// Returns the offset of an empty line between two offsets.
fn gap(text: &str, from: usize, to: usize) -> Option<usize> {
    let mut at = from;
    let mut is_in_block = false;
    for line in text[from..to].split_inclusive('\n') {
        let is_whole = line.ends_with('\n') && (at > from || from == 0 || text[..from].ends_with('\n'));
        let content = line.trim();
        if is_whole && content.is_empty() && !is_in_block {
            return Some(at);
        }
        // Never insert near a line on which a block comment begins or ends.
        is_in_block = (is_in_block || content.contains("/*")) && !content.ends_with("*/");
        at += line.len();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `|` in the text marks the expected position for an attribute of `fn f`.
    fn check(marked: &str) {
        let text = marked.replace('|', "");
        let tokens = Tokens::of(text.parse().unwrap());
        let start = ["/// of f", "#[x]", "fn f"].into_iter().find_map(|begin| text.find(begin)).unwrap();
        assert_eq!(tokens.place_before(start, &text), marked.find('|'), "{marked}");
    }

    #[test]
    fn code_is_inserted_after_the_previous_token() {
        check("fn a() {}|\nfn f() {}");
        check("fn a() {}| // a comment\n\n/// of f\n#[x]\nfn f() {}");
        check("impl A {|\n    fn f() {}\n}");
        check("use a;|\r\nfn f() {}");
    }

    #[test]
    fn code_is_inserted_on_an_empty_line_after_a_doc_comment_or_at_the_start() {
        check("//! A crate\n|\nfn f() {}");
        check("// A crate\n|\n#[x]\nfn f() {}");
        check("/* of\n\nmany lines */\n|\nfn f() {}");
    }

    #[test]
    fn insertion_keeps_lines_in_place() {
        check("fn f() {}");
        check("impl A { fn f() {} }");
        check("//! A crate\nfn f() {}");
    }
}
