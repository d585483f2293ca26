//! Compiler wrapper: cargo calls it instead of rustc for each crate of the workspace. It weaves and compiles the crate, and compiles it
//! unwoven if weaving fails.

mod arguments;
mod diagnostics;
mod shadow;

use std::collections::{BTreeMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, ExitStatus, Stdio};

use sha2::{Digest, Sha256};

use self::arguments::Arguments;
use self::diagnostics::Diagnostic;
use self::shadow::Shadow;
use crate::config::Rule;
use crate::plan::{self, Plan};
use crate::report::{Refusal, Report};
use crate::source::{Function, SourceFile, absolute, read_crate};
use crate::weave::{Attributes, Limit, key};

/// Maximum number of compilations of a crate, each with fewer woven functions.
const TRIES: usize = 8;

/// Compiles the crate as `rustc arguments…` would, with woven functions if possible.
pub(crate) fn run(plan: &OsString, mut args: impl Iterator<Item = OsString>) -> ExitCode {
    let plan = Plan::read(plan);
    let mut rustc = args.next().unwrap_or_default();
    let outer = plan.as_ref().ok().and_then(|plan| plan.outer.clone()).map(OsString::from);
    // If this program replaces both kinds of wrappers, cargo calls it with its own path as the compiler for crates of the workspace.
    let is_others = outer.is_some() && !is_own(&rustc);
    if is_own(&rustc) {
        rustc = args.next().unwrap_or_default();
    }
    let args: Vec<OsString> = args.collect();
    let result = match (plan, Arguments::read(&args)) {
        _ if is_others => plainly(outer.as_ref(), &rustc, &args),
        (Ok(plan), Some(arguments)) => Unit { plan, rustc: rustc.clone(), arguments }.compile(),
        // A query about the compiler, or no crate of the workspace.
        (plan, _) => {
            let inner = plan.ok().and_then(|plan| plan.inner).map(OsString::from);
            plainly(inner.as_ref(), &rustc, &args)
        }
    };
    match result {
        Ok(status) => status.code().map_or(ExitCode::FAILURE, |code| ExitCode::from(code as u8)),
        Err(error) => {
            let _ = writeln!(io::stderr(), "cargo monitor: {} can't be run: {error}", Path::new(&rustc).display());
            ExitCode::FAILURE
        }
    }
}

/// Returns true if `program` is the path of this executable.
pub(crate) fn is_own(program: &OsStr) -> bool {
    std::env::current_exe().is_ok_and(|own| own == Path::new(program))
}

fn command(inner: Option<&OsString>, rustc: &OsString) -> Command {
    inner.map_or_else(
        || Command::new(rustc),
        |inner| {
            let mut command = Command::new(inner);
            command.arg(rustc);
            command
        },
    )
}

fn plainly(inner: Option<&OsString>, rustc: &OsString, args: &[OsString]) -> io::Result<ExitStatus> {
    command(inner, rustc).args(args).status()
}

/// One compilation of a crate.
struct Unit {
    plan: Plan,
    rustc: OsString,
    arguments: Arguments,
}

/// Output of a run of rustc.
struct Outcome {
    status: ExitStatus,
    diagnostics: Vec<Diagnostic>,
    /// Lines that are not JSON.
    other: Vec<String>,
}

impl Unit {
    fn inner(&self) -> Option<OsString> {
        self.plan.inner.clone().map(OsString::from)
    }

    fn report_path(&self) -> PathBuf {
        self.plan.reports.join(format!("{}.json", self.arguments.unit()))
    }

    fn compile(&self) -> io::Result<ExitStatus> {
        let name = &self.arguments.crate_name;
        let attributes = match &self.plan.runtime {
            Some(_) => Some(Attributes::Woven),
            None => self.arguments.client.clone().map(Attributes::Client),
        };
        let is_tool = self.arguments.is_tool || (self.plan.is_cross && !self.arguments.has_target);
        let rules = self.plan.rules(name);
        if is_tool {
            // Dependencies may be woven, so the folders of the runtime are needed.
            return self.plain(self.libraries());
        }
        let Some(attributes) = attributes else {
            let why = "its project uses monitor-client, and it doesn't depend on it".to_owned();
            self.save(&Report { crate_name: name.clone(), unmonitored: Some(why), ..Report::default() });
            return self.plain(Vec::new());
        };
        let (files, _) = if rules.is_empty() {
            Default::default()
        } else {
            read_crate(&self.arguments.root, name, self.plan.tests.contains(&absolute(&self.arguments.root)))
        };
        self.lend_libraries();
        match self.weave(&files, &rules, &attributes)? {
            Ok(status) => Ok(status),
            Err(mut report) => {
                report.woven = 0;
                let why = report.unmonitored.clone();
                warn_of(&report);
                self.save(&report);
                if let Some(why) = why {
                    Diagnostic::warning(&format!("`{name}` is not monitored: {why}")).print();
                }
                let status = self.plain(self.libraries())?;
                if status.success() {
                    self.rewrite_dependencies(None);
                }
                Ok(status)
            }
        }
    }

    /// Compiles with woven functions. After each failure, fewer functions are woven. The inner error means that the crate must be compiled
    /// unwoven, and contains the reason.
    fn weave(&self, files: &[SourceFile], rules: &[Rule], attributes: &Attributes) -> io::Result<Result<ExitStatus, Report>> {
        let of = (env!("CARGO_PKG_VERSION").to_owned(), digest(files));
        let remembered = plan::read::<Report>(&self.report_path()).ok().flatten().filter(|report| report.of == of);
        let mut report =
            remembered.unwrap_or_else(|| Report { of: of.clone(), crate_name: self.arguments.crate_name.clone(), ..Report::default() });
        if report.unmonitored.is_some() {
            return Ok(Err(report));
        }
        let mut told = HashSet::new();
        for _ in 0..TRIES {
            let shadow = match Shadow::make(
                &self.plan.shadows.join(self.arguments.unit()),
                files,
                rules,
                &report.limits(),
                attributes,
                &self.arguments,
            ) {
                Ok(shadow) => shadow,
                Err(error) => return Ok(Err(Report { unmonitored: Some(format!("its woven files can't be written: {error}")), ..report })),
            };
            report.woven = shadow.count;
            let Some(shadow) = Some(shadow).filter(|shadow| shadow.count > 0) else { return Ok(Err(report)) };
            let mut args = self.arguments.with_root(&shadow.root);
            args.extend(shadow.remaps());
            args.extend(self.libraries());
            if let (Some(runtime), Attributes::Woven) = (&self.plan.runtime, attributes) {
                let mut library = OsString::from("monitor_woven=");
                library.push(&runtime.library);
                args.extend(["--extern".into(), library]);
            }
            let outcome = self.rustc(&args, &mut told)?;
            if outcome.status.success() {
                self.rewrite_dependencies(Some(&shadow));
                for diagnostic in outcome.diagnostics {
                    diagnostic.without(&shadow.inserted).print();
                }
                print_lines(&outcome.other);
                warn_of(&report);
                self.save(&report);
                return Ok(Ok(outcome.status));
            }
            if let Some(status) = self.users_own_errors()? {
                return Ok(Ok(status));
            }
            // The user's own files compile, so the inserted attributes caused the errors.
            if !refuse(&mut report, files, &outcome.diagnostics, attributes) {
                let why = outcome.diagnostics.iter().find(|diagnostic| diagnostic.is_error()).map(Diagnostic::message);
                let why = why.unwrap_or_else(|| outcome.other.first().cloned().unwrap_or_else(|| outcome.status.to_string()));
                return Ok(Err(Report { unmonitored: Some(format!("the compiler refused what was woven: {why}")), ..report }));
            }
        }
        Ok(Err(Report { unmonitored: Some(format!("the compiler refused what was woven {TRIES} times")), ..report }))
    }

    /// Runs rustc and returns its diagnostics. Other JSON messages, such as finished artifacts, are passed on at once, each only once.
    fn rustc(&self, args: &[OsString], told: &mut HashSet<String>) -> io::Result<Outcome> {
        let mut child = command(self.inner().as_ref(), &self.rustc).args(args).stderr(Stdio::piped()).spawn()?;
        let (mut diagnostics, mut other) = (Vec::new(), Vec::new());
        for line in BufReader::new(child.stderr.take().expect("it is piped")).split(b'\n') {
            let line = String::from_utf8_lossy(&line?).into_owned();
            match Diagnostic::read(&line) {
                Some(diagnostic) => diagnostics.push(diagnostic),
                None if line.starts_with('{') => {
                    if told.insert(line.clone()) {
                        print_lines(&[line]);
                    }
                }
                None => other.push(line),
            }
        }
        Ok(Outcome { status: child.wait()?, diagnostics, other })
    }

    /// Compiles the user's own files without weaving. If that fails, prints the errors and returns the status.
    fn users_own_errors(&self) -> io::Result<Option<ExitStatus>> {
        let folder = self.plan.shadows.join(format!("{}-check", self.arguments.unit()));
        fs::create_dir_all(&folder)?;
        let args: Vec<OsString> = self.arguments.check_into(&folder).into_iter().chain(self.libraries()).collect();
        let outcome = self.rustc(&args, &mut HashSet::new());
        let _ = fs::remove_dir_all(&folder);
        let outcome = outcome?;
        if outcome.status.success() {
            return Ok(None);
        }
        for diagnostic in outcome.diagnostics {
            diagnostic.print();
        }
        print_lines(&outcome.other);
        Ok(Some(outcome.status))
    }

    fn plain(&self, more: Vec<OsString>) -> io::Result<ExitStatus> {
        let args: Vec<OsString> = self.arguments.all.iter().cloned().chain(more).collect();
        plainly(self.inner().as_ref(), &self.rustc, &args)
    }

    /// Returns the search paths of the runtime, which every crate needs that depends on a woven crate.
    fn libraries(&self) -> Vec<OsString> {
        let folders = self.plan.runtime.iter().flat_map(|runtime| &runtime.folders);
        let of = |folder: &PathBuf| {
            let mut argument = OsString::from("dependency=");
            argument.push(folder);
            ["-L".into(), argument]
        };
        folders.flat_map(of).collect()
    }

    /// Links the runtime's libraries into the output folder, where doctests search for them, because rustdoc ignores the wrapper. Only
    /// files with our own names are placed there.
    fn lend_libraries(&self) {
        let (Some(runtime), Some(out)) = (&self.plan.runtime, &self.arguments.out_dir) else { return };
        for entry in runtime.folders.iter().filter_map(|folder| fs::read_dir(folder).ok()).flatten().flatten() {
            let (name, path) = (entry.file_name(), entry.path());
            let is_needed = ["libmonitor_", "liblibc-"].iter().any(|start| name.to_string_lossy().starts_with(start));
            let is_library = path.extension().is_some_and(|end| ["rlib", "so", "dylib", "dll"].iter().any(|of| end == *of));
            // The folder may contain a file of the same name from an older runtime.
            let (lent, stamp) = (out.join(&name), |path: &Path| path.metadata().and_then(|data| Ok((data.len(), data.modified()?))).ok());
            if is_needed && is_library && stamp(&path) != stamp(&lent) {
                let new = out.join(format!(".{}-{}", name.to_string_lossy(), std::process::id()));
                let _ = fs::hard_link(&path, &new).or_else(|_| fs::copy(&path, &new).map(drop)).and_then(|()| fs::rename(&new, &lent));
            }
        }
    }

    /// Rewrites the dependency file that cargo reads: it lists the user's own files instead of the woven files, and additionally the rules,
    /// this program and the runtime.
    fn rewrite_dependencies(&self, shadow: Option<&Shadow>) {
        let Some(path) = self.arguments.dependencies() else { return };
        let Ok(text) = fs::read_to_string(&path) else { return };
        let mut more = vec![self.plan.slice(&self.arguments.crate_name)];
        more.extend(std::env::current_exe());
        more.extend(self.plan.runtime.as_ref().map(|runtime| runtime.library.clone()));
        let more = more.iter().fold(String::new(), |text, path| text + " " + &path.to_string_lossy().replace(' ', "\\ "));
        let lines = text.lines().map(|line| {
            let line = shadow.map_or_else(|| line.to_owned(), |shadow| shadow.original(line));
            // Only extend actual rules: comments and rules for possibly deleted files (`file:`) stay unchanged.
            if line.starts_with('#') || line.trim_end().ends_with(':') || line.trim().is_empty() { line } else { line + &more }
        });
        let text: String = lines.flat_map(|line| [line, "\n".to_owned()]).collect();
        let _ = fs::write(&path, text);
    }

    fn save(&self, report: &Report) {
        // A write error is ignored; the next build then finds the same result again.
        let _ = plan::write(&self.report_path(), report);
    }
}

/// Prints a warning for each function that is left out.
fn warn_of(report: &Report) {
    for (key, refusal) in report.refused.iter().filter(|(_, refusal)| refusal.limit == Limit::Out) {
        Diagnostic::warning(&format!("`{}` is not monitored: {}", path_of(key), refusal.why)).print();
    }
}

fn path_of(key: &str) -> &str {
    key.rsplit_once(':').map_or(key, |(path, _)| path)
}

/// Restricts or leaves out the functions that contain the errors; returns `false` if no error is in a function that can be restricted
/// further.
fn refuse(report: &mut Report, files: &[SourceFile], diagnostics: &[Diagnostic], attributes: &Attributes) -> bool {
    let mut refused: BTreeMap<String, Refusal> = BTreeMap::new();
    for diagnostic in diagnostics.iter().filter(|diagnostic| diagnostic.is_error()) {
        let place = diagnostic.places().into_iter().find_map(|(file, line)| function_at(files, &file, line));
        if let Some(function) = place {
            let key = key(function);
            let before = report.refused.get(&key).map(|refusal| refusal.limit);
            let can_be_guarded = before.is_none() && !function.is_async && *attributes == Attributes::Woven;
            let limit = if can_be_guarded { Limit::Guard } else { Limit::Out };
            if before != Some(Limit::Out) {
                refused.insert(key, Refusal { limit, why: diagnostic.message() });
            }
        }
    }
    let is_news = !refused.is_empty();
    report.refused.extend(refused);
    is_news
}

/// Returns the innermost function that contains a line.
fn function_at<'a>(files: &'a [SourceFile], file: &Path, line: usize) -> Option<&'a Function> {
    let file = files.iter().find(|of| of.path == file)?;
    let around =
        file.functions.iter().filter(|function| (function.lines.0..=function.lines.1).contains(&line) && function.obstacle.is_none());
    around.min_by_key(|function| function.lines.1 - function.lines.0)
}

fn digest(files: &[SourceFile]) -> String {
    let mut hasher = Sha256::new();
    for file in files {
        hasher.update(file.path.to_string_lossy().as_bytes());
        hasher.update([0]);
        hasher.update(file.text.as_bytes());
        hasher.update([0]);
    }
    plan::short(&hasher.finalize(), 16)
}

fn print_lines(lines: &[String]) {
    let mut stderr = io::stderr().lock();
    for line in lines {
        let _ = writeln!(stderr, "{line}");
    }
}
