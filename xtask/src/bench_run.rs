//! Measures the cost of `monitor run`: the same command with and without it, alternately in one benchmark run.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::demo::Server;
use crate::run::target;

/// Number of bytes sent through the pipe.
const BYTES: u64 = 1 << 30;

pub(crate) fn bench(args: &[String]) -> Result<()> {
    let [rounds, turns] = match args {
        [] => [50, 5],
        [rounds, turns] => [rounds.parse()?, turns.parse()?],
        _ => bail!("expected: bench run [ROUNDS OF true] [ROUNDS OF 1 GiB]"),
    };
    let data = target().join("bench-run");
    if data.exists() {
        std::fs::remove_dir_all(&data).with_context(|| format!("can't empty {}", data.display()))?;
    }
    let monitor = target().join("release/monitor");
    let server = Server::start(&monitor, &data, 0)?;
    let launcher = |command: &mut Command| {
        command.env("MONITOR_SERVER_URL", server.url()).env("MONITOR_SPOOL_DIR", data.join("spool"));
    };
    let (mut plain, mut run) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        plain.push(time(Command::new("env").arg("true"))?);
        let mut command = Command::new(&monitor);
        launcher(&mut command);
        run.push(time(command.args(["run", "--", "true"]))?);
    }
    let (plain, run) = (median(plain), median(run));
    let more = run.saturating_sub(plain);
    println!("true, median of {rounds}: env {:.2} ms, monitor run {:.2} ms: {:.2} ms more", ms(plain), ms(run), ms(more));
    for (name, writer) in [("zeros", "head -c N /dev/zero"), ("lines", "yes 'a line of text, as programs write them' | head -c N")] {
        let writer = writer.replace('N', &BYTES.to_string());
        let (mut plain, mut run) = (Vec::new(), Vec::new());
        for _ in 0..turns {
            plain.push(time_bytes(&mut shell(&format!("sh -c \"{writer}\" | wc -c")), BYTES)?);
            let mut command = shell(&format!("{} run -- sh -c \"{writer}\" | wc -c", quoted(&monitor)));
            launcher(&mut command);
            run.push(time_bytes(&mut command, BYTES)?);
        }
        let (plain, run) = (median(plain), median(run));
        let speed = |time: Duration| BYTES as f64 / time.as_secs_f64() / 1e9;
        println!(
            "1 GiB of {name} through a pipe, median of {turns}: {:.2} GB/s, with monitor run {:.2} GB/s: × {:.2}",
            speed(plain),
            speed(run),
            plain.as_secs_f64() / run.as_secs_f64()
        );
    }
    Ok(())
}

fn shell(script: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    command
}

fn quoted(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', r"'\''"))
}

fn time(command: &mut Command) -> Result<Duration> {
    let begin = Instant::now();
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).status().with_context(|| format!("{command:?}"))?;
    if !status.success() {
        bail!("{command:?}: {status}");
    }
    Ok(begin.elapsed())
}

/// Measures a pipeline that counts its output bytes. Its exit status is that of the last command only.
fn time_bytes(command: &mut Command, bytes: u64) -> Result<Duration> {
    let begin = Instant::now();
    let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output().with_context(|| format!("{command:?}"))?;
    let took = begin.elapsed();
    let counted = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if !output.status.success() || counted != bytes.to_string() {
        bail!("{command:?}: {}, and {counted:?} of {bytes} bytes came through", output.status);
    }
    Ok(took)
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipeline_with_missing_bytes_is_an_error() {
        assert!(time_bytes(&mut shell("printf 12345 | wc -c"), 5).is_ok());
        let error = time_bytes(&mut shell("(printf 123; exit 1) | wc -c"), 5).unwrap_err();
        assert!(error.to_string().contains("\"3\" of 5 bytes"), "{error}");
    }
}
