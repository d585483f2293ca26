//! `monitor report`, and the report that `monitor run --report` writes.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Write as _};
use std::net::TcpStream;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Context as _;
use monitor_api::ExportFormat;
use monitor_server::report::{DEFAULT_BYTES, Offline, Options, Redaction};
use tempfile::{NamedTempFile, TempDir};
use url::Url;

use super::conclusion::Ending;
use crate::client::{Connection, read_url};
use crate::exit;
use crate::text::{bytes, counted, now_us, visible};

const EXAMPLES: &str = "\
Examples:
  MONITOR_SPOOL_DIR=/tmp/spool MONITOR_ENABLED=1 ./batch
  monitor report /tmp/spool -o run.html
  monitor run --report run.html -- make        Record a command and write its report

The spool is left unchanged. It has the records that no server has stored yet, so use a folder of its own and no server, as above. Without \
`MONITOR_SPOOL_DIR`, the spool is monitor/spool in the user's state folder, usually ~/.local/state. `monitor export --format html` writes \
the same file for a run that a server has stored.";

/// Maximum time until the server accepts a connection.
const PATIENCE: Duration = Duration::from_secs(2);

/// Address of no server: programs can't listen on port 0. Records stay in the spool.
pub(super) const NOWHERE: &str = "http://127.0.0.1:0";

/// Write one HTML file from the records in a spool
#[derive(Debug, clap::Args)]
#[command(after_help = format!("{EXAMPLES}\n\n{}", exit::LOCAL))]
pub(crate) struct Args {
    /// Folder of the spool
    spool: PathBuf,
    /// File to write; an existing one is replaced
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    #[command(flatten)]
    contents: Contents,
}

/// Contents of a report.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct Contents {
    /// In an HTML file: omit log lines and fields, such as arguments, of processes whose name matches; `*` and `{a,b}` mean the same as in a
    /// shell. Can be given up to 100 times
    #[arg(long, value_name = "GLOB")]
    pub(crate) redact: Vec<Redaction>,
    /// Maximum size of an HTML file, without the code of the page; log lines are omitted until it fits [default: 20M]
    #[arg(long, value_name = "BYTES", value_parser = super::run::bytes)]
    pub(crate) report_bytes: Option<u64>,
}

impl Contents {
    pub(crate) fn options(&self) -> anyhow::Result<Options> {
        let max_bytes = self.report_bytes.map_or(DEFAULT_BYTES, |bytes| usize::try_from(bytes).unwrap_or(usize::MAX));
        Options::new(self.redact.clone(), max_bytes, now_us()).map_err(|error| exit::Misused(format!("--redact: {error}")).into())
    }

    fn words(&self) -> Vec<OsString> {
        let redact = self.redact.iter().map(|names| format!("--redact={}", names.as_str()).into());
        let bytes = self.report_bytes.iter().flat_map(|bytes| ["--report-bytes".into(), bytes.to_string().into()]);
        redact.chain(bytes).collect()
    }
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    args.contents.options()?;
    let length = Recorded::read(&args.spool, None)?.write(&args.output, &args.contents)?;
    writeln!(anstream::stderr(), "{} in {}", bytes(length), visible(&args.output.display().to_string()))?;
    Ok(())
}

/// Records of a spool, in a temporary database.
pub(super) struct Recorded {
    pub(super) offline: Offline,
    _folder: TempDir,
}

impl Recorded {
    /// Reads a spool, which stays as it is. If `main` is given, the process with this id began the tree of the report.
    pub(super) fn read(spool: &Path, main: Option<u32>) -> anyhow::Result<Self> {
        let folder = TempDir::with_prefix("monitor-report-").context("could not make a folder for the database")?;
        let (copy, database) = (folder.path().join("spool"), folder.path().join("data"));
        copy_folder(spool, &copy).with_context(|| format!("could not read the spool {}", spool.display()))?;
        fs::create_dir(&database)?;
        Ok(Self { offline: Offline::read(&copy, &database, main)?, _folder: folder })
    }

    /// Writes the report. Returns its size in bytes.
    pub(super) fn write(&self, output: &Path, contents: &Contents) -> anyhow::Result<u64> {
        let html = self.offline.report(&contents.options()?)?;
        write_whole(output, html.as_bytes())?;
        if self.offline.living() > 0 {
            let _ = writeln!(
                anstream::stderr(),
                "{} still recorded and is not in the report",
                counted(self.offline.living() as u64, "program")
            );
        }
        Ok(html.len() as u64)
    }
}

/// Writes the report of trees that a server has. The first one is shown first.
pub(super) fn write_exported(connection: &Connection, roots: &[String], output: &Path, contents: &Contents) -> anyhow::Result<()> {
    let (first, others) = roots.split_first().context("nothing was recorded")?;
    let call = with(connection.client()?.export(first, ExportFormat::Html), None, contents);
    let call = if others.is_empty() { call } else { call.parameter("with", &others.join(",")) };
    let mut html = Vec::new();
    connection.download(call, &mut html)?;
    write_whole(output, &html)
}

/// Adds the parameters of an HTML file.
pub(crate) fn with(
    call: monitor_api::Call<monitor_api::Download>,
    compare: Option<&str>,
    contents: &Contents,
) -> monitor_api::Call<monitor_api::Download> {
    let bytes = contents.report_bytes.map(|bytes| bytes.to_string());
    let redact = contents.redact.iter().map(|names| ("redact", names.as_str()));
    let given = [("compare", compare), ("bytes", bytes.as_deref())].into_iter().filter_map(|(name, value)| Some((name, value?)));
    given.chain(redact).fold(call, |call, (name, value)| call.add_parameter(name, value))
}

/// Replaces a file atomically.
fn write_whole(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    check_regular(path)?;
    let write = || {
        let mut file = tempfile::Builder::new().prefix(".monitor-report-").permissions(mode()).tempfile_in(folder)?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        NamedTempFile::persist(file, path).map_err(|error| error.error)
    };
    write().with_context(|| format!("could not write {}", path.display()))?;
    Ok(())
}

/// Returns an error if the path is that of a device, a pipe or a folder, which a report must not replace.
fn check_regular(path: &Path) -> anyhow::Result<()> {
    let is_replaceable = fs::metadata(path).map_or(true, |found| found.is_file());
    anyhow::ensure!(is_replaceable, "{} is not a regular file: name a file to create or replace", path.display());
    Ok(())
}

/// Permissions before the umask, as of any created file.
fn mode() -> fs::Permissions {
    std::os::unix::fs::PermissionsExt::from_mode(0o666)
}

/// Copies files and folders. Links, sockets and devices are skipped.
fn copy_folder(from: &Path, to: &Path) -> io::Result<()> {
    std::os::unix::fs::DirBuilderExt::mode(&mut fs::DirBuilder::new(), 0o700).create(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (kind, to) = (entry.file_type()?, to.join(entry.file_name()));
        if kind.is_dir() {
            copy_folder(&entry.path(), &to)?;
        } else if kind.is_file() {
            fs::copy(entry.path(), to)?;
        }
    }
    Ok(())
}

/// A report that is written when the run has ended.
#[derive(Debug)]
pub(crate) struct Wanted {
    file: PathBuf,
    contents: Contents,
    place: Place,
}

/// Place where the run is recorded.
#[derive(Debug)]
enum Place {
    Server(Url),
    /// A temporary folder, because no server accepts a connection.
    Folder(PathBuf),
}

impl Wanted {
    /// Removes an earlier report, and chooses where the run is recorded: at the server if it accepts a connection, otherwise in a temporary
    /// folder.
    ///
    /// # Errors
    /// When the file or the folder can't be created, or there are too many patterns.
    pub(crate) fn begin(file: &Path, contents: Contents, server: Option<Url>) -> anyhow::Result<Self> {
        contents.options()?;
        let file = std::path::absolute(file)?;
        let place = file.parent().filter(|folder| folder.is_dir());
        anyhow::ensure!(place.is_some() && !file.is_dir(), "--report {}: there is no folder for the file", file.display());
        check_regular(&file).context("--report")?;
        // Otherwise a launcher that is killed would leave the report of an earlier run.
        match fs::remove_file(&file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(error).context(format!("--report: could not remove {}", file.display()));
            }
            _ => {}
        }
        let configured = || std::env::var("MONITOR_SERVER_URL").ok().filter(|url| !url.trim().is_empty());
        let named = server.or_else(|| read_url(configured().as_deref().unwrap_or(monitor_api::DEFAULT_URL)).ok());
        if let Some(server) = named.filter(is_reached) {
            return Ok(Self { file, contents, place: Place::Server(server) });
        }
        let folder = TempDir::with_prefix("monitor-run-").context("--report: could not create a folder for the records")?.keep();
        Ok(Self { file, contents, place: Place::Folder(folder) })
    }

    /// Returns the address that the run sends its records to.
    pub(crate) fn server(&self) -> &str {
        match &self.place {
            Place::Server(server) => server.as_str(),
            Place::Folder(_) => NOWHERE,
        }
    }

    /// Returns the spool that the run records in, unless it is the configured one.
    pub(crate) fn spool(&self) -> Option<PathBuf> {
        match &self.place {
            Place::Server(_) => None,
            Place::Folder(folder) => Some(spool_of(folder)),
        }
    }

    /// Writes the report of a run that has ended, whose tree is `root`. Without a server, executes `monitor after-run` in place of this program,
    /// which writes the report and the conclusion and exits with `code`: the records of a program can be claimed only after it has been
    /// replaced or has ended.
    ///
    /// # Errors
    /// When the report can't be written, or the other program can't be executed.
    pub(crate) fn write(self, root: Option<String>, code: u8, ending: &Ending, summary: Option<OsString>) -> anyhow::Result<()> {
        match self.place {
            Place::Server(server) => {
                write_exported(&Connection::to(server), &root.into_iter().collect::<Vec<_>>(), &self.file, &self.contents)
            }
            Place::Folder(folder) => {
                let mut monitor = Command::new(std::env::current_exe()?);
                monitor.arg("after-run").arg("--output").arg(self.file).arg("--folder").arg(folder);
                monitor.args(["--exit-code", &code.to_string()]).args(self.contents.words()).args(ending.words());
                Err(monitor.args(summary.map(|file| ["--summary".into(), file]).into_iter().flatten()).exec().into())
            }
        }
    }

    /// Removes the temporary folder.
    pub(crate) fn give_up(self) {
        if let Place::Folder(folder) = self.place {
            let _ = fs::remove_dir_all(folder);
        }
    }
}

/// Returns the spool in a temporary folder.
pub(super) fn spool_of(folder: &Path) -> PathBuf {
    folder.join("spool")
}

/// Returns true if the server's address accepts a connection. Starts no thread, because the launcher forks afterwards.
fn is_reached(server: &Url) -> bool {
    let address = server.host_str().zip(server.port_or_known_default());
    let addresses = address.and_then(|(host, port)| monitor_http::addresses(host, port).ok());
    addresses.into_iter().flatten().any(|address| TcpStream::connect_timeout(&address, PATIENCE).is_ok())
}
