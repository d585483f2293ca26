//! A command as text, without what it is not to tell.

use std::ffi::OsString;

/// Values of options that are named so are never shown.
const SECRET: [&str; 8] = ["password", "passwd", "secret", "token", "api-key", "apikey", "api_key", "credential"];
const HIDDEN: &str = "***";

/// The command as a shell would read it. Hidden are the values of options and variables whose names contain one of `words` or
/// what a secret is usually called (`--token X`, `--token=X`, `TOKEN=X`), and any other argument that contains one of `words`.
pub(crate) fn shown(command: &[OsString], words: &[String]) -> String {
    let words: Vec<String> = words.iter().filter(|word| !word.is_empty()).map(|word| word.to_lowercase()).collect();
    let all = words.iter().any(|word| word == "*");
    let mut shown = Vec::with_capacity(command.len());
    let mut hide_next = false;
    for (index, argument) in command.iter().enumerate() {
        let text = argument.to_string_lossy();
        let lower = text.to_lowercase();
        let (name, value) = text.split_once('=').map_or((&*text, None), |(name, value)| (name, Some(value)));
        let name_lower = name.to_lowercase();
        let asked = words.iter().any(|word| lower.contains(word));
        let secret = SECRET.into_iter().chain(words.iter().map(String::as_str)).any(|word| name_lower.contains(word));
        let hidden = if index == 0 {
            text.clone().into_owned()
        } else if all || std::mem::take(&mut hide_next) {
            HIDDEN.to_owned()
        } else if secret && value.is_some() && !name.contains(char::is_whitespace) {
            format!("{name}={HIDDEN}")
        } else if secret && name.starts_with('-') && value.is_none() {
            hide_next = true;
            text.clone().into_owned()
        } else if asked {
            HIDDEN.to_owned()
        } else {
            text.clone().into_owned()
        };
        let safe = hidden.replace('\0', "\u{fffd}");
        shown.push(if safe.contains(HIDDEN) {
            safe
        } else {
            shlex::try_quote(&safe).map_or_else(|_| safe.clone(), std::borrow::Cow::into_owned)
        });
    }
    shown.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_hidden_whether_asked_or_not() {
        for (command, words, expected) in [
            ("sort -n file", "", "sort -n file"),
            ("psql --password=hunter2 db", "", "psql --password=*** db"),
            ("psql --password hunter2 db", "", "psql --password *** db"),
            ("env API_TOKEN=abc make", "", "env API_TOKEN=*** make"),
            ("curl https://me:pw@host/", "pw@", "curl ***"),
            ("login -u me", "-u", "login -u ***"),
            ("any a b", "*", "any *** ***"),
            ("tool --customer=Smith x", "customer", "tool --customer=*** x"),
        ] {
            let command: Vec<_> = command.split(' ').map(OsString::from).collect();
            let words: Vec<_> = words.split(' ').map(str::to_owned).collect();
            assert_eq!(shown(&command, &words), expected);
        }
        let quoted = shown(&["sh".into(), "-c".into(), "echo 'a b'".into()], &[]);
        assert_eq!(quoted, r#"sh -c "echo 'a b'""#);
    }
}
