//! Patterns of names: `*` matches any characters, `?` a single character, and any other character itself.

/// Returns true if the whole name matches the pattern. The time is at most proportional to the product of their lengths.
pub(super) fn fits(pattern: &str, name: &str) -> bool {
    let (mut pattern, mut name) = (pattern.chars(), name.chars());
    // The pattern after the last star, and the place in the name where it was last tried.
    let mut last_star = None;
    loop {
        let before = name.clone();
        match (pattern.next(), name.next()) {
            (None, None) => return true,
            (Some('*'), _) => {
                name = before;
                last_star = Some((pattern.clone(), name.clone()));
            }
            (Some('?'), Some(_)) => {}
            (Some(wanted), Some(found)) if wanted == found => {}
            // Let the star match one more character.
            _ => {
                let Some((after, tried)) = &mut last_star else { return false };
                if tried.next().is_none() {
                    return false;
                }
                pattern = after.clone();
                name = tried.clone();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::fits;

    #[test]
    fn a_star_matches_any_text_and_a_question_mark_one_character() {
        for (pattern, fitting, others) in [
            ("render", &["render"][..], &["rende", "renderer", ""][..]),
            ("render*", &["render", "renderer", "render a*b"], &["a render"]),
            ("*render*", &["render", "a render b"], &["rende r"]),
            ("*", &["", "x"], &[]),
            ("**a", &["a", "ba"], &["ab"]),
            ("r?n", &["run", "r跑n"], &["rn", "ruun"]),
            ("a*b*c", &["abc", "aXbYc", "abcbc"], &["acb", "ab"]),
            ("", &[""], &["a"]),
        ] {
            assert!(fitting.iter().all(|name| fits(pattern, name)), "{pattern} {fitting:?}");
            assert!(!others.iter().any(|name| fits(pattern, name)), "{pattern} {others:?}");
        }
    }

    #[test]
    fn a_hostile_pattern_takes_no_longer_than_the_product_of_the_lengths() {
        let (pattern, name) = (format!("{}b", "a*".repeat(250)), "a".repeat(2_000));
        assert!(!fits(&pattern, &name));
    }
}
