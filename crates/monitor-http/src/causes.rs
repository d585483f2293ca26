//! The words of an error, with those of what caused it.

use std::error::Error;
use std::iter::successors;

/// Largest number of causes that are followed. An error may name itself as its source.
const MOST_CAUSES: usize = 64;

/// Returns the message of an error and those of its causes, separated by colons. A message that the text already contains is left out, because
/// many libraries put the message of a cause into their own.
///
/// ```
/// let missing = std::fs::read("/no/such/file").unwrap_err();
/// let error = std::io::Error::other(format!("there are no settings: {missing}"));
/// assert_eq!(monitor_http::with_causes(&error), "there are no settings: No such file or directory (os error 2)");
/// ```
pub fn with_causes(error: &dyn Error) -> String {
    let causes = successors(error.source(), |error| (*error).source()).take(MOST_CAUSES);
    causes.map(ToString::to_string).fold(error.to_string(), |mut text, cause| {
        if !text.contains(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
        text
    })
}

/// Returns advice for these words, if they are about a certificate that is refused because it calls itself an authority's.
pub fn certificate_hint(words: &str) -> Option<&'static str> {
    words.contains("CaUsedAsEndEntity").then_some(
        "the server's certificate signs itself and says that it is an authority's, as `openssl req -x509` makes them; \
         make it with `-addext basicConstraints=critical,CA:FALSE`",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Told(&'static str, Option<&'static Told>);

    impl std::fmt::Display for Told {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str(self.0)
        }
    }

    impl Error for Told {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            self.1.map(|source| source as _)
        }
    }

    static ENDLESS: Told = Told("again", Some(&ENDLESS));

    #[test]
    fn each_cause_is_listed_once_and_cycles_end() {
        static INNERMOST: Told = Told("connection refused", None);
        static INNER: Told = Told("connect: connection refused", Some(&INNERMOST));
        assert_eq!(with_causes(&Told("no answer", Some(&INNER))), "no answer: connect: connection refused");
        assert_eq!(with_causes(&ENDLESS), "again");
    }
}
