//! Measures the cost of an attribute in `cargo check`, with generated crates that only differ in it.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use crate::Options;
use crate::report::{Bound, Column, Row, Samples, Section, Table, Target, progress};

const FUNCTIONS: u32 = 600;

/// One generated crate.
struct Variant {
    name: &'static str,
    attribute: &'static str,
    dependency: &'static str,
}

const OURS: &str = "ours";

const VARIANTS: &[Variant] = &[
    Variant { name: "plain", attribute: "", dependency: "" },
    Variant {
        name: OURS,
        attribute: "#[monitor_client::normal_task]",
        dependency: concat!("monitor-client = { path = \"", env!("CARGO_MANIFEST_DIR"), "/../monitor-client\" }"),
    },
    Variant { name: "tracing", attribute: "#[tracing::instrument(skip_all)]", dependency: "tracing = \"0.1\"" },
    Variant { name: "fastrace", attribute: "#[fastrace::trace]", dependency: "fastrace = { version = \"0.7\", features = [\"enable\"] }" },
];

pub(crate) fn measure(options: &Options) -> Result<Section> {
    let mut section = Section { title: "compile time: `cargo check` of 600 functions", ..Section::default() };
    let folder = folder()?;
    generate(&folder)?;
    for variant in VARIANTS {
        progress(&format!("checking what {} depends on", variant.name));
        check(&folder, variant)?;
    }
    let mut times: Vec<Samples> = VARIANTS.iter().map(|_| Samples::default()).collect();
    let rounds = if options.quick { 2 } else { 15 };
    for round in 0..rounds {
        for (variant, times) in VARIANTS.iter().zip(&mut times) {
            progress(&format!("cargo check: round {} of {rounds}, {}", round + 1, variant.name));
            // A new time stamp, the same text.
            fs::write(folder.join(variant.name).join("src/lib.rs"), source(variant))?;
            let begin = Instant::now();
            check(&folder, variant)?;
            times.add(begin.elapsed().as_secs_f64() * 1_000.0);
        }
    }
    let plain = times[0].median();
    let per_function = |times: &Samples| (times.median() - plain) / f64::from(FUNCTIONS);
    let rows = VARIANTS.iter().zip(&times).map(|(variant, times)| Row {
        name: variant.name.to_owned(),
        figures: [times.median(), times.quantile(0.05), times.quantile(0.95), per_function(times)].map(Some).to_vec(),
    });
    let rows = rows.collect();
    let columns = vec![Column::new("p50", 0), Column::new("p05", 0), Column::new("p95", 0), Column::new("a function over plain", 3)];
    for (variant, times) in VARIANTS.iter().zip(&times).filter(|(variant, _)| variant.name == OURS) {
        section.targets.push(Target::new(format!("{}: ms a function over plain", variant.name), per_function(times), Bound::AtMost(1.0)));
    }
    section.tables.push(Table { title: format!("ms, {rounds} rounds"), columns, rows });
    Ok(section)
}

/// Returns a folder next to this program, so that a second run reuses the checked dependencies.
fn folder() -> Result<PathBuf> {
    let own = std::env::current_exe().context("this program has no path")?;
    Ok(own.parent().context("a program lies in a folder")?.join("compile"))
}

/// A workspace with a crate for each variant, and the versions that this bench is built with.
fn generate(folder: &Path) -> Result<()> {
    let members: Vec<&str> = VARIANTS.iter().map(|variant| variant.name).collect();
    fs::create_dir_all(folder)?;
    fs::write(folder.join("Cargo.toml"), format!("[workspace]\nresolver = \"3\"\nmembers = {members:?}\n"))?;
    fs::copy(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.lock"), folder.join("Cargo.lock")).context("the bench has a lock file")?;
    for variant in VARIANTS {
        let krate = folder.join(variant.name);
        fs::create_dir_all(krate.join("src"))?;
        let manifest = format!(
            "[package]\nname = \"generated-{}\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[dependencies]\n{}\n",
            variant.name, variant.dependency
        );
        fs::write(krate.join("Cargo.toml"), manifest)?;
        fs::write(krate.join("src/lib.rs"), source(variant))?;
    }
    Ok(())
}

/// A third each: sync, sync with a `Result`, async.
fn source(variant: &Variant) -> String {
    let mut text = String::new();
    for n in 0..FUNCTIONS {
        let function = match n % 3 {
            0 => format!("pub fn f{n}(a: u64) -> u64 {{ let b = a + {n}; b * 2 }}"),
            1 => format!("pub fn f{n}(a: &str) -> Result<u64, std::num::ParseIntError> {{ let b: u64 = a.parse()?; Ok(b + {n}) }}"),
            _ => format!("pub async fn f{n}(a: u64) -> u64 {{ let b = a + {n}; b * 2 }}"),
        };
        let _ = writeln!(text, "{}\n{function}", variant.attribute);
    }
    text
}

fn check(folder: &Path, variant: &Variant) -> Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["check", "--quiet", "-p", &format!("generated-{}", variant.name)]).current_dir(folder);
    command.env("CARGO_TARGET_DIR", folder.join("target")).env("CARGO_INCREMENTAL", "0").stdin(Stdio::null());
    ensure!(command.status().context("can't run cargo")?.success(), "the crate generated for {} is not taken", variant.name);
    Ok(())
}
