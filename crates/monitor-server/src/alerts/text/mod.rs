//! Texts of messages, in English and Chinese. Output of runs is included as data: it is never interpreted as markup, a template or a
//! header.

mod clean;
mod en;
mod exit;
pub(super) mod values;
mod zh;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use monitor_alerts::{Cause, Facts, Language, Message, MessageKind, PublishedChange, SubjectKind};
use monitor_store::cut::cut;
use url::Url;

pub use self::clean::{clean, redact};
use self::exit::{Exit, meaning, signal};

/// Maximum length of a value, in characters.
const LONGEST_VALUE: usize = 500;
/// Maximum number of last log lines in a message.
const LINES: usize = 20;
/// Maximum number of changes in a message.
const CHANGES: usize = 15;

/// Text of a message, independent of the channel's format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    /// Problem and its subject, in one line.
    pub title: String,
    /// Facts: a built-in label and a value.
    pub rows: Vec<(&'static str, String)>,
    /// Last lines of the log.
    pub output: Vec<String>,
    /// Link to the page, with its label.
    pub link: Option<(&'static str, String)>,
    /// Possible actions.
    pub closing: Option<String>,
    /// Text of the channel's own template, which replaces everything below the title.
    pub own: Option<String>,
}

/// Parameters for formatting a message.
#[derive(Debug, Clone)]
pub struct Context<'a> {
    /// Language of the message.
    pub language: Language,
    /// URL of the server, for links.
    pub public_url: Option<&'a Url>,
    /// Time zone of the times.
    pub zone: TimeZone,
    /// Secrets to remove from the message.
    pub secrets: &'a [String],
}

/// Labels of values in one language.
struct Labels {
    path: &'static str,
    heartbeat: &'static str,
    job: &'static str,
    agent: &'static str,
    worker: &'static str,
    subject: &'static str,
    run: &'static str,
    machine: &'static str,
    program: &'static str,
    due: &'static str,
    started: &'static str,
    ended: &'static str,
    took: &'static str,
    usual: &'static str,
    limit: &'static str,
    exit_code: &'static str,
    signal: &'static str,
    error: &'static str,
    notice: &'static str,
    good: &'static str,
    changes: &'static str,
    times: &'static str,
    names: &'static str,
    since: &'static str,
    until: &'static str,
    note: &'static str,
    told: &'static str,
    rule: &'static str,
    link: &'static str,
}

/// Texts in a language.
struct Words {
    labels: &'static Labels,
    /// Describes the problem of a subject, by its cause.
    matter: fn(Cause, &str, &Message) -> String,
    /// Returns the title, given the problem and the times of the outage.
    title: fn(&Message, &str, &str) -> String,
    /// Describes the meaning of an exit code.
    exit: fn(Exit<'_>) -> String,
    /// Describes a change since the last successful run.
    change: fn(&Change<'_>) -> String,
    /// Describes the possible actions for an alert.
    closing: fn(u64) -> String,
}

/// Difference from the last successful run, or the fact that there is none.
enum Change<'a> {
    /// The task has a new version: the previous number and the current one.
    Version(u64, u64),
    /// The task has the same version.
    Same(u64),
    /// Line of the difference between the definitions.
    Line(&'a str),
    /// The number of files published to a target has changed.
    Published(&'a PublishedChange),
    /// The duration has changed: the previous one and the current one.
    Took(String, String),
    /// The task's last failed runs had other errors.
    NewError,
    /// The task failed with the same error at this time.
    Seen(String),
}

/// Formats a message.
pub fn text(message: &Message, context: &Context<'_>) -> Text {
    let words = match context.language {
        Language::En => &en::WORDS,
        Language::Zh => &zh::WORDS,
    };
    let tidy = |value: &str| redact(&clean(value, LONGEST_VALUE), context.secrets);
    let (facts, name) = (&message.facts, tidy(&message.subject.name));
    let matter = match facts.title.as_ref().filter(|_| message.cause == Cause::Notified) {
        Some(title) => tidy(title),
        None => (words.matter)(message.cause, &name, message),
    };
    let outage = outage(message, &context.zone);
    let output = facts.lines[facts.lines.len().saturating_sub(LINES)..].iter().map(|line| tidy(line)).collect();
    let is_over = message.kind == MessageKind::Resolved;
    Text {
        title: (words.title)(message, &matter, &outage),
        rows: rows(message, words, context).into_iter().map(|(label, value)| (label, tidy(&value))).collect(),
        output: if is_over { Vec::new() } else { output },
        link: link(facts, context).map(|link| (words.labels.link, redact(&link, context.secrets))),
        closing: Some(message.alert).filter(|alert| *alert != 0 && !is_over).map(words.closing),
        own: None,
    }
}

/// Returns the facts as labels and values.
fn rows(message: &Message, words: &Words, context: &Context<'_>) -> Vec<(&'static str, String)> {
    let (facts, labels) = (&message.facts, words.labels);
    let time = |us: Option<u64>| us.map(|us| moment(us, &context.zone));
    let took = facts.elapsed_ns.map(|took| match facts.usual_ns {
        Some(usual) => format!("{} ({} {})", duration(took), labels.usual, duration(usual)),
        None => duration(took),
    });
    let exit_code = facts.exit_code.map(|code| {
        let meaning = meaning(code, facts.exit_meaning.as_deref()).map(words.exit);
        meaning.map_or_else(|| code.to_string(), |meaning| format!("{code} ({meaning})"))
    });
    let signal = facts.signal.map(|number| signal(number).map_or_else(|| number.to_string(), |name| format!("{number} ({name})")));
    let good = facts.good.as_ref().and_then(|good| {
        let ended = moment(good.ended_us?, &context.zone);
        Some(good.elapsed_ns.map_or_else(|| ended.clone(), |took| format!("{ended} ({})", duration(took))))
    });
    let changes: Vec<String> = changes(facts, context).iter().map(words.change).collect();
    let subject = match message.subject.kind {
        SubjectKind::Task | SubjectKind::Name => labels.path,
        SubjectKind::Heartbeat => labels.heartbeat,
        SubjectKind::Job => labels.job,
        SubjectKind::Agent => labels.agent,
        SubjectKind::Worker => labels.worker,
        SubjectKind::Key | SubjectKind::Channel | SubjectKind::Server => labels.subject,
    };
    let place = match facts.job {
        Some(job) => format!("{} ({job})", message.subject.name),
        None if facts.path.is_empty() => message.subject.name.clone(),
        None => facts.path.join(" › "),
    };
    let some =
        |list: &[String], most: usize| Some(list.iter().take(most).cloned().collect::<Vec<_>>().join(", ")).filter(|t| !t.is_empty());
    let (is_over, is_test) = (message.kind == MessageKind::Resolved, message.kind == MessageKind::Test);
    let rows = [
        (subject, Some(place).filter(|_| !is_test)),
        (labels.run, facts.run.clone()),
        (labels.machine, facts.machine.clone()),
        (labels.program, facts.program.clone()),
        (labels.since, time(Some(message.since_us)).filter(|_| !is_test)),
        (labels.until, time(message.resolved_us)),
        (labels.due, time(facts.due_us)),
        (labels.started, time(facts.started_us)),
        (labels.ended, time(facts.ended_us)),
        (labels.took, took),
        (labels.limit, facts.limit_ns.map(duration)),
        (labels.exit_code, exit_code),
        (labels.signal, signal),
        (labels.error, facts.error.clone().or_else(|| facts.reason.clone()).filter(|_| !is_over)),
        (labels.notice, facts.text.clone()),
        (labels.times, Some(message.count).filter(|count| *count > 1).map(|count| count.to_string())),
        (labels.names, some(&message.names, 20)),
        (labels.good, good.filter(|_| !is_over)),
        (labels.changes, some(&changes, CHANGES).filter(|_| !is_over)),
        (labels.note, message.note.clone()),
        (labels.told, some(&message.to, 20)),
        (labels.rule, Some(format!("{} ({})", message.rule, message.severity)).filter(|_| !is_test)),
    ];
    rows.into_iter().filter_map(|(label, value)| Some((label, value?))).collect()
}

/// Returns the known differences from the last successful run.
fn changes<'a>(facts: &'a Facts, context: &Context<'_>) -> Vec<Change<'a>> {
    let mut changes = Vec::new();
    if let Some((good, version)) = facts.good.as_ref().zip(facts.version) {
        changes.push(if good.version == version { Change::Same(version) } else { Change::Version(good.version, version) });
    }
    changes.extend(facts.published.iter().map(Change::Published));
    changes.extend(facts.changes.iter().map(|line| Change::Line(line)));
    if let Some((was, is)) = facts.good.as_ref().and_then(|good| good.elapsed_ns).zip(facts.elapsed_ns)
        && (is / 2 >= was || was / 2 >= is)
    {
        changes.push(Change::Took(duration(is), duration(was)));
    }
    if facts.is_new_error {
        changes.push(Change::NewError);
    }
    changes.extend(facts.error_seen_us.map(|us| Change::Seen(moment(us, &context.zone))));
    changes
}

/// Returns the URL of the page that shows the event.
fn link(facts: &Facts, context: &Context<'_>) -> Option<String> {
    let is_address = |link: &&String| link.starts_with("https://") || link.starts_with("http://");
    if let Some(link) = facts.link.as_ref().filter(is_address) {
        return Some(clean(link, 2_000)).filter(|link| !link.contains(char::is_whitespace));
    }
    let below = context.public_url?.as_str().trim_end_matches('/').to_owned();
    let is_id = |id: &&String| id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit());
    Some(facts.root_id.as_ref().filter(is_id).map_or_else(|| format!("{below}/tasks/alerts"), |root| format!("{below}/tasks/{root}")))
}

/// Formats the beginning and the end of the outage.
fn outage(message: &Message, zone: &TimeZone) -> String {
    let from = moment(message.since_us, zone);
    let Some(to) = message.resolved_us.map(|us| moment(us, zone)) else { return from };
    match from.split_once(' ').zip(to.split_once(' ')) {
        Some(((day, begin), (same, end))) if day == same => format!("{day} {begin}–{end}"),
        _ => format!("{from} – {to}"),
    }
}

/// Formats a time in a zone.
fn moment(us: u64, zone: &TimeZone) -> String {
    let time = i64::try_from(us).ok().and_then(|us| Timestamp::from_microsecond(us).ok());
    time.map_or_else(|| us.to_string(), |time| time.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M:%S").to_string())
}

/// Formats a measured duration.
fn duration(ns: u64) -> String {
    monitor_duration::rounded(std::time::Duration::from_nanos(ns))
}

impl Text {
    /// Replaces the built-in text by the text of the channel's own template. Its first line is the title. The link is kept for channels
    /// that show it separately.
    #[must_use]
    pub fn with_own(self, made: &str) -> Self {
        let (title, own) = made.trim_start().split_once('\n').unwrap_or((made.trim(), ""));
        let own = Some(own.trim().to_owned());
        Self { title: title.trim().to_owned(), rows: Vec::new(), output: Vec::new(), closing: None, own, ..self }
    }

    /// Returns the message without markup.
    pub fn plain(&self) -> String {
        if let Some(own) = &self.own {
            return format!("{}\n\n{own}", self.title);
        }
        let rows = self.rows.iter().map(|(label, value)| format!("{label}: {value}"));
        let mut parts = vec![self.title.clone(), String::new()];
        parts.extend(rows);
        if !self.output.is_empty() {
            parts.push(String::new());
            parts.extend(self.output.iter().map(|line| format!("  {line}")));
        }
        if self.link.is_some() || self.closing.is_some() {
            parts.push(String::new());
            parts.extend(self.link.as_ref().map(|(label, link)| format!("{label}: {link}")));
            parts.extend(self.closing.clone());
        }
        parts.join("\n")
    }

    /// Returns the message in the Markdown that `WeCom` and `DingTalk` have in common, in at most `most_bytes` bytes. Neither supports
    /// escaping, so characters with a meaning in Markdown are replaced by their full-width forms.
    pub fn markdown(&self, most_bytes: usize) -> String {
        if let Some(own) = &self.own {
            return cut(&format!("### {}\n{own}", inert(&self.title)), most_bytes);
        }
        let title = format!("### {}\n", inert(&self.title));
        let rows = self.rows.iter().map(|(label, value)| format!("> {label}: {}\n\n", inert(value))).collect::<Vec<_>>().concat();
        let link = self.link.as_ref().map(|(label, link)| format!("[{label}]({})\n\n", link.replace([')', '('], ""))).unwrap_or_default();
        let closing = self.closing.as_ref().map(|closing| inert(closing)).unwrap_or_default();
        let end = format!("\n{link}{closing}");
        // The middle is cut: the title contains the problem, and the end the possible actions.
        let begin = cut(&title, most_bytes.saturating_sub(end.len()).max(most_bytes / 2));
        let end = if begin.len() + end.len() > most_bytes { String::new() } else { end };
        let rows = cut(&rows, most_bytes - begin.len() - end.len());
        let room = most_bytes - begin.len() - end.len() - rows.len();
        let output = self.output.iter().map(|line| format!("\n> {}\n", inert(line))).collect::<Vec<_>>().concat();
        format!("{begin}{rows}{}{end}", cut(&output, room))
    }
}

/// Replaces all markup characters in a value.
pub(super) fn inert(value: &str) -> String {
    let wide = |c| match c {
        '<' => '＜',
        '>' => '＞',
        '[' => '［',
        ']' => '］',
        '*' => '＊',
        '`' => '｀',
        '#' => '＃',
        '\\' => '＼',
        '@' => '＠',
        c => c,
    };
    value.chars().map(wide).collect()
}

#[cfg(test)]
mod tests;
