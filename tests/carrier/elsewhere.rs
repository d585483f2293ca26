//! Executors, servers and libraries without special support: smol, actix, and a library that is opened at runtime.

use std::ffi::{CStr, CString, c_char};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use monitor_client::{CommandExt, InCurrent, cross_process, in_current, normal_task, root_task};

use crate::handle;

#[root_task("on smol")]
pub(crate) fn on_smol() {
    smol::block_on(by_tasks());
}

#[normal_task]
async fn by_tasks() {
    let spawned = smol::spawn(async { handle("spawned") }.in_current());
    let later = smol::spawn(
        async {
            smol::Timer::after(std::time::Duration::from_millis(5)).await;
            handle("later")
        }
        .in_current(),
    );
    let blocking = smol::unblock(in_current(|| handle("blocking")));
    assert_eq!((spawned.await, later.await, blocking.await), (Ok(7), Ok(5), Ok(8)));
    let local = smol::LocalExecutor::new();
    local.run(local.spawn(async { handle("local") }.in_current())).await.expect("it is handled");
}

#[cross_process(name = "GET /orders/{id}", begin)]
async fn order(id: &str, traceparent: Option<String>) -> Result<usize, String> {
    handle(id)
}

async fn answer(request: HttpRequest, id: web::Path<String>) -> HttpResponse {
    let traceparent = request.headers().get("traceparent").and_then(|header| header.to_str().ok()).map(str::to_owned);
    match order(&id, traceparent).await {
        Ok(length) => HttpResponse::Ok().body(length.to_string()),
        Err(why) => HttpResponse::InternalServerError().body(why),
    }
}

/// Prints its address and serves until its input ends.
pub(crate) fn serve_by_actix() {
    actix_web::rt::System::new().block_on(async {
        let server = HttpServer::new(|| App::new().route("/orders/{id}", web::get().to(answer)));
        let server = server.workers(2).disable_signals().bind(("127.0.0.1", 0)).expect("a port");
        println!("{}", server.addrs()[0]);
        let server = server.run();
        let handle = server.handle();
        std::thread::spawn(move || {
            let _ = std::io::stdin().read_to_end(&mut Vec::new());
            smol::block_on(handle.stop(true));
        });
        server.await.expect("it serves");
    });
}

#[root_task("calls actix")]
pub(crate) fn call(address: &str) {
    for id in crate::MESSAGES {
        println!("{}", ask(address, id));
    }
}

/// Returns the first line of the answer.
#[normal_task]
fn ask(address: &str, id: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("it listens");
    let traceparent = monitor_client::traceparent().expect("monitored");
    write!(stream, "GET /orders/{id} HTTP/1.1\r\nhost: test\r\ntraceparent: {traceparent}\r\nconnection: close\r\n\r\n")
        .expect("a request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer.lines().next().unwrap_or_default().to_owned()
}

/// Starts this program once more. The child opens the library.
#[root_task("starts")]
pub(crate) fn start(library: &str) {
    let mut program = Command::new(std::env::current_exe().expect("a path"));
    let status = program.args(["opens", library]).with_current_process().status();
    assert!(status.expect("it starts").success());
}

#[allow(unsafe_code, reason = "a library is opened and called")]
pub(crate) fn open(library: &str) {
    let path = CString::new(library).expect("a path");
    // SAFETY: the path ends with a zero. The initializers of the library are those of the standard library.
    let opened = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW) };
    assert!(!opened.is_null(), "{library} can't be opened");
    let name: &CStr = c"monitor_test_plugin";
    // SAFETY: the library is open, and the name ends with a zero.
    let found = unsafe { libc::dlsym(opened, name.as_ptr()) };
    assert!(!found.is_null(), "{library} has no {name:?}");
    // SAFETY: the function with this name has this type, see tests/plugin/lib.rs.
    let work: unsafe extern "C" fn(*const c_char) = unsafe { std::mem::transmute(found) };
    calls(&|traceparent| {
        // SAFETY: the pointer is null or points to text that ends with a zero.
        unsafe { work(traceparent.map_or(std::ptr::null(), CStr::as_ptr)) };
    });
}

/// Calls the library twice: without a context, and with a context as for another program.
#[normal_task]
fn calls(work: &dyn Fn(Option<&CStr>)) {
    work(None);
    let traceparent = CString::new(monitor_client::traceparent().expect("monitored")).expect("no zero");
    work(Some(&traceparent));
}
