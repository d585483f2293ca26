//! The agent's Unix socket for publishing. Two kinds of runs use it: runs of another user, who may not open the agent's database, and runs that
//! publish to a target whose secrets only the agent can read.
//!
//! The kernel reports the user of each connection (`SO_PEERCRED`). A user can publish only for runs of the same user, only while they run, and
//! only files in the publish folder of the run's task. Root can publish for every run. The number of connections per user is limited, so that
//! no user can prevent others from publishing.

use std::collections::HashMap;
use std::fs;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use monitor_runs::KNOWN_ACCOUNTS;
use monitor_wire::BatchPublication;
use nix::unistd::{Uid, geteuid};
use serde::{Deserialize, Serialize};

use crate::data::Database;
use crate::publication::PublishError;
use crate::publish;

/// Maximum size of a request in bytes.
const LONGEST: u64 = 4 << 10;
/// Maximum size of an answer in bytes.
const LONGEST_ANSWER: u64 = 64 << 10;
/// Timeout of each single read or write of the agent on a connection.
const PATIENCE: Duration = Duration::from_secs(10);
/// Maximum number of open connections per user.
const MOST_OF_USER: usize = 16;
/// Maximum number of open connections of all users.
const MOST: usize = 256;
/// Maximum time that `monitor publish` retries while its user has too many connections.
const BUSY: Duration = Duration::from_secs(60);
/// Maximum time that `monitor publish` waits for an agent that is restarting.
const RESTART: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(100);

/// A request to publish the files of a run.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    run: String,
    target: String,
}

/// The agent's reply to a request.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Reply {
    Done(Box<BatchPublication>),
    Refused(String),
    /// Too many connections are open. The request was not read.
    Busy(String),
}

/// Returns the path of an agent's socket. It is in the folder above the task folders, because the user of a task may enter this folder.
pub(crate) fn path(home: &Path, agent: &str) -> PathBuf {
    home.join(format!(".agent-{}.sock", agent.replace('/', "_")))
}

/// Asks the agent to publish the files of a run to a target of its task.
///
/// # Errors
/// Returns an error if the agent doesn't answer, refuses the request, or ends before it replies.
pub fn publish_by(socket: &Path, run: &str, target: &str) -> io::Result<BatchPublication> {
    let begun = Instant::now();
    loop {
        match try_publish(socket, run, target)? {
            Reply::Done(done) => return Ok(*done),
            Reply::Busy(_) if begun.elapsed() < BUSY => std::thread::sleep(LOOK),
            Reply::Refused(why) | Reply::Busy(why) => return Err(io::Error::other(why)),
        }
    }
}

fn try_publish(socket: &Path, run: &str, target: &str) -> io::Result<Reply> {
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
    // A busy agent replies and closes the connection without reading the request. Writing may then fail, but the reply can still be read.
    let _ = stream.write_all(&request);
    let mut answer = Vec::new();
    let _ = stream.take(LONGEST_ANSWER).read_to_end(&mut answer);
    let ended = |_| io::Error::other("the agent ended meanwhile: `monitor task publications` shows what became of it");
    serde_json::from_slice(&answer).map_err(ended)
}

/// Serves the requests at the socket.
#[derive(Debug, Clone)]
pub(crate) struct Publisher {
    pub(crate) agent: String,
    pub(crate) data: PathBuf,
    pub(crate) home: PathBuf,
}

impl Publisher {
    /// Starts to listen. If that fails, logs a warning; the agent works without the socket.
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
        let open = Connections::default();
        for stream in listener.incoming() {
            let Ok(stream) = stream else {
                std::thread::sleep(LOOK);
                continue;
            };
            let timeouts = stream.set_read_timeout(Some(PATIENCE)).and_then(|()| stream.set_write_timeout(Some(PATIENCE)));
            let (Ok(()), Ok(peer)) = (timeouts, rustix::net::sockopt::socket_peercred(&stream)) else { continue };
            let peer = Uid::from_raw(peer.uid.as_raw());
            let counted = match open.add(peer) {
                Ok(counted) => counted,
                Err(why) => {
                    answer(&stream, &Reply::Busy(why));
                    continue;
                }
            };
            let this = self.clone();
            let work = move || {
                let _counted = counted;
                let reply = this.publish(&stream, peer).map_or_else(Reply::Refused, |done| Reply::Done(Box::new(done)));
                answer(&stream, &reply);
            };
            if let Err(error) = std::thread::Builder::new().spawn(work) {
                tracing::warn!(%error, "a request to publish was dropped: no thread can be started");
            }
        }
    }

    fn publish(&self, stream: &UnixStream, peer: Uid) -> Result<BatchPublication, String> {
        let words = |error: io::Error| format!("the request can't be read: {error}");
        let mut line = Vec::new();
        BufReader::new(stream.take(LONGEST)).read_until(b'\n', &mut line).map_err(words)?;
        let request: Request = serde_json::from_slice(&line).map_err(|error| words(error.into()))?;
        let told = |error: PublishError| error.to_string();
        let mut database = Database::existing(&self.data).map_err(|error| error.to_string())?;
        let (task, user) = database.running(&request.run).map_err(told)?;
        let uid = match &user {
            None => geteuid(),
            Some(name) => {
                publish::user(name).map(|user| user.uid).ok_or_else(|| format!("there is no user {name:?} any more{KNOWN_ACCOUNTS}"))?
            }
        };
        if ![uid, Uid::from_raw(0)].contains(&peer) {
            return Err(format!("{} belongs to another user, who alone may publish for it", request.run));
        }
        let files = publish::folder(&self.home, &task).join("publish");
        Ok(database.publish(&request.run, &request.target, &files).map_err(told)?.told(&self.agent))
    }
}

fn answer(mut stream: &UnixStream, reply: &Reply) {
    let text = serde_json::to_vec(reply).unwrap_or_default();
    if let Err(error) = stream.write_all(&text) {
        tracing::debug!(%error, "a request to publish could not be answered");
    }
}

/// Number of open connections by user.
#[derive(Debug, Clone, Default)]
struct Connections(Arc<Mutex<HashMap<Uid, usize>>>);

impl Connections {
    /// Counts a connection until the returned value is dropped.
    ///
    /// # Errors
    /// Returns the reason if the user, or all users together, have too many connections.
    fn add(&self, user: Uid) -> Result<Counted, String> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.get(&user).is_some_and(|count| *count >= MOST_OF_USER) {
            return Err(format!(
                "the user {user} has {MOST_OF_USER} connections to the agent, which is all that is allowed: try again later"
            ));
        }
        if counts.values().sum::<usize>() >= MOST {
            return Err(format!("the agent has {MOST} connections, which is all that is allowed: try again later"));
        }
        *counts.entry(user).or_default() += 1;
        Ok(Counted { connections: self.clone(), user })
    }
}

/// A counted connection. Dropping it ends the count.
struct Counted {
    connections: Connections,
    user: Uid,
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut counts = self.connections.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.user) {
            *count -= 1;
        }
        counts.retain(|_, count| *count > 0);
    }
}

/// Listens at a path. Removes the socket file of an earlier agent first.
fn listen(path: &Path) -> io::Result<UnixListener> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    fs::create_dir_all(path.parent().unwrap_or(Path::new("/")))?;
    let listener = UnixListener::bind(path)?;
    // Every user may connect. The kernel identifies the user.
    fs::set_permissions(path, fs::Permissions::from_mode(0o666))?;
    Ok(listener)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn publishing_is_tried_again_while_its_user_has_too_many_connections() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("agent.sock");
        let listener = listen(&path).unwrap();
        let publisher = Publisher { agent: "a".to_owned(), data: folder.path().join("none"), home: folder.path().to_owned() };
        std::thread::spawn(move || publisher.serve(&listener));
        // The agent closes connections that send nothing for 10 seconds.
        let idle: Vec<UnixStream> = (0..MOST_OF_USER).map(|_| UnixStream::connect(&path).unwrap()).collect();
        let mut answer = String::new();
        UnixStream::connect(&path).unwrap().read_to_string(&mut answer).unwrap();
        assert!(answer.contains("busy") && answer.contains("16 connections"), "{answer}");
        let error = publish_by(&path, "gold@20261121T023000Z.1", "prod").unwrap_err().to_string();
        assert!(!error.contains("connections") && !error.contains("ended meanwhile"), "{error}");
        drop(idle);
    }

    #[test]
    fn users_are_limited_apart_from_each_other() {
        let open = Connections::default();
        let counted: Vec<_> = (0..MOST_OF_USER).map(|_| open.add(Uid::from_raw(1)).unwrap()).collect();
        assert!(open.add(Uid::from_raw(1)).is_err() && open.add(Uid::from_raw(2)).is_ok());
        drop(counted);
        assert!(open.add(Uid::from_raw(1)).is_ok() && open.0.lock().unwrap().is_empty());
    }
}
