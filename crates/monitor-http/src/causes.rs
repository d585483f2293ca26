//! The words of an error, with those of what caused it.

use std::error::Error;
use std::iter::successors;

/// Largest number of causes that are followed. An error may name itself as its source.
const MOST_CAUSES: usize = 64;

/// Words of reqwest and hyper that only name a step. Their cause is the reason.
const STEPS: [&str; 4] = ["error sending request", "client error (Connect)", "client error (SendRequest)", "tcp connect error"];

/// Returns the message of an error and those of its causes, separated by colons. A message that the text already contains is left out, because
/// many libraries put the message of a cause into their own. So are the steps of a request, if their cause is known.
///
/// ```
/// let missing = std::fs::read("/no/such/file").unwrap_err();
/// let error = std::io::Error::other(format!("there are no settings: {missing}"));
/// assert_eq!(monitor_http::with_causes(&error), "there are no settings: No such file or directory (os error 2)");
/// ```
pub fn with_causes(error: &dyn Error) -> String {
    let causes = successors(Some(error), |error| (*error).source()).take(MOST_CAUSES);
    let is_reason = |error: &&dyn Error| error.source().is_none() || !STEPS.contains(&error.to_string().as_str());
    causes.filter(is_reason).map(ToString::to_string).fold(String::new(), |mut text, cause| {
        if !text.contains(&cause) {
            if !text.is_empty() {
                text.push_str(": ");
            }
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

    #[test]
    fn steps_of_a_request_are_left_out_if_their_cause_is_known() {
        static REFUSED: Told = Told("Connection refused", None);
        static TCP: Told = Told("tcp connect error", Some(&REFUSED));
        static CLIENT: Told = Told("client error (Connect)", Some(&TCP));
        static SENDING: Told = Told("error sending request", Some(&CLIENT));
        assert_eq!(with_causes(&Told("the server was not reached", Some(&SENDING))), "the server was not reached: Connection refused");
        assert_eq!(with_causes(&SENDING), "Connection refused");
        assert_eq!(with_causes(&Told("tcp connect error", None)), "tcp connect error");
    }
}
