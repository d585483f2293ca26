//! Measures the build cost of linking the client: CPU seconds of a cold release build, number of crates, size of the program. It is
//! compared with tracing with OpenTelemetry and OTLP over HTTP, which has similar features.
//!
//! CPU seconds are used instead of elapsed time, and builds alternate, because the machine may be busy.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::Options;
use crate::report::{Bound, Column, Row, Samples, Section, Table, Target, progress};

/// One generated program.
struct Variant {
    name: &'static str,
    dependencies: &'static str,
    source: &'static str,
}

const OURS: &str = "ours";
const PLAIN: &str = "plain";

const VARIANTS: &[Variant] = &[
    Variant { name: PLAIN, dependencies: "", source: "fn main() {\n    println!(\"{}\", std::env::args().count());\n}\n" },
    Variant {
        name: OURS,
        dependencies: concat!("monitor-client = { path = \"", env!("CARGO_MANIFEST_DIR"), "/../monitor-client\" }"),
        source: "#[monitor_client::root_task]\nfn main() {\n    println!(\"{}\", std::env::args().count());\n}\n",
    },
    Variant {
        name: "tracing-opentelemetry + OTLP",
        dependencies: "opentelemetry = \"0.33\"\nopentelemetry_sdk = \"0.33\"\ntracing = \"0.1\"\ntracing-opentelemetry = \"0.34\"\n\
                       tracing-subscriber = \"0.3\"\nopentelemetry-otlp = { version = \"0.33\", default-features = false, \
                       features = [\"trace\", \"http-proto\", \"reqwest-blocking-client\"] }",
        source: "use opentelemetry::trace::TracerProvider as _;\nuse tracing_subscriber::layer::SubscriberExt as _;\n\
                 use tracing_subscriber::util::SubscriberInitExt as _;\n\n#[tracing::instrument]\nfn work() {\n    \
                 println!(\"{}\", std::env::args().count());\n}\n\nfn main() {\n    \
                 let exporter = opentelemetry_otlp::SpanExporter::builder().with_http().build().unwrap();\n    \
                 let provider = opentelemetry_sdk::trace::SdkTracerProvider::builder().with_batch_exporter(exporter).build();\n    \
                 tracing_subscriber::registry().with(tracing_opentelemetry::layer().with_tracer(provider.tracer(\"w\"))).init();\n    \
                 work();\n    let _ = provider.shutdown();\n}\n",
    },
];

pub(crate) fn measure(options: &Options) -> Result<Section> {
    let mut section = Section { title: "weight: a cold release build of a program", ..Section::default() };
    let own = std::env::current_exe().context("this program has no path")?;
    let folder = own.parent().context("a program lies in a folder")?.join("weight");
    fs::create_dir_all(&folder)?;
    for variant in VARIANTS {
        generate(&folder, variant)?;
        let fetched = cargo(&folder, variant, &["fetch", "--quiet"]).status().context("can't run cargo")?;
        ensure!(fetched.success(), "what {} depends on could not be fetched", variant.name);
    }
    let mut seconds: Vec<Samples> = VARIANTS.iter().map(|_| Samples::default()).collect();
    let rounds = if options.quick { 1 } else { 3 };
    for round in 0..rounds {
        for (variant, seconds) in VARIANTS.iter().zip(&mut seconds) {
            progress(&format!("cold build: round {} of {rounds}, {}", round + 1, variant.name));
            seconds.add(build(&folder, variant)?);
        }
    }
    let plain = program_bytes(&folder, &VARIANTS[0])?;
    let mut rows = Vec::new();
    for (variant, seconds) in VARIANTS.iter().zip(&seconds) {
        let crates = crates(&folder, variant)? as f64;
        let megabytes = program_bytes(&folder, variant)?.saturating_sub(plain) as f64 / 1e6;
        rows.push(Row { name: variant.name.to_owned(), figures: vec![Some(seconds.median()), Some(crates), Some(megabytes)] });
        if variant.name == OURS {
            section.targets.push(Target::new("processor seconds, cold".to_owned(), seconds.median(), Bound::AtMost(60.0)));
            section.targets.push(Target::new("crates".to_owned(), crates, Bound::AtMost(70.0)));
            section.targets.push(Target::new("MB over plain, stripped".to_owned(), megabytes, Bound::AtMost(2.0)));
        }
    }
    let columns = vec![Column::new("processor seconds", 1), Column::new("crates", 0), Column::new("MB over plain, stripped", 2)];
    section.tables.push(Table { title: format!("median of {rounds}"), columns, rows });
    Ok(section)
}

fn of(folder: &Path, variant: &Variant) -> PathBuf {
    folder.join(variant.name.replace([' ', '+'], "-"))
}

/// Generates a workspace for each variant, so that features and versions are not unified between them.
fn generate(folder: &Path, variant: &Variant) -> Result<()> {
    let krate = of(folder, variant);
    fs::create_dir_all(krate.join("src"))?;
    let manifest = format!(
        "[workspace]\n\n[package]\nname = \"program\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[dependencies]\n{}\n\n\
         [profile.release]\nstrip = true\n",
        variant.dependencies
    );
    fs::write(krate.join("Cargo.toml"), manifest)?;
    fs::write(krate.join("src/main.rs"), variant.source)?;
    // The versions that this bench is built with, as far as it has them.
    fs::copy(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.lock"), krate.join("Cargo.lock")).context("the bench has a lock file")?;
    Ok(())
}

fn cargo(folder: &Path, variant: &Variant, args: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")));
    let krate = of(folder, variant);
    command.args(args).current_dir(&krate).env("CARGO_TARGET_DIR", krate.join("target")).stdin(Stdio::null());
    command
}

/// Processor seconds of a build from nothing: of cargo and of all that it starts, as the shell counts them.
fn build(folder: &Path, variant: &Variant) -> Result<f64> {
    let target = of(folder, variant).join("target");
    if target.exists() {
        fs::remove_dir_all(&target)?;
    }
    let line = cargo(folder, variant, &[]);
    let mut shell = Command::new("sh");
    shell.args(["-c", "\"$0\" build --release --quiet && times"]).arg(line.get_program()).current_dir(of(folder, variant));
    let output = shell.env("CARGO_TARGET_DIR", &target).stdin(Stdio::null()).stderr(Stdio::inherit()).output().context("can't run sh")?;
    ensure!(output.status.success(), "the program with {} does not build", variant.name);
    let said = String::from_utf8(output.stdout)?;
    // The second line contains the times of the shell's children: user and system, each as 1m2.3s.
    let times = said.lines().nth(1).with_context(|| format!("`times` printed no second line: {said:?}"))?;
    times.split_whitespace().map(|time| seconds(time).with_context(|| format!("unreadable time: {time:?}"))).sum()
}

fn seconds(time: &str) -> Option<f64> {
    let (minutes, seconds) = time.strip_suffix('s')?.split_once('m')?;
    Some(minutes.parse::<f64>().ok()? * 60.0 + seconds.parse::<f64>().ok()?)
}

/// Returns the number of crates that are built in addition to the program.
fn crates(folder: &Path, variant: &Variant) -> Result<usize> {
    let output = cargo(folder, variant, &["tree", "--edges", "normal,build", "--prefix", "none"]).output().context("can't run cargo")?;
    ensure!(output.status.success(), "cargo tree failed: {}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8(output.stdout)?;
    let names: std::collections::BTreeSet<&str> = said.lines().map(|line| line.trim_end_matches(" (*)")).collect();
    Ok(names.len().saturating_sub(1))
}

fn program_bytes(folder: &Path, variant: &Variant) -> Result<u64> {
    Ok(fs::metadata(of(folder, variant).join("target/release/program"))?.len())
}
