//! Size of the program, and the time until its server answers.

use std::fmt;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

/// Number of starts. The fastest one counts, because other programs may use the machine.
const STARTS: usize = 5;
const LIMIT: Duration = Duration::from_secs(20);

pub(super) struct Measured {
    pub(super) bytes: u64,
    pub(super) first_answer_ms: f64,
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = self.bytes as f64 / f64::from(1 << 20);
        write!(f, "{mib:.1} MiB, first answer of the server after {:.0} ms (the fastest of {STARTS} starts)", self.first_answer_ms)
    }
}

pub(super) fn measure(program: &Path) -> Result<Measured> {
    let mut first_answer_ms = f64::MAX;
    for _ in 0..STARTS {
        first_answer_ms = first_answer_ms.min(first_answer(program)?.as_secs_f64() * 1e3);
    }
    Ok(Measured { bytes: program.metadata()?.len(), first_answer_ms })
}

/// Starts the server on an empty data folder, and returns the time until it has sent the page.
pub(super) fn first_answer(program: &Path) -> Result<Duration> {
    let data = std::env::temp_dir().join(format!("monitor-measure-{}", std::process::id()));
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
    let mut server = Command::new(program);
    server.args(["server", "--agent", "off", "--spool-dir", "off", "--listen", &format!("127.0.0.1:{port}"), "--data"]).arg(&data);
    let begin = Instant::now();
    let mut child = server.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let answer = loop {
        if let Some(page) = page(port).filter(|page| page.starts_with("HTTP/1.1 200")) {
            break Some((begin.elapsed(), page));
        }
        if begin.elapsed() > LIMIT {
            break None;
        }
        std::thread::sleep(Duration::from_millis(1));
    };
    child.kill()?;
    child.wait()?;
    let _ = fs::remove_dir_all(&data);
    let (took, page) = answer.with_context(|| format!("the server has not answered within {LIMIT:?}"))?;
    ensure!(page.contains("id=\"root\""), "the program contains no page, see the warnings of its build");
    Ok(took)
}

fn page(port: u16) -> Option<String> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok()?;
    write!(stream, "GET /tasks HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n").ok()?;
    let mut page = String::new();
    stream.read_to_string(&mut page).ok()?;
    Some(page)
}
