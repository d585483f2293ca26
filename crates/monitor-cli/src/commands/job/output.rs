//! `monitor job output`

use std::io::{IsTerminal as _, Write};
use std::time::Duration;

use monitor_api::Client;
use monitor_wire::JobHost;

use super::{hosts_page, is_meant, no_such_host};
use crate::client::Connection;
use crate::exit::{self, Misused};
use crate::text::{bytes, visible};

const EXAMPLES: &str = "\
Examples:
  monitor job output 7 web-1
  monitor job output 7 web-1 -f
  monitor job output 7 web-1 --attempt 1 > first.log

The output is written unchanged. On a terminal, control characters are replaced by visible ones.";

/// Pause between two requests for new output.
const PERIOD: Duration = Duration::from_millis(500);

/// Show the output of a host
#[derive(Debug, clap::Args)]
#[command(after_help = format!("{EXAMPLES}\n\n{}", exit::SERVER))]
pub(super) struct Args {
    /// Number of the job
    job: u64,
    /// Name or number of the host
    host: String,
    /// Follow the output until the host has ended
    #[arg(short, long)]
    follow: bool,
    /// Number of the attempt [default: the latest]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    attempt: Option<u32>,
    /// Number of the step [default: the latest that has begun on the host]
    #[arg(long, value_name = "NUMBER")]
    step: Option<u64>,
    #[command(flatten)]
    connection: Connection,
}

/// A host of a job, and the position of the page that contains it.
struct Found {
    host: JobHost,
    after: Option<u64>,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let connection = &args.connection;
    let client = connection.client()?;
    let Found { mut host, after } = find(args, client)?;
    let Some(id) = host.host_id else {
        return Err(Misused(format!("{:?} has no output: it is no known host", host.name)).into());
    };
    let attempt = args.attempt.unwrap_or(host.attempt);
    let mut out = Output::new(std::io::stdout().lock(), std::io::stdout().is_terminal());
    let mut offset = 0;
    loop {
        // The state was read before the output, so the output of a host that has ended is complete.
        let has_ended = !host.status.is_open() || attempt < host.attempt;
        let download = client.job_output(args.job, id, host.step_id, attempt, offset);
        let received = connection.download(download, &mut out)?;
        offset += received;
        // An answer contains at most 1 MiB.
        if received > 0 {
            continue;
        }
        if !args.follow || has_ended {
            break;
        }
        std::thread::sleep(PERIOD);
        let page = connection.wait(hosts_page(client, args.job, args.step, after))?;
        let same = page.hosts.into_iter().find(|other| other.host_id == Some(id) && other.step_id == host.step_id);
        host = same.ok_or_else(|| no_such_host(args.job, &args.host))?;
    }
    out.finish()?;
    if host.omitted_bytes > 0 && attempt == host.attempt {
        writeln!(anstream::stderr(), "monitor: {} of output were not kept", bytes(host.omitted_bytes))?;
    }
    Ok(())
}

/// Finds the host in the latest step that has begun on it.
fn find(args: &Args, client: &Client) -> anyhow::Result<Found> {
    // A job that doesn't exist is an error at once.
    args.connection.ask(client.job(args.job))?;
    let (mut after, mut found) = (None, None::<Found>);
    loop {
        let page = args.connection.wait(hosts_page(client, args.job, args.step, after))?;
        for host in page.hosts.into_iter().filter(|host| is_meant(host, &args.host)) {
            if found.is_none() || host.started_us.is_some() {
                found = Some(Found { host, after });
            }
        }
        if page.next.is_none() || page.next == after {
            return found.ok_or_else(|| no_such_host(args.job, &args.host).into());
        }
        after = page.next;
    }
}

/// Writes output: unchanged to a file or pipe, and line by line without control characters to a terminal.
struct Output<W> {
    out: W,
    is_terminal: bool,
    /// The beginning of a line whose end has not been received.
    rest: Vec<u8>,
}

impl<W: Write> Output<W> {
    fn new(out: W, is_terminal: bool) -> Self {
        Self { out, is_terminal, rest: Vec::new() }
    }

    /// Writes a last line without a line end.
    fn finish(mut self) -> std::io::Result<()> {
        if !self.rest.is_empty() {
            let rest = std::mem::take(&mut self.rest);
            writeln!(self.out, "{}", safe(&rest))?;
        }
        self.out.flush()
    }
}

impl<W: Write> Write for Output<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if !self.is_terminal {
            return self.out.write(bytes);
        }
        self.rest.extend_from_slice(bytes);
        let end = self.rest.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        for line in self.rest[..end].split_inclusive(|byte| *byte == b'\n') {
            writeln!(self.out, "{}", safe(line.strip_suffix(b"\n").unwrap_or(line)))?;
        }
        self.rest.drain(..end);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.out.flush()
    }
}

/// Returns a line with visible characters only. Tabs become spaces, and a carriage return at the end is removed.
fn safe(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line)).replace('\t', "    ");
    visible(&text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_receives_safe_lines_however_the_output_is_cut() {
        let bytes = "a\tb\r\n\u{1b}[31mé根\n\nno end".as_bytes();
        for length in 1..bytes.len() {
            let (mut safe, mut raw) = (Vec::new(), Vec::new());
            let (mut terminal, mut file) = (Output::new(&mut safe, true), Output::new(&mut raw, false));
            for piece in bytes.chunks(length) {
                terminal.write_all(piece).unwrap();
                file.write_all(piece).unwrap();
            }
            terminal.finish().unwrap();
            file.finish().unwrap();
            let safe = String::from_utf8(safe).unwrap();
            assert!(safe.starts_with("a    b\n") && safe.contains("é根\n\nno end\n") && !safe.contains('\u{1b}'), "{length}: {safe:?}");
            assert_eq!(raw, bytes);
        }
    }
}
