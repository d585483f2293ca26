//! Unix socket for `monitor open`. Each user who may connect gets a link for a browser. The file's permissions decide who may: its owner and the
//! members of its group.

use std::fs::{self, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UnixListener;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::{Access, Deed, How, Role};

/// Time that a client has for its request, and the server for its answer. Clients are served one after the other.
const PATIENCE: Duration = Duration::from_secs(5);
/// Maximum length of a request or an answer in bytes.
const LONGEST: u64 = 4 << 10;

/// Creates the socket, answers clients until the server stops, and removes the socket.
pub(crate) async fn run(path: &Path, access: Arc<Access>, url: Url, stopping: CancellationToken) {
    match bind(path) {
        Ok(listener) => {
            serve(listener, access, url, stopping).await;
            let _ = fs::remove_file(path);
        }
        Err(error) => tracing::warn!(path = %path.display(), %error, "the socket of `open-socket` can't be created"),
    }
}

/// Creates the socket, in place of that of an earlier server.
fn bind(path: &Path) -> io::Result<UnixListener> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => fs::remove_file(path)?,
        Ok(_) => return Err(io::Error::new(io::ErrorKind::AlreadyExists, "the path is a file that is no socket: name another one")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let listener = UnixListener::bind(path)?;
    fs::set_permissions(path, Permissions::from_mode(0o660))?;
    Ok(listener)
}

async fn serve(listener: UnixListener, access: Arc<Access>, url: Url, stopping: CancellationToken) {
    while let Some(accepted) = stopping.run_until_cancelled(listener.accept()).await {
        let stream = match accepted.and_then(|(stream, _)| stream.into_std()) {
            Ok(stream) => stream,
            Err(error) => {
                tracing::warn!(%error, "a client of `open-socket` could not be accepted");
                tokio::time::sleep(PATIENCE).await;
                continue;
            }
        };
        let (access, url) = (access.clone(), url.clone());
        let answered = tokio::task::spawn_blocking(move || answer(stream, &access, &url)).await;
        if let Ok(Err(error)) = answered {
            tracing::debug!(%error, "a client of `open-socket` got no answer");
        }
    }
}

/// Reads the name of a role, and writes two lines: the URL of the server and the secret of the link.
fn answer(mut stream: UnixStream, access: &Access, url: &Url) -> io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut role = String::new();
    (&stream).take(LONGEST).read_to_string(&mut role)?;
    let Some(role) = [Role::Viewer, Role::Operator].into_iter().find(|known| known.as_str() == role) else {
        return Err(io::Error::other("the socket gives the roles viewer and operator"));
    };
    let link = access.create_link(role).map_err(io::Error::other)?;
    let action = format!("open --role {}", role.as_str());
    let deed = Deed { who: "open-socket", how: How::Loopback, address: None, action: &action, outcome: "done" };
    access.record(&deed).map_err(io::Error::other)?;
    writeln!(stream, "{url}\n{link}")
}

/// Requests a link from the socket of a server. Returns the URL of the server and the secret of the link.
///
/// # Errors
/// Returns an error if the user may not connect, or the server does not answer.
pub fn request_link(socket: &Path, role: Role) -> io::Result<(Url, String)> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PATIENCE * 2))?;
    stream.write_all(role.as_str().as_bytes())?;
    stream.shutdown(std::net::Shutdown::Write)?;
    let mut answer = String::new();
    stream.take(LONGEST).read_to_string(&mut answer)?;
    let parts = answer.trim_end().split_once('\n').and_then(|(url, link)| Some((url.parse().ok()?, link.to_owned())));
    parts.ok_or_else(|| io::Error::other(format!("the server gave no link for the role {}", role.as_str())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_socket_gives_links_without_the_rights_of_an_admin() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("open.sock");
        let access = Arc::new(Access::open(folder.path()).unwrap());
        // A file is kept, even if the setting names it by mistake.
        let other = folder.path().join("other");
        fs::write(&other, "text").unwrap();
        assert!(bind(&other).unwrap_err().to_string().contains("no socket") && fs::read(&other).unwrap() == b"text");
        // A server that was killed leaves its file.
        drop(bind(&path).unwrap());
        let (listener, stopping) = (bind(&path).unwrap(), CancellationToken::new());
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
        let url: Url = "http://127.0.0.1:1/".parse().unwrap();
        let serving = tokio::spawn(serve(listener, access.clone(), url.clone(), stopping.clone()));
        let request = |role| {
            let path = path.clone();
            tokio::task::spawn_blocking(move || request_link(&path, role))
        };
        for role in [Role::Viewer, Role::Operator] {
            let (server, link) = request(role).await.unwrap().unwrap();
            assert_eq!(server, url);
            assert!(access.take_link(&link, Duration::from_secs(60)).unwrap().is_some(), "{role:?}");
        }
        assert!(request(Role::Admin).await.unwrap().is_err());
        stopping.cancel();
        serving.await.unwrap();
    }
}
