//! Texts by a channel's own template, made in a child process. Fuel bounds the steps of a template and what it knowingly allocates; an allocation
//! that fails beyond that ends a program. So the child may take so much memory and time, and the server never runs a template itself.

use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use minijinja::value::Serde;
use minijinja::{Environment, ErrorKind, UndefinedBehavior};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::text::clean;

/// The word by which the program is asked to make a text, and nothing else.
pub const WORD: &str = "make-alert-text";
/// A template may take so many steps.
const FUEL: u64 = 100_000;
/// A child may take so much memory beyond what it has when it begins, in bytes.
#[cfg(unix)]
const MEMORY: u64 = 64 << 20;
/// A child may take so many seconds of a processor.
#[cfg(unix)]
const SECONDS: u64 = 3;
/// A child is ended after so long.
const LONGEST: Duration = Duration::from_secs(10);
/// A text has at most so many bytes.
const MOST_BYTES: usize = 32 << 10;
/// A line of a text has at most so many characters.
const LONGEST_LINE: usize = 2_000;
/// Why a text could not be made is told in so many characters.
const LONGEST_WHY: usize = 300;

/// What a child is asked for.
#[derive(Debug, Serialize, Deserialize)]
struct Wanted {
    template: String,
    values: Value,
}

/// What a child answers.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Made {
    Text(String),
    Failed(String),
}

/// Makes texts by templates, each in a child process.
#[derive(Debug, Clone)]
pub(super) struct Templates {
    /// The program that does it when it is called with [`WORD`].
    program: Option<PathBuf>,
}

impl Templates {
    /// Children are processes of this same program, on Linux also if another file has taken its place.
    pub(super) fn new() -> Self {
        let of_process = PathBuf::from("/proc/self/exe");
        Self { program: if of_process.exists() { Some(of_process) } else { std::env::current_exe().ok() } }
    }

    /// Makes a text. Ends of lines in values are none in the text.
    ///
    /// # Errors
    /// Why it could not be made, in words.
    pub(super) async fn make(&self, template: &str, values: Value) -> Result<String, String> {
        let wanted = serde_json::to_vec(&Wanted { template: template.to_owned(), values }).map_err(|error| error.to_string())?;
        let Some(program) = &self.program else { return Err("the program doesn't know its own place".to_owned()) };
        match tokio::time::timeout(LONGEST, ask(program, &wanted)).await {
            Ok(made) => made.and_then(|text| {
                let lines = text.lines().map(|line| clean(line, LONGEST_LINE)).collect::<Vec<_>>().join("\n");
                if lines.trim().is_empty() { Err("its text is empty".to_owned()) } else { Ok(lines) }
            }),
            Err(_) => Err(format!("it took longer than {} s", LONGEST.as_secs())),
        }
    }
}

async fn ask(program: &std::path::Path, wanted: &[u8]) -> Result<String, String> {
    let mut child = tokio::process::Command::new(program);
    // It has nothing of the server: no environment, no files, no words of its own.
    child.arg(WORD).env_clear().stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
    let failed = |error: std::io::Error| format!("the process that makes it failed: {error}");
    let mut child = child.spawn().map_err(failed)?;
    let (Some(mut input), Some(output)) = (child.stdin.take(), child.stdout.take()) else { return Err("it has no pipes".to_owned()) };
    let write = async {
        // One that ends without reading tells why by how it ends.
        _ = input.write_all(wanted).await;
        drop(input);
    };
    let mut answer = Vec::new();
    let mut output = output.take(2 * MOST_BYTES as u64 + 1_024);
    let (read, ()) = tokio::join!(output.read_to_end(&mut answer), write);
    read.map_err(failed)?;
    drop(output);
    let status = child.wait().await.map_err(failed)?;
    match serde_json::from_slice(&answer) {
        Ok(Made::Text(text)) => Ok(text),
        Ok(Made::Failed(why)) => Err(clean(&why, LONGEST_WHY)),
        Err(_) => Err(format!("it took more memory or time than it may ({status})")),
    }
}

/// Makes one text: reads what is wanted, and writes what came of it. This is all that a child does.
///
/// # Errors
/// If the answer can't be written.
pub fn child(input: impl Read, output: impl Write) -> std::io::Result<()> {
    #[cfg(unix)]
    limit();
    answer(input, output)
}

fn answer(input: impl Read, mut output: impl Write) -> std::io::Result<()> {
    let made = match serde_json::from_reader::<_, Wanted>(input) {
        Ok(wanted) => make(&wanted).map_or_else(Made::Failed, Made::Text),
        Err(error) => Made::Failed(format!("it was asked for nothing that it knows: {error}")),
    };
    serde_json::to_writer(&mut output, &made)?;
    output.flush()
}

/// Checks that a template can be read. What only shows while a text is made, such as an unknown filter, costs that text alone.
///
/// # Errors
/// What is wrong with it, and on which of its lines.
pub(super) fn check(template: &str) -> Result<(), String> {
    Environment::new().template_from_named_str("template", template).map(drop).map_err(|error| told(&error))
}

fn make(wanted: &Wanted) -> Result<String, String> {
    let mut environment = Environment::new();
    environment.set_fuel(Some(FUEL));
    environment.set_undefined_behavior(UndefinedBehavior::Chainable);
    // Values that are text stand in it as they are: a message is no page.
    let template = environment.template_from_named_str("template", &wanted.template).map_err(|error| told(&error))?;
    let text = template.render(Serde(&wanted.values)).map_err(|error| told(&error))?;
    if text.len() > MOST_BYTES {
        return Err(format!("its text has {} bytes, and {MOST_BYTES} are the most", text.len()));
    }
    Ok(text)
}

/// What is wrong with a template, and on which of its lines.
fn told(error: &minijinja::Error) -> String {
    let what = match (error.kind(), error.detail()) {
        (ErrorKind::OutOfFuel, _) => format!("it takes more than {FUEL} steps"),
        (kind, Some(detail)) => format!("{kind}: {detail}"),
        (kind, None) => kind.to_string(),
    };
    error.line().map_or_else(|| what.clone(), |line| format!("line {line}: {what}"))
}

/// Takes from this process what a text doesn't need. Where the system doesn't do so, the time that its parent waits is the limit.
#[cfg(unix)]
fn limit() {
    use rustix::process::{Resource, Rlimit, setrlimit};
    let most = |most| Rlimit { current: Some(most), maximum: Some(most) };
    // The program itself counts. Where Linux doesn't say how large it is, it is not larger than this.
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let size = status.lines().find_map(|line| line.strip_prefix("VmSize:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    let has = size.map_or(1 << 30, |kibibytes| kibibytes << 10);
    _ = setrlimit(Resource::As, most(has + MEMORY));
    _ = setrlimit(Resource::Cpu, most(SECONDS));
    _ = setrlimit(Resource::Core, most(0));
}

#[cfg(test)]
mod tests;
