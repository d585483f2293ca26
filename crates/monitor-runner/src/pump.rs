//! Copies output from the command to its destination, on one thread per stream, and passes it to a [`Sink`].

use std::io::{self, PipeReader, PipeWriter, Read};
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use monitor_runs::RunError;
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::io::Errno;
use rustix::pipe::{SpliceFlags, fcntl_setpipe_size, splice, tee};

use crate::sink::Sink;
use crate::streams::Pump;

const AT_ONCE: usize = 64 << 10;
const SPLICE: SpliceFlags = SpliceFlags::NONBLOCK.union(SpliceFlags::MOVE);
/// Size of both pipes once output is only passed on, in bytes.
const WIDE: usize = 1 << 20;
/// If this many bytes have passed since the last wait, the thread sleeps for `GATHERING` before it copies more, so that it wakes less
/// often.
const FLOOD: usize = 64 << 10;
const GATHERING: Duration = Duration::from_micros(150);

/// A stream that is being copied.
#[derive(Debug)]
pub(crate) struct Pumping {
    wake: Arc<OwnedFd>,
    asks: mpsc::Sender<Order>,
    thread: JoinHandle<()>,
}

/// Orders to the copying thread.
enum Order {
    /// Copy everything that is available, then reply true if no process can write any more.
    Drain(mpsc::Sender<bool>),
    /// Stop copying and close both ends.
    Close,
}

impl Pumping {
    /// Starts copying. `closed` is called when the reader of the destination has closed it.
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

    /// Orders that everything available is copied. The reply is true if no process can write any more.
    pub(crate) fn drain(&self) -> mpsc::Receiver<bool> {
        let (done, answer) = mpsc::channel();
        self.order(Order::Drain(done));
        answer
    }

    /// Stops copying and closes both ends.
    pub(crate) fn close(&self) {
        self.order(Order::Close);
    }

    fn order(&self, order: Order) {
        let _ = self.asks.send(order);
        let _ = rustix::io::write(&self.wake, &1_u64.to_ne_bytes());
    }

    /// Stops copying and waits for the thread.
    pub(crate) fn stop(self) {
        drop(self.asks);
        let _ = rustix::io::write(&self.wake, &1_u64.to_ne_bytes());
        let _ = self.thread.join();
    }
}

/// Result of an attempt to copy.
enum Step {
    Copied(usize),
    /// No input is available.
    Empty,
    /// The destination is full.
    Full,
    /// All write ends are closed.
    Over,
    /// The read end of the destination is closed.
    Closed,
}

fn run(pump: Pump, mut sink: Sink, wake: &OwnedFd, asks: &mpsc::Receiver<Order>, closed: impl FnOnce()) {
    let can_splice = pump.log.is_none();
    let mut way = Way { buffer: Vec::new(), copy: None, seen: 0..0, can_splice, is_wide: false, passed: 0 };
    // Receiver of the reply to a `Drain`, and the number of bytes still to copy for it.
    let mut waiting: Option<(mpsc::Sender<bool>, usize)> = None;
    let (mut pump, mut closed) = (Some(pump), Some(closed));
    loop {
        match asks.try_recv() {
            Ok(Order::Drain(done)) => waiting = Some((done, pump.as_ref().map_or(0, Pump::waiting_bytes))),
            Ok(Order::Close) => pump = None,
            Err(mpsc::TryRecvError::Empty) => {}
            Err(mpsc::TryRecvError::Disconnected) => return,
        }
        let step = pump.as_ref().map_or(Step::Over, |pump| way.step(pump, &mut sink));
        if let Some((done, left)) = waiting.take() {
            let left = left.saturating_sub(if let Step::Copied(length) = step { length } else { 0 });
            if left > 0 && matches!(step, Step::Copied(_) | Step::Full) {
                waiting = Some((done, left));
            } else {
                sink.finish();
                let _ = done.send(matches!(step, Step::Over | Step::Closed));
            }
        }
        if let Step::Over | Step::Closed = step {
            // Close the read end, so that writers get EPIPE.
            pump = None;
        }
        let mut files = vec![PollFd::new(wake, PollFlags::IN)];
        match (step, &pump) {
            (Step::Copied(_), _) => continue,
            (Step::Empty | Step::Full, _) if std::mem::take(&mut way.passed) >= FLOOD => {
                std::thread::sleep(GATHERING);
                continue;
            }
            (Step::Empty, Some(pump)) => files.push(PollFd::new(&pump.from, PollFlags::IN)),
            (Step::Full, Some(pump)) => files.push(PollFd::new(&pump.to, PollFlags::OUT)),
            (Step::Closed, _) => closed.take().into_iter().for_each(|closed| closed()),
            _ => {}
        }
        let _ = poll(&mut files, None);
        let _ = rustix::io::read(wake, &mut [0_u8; 8][..]);
    }
}

/// Transfers bytes. From pipe to pipe, they are spliced without copying to user space. Bytes that the sink needs are duplicated with `tee`
/// and consumed only when they are passed on. If this program is killed in between, they are still in the pipe for the helper.
struct Way {
    buffer: Vec<u8>,
    /// Pipe for the duplicated bytes.
    copy: Option<(PipeReader, PipeWriter)>,
    /// Range of the buffer with bytes that were duplicated but not passed on yet.
    seen: Range<usize>,
    can_splice: bool,
    is_wide: bool,
    /// Number of bytes that were spliced since the input was last empty or the destination full.
    passed: usize,
}

impl Way {
    fn step(&mut self, pump: &Pump, sink: &mut Sink) -> Step {
        if self.can_splice {
            let step = if sink.is_idle() { self.pass(pump, sink) } else { self.show_and_pass(pump, sink) };
            match step {
                Ok(step) => return step,
                Err(Errno::INTR) => return Step::Copied(0),
                Err(Errno::PIPE) => return Step::Closed,
                // Some files do not support splice.
                Err(_) => self.can_splice = false,
            }
        }
        self.buffer.resize(AT_ONCE, 0);
        match rustix::io::read(&pump.from, &mut self.buffer[..]) {
            // Linux returns EIO when the other end of a pseudo-terminal is closed.
            Ok(0) | Err(Errno::IO) => Step::Over,
            Ok(length) => {
                let passed = pump.pass_on(&self.buffer[..length]);
                let kept = sink.feed(&self.buffer[..length]);
                if passed.and(kept).is_ok() { Step::Copied(length) } else { Step::Closed }
            }
            Err(Errno::AGAIN) => Step::Empty,
            Err(Errno::INTR) => Step::Copied(0),
            Err(_) => Step::Over,
        }
    }

    fn pass(&mut self, pump: &Pump, sink: &mut Sink) -> Result<Step, Errno> {
        if !std::mem::replace(&mut self.is_wide, true) {
            // The system may limit the size.
            let _ = fcntl_setpipe_size(&pump.from, WIDE);
            let _ = fcntl_setpipe_size(&pump.to, WIDE);
        }
        self.seen = 0..0;
        match splice(&pump.from, None, &pump.to, None, WIDE, SPLICE) {
            Ok(0) => Ok(Step::Over),
            Ok(length) => {
                self.passed += length;
                sink.pass(length as u64);
                Ok(Step::Copied(length))
            }
            // Either the input is empty or the destination is full. Poll the input to find out.
            Err(Errno::AGAIN) => {
                let mut files = [PollFd::new(&pump.from, PollFlags::IN)];
                let is_empty = poll(&mut files, Some(&Timespec::default())).is_ok_and(|ready| ready == 0);
                Ok(if is_empty { Step::Empty } else { Step::Full })
            }
            Err(error) => Err(error),
        }
    }

    fn show_and_pass(&mut self, pump: &Pump, sink: &mut Sink) -> Result<Step, Errno> {
        if self.seen.is_empty() {
            let (copied, copy) = match &self.copy {
                Some(copy) => copy,
                None => self.copy.insert(io::pipe().map_err(|_| Errno::MFILE)?),
            };
            let length = match tee(&pump.from, copy, AT_ONCE, SPLICE) {
                Ok(0) => return Ok(Step::Over),
                Err(Errno::AGAIN) => return Ok(Step::Empty),
                length => length?,
            };
            self.buffer.resize(length, 0);
            (&*copied).read_exact(&mut self.buffer).map_err(|_| Errno::IO)?;
            self.seen = 0..length;
        }
        match splice(&pump.from, None, &pump.to, None, self.seen.len(), SPLICE) {
            // Another reader has consumed the bytes.
            Ok(0) => Ok(Step::Over),
            Ok(length) => {
                let end = self.seen.start + length;
                // Only the file of a detached run has errors that end the copying, and its output is not spliced.
                let _ = sink.feed(&self.buffer[self.seen.start..end]);
                self.seen.start = end;
                Ok(Step::Copied(length))
            }
            Err(Errno::AGAIN) => Ok(Step::Full),
            Err(error) => Err(error),
        }
    }
}
