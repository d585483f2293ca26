//! External text as HTML. Markup is escaped, and characters that hide or reorder text are made visible.

use std::fmt::{self, Write};

/// Displays a text as HTML, including inside attributes.
pub(crate) struct Text<'a>(pub(crate) &'a str);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            match character {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                '\n' | '\t' => f.write_char(character)?,
                '\0'..='\x1f' => f.write_char(char::from_u32(0x2400 + u32::from(character)).unwrap_or('?'))?,
                // Other control characters, and characters that change the direction of the text after them.
                '\x7f'..='\u{9f}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}' => {
                    write!(f, "‹U+{:04X}›", u32::from(character))?;
                }
                _ => f.write_char(character)?,
            }
        }
        Ok(())
    }
}
