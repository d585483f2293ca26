//! The search language for queue tasks: words, `key:value`, quotes, `and`, `or`, `not` and brackets.

use std::fmt;

use monitor_wire::Process;
use serde_json::Value;

/// Maximum length of a search, in bytes.
const MOST_BYTES: usize = 4 << 10;
/// Minimum length of a complete id: the number of hex digits of a UUID. A shorter text is only the beginning of an id.
const UUID_DIGITS: usize = 32;
/// Maximum nesting of brackets and `not`.
const MOST_DEEP: usize = 32;

/// A condition on a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Search {
    /// The task matches all of these.
    All(Vec<Search>),
    /// The task matches at least one of these.
    Any(Vec<Search>),
    /// The task doesn't match this.
    Not(Box<Search>),
    /// The task has this text in this place, in upper or lower case.
    Has(Place, String),
    /// The keyword argument of this name has this value, in upper or lower case.
    Argument(String, String),
}

/// Part of a task that is searched for a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In the name, id, arguments, result or error.
    Anywhere,
    /// In the name.
    Name,
    /// At the beginning of the id in the queue or of the process id.
    Id,
    /// The whole state or phase.
    State,
    /// At the beginning of the worker's id.
    Worker,
    /// In the positional arguments.
    Args,
    /// In the keyword arguments.
    Kwargs,
    /// In the result.
    Result,
    /// In the error or the traceback.
    Error,
}

const PLACES: [(&str, Place); 8] = [
    ("name", Place::Name),
    ("id", Place::Id),
    ("state", Place::State),
    ("worker", Place::Worker),
    ("args", Place::Args),
    ("kwargs", Place::Kwargs),
    ("result", Place::Result),
    ("error", Place::Error),
];

/// A syntax error in a search.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// Position of the error: number of the character, starting at 1.
    pub column: usize,
    /// Description of the error.
    pub what: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "column {}: {}", self.column, self.what)
    }
}

impl Search {
    /// Parses a search.
    ///
    /// # Errors
    /// Returns the first syntax error.
    pub fn read(text: &str) -> Result<Self, Mistake> {
        if text.len() > MOST_BYTES {
            return Err(Mistake { column: 1, what: format!("it has {} bytes, {MOST_BYTES} are read at most", text.len()) });
        }
        let mut reader = Reader { tokens: tokens(text)?, next: 0, end: text.chars().count() + 1 };
        let search = reader.any(0)?;
        match reader.peek() {
            None => Ok(search),
            Some((column, _)) => Err(Mistake { column: *column, what: "this bracket closes none".to_owned() }),
        }
    }

    /// Returns the id of all matching tasks, if the search requires a complete id.
    pub fn exact_id(&self) -> Option<&str> {
        match self {
            Self::Has(Place::Id, id) if id.len() >= UUID_DIGITS => Some(id),
            Self::All(all) => all.iter().find_map(Self::exact_id),
            _ => None,
        }
    }

    /// Returns the longest text with which the ids of all matching tasks begin, if the search requires one.
    pub fn id_prefix(&self) -> Option<&str> {
        match self {
            Self::Has(Place::Id, id) => Some(id),
            Self::All(all) => all.iter().filter_map(Self::id_prefix).max_by_key(|id| id.len()),
            _ => None,
        }
    }

    /// Returns true if a task matches.
    pub fn is_met(&self, task: &Process) -> bool {
        match self {
            Self::All(all) => all.iter().all(|search| search.is_met(task)),
            Self::Any(any) => any.iter().any(|search| search.is_met(task)),
            Self::Not(search) => !search.is_met(task),
            Self::Has(place, text) => place.has(task, text),
            Self::Argument(key, value) => {
                let kwargs = task.task.as_ref().and_then(|task| task.kwargs.as_ref());
                kwargs.and_then(|kwargs| kwargs.get(key)).is_some_and(|found| word_of(found).to_lowercase() == *value)
            }
        }
    }
}

impl Place {
    fn has(self, process: &Process, text: &str) -> bool {
        let contains = |found: &str| found.to_lowercase().contains(text);
        let task = process.task.as_deref();
        let value = |pick: fn(&monitor_wire::Task) -> Option<&Value>| task.and_then(pick).is_some_and(|value| contains(&word_of(value)));
        match self {
            Self::Anywhere => {
                [Self::Name, Self::Id, Self::Args, Self::Kwargs, Self::Result, Self::Error].iter().any(|place| place.has(process, text))
            }
            Self::Name => contains(&process.name),
            Self::Id => {
                let native = process.native_id.as_ref().map(|id| id.to_lowercase());
                native.is_some_and(|id| id.starts_with(text)) || process.id.to_string().starts_with(text)
            }
            Self::State => process.state.as_str() == text || task.is_some_and(|task| task.phase.as_str() == text),
            Self::Worker => process.worker_id.is_some_and(|id| id.to_string().starts_with(text)),
            Self::Args => value(|task| task.args.as_ref()),
            Self::Kwargs => value(|task| task.kwargs.as_ref()),
            Self::Result => value(|task| task.result.as_ref()),
            Self::Error => {
                process.error.as_ref().is_some_and(|error| contains(&error.message))
                    || task.and_then(|task| task.traceback.as_deref()).is_some_and(contains)
            }
        }
    }
}

/// Returns a text unchanged, and any other value as JSON.
fn word_of(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[derive(Debug, PartialEq, Eq)]
enum Token {
    Open,
    Close,
    And,
    Or,
    Not,
    Is(Search),
}

/// Splits a search into tokens, with the column at which each begins.
fn tokens(text: &str) -> Result<Vec<(usize, Token)>, Mistake> {
    let letters: Vec<char> = text.chars().collect();
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(letter) = letters.get(at) {
        let column = at + 1;
        match letter {
            letter if letter.is_whitespace() => at += 1,
            '(' | ')' => {
                tokens.push((column, if *letter == '(' { Token::Open } else { Token::Close }));
                at += 1;
            }
            _ => {
                let (word, colon, is_quoted) = word(&letters, &mut at)?;
                let token = match word.to_lowercase().as_str() {
                    "and" if !is_quoted => Token::And,
                    "or" if !is_quoted => Token::Or,
                    "not" if !is_quoted => Token::Not,
                    _ => Token::Is(search_of(&word, colon, column)?),
                };
                tokens.push((column, token));
            }
        }
    }
    Ok(tokens)
}

/// Reads the next word. Returns the word without its quotes, the byte position of its first unquoted colon, and true if a part of it was
/// quoted.
fn word(letters: &[char], at: &mut usize) -> Result<(String, Option<usize>, bool), Mistake> {
    let (mut word, mut colon, mut is_quoted, mut open) = (String::new(), None, false, None);
    while let Some(letter) = letters.get(*at) {
        match (letter, open) {
            ('"', None) => (open, is_quoted) = (Some(*at + 1), true),
            ('"', Some(_)) => open = None,
            ('\\', Some(_)) if matches!(letters.get(*at + 1), Some('"' | '\\')) => {
                *at += 1;
                word.push(letters[*at]);
            }
            ('(' | ')', None) => break,
            (letter, None) if letter.is_whitespace() => break,
            (':', None) if colon.is_none() && !is_quoted => {
                colon = Some(word.len());
                word.push(':');
            }
            (letter, _) => word.push(*letter),
        }
        *at += 1;
    }
    match open {
        Some(column) => Err(Mistake { column, what: "this quote is not closed".to_owned() }),
        None => Ok((word, colon, is_quoted)),
    }
}

fn search_of(word: &str, colon: Option<usize>, column: usize) -> Result<Search, Mistake> {
    let Some(colon) = colon else { return Ok(Search::Has(Place::Anywhere, word.to_lowercase())) };
    let (key, value) = (&word[..colon], &word[colon + 1..]);
    let Some((_, place)) = PLACES.iter().find(|(known, _)| *known == key) else {
        let known: Vec<_> = PLACES.iter().map(|(known, _)| format!("`{known}:`")).collect();
        let what = format!("`{key}:` is not known; there are {}. A colon that means itself stands in quotes", known.join(", "));
        return Err(Mistake { column, what });
    };
    if value.is_empty() {
        return Err(Mistake { column: column + key.chars().count() + 1, what: format!("`{key}:` wants a value") });
    }
    Ok(match (place, value.split_once('=')) {
        (Place::Kwargs, Some((name, value))) => Search::Argument(name.to_owned(), value.to_lowercase()),
        (place, _) => Search::Has(*place, value.to_lowercase()),
    })
}

struct Reader {
    tokens: Vec<(usize, Token)>,
    next: usize,
    /// Column after the last character.
    end: usize,
}

impl Reader {
    fn peek(&self) -> Option<&(usize, Token)> {
        self.tokens.get(self.next)
    }

    fn takes(&mut self, token: &Token) -> bool {
        let is_next = self.peek().is_some_and(|(_, next)| next == token);
        self.next += usize::from(is_next);
        is_next
    }

    fn any(&mut self, depth: usize) -> Result<Search, Mistake> {
        let mut any = vec![self.all(depth)?];
        while self.takes(&Token::Or) {
            any.push(self.all(depth)?);
        }
        Ok(only_or(any, Search::Any))
    }

    fn all(&mut self, depth: usize) -> Result<Search, Mistake> {
        let mut all = vec![self.one(depth)?];
        while self.takes(&Token::And) || matches!(self.peek(), Some((_, Token::Open | Token::Not | Token::Is(_)))) {
            all.push(self.one(depth)?);
        }
        Ok(only_or(all, Search::All))
    }

    fn one(&mut self, depth: usize) -> Result<Search, Mistake> {
        let column = self.peek().map_or(self.end, |(column, _)| *column);
        let mistake = |what: &str| Err(Mistake { column, what: what.to_owned() });
        if depth > MOST_DEEP {
            return mistake("too many brackets within each other");
        }
        if self.takes(&Token::Not) {
            return Ok(Search::Not(Box::new(self.one(depth + 1)?)));
        }
        if self.takes(&Token::Open) {
            let within = self.any(depth + 1)?;
            return if self.takes(&Token::Close) { Ok(within) } else { mistake("this bracket is not closed") };
        }
        let Some((_, Token::Is(search))) = self.peek() else {
            return mistake("a word is missing here");
        };
        let search = search.clone();
        self.next += 1;
        Ok(search)
    }
}

fn only_or(mut all: Vec<Search>, of: fn(Vec<Search>) -> Search) -> Search {
    if all.len() == 1 { all.remove(0) } else { of(all) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::support::{process, root};

    fn task() -> Process {
        let json = serde_json::json!({
            "sent_us": 1, "version": 1, "sequence": 1, "worker": {"id": "5b0c00000000000000000000000000a1", "hostname": "h", "program": "p"},
            "events": [
                {"type": "task-sent", "root_id": root(1).to_string(), "id": process(1).to_string(), "time_us": 1, "name": "video.render",
                    "native_id": "ABC-7", "args": [7, "a b"], "kwargs": {"size": "4K", "n": 3}},
                {"type": "task-failed", "root_id": root(1).to_string(), "id": process(1).to_string(), "time_us": 2, "exception": "No disk: /a"},
            ],
        });
        let batch = monitor_wire::Batch::from_json(json.to_string().as_bytes()).unwrap();
        let facts = monitor_state::Facts::of(&[batch]);
        facts.tree(root(1), 1).unwrap().1.remove(0)
    }

    #[test]
    fn a_search_matches_tasks_by_its_terms() {
        let task = task();
        for (text, is_met) in [
            ("render", true),
            ("RENDER disk", true),
            ("render nothing", false),
            ("render and nothing or disk", true),
            ("render (nothing or disk)", true),
            ("not render", false),
            ("not not render", true),
            ("not (nothing or name:x)", true),
            ("name:video id:abc state:failed", true),
            ("id:bc", false),
            ("state:fail", false),
            ("worker:5b0c", true),
            ("worker:77", false),
            ("args:\"a b\"", true),
            ("kwargs:size=4k kwargs:n=3", true),
            ("kwargs:size=4", false),
            ("kwargs:4k", true),
            ("result:7", false),
            ("error:\"disk: /A\"", true),
            ("\"disk: /a\"", true),
            ("\"and\"", false),
            ("(((render)))", true),
        ] {
            assert_eq!(Search::read(text).unwrap().is_met(&task), is_met, "{text}");
        }
    }

    #[test]
    fn a_mistake_is_named_with_its_column() {
        for (text, column, what) in [
            ("", 1, "a word is missing"),
            ("a or", 5, "a word is missing"),
            ("or a", 1, "a word is missing"),
            ("(a b", 1, "is not closed"),
            ("a ) b", 3, "closes none"),
            ("()", 2, "a word is missing"),
            ("é nam:x", 3, "`nam:` is not known"),
            ("a name:", 8, "wants a value"),
            ("a \"b c", 3, "this quote is not closed"),
            (&"(".repeat(4_000), 34, "too many"),
            (&"not ".repeat(1_000), 133, "too many"),
            (&"a".repeat(5_000), 1, "5000 bytes"),
        ] {
            let mistake = Search::read(text).unwrap_err();
            assert!(mistake.column == column && mistake.what.contains(what), "{text:?}: {mistake}");
        }
    }
}
