//! Rendering of the templates of channels in a child process. The template engine's fuel limits the steps of a template and the memory that
//! it accounts for. Other allocations can still fail, which aborts the process. The server therefore never renders a template itself; it
//! uses a child with limited memory and time.

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

/// Argument that makes the program render a text and do nothing else.
pub const WORD: &str = "make-alert-text";
/// Maximum number of steps of a template.
const FUEL: u64 = 100_000;
/// Maximum memory of a child in addition to what it has at its start, in bytes.
#[cfg(unix)]
const MEMORY: u64 = 64 << 20;
/// Maximum CPU time of a child, in seconds.
#[cfg(unix)]
const SECONDS: u64 = 3;
/// Time after which a child is killed.
const LONGEST: Duration = Duration::from_secs(10);
/// Maximum size of a text, in bytes.
const MOST_BYTES: usize = 32 << 10;
/// Maximum length of a line of a text, in characters.
const LONGEST_LINE: usize = 2_000;
/// Maximum length of an error, in characters.
const LONGEST_WHY: usize = 300;

/// Input of a child.
#[derive(Debug, Serialize, Deserialize)]
struct Wanted {
    template: String,
    values: Value,
}

/// Output of a child.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Made {
    Text(String),
    Failed(String),
}

/// Renders templates, each in a child process.
#[derive(Debug, Clone)]
pub(super) struct Templates {
    /// Program that renders when it is called with [`WORD`].
    program: Option<PathBuf>,
}

impl Templates {
    /// Uses the running program for the children. On Linux, this works even if its file has been replaced.
    pub(super) fn new() -> Self {
        let of_process = PathBuf::from("/proc/self/exe");
        Self { program: if of_process.exists() { Some(of_process) } else { std::env::current_exe().ok() } }
    }

    /// Renders a text. Line breaks in values do not become line breaks in the text.
    ///
    /// # Errors
    /// Describes the failure.
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
    // The child gets neither the server's environment nor its standard error.
    child.arg(WORD).env_clear().stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
    let failed = |error: std::io::Error| format!("the process that makes it failed: {error}");
    let mut child = child.spawn().map_err(failed)?;
    let (Some(mut input), Some(output)) = (child.stdin.take(), child.stdout.take()) else { return Err("it has no pipes".to_owned()) };
    let write = async {
        // If the child ends without reading its input, its exit status explains why.
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

/// Renders one text: reads a template with its values as JSON, and writes the text or an error as JSON. This is all that a child does.
///
/// # Errors
/// Returns an error if the output can't be written.
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

/// Checks the syntax of a template. Mistakes that show only during rendering, such as an unknown filter, affect only the text being
/// rendered.
///
/// # Errors
/// Describes the mistake and its line.
pub(super) fn check(template: &str) -> Result<(), String> {
    Environment::new().template_from_named_str("template", template).map(drop).map_err(|error| told(&error))
}

fn make(wanted: &Wanted) -> Result<String, String> {
    let mut environment = Environment::new();
    environment.set_fuel(Some(FUEL));
    environment.set_undefined_behavior(UndefinedBehavior::Chainable);
    // Values are not escaped, because the text is not HTML.
    let template = environment.template_from_named_str("template", &wanted.template).map_err(|error| told(&error))?;
    let text = template.render(Serde(&wanted.values)).map_err(|error| told(&error))?;
    if text.len() > MOST_BYTES {
        return Err(format!("its text has {} bytes, and {MOST_BYTES} are the most", text.len()));
    }
    Ok(text)
}

/// Describes a mistake in a template and its line.
fn told(error: &minijinja::Error) -> String {
    let what = match (error.kind(), error.detail()) {
        (ErrorKind::OutOfFuel, _) => format!("it takes more than {FUEL} steps"),
        (kind, Some(detail)) => format!("{kind}: {detail}"),
        (kind, None) => kind.to_string(),
    };
    error.line().map_or_else(|| what.clone(), |line| format!("line {line}: {what}"))
}

/// Limits the resources of this process. On systems without such limits, only the parent's timeout applies.
#[cfg(unix)]
fn limit() {
    use rustix::process::{Resource, Rlimit, setrlimit};
    let most = |most| Rlimit { current: Some(most), maximum: Some(most) };
    // The limit includes the program itself. If Linux does not report its size, it is assumed to be at most 1 GiB.
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let size = status.lines().find_map(|line| line.strip_prefix("VmSize:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    let has = size.map_or(1 << 30, |kibibytes| kibibytes << 10);
    _ = setrlimit(Resource::As, most(has + MEMORY));
    _ = setrlimit(Resource::Cpu, most(SECONDS));
    _ = setrlimit(Resource::Core, most(0));
}

#[cfg(test)]
mod tests;
