//! `cargo monitor init`: writes a `monitor.toml` that lists the project's functions by module.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;

use crate::config::FILE;
use crate::list::{of_manifest, shown};
use crate::project::Project;
use crate::source::read_crate;

const HEAD: &str = "\
# Which functions `cargo monitor` weaves, and how; `cargo monitor list` shows it.
#
# The first [[function]] that matches a function decides. Its keys:
#   path       crate::mod::Type::method; `*` stands for one segment or a part of one, `**` for any number of segments
#   kind       \"root\" begins a run, \"normal\" (without it) is a child, \"cross_thread\", \"cross_process\"
#   name       of the process, instead of the function's path
#   batch      for roots: the parameter whose value marks the batch
#   exclude    patterns of functions that this table doesn't take
#   include    patterns of functions that it takes though they are left out: accessors, Clone, Debug, Default, Drop, From and the like,
#              helpers of tests. A path without `*` takes its function whatever it is
#   min-lines  of the function's body
# Before the first table: fold-below = \"100us\". Calls that took less are counted and have no row of their own, unless they fail.
";

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Replace an existing file
    #[arg(long)]
    force: bool,
    /// Cargo.toml of the project
    #[arg(long, value_name = "FILE")]
    manifest_path: Option<PathBuf>,
}

pub(crate) fn run(config: Option<&Path>, args: &Args) -> anyhow::Result<ExitCode> {
    let project = Project::find(&of_manifest(args.manifest_path.as_ref()))?;
    let path = config.map_or_else(|| project.root.join(FILE), Path::to_owned);
    let mut text = HEAD.to_owned();
    let mut mains = String::new();
    let mut modules = BTreeMap::<String, Vec<String>>::new();
    for of in project
        .crates
        .iter()
        .filter(|of| of.why_not.is_none() && matches!(of.kind.as_str(), "lib" | "bin" | "rlib" | "cdylib" | "staticlib"))
    {
        for file in read_crate(&of.root, &of.name, of.is_test()).0 {
            for function in file.functions.iter().filter(|function| function.obstacle.is_none() && function.left_out.is_none()) {
                if function.path == format!("{}::main", of.name) {
                    write!(mains, "\n[[function]]\npath = {:?}\nkind = \"root\"\n", function.path)?;
                    continue;
                }
                // Keep only the module path, because types and functions get no pattern of their own.
                let module = function.path.split("::").take_while(|part| part.starts_with(char::is_lowercase)).collect::<Vec<_>>();
                let module = if module.len() == function.path.split("::").count() { &module[..module.len() - 1] } else { &module[..] };
                let line = format!("{}  {}:{}", function.path, shown(&project, &file.path), function.line);
                modules.entry(module.join("::")).or_default().push(line);
            }
        }
    }
    text.push_str(&mains);
    // Nested modules precede the modules that contain them, because the first matching pattern decides.
    let mut modules: Vec<_> = modules.into_iter().collect();
    modules.sort_by_key(|(module, _)| (module.split("::").next().map(str::to_owned), std::cmp::Reverse(module.matches("::").count())));
    for (module, functions) in modules {
        text.push_str("\n[[function]]\n");
        writeln!(text, "path = \"{module}::**\"")?;
        for function in functions {
            writeln!(text, "# {function}")?;
        }
    }
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).create_new(!args.force);
    let file = options.open(&path).map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => anyhow::anyhow!("{} is there already; --force overwrites it", path.display()),
        _ => anyhow::Error::new(error).context(format!("{} can't be written", path.display())),
    });
    file?.write_all(text.as_bytes()).with_context(|| format!("{} can't be written", path.display()))?;
    writeln!(anstream::stdout(), "{}", path.display())?;
    Ok(ExitCode::SUCCESS)
}
