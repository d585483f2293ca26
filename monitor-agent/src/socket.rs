//! The agent's Unix socket, over which a run has the agent publish: one that runs as another user, who may not open the agent's database, and
//! one whose target wants secrets that only the agent has. Whoever calls is known by the kernel's word (`SO_PEERCRED`), and may publish for runs
//! of the same user alone, as long as they run, and nothing but what lies in their own folder.

use std::fs;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use monitor_wire::BatchPublication;
use nix::unistd::{Uid, geteuid};
use serde::{Deserialize, Serialize};

use crate::data::Database;
use crate::publication::PublishError;
use crate::publish;

/// A request has no more bytes.
const LONGEST: u64 = 4 << 10;
/// An answer has no more bytes.
const LONGEST_ANSWER: u64 = 64 << 10;
/// Whoever calls has so long to say what it wants.
const PATIENCE: Duration = Duration::from_secs(10);
/// So many publish at the same time.
const MOST: usize = 32;
/// An agent that is being restarted is waited for.
const RESTART: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(100);

/// What a run asks for.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    run: String,
    target: String,
}

/// What became of it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Reply {
    Done(Box<BatchPublication>),
    Refused(String),
}

/// The socket of an agent, in the folder above the tasks' own: the user of a task may enter it.
pub(crate) fn path(home: &Path, agent: &str) -> PathBuf {
    home.join(format!(".agent-{}.sock", agent.replace('/', "_")))
}

/// Publishes the files of a run to a target of its task, by way of the agent.
///
/// # Errors
/// When the agent is not there, refuses, or ends meanwhile.
pub fn publish_by(socket: &Path, run: &str, target: &str) -> io::Result<BatchPublication> {
    let begun = Instant::now();
    let mut stream = loop {
        match UnixStream::connect(socket) {
            Ok(stream) => break stream,
            Err(_) if begun.elapsed() < RESTART => std::thread::sleep(LOOK),
            Err(error) => return Err(io::Error::new(error.kind(), format!("the agent does not answer at {}: {error}", socket.display()))),
        }
    };
    let mut request = serde_json::to_vec(&Request { run: run.to_owned(), target: target.to_owned() })?;
    request.push(b'\n');
    stream.write_all(&request)?;
    let mut answer = Vec::new();
    stream.take(LONGEST_ANSWER).read_to_end(&mut answer)?;
    match serde_json::from_slice(&answer) {
        Ok(Reply::Done(done)) => Ok(*done),
        Ok(Reply::Refused(why)) => Err(io::Error::other(why)),
        Err(_) => Err(io::Error::other("the agent ended meanwhile: `monitor task publications` shows what became of it")),
    }
}

/// What answers at the socket.
#[derive(Debug, Clone)]
pub(crate) struct Publisher {
    pub(crate) agent: String,
    pub(crate) data: PathBuf,
    pub(crate) home: PathBuf,
}

impl Publisher {
    /// Begins to listen. An agent that can't is of use all the same.
    pub(crate) fn start(self) {
        let path = path(&self.home, &self.agent);
        let bound = listen(&path).and_then(|listener| {
            let serve = move || self.serve(&listener);
            std::thread::Builder::new().name("publisher".to_owned()).spawn(serve)
        });
        if let Err(error) = bound {
            tracing::warn!(socket = %path.display(), %error, "runs of other users, and those for S3, can't publish: the agent can't listen");
        }
    }

    fn serve(&self, listener: &UnixListener) {
        static OPEN: AtomicUsize = AtomicUsize::new(0);
        for stream in listener.incoming() {
            let Ok(stream) = stream else {
                std::thread::sleep(LOOK);
                continue;
            };
            let this = self.clone();
            let work = move || {
                this.answer(&stream);
                OPEN.fetch_sub(1, Ordering::Relaxed);
            };
            // Whoever is one too many is told by the end of its connection.
            if OPEN.fetch_add(1, Ordering::Relaxed) >= MOST || std::thread::Builder::new().spawn(work).is_err() {
                OPEN.fetch_sub(1, Ordering::Relaxed);
            }
        }
    }

    fn answer(&self, mut stream: &UnixStream) {
        let reply = match self.publish(stream) {
            Ok(done) => Reply::Done(Box::new(done)),
            Err(why) => Reply::Refused(why),
        };
        let text = serde_json::to_vec(&reply).unwrap_or_default();
        if let Err(error) = stream.write_all(&text) {
            tracing::debug!(%error, "whoever asked to publish has gone");
        }
    }

    fn publish(&self, stream: &UnixStream) -> Result<BatchPublication, String> {
        let words = |error: io::Error| format!("the request can't be read: {error}");
        let peer = rustix::net::sockopt::socket_peercred(stream).map_err(|error| words(error.into()))?;
        stream.set_read_timeout(Some(PATIENCE)).map_err(words)?;
        stream.set_write_timeout(Some(PATIENCE)).map_err(words)?;
        let mut line = Vec::new();
        BufReader::new(stream.take(LONGEST)).read_until(b'\n', &mut line).map_err(words)?;
        let request: Request = serde_json::from_slice(&line).map_err(|error| words(error.into()))?;
        let told = |error: PublishError| error.to_string();
        let mut database = Database::existing(&self.data).map_err(|error| error.to_string())?;
        let (task, user) = database.running(&request.run).map_err(told)?;
        let uid = match &user {
            None => geteuid(),
            Some(name) => publish::user(name).map(|user| user.uid).ok_or_else(|| format!("there is no user {name:?} any more"))?,
        };
        if ![uid, Uid::from_raw(0)].contains(&Uid::from_raw(peer.uid.as_raw())) {
            return Err(format!("{} belongs to another user, who alone may publish for it", request.run));
        }
        let files = publish::folder(&self.home, &task).join("publish");
        Ok(database.publish(&request.run, &request.target, &files).map_err(told)?.told(&self.agent))
    }
}

/// Listens at a path, at which an agent that has ended may have listened.
fn listen(path: &Path) -> io::Result<UnixListener> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    fs::create_dir_all(path.parent().unwrap_or(Path::new("/")))?;
    let listener = UnixListener::bind(path)?;
    // Anybody may call; who it is the kernel says.
    fs::set_permissions(path, fs::Permissions::from_mode(0o666))?;
    Ok(listener)
}
