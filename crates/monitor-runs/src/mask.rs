//! Formats a command as text with secrets hidden.

use std::ffi::OsString;

/// Parts of option names whose values are always hidden.
const SECRET: [&str; 8] = ["password", "passwd", "secret", "token", "api-key", "apikey", "api_key", "credential"];
const HIDDEN: &str = "***";

/// Formats the command in shell syntax. Hides the values of options and variables whose names contain one of `words` or a usual name of a
/// secret (`--token X`, `--token=X`, `TOKEN=X`). Also hides any other argument that contains one of `words`.
pub fn shown(command: &[OsString], words: &[String]) -> String {
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
        let safe = without_passwords(&hidden).replace('\0', "\u{fffd}");
        // A fully hidden word is not quoted, although `*` is special in a shell.
        shown.push(if safe.contains(HIDDEN) && !safe.contains(char::is_whitespace) {
            safe
        } else {
            shlex::try_quote(&safe).map_or_else(|_| safe.clone(), std::borrow::Cow::into_owned)
        });
    }
    shown.join(" ")
}

/// Hides passwords in URLs: `https://me:***@host/`, `?user=me&token=***`.
pub fn without_passwords(text: &str) -> String {
    let (mut shown, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(start) = rest.find("://") {
        let (before, url) = rest.split_at(start + 3);
        shown.push_str(before);
        let ends_host = |c: char| c.is_whitespace() || matches!(c, '/' | '?' | '#' | '"' | '\'' | '<' | '>' | '`');
        let (host, after) = url.split_at(url.find(ends_host).unwrap_or(url.len()));
        match host.rsplit_once('@').and_then(|(who, host)| Some((who.split_once(':')?.0, host))) {
            Some((who, host)) => shown.extend([who, ":", HIDDEN, "@", host]),
            None => shown.push_str(host),
        }
        // Another URL may start within the path or query of this URL.
        let (path, after) = after.split_at(after.find("://").unwrap_or(after.len()));
        for parameter in path.split_inclusive(['?', '&', ';', '#']) {
            match parameter.split_once('=') {
                Some((name, value)) if SECRET.iter().any(|word| name.to_lowercase().contains(word)) => {
                    let is_value = |c: char| !(c.is_whitespace() || matches!(c, '?' | '&' | ';' | '#' | '"' | '\'' | '`'));
                    shown.extend([name, "=", HIDDEN, value.trim_start_matches(is_value)]);
                }
                _ => shown.push_str(parameter),
            }
        }
        rest = after;
    }
    shown.push_str(rest);
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_always_hidden() {
        for (command, words, expected) in [
            ("sort -n file", "", "sort -n file"),
            ("psql --password=hunter2 db", "", "psql --password=*** db"),
            ("psql --password hunter2 db", "", "psql --password *** db"),
            ("env API_TOKEN=abc make", "", "env API_TOKEN=*** make"),
            ("curl https://me:pw@host/", "pw@", "curl ***"),
            ("curl https://me:pw@host/a@b:c", "", "curl https://me:***@host/a@b:c"),
            ("psql postgres://me:p@w:x@host:5432/db?a=1", "", "psql postgres://me:***@host:5432/db?a=1"),
            ("tool redis://:pw@host ssh://git@host:22/x host://", "", "tool redis://:***@host ssh://git@host:22/x host://"),
            (
                "tool --url=https://me:pw@host HTTP_PROXY=http://u:p@proxy:1",
                "",
                "tool --url=https://me:***@host HTTP_PROXY=http://u:***@proxy:1",
            ),
            ("curl http://host/a?x=1&Api_Key=abc&y=2#end", "", "curl http://host/a?x=1&Api_Key=***&y=2#end"),
            ("x http://a/?next=https://me:pw@host/ 根://我:密@处", "", "x http://a/?next=https://me:***@host/ 根://我:***@处"),
            ("login -u me", "-u", "login -u ***"),
            ("any a b", "*", "any *** ***"),
            ("tool --customer=Smith x", "customer", "tool --customer=*** x"),
        ] {
            let command: Vec<_> = command.split(' ').map(OsString::from).collect();
            let words: Vec<_> = words.split(' ').map(str::to_owned).collect();
            assert_eq!(shown(&command, &words), expected);
        }
        let script = shown(&["sh".into(), "-c".into(), "curl 'http://me:pw@a/' http://b/?token=t c".into()], &[]);
        assert_eq!(script, r#"sh -c "curl 'http://me:***@a/' http://b/?token=*** c""#);
        let quoted = shown(&["sh".into(), "-c".into(), "echo 'a b'".into()], &[]);
        assert_eq!(quoted, r#"sh -c "echo 'a b'""#);
    }
}
