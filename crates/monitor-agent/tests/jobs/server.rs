//! A small HTTP server in the place of the server: it offers orders until they are accepted or have ended, and keeps reports and output.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use monitor_wire::{JobOrder, JobOrders, JobReport, JobReportEvent, JobReports, JobRunKey, SignedJobOrder};

/// Data of the server.
#[derive(Debug, Default)]
pub(crate) struct Data {
    pub(crate) orders: Vec<(JobRunKey, SignedJobOrder)>,
    pub(crate) stops: Vec<JobRunKey>,
    /// Accepted reports by number.
    pub(crate) reports: BTreeMap<u64, JobReport>,
    /// Output by the id of the run.
    pub(crate) output: BTreeMap<String, Vec<u8>>,
    /// True to answer all requests with status 503.
    pub(crate) is_away: bool,
}

/// The server.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pair: Ed25519KeyPair,
    shared: Arc<(Mutex<Data>, Condvar)>,
}

impl Server {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, shared) = (listener.local_addr().unwrap(), Arc::<(Mutex<Data>, Condvar)>::default());
        let of = shared.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = of.clone();
                std::thread::spawn(move || serve(&stream, &shared));
            }
        });
        Self { address, pair: Ed25519KeyPair::generate().unwrap(), shared }
    }

    /// The public key in base64.
    pub(crate) fn key(&self) -> String {
        STANDARD.encode(self.pair.public_key())
    }

    pub(crate) fn sign(&self, order: &JobOrder) -> SignedJobOrder {
        let order = serde_json::to_string(order).unwrap();
        let signature = STANDARD.encode(self.pair.sign(order.as_bytes()));
        SignedJobOrder { order, signature }
    }

    /// Offers an order until the agent has accepted or ended it.
    pub(crate) fn offer(&self, order: &JobOrder) {
        self.offer_signed(order.key, self.sign(order));
    }

    pub(crate) fn offer_signed(&self, key: JobRunKey, signed: SignedJobOrder) {
        self.change(|data| data.orders.push((key, signed)));
    }

    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut Data) -> T) -> T {
        let changed = change(&mut self.shared.0.lock().unwrap());
        self.shared.1.notify_all();
        changed
    }

    /// Events of a run, in the order of their reports.
    pub(crate) fn events(&self, key: JobRunKey) -> Vec<JobReportEvent> {
        let data = self.shared.0.lock().unwrap();
        data.reports.values().filter(|report| report.key == key).map(|report| report.event.clone()).collect()
    }

    pub(crate) fn output(&self, key: JobRunKey) -> String {
        let output = self.shared.0.lock().unwrap().output.get(&key.run_id()).cloned();
        String::from_utf8(output.unwrap_or_default()).unwrap()
    }
}

/// Orders that have neither an accepted nor an ended report, and stops of runs without an ended report.
fn open(data: &Data) -> JobOrders {
    let has = |key: &JobRunKey, is_wanted: fn(&JobReportEvent) -> bool| {
        data.reports.values().any(|report| report.key == *key && is_wanted(&report.event))
    };
    let is_known = |event: &JobReportEvent| matches!(event, JobReportEvent::Accepted | JobReportEvent::Ended { .. });
    let is_ended = |event: &JobReportEvent| matches!(event, JobReportEvent::Ended { .. });
    JobOrders {
        orders: data.orders.iter().filter(|(key, _)| !has(key, is_known)).map(|(_, signed)| signed.clone()).collect(),
        stops: data.stops.iter().filter(|key| !has(key, is_ended)).copied().collect(),
    }
}

/// Answers the requests of a connection.
fn serve(stream: &TcpStream, (data, changed): &(Mutex<Data>, Condvar)) -> Option<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let (mut length, mut line, mut first) = (0, String::new(), String::new());
        reader.read_line(&mut first).ok().filter(|read| *read > 0)?;
        loop {
            line.clear();
            reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
            if line.trim().is_empty() {
                break;
            }
            let (name, value) = line.split_once(':').unwrap_or_default();
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse().ok()?;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        let target = first.split(' ').nth(1)?;
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let mut locked: MutexGuard<'_, Data> = data.lock().unwrap();
        let (status, answer) = if locked.is_away {
            (503, "{}".to_owned())
        } else if path.ends_with("/job-orders") {
            let is_idle = |data: &mut Data| {
                let open = open(data);
                open.orders.is_empty() && open.stops.is_empty()
            };
            locked = changed.wait_timeout_while(locked, Duration::from_secs(10), is_idle).unwrap().0;
            (200, serde_json::to_string(&open(&locked)).unwrap())
        } else if path.ends_with("/job-reports") {
            let JobReports { reports } = serde_json::from_slice(&body).unwrap();
            assert!(reports.is_sorted_by(|a, b| a.number < b.number), "{reports:?}");
            locked.reports.extend(reports.into_iter().map(|report| (report.number, report)));
            (204, String::new())
        } else if path.ends_with("/job-output") {
            let number =
                |name: &str| query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('=')?.parse::<u64>().ok()).unwrap();
            let key = JobRunKey { job: number("job"), step: number("step"), host: number("host"), attempt: number("attempt") as u32 };
            assert!(body.len() <= 1 << 20, "{} bytes at once", body.len());
            let output = locked.output.entry(key.run_id()).or_default();
            let offset = number("offset") as usize;
            assert!(offset <= output.len(), "no byte is left out");
            output.truncate(offset);
            output.extend(body);
            (204, String::new())
        } else {
            (404, "{}".to_owned())
        };
        drop(locked);
        let head = format!("HTTP/1.1 {status} x\r\ncontent-length: {}\r\ncontent-type: application/json\r\n\r\n{answer}", answer.len());
        (&*stream).write_all(head.as_bytes()).ok()?;
    }
}
