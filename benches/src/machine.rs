//! Describes the machine and the measured version, which are needed to interpret the figures.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use anyhow::{Context, Result};
use serde::Serialize;

/// The machine and the versions of all that was compared.
#[derive(Debug, Serialize)]
pub(crate) struct Machine {
    processor: String,
    cores: usize,
    load_before: String,
    rust: String,
    versions: BTreeMap<&'static str, String>,
}

const COMPARED: &[&str] =
    &["monitor-client", "tracing", "tracing-subscriber", "tracing-opentelemetry", "opentelemetry_sdk", "fastrace", "hotpath"];

impl Machine {
    /// Returns the description of this machine.
    pub(crate) fn here() -> Self {
        Self {
            processor: processor().unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
            cores: cores(),
            load_before: load(),
            rust: output_of("rustc", "--version"),
            versions: COMPARED.iter().filter_map(|name| Some((*name, locked(name)?))).collect(),
        }
    }

    /// Prints the heading of the tables.
    pub(crate) fn print(&self) {
        println!("{}, {} cores, load {}; {}", self.processor, self.cores, self.load_before, self.rust);
        let versions: Vec<String> = self.versions.iter().map(|(name, version)| format!("{name} {version}")).collect();
        println!("{}", versions.join(", "));
    }
}

/// Returns the load averages of the last 1, 5 and 15 minutes.
pub(crate) fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let averages: Vec<&str> = text.split_whitespace().take(3).collect();
    if averages.is_empty() { "unknown".to_owned() } else { averages.join(" ") }
}

/// CPU seconds used so far by a process, given its id or `self`.
pub(crate) fn cpu_seconds(program: &str) -> Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{program}/stat")).context("no /proc here")?;
    let (_, stat) = stat.rsplit_once(')').context("a program's name is in brackets")?;
    let ticks = stat.split_whitespace().skip(11).take(2).map(str::parse::<f64>).sum::<Result<f64, _>>()?;
    // Linux reports times to programs in hundredths of a second.
    Ok(ticks / 100.0)
}

/// CPU seconds used so far by all processes.
pub(crate) fn busy_seconds() -> Result<f64> {
    let stat = fs::read_to_string("/proc/stat").context("no /proc here")?;
    let ticks = stat.lines().next().context("a line for all cores")?.split_whitespace().skip(1);
    let ticks = ticks.map(str::parse::<f64>).collect::<Result<Vec<_>, _>>()?;
    // user, nice, system, idle, iowait, irq, softirq, steal; guest times are included in the first two.
    let busy = ticks.iter().take(8).enumerate().filter(|(place, _)| ![3, 4].contains(place));
    Ok(busy.map(|(_, ticks)| ticks).sum::<f64>() / 100.0)
}

/// A figure of the memory of a program, by its number.
pub(crate) fn memory_kib(program: &str, name: &str) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{program}/status")).context("no /proc here")?;
    let line = status.lines().find_map(|line| line.strip_prefix(name)).with_context(|| format!("no {name} in /proc"))?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

/// Number of cores.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn processor() -> Option<String> {
    let text = fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn output_of(program: &str, arg: &str) -> String {
    let output = Command::new(program).arg(arg).output();
    output.map_or_else(|_| "unknown".to_owned(), |output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// The version of a crate that this bench was built with.
fn locked(name: &str) -> Option<String> {
    let lock = include_str!("../Cargo.lock");
    let (_, after) = lock.split_once(&format!("name = \"{name}\"\nversion = \""))?;
    Some(after.split_once('"')?.0.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_compared_crates_are_in_the_lock_file() {
        assert!(COMPARED.iter().all(|name| locked(name).is_some()));
    }
}
