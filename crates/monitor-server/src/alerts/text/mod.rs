//! Messages in words, in English and Chinese. What a run said stands in them as data: never markup, a template or a header.

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

/// A value has at most so many characters.
const LONGEST_VALUE: usize = 500;
/// At most so many of the last lines of a log are told.
const LINES: usize = 20;
/// At most so many changes are told.
const CHANGES: usize = 15;

/// A message in words. Each channel puts it into its own form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    /// What is wrong and with what, in one line.
    pub title: String,
    /// What is known of it: a label of ours, and a value.
    pub rows: Vec<(&'static str, String)>,
    /// The last lines of the log.
    pub output: Vec<String>,
    /// Address of the page that shows it, with its label.
    pub link: Option<(&'static str, String)>,
    /// What can be done about the alert.
    pub closing: Option<String>,
    /// What a channel's own template has made, below the title, in place of all the rest.
    pub own: Option<String>,
}

/// How a message is put into words.
#[derive(Debug, Clone)]
pub struct Context<'a> {
    /// The language.
    pub language: Language,
    /// The server's address, for links.
    pub public_url: Option<&'a Url>,
    /// Zone of times.
    pub zone: TimeZone,
    /// Values that no message has.
    pub secrets: &'a [String],
}

/// Labels of values in a language.
struct Labels {
    path: &'static str,
    heartbeat: &'static str,
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

/// Words of a language.
struct Words {
    labels: &'static Labels,
    /// What is the matter with a name, by its cause.
    matter: fn(Cause, &str, &Message) -> String,
    /// The title, given what is the matter and the times of the outage.
    title: fn(&Message, &str, &str) -> String,
    /// What an exit code means.
    exit: fn(Exit<'_>) -> String,
    /// What is different since the last good run.
    change: fn(&Change<'_>) -> String,
    /// What can be done about an alert.
    closing: fn(u64) -> String,
}

/// Something that is different since the last good run, or isn't.
enum Change<'a> {
    /// The task has another version: as it was, and as it is.
    Version(u64, u64),
    /// The task has the same version.
    Same(u64),
    /// A line of what differs in its definition.
    Line(&'a str),
    /// It published another number of files to a target, or none.
    Published(&'a PublishedChange),
    /// It took so long instead of so long.
    Took(String, String),
    /// The task's last failed runs had other errors.
    NewError,
    /// The task failed with the same error then.
    Seen(String),
}

/// The message in words.
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

/// What is known, as labels and values.
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
        SubjectKind::Agent => labels.agent,
        SubjectKind::Worker => labels.worker,
        SubjectKind::Key | SubjectKind::Channel | SubjectKind::Server => labels.subject,
    };
    let place = if facts.path.is_empty() { message.subject.name.clone() } else { facts.path.join(" › ") };
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

/// What is known to be different since the last good run.
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

/// The address of the page that shows what happened.
fn link(facts: &Facts, context: &Context<'_>) -> Option<String> {
    let is_address = |link: &&String| link.starts_with("https://") || link.starts_with("http://");
    if let Some(link) = facts.link.as_ref().filter(is_address) {
        return Some(clean(link, 2_000)).filter(|link| !link.contains(char::is_whitespace));
    }
    let below = context.public_url?.as_str().trim_end_matches('/').to_owned();
    let is_id = |id: &&String| id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit());
    Some(facts.root_id.as_ref().filter(is_id).map_or_else(|| format!("{below}/tasks/alerts"), |root| format!("{below}/tasks/{root}")))
}

/// When trouble began and was over.
fn outage(message: &Message, zone: &TimeZone) -> String {
    let from = moment(message.since_us, zone);
    let Some(to) = message.resolved_us.map(|us| moment(us, zone)) else { return from };
    match from.split_once(' ').zip(to.split_once(' ')) {
        Some(((day, begin), (same, end))) if day == same => format!("{day} {begin}–{end}"),
        _ => format!("{from} – {to}"),
    }
}

/// A time in a zone.
fn moment(us: u64, zone: &TimeZone) -> String {
    let time = i64::try_from(us).ok().and_then(|us| Timestamp::from_microsecond(us).ok());
    time.map_or_else(|| us.to_string(), |time| time.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M:%S").to_string())
}

/// A measured duration.
fn duration(ns: u64) -> String {
    monitor_duration::rounded(std::time::Duration::from_nanos(ns))
}

impl Text {
    /// The message as a template of the channel has made it: its first line is the title. Links stay for those who show them apart.
    #[must_use]
    pub fn with_own(self, made: &str) -> Self {
        let (title, own) = made.trim_start().split_once('\n').unwrap_or((made.trim(), ""));
        let own = Some(own.trim().to_owned());
        Self { title: title.trim().to_owned(), rows: Vec::new(), output: Vec::new(), closing: None, own, ..self }
    }

    /// The message without any markup.
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

    /// The message in the Markdown that the chats of `WeCom` and `DingTalk` have in common, in at most so many bytes. Neither has a way to
    /// escape, so characters that would be markup are told by their wide forms.
    pub fn markdown(&self, most_bytes: usize) -> String {
        if let Some(own) = &self.own {
            return cut(&format!("### {}\n{own}", inert(&self.title)), most_bytes);
        }
        let title = format!("### {}\n", inert(&self.title));
        let rows = self.rows.iter().map(|(label, value)| format!("> {label}: {}\n\n", inert(value))).collect::<Vec<_>>().concat();
        let link = self.link.as_ref().map(|(label, link)| format!("[{label}]({})\n\n", link.replace([')', '('], ""))).unwrap_or_default();
        let closing = self.closing.as_ref().map(|closing| inert(closing)).unwrap_or_default();
        let end = format!("\n{link}{closing}");
        // What is cut is the middle: the title says what is the matter, and the end what to do.
        let begin = cut(&title, most_bytes.saturating_sub(end.len()).max(most_bytes / 2));
        let end = if begin.len() + end.len() > most_bytes { String::new() } else { end };
        let rows = cut(&rows, most_bytes - begin.len() - end.len());
        let room = most_bytes - begin.len() - end.len() - rows.len();
        let output = self.output.iter().map(|line| format!("\n> {}\n", inert(line))).collect::<Vec<_>>().concat();
        format!("{begin}{rows}{}{end}", cut(&output, room))
    }
}

/// A value in which no character is markup.
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
