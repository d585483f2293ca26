//! A monitored program that executes the commands of the tests.

mod allocator;
mod asked;
mod away;
mod batch;
mod calls;
mod cancelled;
mod controlled;
mod exits;
mod folds;
mod forks;
mod killed;
mod queued;
mod spans;
mod strays;
mod subscribers;
mod switched;
mod tasks;

use std::io::{BufRead, Write};
use std::process::ExitCode;
use std::time::Duration;

use monitor_client::{Context, Level, Process, cross_thread, normal_task, root_task};

/// Calls a program that understands `traceparent`.
#[root_task]
fn calls(program: &str, arg: &str) {
    let mut command = std::process::Command::new(program);
    command.arg(arg).env("TRACEPARENT", monitor_client::traceparent().unwrap_or_default());
    assert!(command.status().expect("a program").success());
}

/// Logs a line, waits for input, and logs the rest.
#[root_task]
fn talks() {
    monitor_client::log(Level::Info, "begun");
    let step = Process::builder("step").field("n", 1).begin();
    step.log(Level::Warn, "line one\nline two");
    println!("talking");
    std::io::stdin().read_line(&mut String::new()).expect("a line");
    monitor_client::log(Level::Error, "gave up");
}

/// Reports its progress, its fields, and a log line with fields.
#[root_task]
fn tells() {
    use monitor_client::__private::{Line, log_line};

    let first = Process::builder("first").begin();
    let second = Process::builder("second").begin();
    second.link(first.context().expect("recorded"), "retry_of");
    (0..=1_000).for_each(|row| second.progress(row, 1_000));
    monitor_client::progress(1, 2);
    let fields = vec![("row".into(), 17.into()), ("ratio".into(), 0.5.into())];
    let message = "a row is odd".to_owned();
    log_line(None, || Line { level: Level::Warn, target: Some("app::rows".into()), message, fields, ..Line::default() });
}

/// Logs this number of bytes at once.
#[root_task]
fn says(bytes: u64) {
    monitor_client::log(Level::Info, "x".repeat(bytes as usize));
}

/// Gets a secret, which is masked, in two calls: a finished call, and a call during which it is killed.
#[root_task(args(*), mask(password), timeout = "5ms")]
fn logs_in(password: &str) {
    checks("ada", password);
    hangs("ada", password);
}

#[normal_task(args(*), fields(token = %password), mask(password, token), ret, name = "check {user}")]
fn checks(user: &str, password: &str) -> bool {
    if user != password {
        monitor_client::field("status", 502);
        monitor_client::fail("upstream refused");
    }
    !password.is_empty()
}

#[normal_task(args(*), mask(password))]
fn hangs(user: &str, password: &str) {
    println!("{}", user.len() < password.len());
    std::io::stdin().read_line(&mut String::new()).expect("a line");
}

#[expect(clippy::too_many_lines, reason = "a line for each thing to do")]
fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let what = args.next().unwrap_or_default();
    let mut number = || args.next().and_then(|arg| arg.parse().ok()).unwrap_or(1);
    match what.as_str() {
        "many" => many(number()),
        "many-and-lingers" => {
            exits::lingers();
            many(number());
        }
        "steady" => steady(),
        "paced" => away::paced(),
        "hang" => hang(),
        "cancellable" => cancelled::cancellable(&args.next().expect("the launcher")),
        "asks-elsewhere" => cancelled::asks_elsewhere(),
        "deaf" => cancelled::deaf(),
        "works" => controlled::works(),
        "switched" => switched::switched(),
        "queues" => queued::queues(&args.next().expect("names of queues")),
        "offers" => asked::offers(&args.next().expect("a file")),
        "exit" => exit_inside(),
        "exit-with" => exits::exit_with(number()),
        "exit-elsewhere" => exits::exit_elsewhere(number()),
        "exit-in-a-task" => exits::exit_in_a_task(number()),
        "return-while-busy" => return exits::return_while_busy(number()),
        "leaves-open" => exits::leaves_open(),
        "housekeeping" => strays::housekeeping(),
        "stray-tasks" => strays::tasks(),
        "stray-calls" => strays::calls(number()),
        "lone-roots" => strays::lone_roots(number()),
        "return-code" => return exits::return_code(number()),
        "sends-the-root" => calls::sends_the_root("batch001"),
        "joins" => calls::joins("whole-7"),
        "judges" => calls::judges(&args.next().expect("a root's id")),
        "counts" => {
            let file = args.next().expect("a file");
            let calls = args.next().and_then(|calls| calls.parse().ok()).expect("a number");
            killed::counts(&file, calls, &args.next().expect("an end"));
        }
        "finds-no-room" => killed::finds_no_room(&args.next().expect("a file")),
        "calls" => calls(&args.next().expect("a program"), &args.next().expect("its argument")),
        "talks" => talks(),
        "says" => says(number()),
        "logs-in" => logs_in(&args.next().expect("a secret")),
        "tells" => tells(),
        "plain-spans" => spans::plain(),
        "spans" => spans::monitored(),
        "spans-hang" => spans::hang(),
        "spans-off" => spans::off(),
        "log-lines" => spans::log_lines(),
        "waits" => killed::waits(),
        "sends-tasks" => tasks::sends(number()),
        "receives-tasks" => tasks::receives(),
        "turns-tasks-over" => tasks::turns_over(number(), number()),
        "panic" => panic_inside(),
        "abort" => exits::abort_inside(),
        "stray" => stray(number()),
        "lists" => lists(),
        "traced" => subscribers::traced(),
        "subscriber-shows-all" => subscribers::subscriber_shows_all(),
        "subscriber-records" => subscribers::subscriber_records(),
        "subscriber-panics" => subscribers::subscriber_panics(),
        "error-panics" => subscribers::error_panics(),
        "flushed-panic" => exits::flushed_panic(),
        "flush-times-out" => exits::flush_times_out(),
        "thread-panics" => exits::thread_panics(),
        "records-at-exit" => exits::records_at_exit(),
        "replaced" => exits::replaced(),
        "handles-signals" => exits::handles_signals(),
        "lists-signals" => exits::lists_signals(),
        "destructors-record" => exits::destructors_record(),
        "crowd" => exits::crowd(number()),
        "leaves-others-behind" => exits::leaves_others_behind(),
        "drops-runtimes" => exits::drops_runtimes(),
        "closes-files" => exits::closes_files(),
        "closes-stderr" => exits::closes_stderr(),
        "burst" => folds::burst(number()),
        "bare" => folds::bare(number()),
        "lookups" => folds::lookups(number()),
        "by-hand" => folds::by_hand(number()),
        "bursts-elsewhere" => folds::bursts_elsewhere(number()),
        "one-waits" => folds::one_waits(),
        "one-says-who-it-is" => folds::one_says_who_it_is(),
        "grows" => folds::grows(),
        "turns" => folds::turns(number(), number()),
        "forks" => forks::forks(),
        "forks-and-asks" => forks::forks_and_asks(),
        "forks-and-waits" => forks::forks_and_waits(),
        "forks-and-returns" => forks::forks_and_returns(),
        "forks-while-busy" => forks::forks_while_busy(number()),
        "forks-at-once" => forks::forks_at_once(),
        "forks-and-vanishes" => forks::forks_and_vanishes(),
        "forks-and-dies" => forks::forks_and_dies(),
        "forks-in-time" => forks::forks_in_time(number()),
        "forks-and-exits" => forks::forks_and_exits(),
        "forks-twice" => forks::forks_twice(),
        "flushes-while-busy" => exits::flushes_while_busy(number()),
        "subscriber-flushes" => subscribers::subscriber_flushes(),
        "wordy" => killed::wordy(number()),
        "becomes-a-daemon" => forks::becomes_a_daemon(),
        "spawns" => forks::spawns(),
        "allocator-records" => allocator::allocator_records(),
        "tells-of-a-run" => batch::tells_of_a_run(),
        "is-no-run" => batch::is_no_run(),
        "counts-allocations" => allocator::counts_allocations(),
        other => panic!("{other:?} is nothing to do"),
    }
    ExitCode::SUCCESS
}

/// A tree of `count` leaves under parents of a hundred each.
#[root_task]
fn many(count: u64) {
    for first in (0..count).step_by(100) {
        hundred(first, count.min(first + 100));
    }
}

#[normal_task]
fn hundred(first: u64, end: u64) {
    for n in first..end {
        let _ = leaf(n);
    }
}

#[normal_task]
fn leaf(n: u64) -> Result<u64, String> {
    if n % 1_000 == 999 { Err(format!("leaf {n} fails")) } else { Ok(n) }
}

/// Makes calls without a pause until stdin is closed, then prints their number.
#[root_task]
fn steady() {
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    std::thread::spawn(move || {
        let _ = std::io::stdin().lines().count();
        drop(stop);
    });
    let mut count = 0_u64;
    while stopped.recv_timeout(Duration::from_micros(200)) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
        let _ = leaf(count);
        count += 1;
    }
    say(&count.to_string());
}

/// Records trees with a single call each, without a pause, while `work` runs.
fn while_busy<T>(work: impl FnOnce() -> T) -> T {
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let busy = std::thread::spawn(move || {
        while stopped.try_recv() == Err(std::sync::mpsc::TryRecvError::Empty) {
            tree();
        }
    });
    let done = work();
    drop(stop);
    busy.join().expect("no panic");
    done
}

#[root_task]
fn tree() {}

/// Prints its ids and waits forever.
#[root_task]
fn hang() {
    waits();
}

#[normal_task]
fn waits() {
    say(&monitor_client::root_id().map(|id| id.to_string()).unwrap_or_default());
    read_line();
}

#[root_task]
fn exit_inside() {
    exits();
}

#[normal_task]
fn exits() {
    std::process::exit(7);
}

#[root_task]
fn panic_inside() {
    panics();
}

#[normal_task]
fn panics() {
    panic!("the end of the tape");
}

/// Calls a `#[cross_thread]` function from a thread without context while `roots` trees run.
fn stray(roots: u64) {
    let guards: Vec<Context> = (0..roots)
        .map(|n| {
            let process = Box::leak(Box::new(Process::builder(format!("tree {n}")).root().begin()));
            process.context().expect("monitored")
        })
        .collect();
    std::thread::spawn(strayed).join().expect("no panic");
    assert_eq!(guards.len() as u64, roots);
}

#[cross_thread]
fn strayed() {}

/// Makes a call and prints the program's resources: threads and open files.
fn lists() {
    let _ = leaf(1);
    for folder in ["/proc/self/task", "/proc/self/fd"] {
        say(&std::fs::read_dir(folder).expect("Linux").count().to_string());
    }
}

fn say(text: &str) {
    println!("{text}");
    std::io::stdout().flush().expect("stdout is open");
}

/// Waits until stdin is closed, or has a line.
fn read_line() {
    let _ = std::io::stdin().lock().read_line(&mut String::new());
}
