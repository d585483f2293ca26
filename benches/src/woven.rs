//! Measures the cost of weaving for a program that ends at once: its start and end, with monitoring off and on, alternating with the plain
//! program.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use crate::Options;
use crate::cores;
use crate::report::{Bound, Column, Row, Samples, Section, Table, Target};

const SOURCE: &str = "fn main() {\n    println!(\"{}\", (0..3).map(step).sum::<usize>());\n}\n\n\
                      fn step(n: usize) -> usize {\n    std::env::args().count() + n\n}\n";

/// Name, program, and environment variables.
type Way<'a> = (&'a str, &'a Path, &'a [(&'a str, &'a Path)]);

pub(crate) fn measure(options: &Options) -> Result<Section> {
    let mut section = Section { title: "start of a woven program", ..Section::default() };
    let own = std::env::current_exe().context("this program has no path")?;
    let folder = own.with_file_name("woven-start");
    fs::create_dir_all(folder.join("src"))?;
    fs::write(folder.join("Cargo.toml"), "[workspace]\n\n[package]\nname = \"brief\"\nversion = \"0.0.0\"\nedition = \"2024\"\n")?;
    fs::write(folder.join("src/main.rs"), SOURCE)?;
    for profile in ["debug", "release"] {
        let (plain, woven) = (build(&folder, None, profile)?, build(&folder, Some(&options.monitor), profile)?);
        let spool = folder.join("spool");
        let ways: [Way<'_>; 3] = [
            ("plain", plain.as_path(), &[]),
            ("woven, off", woven.as_path(), &[]),
            ("woven, on", woven.as_path(), &[("MONITOR_ENABLED", Path::new("1")), ("MONITOR_SPOOL_DIR", spool.as_path())]),
        ];
        let mut samples = ways.each_ref().map(|_| Samples::default());
        for _ in 0..if options.quick { 50 } else { 500 } {
            for ((_, program, settings), samples) in ways.iter().zip(&mut samples) {
                samples.add(run_us(program, settings)?);
            }
            // Remove the records of the previous run.
            fs::remove_dir_all(&spool).context("the spool of the previous run can't be removed")?;
        }
        let rows = ways.iter().zip(&samples).map(|((name, ..), samples)| Row {
            name: (*name).to_owned(),
            figures: [0.5, 0.05, 0.95].map(|part| Some(samples.quantile(part))).to_vec(),
        });
        let columns = ["p50", "p05", "p95"].map(|name| Column::new(name, 0)).to_vec();
        section.tables.push(Table { title: format!("a whole run of a {profile} build, µs"), columns, rows: rows.collect() });
        for (way, woven) in [("off", &samples[1]), ("on", &samples[2])] {
            let added_ms = (woven.median() - samples[0].median()) / 1_000.0;
            section.targets.push(Target::new(format!("{profile}, {way}: ms added to a start"), added_ms, Bound::AtMost(2.0)));
        }
    }
    Ok(section)
}

/// Builds the program; woven if the path of the binary `monitor` is given, next to which `cargo-monitor` is.
fn build(folder: &Path, monitor: Option<&Path>, profile: &str) -> Result<PathBuf> {
    let mut command = match monitor {
        None => Command::new(std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"))),
        Some(monitor) => {
            let mut command = cores::command(monitor.with_file_name("cargo-monitor"));
            command.arg("monitor");
            command
        }
    };
    let target = folder.join("target");
    command.args(["build", "--quiet"]).args((profile == "release").then_some("--release"));
    command.current_dir(folder).env("CARGO_TARGET_DIR", &target).stdin(Stdio::null());
    let status = command.status().with_context(|| format!("can't run {}", command.get_program().display()))?;
    ensure!(status.success(), "the program does not build");
    Ok(target.join(if monitor.is_some() { "monitor/build" } else { "" }).join(profile).join("brief"))
}

/// Microseconds from the start of a program to its end.
fn run_us(program: &Path, settings: &[(&str, &Path)]) -> Result<f64> {
    let mut command = cores::command(program);
    command.envs(settings.iter().copied()).stdout(Stdio::null());
    let begin = Instant::now();
    let status = command.status()?;
    let taken = begin.elapsed();
    ensure!(status.success(), "{}: {status}", program.display());
    Ok(taken.as_secs_f64() * 1e6)
}
