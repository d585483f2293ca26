//! Copies output from the command to where it goes, on a thread of its own for each stream, and shows it to a [`Sink`].

use std::os::fd::OwnedFd;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;

use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::io::Errno;
use rustix::pipe::{SpliceFlags, splice};

use crate::helper::write_all;
use crate::lines::Sink;
use crate::outcome::RunError;
use crate::streams::Pump;

const AT_ONCE: usize = 256 << 10;

/// A stream that is copied.
#[derive(Debug)]
pub(crate) struct Pumping {
    wake: Arc<OwnedFd>,
    asks: mpsc::Sender<Drain>,
    thread: JoinHandle<()>,
}

/// Asks for all that is there now.
struct Drain {
    /// Told whether nobody can write any more.
    done: mpsc::Sender<bool>,
}

impl Pumping {
    /// `closed` is called when nobody reads any more at the other end.
    pub(crate) fn start(pump: Pump, sink: Sink, closed: impl FnOnce() + Send + 'static) -> Result<Self, RunError> {
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
            .map_err(|error| RunError::system("start copying output")(error.into()))?;
        let wake = Arc::new(wake);
        let (asks, receive) = mpsc::channel();
        let name = format!("monitor-{}", pump.name);
        let run = {
            let wake = wake.clone();
            move || run(pump, sink, &wake, &receive, closed)
        };
        let thread = std::thread::Builder::new().name(name).spawn(run).map_err(RunError::system("start copying output"))?;
        Ok(Self { wake, asks, thread })
    }

    /// Asks for all that is there to be copied; the answer says whether nobody can write any more.
    pub(crate) fn drain(&self) -> mpsc::Receiver<bool> {
        let (done, answer) = mpsc::channel();
        let _ = self.asks.send(Drain { done });
        let _ = rustix::io::write(&self.wake, &1_u64.to_ne_bytes());
        answer
    }

    /// The end.
    pub(crate) fn stop(self) {
        drop(self.asks);
        let _ = rustix::io::write(&self.wake, &1_u64.to_ne_bytes());
        let _ = self.thread.join();
    }
}

/// What came of trying to copy.
enum Step {
    Copied,
    /// Nothing is there.
    Empty,
    /// Nobody can write any more.
    Over,
    /// Nobody reads any more.
    Closed,
}

fn run(pump: Pump, mut sink: Sink, wake: &OwnedFd, asks: &mpsc::Receiver<Drain>, closed: impl FnOnce()) {
    let mut buffer = vec![0; AT_ONCE];
    let mut can_splice = true;
    let mut waiting: Option<Drain> = None;
    let (mut pump, mut closed) = (Some(pump), Some(closed));
    loop {
        match pump.as_ref().map_or(Step::Over, |pump| step(pump, &mut sink, &mut buffer, &mut can_splice)) {
            Step::Copied => continue,
            Step::Empty => {}
            Step::Over => pump = None,
            Step::Closed => {
                // Whoever writes is to see that nobody reads.
                pump = None;
                if let Some(closed) = closed.take() {
                    closed();
                }
            }
        }
        if let Some(Drain { done }) = waiting.take() {
            sink.finish();
            let _ = done.send(pump.is_none());
        }
        let mut files = vec![PollFd::new(wake, PollFlags::IN)];
        files.extend(pump.as_ref().map(|pump| PollFd::new(&pump.from, PollFlags::IN)));
        let _ = poll(&mut files, None);
        let _ = rustix::io::read(wake, &mut [0_u8; 8][..]);
        match asks.try_recv() {
            Ok(drain) => waiting = Some(drain),
            Err(mpsc::TryRecvError::Empty) => {}
            Err(mpsc::TryRecvError::Disconnected) => return,
        }
    }
}

fn step(pump: &Pump, sink: &mut Sink, buffer: &mut [u8], can_splice: &mut bool) -> Step {
    if *can_splice && sink.is_idle() {
        match splice(&pump.from, None, &pump.to, None, 1 << 20, SpliceFlags::NONBLOCK | SpliceFlags::MOVE) {
            Ok(0) => return Step::Over,
            Ok(length) => {
                sink.pass(length as u64);
                return Step::Copied;
            }
            // One of both: is it the other end that has no room?
            Err(Errno::AGAIN) => {
                let mut files = [PollFd::new(&pump.from, PollFlags::IN)];
                let is_empty = poll(&mut files, Some(&rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 })).is_ok_and(|ready| ready == 0);
                if is_empty {
                    return Step::Empty;
                }
                let _ = poll(&mut [PollFd::new(&pump.to, PollFlags::OUT)], None);
                return Step::Copied;
            }
            Err(Errno::INTR) => return Step::Copied,
            Err(Errno::PIPE) => return Step::Closed,
            // Not everything can be spliced to.
            Err(_) => *can_splice = false,
        }
    }
    match rustix::io::read(&pump.from, &mut *buffer) {
        // What a pseudo-terminal says when nobody has its other end.
        Ok(0) | Err(Errno::IO) => Step::Over,
        Ok(length) => {
            let written = write_all(&pump.to, &buffer[..length]);
            sink.feed(&buffer[..length]);
            if written.is_ok() { Step::Copied } else { Step::Closed }
        }
        Err(Errno::AGAIN) => Step::Empty,
        Err(Errno::INTR) => Step::Copied,
        Err(_) => Step::Over,
    }
}
