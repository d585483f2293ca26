//! The phrases that are counted, and the unclear openings of comments.

use regex::Regex;

use super::texts::Text;

/// Openings that don't name the subject of a comment.
const OPENING: &str = r"^(What|Whether|Who|Whose|Whom|Those|How (?:many|much|often|long|far)|The same|See there|Of |In whose|By whom|Where|Which|As |None (?:is|of|but)|Nobody|Somebody|Whoever|So many|At most so)\b";
/// Phrases that are hard to follow in technical text.
const PHRASES: &str = concat!(
    r"(?i)\b(?:tells?|told|telling|says?|said|hears?|heard",
    r"|whoever|somebody|nobody|anybody|everybody|those who|who asks",
    r"|so many|so much|as many as|as much as",
    r"|stands? (?:in|for|beside|there)|(?:is|are|was) to be|lets? (?:it|them) be",
    r"|(?:of|by|in|to|for|from) (?:which|whom|whose)",
    r"|that one|this one|of one|ones|and who|but for",
    r"|what (?:it|is|was|they|he|one|has|a|the|comes|came|goes|ended|failed|runs|else))\b",
);
/// Code and links inside text, which are not counted.
const CODE: &str = r"(?s)```.*?```|`[^`]*`|\]\([^)]*\)|https?://\S+";

/// Compiled patterns.
pub(super) struct Phrases {
    opening: Regex,
    odd: Regex,
    code: Regex,
}

impl Phrases {
    pub(super) fn new() -> Self {
        let compiled = |pattern| Regex::new(pattern).expect("a pattern");
        Self { opening: compiled(OPENING), odd: compiled(PHRASES), code: compiled(CODE) }
    }
}

/// Sums over texts.
#[derive(Debug, Default)]
pub(super) struct Count {
    pub(super) words: usize,
    blocks: usize,
    openings: usize,
    phrases: usize,
}

impl Count {
    /// Adds a text, and returns the number of its phrases and unclear openings.
    pub(super) fn add(&mut self, of: &Phrases, text: &Text, has_opening: bool) -> u32 {
        let plain = of.code.replace_all(&text.words, " X ");
        let words = plain.split_whitespace().count();
        if words < 2 {
            return 0;
        }
        let opening = usize::from(has_opening && of.opening.is_match(plain.trim()));
        let phrases = of.odd.find_iter(&plain).count();
        self.words += words;
        self.blocks += 1;
        self.openings += opening;
        self.phrases += phrases;
        u32::try_from(opening + phrases).unwrap_or(u32::MAX)
    }

    pub(super) fn per_thousand(&self) -> f64 {
        1000.0 * self.phrases as f64 / self.words.max(1) as f64
    }

    pub(super) fn openings_percent(&self) -> f64 {
        100.0 * self.openings as f64 / self.blocks.max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(words: &str) -> Count {
        let mut count = Count::default();
        count.add(&Phrases::new(), &Text { place: String::new(), words: words.to_owned() }, true);
        count
    }

    #[test]
    fn phrases_and_openings_are_counted_outside_of_code() {
        let odd = count("Whether somebody is told of it, and by whom");
        assert_eq!((odd.words, odd.openings, odd.phrases), (9, 1, 3));
        let plain = count("The reason why `somebody is told`, and a link [x](https://told.example/says)");
        assert_eq!((plain.openings, plain.phrases), (0, 0));
    }
}
